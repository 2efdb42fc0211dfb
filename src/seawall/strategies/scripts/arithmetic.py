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

# Of a golden-section search: its interval shrinks by the golden ratio each time, to a billionth in the end.
SEARCH_STEPS_MAX: Final = 44
# 1 / golden ratio, as a fraction.
_GOLDEN: Final = 618_033_988_749_894_848
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
    """Where `of` is largest between `low` and `high`, for a function with one peak: golden-section search of
    at most `SEARCH_STEPS_MAX` steps. The best point that was looked at, so never worse than the ends.

    Where a protocol refuses, `of` counts as lower than anywhere else; if it refuses everywhere, so does this.
    """
    if low > high:
        raise ExpressionError(f"the range {low} to {high} is empty", "give the smaller end first", at)
    peak = _Peak(of)
    peak.value_at(low)
    peak.value_at(high)
    left, right = high - _inner(low, high), low + _inner(low, high)
    at_left, at_right = peak.value_at(left), peak.value_at(right)
    for _ in range(SEARCH_STEPS_MAX):
        if high - low <= 2:
            break
        if at_left < at_right:
            low, left, at_left = left, right, at_right
            right = low + _inner(low, high)
            at_right = peak.value_at(right)
        else:
            high, right, at_right = right, left, at_left
            left = high - _inner(low, high)
            at_left = peak.value_at(left)
    return peak.best()


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


def _inner(low: int, high: int) -> int:
    return (high - low) * _GOLDEN // _GOLDEN_SCALE
