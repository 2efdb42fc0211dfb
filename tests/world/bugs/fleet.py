"""Kernels beside each other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from unittest.mock import patch

from seawall.ledger.controls import Controls
from seawall.ledger.lanes import Lanes
from seawall.ledger.rows import AttemptRow, Commitment
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import Lane
from seawall.transactions.committing import Batch, Committer
from seawall.transactions.desk import Desk
from tests.world.bugs.planting import Planted

__all__ = ["BUGS"]


@contextlib.contextmanager
def fence_not_checked() -> Iterator[None]:
    """A kernel that lost its lease goes on committing."""

    def believe(_self: Lanes, *_: object) -> None:
        return

    def believe_all(_self: Lanes, _held: Mapping[Lane, int]) -> list[Lane]:
        return []

    with patch.object(Lanes, "require", believe), patch.object(Lanes, "lost_of", believe_all):
        yield


@contextlib.contextmanager
def fence_not_in_the_commit() -> Iterator[None]:
    """Everything asks for the fence but the one commit that stores signed bytes."""
    true_store = Committer._store

    def store(
        self: Committer,
        tx: Transaction,
        batch: Batch,
        commitments: list[Commitment],
        lost: list[Lane],
        now_s: int,
    ) -> list[AttemptRow]:
        batch.fences.clear()
        return true_store(self, tx, batch, commitments, lost, now_s)

    with patch.object(Committer, "_store", store):
        yield


def confirmation_not_fenced() -> Planted:
    """A kernel that lost its lease goes on telling the ledger about inclusions and outcomes."""

    def believe(_self: Desk, _tx: Transaction) -> None:
        return

    return patch.object(Desk, "require_leases", believe)


def stop_of_the_fleet_not_in_the_commit() -> Planted:
    """The commit does not ask whether the fleet was stopped."""

    def require(_self: Controls, _epoch: int) -> None:
        return

    return patch.object(Controls, "require_epoch", require)


BUGS: tuple[Callable[[], Planted], ...] = (
    fence_not_checked,
    fence_not_in_the_commit,
    confirmation_not_fenced,
    stop_of_the_fleet_not_in_the_commit,
)
