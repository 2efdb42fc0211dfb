"""The branch of heads that a desk stands on holds one block a number, whoever told of them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

from seawall.primitives.blocks import Block
from seawall.primitives.units import Hash
from seawall.transactions.desk import Desk, DeskParts
from tests.builders.messages import block

NOWHERE = Hash(bytes(32))


def branch(name: int, first: int, count: int, parent: Hash = NOWHERE) -> tuple[Block, ...]:
    """`count` blocks from number `first`, each on the one before it."""
    made: list[Block] = []
    for number in range(first, first + count):
        parent = made[-1].hash if made else parent
        made.append(replace(block(number), hash=Hash(bytes([name, number]) * 16), parent_hash=parent))
    return tuple(made)


def desk(*known: Block) -> Desk:
    made = Desk(cast(DeskParts, SimpleNamespace()))
    made.note_canonical(known, ())
    return made


def hashes(blocks: tuple[Block, ...]) -> frozenset[Hash]:
    return frozenset(one.hash for one in blocks)


def test_blocks_that_come_take_the_place_of_those_at_their_numbers_though_nobody_removed_them() -> None:
    ours = branch(1, 16, 2)
    lost, new = branch(2, 18, 2, ours[-1].hash), branch(3, 18, 4, ours[-1].hash)
    stands = desk(*ours, *lost)
    assert stands.canonical_after(new, ()) == hashes(ours + new)
    stands.note_canonical(new, ())
    assert stands.canonical_after((), ()) == hashes(ours + new)


def test_what_comes_on_another_parent_leaves_nothing_of_the_branch_before_it() -> None:
    new = branch(3, 18, 2, Hash(b"\x77" * 32))
    assert desk(*branch(1, 10, 8)).canonical_after(new, ()) == hashes(new)


def test_what_goes_on_after_a_gap_keeps_what_stands_below_it() -> None:
    ours, later = branch(1, 10, 4), branch(1, 20, 2)
    assert desk(*ours).canonical_after(later, ()) == hashes(ours + later)


def test_removed_blocks_leave_the_line_and_those_below_stay() -> None:
    ours = branch(1, 10, 4)
    assert desk(*ours).canonical_after((), ours[2:]) == hashes(ours[:2])
    new = branch(3, 12, 3, ours[1].hash)
    assert desk(*ours).canonical_after(new, ours[2:]) == hashes(ours[:2] + new)
