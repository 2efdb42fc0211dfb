"""Solidly pairs and forks (Ramses, Velodrome, Aerodrome, Camelot): exact quotes, volatile and stable.

A volatile pair is a constant product. A stable pair keeps x^3 y + y^3 x, both sides scaled to 18 decimals and
every product rounded down as the contract does; what comes out is found by Newton's method, and where that
stops decides the last wei. There are two ways to stop:

- `CLOSE`: as soon as two steps are at most one apart (Solidly, Ramses, Camelot);
- `LEAST`: at the least y that still satisfies the curve (Velodrome V2, Aerodrome).

The fee is a part of the input. Solidly takes it off first, rounded down; Camelot's volatile pairs multiply it
into the fraction (`fee_in_fraction`) and have a fee for each direction. The pair checks the curve after a
swap and reverts where rounding would break it: such a swap is refused here too.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address, address_text

__all__ = ["SolidlyPool", "Stop"]

_ONE: Final = 10**18
_ITERATIONS_MAX: Final = 255


class Stop(Enum):
    CLOSE = "close"
    LEAST = "least"


@dataclass(frozen=True, slots=True)
class SolidlyPool:
    """A pair at one block."""

    address: Address
    reserve0: int
    """[token0 units]"""
    reserve1: int
    """[token1 units]"""
    unit0: int
    """10 to the power of token0's decimals."""
    unit1: int
    fee0: int
    """Of an input of token0 [1 / fee_denominator]."""
    fee1: int
    """Of an input of token1 [1 / fee_denominator]."""
    fee_denominator: int
    stable: bool
    stop: Stop = Stop.CLOSE
    fee_in_fraction: bool = False
    reserve_max: int = UINT256_MAX

    def __post_init__(self) -> None:
        if not (0 <= self.reserve0 <= self.reserve_max and 0 <= self.reserve1 <= self.reserve_max):
            raise self._state_error(f"reserves {self.reserve0}, {self.reserve1} are out of range")
        if not (0 <= self.fee0 < self.fee_denominator and 0 <= self.fee1 < self.fee_denominator):
            raise self._state_error(
                f"fees {self.fee0}, {self.fee1} of {self.fee_denominator} are not below one"
            )
        if self.unit0 <= 0 or self.unit1 <= 0:
            raise self._state_error("a token's unit is not positive")

    def amount_out_down(self, zero_for_one: bool, amount_in: int) -> int:
        """What the pair's own `getAmountOut` says. May be zero for dust."""
        if not 0 < amount_in <= UINT256_MAX:
            raise self._refused(f"input amount {amount_in} is not a positive 256-bit number")
        if self.reserve0 == 0 or self.reserve1 == 0:
            raise InsufficientLiquidityError(
                what="the pair has no liquidity", where=self._where(), fix="use another pool"
            )
        fee = self.fee0 if zero_for_one else self.fee1
        reserve_in, reserve_out, unit_in, unit_out = self._sides(zero_for_one)
        if self.fee_in_fraction and not self.stable:
            paid = amount_in * (self.fee_denominator - fee)
            return self._fits(paid * reserve_out) // (reserve_in * self.fee_denominator + paid)
        kept = amount_in - self._fits(amount_in * fee) // self.fee_denominator
        if not self.stable:
            return self._fits(kept * reserve_out) // (reserve_in + kept)
        scaled_in, scaled_out = reserve_in * _ONE // unit_in, reserve_out * _ONE // unit_out
        x = self._fits(kept * _ONE) // unit_in + scaled_in
        self._fits(x * x)
        y = self._y(x, self._k(self.reserve0, self.reserve1), scaled_out)
        if y > scaled_out:
            raise self._refused(f"input amount {amount_in} buys less than nothing")
        return (scaled_out - y) * unit_out // _ONE

    def swapped_out_down(self, zero_for_one: bool, amount_in: int) -> int:
        """`amount_out_down`, refused where the pair would refuse the swap itself."""
        amount_out = self.amount_out_down(zero_for_one, amount_in)
        reserve_in, reserve_out, _, _ = self._sides(zero_for_one)
        if amount_out == 0:
            raise self._refused(f"an input of {amount_in} buys nothing")
        if amount_out >= reserve_out:
            raise InsufficientLiquidityError(
                what=f"an output of {amount_out} is all of the reserve or more",
                where=self._where(),
                fix="swap less",
            )
        if reserve_in + amount_in > self.reserve_max:
            raise self._refused(f"an input of {amount_in} overflows the reserve")
        fee = self.fee0 if zero_for_one else self.fee1
        grown = reserve_in + amount_in - amount_in * fee // self.fee_denominator
        left = reserve_out - amount_out
        after = self._k(grown, left) if zero_for_one else self._k(left, grown)
        if after < self._k(self.reserve0, self.reserve1):
            raise self._refused(f"an input of {amount_in} breaks the curve by rounding")
        return amount_out

    def _sides(self, zero_for_one: bool) -> tuple[int, int, int, int]:
        if zero_for_one:
            return self.reserve0, self.reserve1, self.unit0, self.unit1
        return self.reserve1, self.reserve0, self.unit1, self.unit0

    def _k(self, amount0: int, amount1: int) -> int:
        if not self.stable:
            return self._fits(amount0 * amount1)
        x, y = amount0 * _ONE // self.unit0, amount1 * _ONE // self.unit1
        return _curve(x, y)

    def _y(self, x: int, k: int, y: int) -> int:
        """The other side at which the curve is `k` again, searched from `y`."""
        if self.stop is Stop.LEAST:
            return self._least_y(x, k, y)
        for _ in range(_ITERATIONS_MAX):
            before = y
            value = self._fits(_split_curve(x, y))
            slope = _slope(x, y)
            if slope == 0:
                raise self._refused("the curve is flat here")
            y += (k - value) * _ONE // slope if value < k else -((value - k) * _ONE // slope)
            if y < 0:
                raise self._refused("the search leaves the curve")
            if abs(y - before) <= 1:
                break
        return y

    def _least_y(self, x: int, k: int, y: int) -> int:
        for _ in range(_ITERATIONS_MAX):
            value, slope = self._fits(_curve(x, y)), _slope(x, y)
            if slope == 0:
                raise self._refused("the curve is flat here")
            step = abs(k - value) * _ONE // slope
            if value < k:
                if step == 0:
                    # The contract's `_k` divides by the units of the two tokens once more here.
                    if self._k(x, y + 1) > k:
                        return y + 1
                    step = 1
                y += step
            else:
                if step == 0:
                    if value == k or _curve(x, y - 1) < k:
                        return y
                    step = 1
                y -= step
            if y < 0:
                raise self._refused("the search leaves the curve")
        raise self._refused("the search for the curve does not end")

    def _fits(self, value: int) -> int:
        if value > UINT256_MAX:
            raise self._refused("the amount overflows the pair's integers")
        return value

    def _refused(self, what: str) -> AmountError:
        return AmountError(what=what, where=self._where(), fix="swap another amount")

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what=what, where=self._where(), fix="read the pair again")

    def _where(self) -> str:
        return f"Solidly pair {address_text(self.address)}"


def _curve(x: int, y: int) -> int:
    """x^3 y + y^3 x as x y (x^2 + y^2) [18 decimals]."""
    return (x * y // _ONE) * (x * x // _ONE + y * y // _ONE) // _ONE


def _split_curve(x: int, y: int) -> int:
    """The same, summed as x y^3 + x^3 y: rounds elsewhere."""
    return x * (y * y // _ONE * y // _ONE) // _ONE + (x * x // _ONE * x // _ONE) * y // _ONE


def _slope(x: int, y: int) -> int:
    return 3 * x * (y * y // _ONE) // _ONE + x * x // _ONE * x // _ONE
