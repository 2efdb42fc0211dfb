"""Prices and ticks are inverse and monotone over the whole range."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.markets.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)


@settings(deadline=None)
@given(st.integers(MIN_TICK, MAX_TICK - 1))
def test_tick_of_a_ticks_price_is_the_tick(tick: int) -> None:
    price = sqrt_ratio_at_tick(tick)
    assert tick_at_sqrt_ratio(price) == tick
    assert sqrt_ratio_at_tick(tick + 1) > price
    if tick > MIN_TICK:
        assert tick_at_sqrt_ratio(price - 1) == tick - 1


@settings(deadline=None)
@given(st.integers(MIN_SQRT_RATIO, MAX_SQRT_RATIO - 1))
def test_tick_is_the_greatest_whose_price_is_not_above(price: int) -> None:
    tick = tick_at_sqrt_ratio(price)
    assert sqrt_ratio_at_tick(tick) <= price < sqrt_ratio_at_tick(tick + 1)
