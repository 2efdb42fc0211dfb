"""V3 pools: crossing, limits, the edge of what is known, and every refusal."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.markets.errors import (
    AmountError,
    InsufficientLiquidityError,
    PoolStateError,
    PriceLimitError,
    UnknownTicksError,
)
from seawall.markets.tick_math import MAX_SQRT_RATIO, MIN_SQRT_RATIO, sqrt_ratio_at_tick
from seawall.markets.uniswap_v3 import TickTable
from tests.unit.markets.worlds import TOKEN0, TOKEN1, pool, positions

_L = 10**18
_TWO_RANGES = positions((-6000, 6000, _L), (-60, 60, 5 * _L))


def test_small_swap_stays_in_its_range() -> None:
    quote = pool(_TWO_RANGES).quote_exact_in(True, 10**12)
    assert quote.ticks_crossed == 0
    assert quote.liquidity_after == 6 * _L
    assert quote.complete


@pytest.mark.parametrize("zero_for_one", [True, False])
def test_large_swap_crosses_into_the_thinner_range(zero_for_one: bool) -> None:
    quote = pool(_TWO_RANGES).quote_exact_in(zero_for_one, 10**17)
    assert quote.ticks_crossed == 1
    assert quote.liquidity_after == _L


def test_exact_out_asks_for_the_input_that_gives_it() -> None:
    market = pool(_TWO_RANGES)
    wanted = market.quote_exact_in(True, 10**17).amount_out
    quote = market.quote_exact_out(True, wanted)
    assert quote.amount_out == wanted
    assert quote.amount_in <= 10**17
    assert market.quote_exact_in(True, quote.amount_in).amount_out >= wanted


def test_tick_at_the_price_is_crossed_only_downwards() -> None:
    market = pool(positions((-600, 0, _L), (0, 600, 2 * _L)))
    assert market.liquidity == 2 * _L
    down, up = market.quote_exact_in(True, 10**10), market.quote_exact_in(False, 10**10)
    assert (down.ticks_crossed, down.liquidity_after) == (1, _L)
    assert (up.ticks_crossed, up.liquidity_after) == (0, 2 * _L)


def test_gap_without_liquidity_is_jumped() -> None:
    quote = pool(positions((-60, 60, _L), (-6000, -3000, _L))).quote_exact_in(True, 10**17)
    assert quote.ticks_crossed == 2
    assert quote.tick_after < -3000
    assert quote.complete


def test_swap_beyond_all_liquidity_is_refused_without_a_limit_and_partial_with_one() -> None:
    market = pool(_TWO_RANGES)
    with pytest.raises(InsufficientLiquidityError):
        market.quote_exact_in(True, 10**24)
    quote = market.quote_exact_in(True, 10**24, MIN_SQRT_RATIO + 1)
    assert not quote.complete
    assert quote.amount_in < 10**24
    assert quote.sqrt_price_after_x96 == MIN_SQRT_RATIO + 1


def test_price_limit_stops_a_swap_at_exactly_that_price() -> None:
    limit = sqrt_ratio_at_tick(-30) + 7
    quote = pool(_TWO_RANGES).quote_exact_in(True, 10**18, limit)
    assert quote.sqrt_price_after_x96 == limit
    assert not quote.complete
    assert quote.tick_after == -30


@pytest.mark.parametrize(
    ("zero_for_one", "limit"),
    [(True, 2**96), (True, 2**97), (True, MIN_SQRT_RATIO), (False, 2**96), (False, MAX_SQRT_RATIO)],
)
def test_limit_on_the_wrong_side_is_refused(zero_for_one: bool, limit: int) -> None:
    with pytest.raises(PriceLimitError):
        pool(_TWO_RANGES).quote_exact_in(zero_for_one, 1000, limit)


@pytest.mark.parametrize("amount", [0, -1, 2**255])
def test_impossible_amounts_are_refused(amount: int) -> None:
    with pytest.raises(AmountError):
        pool(_TWO_RANGES).quote_exact_in(True, amount)
    with pytest.raises(AmountError):
        pool(_TWO_RANGES).quote_exact_out(True, amount)


def test_swap_inside_the_known_ticks_is_exact_and_one_that_leaves_them_is_refused() -> None:
    whole = pool(_TWO_RANGES)
    narrow = pool(_TWO_RANGES, known_low=-119, known_high=119)
    for zero_for_one in (True, False):
        assert narrow.quote_exact_in(zero_for_one, 10**15) == whole.quote_exact_in(zero_for_one, 10**15)
        with pytest.raises(UnknownTicksError, match="known"):
            narrow.quote_exact_in(zero_for_one, 10**17)
        with pytest.raises(UnknownTicksError):
            narrow.quote_exact_out(zero_for_one, 10**17)


def test_limit_inside_the_known_ticks_answers_whatever_the_amount() -> None:
    narrow = pool(_TWO_RANGES, known_low=-119, known_high=119)
    limit = sqrt_ratio_at_tick(-100)
    quote = narrow.quote_exact_in(True, 10**24, limit)
    assert quote == pool(_TWO_RANGES).quote_exact_in(True, 10**24, limit)


def test_pool_whose_price_lies_outside_the_known_ticks_answers_nothing() -> None:
    market = pool(_TWO_RANGES, tick=600, known_low=-600, known_high=0)
    for zero_for_one in (True, False):
        with pytest.raises(UnknownTicksError):
            market.quote_exact_in(zero_for_one, 1000)


def test_swaps_in_a_row_continue_from_the_pool_after() -> None:
    market = pool(_TWO_RANGES)
    first = market.quote_exact_in(True, 10**17)
    after = market.after(first)
    assert (after.sqrt_price_x96, after.tick, after.liquidity) == (
        first.sqrt_price_after_x96,
        first.tick_after,
        first.liquidity_after,
    )
    assert after.quote_exact_in(True, 10**16).amount_out < market.quote_exact_in(True, 10**16).amount_out


def test_direction_follows_the_token() -> None:
    market = pool(_TWO_RANGES)
    assert market.zero_for_one(TOKEN0) is True
    assert market.zero_for_one(TOKEN1) is False


def test_price_that_stands_on_a_tick_may_carry_the_tick_below() -> None:
    market = pool(_TWO_RANGES)
    assert replace(market, tick=-1).tick == -1
    with pytest.raises(PoolStateError, match="does not belong"):
        replace(market, tick=1)


@pytest.mark.parametrize(
    "change",
    [{"fee_pips": 10**6}, {"tick_spacing": 0}, {"liquidity": -1}, {"liquidity": 2**128}, {"tick_spacing": 7}],
)
def test_state_that_no_pool_can_have_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(PoolStateError):
        replace(pool(_TWO_RANGES), **change)  # type: ignore[arg-type]


def test_liquidity_that_would_become_negative_tells_of_a_torn_read() -> None:
    torn = replace(pool(_TWO_RANGES), liquidity=10)
    with pytest.raises(PoolStateError, match="liquidity after tick"):
        torn.quote_exact_in(True, 10**6)


def test_tick_table_that_contradicts_itself_is_refused() -> None:
    for indexes, nets, low, high in (
        ((1, 2), (1,), -10, 10),
        ((2, 1), (1, 1), -10, 10),
        ((1, 1), (1, 1), -10, 10),
        ((11,), (1,), -10, 10),
        ((), (), 10, -10),
        ((), (), -887273, 10),
    ):
        with pytest.raises(PoolStateError):
            TickTable(indexes, nets, low, high)


def test_steps_sum_to_what_a_swap_of_that_input_gives() -> None:
    market = pool(_TWO_RANGES)
    steps = list(market.steps(True))
    total_in, total_out = sum(step.amount_in for step in steps), sum(step.amount_out for step in steps)
    assert market.quote_exact_in(True, total_in).amount_out == total_out
