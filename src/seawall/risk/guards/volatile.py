"""A guard whose limit follows volatility: the static limit in calm, a share of it when prices move."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, cannot_measure
from seawall.risk.guards.base import Comparing, Guard, probes_of
from seawall.risk.volatility import VolatilityRule, moves_of, reads, share_of

__all__ = ["Scalable", "Volatile"]


class Scalable(Guard, Protocol):
    """A guard whose limit can shrink."""

    def scaled(self, share_bps: int) -> Guard:
        """The same guard with `share_bps` of its limit, never a looser one."""
        ...


@dataclass(frozen=True, slots=True)
class Volatile:
    """Judges by `guard`, with as much of its limit as the rule leaves at this block."""

    guard: Scalable
    rule: VolatilityRule

    @property
    def name(self) -> str:
        return self.guard.name

    def probes(self) -> tuple[Probe, ...]:
        return (*self.guard.probes(), *probes_of(reads(self.rule)))

    def before(self) -> tuple[Probe, ...]:
        return self.guard.before() if isinstance(self.guard, Comparing) else ()

    def measure(self, evidence: Evidence) -> Measurement:
        try:
            share_bps = share_of(self.rule, moves_of(self.rule, evidence.simulation.probes))
        except ProtocolError as error:
            static = self.guard.measure(evidence)
            why = f"how much prices move: {error.where}: {error.what}"
            return cannot_measure(self.name, evidence, static.limit, static.unit, why)
        if share_bps == BPS:
            return self.guard.measure(evidence)
        found = self.guard.scaled(share_bps).measure(evidence)
        return replace(found, reason=f"{found.reason}, {share_bps} bps of the static one while prices move")
