"""Amounts between two square-root prices, and the price after an amount (v3-core, SqrtPriceMath).

Prices are Q64.96 integers, liquidity is L. Rounding always favours the pool; the direction is in each name.
The contract's behaviour at 256-bit overflow is kept where it changes a number, not only where it reverts.
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "amount0_delta_down",
    "amount0_delta_up",
    "amount1_delta_down",
    "amount1_delta_up",
    "sqrt_price_after_input",
    "sqrt_price_after_output",
]

_Q96_BITS: Final = 96
_UINT256: Final = 2**256


def amount0_delta_down(sqrt_low_x96: int, sqrt_high_x96: int, liquidity: int) -> int:
    """L (1/low - 1/high) [token0 units]."""
    return (((liquidity << _Q96_BITS) * (sqrt_high_x96 - sqrt_low_x96)) // sqrt_high_x96) // sqrt_low_x96


def amount0_delta_up(sqrt_low_x96: int, sqrt_high_x96: int, liquidity: int) -> int:
    """L (1/low - 1/high), each of the two divisions rounded up [token0 units]."""
    inner = -(-((liquidity << _Q96_BITS) * (sqrt_high_x96 - sqrt_low_x96)) // sqrt_high_x96)
    return -(-inner // sqrt_low_x96)


def amount1_delta_down(sqrt_low_x96: int, sqrt_high_x96: int, liquidity: int) -> int:
    """L (high - low) [token1 units]."""
    return (liquidity * (sqrt_high_x96 - sqrt_low_x96)) >> _Q96_BITS


def amount1_delta_up(sqrt_low_x96: int, sqrt_high_x96: int, liquidity: int) -> int:
    """L (high - low), rounded up [token1 units]."""
    return -((-liquidity * (sqrt_high_x96 - sqrt_low_x96)) >> _Q96_BITS)


def sqrt_price_after_input(sqrt_price_x96: int, liquidity: int, amount_in: int, zero_for_one: bool) -> int:
    """The price after `amount_in` without its fee; moves at most as far as the amount pays for."""
    if zero_for_one:
        return _after_token0_in_up(sqrt_price_x96, liquidity, amount_in)
    return sqrt_price_x96 + (amount_in << _Q96_BITS) // liquidity


def sqrt_price_after_output(sqrt_price_x96: int, liquidity: int, amount_out: int, zero_for_one: bool) -> int:
    """The price after `amount_out` has left; moves at least as far as the amount needs.

    The caller knows that the range holds more than `amount_out` (the contract reverts otherwise).
    """
    if zero_for_one:
        return sqrt_price_x96 + ((-amount_out << _Q96_BITS) // liquidity)
    numerator = liquidity << _Q96_BITS
    return -(-(numerator * sqrt_price_x96) // (numerator - amount_out * sqrt_price_x96))


def _after_token0_in_up(sqrt_price_x96: int, liquidity: int, amount_in: int) -> int:
    if amount_in == 0:
        return sqrt_price_x96
    numerator = liquidity << _Q96_BITS
    product = amount_in * sqrt_price_x96
    denominator = numerator + product
    if product < _UINT256 and denominator < _UINT256:
        return -(-(numerator * sqrt_price_x96) // denominator)
    # The contract's fallback when 256 bits do not hold the product: less precise, so another number.
    return -(-numerator // (numerator // sqrt_price_x96 + amount_in))
