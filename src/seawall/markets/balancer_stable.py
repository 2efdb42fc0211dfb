"""Stable pools of Balancer V2: exact quotes of swaps between their tokens, with rates.

Formulas and rounding are those of StableMath and of the pools around it: amounts are scaled to 18 decimals
and by each token's rate, rounded down; the fee of a given input is taken off first, rounded up; an output is
scaled back down. The invariant is computed in one of two ways: the first pools round it up (`rounds_up`),
composable ones down. A composable pool's own shares are not among its balances here.

Not done: joins and exits, and swaps with the pool's shares, before which the protocol takes its part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address, address_text, ceil_div

__all__ = ["AMP_PRECISION", "StablePool"]

AMP_PRECISION: Final = 1_000
_ONE: Final = 10**18
_STEPS_MAX: Final = 255
_BALANCE_MAX: Final = 2**112 - 1
_AMP_MAX: Final = 5_000 * AMP_PRECISION
_FACTOR_MAX: Final = 10**40
_TOKENS_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class StablePool:
    """A pool at one block; tokens are known by their places."""

    address: Address
    balances: tuple[int, ...]
    """[units of each token]"""
    factors: tuple[int, ...]
    """10^(18 - decimals), times the token's rate [wad]."""
    amp: int
    """[1 / AMP_PRECISION]"""
    fee_wad: int
    rounds_up: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.balances) == len(self.factors) <= _TOKENS_MAX:
            raise self._state_error(f"{len(self.balances)} balances do not fit the factors")
        if any(not 0 <= balance <= _BALANCE_MAX for balance in self.balances):
            raise self._state_error("balances are not 112-bit numbers")
        if any(not 0 < factor <= _FACTOR_MAX for factor in self.factors):
            raise self._state_error("a factor is zero, or absurd")
        if not AMP_PRECISION <= self.amp <= _AMP_MAX:
            raise self._state_error(f"an amplification of {self.amp} is out of range")
        if not 0 <= self.fee_wad < _ONE:
            raise self._state_error(f"a fee of {self.fee_wad} / 10^18 is not below one")

    def amount_out_down(self, place_in: int, place_out: int, amount_in: int) -> int:
        """What a swap of exactly `amount_in` gives."""
        if not 0 < amount_in <= _BALANCE_MAX - self.balances[place_in]:
            raise self._refused(f"input amount {amount_in} is not positive, or more than the Vault can count")
        kept = amount_in - ceil_div(amount_in * self.fee_wad, _ONE)
        scaled = self._scaled()
        invariant = self._invariant(scaled)
        given = list(scaled)
        given[place_in] += kept * self.factors[place_in] // _ONE
        left = self._balance(given, invariant, place_out)
        bought = scaled[place_out] - left - 1
        if bought < 0:
            raise self._refused(f"an input of {amount_in} buys less than nothing")
        amount_out = bought * _ONE // self.factors[place_out]
        if amount_out > self.balances[place_out]:
            raise self._refused(f"an input of {amount_in} buys more than there is")
        return amount_out

    def _scaled(self) -> list[int]:
        if 0 in self.balances:
            raise InsufficientLiquidityError(
                what="the pool has no liquidity", where=self._where(), fix="use another pool"
            )
        pairs = zip(self.balances, self.factors, strict=True)
        return [self._fits(balance * factor) // _ONE for balance, factor in pairs]

    def _invariant(self, balances: list[int]) -> int:
        total, count = sum(balances), len(balances)
        found = total
        for _ in range(_STEPS_MAX):
            before = found
            step = self._step_up if self.rounds_up else self._step_down
            found = step(balances, total, self.amp * count, before)
            if abs(found - before) <= 1:
                return found
        raise self._refused("the invariant is not found")

    def _step_up(self, balances: list[int], total: int, amp: int, invariant: int) -> int:
        count = len(balances)
        product = balances[0] * count
        for balance in balances[1:]:
            product = ceil_div(self._fits(product * balance * count), invariant)
        above = count * invariant * invariant + ceil_div(self._fits(amp * total * product), AMP_PRECISION)
        below = (count + 1) * invariant + (amp - AMP_PRECISION) * product // AMP_PRECISION
        return ceil_div(self._fits(above), below)

    def _step_down(self, balances: list[int], total: int, amp: int, invariant: int) -> int:
        count = len(balances)
        product = invariant
        for balance in balances:
            if balance == 0:
                raise self._refused("a balance is worth nothing")
            product = self._fits(product * invariant) // (balance * count)
        above = self._fits((amp * total // AMP_PRECISION + product * count) * invariant)
        below = (amp - AMP_PRECISION) * invariant // AMP_PRECISION + (count + 1) * product
        return above // below

    def _balance(self, balances: list[int], invariant: int, place: int) -> int:
        """Of the token at `place`, that keeps the invariant with all others; rounded up."""
        count = len(balances)
        amp = self.amp * count
        product = balances[0] * count
        for balance in balances[1:]:
            product = self._fits(product * balance * count) // invariant
        square = self._fits(invariant * invariant)
        if product == 0:
            raise self._refused("the balances are too far apart")
        c = self._fits(ceil_div(square, amp * product) * AMP_PRECISION * balances[place])
        b = sum(balances) - balances[place] + invariant // amp * AMP_PRECISION
        found = ceil_div(square + c, invariant + b)
        for _ in range(_STEPS_MAX):
            before = found
            below = 2 * before + b - invariant
            if below <= 0:
                raise self._refused("the search leaves the curve")
            found = ceil_div(self._fits(before * before + c), below)
            if abs(found - before) <= 1:
                return found
        raise self._refused("the search for the balance does not end")

    def _fits(self, value: int) -> int:
        if value > UINT256_MAX:
            raise self._refused("the amount overflows the pool's integers")
        return value

    def _refused(self, what: str) -> AmountError:
        return AmountError(what=what, where=self._where(), fix="swap another amount")

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what=what, where=self._where(), fix="read the pool again")

    def _where(self) -> str:
        return f"stable pool {address_text(self.address)}"
