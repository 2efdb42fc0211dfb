"""Whether prices that a plan stands on may be believed, read on the state after."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native import abi_decode, encode_call
from seawall.primitives.errors import EncodingError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below, cannot_measure

__all__ = [
    "OracleStaleness",
]


@dataclass(frozen=True, slots=True)
class OracleStaleness:
    """Age of a Chainlink-style feed's answer, read on the state after."""

    feed: Address
    max_age_s: int
    name: str = "oracle_staleness"

    @property
    def _label(self) -> str:
        return f"{self.name}:{self.feed.hex()}"

    def probes(self) -> tuple[Probe, ...]:
        return (Probe(self._label, self.feed, encode_call("latestRoundData()", ())),)

    def measure(self, evidence: Evidence) -> Measurement:
        raw = evidence.simulation.probes.get(self._label)
        limit = min(self.max_age_s, evidence.limits.oracle_age_s_max)
        feed = address_text(self.feed)
        if raw is None:
            return cannot_measure(self.name, evidence, limit, "s", f"feed {feed} did not answer")
        try:
            round_id, answer, _, updated_at, answered_in = abi_decode(
                ("uint80", "int256", "uint256", "uint256", "uint80"), raw
            )
        except EncodingError:
            return cannot_measure(
                self.name, evidence, limit, "s", f"feed {feed} answered {len(raw)} malformed bytes"
            )
        assert isinstance(answer, int)
        assert isinstance(updated_at, int)
        if answer <= 0 or updated_at == 0 or round_id != answered_in:
            return cannot_measure(
                self.name, evidence, limit, "s", f"feed {feed} holds no complete positive answer"
            )
        age_s = max(0, max(evidence.candidate.base.timestamp_s, evidence.now_s) - updated_at)
        return below(self.name, evidence, age_s, limit, "s", f"age of feed {feed}")
