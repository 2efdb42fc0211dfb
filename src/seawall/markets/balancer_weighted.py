"""Weighted pools of Balancer V2: exact quotes of swaps, joins and exits.

Formulas and rounding are those of WeightedMath and of BasePool around it: amounts are scaled to 18 decimals,
the fee of a given input is taken off first (rounded up), an output is scaled back down, an input up. The pool
refuses inputs and outputs over 30 % of its balance, and so does this.

`simple_powers`: pools since the second version raise to 1, 2 and 4 by multiplying; older ones do not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.markets.log_exp import power
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address, address_text, ceil_div

__all__ = ["WeightedPool"]

_Mul = Callable[[int, int], int]

_ONE: Final = 10**18
_RATIO_MAX: Final = 3 * 10**17  # of a balance in one swap
_POWER_ERROR: Final = 10_000  # relative [10^-18]


@dataclass(frozen=True, slots=True)
class WeightedPool:
    """A pool at one block; tokens are known by their places."""

    address: Address
    balances: tuple[int, ...]
    """[units of each token]"""
    scales: tuple[int, ...]
    """What makes 18 decimals of each balance: 10^(18 - decimals)."""
    weights_wad: tuple[int, ...]
    fee_wad: int
    supply: int = 0
    """[pool shares], with what the protocol is due but has not been minted yet."""
    simple_powers: bool = True

    def __post_init__(self) -> None:
        count = len(self.balances)
        if not 2 <= count == len(self.scales) == len(self.weights_wad):
            raise self._state_error(f"{count} balances do not fit the scales and weights")
        if any(not 0 <= balance < 2**112 for balance in self.balances) or min(self.scales) < 1:
            raise self._state_error("balances are not 112-bit numbers")
        if min(self.weights_wad) <= 0 or sum(self.weights_wad) != _ONE:
            raise self._state_error("weights are not parts of one")
        if not 0 <= self.fee_wad < _ONE:
            raise self._state_error(f"a fee of {self.fee_wad} / 10^18 is not below one")

    def amount_out_down(self, place_in: int, place_out: int, amount_in: int) -> int:
        """What a swap of exactly `amount_in` gives. May be zero for dust."""
        balance_in, balance_out = self._scaled(place_in, place_out)
        self._require_amount(amount_in)
        kept = (amount_in - _mul_up(amount_in, self.fee_wad)) * self.scales[place_in]
        if kept > _mul_down(balance_in, _RATIO_MAX):
            raise self._too_much(amount_in)
        base = _div_up(balance_in, balance_in + kept)
        exponent = _div_down(self.weights_wad[place_in], self.weights_wad[place_out])
        left = max(_ONE - self._power_up(base, exponent), 0)
        return _mul_down(balance_out, left) // self.scales[place_out]

    def amount_in_up(self, place_in: int, place_out: int, amount_out: int) -> int:
        """What a swap to exactly `amount_out` takes."""
        balance_in, balance_out = self._scaled(place_in, place_out)
        self._require_amount(amount_out)
        wanted = amount_out * self.scales[place_out]
        if wanted > _mul_down(balance_out, _RATIO_MAX):
            raise self._too_much(amount_out)
        base = _div_up(balance_out, balance_out - wanted)
        exponent = _div_up(self.weights_wad[place_out], self.weights_wad[place_in])
        grown = _mul_up(balance_in, self._power_up(base, exponent) - _ONE)
        amount = ceil_div(grown, self.scales[place_in])
        return _div_up(amount, _ONE - self.fee_wad)

    def shares_out_down(self, amounts: tuple[int, ...]) -> int:
        """Shares for bringing exactly `amounts`, in the order of the tokens; disproportion costs the fee."""
        if len(amounts) != len(self.balances) or min(amounts) < 0 or max(amounts) <= 0:
            raise self._refused(f"amounts {amounts} are not one for each token")
        if self.supply == 0 or 0 in self.balances:
            raise self._empty()
        balances = [balance * scale for balance, scale in zip(self.balances, self.scales, strict=True)]
        brought = [amount * scale for amount, scale in zip(amounts, self.scales, strict=True)]
        if max(b + a for b, a in zip(balances, brought, strict=True)) * _ONE > UINT256_MAX:
            raise self._refused(f"amounts {amounts} overflow")
        ratios = [_div_down(b + a, b) for b, a in zip(balances, brought, strict=True)]
        average = sum(
            _mul_down(ratio, weight) for ratio, weight in zip(ratios, self.weights_wad, strict=True)
        )
        growth = _ONE
        for balance, amount, ratio, weight in zip(balances, brought, ratios, self.weights_wad, strict=True):
            kept = amount
            if ratio > average:
                free = _mul_down(balance, max(average - _ONE, 0))
                kept = amount - _mul_up(amount - free, self.fee_wad)
            growth = _mul_down(growth, self._power_down(_div_down(balance + kept, balance), weight))
        return _mul_down(self.supply, growth - _ONE) if growth > _ONE else 0

    def amounts_out_down(self, shares: int) -> tuple[int, ...]:
        """What giving back `shares` gives of every token, in proportion."""
        self._require_amount(shares)
        if shares > self.supply:
            raise self._refused(f"{shares} shares are not among the {self.supply} that exist")
        ratio = _div_down(shares, self.supply)
        return tuple(
            _mul_down(balance * scale, ratio) // scale
            for balance, scale in zip(self.balances, self.scales, strict=True)
        )

    def _power_up(self, base: int, exponent: int) -> int:
        exact = self._simple_power(base, exponent, _mul_up)
        if exact is not None:
            return exact
        raw = power(base, exponent)
        return raw + _mul_up(raw, _POWER_ERROR) + 1

    def _power_down(self, base: int, exponent: int) -> int:
        exact = self._simple_power(base, exponent, _mul_down)
        if exact is not None:
            return exact
        raw = power(base, exponent)
        return max(raw - _mul_up(raw, _POWER_ERROR) - 1, 0)

    def _simple_power(self, base: int, exponent: int, mul: _Mul) -> int | None:
        if not self.simple_powers or exponent not in (_ONE, 2 * _ONE, 4 * _ONE):
            return None
        if exponent == _ONE:
            return base
        square = mul(base, base)
        return square if exponent == 2 * _ONE else mul(square, square)

    def _scaled(self, place_in: int, place_out: int) -> tuple[int, int]:
        if place_in == place_out:
            raise self._refused("a swap of a token for itself")
        balances = (
            self.balances[place_in] * self.scales[place_in],
            self.balances[place_out] * self.scales[place_out],
        )
        if 0 in balances:
            raise self._empty()
        return balances

    def _require_amount(self, amount: int) -> None:
        if not 0 < amount <= UINT256_MAX // _ONE:
            raise self._refused(f"amount {amount} is not positive, or overflows")

    def _too_much(self, amount: int) -> InsufficientLiquidityError:
        return InsufficientLiquidityError(
            what=f"{amount} is more than 30 % of the pool's balance", where=self._where(), fix="swap less"
        )

    def _empty(self) -> InsufficientLiquidityError:
        return InsufficientLiquidityError(
            what="the pool has no liquidity", where=self._where(), fix="use another pool"
        )

    def _refused(self, what: str) -> AmountError:
        return AmountError(what=what, where=self._where(), fix="give another amount")

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what=what, where=self._where(), fix="read the pool again")

    def _where(self) -> str:
        return f"weighted pool {address_text(self.address)}"


def _mul_down(a: int, b: int) -> int:
    return a * b // _ONE


def _mul_up(a: int, b: int) -> int:
    return ceil_div(a * b, _ONE)


def _div_down(a: int, b: int) -> int:
    return a * _ONE // b


def _div_up(a: int, b: int) -> int:
    return ceil_div(a * _ONE, b)
