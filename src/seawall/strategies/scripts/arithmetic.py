"""Arithmetic of expressions: integers of 256 bits and a sign, every rounding named, every failure told.

Division rounds down and is of what is not negative: of other numbers nobody agrees which way is down.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import MarketError, ProtocolError, SeawallError
from seawall.primitives.units import BPS
from seawall.strategies.scripts.problems import ExpressionError

__all__ = ["SEARCH_STEPS_MAX", "argmax", "bounded", "bps_down", "bps_up", "divided_down", "mul_div"]

# Looks at a function within a bracket of its peak: twice what an edge without a slope takes.
SEARCH_STEPS_MAX: Final = 64
# A peak is found to a part in 16,384 of where it is. That loses a part in some 10^8; closer looks would
# compare the roundings of whole units.
_GRAIN_BITS: Final = 14
# The first stride from the lower end, as a part of the whole range, and how strides grow.
_STRIDE_BITS: Final = 12
_STRIDE_GROWTH: Final = 8
# 1 - 1 / golden ratio, as a fraction.
_GOLDEN: Final = 381_966_011_250_105_152
_GOLDEN_SCALE: Final = 10**18
# Below every value that an expression can have.
_REFUSED: Final = -UINT256_MAX - 1


def bounded(value: int, at: int) -> int:
    if not -UINT256_MAX <= value <= UINT256_MAX:
        raise ExpressionError("the result does not fit 256 bits", "check the amounts and their decimals", at)
    return value


def divided_down(dividend: int, divisor: int, at: int) -> int:
    return mul_div(dividend, 1, divisor, at, up=False)


def mul_div(a: int, b: int, divisor: int, at: int, *, up: bool) -> int:
    """a * b / divisor without a bound in between, rounded as asked."""
    if divisor == 0:
        raise ExpressionError("division by zero", "guard it with `if ... > 0 then ... else ...`", at)
    if min(a, b, divisor) < 0:
        raise ExpressionError(
            "division of a negative number", "divide what is not negative, then change the sign", at
        )
    return bounded(-(-a * b // divisor) if up else a * b // divisor, at)


def bps_down(share_bps: int, value: int, at: int) -> int:
    return mul_div(value, share_bps, BPS, at, up=False)


def bps_up(share_bps: int, value: int, at: int) -> int:
    return mul_div(value, share_bps, BPS, at, up=True)


def argmax(low: int, high: int, of: Callable[[int], int], at: int) -> int:
    """Where `of` is largest between `low` and `high`, for a function with one peak, to a part in 16,384.

    Growing strides from the lower end find a bracket of the peak, Brent's method narrows it: parabolas where
    they converge, golden sections elsewhere. The best point that was looked at, so never worse than the ends.
    Where a protocol refuses, `of` counts as lower than anywhere else; if it refuses everywhere, so does this.
    """
    if low > high:
        raise ExpressionError(f"the range {low} to {high} is empty", "give the smaller end first", at)
    peak = _Peak(of)
    peak.value_at(high)
    left = middle = low
    stride = max(1, (high - low) >> _STRIDE_BITS)
    right = min(high, low + stride)
    while right < high and peak.value_at(right) >= peak.value_at(middle):
        left, middle = middle, right
        stride *= _STRIDE_GROWTH
        right = min(high, middle + stride)
    _narrow(peak, left, middle, right)
    return peak.best()


def _narrow(peak: _Peak, left: int, middle: int, right: int) -> None:
    """Brent's method on integers: `best` is the highest point that was seen, then come the other two."""
    best = second = third = middle
    at_best = at_second = at_third = peak.value_at(middle)
    step = before = right - left  # of the last look, and of the one before it
    for _ in range(SEARCH_STEPS_MAX):
        grain = max(1, abs(best) >> _GRAIN_BITS)
        if max(right - best, best - left) <= grain:
            return
        wanted = _vertex(best, second, third, best_over=(at_best - at_third, at_best - at_second))
        if wanted is None or not left < wanted < right or 2 * abs(wanted - best) >= before:
            longer = right if right - best > best - left else left
            part = (longer - best) // _STRIDE_GROWTH if best in (left, right) else _inner(longer - best)
            wanted, before = best + part, abs(longer - best)
        else:
            before = step
        if abs(wanted - best) < grain:
            upwards = right - best > grain if wanted >= best else best - left <= grain
            wanted = min(best + grain, right) if upwards else max(best - grain, left)
        step, at_wanted = abs(wanted - best), peak.value_at(wanted)
        if at_wanted >= at_best:
            left, right = (best, right) if wanted > best else (left, best)
            best, second, third = wanted, best, second
            at_best, at_second, at_third = at_wanted, at_best, at_second
            continue
        left, right = (left, wanted) if wanted > best else (wanted, right)
        if second == best or at_wanted >= at_second:
            second, third, at_second, at_third = wanted, second, at_wanted, at_second
        elif third in (best, second) or at_wanted >= at_third:
            third, at_third = wanted, at_wanted


def _vertex(a: int, b: int, c: int, *, best_over: tuple[int, int]) -> int | None:
    """Where a parabola through three points turns, by how much the first is above the third and the second;
    None where there is none."""
    from_b = (a - b) * best_over[0]
    from_c = (a - c) * best_over[1]
    divisor = 2 * (from_b - from_c)
    return a - ((a - b) * from_b - (a - c) * from_c) // divisor if divisor else None


def _inner(length: int) -> int:
    return length * _GOLDEN // _GOLDEN_SCALE


class _Peak:
    """Remembers the best of what was looked at."""

    def __init__(self, of: Callable[[int], int]) -> None:
        self._of = of
        self._seen: dict[int, int] = {}
        self._refusal: SeawallError | None = None

    def value_at(self, x: int) -> int:
        if x not in self._seen:
            try:
                self._seen[x] = self._of(x)
            except (MarketError, ProtocolError) as refusal:
                self._refusal = refusal
                self._seen[x] = _REFUSED
        return self._seen[x]

    def best(self) -> int:
        x = max(sorted(self._seen), key=self._seen.__getitem__)
        if self._seen[x] == _REFUSED and self._refusal is not None:
            raise self._refusal
        return x
