"""The closed form against searching: never worse by more than rounding noise, and never an untrue claim."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.markets.errors import MarketError
from seawall.markets.two_venue import (
    FREE_LOAN,
    CycleQuote,
    FlashFee,
    Leg,
    best_cycle,
    best_cycle_either_way,
    quote_cycle,
)
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import V3Pool
from seawall.primitives.units import Address
from tests.unit.markets.worlds import TOKEN0, TOKEN1, pair, v3_pools

# What the profit may fall short of the best that a search finds, near prices of one [token units]: a unit or
# two of rounding for every range that a swap touches.
_NOISE_MAX = 8
_FEES = st.sampled_from((FREE_LOAN, FlashFee(5, 10_000), FlashFee(1, 10**18)))
_TOKENS = st.sampled_from((TOKEN0, TOKEN1))


@st.composite
def _worlds(draw: st.DrawFn, liquidity_max: int, gap_max: float = 0.04) -> tuple[V2Pool, V3Pool]:
    """A V3 pool and a pair whose price is up to `gap_max` away."""
    pool = draw(v3_pools(liquidity_max))
    price = (pool.sqrt_price_x96 / 2**96) ** 2 * (1 + draw(st.floats(-gap_max, gap_max)))
    reserve0 = draw(st.integers(1000, max(liquidity_max // 4, 2000)))
    return pair(reserve0, max(round(reserve0 * price), 1)), pool


@settings(max_examples=120, deadline=None)
@given(_worlds(10**22), _TOKENS, _FEES)
def test_large_pools_are_sized_as_well_as_any_search_finds(
    world: tuple[V2Pool, V3Pool], token: Address, fee: FlashFee
) -> None:
    quote = best_cycle_either_way(*world, token, fee)
    _assert_true(quote, fee)
    profit = quote.profit if quote else 0
    for first, second in _both_ways(world, token):
        found = max(
            (_profit(first, second, size, fee) for size in _sizes(first, second, fee, quote)), default=0
        )
        assert found <= profit + _NOISE_MAX


@settings(max_examples=25, deadline=None)
@given(_worlds(10**5), _TOKENS, _FEES)
def test_small_pools_are_sized_as_well_as_every_size_tried(
    world: tuple[V2Pool, V3Pool], token: Address, fee: FlashFee
) -> None:
    quote = best_cycle_either_way(*world, token, fee)
    _assert_true(quote, fee)
    profit = quote.profit if quote else 0
    for first, second in _both_ways(world, token):
        found = max(_profit(first, second, size, fee) for size in range(1, 1500))
        assert found <= profit + _NOISE_MAX


@settings(max_examples=120, deadline=None)
@given(_worlds(10**22), _TOKENS, st.integers(1, 10**20))
def test_cap_is_never_passed_and_costs_only_what_it_must(
    world: tuple[V2Pool, V3Pool], token: Address, cap: int
) -> None:
    for first, second in _both_ways(world, token):
        capped, free = best_cycle(first, second, amount_in_max=cap), best_cycle(first, second)
        if capped is not None:
            assert capped.amount_in <= cap
            assert free is not None
            assert capped.profit <= free.profit + _NOISE_MAX
        if free is not None and free.amount_in <= cap:
            assert capped is not None
            assert capped.profit >= free.profit - _NOISE_MAX


def _assert_true(quote: CycleQuote | None, fee: FlashFee) -> None:
    if quote is not None:
        assert quote.profit > 0
        assert quote == quote_cycle(quote.first, quote.second, quote.amount_in, fee, quote.bound)
        assert quote.profit == quote.amount_out - quote.amount_in - fee.fee_up(quote.amount_in)


def _both_ways(world: tuple[V2Pool, V3Pool], token: Address) -> Iterator[tuple[Leg, Leg]]:
    for start, end in (world, world[::-1]):
        yield Leg(start, start.zero_for_one(token)), Leg(end, not end.zero_for_one(token))


def _profit(first: Leg, second: Leg, size: int, fee: FlashFee) -> int:
    try:
        return quote_cycle(first, second, size, fee).profit
    except MarketError:
        return -1


def _sizes(first: Leg, second: Leg, fee: FlashFee, quote: CycleQuote | None) -> Iterator[int]:
    """Where a search by exact quotes alone ends, and a scatter around the size that was claimed."""
    low, high = 1, 10**23
    while high - low > 16:
        left, right = low + (high - low) * 2 // 5, low + (high - low) * 3 // 5
        if _profit(first, second, left, fee) < _profit(first, second, right, fee):
            low = left
        else:
            high = right
    yield from range(low, high + 1)
    if quote is not None:
        scatter = random.Random(quote.amount_in)
        for spread in (10, 10**4, 10**9, max(quote.amount_in // 50, 1)):
            for _ in range(8):
                yield max(quote.amount_in + scatter.randint(-spread, spread), 1)
