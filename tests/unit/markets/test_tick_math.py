"""Ticks and prices at their ends and between."""

from __future__ import annotations

from decimal import Decimal, localcontext

import pytest

from seawall.markets.errors import PriceLimitError
from seawall.markets.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)


def test_ends_are_the_contracts_constants() -> None:
    assert sqrt_ratio_at_tick(MIN_TICK) == MIN_SQRT_RATIO
    assert sqrt_ratio_at_tick(MAX_TICK) == MAX_SQRT_RATIO
    assert sqrt_ratio_at_tick(0) == 2**96


@pytest.mark.parametrize("exponent", range(20))
@pytest.mark.parametrize("sign", [-1, 1])
def test_every_factor_is_the_power_it_stands_for(exponent: int, sign: int) -> None:
    tick = sign * 2**exponent
    with localcontext() as context:
        context.prec = 120
        exact = (Decimal("1.0001") ** tick).sqrt() * 2**96
        # Relative error of a product of Q128 factors, plus one for the final rounding up.
        assert abs(sqrt_ratio_at_tick(tick) - exact) <= exact / 2**88 + 1


@pytest.mark.parametrize("tick", [MIN_TICK - 1, MAX_TICK + 1])
def test_tick_out_of_range_is_refused(tick: int) -> None:
    with pytest.raises(PriceLimitError):
        sqrt_ratio_at_tick(tick)


@pytest.mark.parametrize("price", [0, MIN_SQRT_RATIO - 1, MAX_SQRT_RATIO, 2**160])
def test_price_out_of_range_is_refused(price: int) -> None:
    with pytest.raises(PriceLimitError):
        tick_at_sqrt_ratio(price)


def test_tick_of_the_last_prices() -> None:
    assert tick_at_sqrt_ratio(MIN_SQRT_RATIO) == MIN_TICK
    assert tick_at_sqrt_ratio(MAX_SQRT_RATIO - 1) == MAX_TICK - 1
