"""What a pool pays for many amounts, for searches: the quotes of `V2Pool` and `V3Pool`, prepared once.

A `Selling` answers to the wei what the pool's own quote answers, or None where only that quote can tell:
whatever it would refuse, and the ends of what was read. So there is one place that refuses, and one that is
fast. Of a V3 pool the ranges that were walked once are kept: an amount is found in them by its place, and
only the range in which it ends is computed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

from seawall.markets.errors import MarketError
from seawall.markets.sqrt_price_math import amount0_delta_down, amount1_delta_down, sqrt_price_after_input
from seawall.markets.swap_math import PIPS
from seawall.markets.uniswap_v2 import RESERVE_MAX, V2Pool
from seawall.markets.uniswap_v3 import V3Pool, V3Step
from seawall.primitives.bounds import UINT256_MAX

__all__ = ["Selling", "selling_v2", "selling_v3"]

Selling = Callable[[int], int | None]
"""Amount in -> amount out, rounded down."""


def selling_v2(pool: V2Pool, zero_for_one: bool) -> Selling:
    reserves = (pool.reserve0, pool.reserve1)
    reserve_in, reserve_out = reserves if zero_for_one else reserves[::-1]
    kept, scaled = pool.fee_numerator, reserve_in * pool.fee_denominator
    most = min(RESERVE_MAX - reserve_in, UINT256_MAX // (kept * reserve_out)) if all(reserves) else 0

    def sold(amount_in: int) -> int | None:
        if not 0 < amount_in <= most:
            return None
        paid = amount_in * kept
        return paid * reserve_out // (scaled + paid) or None

    return sold


def selling_v3(pool: V3Pool, zero_for_one: bool) -> Selling:
    walk = pool.steps(zero_for_one)
    ranges: list[V3Step] = []
    ins, outs = [0], [0]  # before each range
    kept_pips = PIPS - pool.fee_pips

    def walked(amount_in: int) -> bool:
        """Whether `amount_in` ends within the ranges that are known."""
        while amount_in >= ins[-1]:
            try:
                step = next(walk, None)
            except MarketError:
                return False
            if step is None:
                return False
            ranges.append(step)
            ins.append(ins[-1] + step.amount_in)
            outs.append(outs[-1] + step.amount_out)
        return True

    def sold(amount_in: int) -> int | None:
        if amount_in <= 0 or (amount_in >= ins[-1] and not walked(amount_in)):
            return None
        place = bisect_right(ins, amount_in) - 1
        start, _, liquidity, _, _ = ranges[place]
        payable = (amount_in - ins[place]) * kept_pips // PIPS
        end = sqrt_price_after_input(start, liquidity, payable, zero_for_one)
        if zero_for_one:
            return outs[place] + amount1_delta_down(end, start, liquidity)
        return outs[place] + amount0_delta_down(start, end, liquidity)

    return sold
