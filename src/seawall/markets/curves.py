"""Pools as curves: what comes out as a function of what goes in, piece by piece, as ratios of integers.

Inside one V3 tick range a pool is a constant product with virtual reserves L/p and L p (p the square-root
price), and a V2 pair is one such piece. With the fee each piece is out(x) = (a x + b) / (c x + d): such maps
compose by multiplying their matrices, and their optimum against a price has a closed form. A curve knows
nothing of the rounding that contracts do: whoever uses one re-checks with an exact quote.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isqrt
from typing import Final, NamedTuple

from seawall.markets.swap_math import PIPS
from seawall.markets.uniswap_v2 import RESERVE_MAX, V2Pool
from seawall.markets.uniswap_v3 import V3Pool, V3Step

__all__ = ["Moebius", "Piece", "pieces"]

_Q96: Final = 2**96
_Q192: Final = 2**192


class Moebius(NamedTuple):
    """x -> (a x + b) / (c x + d), increasing and concave where it is used."""

    a: int
    b: int
    c: int
    d: int

    def down(self, x: int) -> int:
        return (self.a * x + self.b) // (self.c * x + self.d)

    def inverse_up(self, y: int) -> int:
        """The least integer x whose image is not below y."""
        return -(-(self.d * y - self.b) // (self.a - self.c * y))

    def then(self, outer: Moebius) -> Moebius:
        """First this map, then `outer`."""
        return Moebius(
            outer.a * self.a + outer.b * self.c,
            outer.a * self.b + outer.b * self.d,
            outer.c * self.a + outer.d * self.c,
            outer.c * self.b + outer.d * self.d,
        )

    def where_slope_is(self, numerator: int, denominator: int) -> int:
        """The x, rounded down, where the slope (a d - b c) / (c x + d)^2 is numerator / denominator."""
        determinant = self.a * self.d - self.b * self.c
        return (isqrt(determinant * denominator // numerator) - self.d) // self.c


class Piece(NamedTuple):
    """One piece of a pool's curve, in cumulative amounts from the pool's present state."""

    in_start: int
    in_end: int
    out_end: int
    curve: Moebius


def pieces(pool: V2Pool | V3Pool, zero_for_one: bool) -> Iterator[Piece]:
    """The pool's curve in the direction of the swap, as far as it is known."""
    if isinstance(pool, V2Pool):
        return _v2_piece(pool, zero_for_one)
    return _v3_pieces(pool, zero_for_one)


def _v2_piece(pool: V2Pool, zero_for_one: bool) -> Iterator[Piece]:
    reserve_in, reserve_out = (
        (pool.reserve0, pool.reserve1) if zero_for_one else (pool.reserve1, pool.reserve0)
    )
    if reserve_in == 0 or reserve_out == 0:
        return
    curve = Moebius(
        pool.fee_numerator * reserve_out, 0, pool.fee_numerator, pool.fee_denominator * reserve_in
    )
    in_end = RESERVE_MAX - reserve_in
    yield Piece(0, in_end, curve.down(in_end), curve)


def _v3_pieces(pool: V3Pool, zero_for_one: bool) -> Iterator[Piece]:
    amount_in, amount_out = 0, 0
    for step in pool.steps(zero_for_one):
        curve = _range_curve(step, zero_for_one, PIPS - pool.fee_pips, amount_in, amount_out)
        start, amount_in, amount_out = amount_in, amount_in + step.amount_in, amount_out + step.amount_out
        yield Piece(start, amount_in, amount_out, curve)


def _range_curve(
    step: V3Step, zero_for_one: bool, kept_pips: int, amount_in: int, amount_out: int
) -> Moebius:
    """The range's map, anchored at the cumulative amounts where the range begins.

    With p = sqrt price / 2^96 the map from the range's start is K x / (M + N x), K = g L p (or g L / p),
    M = L / p (or L p), N = g; multiplied through by p 2^192 it is a map of integers, with nothing rounded.
    """
    sqrt_price = step.sqrt_from_x96
    at_price = step.liquidity * sqrt_price * sqrt_price
    at_one = step.liquidity * _Q192
    k = kept_pips * (at_price if zero_for_one else at_one)
    m = PIPS * (at_one if zero_for_one else at_price)
    n = kept_pips * sqrt_price * _Q96
    shifted = m - n * amount_in
    return Moebius(amount_out * n + k, amount_out * shifted - k * amount_in, n, shifted)
