"""The one fenced commit, and the writes of signed bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from unittest.mock import patch

from seawall.chain.broadcast import SignedWrite
from seawall.control.latch import Latch
from seawall.ledger.rows import AttemptRow, Commitment, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native import DynamicFeeTransaction
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.transactions import dispatch
from seawall.transactions.committing import Batch, Committer, Stance
from seawall.transactions.desk import Desk
from seawall.transactions.queue import LaneQueue
from seawall.transactions.remote import request_of
from seawall.transactions.writing import Outbox
from tests.world.bugs.planting import Planted

__all__ = ["BUGS"]


@contextlib.contextmanager
def sent_before_commit() -> Iterator[None]:
    """Bytes are written as soon as they are signed."""
    true_commit = Committer.commit

    async def commit(self: Committer, batch: Batch) -> bool:
        writes = [
            SignedWrite(v.kind, Hash(one.signed.hash), one.signed.raw, v.valid_until_s)
            for one in batch.signed
            for v in (one.judged.verdict,)
        ]
        await self.desk.parts.port.write(writes)
        return await true_commit(self, batch)

    with patch.object(Committer, "commit", commit):
        yield


@contextlib.contextmanager
def signed_other_than_committed() -> Iterator[None]:
    """What is signed pays a wei more than what was judged and stored."""

    def dearer(candidate: Candidate) -> DynamicFeeTransaction:
        return request_of(replace(candidate, max_fee_per_gas_wei=candidate.max_fee_per_gas_wei + 1))

    with patch.object(dispatch, "request_of", dearer):
        yield


@contextlib.contextmanager
def stop_forgotten_at_commit() -> Iterator[None]:
    """The commit asks whether authority admits it now, not whether a stop came between verdict and commit."""
    true_store = Committer._store

    def store(
        self: Committer,
        tx: Transaction,
        batch: Batch,
        commitments: list[Commitment],
        lost: list[Lane],
        now_s: int,
    ) -> list[AttemptRow]:
        latch = self.desk.parts.latch
        batch.stance = Stance(self.desk.epoch, latch.changes, latch.authority)
        return true_store(self, tx, batch, commitments, lost, now_s)

    with patch.object(Committer, "_store", store):
        yield


def latch_ignored() -> Planted:
    """Writer and port believe that the latch admits everything."""

    def admits(_self: Latch, _kind: WriteKind) -> bool:
        return True

    return patch.object(Latch, "admits", admits)


@contextlib.contextmanager
def lapsed_verdict_written() -> Iterator[None]:
    """A verdict that was admitted once is good for ever."""
    true_admitted = Outbox._admitted

    def admitted(self: Outbox, attempt: AttemptRow) -> SignedWrite | None:
        write = true_admitted(self, attempt)
        if write is not None or not self.desk.parts.latch.admits(attempt.kind):
            return write
        return SignedWrite(attempt.kind, attempt.hash, attempt.raw, self.desk.parts.clock.now_s() + 30)

    with patch.object(Outbox, "_admitted", admitted):
        yield


def verdict_outlives_its_block() -> Planted:
    """A reorg takes a verdict's base block away, and the verdict stays in force."""

    def all_in_force(self: Desk, verdicts: Iterable[Verdict | None]) -> bool:
        return all(
            verdict is not None
            and verdict.admitted
            and self.parts.latch.admits(verdict.kind)
            and self.parts.clock.now_s() <= verdict.valid_until_s
            for verdict in verdicts
        )

    return patch.object(Desk, "all_in_force", all_in_force)


def put_off_is_dropped() -> Planted:
    """What could not be judged is never tried again, nor ended."""

    def put_off(_self: LaneQueue, _row: IntentRow, _until_s: float, _cause: str) -> None:
        return

    return patch.object(LaneQueue, "put_off", put_off)


BUGS: tuple[Callable[[], Planted], ...] = (
    sent_before_commit,
    signed_other_than_committed,
    stop_forgotten_at_commit,
    latch_ignored,
    lapsed_verdict_written,
    verdict_outlives_its_block,
    put_off_is_dropped,
)
