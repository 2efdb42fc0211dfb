"""Many verdicts are in force if each one is: whatever ends one of them ends them together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Verdict
from seawall.transactions.desk import Desk, DeskParts
from tests.builders.messages import BASE_HASH, NOW_S, block

HEAD = block(100)


@dataclass(frozen=True)
class Judged:
    """What of a verdict says how long it holds."""

    admitted: bool = True
    kind: WriteKind = WriteKind.PLAN
    valid_until_block: int = HEAD.number
    valid_until_s: int = NOW_S
    base_hash: Hash = BASE_HASH


def desk(*closed: WriteKind) -> Desk:
    latch = SimpleNamespace(admits=lambda kind: kind not in closed)
    parts = SimpleNamespace(latch=latch, clock=SimpleNamespace(now_s=lambda: NOW_S))
    made = Desk(cast(DeskParts, parts))
    made.note_canonical((HEAD,), ())
    made.move_to(HEAD)
    return made


def verdicts(*judged: Judged) -> list[Verdict]:
    return [cast(Verdict, one) for one in judged]


def test_verdicts_are_in_force_up_to_their_last_block_and_second() -> None:
    assert desk().all_in_force(verdicts(Judged(), Judged(kind=WriteKind.REDUCING)))
    assert desk().all_in_force([])


@pytest.mark.parametrize(
    "lapsed",
    [
        replace(Judged(), admitted=False),
        replace(Judged(), kind=WriteKind.REDUCING),
        replace(Judged(), valid_until_block=HEAD.number - 1),
        replace(Judged(), valid_until_s=NOW_S - 1),
        replace(Judged(), base_hash=Hash(b"\x01" * 32)),
    ],
    ids=["refused", "latched", "past its block", "past its second", "base taken away"],
)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_that_is_not_in_force_ends_them_together(lapsed: Judged, place: int) -> None:
    found, several = desk(WriteKind.REDUCING), [Judged(), Judged(), Judged()]
    several[place] = lapsed
    assert not found.all_in_force(verdicts(*several))
    assert not found.in_force(*verdicts(lapsed))


def test_one_that_was_forgotten_is_not_in_force() -> None:
    assert not desk().all_in_force([*verdicts(Judged()), None])
    assert not desk().in_force(None)


def test_nothing_is_in_force_before_a_head_is_known() -> None:
    found = desk()
    found.head = None
    assert not found.all_in_force(verdicts(Judged()))
