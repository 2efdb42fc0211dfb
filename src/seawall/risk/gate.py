"""The gate: evidence in, verdict out. Pure; never signs, reads or writes.

A verdict lists every guard with its measured value, limit and margin. The first finding is always the
simulation itself: what reverts is refused with its reason, whatever the guards say. Under REDUCE_ONLY the
rule of CT-4 is judged as well, and an admitted verdict is of the reducing kind, which the latch lets pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import attrgetter
from typing import Final

from seawall.primitives.codec import payload_digest
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Candidate, Measurement, Verdict
from seawall.risk.evidence import Evidence, actors_of, holders_of
from seawall.risk.guards.base import Comparing, Guard
from seawall.risk.guards.catalogue import guards_of, silent_of
from seawall.risk.layers import Layer, effective
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.risk.spending import SpendBook

__all__ = ["Gate", "Rules"]

_passed: Final = attrgetter("passed")
# Sets of guards kept: plans of a strategy mostly ask for the same ones.
_GUARD_SETS_MAX: Final = 256
_BASES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class Rules:
    """By what plans of one kind are judged."""

    limits: RiskLimits
    guards: tuple[Guard, ...]
    probes: tuple[Probe, ...]
    before: tuple[Probe, ...]


@dataclass(frozen=True, slots=True)
class Gate:
    """Limits and facts of one chain, ready to judge."""

    limits: RiskLimits
    ours: OurAddresses
    reduce: ReduceRule
    book: SpendBook = field(default_factory=SpendBook, compare=False, repr=False)
    layers: tuple[Layer, ...] = ()  # the wider first
    own: tuple[Guard, ...] = ()  # the operator's own guards, of every plan
    _sets: dict[object, Rules] = field(default_factory=dict, compare=False, repr=False)

    def probes(self, candidate: Candidate, authority: Authority) -> tuple[Probe, ...]:
        """View calls that the verdict will need on the state after."""
        probes = self.rules_of(candidate.plan).probes
        if authority is Authority.RUN:
            return probes
        return _unique((*probes, *self._of_reducing(candidate)))

    def probes_before(self, candidate: Candidate, authority: Authority) -> tuple[Probe, ...]:
        """View calls that it will need on the state before as well: most plans need none."""
        before = self.rules_of(candidate.plan).before
        if authority is not Authority.REDUCE_ONLY:
            return before
        return _unique((*before, *self._of_reducing(candidate)))

    def _of_reducing(self, candidate: Candidate) -> tuple[Probe, ...]:
        return self.reduce.probes(holders_of(candidate, self.ours), actors_of(candidate))

    def judge(self, evidence: Evidence, authority: Authority, rules: Rules | None = None) -> Verdict:
        """The verdict on exactly `evidence.candidate.payload`; `rules`, where they are at hand, are those of
        its plan."""
        candidate, simulation = evidence.candidate, evidence.simulation
        if rules is None:
            rules = self.rules_of(candidate.plan)
        if self.layers and evidence.limits is not rules.limits:
            evidence = replace(evidence, limits=rules.limits)
        limits, base = evidence.limits, candidate.base
        findings = [_simulation_finding(evidence)]
        if simulation.success:
            findings += [guard.measure(evidence) for guard in rules.guards]
        kind = WriteKind.PLAN
        if authority is Authority.HALT:
            findings.append(_halted(evidence))
        elif authority is Authority.REDUCE_ONLY:
            kind = WriteKind.REDUCING
            if simulation.success:
                findings += self.reduce.measure(evidence)
        inflow = evidence.inflow() if simulation.success else None
        max_total_fee_wei = candidate.max_total_fee_wei
        expected_gas = simulation.gas_used + candidate.data_gas
        expected_fee_wei = expected_gas * candidate.expected_fee_per_gas_wei + candidate.data_fee_wei
        valid_until_block = base.number + limits.validity_blocks
        valid_until_s = min(evidence.now_s + limits.validity_s, candidate.plan.deadline_s)
        predicted_wei = None if inflow is None else inflow - expected_fee_wei
        predicted_floor_wei = None if inflow is None else inflow - max_total_fee_wei
        gas_used = simulation.gas_used if simulation.success else None
        # By position: given by name, so many fields take four times as long.
        return Verdict(
            candidate.number,
            candidate.attempt_number,
            candidate.plan_digest,
            payload_digest(candidate.payload),
            base.number,
            base.hash,
            simulation.overlay_digest,
            valid_until_block,
            valid_until_s,
            max_total_fee_wei,
            expected_fee_wei,
            kind,
            all(map(_passed, findings)),
            tuple(findings),
            predicted_wei,
            predicted_floor_wei,
            gas_used,
        )

    def rules_of(self, plan: Plan) -> Rules:
        """Chosen once for all plans of a kind."""
        body, own = plan.body, None
        if not isinstance(body, DirectBody):
            own = (body.executor, body.beneficiary, body.min_profit_wei, body.position)
        holding: tuple[int, ...] = ()
        if self.layers:
            holding = tuple([place for place, layer in enumerate(self.layers) if layer.holds(plan)])
        kind = (plan.key, plan.guards, own, holding, silent_of(plan, self.limits.facts))
        found = self._sets.get(kind)
        if found is None:
            layers = [self.layers[place] for place in holding]
            limits = effective(self.limits, layers).limits if layers else self.limits
            guards = (*guards_of(plan, limits, self.ours.holders), *self.own)
            found = Rules(
                limits,
                guards,
                _unique([probe for guard in guards for probe in guard.probes()]),
                _unique([p for guard in guards if isinstance(guard, Comparing) for p in guard.before()]),
            )
            if len(self._sets) >= _GUARD_SETS_MAX:
                self._sets.clear()
            self._sets[kind] = found
        return found


def _unique(probes: Iterable[Probe]) -> tuple[Probe, ...]:
    return tuple({probe.label: probe for probe in probes}.values())


def _simulation_finding(evidence: Evidence) -> Measurement:
    simulation = evidence.simulation
    if simulation.success:
        return _runs(simulation.base_hash)
    reason = f"it would revert: {simulation.reason}"
    return Measurement("simulation", 0, 1, -1, "success", False, simulation.base_hash, reason)


@lru_cache(_BASES_MAX)
def _runs(base_hash: Hash) -> Measurement:
    reason = "the exact payload runs on the pinned block"
    return Measurement("simulation", 1, 1, 0, "success", True, base_hash, reason)


def _halted(evidence: Evidence) -> Measurement:
    return Measurement(
        "authority",
        0,
        1,
        -1,
        "authority",
        False,
        evidence.simulation.base_hash,
        "HALT is in force: nothing is signed",
    )
