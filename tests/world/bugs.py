"""Planted bugs: what each of them breaks, the checker must find. They prove that the checker checks.

Each is a context manager that replaces a piece of the kernel while it is entered; production code has no
switches for them. `test_bugs` runs each over the first seeds that find it, with the bug and without.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from unittest.mock import patch

from seawall.chain.broadcast import SignedWrite
from seawall.chain.heads import HeadChange
from seawall.chain.rpc import RpcPool
from seawall.chain.simulation import Simulator
from seawall.control.latch import Latch
from seawall.ledger.inclusions import Inclusions
from seawall.ledger.intents import Intents
from seawall.ledger.lanes import Lanes
from seawall.ledger.postings import Reservations
from seawall.ledger.rows import Accepted, AttemptRow, InclusionRow, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native import Execution, SignedTransaction
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState, WriteKind
from seawall.primitives.observations import Decision, Observation
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Candidate, Payload, Verdict
from seawall.runtime import chain_loop
from seawall.runtime.feeds import Feed
from seawall.signers.base import Signer
from seawall.transactions import lanes, recovery
from seawall.transactions.accounting import Accountant, Entry, Included
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk
from seawall.transactions.intake import Intake
from seawall.transactions.lanes import LaneRunner, Stance, Standing
from seawall.transactions.recovery import OpenSlot
from seawall.transactions.writing import Outbox

__all__ = ["BUGS"]

_Planted = AbstractContextManager[object]


# ---------------------------------------------------------------------- nonces and slots


@contextlib.contextmanager
def nonce_counter() -> Iterator[None]:
    """Nonces come from a counter that is raised for every candidate and never rolled back."""
    true_standing, true_judged = LaneRunner._standing, LaneRunner._judged
    counters: dict[Lane, int] = {}

    def standing(self: LaneRunner, tx: Transaction) -> Standing:
        found = true_standing(self, tx)
        highest = max(-1 if found.highest is None else found.highest, counters.get(self.lane, -1))
        return replace(found, highest=None if highest < 0 else highest)

    async def judged(self: LaneRunner, row: IntentRow, found: Standing) -> tuple[Candidate, Verdict]:
        candidate, verdict = await true_judged(self, row, found)
        counters[self.lane] = candidate.nonce
        return candidate, verdict

    with patch.object(LaneRunner, "_standing", standing), patch.object(LaneRunner, "_judged", judged):
        yield


def second_nonce() -> _Planted:
    """What was dropped is queued again, to be signed with another nonce, while its first one is filled."""

    async def renew(runner: LaneRunner, slot: OpenSlot, attempt: AttemptRow, intent: IntentRow) -> None:
        now_s = runner.desk.parts.clock.now_s()
        await runner.desk.parts.ledger.write(
            lambda tx: tx.intents.set_state(intent.number, IntentState.QUEUED, "", None, now_s)
        )
        await recovery._fill(runner, slot.slot.nonce, slot.attempts, None, "it is sent again")

    return patch.object(recovery, "_renew", renew)


def filler_without_bump() -> _Planted:
    """A filler pays no more than what it is to replace, so the nodes refuse it."""
    return patch.object(recovery, "REPLACEMENT_BPS", 10_000)


@contextlib.contextmanager
def old_hash_forgotten() -> Iterator[None]:
    """Once a filler is committed, the bytes that it is to replace are not watched any more."""
    true_take = Desk.take_filler

    def take_filler(self: Desk, attempt: AttemptRow) -> None:
        place = (attempt.lane, attempt.nonce)
        self.unsettled = {h: row for h, row in self.unsettled.items() if (row.lane, row.nonce) != place}
        true_take(self, attempt)

    with patch.object(Desk, "take_filler", take_filler):
        yield


def dropped_not_tended() -> _Planted:
    """Nobody looks after what a node forgot."""

    async def tend(_runner: LaneRunner) -> None:
        return

    return patch.object(chain_loop, "tend", tend)


def unsettled_not_loaded() -> _Planted:
    """A restart forgets what was committed and not settled."""

    async def load(_self: Confirmer) -> None:
        return

    return patch.object(Confirmer, "load", load)


# ---------------------------------------------------------------------- commits and writes


@contextlib.contextmanager
def sent_before_commit() -> Iterator[None]:
    """Bytes are written as soon as they are signed."""
    true_commit = LaneRunner._commit

    async def commit(
        self: LaneRunner,
        row: IntentRow,
        candidate: Candidate,
        verdict: Verdict,
        stance: Stance,
        signer: Signer,
    ) -> bool:
        signed = await lanes._sign(candidate, signer)
        write = SignedWrite(verdict.kind, Hash(signed.hash), signed.raw, verdict.valid_until_s)
        await self.desk.parts.port.write([write])
        return await true_commit(self, row, candidate, verdict, stance, signer)

    with patch.object(LaneRunner, "_commit", commit):
        yield


@contextlib.contextmanager
def signed_other_than_committed() -> Iterator[None]:
    """What is signed pays a wei more than what was judged and stored."""
    true_sign = lanes._sign

    async def sign(candidate: Candidate, signer: Signer) -> SignedTransaction:
        return await true_sign(
            replace(candidate, max_fee_per_gas_wei=candidate.max_fee_per_gas_wei + 1), signer
        )

    with patch.object(lanes, "_sign", sign):
        yield


@contextlib.contextmanager
def fence_not_checked() -> Iterator[None]:
    """A kernel that lost its lease goes on committing."""

    def believe(_self: Lanes, *_: object) -> None:
        return

    with patch.object(Lanes, "require", believe), patch.object(Lanes, "renew", believe):
        yield


def confirmation_not_fenced() -> _Planted:
    """A kernel that lost its lease goes on telling the ledger about heads, inclusions and decisions."""

    def believe(_self: Desk, _tx: Transaction) -> None:
        return

    return patch.object(Desk, "require_leases", believe)


@contextlib.contextmanager
def fence_not_in_the_commit() -> Iterator[None]:
    """Everything asks for the fence but the one commit that stores signed bytes."""
    true_insert, true_require = LaneRunner._insert, Lanes.require
    committing = False

    def insert(
        self: LaneRunner,
        tx: Transaction,
        row: IntentRow,
        candidate: Candidate,
        verdict: Verdict,
        stance: Stance,
        signed: SignedTransaction,
    ) -> AttemptRow:
        nonlocal committing
        committing = True
        try:
            return true_insert(self, tx, row, candidate, verdict, stance, signed)
        finally:
            committing = False

    def require(self: Lanes, lane: Lane, fence: int) -> None:
        if not committing:
            true_require(self, lane, fence)

    with patch.object(LaneRunner, "_insert", insert), patch.object(Lanes, "require", require):
        yield


@contextlib.contextmanager
def stop_forgotten_at_commit() -> Iterator[None]:
    """The commit asks whether authority admits it now, not whether a stop came between verdict and commit."""
    true_insert = LaneRunner._insert

    def insert(
        self: LaneRunner,
        tx: Transaction,
        row: IntentRow,
        candidate: Candidate,
        verdict: Verdict,
        _stance: Stance,
        signed: SignedTransaction,
    ) -> AttemptRow:
        present = Stance(self.desk.epoch, self.desk.parts.latch.changes)
        return true_insert(self, tx, row, candidate, verdict, present, signed)

    with patch.object(LaneRunner, "_insert", insert):
        yield


def latch_ignored() -> _Planted:
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


def verdict_outlives_its_block() -> _Planted:
    """A reorg takes a verdict's base block away, and the verdict stays in force."""

    def in_force(self: Desk, verdict: Verdict | None) -> bool:
        return (
            verdict is not None
            and verdict.admitted
            and self.parts.latch.admits(verdict.kind)
            and self.parts.clock.now_s() <= verdict.valid_until_s
        )

    return patch.object(Desk, "in_force", in_force)


@contextlib.contextmanager
def overlay_forgotten() -> Iterator[None]:
    """Candidates are judged on the pinned block alone, so that together they spend what is there once."""

    async def nothing(_self: Simulator, *_: object) -> None:
        return

    with patch.object(Simulator, "rebuild", nothing), patch.object(Simulator, "push", nothing):
        yield


@contextlib.contextmanager
def overlay_without_values() -> Iterator[None]:
    """The overlay knows of nonces and fees, and forgets what was spent."""
    true_push = Simulator._push

    async def push(self: Simulator, payload: Payload, nonce: int, fee_per_gas_wei: int) -> Execution:
        return await true_push(self, replace(payload, value_wei=0), nonce, fee_per_gas_wei)

    with patch.object(Simulator, "_push", push):
        yield


def dependency_not_awaited() -> _Planted:
    """A plan goes ahead of what it depends on."""

    def met(_tx: Transaction, _row: IntentRow) -> bool:
        return True

    return patch.object(lanes, "_dependencies_met", met)


def endpoint_not_checked() -> _Planted:
    """Nobody asks an endpoint which chain it serves."""

    async def check(_self: RpcPool, _member: object) -> None:
        return

    return patch.object(RpcPool, "_check_chain", check)


# ---------------------------------------------------------------------- confirmation and outcomes


def _finality(of: Callable[[HeadChange], int]) -> _Planted:
    true_handle = Confirmer.handle

    async def handle(self: Confirmer, change: HeadChange) -> None:
        await true_handle(self, replace(change, final_number=of(change)))

    return patch.object(Confirmer, "handle", handle)


def receipt_is_final() -> _Planted:
    """What has a receipt is settled at once."""
    return _finality(lambda change: change.added[-1].number if change.added else change.final_number)


def finality_off_by_one() -> _Planted:
    """The block after the final one counts as final."""
    return _finality(lambda change: change.final_number + 1)


@contextlib.contextmanager
def outcome_at_inclusion() -> Iterator[None]:
    """An intent has its outcome from the first block that has it; the slot is still settled at finality."""
    true_event = Confirmer._event

    def event(self: Confirmer, tx: Transaction, kind: str, row: InclusionRow, now_s: int) -> None:
        true_event(self, tx, kind, row, now_s)
        attempt = tx.attempts.by_hash(row.attempt_hash)
        if kind == "inclusion.added" and attempt is not None:
            for number, _ in attempt.intents:
                state = IntentState.LANDED if row.status else IntentState.FAILED
                self._outcome(tx, number, state, "", now_s)

    with patch.object(Confirmer, "_event", event):
        yield


@contextlib.contextmanager
def cancelled_at_fill() -> Iterator[None]:
    """An intent counts as cancelled once its filler is committed, though its own bytes may still land."""
    true_fill = recovery._fill

    async def fill(
        runner: LaneRunner, nonce: int, earlier: tuple[AttemptRow, ...], intent: IntentRow | None, why: str
    ) -> None:
        await true_fill(runner, nonce, earlier, intent, why)
        now_s = runner.desk.parts.clock.now_s()
        if intent is not None and intent.state is IntentState.COMMITTED:
            await runner.desk.parts.ledger.write(
                lambda tx: tx.intents.set_state(intent.number, IntentState.CANCELLED, why, None, now_s)
            )

    with patch.object(recovery, "_fill", fill):
        yield


def reorg_not_flipped() -> _Planted:
    """Inclusions of blocks that a reorg took away stay canonical."""

    def flip(_self: Inclusions, _hashes: Sequence[Hash]) -> list[InclusionRow]:
        return []

    return patch.object(Inclusions, "flip", flip)


def foreign_use_unseen() -> _Planted:
    """Nobody looks whether somebody else used a nonce of ours."""

    async def overtaken(_self: Confirmer, *_: object) -> tuple[list[object], list[AttemptRow]]:
        return [], []

    return patch.object(Confirmer, "_overtaken", overtaken)


def reservation_kept() -> _Planted:
    """A settled slot keeps its reservations."""

    def release(_self: Reservations, _attempt: AttemptRow) -> None:
        return

    return patch.object(Reservations, "release", release)


@contextlib.contextmanager
def foreign_reservation_kept() -> Iterator[None]:
    """A slot whose nonce somebody else used keeps its reservations."""
    true_release = Confirmer._release

    def release(self: Confirmer, tx: Transaction, lane: Lane, nonce: int) -> None:
        slot = tx.slots.get(lane, nonce)
        if slot is None or slot.consumed_by is not None:
            true_release(self, tx, lane, nonce)

    with patch.object(Confirmer, "_release", release):
        yield


# ---------------------------------------------------------------------- accounting


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


# ---------------------------------------------------------------------- intake and feeds


@contextlib.contextmanager
def idempotency_not_looked_up() -> Iterator[None]:
    """A plan that was accepted before is accepted again."""
    true_accept = Intents.accept

    def accept(self: Intents, plan: Plan, digest: Hash, correlation_id: str, now_s: int) -> Accepted:
        accepted = true_accept(self, plan, digest, correlation_id, now_s)
        while not accepted.created:
            plan = replace(plan, idempotency_key=plan.idempotency_key + "'")
            accepted = true_accept(self, plan, digest, correlation_id, now_s)
        return accepted

    with patch.object(Intents, "accept", accept):
        yield


@contextlib.contextmanager
def state_before_plans() -> Iterator[None]:
    """A decision's state is committed first, its plans after it."""
    true_accept = Intake.accept

    async def accept(
        self: Intake,
        decision: Decision,
        correlation_id: str = "",
        also: Callable[[Transaction], None] | None = None,
    ) -> list[IntentRow]:
        await true_accept(self, replace(decision, plans=()), correlation_id, None)
        return await true_accept(self, replace(decision, state=None), correlation_id, also)

    with patch.object(Intake, "accept", accept):
        yield


@contextlib.contextmanager
def cursor_before_decision() -> Iterator[None]:
    """Events count as told once an observation is built, whatever becomes of it."""
    true_observation = Feed._observation

    async def observation(self: Feed) -> tuple[Observation | None, tuple[int, bytes], int]:
        built, state, cursor = await true_observation(self)
        if built is not None:
            name = self._cursor("events")
            await self.ledger.write(lambda tx: tx.events.advance(name, cursor))
        return built, state, cursor

    with patch.object(Feed, "_observation", observation):
        yield


BUGS: dict[str, Callable[[], _Planted]] = {
    bug.__name__: bug
    for bug in (
        nonce_counter,
        second_nonce,
        filler_without_bump,
        old_hash_forgotten,
        dropped_not_tended,
        unsettled_not_loaded,
        sent_before_commit,
        signed_other_than_committed,
        fence_not_checked,
        confirmation_not_fenced,
        fence_not_in_the_commit,
        stop_forgotten_at_commit,
        latch_ignored,
        lapsed_verdict_written,
        verdict_outlives_its_block,
        overlay_forgotten,
        overlay_without_values,
        dependency_not_awaited,
        endpoint_not_checked,
        receipt_is_final,
        finality_off_by_one,
        outcome_at_inclusion,
        cancelled_at_fill,
        reorg_not_flipped,
        foreign_use_unseen,
        reservation_kept,
        foreign_reservation_kept,
        fee_posted_by_half,
        failed_value_posted,
        idempotency_not_looked_up,
        state_before_plans,
        cursor_before_decision,
    )
}
