"""The one fenced commit of a batch (invariant 3): leases, authority and latch are checked, then slots,
verdicts, attempts with their bytes, reservations, states and events are stored, all or nothing.

In a fleet a batch whose verdicts touch nothing of what other kernels committed meanwhile is written again on
top of that. What was not stored waits again; what was stored is brought to desk, queues and outbox."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.chain.simulation import StateKey
from seawall.ledger.rows import AttemptRow, Commitment, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native.wire import SignedTransaction
from seawall.primitives.errors import (
    AuthorityChangedError,
    ChainError,
    FenceLostError,
    IntentMovedError,
    LedgerError,
    NonceTakenError,
    StaleError,
    nothing_was_stored,
)
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority
from seawall.primitives.units import Hash, hex_text
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.batches import Judged
from seawall.transactions.desk import Desk
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.queue import Queues
from seawall.transactions.waiting import Ended, Waiting, store_endings
from seawall.transactions.writing import Outbox

__all__ = ["Batch", "BehindError", "Committer", "Signed", "Stance"]

# How often one batch is written again because other kernels were first.
BEHIND_MAX: Final = 16
# A batch of more than this is logged as one line.
LOGGED_SINGLY_MAX: Final = 8

_AFTER_COMMIT = failpoints.declare("transactions.after_commit")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stance:
    """Authority before a batch was judged; a stop that came and went since then drops the batch."""

    epoch: int  # of the ledger's controls
    latch_changes: int
    authority: Authority


class BehindError(StaleError):
    """Other kernels committed these meanwhile."""

    def __init__(self, rows: Sequence[AttemptRow]) -> None:
        super().__init__(f"{len(rows)} attempts of other kernels were not known", "dispatch", "none needed")
        self.rows = rows


@dataclass(slots=True)
class Signed:
    judged: Judged
    signed: SignedTransaction


@dataclass(slots=True)
class Batch:
    """What one commit stores: attempts of what was admitted, and the ends of what was not."""

    stance: Stance
    fences: dict[Lane, int]
    reads: frozenset[StateKey]  # in a fleet: what its candidates read
    signed: list[Signed] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)
    told: list[Ended] = field(default_factory=list)  # of those, what ended by the commit
    is_dropped: bool = False  # its attempts were; what stands on them must be too

    @property
    def rows(self) -> list[IntentRow]:
        signed = [one.row for each in self.signed for one in each.judged.segments]
        return signed + [row for row, *_ in self.ended]


@dataclass(slots=True)
class Committer:
    """Stores the batches of one desk."""

    desk: Desk
    runners: Mapping[Lane, LaneRunner]
    queues: Queues
    outbox: Outbox
    waiting: Waiting
    # In a fleet: takes in what other kernels committed. True if the overlay is another one then.
    learn: Callable[[], Awaitable[bool]] | None = None
    is_behind: bool = False  # others committed what a batch of ours did not stand on

    async def commit(self, batch: Batch) -> bool:
        """Store the batch. False: it did not happen, and what stood on it is to be dropped too."""
        desk = self.desk
        lost: list[Lane] = []
        try:
            attempts = await self._stored(batch, lost)
        except (
            AuthorityChangedError,
            NonceTakenError,
            FenceLostError,
            IntentMovedError,
            StaleError,
        ) as error:
            # Nothing was consumed: the candidates are dropped and built anew on what is true now.
            _log.info("candidates_dropped", cause=str(error), count=len(batch.signed))
            self._undo(batch)
            for lane in lost:
                self.runners[lane].lose()
            self.waiting.reconcile_soon()
            return False
        except LedgerError as error:
            # Where it is not known whether it happened, or something else moved these intents, all is read
            # anew.
            self._undo(batch)
            if not nothing_was_stored(error):
                desk.reload_due = True
                self.waiting.reconcile_soon()
            raise
        except ChainError:
            # What other kernels committed could not be put onto the overlay: nothing of ours was stored.
            self._undo(batch)
            raise
        await _AFTER_COMMIT.reach()
        self._note(batch, attempts)
        if batch.is_dropped:
            desk.unready()
            return False
        return True

    async def _stored(self, batch: Batch, lost: list[Lane]) -> list[AttemptRow]:
        """Write the batch; again, where other kernels were first and touched nothing of it."""
        commitments = [_commitment(one) for one in batch.signed]
        now_s = self.desk.parts.clock.now_s()
        for _ in range(BEHIND_MAX):
            try:
                with self.desk.parts.metrics.timing(Stage.COMMIT):
                    return await self.desk.parts.ledger.write(
                        lambda tx: self._store(tx, batch, commitments, lost, now_s)
                    )
            except BehindError as behind:
                if not await self._still_stands(batch, behind.rows):
                    raise
        raise StaleError("other kernels were first again and again", "dispatch", "none needed")

    async def _still_stands(self, batch: Batch, rows: Sequence[AttemptRow]) -> bool:
        """SIM-2: a commit of another lane ends a verdict if it wrote what that read. Budgets must hold too,
        with what both take."""
        desk = self.desk
        assert self.learn is not None
        await self.learn()
        if desk.reload_due or not desk.parts.gate.book.is_kept(batch.fences, desk.parts.clock.now_s()):
            return False
        entries = [(row.payload, row.nonce, row.max_fee_per_gas_wei) for row in rows]
        written = await desk.parts.simulator.append(entries)
        if not written.isdisjoint(batch.reads):
            return False
        return desk.all_in_force([one.judged.verdict for one in batch.signed])

    def _store(
        self, tx: Transaction, batch: Batch, commitments: list[Commitment], lost: list[Lane], now_s: int
    ) -> list[AttemptRow]:
        """The one fenced commit: leases, authority, then everything of the batch."""
        lost += tx.lanes.lost_of(batch.fences)
        if lost:
            raise FenceLostError(
                f"{len(lost)} of the batch's lanes are another kernel's", str(lost[0]), "none needed"
            )
        latch = self.desk.parts.latch
        if commitments:
            tx.controls.require_epoch(batch.stance.epoch)
        if commitments and (
            latch.changes != batch.stance.latch_changes
            or not all(latch.admits(one.verdict.kind) for one in commitments)
        ):
            raise AuthorityChangedError(
                f"authority changed since the verdicts, to {latch.authority.name}", "dispatch", "none needed"
            )
        _require_not_cancelled(tx, commitments)
        known = self.desk.known_attempts
        if known is not None:
            self._require_nothing_new(tx, known)
        attempts = tx.commitments.insert(commitments, now_s) if commitments else []
        batch.told = store_endings(tx, batch.ended, now_s)
        if known is not None:
            self.desk.known_attempts = tx.attempts.newest(self.desk.parts.network.chain_id)
        return attempts

    def _require_nothing_new(self, tx: Transaction, known: int) -> None:
        """Verdicts stand on everything of ours that is not landed, and on what budgets have left, whichever
        kernel committed it (SIM-2). The ledger lets one kernel write at a time, so this look misses none."""
        news = tx.attempts.after(self.desk.parts.network.chain_id, known)
        unknown = [row for row in news if row.hash not in self.desk.unsettled]
        if unknown:
            self.is_behind = True
            raise BehindError(unknown)

    def _note(self, batch: Batch, attempts: Sequence[AttemptRow]) -> None:
        """The commit is done: bring desk, queues and outbox to it."""
        desk = self.desk
        for one, attempt in zip(batch.signed, attempts, strict=True):
            row = one.judged.row
            desk.take(attempt, one.judged.verdict, row.correlation_id, row)
            desk.parts.gate.book.keep(attempt.lane, attempt.nonce)
            self.queues.done(row)
            for other in one.judged.beside:
                desk.intents[other.row.number] = other.row
                self.queues.done(other.row)
            self.outbox.put(attempt)
        for row, *_ in batch.ended:
            self.queues.done(row)
        for _, state, *_ in batch.told:
            desk.parts.metrics.ended(state)
        if len(batch.signed) + len(batch.ended) > LOGGED_SINGLY_MAX:
            _log.info("batch_committed", committed=len(batch.signed), ended=len(batch.ended))
            return
        for each, attempt in zip(batch.signed, attempts, strict=True):
            for judged in each.judged.segments:
                with correlated(judged.row.correlation_id):
                    _log.info(
                        "intent_committed",
                        intent=judged.row.number,
                        nonce=attempt.nonce,
                        hash=hex_text(attempt.hash),
                    )
        for row, state, why, _ in batch.told:
            with correlated(row.correlation_id):
                _log.info("intent_ended", intent=row.number, state=state, reason=why)

    def _undo(self, batch: Batch) -> None:
        """The commit did not happen: its intents wait again, and the overlay is what is committed."""
        self.queues.give_back(batch.rows)
        self.desk.unready()


def _require_not_cancelled(tx: Transaction, commitments: Sequence[Commitment]) -> None:
    """A cancellation that was stored before this commit prevents it."""
    if not commitments:
        return
    cancelled = tx.intents.cancelled_among(
        [verdict.number for one in commitments for _, verdict in one.segments]
    )
    if cancelled:
        raise StaleError(f"intents {cancelled} were cancelled meanwhile", "dispatch", "none needed")


def _commitment(one: Signed) -> Commitment:
    candidate, verdict = one.judged.candidate, one.judged.verdict
    return Commitment(
        lane=candidate.lane,
        nonce=candidate.nonce,
        intent=candidate.number,
        strategy=candidate.plan.strategy,
        verdict=verdict,
        hash=Hash(one.signed.hash),
        raw=one.signed.raw,
        payload=candidate.payload,
        payload_digest=verdict.payload_digest,
        max_fee_per_gas_wei=candidate.max_fee_per_gas_wei,
        max_priority_fee_per_gas_wei=candidate.max_priority_fee_per_gas_wei,
        route=one.judged.route,
        reserved=tuple(one.judged.spends.items()),
        beside=tuple([(other.row.strategy, other.verdict) for other in one.judged.beside]),
    )
