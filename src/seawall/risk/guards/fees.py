"""What a transaction may cost in gas and fees, and what its key keeps."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX, GAS_USE_BPS_MAX
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, above, below, cannot_measure

__all__ = [
    "Balance",
    "GasPrice",
    "GasUse",
]


@dataclass(frozen=True, slots=True)
class GasPrice:
    """The most we would pay per gas, against the cap."""

    limit_wei: int
    name: str = "gas_price"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        return below(
            self.name,
            evidence,
            evidence.candidate.ceiling_fee_per_gas_wei,
            self.limit_wei,
            "wei per gas",
            "the fee ceiling",
        )


@dataclass(frozen=True, slots=True)
class GasUse:
    """The payload's gas limit, against 80 % of the lower of block and transaction limit (EIP-7825)."""

    name: str = "gas_use"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        room = min(evidence.candidate.base.gas_limit, GAS_LIMIT_TRANSACTION_MAX)
        limit = room * GAS_USE_BPS_MAX // BPS
        return below(self.name, evidence, evidence.candidate.payload.gas_limit, limit, "gas", "the gas limit")


@dataclass(frozen=True, slots=True)
class Balance:
    """The key's native balance after the transaction and its maximum fee, and after what those before it take
    for their data."""

    min_wei: int
    name: str = "balance"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        balance = evidence.simulation.sender_balance_wei
        if balance is None:
            return cannot_measure(
                self.name, evidence, self.min_wei, "wei", "the simulation did not report the key's balance"
            )
        # The simulation paid the first fee for the gas used; replacements may pay the ceiling for all of it.
        candidate = evidence.candidate
        paid_wei = evidence.simulation.gas_used * candidate.max_fee_per_gas_wei
        least = balance - max(0, candidate.max_total_fee_wei - paid_wei) - evidence.owed_wei
        return above(
            self.name, evidence, least, self.min_wei, "wei", "the key's balance, after the maximum fee, of"
        )
