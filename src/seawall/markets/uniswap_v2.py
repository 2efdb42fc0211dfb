"""Uniswap V2 pairs and forks with a constant fee (Sushi, Pancake V2): exact quotes and the pair after a swap.

Formulas are those of v2-periphery's UniswapV2Library; what the pair itself would refuse (no output, reserves
over 112 bits) is refused by `after_exact_in` and `after_exact_out`. Tokens that take a fee on transfer are
not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.primitives.units import Address, address_text

__all__ = ["RESERVE_MAX", "V2Pool"]

RESERVE_MAX: Final = 2**112 - 1
_UINT256_MAX: Final = 2**256 - 1


@dataclass(frozen=True, slots=True)
class V2Pool:
    """A pair at one block. Of the input, `fee_numerator / fee_denominator` is swapped (997 / 1000)."""

    address: Address
    token0: Address
    token1: Address
    reserve0: int
    """[token0 units]"""
    reserve1: int
    """[token1 units]"""
    fee_numerator: int = 997
    fee_denominator: int = 1000

    def __post_init__(self) -> None:
        if not (0 <= self.reserve0 <= RESERVE_MAX and 0 <= self.reserve1 <= RESERVE_MAX):
            raise self._state_error(f"reserves {self.reserve0}, {self.reserve1} are not 112-bit numbers")
        if not 0 < self.fee_numerator <= self.fee_denominator:
            raise self._state_error(f"fee part {self.fee_numerator}/{self.fee_denominator} is not in (0, 1]")

    def zero_for_one(self, token_in: Address) -> bool:
        """The direction of a swap that pays `token_in`."""
        if token_in == self.token0:
            return True
        if token_in == self.token1:
            return False
        raise AmountError(
            what=f"token {address_text(token_in)} is not in the pair",
            where=self._where(),
            fix=f"pay {address_text(self.token0)} or {address_text(self.token1)}",
        )

    def amount_out_down(self, zero_for_one: bool, amount_in: int) -> int:
        """What the pair pays for `amount_in` (getAmountOut). May be zero for dust."""
        self._check_amount("input", amount_in)
        reserve_in, reserve_out = self._reserves(zero_for_one)
        paid = amount_in * self.fee_numerator
        numerator = paid * reserve_out
        if numerator > _UINT256_MAX:
            raise self._overflow("input", amount_in)
        return numerator // (reserve_in * self.fee_denominator + paid)

    def amount_in_up(self, zero_for_one: bool, amount_out: int) -> int:
        """The input that the pair takes for `amount_out` (getAmountIn)."""
        self._check_amount("output", amount_out)
        reserve_in, reserve_out = self._reserves(zero_for_one)
        if amount_out >= reserve_out:
            raise InsufficientLiquidityError(
                what=f"an output of {amount_out} asks for the whole reserve of {reserve_out} or more",
                where=self._where(),
                fix="ask for less",
            )
        numerator = reserve_in * amount_out * self.fee_denominator
        if numerator > _UINT256_MAX:
            raise self._overflow("output", amount_out)
        return numerator // ((reserve_out - amount_out) * self.fee_numerator) + 1

    def after_exact_in(self, zero_for_one: bool, amount_in: int) -> V2Pool:
        """The pair after a swap of exactly `amount_in`; refused where the pair would revert."""
        return self._after(zero_for_one, amount_in, self.amount_out_down(zero_for_one, amount_in))

    def after_exact_out(self, zero_for_one: bool, amount_out: int) -> V2Pool:
        """The pair after a swap to exactly `amount_out`; refused where the pair would revert."""
        return self._after(zero_for_one, self.amount_in_up(zero_for_one, amount_out), amount_out)

    def _after(self, zero_for_one: bool, amount_in: int, amount_out: int) -> V2Pool:
        if amount_out == 0:
            raise AmountError(
                what=f"an input of {amount_in} buys nothing", where=self._where(), fix="swap a larger amount"
            )
        reserve_in, reserve_out = self._reserves(zero_for_one)
        reserve_in, reserve_out = reserve_in + amount_in, reserve_out - amount_out
        if reserve_in > RESERVE_MAX:
            raise self._overflow("input", amount_in)
        if zero_for_one:
            return replace(self, reserve0=reserve_in, reserve1=reserve_out)
        return replace(self, reserve0=reserve_out, reserve1=reserve_in)

    def _reserves(self, zero_for_one: bool) -> tuple[int, int]:
        if self.reserve0 == 0 or self.reserve1 == 0:
            raise InsufficientLiquidityError(
                what="the pair has no liquidity", where=self._where(), fix="use another pool"
            )
        return (self.reserve0, self.reserve1) if zero_for_one else (self.reserve1, self.reserve0)

    def _check_amount(self, side: str, amount: int) -> None:
        if not 0 < amount <= _UINT256_MAX:
            raise AmountError(
                what=f"{side} amount {amount} is not a positive 256-bit number",
                where=self._where(),
                fix="give an amount in the token's smallest unit",
            )

    def _overflow(self, side: str, amount: int) -> AmountError:
        return AmountError(
            what=f"{side} amount {amount} overflows the pair's integers", where=self._where(), fix="swap less"
        )

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what=what, where=self._where(), fix="read the pair again")

    def _where(self) -> str:
        return f"V2 pair {address_text(self.address)}"
