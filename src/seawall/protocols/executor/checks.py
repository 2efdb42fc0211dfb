"""What a plan demands of the world once all its operations are done, checked on chain by `PlanChecks`.

    encode_checks((FeedFresh(feed, 3_600), HealthFloor(pool, 15 * 10**17))) -> ExecutorBody.checks

Packed and big-endian, kind by kind to the end:

    FEED_FRESH        0x01  feed(20) max_age(4)
    FEED_WITHIN       0x02  feed(20) lowest:amount highest:amount
    FEEDS_AGREE       0x03  feed(20) other(20) max_bps(2)
    SEQUENCER_UP      0x04  feed(20) grace(4)
    TWAP_AGREES       0x05  pool(20) window(4) max_ticks(3)
    FEED_TWAP_AGREE   0x06  feed(20) pool(20) base(20) window(4) max_bps(2)
    HEALTH_AAVE       0x07  pool(20) floor:amount
    HEALTH_BOOK       0x08  book(20) floor:amount
    BALANCE_AT_LEAST  0x09  token(20) holder(20) amount:amount
    BALANCE_AT_MOST   0x0a  token(20) holder(20) amount:amount
    amount := length(1) of 0..32, that many bytes of integer

A check can only refuse: what its source is worth is the business of whoever wrote the plan. Agreement of two
prices says nothing of their age, so ask for freshness besides. Pure: nothing is read from a chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import PlanError
from seawall.primitives.units import BPS, ZERO_ADDRESS, Address

__all__ = [
    "BalanceAtLeast",
    "BalanceAtMost",
    "BookHealthFloor",
    "Check",
    "FeedFresh",
    "FeedTwapAgree",
    "FeedWithin",
    "FeedsAgree",
    "HealthFloor",
    "SequencerUp",
    "TwapAgrees",
    "encode_checks",
]

_CHECKS_MAX: Final = 32
_SECONDS_MAX: Final = 2**32 - 1
_TICKS_MAX: Final = 2**24 - 1


@dataclass(frozen=True, slots=True)
class FeedFresh:
    """The feed's answer is above zero and not older than this."""

    feed: Address
    max_age_s: int


@dataclass(frozen=True, slots=True)
class FeedWithin:
    """The feed's answer lies within this range [the feed's own unit]."""

    feed: Address
    lowest: int
    highest: int


@dataclass(frozen=True, slots=True)
class FeedsAgree:
    """Two feeds of one price differ by at most this much of the first."""

    feed: Address
    other: Address
    max_bps: int


@dataclass(frozen=True, slots=True)
class SequencerUp:
    """The rollup's sequencer is up, and has been for this long."""

    feed: Address
    grace_s: int


@dataclass(frozen=True, slots=True)
class TwapAgrees:
    """A Uniswap V3 pool's tick now is within this of its mean over the window; a tick is 1 bp of price."""

    pool: Address
    window_s: int
    max_ticks: int


@dataclass(frozen=True, slots=True)
class FeedTwapAgree:
    """A feed's price of `base` in the pool's other token, and that pool's mean over the window, agree."""

    feed: Address
    pool: Address
    base: Address
    window_s: int
    max_bps: int  # of the feed's price


@dataclass(frozen=True, slots=True)
class HealthFloor:
    """The account's health factor in an Aave V3 pool [1e18]."""

    pool: Address
    floor: int


@dataclass(frozen=True, slots=True)
class BookHealthFloor:
    """The account's health factor at every source that its risk book lists [1e18]."""

    book: Address
    floor: int


@dataclass(frozen=True, slots=True)
class BalanceAtLeast:
    """What `holder` has left; the zero address stands for the executor itself."""

    token: Address
    amount: int  # [smallest unit of token]
    holder: Address = ZERO_ADDRESS


@dataclass(frozen=True, slots=True)
class BalanceAtMost:
    """How large a position may have become; the zero address stands for the executor itself."""

    token: Address
    amount: int  # [smallest unit of token]
    holder: Address = ZERO_ADDRESS


Check = (
    FeedFresh
    | FeedWithin
    | FeedsAgree
    | SequencerUp
    | TwapAgrees
    | FeedTwapAgree
    | HealthFloor
    | BookHealthFloor
    | BalanceAtLeast
    | BalanceAtMost
)


def encode_checks(checks: Sequence[Check]) -> bytes:
    """The packed checks; `PlanError` for those that could never be met or never fail."""
    if len(checks) > _CHECKS_MAX:
        raise _refused(f"{len(checks)} checks are more than {_CHECKS_MAX}")
    return b"".join(map(_packed, checks))


def _packed(check: Check) -> bytes:
    match check:
        case FeedFresh(feed, max_age_s):
            return b"\x01" + _address(feed) + _seconds(max_age_s)
        case FeedWithin(feed, lowest, highest):
            if lowest > highest:
                raise _refused(f"no answer lies between {lowest} and {highest}")
            return b"\x02" + _address(feed) + _amount(lowest) + _amount(highest)
        case FeedsAgree(feed, other, max_bps):
            return b"\x03" + _address(feed) + _address(other) + _bps(max_bps)
        case SequencerUp(feed, grace_s):
            return b"\x04" + _address(feed) + _seconds(grace_s)
        case TwapAgrees(pool, window_s, max_ticks):
            return b"\x05" + _address(pool) + _window(window_s) + _ticks(max_ticks)
        case FeedTwapAgree(feed, pool, base, window_s, max_bps):
            sources = _address(feed) + _address(pool) + _address(base)
            return b"\x06" + sources + _window(window_s) + _bps(max_bps)
        case HealthFloor(pool, floor):
            return b"\x07" + _address(pool) + _amount(floor)
        case BookHealthFloor(book, floor):
            return b"\x08" + _address(book) + _amount(floor)
        case BalanceAtLeast(token, amount, holder):
            return b"\x09" + _address(token) + _address(holder) + _amount(amount)
        case BalanceAtMost(token, amount, holder):
            return b"\x0a" + _address(token) + _address(holder) + _amount(amount)
        case _:
            assert_never(check)


def _address(address: bytes) -> bytes:
    if len(address) != 20:
        raise _refused(f"an address of {len(address)} bytes instead of 20")
    return address


def _amount(amount: int) -> bytes:
    if not 0 <= amount <= UINT256_MAX:
        raise _refused(f"amount {amount} is outside 0..2^256-1")
    length = (amount.bit_length() + 7) // 8
    return bytes([length]) + amount.to_bytes(length, "big")


def _seconds(seconds: int) -> bytes:
    if not 0 <= seconds <= _SECONDS_MAX:
        raise _refused(f"{seconds} s are outside 0..{_SECONDS_MAX}")
    return seconds.to_bytes(4, "big")


def _window(seconds: int) -> bytes:
    if seconds == 0:
        raise _refused("a mean over no time")
    return _seconds(seconds)


def _ticks(ticks: int) -> bytes:
    if not 0 <= ticks <= _TICKS_MAX:
        raise _refused(f"{ticks} ticks are outside 0..{_TICKS_MAX}")
    return ticks.to_bytes(3, "big")


def _bps(bps: int) -> bytes:
    if not 0 <= bps < BPS:
        raise _refused(f"{bps} bps are outside 0..{BPS - 1}")
    return bps.to_bytes(2, "big")


def _refused(what: str) -> PlanError:
    return PlanError(what, "executor plan, checks", "correct the strategy that built it")
