"""What a plan must gain."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.simulations import Probe
from seawall.primitives.units import address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, above, cannot_measure

__all__ = [
    "MinProfit",
]


@dataclass(frozen=True, slots=True)
class MinProfit:
    """Profit at the maximum fee, in the accounting token. Judged at the ceiling, so that no replacement can
    lose."""

    min_wei: int
    name: str = "min_profit"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        inflow = evidence.inflow()
        if inflow is None:
            token = address_text(evidence.candidate.plan.accounting_token)
            return cannot_measure(
                self.name, evidence, self.min_wei, "wei", f"no pinned feed compares {token} with the fee"
            )
        floor = inflow - evidence.candidate.max_total_fee_wei
        return above(self.name, evidence, floor, self.min_wei, "wei", "profit, after the maximum fee, of")
