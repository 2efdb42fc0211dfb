"""An executor plan runs on what the configuration names, and pays whom it should."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native import encode_call
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, cannot_measure

__all__ = [
    "Executor",
]


@dataclass(frozen=True, slots=True)
class Executor:
    """An executor plan runs on our executor and pays its true beneficiary.

    Both count as ours when flows are judged, so a plan's word for them must not be enough: whatever left for
    an address that a plan calls its own would be no outflow, and whatever arrived there would be profit."""

    executor: Address
    beneficiary: Address
    name: str = "executor"

    @property
    def _label(self) -> str:
        return f"{self.name}:{self.executor.hex()}"

    def probes(self) -> tuple[Probe, ...]:
        return (Probe(self._label, self.executor, encode_call("beneficiary()", ())),)

    def measure(self, evidence: Evidence) -> Measurement:
        executor = address_text(self.executor)
        if self.executor not in evidence.ours.holders:
            return self._finding(evidence, f"{executor} is no executor that the configuration names")
        answer = evidence.simulation.probes.get(self._label)
        if answer is None or len(answer) != 32:
            why = f"{executor} did not say who its beneficiary is"
            return cannot_measure(self.name, evidence, 1, "match", why)
        if answer[12:] != self.beneficiary:
            true = address_text(Address(answer[12:]))
            return self._finding(evidence, f"{executor} pays {true}, not {address_text(self.beneficiary)}")
        return self._finding(evidence, "our executor, and its own beneficiary", passed=True)

    def _finding(self, evidence: Evidence, reason: str, *, passed: bool = False) -> Measurement:
        matches, base_hash = int(passed), evidence.simulation.base_hash
        return Measurement(self.name, matches, 1, matches - 1, "match", passed, base_hash, reason)
