"""Keeps the queues in memory what the ledger says, and ends what may wait no more.

Before each batch: what rested long enough is ready again, what is overdue expires, what depends on something
that is there now is ready, and what depends on something that will never be there ends. Every `RECONCILE_S`
the ledger is asked how many wait; where that differs (an intent accepted or cancelled by another process),
the lane's queue is read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import Ending, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import QUEUED_PER_LANE_MAX
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Hash
from seawall.telemetry.logs import correlated, get_logger
from seawall.transactions.batches import Judged
from seawall.transactions.desk import Desk
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.moving import stay_committed, with_open_slots
from seawall.transactions.queue import Queues
from seawall.transactions.suspects import is_included

__all__ = ["Ended", "Waiting", "store_endings"]

RECONCILE_S: Final = 1.0
# Of those that wait for others, looked at per lane and head.
BLOCKED_LOOK: Final = 256
OVERDUE_MAX: Final = 256  # ended in one ledger transaction, per lane
_NEVER_S: Final = float("-inf")
_OVERDUE: Final = "its deadline passed before it could be judged"
_log = get_logger(__name__)

Ended = tuple[IntentRow, IntentState, str, Judged | None]
"""An intent, its outcome, why, and the verdict behind it if there is one."""


@dataclass(slots=True)
class Waiting:
    desk: Desk
    queues: Queues
    _reconciled_s: float = _NEVER_S
    _looked_at: Hash | None = None  # the head at which dependencies were looked at

    def reconcile_soon(self) -> None:
        """Something that this process did not do moved queued intents: every queue is read anew."""
        self._reconciled_s = _NEVER_S

    async def tidy(self, runners: Mapping[Lane, LaneRunner]) -> bool:
        """True if something ended or became ready."""
        held = [lane for lane, runner in runners.items() if runner.fence > 0]
        await self._follow(held)
        monotonic_s, now_s = self.desk.parts.clock.monotonic_s(), self.desk.parts.clock.now_s()
        ended: list[Ended] = []
        for lane in held:
            queue = self.queues[lane]
            queue.wake(monotonic_s)
            ended += [
                (row, IntentState.EXPIRED, queue.cause_of(row.number) or _OVERDUE, None)
                for row in queue.overdue(now_s, OVERDUE_MAX)
            ]
        freed = await self._look_at_dependencies(held, ended)
        if ended:
            await self._end(ended, {lane: runners[lane].fence for lane in held}, now_s)
        return freed or bool(ended)

    async def _follow(self, held: Sequence[Lane]) -> None:
        """Queues for the lanes that are held, equal to the ledger's."""
        for lane in set(self.queues.lanes) - set(held):
            self.queues.close(lane)
        monotonic_s = self.desk.parts.clock.monotonic_s()
        missing = [lane for lane in held if lane not in self.queues]
        if not missing and monotonic_s - self._reconciled_s < RECONCILE_S:
            return
        for lane in missing:
            self.queues.open(lane)

        chain_id, is_forced = self.desk.parts.network.chain_id, self._reconciled_s == _NEVER_S
        ledger = self.desk.parts.ledger
        counts, asked, newest = await ledger.read(
            lambda tx: (tx.intents.queued_counts(chain_id), tx.intents.cancel_asked(chain_id), _newest(tx))
        )
        differ = [
            lane
            for lane in held
            if is_forced or lane in asked or counts.get(lane, 0) != self.queues[lane].count(newest)
        ]
        if differ:
            rows, newest = await ledger.read(
                lambda tx: (
                    {lane: tx.intents.queued(lane, QUEUED_PER_LANE_MAX) for lane in differ},
                    _newest(tx),
                )
            )
            for lane in differ:
                self.queues[lane].reconcile(rows[lane], newest)
        self._reconciled_s = monotonic_s

    async def _look_at_dependencies(self, held: Sequence[Lane], ended: list[Ended]) -> bool:
        """Once a head: whose dependencies are there, and whose never will be. Cancelled ones end too."""
        head = self.desk.base().hash
        rows = [row for lane in held for row in self.queues[lane].cancelled()]
        ended += [(row, IntentState.CANCELLED, row.cancel_reason or "", None) for row in rows]
        if self._looked_at == head:
            return False
        blocked = [row for lane in held for row in self.queues[lane].blocked(BLOCKED_LOOK)]
        if blocked:
            found = await self.desk.parts.ledger.read(lambda tx: [_standing_of(tx, row) for row in blocked])
        else:
            found = []
        freed = False
        for row, (is_met, why) in zip(blocked, found, strict=True):
            if is_met:
                self.queues[row.lane].unblock(row.number)
                freed = True
            elif why and row.cancel_reason is None:
                ended.append((row, IntentState.CANCELLED, why, None))
        self._looked_at = head
        return freed

    async def _end(self, ended: list[Ended], fences: Mapping[Lane, int], now_s: int) -> None:
        def commit(tx: Transaction) -> list[Ended]:
            for lane in {row.lane for row, *_ in ended}:
                tx.lanes.require(lane, fences[lane])
            return store_endings(tx, ended, now_s)

        ended = list({one[0].number: one for one in reversed(ended)}.values())
        told = await self.desk.parts.ledger.write(commit)
        for row, *_ in ended:
            self.queues.done(row)
        for row, state, why, _ in told:
            self.desk.parts.metrics.ended(state)
            with correlated(row.correlation_id):
                _log.info("intent_ended", intent=row.number, state=state, reason=why)


def _newest(tx: Transaction) -> int:
    """The highest number that an intent had at this moment."""
    return max((row.number for row in tx.intents.listing(1)), default=0)


def store_endings(tx: Transaction, ended: Sequence[Ended], now_s: int) -> list[Ended]:
    """Outcomes of queued intents, their verdicts and the events that tell of them; answers those that ended.
    What is not queued any more was ended or committed by a commit that came in doubt: it is told once."""
    if not ended:
        return []
    present = tx.intents.get_many([row.number for row, *_ in ended])
    queued = {row.number for row in present if row.state is IntentState.QUEUED}
    ended = [one for one in ended if one[0].number in queued]
    # What had a nonce before, and bytes of it may still land: its slots decide how it ends.
    tried = with_open_slots(tx, [row.number for row in present if row.candidates and row.number in queued])
    if tried:
        stay_committed(tx, [(row, why) for row, _, why, _ in ended if row.number in tried], now_s)
        ended = [one for one in ended if one[0].number not in tried]
    judged = [(row, one) for row, _, _, one in ended if one is not None]
    if judged:
        tx.intents.counted_many([row.number for row, _ in judged])
    for row, one in judged:
        tx.verdicts.insert(one.verdict, now_s)
        tx.intents.set_profit(row.number, one.verdict.predicted_wei, None)
    tx.intents.end_many([Ending(row.number, state, why, None, None) for row, state, why, _ in ended], now_s)
    tx.events.append_many(
        [
            NewEvent(f"intent.{state}", row.lane.chain_id, row.strategy, row.number, {"reason": why})
            for row, state, why, _ in ended
        ],
        now_s,
    )
    return ended


def _standing_of(tx: Transaction, row: IntentRow) -> tuple[bool, str]:
    """Whether everything it depends on is there at the finality it asks for; else why it never will be, or
    nothing."""
    is_met = True
    for key in row.plan.depends_on:
        needed = tx.intents.find(row.strategy, key)
        if needed is None:
            is_met = False
        elif needed.state is not IntentState.LANDED:
            if needed.state.is_outcome and needed.is_settled:
                return False, f"intent #{needed.number} ({key!r}), on which it depends, is {needed.state}"
            is_met = is_met and is_included(tx, needed.number, row.plan.depends_finality)
    return is_met, ""
