"""Prices of Uniswap pools, and guards that judge what a plan does to them.

A price is an exact ratio of token1 per token0 in smallest units. Both kinds of pool are read by one call or
two; a pool without price or liquidity has none, and whoever needs one refuses.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.markets.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick
from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.risk.evidence import Evidence, below
from seawall.risk.guards.base import measured, probes_of
from seawall.risk.prices import Ratio, apart_bps_up

__all__ = ["Pool", "PoolKind", "PriceImpact", "TwapDeviation", "average_reads"]

_Q192: Final = 2**192


class PoolKind(StrEnum):
    V2 = "pair"  # Uniswap V2 and forks of it
    V3 = "pool"  # Uniswap V3 and forks of it


@dataclass(frozen=True, slots=True)
class Pool:
    """Where a price is read."""

    address: Address
    kind: PoolKind

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.kind} {address_text(self.address)}"

    def reads(self) -> tuple[Read, ...]:
        if self.kind is PoolKind.V2:
            return (self._read("getReserves()"),)
        return (self._read("slot0()"), self._read("liquidity()"))

    def price(self, answers: Answers) -> Ratio:
        """Token1 per token0, now. `ProtocolError` where there is none."""
        if self.kind is PoolKind.V2:
            reserve0, reserve1 = integer_answers(
                answers, self._label("getReserves()"), ("uint112", "uint112")
            )
            if not reserve0 or not reserve1:
                raise self._empty()
            return reserve1, reserve0
        (sqrt_price_x96,) = integer_answers(answers, self._label("slot0()"), ("uint160",))
        if not sqrt_price_x96 or not integer_answer(answers, self._label("liquidity()"), "uint128"):
            raise self._empty()
        return sqrt_price_x96 * sqrt_price_x96, _Q192

    def average(self, answers: Answers, window_s: int) -> Ratio:
        """Token1 per token0, the geometric mean over a window that ends now, to a tick's accuracy."""
        label = _average_label(self.address, window_s)
        kinds = ("uint256", "uint256", "uint256", "int256", "int256")
        first, second, count, then, now = integer_answers(answers, label, kinds)
        if (first, second, count) != _OBSERVE_SHAPE:
            raise ProtocolError(
                "the answer is not two accumulations", self.label, "check that it is a Uniswap V3 pool"
            )
        tick = (now - then) // window_s
        if not MIN_TICK <= tick <= MAX_TICK:
            raise ProtocolError(
                f"tick {tick} is out of range", self.label, "check that it is a Uniswap V3 pool"
            )
        ratio = sqrt_ratio_at_tick(tick)
        return ratio * ratio, _Q192

    def _read(self, signature: str) -> Read:
        return Read(self._label(signature), self.address, encode_call(signature, ()))

    def _label(self, signature: str) -> str:
        return f"pool:{self.address.hex()}:{signature}"

    def _empty(self) -> ProtocolError:
        return ProtocolError("it is empty and has no price", self.label, "use one with liquidity")


# Offsets of two dynamic arrays of two words each, and the length of the first.
_OBSERVE_SHAPE: Final = (0x40, 0xA0, 2)


def average_reads(pool: Address, window_s: int) -> tuple[Read, ...]:
    call = encode_call("observe(uint32[])", ((window_s, 0),))
    return (Read(_average_label(pool, window_s), pool, call),)


@dataclass(frozen=True, slots=True)
class PriceImpact:
    """How far the plan moves a pool's price, against the price before it."""

    pool: Pool
    limit_bps: int
    name: str = "price_impact"

    def probes(self) -> tuple[Probe, ...]:
        return probes_of(self.pool.reads())

    def before(self) -> tuple[Probe, ...]:
        return self.probes()

    def measure(self, evidence: Evidence) -> Measurement:
        def judge() -> Measurement:
            before = self.pool.price(evidence.simulation.probes_before)
            after = self.pool.price(evidence.simulation.probes)
            what = f"it moves the price of {self.pool.label} by"
            return below(self.name, evidence, apart_bps_up(before, after), self.limit_bps, "bps", what)

        return measured(self.name, evidence, self.limit_bps, "bps", judge)


@dataclass(frozen=True, slots=True)
class TwapDeviation:
    """How far a V3 pool's price is from its own average, with what the plan did to it."""

    pool: Pool
    window_s: int
    limit_bps: int
    name: str = "twap_deviation"

    def probes(self) -> tuple[Probe, ...]:
        return probes_of((*self.pool.reads(), *average_reads(self.pool.address, self.window_s)))

    def measure(self, evidence: Evidence) -> Measurement:
        def judge() -> Measurement:
            answers = evidence.simulation.probes
            apart_bps = apart_bps_up(self.pool.price(answers), self.pool.average(answers, self.window_s))
            what = f"the price of {self.pool.label} is off its average of {self.window_s} s by"
            return below(self.name, evidence, apart_bps, self.limit_bps, "bps", what)

        return measured(self.name, evidence, self.limit_bps, "bps", judge)


def _average_label(pool: Address, window_s: int) -> str:
    return f"pool:{pool.hex()}:observe:{window_s}"
