"""What is prepared for many amounts says what the quote of each one says, or leaves it to that quote."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.markets.errors import MarketError
from seawall.markets.selling import selling_v2, selling_v3
from seawall.markets.uniswap_v2 import RESERVE_MAX, V2Pool
from seawall.markets.uniswap_v3 import V3Pool
from tests.unit.markets.worlds import pair, pairs, v3_pools

_AMOUNTS = st.lists(
    st.one_of(
        st.integers(-1, 2**20),
        st.integers(1, 10**27),
        st.integers(RESERVE_MAX - 2**80, RESERVE_MAX + 2),
        st.integers(2**255 - 2, 2**257),
    ),
    min_size=1,
    max_size=12,
)


@settings(deadline=None)
@given(pairs(), st.booleans(), _AMOUNTS)
def test_many_amounts_sold_to_a_pair_are_its_quotes(
    pool: V2Pool, zero_for_one: bool, amounts: list[int]
) -> None:
    selling = selling_v2(pool, zero_for_one)
    for amount_in in amounts:
        assert selling(amount_in) == _quoted_by_pair(pool, zero_for_one, amount_in)


@settings(deadline=None, max_examples=60)
@given(v3_pools(), st.booleans(), _AMOUNTS, st.integers(0, 4_000), st.randoms())
def test_many_amounts_sold_to_a_v3_pool_are_its_quotes(
    pool: V3Pool, zero_for_one: bool, amounts: list[int], known_around: int, chance: Random
) -> None:
    """Ends of its ranges, and of what is known of it, are asked too; the last one is left to the quote."""
    narrow = _known_around(pool, known_around)
    ends = list(accumulate((step.amount_in for step in narrow.steps(zero_for_one)), initial=0))
    asked = {ends[-1], *chance.sample(ends, min(len(ends), 4))}
    selling = selling_v3(narrow, zero_for_one)
    for amount_in in [*amounts, *(end + offset for end in asked for offset in (-1, 0, 1))]:
        quoted = _quoted_by_pool(narrow, zero_for_one, amount_in)
        assert selling(amount_in) == (quoted if amount_in < ends[-1] else None)


def test_an_empty_pair_sells_nothing() -> None:
    assert selling_v2(pair(0, 10**18), True)(10**6) is None


def _quoted_by_pair(pool: V2Pool, zero_for_one: bool, amount_in: int) -> int | None:
    try:
        pool.after_exact_in(zero_for_one, amount_in)
    except MarketError:
        return None
    return pool.amount_out_down(zero_for_one, amount_in)


def _quoted_by_pool(pool: V3Pool, zero_for_one: bool, amount_in: int) -> int | None:
    try:
        return pool.quote_exact_in(zero_for_one, amount_in).amount_out
    except MarketError:
        return None


def _known_around(pool: V3Pool, ticks: int) -> V3Pool:
    """Of its ticks only those this far from the price are known; zero knows all."""
    if not ticks:
        return pool
    low, high = pool.tick - ticks, pool.tick + ticks
    known = {
        index: net
        for index, net in zip(pool.ticks.indexes, pool.ticks.liquidity_nets, strict=True)
        if low <= index <= high
    }
    return replace(pool, ticks=type(pool.ticks).from_mapping(known, low, high))
