"""Whatever the pools hold: a promised profit is what exact quotes give, above its floor, and repeatable."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.markets.tick_math import sqrt_ratio_at_tick
from seawall.markets.two_venue import CycleQuote, quote_cycle
from seawall.primitives.units import BPS, Address
from seawall.strategies.arbitrage.prospect import Drop, Filters, weigh
from seawall.strategies.arbitrage.settings import TwoVenueSettings
from seawall.strategies.arbitrage.view import Snapshot, TwoVenueView
from tests.builders.two_pools import ETHER, TwoPools

A, B = Address(b"\x04" * 20), Address(b"\x05" * 20)
VAULT = Address(b"\x06" * 20)
FLOOR_WEI = 10**12


def two_pools(
    tick: int, reserve_wei: int, skew_bps: int, liquidity: int, lendable: int, fee: int
) -> TwoPools:
    """Pools whose prices differ by `skew_bps`, with other positions on either side."""
    sqrt_price_x96 = sqrt_ratio_at_tick(tick)
    other_wei = (reserve_wei * sqrt_price_x96**2 >> 192) * (BPS + skew_bps) // BPS
    net = liquidity // 3
    ticks = {-2000: net, -1800: net, 3800: -net, 4000: -net}
    return TwoPools(A, B, reserve_wei, other_wei, sqrt_price_x96, liquidity, ticks, 10, lendable, fee)


pools = st.builds(
    two_pools,
    st.integers(-1700, 3700),
    st.integers(ETHER, 1000 * ETHER),
    st.integers(-30, 30).map(lambda percent: 100 * percent),
    st.integers(10**20, 10**23),
    st.integers(ETHER // 10, 10_000 * ETHER),
    st.sampled_from((0, 10**14, 10**15)),
)


def snapshot(held: TwoPools, token: Address) -> Snapshot:
    factories = (Address(b"\x61" * 20), Address(b"\x62" * 20))
    where = TwoVenueSettings(1, A, A, A, VAULT, *factories, 500, A, B, FLOOR_WEI)
    view = TwoVenueView(where.v2_market, where.v3_market, VAULT, token)
    seen = [view.observe(held.answers(view.reads())) for _ in range(3)][-1]
    assert seen is not None
    assert seen.v3_is_complete
    return seen


def weighed(held: TwoPools, token: Address) -> CycleQuote | Drop:
    return weigh(snapshot(held, token), Filters(token, 10**24, 10**6, BPS, FLOOR_WEI), 0)


@given(pools, st.sampled_from((A, B)))
@settings(max_examples=150, deadline=None)
def test_promised_profit_is_real_and_above_the_floor(held: TwoPools, token: Address) -> None:
    found = weighed(held, token)
    if isinstance(found, Drop):
        return
    seen = snapshot(held, token)
    assert {found.first.pool, found.second.pool} == {seen.v2, seen.v3}
    again = quote_cycle(found.first, found.second, found.amount_in, seen.flash_fee)
    assert again.amount_out - again.repay == found.profit >= FLOOR_WEI
    assert found.amount_in <= seen.lendable
    assert found.token == token


@given(pools, st.sampled_from((A, B)))
@settings(max_examples=50, deadline=None)
def test_same_pools_are_weighed_the_same(held: TwoPools, token: Address) -> None:
    assert weighed(held, token) == weighed(held, token)


@given(st.integers(-1700, 3700), st.integers(ETHER, 1000 * ETHER), st.integers(10**18, 10**23))
@settings(max_examples=100, deadline=None)
def test_pools_that_agree_on_the_price_bring_no_plan(tick: int, reserve_wei: int, liquidity: int) -> None:
    assert weighed(two_pools(tick, reserve_wei, 0, liquidity, 10**24, 0), A) is Drop.NO_GAP
