"""Intake: a decision's plans, new state and timers become durable in one commit, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from seawall.ledger import Ledger
from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import (
    PLANS_PER_DECISION_MAX,
    STATE_BYTES_MAX,
    TIME_S_MAX,
    TIMERS_PER_STRATEGY_MAX,
)
from seawall.primitives.codec import plan_digest
from seawall.primitives.errors import PlanError
from seawall.primitives.identifiers import Lane
from seawall.primitives.observations import Decision
from seawall.primitives.plans import Plan
from seawall.primitives.ports import Clock, Entropy
from seawall.primitives.units import address_text
from seawall.risk.guards.catalogue import guards_of
from seawall.risk.limits import RiskLimits

__all__ = ["Intake"]

_CORRELATION_BYTES = 8


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes decisions into one ledger. `lanes` are those this kernel was configured with."""

    ledger: Ledger
    clock: Clock
    entropy: Entropy
    lanes: Collection[Lane]

    async def accept(
        self, decision: Decision, correlation_id: str = "", also: Callable[[Transaction], None] | None = None
    ) -> list[IntentRow]:
        """Commit the decision, and `also` with it, and return its intents, new and already known alike.

        Raises `PlanError` for a plan no lane of ours can carry, `IdempotencyConflictError` for a key used
        before for another plan, `StateVersionError` if the state moved meanwhile. After an error nothing of
        it is stored."""
        self._check(decision)
        correlation_id = correlation_id or self.entropy.token(_CORRELATION_BYTES).hex()
        digests = [plan_digest(plan) for plan in decision.plans]
        now_s = self.clock.now_s()

        def commit(tx: Transaction) -> list[IntentRow]:
            if decision.state is not None:
                tx.states.compare_and_set(decision.strategy, decision.state_version, decision.state)
            if decision.timers is not None:
                tx.timers.replace(decision.strategy, decision.timers)
            rows = []
            for plan, digest in zip(decision.plans, digests, strict=True):
                accepted = tx.intents.accept(plan, digest, correlation_id, now_s)
                if accepted.created:
                    data: dict[str, str | int | bool | None] = {
                        "strategy": plan.strategy,
                        "key": plan.idempotency_key,
                        "note": plan.note,
                    }
                    tx.events.append(
                        "intent.accepted", plan.chain_id, plan.strategy, accepted.intent.number, data, now_s
                    )
                rows.append(accepted.intent)
            if also is not None:
                also(tx)
            return rows

        return await self.ledger.write(commit)

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
        for guard in guards_of(plan, RiskLimits()):  # what cannot be judged is not taken in
            guard.probes()
