"""An executor plan runs on what the configuration names, and pays whom it should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.native import encode_call
from seawall.primitives.plans import DirectBody
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below, cannot_measure

__all__ = ["ChainChecks", "Executor", "Wanted"]

# Bytes after a check's kind that never vary, and how many amounts follow, each with its length first.
_CHECKS: Final = {
    0x01: (24, 0), 0x02: (20, 2), 0x03: (42, 0), 0x04: (24, 0), 0x05: (27, 0),
    0x06: (66, 0), 0x07: (20, 1), 0x08: (20, 1), 0x09: (40, 1), 0x0A: (40, 1),
}  # fmt: skip


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """A source that some check must name."""

    what: str  # for people
    kinds: tuple[int, ...]  # of which one does
    source: Address | None  # None: any


@dataclass(frozen=True, slots=True)
class ChainChecks:
    """What a plan asks of prices and positions before it is signed, it also has checked on chain.

    Between verdict and block the world moves: a guard judged the block before, a check judges the block that
    it lands in. Counted are sources that guards of the plan ask and no check of it names."""

    wanted: tuple[Wanted, ...]
    name: str = "chain_checks"

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def measure(self, evidence: Evidence) -> Measurement:
        body = evidence.candidate.plan.body
        there = _checks_in(b"" if isinstance(body, DirectBody) else body.checks)
        if there is None:
            return cannot_measure(self.name, evidence, 0, "sources", "the plan's checks are malformed")
        missing = [
            one.what
            for one in self.wanted
            if not any(kind in one.kinds and one.source in (None, source) for kind, source in there)
        ]
        what = f"{missing[0]} is not checked on chain; so" if missing else "asked of guards, not of checks:"
        return below(self.name, evidence, len(missing), 0, "sources", what)


def _checks_in(packed: bytes) -> list[tuple[int, bytes]] | None:
    """Kind and first source of each check (`protocols.executor.checks`); None for what does not end."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(packed):
        kind = packed[at]
        if kind not in _CHECKS:
            return None
        fixed, amounts = _CHECKS[kind]
        found.append((kind, packed[at + 1 : at + 21]))
        at += 1 + fixed
        for _ in range(amounts):
            if at >= len(packed):
                return None
            at += 1 + packed[at]
    return found if at == len(packed) else None
