"""What a sandwich could take from a public plan: what it expects less what the chain enforces for it.

Of an executor plan the chain enforces its minimum profit over the maximum fee and its bounds; of a direct
plan nothing that can be read from outside, so that all that it gains may be taken. Wrapping is no gain:
native and wrapped native count 1:1. What goes privately, with no way back into the public pool, shows
nothing to anybody; a relay that leaks is not judged here.

A refusal has two ways out: a private route, or tighter bounds and a higher minimum profit.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from seawall.primitives.plans import ExecutorBody
from seawall.primitives.routes import Routing, Unlanded
from seawall.primitives.simulations import Probe
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below, cannot_measure
from seawall.risk.guards.base import measured
from seawall.risk.limits import ChainFacts
from seawall.risk.prices import value_probes, valued
from seawall.risk.volatility import scaled_down

__all__ = ["MevExposure"]

_ADVICE: Final = "send it privately or bound it tighter; a sandwich could take, by oracle,"


@dataclass(frozen=True, slots=True)
class MevExposure:
    """The value of the room between what a public plan expects and what the chain enforces."""

    limit: int  # [value]
    facts: ChainFacts
    name: str = "mev_exposure"

    def probes(self) -> tuple[Probe, ...]:
        return value_probes(self.facts)

    def scaled(self, share_bps: int) -> MevExposure:
        return MevExposure(scaled_down(self.limit, share_bps), self.facts)

    def measure(self, evidence: Evidence) -> Measurement:
        plan = evidence.candidate.plan
        routing = plan.routing or Routing()
        is_private = routing.private or plan.key in self.facts.private_keys
        if is_private and routing.unlanded is not Unlanded.PUBLIC:
            return below(self.name, evidence, 0, self.limit, "value", "it goes privately, and exposes")

        def judge() -> Measurement:
            total = 0
            for token, room in sorted(self._rooms(evidence).items()):
                value = valued(evidence, self.facts, token, room, up=True)
                if value is None:
                    which = "the native token" if token == NATIVE else address_text(token)
                    why = f"no fresh price for {which}, of which {room} could be taken"
                    return cannot_measure(self.name, evidence, self.limit, "value", why)
                total += value
            what = _ADVICE if total > self.limit else "a sandwich could take, by oracle,"
            return below(self.name, evidence, total, self.limit, "value", what)

        return measured(self.name, evidence, self.limit, "value", judge)

    def _rooms(self, evidence: Evidence) -> dict[Address, int]:
        """By token, what could be taken without the chain refusing the plan; only what is above zero."""
        body = evidence.candidate.plan.body
        changes: dict[Address, int] = defaultdict(int)
        for flow in evidence.simulation.flows:
            moved = flow.amount * ((flow.receiver in evidence.holders) - (flow.sender in evidence.holders))
            changes[NATIVE if evidence.is_native_like(flow.token) else flow.token] += moved
        if not isinstance(body, ExecutorBody):
            return {token: change for token, change in changes.items() if change > 0}
        rooms = self._bounded(evidence, body, changes)
        if not body.position:
            inflow = evidence.inflow()
            enforced = body.min_profit_wei + evidence.candidate.max_total_fee_wei
            rooms[NATIVE] = changes[NATIVE] if inflow is None else inflow - enforced
        return {token: room for token, room in rooms.items() if room > 0}

    def _bounded(
        self, evidence: Evidence, body: ExecutorBody, changes: dict[Address, int]
    ) -> dict[Address, int]:
        """What the plan's bounds leave open, by token."""
        # Each bound is held by itself: of several on one token the tightest counts.
        tightest: dict[tuple[Address, str], int] = {}
        for bound in body.bounds:
            held = tightest.get((bound.token, bound.kind), bound.amount)
            tighter = max if bound.kind == "inflow" else min
            tightest[bound.token, bound.kind] = tighter(held, bound.amount)
        bounds: dict[tuple[Address, str], int] = defaultdict(int)
        for (token, kind), amount in tightest.items():
            bounds[NATIVE if evidence.is_native_like(token) else token, kind] += amount
        rooms: dict[Address, int] = {}
        for token in {*changes, *(token for token, _ in bounds)}:
            change = changes.get(token, 0)
            if token in self.facts.debts:
                rooms[token] = bounds.get((token, "debt_increase"), 0) - change
            elif change > 0:
                rooms[token] = change - bounds.get((token, "inflow"), 0)
            else:
                rooms[token] = bounds.get((token, "outflow"), 0) + change
        return rooms
