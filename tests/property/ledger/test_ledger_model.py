"""Intents, slots, attempts and inclusions against a plain Python model, over commits, blocks and reorgs."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from typing_extensions import override

from seawall.ledger import Transaction
from seawall.ledger.database import Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.memory import create_in_memory
from seawall.ledger.rows import AttemptRow
from seawall.primitives.bounds import INTENT_ID_BLOCK
from seawall.primitives.codec import payload_digest, plan_digest
from seawall.primitives.errors import (
    IdempotencyConflictError,
    IntegrityAlarm,
    LedgerError,
    NonceTakenError,
)
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import Finality, IntentState, WriteKind
from seawall.primitives.units import Hash
from tests.unit.ledger.samples import (
    CHAIN_ID,
    EPOCH,
    LANE,
    NOW_S,
    FixedEntropy,
    block,
    digest_of,
    included,
    payload,
    plan,
    verdict,
)

S = IntentState
KEYS = st.sampled_from([f"k{i}" for i in range(6)])
HEIGHTS = st.integers(1, 6)
FORKS = st.sampled_from("ab")
NONCES = st.integers(0, 5)


@dataclass
class ModelIntent:
    value_wei: int
    state: IntentState = S.QUEUED
    finality: Finality | None = None

    @property
    def provisional(self) -> bool:
        return self.state in (S.LANDED, S.FAILED, S.CANCELLED) and self.finality in (
            Finality.INCLUDED,
            Finality.SAFE,
        )

    def may_become(self, state: IntentState) -> bool:
        if self.state is S.QUEUED:
            return state in (S.COMMITTED, S.REFUSED, S.EXPIRED, S.CANCELLED)
        if self.state is S.COMMITTED:
            return state in (S.COMMITTED, S.QUEUED, S.LANDED, S.FAILED, S.CANCELLED)
        return self.provisional and state in (S.COMMITTED, S.LANDED, S.FAILED, S.CANCELLED)


@dataclass
class ModelSlot:
    attempts: list[Hash] = field(default_factory=list)
    consumed_by: Hash | None = None
    final: bool = False


@dataclass
class ModelInclusion:
    nonce: int
    height: int
    canonical: bool = True
    finality: Finality = Finality.INCLUDED


class LedgerMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.database = Database("sqlite://")
        self.session = self.database.session(read_only=False)
        create_in_memory(self.session, FixedEntropy())
        self.session.begin_write()
        self.ids = IntentIds(EPOCH)
        self.tx = Transaction(self.session, self.ids)
        self.numbers: dict[str, IntentNumber] = {}
        self.intents: dict[str, ModelIntent] = {}
        self.intent_ids: set[int] = set()
        self.slots: dict[int, ModelSlot] = {}
        self.inclusions: dict[tuple[Hash, Hash], ModelInclusion] = {}

    @override
    def teardown(self) -> None:
        self.session.rollback()
        self.session.close()
        self.database.dispose()

    @initialize()
    def begin(self) -> None:
        assert self.tx.slots.highest(LANE) is None

    def attempted(self, work: object, error: type[Exception] = LedgerError) -> bool:
        """Run in a savepoint, as the writer does; True if the ledger took it."""
        assert callable(work)
        mark = self.ids.mark()
        self.session.savepoint()
        try:
            work()
        except error:
            self.session.rollback_to_savepoint()
            self.ids.restore(mark)
            return False
        self.session.release()
        return True

    @rule(key=KEYS, value_wei=st.integers(1, 2))
    def accept(self, key: str, value_wei: int) -> None:
        wanted = plan(key, value_wei=value_wei)
        known = self.intents.get(key)
        try:
            accepted = self.tx.intents.accept(wanted, plan_digest(wanted), "c", NOW_S)
        except IdempotencyConflictError:
            assert known is not None
            assert known.value_wei != value_wei
            return
        assert accepted.created is (known is None)
        if known is None:
            assert accepted.intent.intent_id not in self.intent_ids
            self.intent_ids.add(accepted.intent.intent_id)
            self.numbers[key], self.intents[key] = accepted.intent.number, ModelIntent(value_wei)
        else:
            assert known.value_wei == value_wei

    @rule()
    def restart(self) -> None:
        """A new kernel on the same rows takes its own block of ids."""
        self.ids = IntentIds(EPOCH)
        self.tx = Transaction(self.session, self.ids)

    @precondition(lambda self: self.intents)
    @rule(data=st.data(), state=st.sampled_from(IntentState), finality=st.sampled_from([None, *Finality]))
    def move(self, data: st.DataObject, state: IntentState, finality: Finality | None) -> None:
        key = data.draw(st.sampled_from(sorted(self.intents)))
        model = self.intents[key]
        fits = finality is not None if state in (S.LANDED, S.FAILED) else True
        fits = fits and (finality is None or state in (S.COMMITTED, S.LANDED, S.FAILED, S.CANCELLED))
        same = (model.state, model.finality) == (state, finality)
        taken = self.attempted(
            lambda: self.tx.intents.set_state(self.numbers[key], state, "", finality, NOW_S)
        )
        assert taken is (fits and (same or model.may_become(state)))
        if taken:
            model.state, model.finality = state, finality

    @precondition(lambda self: self.intents)
    @rule(data=st.data(), nonce=NONCES)
    def take_slot(self, data: st.DataObject, nonce: int) -> None:
        key = data.draw(st.sampled_from(sorted(self.intents)))
        taken = self.attempted(
            lambda: self.tx.slots.insert(LANE, nonce, "plan", self.numbers[key]), NonceTakenError
        )
        assert taken is (nonce not in self.slots)
        if taken:
            self.slots[nonce] = ModelSlot()

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), route=st.integers(0, 2), admitted=st.booleans())
    def attempt(self, data: st.DataObject, route: int, admitted: bool) -> None:
        nonce = data.draw(st.sampled_from(sorted(self.slots)))
        slot = self.tx.slots.get(LANE, nonce)
        assert slot is not None
        assert slot.intent is not None
        wanted = digest_of(nonce, route)

        def commit() -> AttemptRow:
            assert slot is not None
            assert slot.intent is not None
            judged = self.tx.verdicts.insert(verdict(slot.intent, admitted=admitted, nonce=nonce), NOW_S)
            return self.tx.attempts.insert(
                slot,
                wanted,
                b"raw",
                payload(nonce),
                payload_digest(payload(nonce)),
                WriteKind.PLAN,
                1,
                1,
                "public",
                judged,
                [(slot.intent, 0)],
                NOW_S,
            )

        taken = self.attempted(commit)
        assert taken is (admitted and wanted not in self.slots[nonce].attempts)
        if taken:
            self.slots[nonce].attempts.append(wanted)

    def has_attempts(self) -> bool:
        return any(slot.attempts for slot in self.slots.values())

    @precondition(has_attempts)
    @rule(data=st.data(), height=HEIGHTS, fork=FORKS)
    def include(self, data: st.DataObject, height: int, fork: str) -> None:
        wanted = data.draw(st.sampled_from([h for slot in self.slots.values() for h in slot.attempts]))
        nonce = next(n for n, slot in self.slots.items() if wanted in slot.attempts)
        at = block(height, fork)
        others = [
            one
            for (attempt, where), one in self.inclusions.items()
            if one.nonce == nonce and one.canonical and (attempt, where) != (wanted, at.hash)
        ]
        row = self.tx.attempts.by_hash(wanted)
        assert row is not None
        taken = self.attempted(lambda: included(self.tx, row, at), IntegrityAlarm)
        assert taken is (not others)
        if taken:
            known = self.inclusions.get((wanted, at.hash))
            if known is None or not known.canonical:
                self.inclusions[(wanted, at.hash)] = ModelInclusion(nonce, height)

    @rule(heights=st.sets(HEIGHTS), fork=FORKS)
    def reorganise(self, heights: set[int], fork: str) -> None:
        gone = [block(height, fork).hash for height in heights]
        hit = {key: one for key, one in self.inclusions.items() if key[1] in gone and one.canonical}
        taken = self.attempted(lambda: self.tx.inclusions.flip(gone), IntegrityAlarm)
        assert taken is all(one.finality is not Finality.FINAL for one in hit.values())
        if taken:
            for one in hit.values():
                one.canonical, one.finality = False, Finality.INCLUDED

    @rule(height=HEIGHTS, finality=st.sampled_from([Finality.SAFE, Finality.FINAL]))
    def finalise(self, height: int, finality: Finality) -> None:
        ripe = {
            key: one
            for key, one in self.inclusions.items()
            if one.canonical and one.height <= height and one.finality < finality
        }
        told = self.tx.inclusions.set_finality(CHAIN_ID, height, finality)
        assert {(row.attempt_hash, row.block_hash) for row in told} == set(ripe)
        for one in ripe.values():
            one.finality = finality

    @precondition(lambda self: self.slots)
    @rule(data=st.data(), ours=st.booleans())
    def settle(self, data: st.DataObject, ours: bool) -> None:
        nonce = data.draw(st.sampled_from(sorted(self.slots)))
        model = self.slots[nonce]
        by = model.attempts[0] if ours and model.attempts else None
        taken = self.attempted(lambda: self.tx.slots.settle(LANE, nonce, by))
        assert taken is (not model.final or model.consumed_by == by)
        if taken:
            model.final, model.consumed_by = True, by

    @invariant()
    def intents_agree(self) -> None:
        for key, model in self.intents.items():
            row = self.tx.intents.get(self.numbers[key])
            assert (row.state, row.finality) == (model.state, model.finality)
            assert (row.ended_at_s is not None) is model.state.is_outcome
        alive = {self.numbers[key] for key, m in self.intents.items() if not m.state.is_outcome}
        assert {row.number for row in self.tx.intents.alive(100)} == alive
        assert all(one >> 128 == EPOCH and one % 2**128 < 100 * INTENT_ID_BLOCK for one in self.intent_ids)

    @invariant()
    def slots_agree(self) -> None:
        assert self.tx.slots.highest(LANE) == max(self.slots, default=None)
        unsettled = sorted(nonce for nonce, model in self.slots.items() if not model.final)
        assert [slot.nonce for slot in self.tx.slots.open(LANE)] == unsettled
        hashes = {h for nonce in unsettled for h in self.slots[nonce].attempts}
        assert {row.hash for row in self.tx.attempts.unsettled(CHAIN_ID)} == hashes

    @invariant()
    def a_nonce_lands_at_most_once(self) -> None:
        canonical = [one for one in self.inclusions.values() if one.canonical]
        assert len({one.nonce for one in canonical}) == len(canonical)
        rows = {
            (row.attempt_hash, row.block_hash): row.finality for row in self.tx.inclusions.unsettled(CHAIN_ID)
        }
        assert rows == {
            key: one.finality
            for key, one in self.inclusions.items()
            if one.canonical and one.finality is not Finality.FINAL
        }


LedgerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase
