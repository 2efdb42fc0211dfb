"""Slots with alternatives: private plans of which at most one shall land share a nonce, and the chain picks.

Plans of one strategy that name the same group of alternatives wait here until one of them, the leader, has a
slot. The others are then judged upon what stands before that slot, as if they were the leader, signed for its
nonce, and committed as further attempts of it, each under a replacement name of its own: relays hold all of
them side by side. Whichever lands uses the nonce up, and the rest end cancelled when that is final. What was
judged on top of the slot is judged anew, for it stood on another one.

    the group has a private slot open    judged for its nonce, and committed to it
    its slot is on chain, or filled      waits until that is final
    one of the group has landed          ends cancelled
    none has a slot                      the first becomes the leader, and goes the ordinary way

A group is looked for among a strategy's last `GROUP_LOOK` plans: a name may be used again after so many. The
queue is told by `sift`, and `step` is run with the desk's turn held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from seawall.ledger.rows import AttemptRow, EventData, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import (
    AuthorityChangedError,
    ChainError,
    LedgerError,
    SignerError,
    StaleError,
    nothing_was_stored,
)
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState, WriteKind
from seawall.primitives.units import Hash, hex_text
from seawall.telemetry.logs import correlated, get_logger
from seawall.transactions.batches import BatchJudging, GasBook, Judged, read_data_fees
from seawall.transactions.candidates import unsigned
from seawall.transactions.desk import Desk
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.queue import Queues
from seawall.transactions.routes import is_private
from seawall.transactions.waiting import Ended, store_endings

__all__ = ["BEATEN", "GROUP_LOOK", "Alternatives"]

GROUP_LOOK: Final = 256
# Before something is tried again that could not be judged or has to wait.
PAUSE_S: Final = 0.2
# Leaders remembered before those are forgotten that wait no more.
LEADERS_MAX: Final = 1_024
BEATEN: Final = "an alternative to it landed"
_log = get_logger(__name__)

Group = tuple[Lane, str, str]  # lane, strategy, name


@dataclass(slots=True)
class Alternatives:
    """All groups of one desk."""

    desk: Desk
    queues: Queues
    _aside: dict[IntentNumber, IntentRow] = field(default_factory=dict)  # taken from the queue, in order
    _leaders: dict[Group, IntentNumber] = field(default_factory=dict)
    _gas: GasBook = field(default_factory=GasBook)
    _rest_until_s: float = 0.0

    def sift(self, rows: list[IntentRow]) -> list[IntentRow]:
        """What goes the ordinary way; the rest waits here."""
        if all(row.plan.routing is None for row in rows):
            return rows
        going = []
        for row in rows:
            group = group_of(row)
            if group is None or self._leaders.get(group) == row.number:
                going.append(row)
            else:
                self._aside[row.number] = row
        return going

    def let_go(self, now_s: int) -> None:
        """Whoever is to end meanwhile is ended in the queue, whether or not steps are made now."""
        for row in [row for row in self._aside.values() if self.queues.is_over(row, now_s)]:
            self._let_go(row)

    async def step(self, runners: Mapping[Lane, LaneRunner]) -> bool:
        """Do what can be done for those that wait. True if something moved."""
        clock = self.desk.parts.clock
        if not self._aside or clock.monotonic_s() < self._rest_until_s:
            return False
        moved = False
        for row in list(self._aside.values()):
            is_open = self.desk.authority is not Authority.HALT and self.desk.is_on_head
            if not is_open or not await self.desk.is_mended():
                break
            with correlated(row.correlation_id):
                moved = await self._one(row, runners) or moved
        if not moved:
            self._rest_until_s = clock.monotonic_s() + PAUSE_S
        return moved

    async def _one(self, row: IntentRow, runners: Mapping[Lane, LaneRunner]) -> bool:
        runner, group = runners.get(row.lane), group_of(row)
        assert group is not None
        if runner is None or not runner.may_dispatch or row.lane not in self.queues:
            self._let_go(row)
            return False
        now = await self.desk.parts.ledger.read(lambda tx: _look(tx, row))
        if now.row.state is not IntentState.QUEUED or now.row.cancel_reason is not None:
            self._let_go(row)  # whoever waits in the queue is ended there
            return True
        if row.plan.deadline_s < self.desk.parts.clock.now_s():
            self._let_go(row)
            return True
        if now.landed is not None:
            reason = f"{BEATEN}: intent #{now.landed}"
            await self._end(runner, (now.row, IntentState.CANCELLED, reason, None))
            return True
        held = self._slot_of(group, now.members)
        if held is not None:
            return await self._join(runner, now.row, held)
        leader = self._leaders.get(group)
        if leader is not None and leader in self.queues[row.lane]:
            return False  # it is on its way
        self._leaders[group] = row.number
        if len(self._leaders) > LEADERS_MAX:
            queues = self.queues
            waiting = {g: n for g, n in self._leaders.items() if g[0] in queues and n in queues[g[0]]}
            self._leaders = waiting
        self._let_go(row)
        return True

    def _slot_of(self, group: Group, members: frozenset[IntentNumber]) -> AttemptRow | None:
        """The newest attempt of the group's open slot."""
        lane, desk = group[0], self.desk
        for nonce in desk.open_nonces(lane):
            rows = [desk.unsettled[h] for h in desk.hashes_of(lane, nonce)]
            numbers = [number for attempt in rows for number, _ in attempt.intents]
            known = [desk.intents[number] for number in numbers if number in desk.intents]
            if any(n in members for n in numbers) or any(group_of(row) == group for row in known):
                return rows[-1]
        return None

    async def _join(self, runner: LaneRunner, row: IntentRow, held: AttemptRow) -> bool:
        """Judge, sign and commit `row` for the nonce of the group's slot."""
        desk = self.desk
        is_used = desk.used_in(held.lane, held.nonce) is not None
        if is_used or not is_private(held.route) or held.kind is WriteKind.HOUSEKEEPING:
            return False  # it is on chain, or being filled: wait until that is final
        try:
            one = await self._judged(row, held)
            if isinstance(one, str):
                await self._end(runner, (row, IntentState.REFUSED, one, None))
                return True
            if not one.verdict.admitted:
                await self._end(runner, (row, IntentState.REFUSED, one.verdict.explanation, one))
                return True
            attempt = await self._committed(runner, one, held)
        except (AuthorityChangedError, SignerError, StaleError, ChainError) as cause:
            _log.info("alternative_put_off", intent=row.number, cause=str(cause))
            return False
        except LedgerError as error:
            if not nothing_was_stored(error):
                desk.reload_due = True
            raise
        finally:
            desk.unready()  # what was simulated is not the overlay
            desk.parts.gate.book.release()
        self._note(runner, one, attempt)
        return True

    async def _judged(self, row: IntentRow, held: AttemptRow) -> Judged | str:
        """The verdict upon what stands before the slot, or why there can be none."""
        desk = self.desk
        await desk.rebuild_overlay(before=held)
        await read_data_fees(desk, [row])
        work = BatchJudging(
            desk=desk,
            rows=[row],
            nonces={row.lane: held.nonce},
            dry=frozenset({row.lane}),  # it takes the place of others: nothing is put on top of it here
            fees=await desk.fee_quotes(),
            fee_cap_wei=desk.parts.gate.limits.max_fee_per_gas_wei,
            authority=desk.authority,
            gas=self._gas,
            now_s=desk.parts.clock.now_s(),
        )
        await desk.parts.simulator.drive(work, work.payloads_ahead())
        for _, cause in work.put_off:
            raise cause
        return work.judged[0] if work.judged else work.unjudgeable[0][1]

    async def _committed(self, runner: LaneRunner, one: Judged, held: AttemptRow) -> AttemptRow:
        desk, candidate, verdict = self.desk, one.candidate, one.verdict
        assert is_private(one.route), "alternatives ask for a private route"
        price = (candidate.max_fee_per_gas_wei, candidate.max_priority_fee_per_gas_wei)
        (signed,) = await runner.sign_in_turn([unsigned(candidate.payload, held.nonce, *price)])
        if not desk.in_force(verdict):
            raise StaleError("its verdict is not in force any more", str(runner.lane), "none needed")
        now_s, chain_id = desk.parts.clock.now_s(), runner.lane.chain_id

        def commit(tx: Transaction) -> AttemptRow:
            tx.lanes.require(runner.lane, runner.fence)
            tx.controls.require_epoch(desk.epoch)
            if not desk.parts.latch.admits(verdict.kind):
                raise AuthorityChangedError("authority changed", str(runner.lane), "resume to go on")
            known = desk.known_attempts
            if known is not None and tx.attempts.after(chain_id, known):
                raise StaleError("other kernels committed meanwhile", str(runner.lane), "none needed")
            if tx.intents.cancelled_among([candidate.number]):
                raise StaleError(f"intent #{candidate.number} was cancelled", str(runner.lane), "none needed")
            attempt = _store(tx, one, held, Hash(signed.hash), signed.raw, now_s)
            if known is not None:
                desk.known_attempts = tx.attempts.newest(chain_id)
            return attempt

        return await desk.parts.ledger.write(commit)

    def _note(self, runner: LaneRunner, one: Judged, attempt: AttemptRow) -> None:
        desk, row = self.desk, one.row
        desk.take(attempt, one.verdict, row.correlation_id, row)
        for later in desk.waiting(attempt.lane):
            if later.nonce > attempt.nonce:
                desk.verdicts.pop(later.number, None)
        desk.parts.gate.book.widen(attempt.lane, attempt.nonce, one.spends, desk.parts.clock.now_s())
        self._aside.pop(row.number, None)
        self.queues.done(row)
        runner.outbox.put(attempt)
        _log.info(
            "alternative_committed", intent=row.number, nonce=attempt.nonce, hash=hex_text(attempt.hash)
        )

    async def _end(self, runner: LaneRunner, ended: Ended) -> None:
        now_s = self.desk.parts.clock.now_s()

        def commit(tx: Transaction) -> None:
            tx.lanes.require(runner.lane, runner.fence)
            store_endings(tx, [ended], now_s)

        await self.desk.parts.ledger.write(commit)
        row, state, reason, _ = ended
        self._aside.pop(row.number, None)
        self.queues.done(row)
        self.desk.parts.metrics.ended(state)
        _log.info("intent_ended", intent=row.number, state=state, reason=reason)

    def _let_go(self, row: IntentRow) -> None:
        """Back into the queue."""
        self._aside.pop(row.number, None)
        self.queues.give_back([row])


def group_of(row: IntentRow) -> Group | None:
    routing = row.plan.routing
    name = routing.alternatives if routing is not None else ""
    return (row.lane, row.strategy, name) if name else None


@dataclass(frozen=True, slots=True)
class _Now:
    """What the ledger says of a group."""

    row: IntentRow
    members: frozenset[IntentNumber]
    landed: IntentNumber | None


def _look(tx: Transaction, row: IntentRow) -> _Now:
    group = group_of(row)
    members = [one for one in tx.intents.listing(GROUP_LOOK, strategy=row.strategy) if group_of(one) == group]
    landed = next((one.number for one in members if one.state is IntentState.LANDED), None)
    return _Now(tx.intents.get(row.number), frozenset(one.number for one in members), landed)


def _store(
    tx: Transaction, one: Judged, held: AttemptRow, signed_hash: Hash, raw: bytes, now_s: int
) -> AttemptRow:
    """A further attempt of the slot, for another intent; what it may take is reserved beside the others', of
    which the largest counts."""
    candidate, row = one.candidate, one.row
    slot = tx.slots.get(held.lane, held.nonce)
    assert slot is not None, "an attempt stands on its slot"
    tx.intents.count_candidate(row.number)
    attempt = tx.attempts.insert(
        slot, signed_hash, raw, candidate.payload, one.verdict.payload_digest, one.verdict.kind,
        candidate.max_fee_per_gas_wei, candidate.max_priority_fee_per_gas_wei, one.route,
        tx.verdicts.insert(one.verdict, now_s), [(row.number, 0)], now_s,
    )  # fmt: skip
    for token, amount in one.spends.items():
        tx.reservations.insert(attempt, token, amount)
        tx.spends.add(held.lane, attempt.number, token, amount, now_s)
    tx.intents.set_state(row.number, IntentState.COMMITTED, "", None, now_s)
    tx.intents.set_profit(row.number, one.verdict.predicted_wei, None)
    data: EventData = {"hash": hex_text(attempt.hash), "nonce": attempt.nonce, "beside": hex_text(held.hash)}
    tx.events.append("intent.committed", held.lane.chain_id, row.strategy, row.number, data, now_s)
    return attempt
