"""Ticks and square-root prices of Uniswap V3: sqrt(1.0001^tick) as a Q64.96 integer, and back.

`sqrt_ratio_at_tick` is the contract's product of 20 rounded constants, bit for bit (v3-core, TickMath).
`tick_at_sqrt_ratio` is defined by it (the greatest tick whose ratio is not above the price), so it is found
by a float estimate and settled by exact comparisons: the float chooses where to look, never the answer.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

from seawall.markets.errors import PriceLimitError

__all__ = [
    "MAX_SQRT_RATIO",
    "MAX_TICK",
    "MIN_SQRT_RATIO",
    "MIN_TICK",
    "sqrt_ratio_at_tick",
    "tick_at_sqrt_ratio",
]

MIN_TICK: Final = -887272
MAX_TICK: Final = 887272
# sqrt_ratio_at_tick of the two ends; a pool's price p keeps MIN_SQRT_RATIO <= p < MAX_SQRT_RATIO.
MIN_SQRT_RATIO: Final = 4295128739
MAX_SQRT_RATIO: Final = 1461446703485210103287273052203988822378723970342

# 2^128 / sqrt(1.0001^(2^i)), rounded as the contract has it.
_FACTORS_Q128: Final = (
    0xFFFCB933BD6FAD37AA2D162D1A594001,
    0xFFF97272373D413259A46990580E213A,
    0xFFF2E50F5F656932EF12357CF3C7FDCC,
    0xFFE5CACA7E10E4E61C3624EAA0941CD0,
    0xFFCB9843D60F6159C9DB58835C926644,
    0xFF973B41FA98C081472E6896DFB254C0,
    0xFF2EA16466C96A3843EC78B326B52861,
    0xFE5DEE046A99A2A811C461F1969C3053,
    0xFCBE86C7900A88AEDCFFC83B479AA3A4,
    0xF987A7253AC413176F2B074CF7815E54,
    0xF3392B0822B70005940C7A398E4B70F3,
    0xE7159475A2C29B7443B29C7FA6E889D9,
    0xD097F3BDFD2022B8845AD8F792AA5825,
    0xA9F746462D870FDF8A65DC1F90E061E5,
    0x70D869A156D2A1B890BB3DF62BAF32F7,
    0x31BE135F97D08FD981231505542FCFA6,
    0x9AA508B5B7A84E1C677DE54F3E99BC9,
    0x5D6AF8DEDB81196699C329225EE604,
    0x2216E584F5FA1EA926041BEDFE98,
    0x48A170391F7DC42444E8FA2,
)
_UINT256_MAX: Final = 2**256 - 1
# Pools share their ticks (word boundaries above all): enough for the ticks of a few thousand pools.
_RATIOS_CACHED_MAX: Final = 65_536
_LN_SQRT_1_0001: Final = math.log(1.0001) / 2
_LN_Q96: Final = 96 * math.log(2)


@lru_cache(maxsize=_RATIOS_CACHED_MAX)
def sqrt_ratio_at_tick(tick: int) -> int:
    """sqrt(1.0001^tick) * 2^96, rounded up from the contract's Q128.128 [Q64.96]."""
    if not MIN_TICK <= tick <= MAX_TICK:
        raise PriceLimitError(
            what=f"tick {tick} is outside [{MIN_TICK}, {MAX_TICK}]",
            where="sqrt_ratio_at_tick",
            fix="use a tick that the pool can have",
        )
    magnitude = abs(tick)
    ratio = 1 << 128
    bit = 0
    while magnitude:
        if magnitude & 1:
            ratio = (ratio * _FACTORS_Q128[bit]) >> 128
        magnitude >>= 1
        bit += 1
    if tick > 0:
        ratio = _UINT256_MAX // ratio
    return (ratio >> 32) + (1 if ratio & 0xFFFFFFFF else 0)


def tick_at_sqrt_ratio(sqrt_price_x96: int) -> int:
    """The greatest tick whose ratio is <= the price."""
    if not MIN_SQRT_RATIO <= sqrt_price_x96 < MAX_SQRT_RATIO:
        raise PriceLimitError(
            what=f"square-root price {sqrt_price_x96} is outside [{MIN_SQRT_RATIO}, {MAX_SQRT_RATIO})",
            where="tick_at_sqrt_ratio",
            fix="check that the pool is initialised and that slot0 was decoded from its first word",
        )
    tick = math.floor((math.log(sqrt_price_x96) - _LN_Q96) / _LN_SQRT_1_0001)
    tick = min(max(tick, MIN_TICK), MAX_TICK - 1)
    # The estimate is off by one at most; the loops make the answer independent of that.
    while sqrt_ratio_at_tick(tick) > sqrt_price_x96:
        tick -= 1
    while sqrt_ratio_at_tick(tick + 1) <= sqrt_price_x96:
        tick += 1
    return tick
