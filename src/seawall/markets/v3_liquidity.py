"""Liquidity of a Uniswap V3 range: what it costs, what it pays out, and the fees that it has earned.

Formulas: LiquidityAmounts of v3-periphery (amounts to liquidity, rounded down), `Pool._modifyPosition` of
v3-core (liquidity to amounts, against whoever moves it) and `Tick.getFeeGrowthInside`. Fee growth counts
modulo 2^256 on purpose: only differences mean something.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.markets.sqrt_price_math import (
    amount0_delta_down,
    amount0_delta_up,
    amount1_delta_down,
    amount1_delta_up,
)
from seawall.markets.tick_math import sqrt_ratio_at_tick

__all__ = ["Growth", "TickRange", "earned_down", "growth_inside"]

_Q96: Final = 2**96
_Q128: Final = 2**128
_UINT256: Final = 2**256


@dataclass(frozen=True, slots=True)
class Growth:
    """Fees per unit of liquidity, of both tokens [Q128, modulo 2^256]."""

    token0: int
    token1: int

    def since(self, earlier: Growth) -> Growth:
        return Growth((self.token0 - earlier.token0) % _UINT256, (self.token1 - earlier.token1) % _UINT256)


@dataclass(frozen=True, slots=True)
class TickRange:
    """From `lower` up to, without, `upper`."""

    lower: int
    upper: int

    def liquidity_down(self, sqrt_price_x96: int, amount0: int, amount1: int) -> int:
        """The most liquidity that both amounts pay for at this price [L]."""
        low, high = self._edges()
        if sqrt_price_x96 <= low:
            return _of_amount0(low, high, amount0)
        if sqrt_price_x96 >= high:
            return _of_amount1(low, high, amount1)
        return min(
            _of_amount0(sqrt_price_x96, high, amount0),
            _of_amount1(low, sqrt_price_x96, amount1),
        )

    def amounts_up(self, sqrt_price_x96: int, liquidity: int) -> tuple[int, int]:
        """What bringing `liquidity` takes."""
        low, middle, high = self._cut(sqrt_price_x96)
        return amount0_delta_up(middle, high, liquidity), amount1_delta_up(low, middle, liquidity)

    def amounts_down(self, sqrt_price_x96: int, liquidity: int) -> tuple[int, int]:
        """What taking `liquidity` back gives, without fees."""
        low, middle, high = self._cut(sqrt_price_x96)
        return amount0_delta_down(middle, high, liquidity), amount1_delta_down(low, middle, liquidity)

    def _cut(self, sqrt_price_x96: int) -> tuple[int, int, int]:
        low, high = self._edges()
        return low, min(max(sqrt_price_x96, low), high), high

    def _edges(self) -> tuple[int, int]:
        return sqrt_ratio_at_tick(self.lower), sqrt_ratio_at_tick(self.upper)


def growth_inside(within: TickRange, tick: int, total: Growth, lower: Growth, upper: Growth) -> Growth:
    """Growth between the two ticks; `lower` and `upper` are the growths that the ticks keep as outside."""
    below = lower if tick >= within.lower else total.since(lower)
    above = upper if tick < within.upper else total.since(upper)
    return total.since(below).since(above)


def earned_down(growth: Growth, liquidity: int) -> tuple[int, int]:
    """Fees of `liquidity` over a growth [token0 units, token1 units]."""
    return growth.token0 * liquidity // _Q128, growth.token1 * liquidity // _Q128


def _of_amount0(low: int, high: int, amount0: int) -> int:
    return amount0 * (low * high // _Q96) // (high - low)


def _of_amount1(low: int, high: int, amount1: int) -> int:
    return amount1 * _Q96 // (high - low)
