"""Curve maths on arbitrary pools: no circle pays, and no deposit gives back more than it took."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seawall.markets.curve_crypto import Amplification, CryptoPool, newton_d, newton_y
from seawall.markets.curve_stable import StableKind, StablePool
from seawall.markets.errors import MarketError
from seawall.primitives.bounds import UINT256_MAX

WAD = 10**18


@st.composite
def stable_pools(draw: st.DrawFn) -> StablePool:
    coins = draw(st.integers(2, 4))
    decimals = [draw(st.sampled_from((6, 8, 18))) for _ in range(coins)]
    whole = draw(st.integers(10**3, 10**9))
    balances = tuple(whole * draw(st.integers(50, 2_000)) * 10**places // 100 for places in decimals)
    kind = draw(st.sampled_from(tuple(StableKind)))
    pool = StablePool(
        name="drawn",
        kind=kind,
        amplification=draw(st.integers(10, 5_000)) * kind.a_precision,
        balances=balances,
        rates=tuple(10 ** (36 - places) for places in decimals),
        supply=1,
        fee=draw(st.integers(0, 4 * 10**7)),
        offpeg_multiplier=draw(st.sampled_from((0, 10**10, 2 * 10**10, 10**11))),
    )
    return replace(pool, supply=pool.invariant(pool.balances))


def part_of(data: st.DataObject, balance: int) -> int:
    return max(1, balance * data.draw(st.integers(1, 10**6)) // 10**7)


@given(stable_pools(), st.data())
def test_there_and_back_never_pays(pool: StablePool, data: st.DataObject) -> None:
    i, j = data.draw(st.permutations(range(pool.coins)))[:2]
    dx = part_of(data, pool.balances[i])
    try:
        dy = pool.exchanged_down(i, j, dx)
        assume(dy > 0)
        back = pool.after_exchange(i, j, dx).exchanged_down(j, i, dy)
    except MarketError:
        return
    assert back <= dx


@given(stable_pools(), st.data())
def test_a_trade_never_lowers_the_value_of_a_share(pool: StablePool, data: st.DataObject) -> None:
    i, j = data.draw(st.permutations(range(pool.coins)))[:2]
    try:
        after = pool.after_exchange(i, j, part_of(data, pool.balances[i]))
    except MarketError:
        return
    # Newton ends within two units of D.
    assert after.invariant(after.balances) >= pool.invariant(pool.balances) - 2


@given(stable_pools(), st.data())
def test_a_deposit_taken_out_again_pays_no_more_than_it_took(pool: StablePool, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, pool.coins - 1))
    amount = part_of(data, pool.balances[place])
    amounts = [amount if k == place else 0 for k in range(pool.coins)]
    try:
        after = pool.after_minting(amounts)
        minted = pool.minted_down(amounts)
        assume(minted > 0)
        paid = after.withdrawn_one_down(minted, place)
    except MarketError:
        return
    assert after.supply == pool.supply + minted
    assert paid <= amount


@given(stable_pools(), st.data())
def test_a_part_of_the_supply_takes_that_part_of_every_coin(pool: StablePool, data: st.DataObject) -> None:
    burnt = data.draw(st.integers(1, pool.supply))
    paid = pool.withdrawn_down(burnt)
    for out, balance in zip(paid, pool.balances, strict=True):
        assert out * pool.supply <= balance * burnt < (out + 1) * pool.supply


@given(stable_pools(), st.integers(0, 5), st.integers(0, 5), st.integers(-1, UINT256_MAX + 1))
def test_any_trade_has_an_answer_or_a_market_error(pool: StablePool, i: int, j: int, dx: int) -> None:
    for quoted in (pool.exchanged_down, pool.get_dy_down):
        try:
            assert 0 <= quoted(i, j, dx) < pool.balances[j]
        except MarketError:
            continue


@st.composite
def crypto_pools(draw: st.DrawFn) -> CryptoPool:
    coins = draw(st.integers(2, 3))
    prices = tuple(draw(st.integers(10**15, 10**23)) for _ in range(coins - 1))
    value = draw(st.integers(10**20, 10**27))
    worth = [value * draw(st.integers(60, 160)) // 100 for _ in range(coins)]
    ann = draw(st.integers(10, 200)) * 10_000 * coins**coins // 10
    pool = CryptoPool(
        name="drawn",
        amplification=Amplification(ann),
        gamma=draw(st.integers(10**13, 10**15)),
        d=1,
        balances=(worth[0], *(each * WAD // price for each, price in zip(worth[1:], prices, strict=True))),
        precisions=(1,) * coins,
        price_scale=prices,
        mid_fee=draw(st.integers(0, 3 * 10**7)),
        out_fee=draw(st.integers(3 * 10**7, 10**8)),
        fee_gamma=draw(st.integers(10**13, 10**16)),
        supply=value,
    )
    assume(min(pool.balances) > 10**6)
    return replace(pool, d=newton_d(pool.amplification, pool.gamma, pool.scaled(pool.balances), "drawn"))


@given(crypto_pools(), st.data())
def test_newton_finds_the_balance_that_it_was_given(pool: CryptoPool, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, pool.coins - 1))
    xp = pool.scaled(pool.balances)
    found = newton_y(pool.amplification, pool.gamma, xp, pool.d, place, "drawn")
    assert abs(found - xp[place]) <= max(10**4, max(xp) // 10**11)


@given(crypto_pools(), st.data())
def test_a_crypto_trade_there_and_back_never_pays(pool: CryptoPool, data: st.DataObject) -> None:
    i, j = data.draw(st.permutations(range(pool.coins)))[:2]
    dx = part_of(data, pool.balances[i])
    try:
        dy = pool.get_dy_down(i, j, dx)
        assume(dy > 0)
        moved = list(pool.balances)
        moved[i], moved[j] = moved[i] + dx, moved[j] - dy
        back = replace(pool, balances=tuple(moved)).get_dy_down(j, i, dy)
    except MarketError:
        return
    # With the same D, what Newton leaves open is all that could be gained.
    assert back <= dx + max(2, dx // 10**9)


@given(crypto_pools(), st.data())
def test_fees_of_crypto_pools_lie_between_their_ends(pool: CryptoPool, data: st.DataObject) -> None:
    xp = [data.draw(st.integers(10**18, 10**27)) for _ in range(pool.coins)]
    assert pool.mid_fee - 1 <= pool.fee_of(xp) <= pool.out_fee
    even = [max(xp)] * pool.coins
    assert pool.fee_of(even) <= pool.fee_of(xp)


@given(crypto_pools(), st.integers(0, 3), st.integers(0, 3), st.integers(-1, UINT256_MAX + 1))
def test_any_crypto_trade_has_an_answer_or_a_market_error(pool: CryptoPool, i: int, j: int, dx: int) -> None:
    try:
        assert 0 <= pool.get_dy_down(i, j, dx) < pool.balances[j]
    except MarketError:
        return


@pytest.mark.parametrize("burnt", [0, -1, WAD + 1])
def test_no_more_than_the_supply_is_burnt(burnt: int) -> None:
    pool = StablePool("fixed", StableKind.NG, 20_000, (WAD, WAD), (WAD, WAD), WAD, 0)
    for taken in (lambda: pool.withdrawn_down(burnt), lambda: pool.withdrawn_one_down(burnt, 0)):
        with pytest.raises(MarketError, match="burning"):
            taken()
