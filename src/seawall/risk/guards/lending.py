"""How far our positions are from liquidation, after the plan.

A plan asks for what it wants to reach, and that is judged strictly. The operator's own limit admits a plan
that leaves the position no worse than it found it, for otherwise nothing could rescue a position that is
outside of the limit already.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS, Address, address_text, ceil_div
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, above, below, cannot_measure
from seawall.risk.guards.base import measured, probes_of
from seawall.risk.lending import WAD, LendingPlace, Standing
from seawall.risk.volatility import scaled_down

__all__ = ["HealthFactor", "LoanToValue"]


@dataclass(frozen=True, slots=True)
class HealthFactor:
    """The health factor of one of our addresses at one place."""

    place: LendingPlace
    holder: Address
    floor_wad: int  # the operator's: at least this, or no lower than before
    asked_wad: int = 0  # the plan's: at least this
    name: str = "health_factor"

    def probes(self) -> tuple[Probe, ...]:
        return probes_of(self.place.reads(self.holder))

    def before(self) -> tuple[Probe, ...]:
        return self.probes()

    def scaled(self, share_bps: int) -> HealthFactor:
        """What stands above 1 grows as other limits shrink."""
        above_wad = max(0, self.floor_wad - WAD)
        floor = self.floor_wad + ceil_div(above_wad * BPS, share_bps) - above_wad
        return HealthFactor(self.place, self.holder, floor, self.asked_wad)

    def measure(self, evidence: Evidence) -> Measurement:
        limit = max(self.floor_wad, self.asked_wad)

        def judge() -> Measurement:
            if self.holder not in evidence.holders:
                why = f"{address_text(self.holder)} is no address of ours"
                return cannot_measure(self.name, evidence, limit, "wad", why)
            before, after = _standings(self.place, self.holder, evidence)
            floor = self.floor_wad if before is None else min(self.floor_wad, before.health_factor_wad)
            what = f"the health factor of {address_text(self.holder)} at {self.place.label}, of"
            found = after.health_factor_wad
            return above(self.name, evidence, found, max(floor, self.asked_wad), "wad", what)

        return measured(self.name, evidence, limit, "wad", judge)


@dataclass(frozen=True, slots=True)
class LoanToValue:
    """Debt against collateral of one of our addresses at one place."""

    place: LendingPlace
    holder: Address
    cap_bps: int  # the operator's: at most this, or no higher than before
    asked_bps: int | None = None  # the plan's: at most this
    name: str = "ltv"

    def probes(self) -> tuple[Probe, ...]:
        return probes_of(self.place.reads(self.holder))

    def before(self) -> tuple[Probe, ...]:
        return self.probes()

    def scaled(self, share_bps: int) -> LoanToValue:
        cap, asked = scaled_down(self.cap_bps, share_bps), self.asked_bps
        return LoanToValue(self.place, self.holder, cap, None if asked is None else min(asked, cap))

    def measure(self, evidence: Evidence) -> Measurement:
        limit = self.cap_bps if self.asked_bps is None else min(self.cap_bps, self.asked_bps)

        def judge() -> Measurement:
            if self.holder not in evidence.holders:
                why = f"{address_text(self.holder)} is no address of ours"
                return cannot_measure(self.name, evidence, limit, "bps", why)
            before, after = _standings(self.place, self.holder, evidence)
            cap = self.cap_bps if before is None else max(self.cap_bps, before.loan_to_value_bps)
            cap = cap if self.asked_bps is None else min(cap, self.asked_bps)
            what = f"the loan of {address_text(self.holder)} at {self.place.label}, to its value,"
            return below(self.name, evidence, after.loan_to_value_bps, cap, "bps", what)

        return measured(self.name, evidence, limit, "bps", judge)


def _standings(place: LendingPlace, holder: Address, evidence: Evidence) -> tuple[Standing | None, Standing]:
    """Before, where that can be told (a place may have been entered just now), and after."""
    simulation = evidence.simulation
    # Both states are executed with the time of the block to come, and accrue to it.
    at_s = max(evidence.candidate.base.timestamp_s, evidence.now_s)
    after = place.standing(simulation.probes, holder, at_s)
    try:
        return place.standing(simulation.probes_before, holder, at_s), after
    except ProtocolError:
        return None, after
