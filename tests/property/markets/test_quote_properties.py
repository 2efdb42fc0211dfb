"""What must hold of every quote, whatever the pool."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seawall.markets.errors import (
    InsufficientLiquidityError,
    TooManyStepsError,
    UnknownTicksError,
)
from seawall.markets.tick_math import sqrt_ratio_at_tick
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import TickTable, V3Pool
from tests.unit.markets.worlds import pairs, v3_pools

_AMOUNTS = st.integers(1, 10**24)
_NOT_FILLED = (InsufficientLiquidityError, TooManyStepsError)


@settings(deadline=None)
@given(pairs(), st.booleans(), _AMOUNTS)
def test_v2_input_asked_for_an_output_buys_it_and_is_least_but_for_one(
    pool: V2Pool, zero_for_one: bool, amount: int
) -> None:
    reserve_out = pool.reserve1 if zero_for_one else pool.reserve0
    amount_out = 1 + amount % (reserve_out - 1)
    amount_in = pool.amount_in_up(zero_for_one, amount_out)
    assert pool.amount_out_down(zero_for_one, amount_in) >= amount_out
    if amount_in > 2:
        assert pool.amount_out_down(zero_for_one, amount_in - 2) < amount_out


@settings(deadline=None)
@given(pairs(), st.booleans(), _AMOUNTS)
def test_v2_swap_never_shrinks_the_product(pool: V2Pool, zero_for_one: bool, amount_in: int) -> None:
    assume(pool.amount_out_down(zero_for_one, amount_in) > 0)
    after = pool.after_exact_in(zero_for_one, amount_in)
    assert after.reserve0 * after.reserve1 >= pool.reserve0 * pool.reserve1


@settings(deadline=None)
@given(v3_pools(), st.booleans(), _AMOUNTS)
def test_v3_input_asked_for_an_output_buys_it(pool: V3Pool, zero_for_one: bool, amount_out: int) -> None:
    try:
        asked = pool.quote_exact_out(zero_for_one, amount_out)
    except _NOT_FILLED:
        return
    assert asked.amount_out == amount_out
    assert pool.quote_exact_in(zero_for_one, asked.amount_in).amount_out >= amount_out


@settings(deadline=None)
@given(v3_pools(), st.booleans(), _AMOUNTS)
def test_v3_round_trip_never_gains(pool: V3Pool, zero_for_one: bool, amount_in: int) -> None:
    limit = _last_price(zero_for_one)
    there = pool.quote_exact_in(zero_for_one, amount_in, limit)
    assume(there.amount_out > 0)
    back = pool.after(there).quote_exact_in(not zero_for_one, there.amount_out, _last_price(not zero_for_one))
    assert back.amount_out <= there.amount_in


@settings(deadline=None)
@given(v3_pools(), st.booleans(), _AMOUNTS, _AMOUNTS)
def test_v3_two_swaps_give_no_more_than_one_of_the_sum(
    pool: V3Pool, zero_for_one: bool, amount_a: int, amount_b: int
) -> None:
    try:
        whole = pool.quote_exact_in(zero_for_one, amount_a + amount_b)
        first = pool.quote_exact_in(zero_for_one, amount_a)
    except _NOT_FILLED:
        return
    second = pool.after(first).quote_exact_in(zero_for_one, amount_b)
    assert first.amount_out + second.amount_out <= whole.amount_out + 1


@settings(deadline=None)
@given(v3_pools(), st.booleans(), _AMOUNTS)
def test_v3_partial_fill_at_a_limit_is_what_a_swap_of_that_input_gives(
    pool: V3Pool, zero_for_one: bool, amount_in: int
) -> None:
    quote = pool.quote_exact_in(zero_for_one, amount_in, _last_price(zero_for_one))
    assert quote.amount_in <= amount_in
    assert quote.complete == (quote.amount_in == amount_in)
    if quote.amount_in and quote.complete:
        assert pool.quote_exact_in(zero_for_one, quote.amount_in) == quote


@settings(deadline=None)
@given(v3_pools(), st.booleans(), st.booleans(), _AMOUNTS, st.integers(0, 3000), st.integers(0, 3000))
def test_v3_narrow_knowledge_gives_the_same_answer_or_none(
    pool: V3Pool, zero_for_one: bool, exact_in: bool, amount: int, below: int, above: int
) -> None:
    low, high = pool.tick - below, pool.tick + above
    known = {
        tick: net
        for tick, net in zip(pool.ticks.indexes, pool.ticks.liquidity_nets, strict=True)
        if low <= tick <= high
    }
    narrow = replace(pool, ticks=TickTable.from_mapping(known, low, high))
    try:
        answer = (narrow.quote_exact_in if exact_in else narrow.quote_exact_out)(zero_for_one, amount)
    except (UnknownTicksError, *_NOT_FILLED):
        return
    assert answer == (pool.quote_exact_in if exact_in else pool.quote_exact_out)(zero_for_one, amount)


@settings(deadline=None)
@given(v3_pools(), st.booleans())
def test_v3_steps_are_a_swap_taken_apart(pool: V3Pool, zero_for_one: bool) -> None:
    steps = list(pool.steps(zero_for_one))
    total_in, total_out = sum(step.amount_in for step in steps), sum(step.amount_out for step in steps)
    quote = pool.quote_exact_in(zero_for_one, total_in, _last_price(zero_for_one))
    assert (quote.amount_in, quote.amount_out) == (total_in, total_out)


def _last_price(zero_for_one: bool) -> int:
    """A limit so far away that only a swap without enough liquidity reaches it."""
    return sqrt_ratio_at_tick(-150_000 if zero_for_one else 150_000)
