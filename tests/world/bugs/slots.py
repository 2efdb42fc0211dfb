"""Nonces, slots, and what becomes of them after the commit."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from unittest.mock import patch

from seawall.chain.networks import Network
from seawall.chain.replacement import ReplacementRule
from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.ledger.slots import Slots
from seawall.native import DynamicFeeTransaction
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.plans import Plan
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Payload, Verdict
from seawall.runtime import chain_loop
from seawall.transactions import housekeeping, moving, recovery, renewing
from seawall.transactions.batches import BatchJudging
from seawall.transactions.candidates import unsigned as unsigned_of
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.foreign import ForeignUse, NonceWatch
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.openslots import OpenSlot
from seawall.transactions.remote import SignedAhead
from tests.world.bugs.planting import Planted

__all__ = ["BUGS"]


@contextlib.contextmanager
def nonce_counter() -> Iterator[None]:
    """Nonces come from a counter that is raised for every candidate and never rolled back."""
    true_judged, true_next = Dispatcher._judged, Desk.next_nonce
    counters: dict[Lane, int] = {}

    async def judged(
        self: Dispatcher,
        rows: list[IntentRow],
        authority: Authority,
        signed: Mapping[IntentNumber, SignedAhead],
        segments_max: int = 1,
    ) -> BatchJudging:
        work = await true_judged(self, rows, authority, signed, segments_max)
        counters.update(work.nonces)
        return work

    def next_nonce(self: Desk, lane: Lane, at_head: int) -> int:
        return max(true_next(self, lane, at_head), counters.get(lane, 0))

    with patch.object(Dispatcher, "_judged", judged), patch.object(Desk, "next_nonce", next_nonce):
        yield


def second_nonce() -> Planted:
    """What was dropped is queued again, to be signed with another nonce, while its first one is filled."""

    async def renew(
        runner: LaneRunner, slot: OpenSlot, _verdict: Verdict, _beside: Sequence[Verdict] = ()
    ) -> None:
        now_s, intent = runner.desk.parts.clock.now_s(), slot.intent
        assert intent is not None
        await runner.desk.parts.ledger.write(
            lambda tx: tx.intents.set_state(intent.number, IntentState.QUEUED, "", None, now_s)
        )
        await housekeeping.fill(runner, slot.slot.nonce, slot.attempts, None, "it is sent again")

    return patch.object(recovery, "renew", renew)


@contextlib.contextmanager
def filler_without_bump() -> Iterator[None]:
    """A filler pays no more than what it is to replace, so the nodes refuse it."""
    with patch.object(housekeeping, "rule_of", _no_bump):
        yield


@contextlib.contextmanager
def replacement_without_bump() -> Iterator[None]:
    """A replacement pays as much as what it replaces."""
    with patch.object(renewing, "rule_of", _no_bump):
        yield


def _no_bump(_network: Network) -> ReplacementRule:
    return ReplacementRule(0, 0)


@contextlib.contextmanager
def replacement_above_the_ceiling() -> Iterator[None]:
    """A replacement may reach ten times what its payload was judged at."""
    true_ceiling = renewing._ceiling

    async def ceiling(runner: LaneRunner, attempt: AttemptRow) -> int:
        return 10 * await true_ceiling(runner, attempt)

    with patch.object(renewing, "_ceiling", ceiling):
        yield


@contextlib.contextmanager
def replacement_changes_the_payload() -> Iterator[None]:
    """A replacement sends a wei more to the target."""

    def unsigned(
        payload: Payload, nonce: int, max_fee_per_gas_wei: int, max_priority_fee_per_gas_wei: int
    ) -> DynamicFeeTransaction:
        other = replace(payload, value_wei=payload.value_wei + 1)
        return unsigned_of(other, nonce, max_fee_per_gas_wei, max_priority_fee_per_gas_wei)

    with patch.object(renewing, "unsigned", unsigned):
        yield


@contextlib.contextmanager
def old_hash_forgotten() -> Iterator[None]:
    """Once a filler is committed, the bytes that it is to replace are not watched any more."""
    true_take = Desk.take_filler

    def take_filler(self: Desk, attempt: AttemptRow) -> None:
        _forget_siblings(self, attempt)
        true_take(self, attempt)

    with patch.object(Desk, "take_filler", take_filler):
        yield


@contextlib.contextmanager
def old_hash_forgotten_after_a_replacement() -> Iterator[None]:
    """Once a dearer attempt is committed, the cheaper one is not watched any more."""
    true_take = Desk.take

    def take(
        self: Desk,
        attempt: AttemptRow,
        verdict: Verdict | None = None,
        correlation_id: str = "",
        intent: IntentRow | None = None,
    ) -> None:
        if self.siblings(attempt) and attempt.intents:
            _forget_siblings(self, attempt)
        true_take(self, attempt, verdict, correlation_id, intent)

    with patch.object(Desk, "take", take):
        yield


def _forget_siblings(desk: Desk, attempt: AttemptRow) -> None:
    for tx_hash in desk.siblings(attempt):
        desk.unsettled.pop(tx_hash, None)
        desk._pending.pop(tx_hash, None)
    desk._open.get(attempt.lane, {}).pop(attempt.nonce, None)


def moved_before_finality() -> Planted:
    """A plain transfer is signed for another nonce as soon as somebody used its own."""

    def is_recorded(_plan: Plan) -> bool:
        return True

    return patch.object(moving, "is_recorded", is_recorded)


@contextlib.contextmanager
def old_hash_forgotten_after_a_move() -> Iterator[None]:
    """What was queued for another nonce is not watched at its first one any more."""
    true_note = NonceWatch.note

    def note(self: NonceWatch, use: ForeignUse, included: Collection[tuple[Lane, int]]) -> None:
        true_note(self, use, included)
        for one in use.new:
            if one.is_ours:
                self.desk.settle(one.lane, one.nonce)
                self.sightings.pop((one.lane, one.nonce), None)

    with patch.object(NonceWatch, "note", note):
        yield


def dropped_not_tended() -> Planted:
    """Nobody looks after what a node forgot."""

    async def tend(_runner: LaneRunner) -> None:
        return

    return patch.object(chain_loop, "tend", tend)


def unsettled_not_loaded() -> Planted:
    """A restart forgets what was committed and not settled."""

    async def load(self: Confirmer) -> None:
        self.desk.reload_due = False

    return patch.object(Confirmer, "load", load)


@contextlib.contextmanager
def cancelled_at_fill() -> Iterator[None]:
    """An intent counts as cancelled once its filler is committed, though its own bytes may still land."""
    true_fill = housekeeping.fill

    async def fill(
        runner: LaneRunner, nonce: int, earlier: Sequence[AttemptRow], intent: IntentRow | None, why: str
    ) -> bool:
        done = await true_fill(runner, nonce, earlier, intent, why)
        now_s = runner.desk.parts.clock.now_s()
        if intent is not None and intent.state is IntentState.COMMITTED:
            await runner.desk.parts.ledger.write(
                lambda tx: tx.intents.set_state(intent.number, IntentState.CANCELLED, why, None, now_s)
            )
        return done

    with patch.object(recovery, "fill", fill):
        yield


def foreign_slot_not_forgotten() -> Planted:
    """The reorg that takes a foreign transaction away leaves its slot."""

    def forget(_self: Slots, _hashes: Sequence[Hash]) -> list[object]:
        return []

    return patch.object(Slots, "forget_foreign", forget)


def lane_without_bound() -> Planted:
    """A lane has room for whatever comes."""

    def room(_self: Desk, _lane: Lane) -> int:
        return 1_000

    return patch.object(Desk, "room", room)


BUGS: tuple[Callable[[], Planted], ...] = (
    nonce_counter,
    second_nonce,
    filler_without_bump,
    replacement_without_bump,
    replacement_above_the_ceiling,
    replacement_changes_the_payload,
    old_hash_forgotten,
    old_hash_forgotten_after_a_replacement,
    moved_before_finality,
    old_hash_forgotten_after_a_move,
    dropped_not_tended,
    unsettled_not_loaded,
    cancelled_at_fill,
    foreign_slot_not_forgotten,
    lane_without_bound,
)
