"""One step of a V3 swap inside one tick range (v3-core, SwapMath)."""

from __future__ import annotations

from typing import Final, NamedTuple

from seawall.markets.sqrt_price_math import (
    amount0_delta_down,
    amount0_delta_up,
    amount1_delta_down,
    amount1_delta_up,
    sqrt_price_after_input,
    sqrt_price_after_output,
)

__all__ = ["PIPS", "SwapStep", "swap_step"]

# A V3 fee is in millionths.
PIPS: Final = 1_000_000


class SwapStep(NamedTuple):
    """What one step does; a tuple because a quote makes one per range."""

    sqrt_price_x96: int
    amount_in: int
    """Without the fee [token in]."""
    amount_out: int
    """[token out]"""
    fee: int
    """[token in]"""


def swap_step(
    sqrt_price_x96: int,
    sqrt_target_x96: int,
    liquidity: int,
    amount_remaining: int,
    fee_pips: int,
    exact_in: bool,
) -> SwapStep:
    """Move towards the target until it is reached or the amount is used up.

    `amount_remaining` is input including its fee when `exact_in`, output otherwise.
    """
    zero_for_one = sqrt_price_x96 >= sqrt_target_x96
    if exact_in:
        payable = amount_remaining * (PIPS - fee_pips) // PIPS
        amount_in = _amount_in_up(sqrt_price_x96, sqrt_target_x96, liquidity, zero_for_one)
        if payable >= amount_in:
            fee = -(-amount_in * fee_pips // (PIPS - fee_pips))
            amount_out = _amount_out_down(sqrt_price_x96, sqrt_target_x96, liquidity, zero_for_one)
            return SwapStep(sqrt_target_x96, amount_in, amount_out, fee)
        sqrt_next_x96 = sqrt_price_after_input(sqrt_price_x96, liquidity, payable, zero_for_one)
    else:
        amount_out = _amount_out_down(sqrt_price_x96, sqrt_target_x96, liquidity, zero_for_one)
        if amount_remaining >= amount_out:
            amount_in = _amount_in_up(sqrt_price_x96, sqrt_target_x96, liquidity, zero_for_one)
            fee = -(-amount_in * fee_pips // (PIPS - fee_pips))
            return SwapStep(sqrt_target_x96, amount_in, amount_out, fee)
        sqrt_next_x96 = sqrt_price_after_output(sqrt_price_x96, liquidity, amount_remaining, zero_for_one)

    amount_in = _amount_in_up(sqrt_price_x96, sqrt_next_x96, liquidity, zero_for_one)
    amount_out = _amount_out_down(sqrt_price_x96, sqrt_next_x96, liquidity, zero_for_one)
    if not exact_in:
        fee = -(-amount_in * fee_pips // (PIPS - fee_pips))
        return SwapStep(sqrt_next_x96, amount_in, min(amount_out, amount_remaining), fee)
    if sqrt_next_x96 == sqrt_target_x96:
        fee = -(-amount_in * fee_pips // (PIPS - fee_pips))
    else:
        # The target was not reached: what is left of the input is the fee.
        fee = amount_remaining - amount_in
    return SwapStep(sqrt_next_x96, amount_in, amount_out, fee)


def _amount_in_up(sqrt_from_x96: int, sqrt_to_x96: int, liquidity: int, zero_for_one: bool) -> int:
    if zero_for_one:
        return amount0_delta_up(sqrt_to_x96, sqrt_from_x96, liquidity)
    return amount1_delta_up(sqrt_from_x96, sqrt_to_x96, liquidity)


def _amount_out_down(sqrt_from_x96: int, sqrt_to_x96: int, liquidity: int, zero_for_one: bool) -> int:
    if zero_for_one:
        return amount1_delta_down(sqrt_to_x96, sqrt_from_x96, liquidity)
    return amount0_delta_down(sqrt_from_x96, sqrt_to_x96, liquidity)
