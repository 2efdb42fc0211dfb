"""Intake: a decision's plans, new state and timers become durable in one commit, or not at all.

What it took in is offered to the queues of the lanes that this kernel holds. A lane in which too much waits
takes no more (back-pressure): the decision is refused as a whole, and whoever made it may decide again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from seawall.ledger import Ledger
from seawall.ledger.rows import IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import (
    PLANS_PER_DECISION_MAX,
    QUEUED_PER_LANE_MAX,
    RETRIES_MAX,
    STATE_BYTES_MAX,
    TIME_S_MAX,
    TIMERS_PER_STRATEGY_MAX,
)
from seawall.primitives.codec import plan_digest
from seawall.primitives.errors import BackPressureError, PlanError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Decision
from seawall.primitives.plans import Plan
from seawall.primitives.ports import Clock, Entropy
from seawall.primitives.units import Address, address_text
from seawall.risk.guards.catalogue import guards_of
from seawall.risk.limits import RiskLimits
from seawall.transactions.queue import Queues

__all__ = ["Intake"]

_CORRELATION_BYTES = 8


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes decisions into one ledger. `lanes` are those this kernel was configured with."""

    ledger: Ledger
    clock: Clock
    entropy: Entropy
    lanes: Collection[Lane]
    queues: Queues = field(default_factory=Queues)
    # Lanes whose keys are being retired, with their successors; whoever knows of one adds it.
    retired: dict[Lane, Address] = field(default_factory=dict)

    async def accept(
        self, decision: Decision, correlation_id: str = "", also: Callable[[Transaction], None] | None = None
    ) -> list[IntentRow]:
        """Commit the decision, and `also` with it, and return its intents, new and already known alike.

        Raises `PlanError` for a plan no lane of ours can carry, `IdempotencyConflictError` for a key used
        before for another plan, `BackPressureError` where a lane is full, `StateVersionError` if the state
        moved meanwhile. After an error nothing of it is stored."""
        self._check(decision)
        correlation_id = correlation_id or self.entropy.token(_CORRELATION_BYTES).hex()
        plans = [(plan, plan_digest(plan)) for plan in decision.plans]
        now_s = self.clock.now_s()

        def commit(tx: Transaction) -> list[IntentRow]:
            if decision.state is not None:
                tx.states.compare_and_set(decision.strategy, decision.state_version, decision.state)
            if decision.timers is not None:
                tx.timers.replace(decision.strategy, decision.timers)
            _require_retries(tx, decision)
            accepted = tx.intents.accept_many(plans, correlation_id, now_s)
            fresh = [one.intent for one in accepted if one.created]
            self._require_kept(fresh)
            self._require_room(tx, fresh)
            tx.events.append_many([_accepted(row) for row in fresh], now_s)
            if also is not None:
                also(tx)
            return [one.intent for one in accepted]

        rows = await self.ledger.write(commit)
        self.queues.offer(row for row in rows if row.state is IntentState.QUEUED)
        return rows

    def _require_kept(self, fresh: list[IntentRow]) -> None:
        """Who says a plan again that was taken in before is answered as ever: sent to the successor too, its
        effect would come twice."""
        for row in fresh if self.retired else ():
            successor = self.retired.get(row.lane)
            if successor is not None:
                raise PlanError(
                    f"the key {address_text(row.lane.key)} is retired and takes nothing new",
                    f"plan {row.plan.idempotency_key!r} of {row.strategy!r}",
                    f"use its successor {address_text(successor)}",
                )

    def _require_room(self, tx: Transaction, fresh: list[IntentRow]) -> None:
        """Waiting intents are counted in memory where the lane is ours and far from full, else in the ledger:
        what was accepted a moment ago is not in memory yet. This runs in the ledger's thread."""
        for key, count in Counter([(row.plan.chain_id, row.plan.key) for row in fresh]).items():
            lane = Lane(*key)
            queue = self.queues.get(lane)
            if queue is not None and len(queue) + count <= QUEUED_PER_LANE_MAX // 2:
                continue
            waiting = tx.intents.queued_counts(lane.chain_id).get(lane, 0)
            if waiting > QUEUED_PER_LANE_MAX:
                raise BackPressureError(
                    f"{waiting} intents would wait, more than {QUEUED_PER_LANE_MAX}",
                    f"lane {lane}",
                    "submit it again when fewer wait, under the same key",
                )

    def _check(self, decision: Decision) -> None:
        where = f"decision {decision.seq} of {decision.strategy!r}"
        if len(decision.plans) > PLANS_PER_DECISION_MAX:
            raise PlanError(
                f"{len(decision.plans)} plans exceed {PLANS_PER_DECISION_MAX}",
                where,
                "spread them over decisions",
            )
        if decision.state is not None and len(decision.state) > STATE_BYTES_MAX:
            raise PlanError(
                f"state of {len(decision.state)} bytes exceeds {STATE_BYTES_MAX}",
                where,
                "store only what cannot be rebuilt",
            )
        if decision.timers is not None and len(decision.timers) > TIMERS_PER_STRATEGY_MAX:
            raise PlanError(f"more than {TIMERS_PER_STRATEGY_MAX} timers", where, "replace timers by name")
        moments = [timer.at_s for timer in decision.timers or ()]
        if any(not 0 <= moment <= TIME_S_MAX for moment in (decision.state_version, *moments)):
            what = f"a state version or a timer is outside 0..{TIME_S_MAX}"
            raise PlanError(what, where, "give times in UTC seconds and the version that was observed")
        for plan in decision.plans:
            self._check_plan(plan, decision.strategy, where)

    def _check_plan(self, plan: Plan, strategy: str, where: str) -> None:
        if plan.strategy != strategy:
            raise PlanError(
                f"a plan names strategy {plan.strategy!r}", where, "a strategy may speak for itself only"
            )
        if Lane(plan.chain_id, plan.key) not in self.lanes:
            what = f"no lane for key {address_text(plan.key)} on chain {plan.chain_id}"
            raise PlanError(what, where, "configure a signer with this address on this chain")
        if plan.guards:  # what cannot be judged is not taken in
            for guard in guards_of(plan, RiskLimits()):
                guard.probes()


def _accepted(row: IntentRow) -> NewEvent:
    plan = row.plan
    data = {"strategy": plan.strategy, "key": plan.idempotency_key, "note": plan.note}
    return NewEvent("intent.accepted", plan.chain_id, plan.strategy, row.number, data)


def _require_retries(tx: Transaction, decision: Decision) -> None:
    """A retry follows a plan that ended without its effect, and only so often (TX-2)."""
    for plan in decision.plans:
        where = f"plan {plan.idempotency_key!r} of {plan.strategy!r}"
        retried, tries = plan.retry_of, 0
        while retried:
            tries += 1
            earlier = tx.intents.find(plan.strategy, retried)
            if earlier is None:
                raise PlanError(
                    f"it retries {retried!r}, which is not known", where, "name the plan that failed"
                )
            if tries == 1 and (not earlier.is_settled or earlier.state is IntentState.LANDED):
                what = f"it retries intent #{earlier.number}, which is {earlier.state}"
                raise PlanError(what, where, "wait until it has ended without its effect, beyond finality")
            if tries > RETRIES_MAX:
                raise PlanError(
                    f"more than {RETRIES_MAX} retries of one effect",
                    where,
                    "find out why it keeps failing first",
                )
            retried = earlier.plan.retry_of
