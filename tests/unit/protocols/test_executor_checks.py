"""A plan's checks have the bytes of their documented layout, and impossible ones are refused."""

from __future__ import annotations

import pytest

from seawall.primitives.errors import PlanError
from seawall.primitives.units import Address
from seawall.protocols.executor.checks import (
    BalanceAtLeast,
    BalanceAtMost,
    BookHealthFloor,
    Check,
    FeedFresh,
    FeedsAgree,
    FeedTwapAgree,
    FeedWithin,
    HealthFloor,
    SequencerUp,
    TwapAgrees,
    encode_checks,
)

A = Address(b"\xaa" * 20)
B = Address(b"\xbb" * 20)
C = Address(b"\xcc" * 20)


@pytest.mark.parametrize(
    ("check", "packed"),
    [
        (FeedFresh(A, 3_600), b"\x01" + A + b"\x00\x00\x0e\x10"),
        (FeedWithin(A, 0, 0x0102), b"\x02" + A + b"\x00" + b"\x02\x01\x02"),
        (FeedsAgree(A, B, 258), b"\x03" + A + B + b"\x01\x02"),
        (SequencerUp(A, 1), b"\x04" + A + b"\x00\x00\x00\x01"),
        (TwapAgrees(A, 600, 50), b"\x05" + A + b"\x00\x00\x02\x58" + b"\x00\x00\x32"),
        (FeedTwapAgree(A, B, C, 600, 50), b"\x06" + A + B + C + b"\x00\x00\x02\x58" + b"\x00\x32"),
        (HealthFloor(A, 2**64), b"\x07" + A + b"\x09\x01" + bytes(8)),
        (BookHealthFloor(A, 1), b"\x08" + A + b"\x01\x01"),
        (BalanceAtLeast(A, 5), b"\x09" + A + bytes(20) + b"\x01\x05"),
        (BalanceAtMost(A, 5, B), b"\x0a" + A + B + b"\x01\x05"),
    ],
)
def test_each_check_has_its_bytes(check: Check, packed: bytes) -> None:
    assert encode_checks((check,)) == packed
    assert encode_checks((check, check)) == packed * 2


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        (FeedFresh(Address(b"\x01"), 1), "1 bytes instead of 20"),
        (FeedFresh(A, 2**32), "s are outside"),
        (FeedFresh(A, -1), "s are outside"),
        (FeedWithin(A, 2, 1), "between 2 and 1"),
        (FeedsAgree(A, B, 10_000), "bps are outside"),
        (TwapAgrees(A, 0, 1), "over no time"),
        (TwapAgrees(A, 1, 2**24), "ticks are outside"),
        (HealthFloor(A, -1), "outside 0..2"),
        (BalanceAtMost(A, 2**256), "outside 0..2"),
    ],
)
def test_impossible_checks_are_refused(check: Check, complaint: str) -> None:
    with pytest.raises(PlanError, match=complaint):
        encode_checks((check,))


def test_no_more_checks_than_a_plan_may_have() -> None:
    check = FeedFresh(A, 1)
    assert len(encode_checks((check,) * 32)) == 32 * 25
    with pytest.raises(PlanError, match="33 checks"):
        encode_checks((check,) * 33)
