"""Small pools made by hand, and pools drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import strategies as st

from seawall.markets.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import TickTable, V3Pool
from seawall.primitives.units import Address

TOKEN0 = Address(bytes([0xA0]) * 20)
TOKEN1 = Address(bytes([0xB0]) * 20)
PAIR = Address(bytes([0x02]) * 20)
POOL = Address(bytes([0x03]) * 20)


def pair(reserve0: int, reserve1: int, fee_numerator: int = 997, fee_denominator: int = 1000) -> V2Pool:
    return V2Pool(PAIR, TOKEN0, TOKEN1, reserve0, reserve1, fee_numerator, fee_denominator)


def pool(
    nets: Mapping[int, int],
    *,
    tick: int = 0,
    sqrt_price_x96: int | None = None,
    fee_pips: int = 3000,
    tick_spacing: int = 60,
    known_low: int = MIN_TICK,
    known_high: int = MAX_TICK,
) -> V3Pool:
    """A pool whose in-range liquidity follows from its ticks."""
    return V3Pool(
        POOL,
        TOKEN0,
        TOKEN1,
        fee_pips,
        tick_spacing,
        sqrt_ratio_at_tick(tick) if sqrt_price_x96 is None else sqrt_price_x96,
        tick,
        sum(net for index, net in nets.items() if index <= tick),
        TickTable.from_mapping(
            {index: net for index, net in nets.items() if known_low <= index <= known_high},
            known_low,
            known_high,
        ),
    )


def positions(*ranges: tuple[int, int, int]) -> dict[int, int]:
    """{tick: net} of (lower, upper, liquidity) positions."""
    nets: dict[int, int] = {}
    for lower, upper, liquidity in ranges:
        nets[lower] = nets.get(lower, 0) + liquidity
        nets[upper] = nets.get(upper, 0) - liquidity
    return nets


@st.composite
def v3_pools(draw: st.DrawFn, liquidity_max: int = 10**22) -> V3Pool:
    """Pools of one to five overlapping positions, one of them always around the price."""
    spacing = draw(st.sampled_from((1, 10, 60, 200)))
    tick = draw(st.integers(-3000, 3000))
    centre = tick // spacing
    width = st.sampled_from((1, 2, 5, 50, 300))
    ranges = [
        (
            (centre - draw(width)) * spacing,
            (centre + 1 + draw(width)) * spacing,
            draw(st.integers(10**5, liquidity_max)),
        )
    ]
    for _ in range(draw(st.integers(0, 4))):
        lower = centre + draw(st.integers(-300, 300))
        ranges.append(
            (
                lower * spacing,
                (lower + draw(width)) * spacing,
                draw(st.integers(1, liquidity_max)),
            )
        )
    low, high = sqrt_ratio_at_tick(tick), sqrt_ratio_at_tick(tick + 1)
    return pool(
        positions(*ranges),
        tick=tick,
        sqrt_price_x96=draw(st.integers(low, high - 1)),
        fee_pips=draw(st.sampled_from((100, 500, 3000, 10_000))),
        tick_spacing=spacing,
    )


@st.composite
def pairs(draw: st.DrawFn, reserve_max: int = 10**24) -> V2Pool:
    fee = draw(st.sampled_from(((997, 1000), (9975, 10_000), (1, 1))))
    reserve = st.integers(1000, reserve_max)
    return pair(draw(reserve), draw(reserve), *fee)
