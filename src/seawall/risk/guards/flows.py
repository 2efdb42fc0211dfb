"""What moves: how far it falls short of what the plan expected, and how much of it leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from seawall.primitives.plans import TokenDelta
from seawall.primitives.simulations import Probe, Simulation
from seawall.primitives.units import BPS, Address, address_text, ceil_div
from seawall.primitives.verdicts import Measurement
from seawall.protocols.answers import integer_answer
from seawall.risk.evidence import Evidence, below, cannot_measure
from seawall.risk.guards.base import measured, probes_of
from seawall.risk.guards.profit import balance_read
from seawall.risk.numbered import collectors
from seawall.risk.volatility import scaled_down

__all__ = [
    "PositionSize",
    "Slippage",
]


@dataclass(frozen=True, slots=True)
class Slippage:
    """How far the simulated change of each expected token falls short of what the plan expected, worst
    one. What is owed falls short by being more.

    Tokens count by what the simulation saw move. Positions that log no transfers (`silent`, as pairs of token
    and holder) count by their balances before and after."""

    limit_bps: int
    debts: tuple[Address, ...] = ()  # tokens that stand for what is owed
    silent: tuple[tuple[Address, Address], ...] = ()
    name: str = "slippage"

    def probes(self) -> tuple[Probe, ...]:
        return self.before()

    def before(self) -> tuple[Probe, ...]:
        return probes_of([balance_read(*pair) for pair in self.silent])

    def measure(self, evidence: Evidence) -> Measurement:
        if not self.silent:
            return self._worst(evidence)
        return measured(self.name, evidence, self.limit_bps, "bps", lambda: self._worst(evidence))

    def _worst(self, evidence: Evidence) -> Measurement:
        worst: Measurement | None = None
        for delta in evidence.candidate.plan.expected:
            limit = min(self.limit_bps, delta.tolerance_bps)
            actual = self._change(evidence.simulation, delta)
            missing = actual - delta.change if delta.token in self.debts else delta.change - actual
            short = max(0, missing)
            bps = ceil_div(short * BPS, max(1, abs(delta.change)))
            found = below(self.name, evidence, bps, limit, "bps", f"shortfall of {address_text(delta.token)}")
            if worst is None or (found.margin or 0) < (worst.margin or 0):
                worst = found
        return worst or below(
            self.name, evidence, 0, self.limit_bps, "bps", "no change was promised, shortfall"
        )

    def _change(self, simulation: Simulation, delta: TokenDelta) -> int:
        if (delta.token, delta.holder) not in self.silent:
            return simulation.net(frozenset({delta.holder}), delta.token)
        label = balance_read(delta.token, delta.holder).label
        after = integer_answer(simulation.probes, label, "uint256")
        return after - integer_answer(simulation.probes_before, label, "uint256")


@dataclass(frozen=True, slots=True)
class PositionSize:
    """What the plan pays out per token, against the cap in that token.

    A token without a cap is refused, and so is giving away what no cap can bound: an NFT, or authority over
    our tokens or credit, or what is collected from a numbered position for somebody else. A ticket of a queue
    that ends with its payment is not given away, where `position_loss` counts what it was worth.
    """

    caps: tuple[tuple[Address, int], ...]
    queues: frozenset[Address] = frozenset()  # whose tickets somebody else values
    name: str = "position_size"
    _by_token: Mapping[Address, int] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_token", dict(self.caps))

    def probes(self) -> tuple[Probe, ...]:
        return ()

    def scaled(self, share_bps: int) -> PositionSize:
        caps = tuple((token, scaled_down(cap, share_bps)) for token, cap in self.caps)
        return PositionSize(caps, self.queues)

    def measure(self, evidence: Evidence) -> Measurement:
        for handover in evidence.simulation.handovers:
            if handover.holder in evidence.holders and handover.burnt_at not in self.queues:
                why = f"{address_text(handover.holder)} {handover.what}"
                return cannot_measure(self.name, evidence, 0, "units", why)
        for collector in collectors(evidence.candidate.plan) if evidence.takes_out else ():
            if collector not in evidence.holders:
                who = "what is no address" if collector is None else address_text(collector)
                why = f"it collects from a numbered position to {who}, which is not ours"
                return cannot_measure(self.name, evidence, 0, "units", why)
        worst: Measurement | None = None
        for token, amount in sorted(evidence.outflows().items()):
            cap = self._by_token.get(token)
            if cap is None:
                return cannot_measure(
                    self.name,
                    evidence,
                    0,
                    "units",
                    f"no cap is configured for {address_text(token)}, of which {amount} would leave",
                )
            found = below(self.name, evidence, amount, cap, "units", _outflow_of(token))
            if worst is None or (found.margin or 0) < (worst.margin or 0):
                worst = found
        return worst or below(self.name, evidence, 0, 0, "units", "nothing leaves: outflow")


# Tokens whose names stay written out.
_TOKENS_MAX: Final = 256


@lru_cache(_TOKENS_MAX)
def _outflow_of(token: Address) -> str:
    return f"outflow of {address_text(token)}"
