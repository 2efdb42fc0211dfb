"""Inclusions, finality, outcomes, and the accounts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from unittest.mock import patch

from seawall.chain.heads import HeadChange
from seawall.ledger.inclusions import Inclusions
from seawall.ledger.postings import Reservations
from seawall.ledger.rows import InclusionRow
from seawall.primitives.identifiers import AttemptNumber, Lane
from seawall.primitives.units import Address, Hash
from seawall.transactions.accounting import Accountant, Entry, Included
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.finding import Finder
from seawall.transactions.foreign import ForeignUse, NonceWatch
from tests.world.bugs.planting import Planted

__all__ = ["BUGS"]


def _finality(of: Callable[[HeadChange], int]) -> Planted:
    true_handle = Confirmer.handle

    async def handle(self: Confirmer, change: HeadChange) -> None:
        await true_handle(self, replace(change, final_number=of(change)))

    return patch.object(Confirmer, "handle", handle)


def receipt_is_final() -> Planted:
    """What has a receipt is settled at once."""
    return _finality(lambda change: change.added[-1].number if change.added else change.final_number)


def finality_off_by_one() -> Planted:
    """The block after the final one counts as final."""
    return _finality(lambda change: change.final_number + 1)


def reorg_not_flipped() -> Planted:
    """Inclusions of blocks that a reorg took away stay canonical."""

    def flip(
        _self: Inclusions, _hashes: Sequence[Hash], _lanes: Collection[Lane] | None = None
    ) -> list[InclusionRow]:
        return []

    return patch.object(Inclusions, "flip", flip)


def reorg_while_away_unseen() -> Planted:
    """Nobody asks whether what the ledger has as included is still on the chain."""

    async def strays(_self: Finder, _change: HeadChange) -> dict[Hash, int]:
        return {}

    return patch.object(Finder, "strays", strays)


def foreign_use_unseen() -> Planted:
    """Nobody looks whether somebody else used a nonce of ours."""

    async def look(_self: NonceWatch, *_: object) -> ForeignUse:
        return ForeignUse()

    return patch.object(NonceWatch, "look", look)


def reservation_kept() -> Planted:
    """A settled slot keeps its reservations."""

    def release(_self: Reservations, _attempts: Sequence[AttemptNumber]) -> None:
        return

    return patch.object(Reservations, "release_many", release)


@contextlib.contextmanager
def fee_posted_by_half() -> Iterator[None]:
    """Postings know half of the fees."""
    true_entry = Accountant._entry

    def entry(self: Accountant, included: Included, holders: frozenset[Address]) -> Entry:
        free = replace(included.receipt, gas_used=included.receipt.gas_used // 2)
        return replace(true_entry(self, replace(included, receipt=free), holders), included=included)

    with patch.object(Accountant, "_entry", entry):
        yield


@contextlib.contextmanager
def failed_value_posted() -> Iterator[None]:
    """The value of a transaction that failed is posted as if it had moved."""
    true_entry = Accountant._entry

    def entry(self: Accountant, included: Included, holders: frozenset[Address]) -> Entry:
        done = replace(included, receipt=replace(included.receipt, status=True))
        return replace(true_entry(self, done, holders), included=included)

    with patch.object(Accountant, "_entry", entry):
        yield


BUGS: tuple[Callable[[], Planted], ...] = (
    receipt_is_final,
    finality_off_by_one,
    reorg_not_flipped,
    reorg_while_away_unseen,
    foreign_use_unseen,
    reservation_kept,
    fee_posted_by_half,
    failed_value_posted,
)
