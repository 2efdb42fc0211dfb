"""Curve: stableswap and crypto pools trade, take in and pay out what was quoted, over long random lives."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.units import BPS, Address
from seawall.protocols.adapters import curve, curve_crypto
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Redeem,
    RemoveLiquidity,
    Swap,
    TokenAmount,
)
from seawall.protocols.adapters.curve import CurveState
from seawall.protocols.adapters.curve_crypto import CurveCryptoState
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.rpc import NodeRefusedError
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
STEPS = 40


@pytest.fixture
def stable(shared_devnet: Devnet) -> Iterator[Ground[CurveState]]:
    before = snapshot(shared_devnet)
    (adapter,) = curve.from_book(shared_devnet.book)
    yield Ground(shared_devnet, adapter)
    revert(shared_devnet, before)


@pytest.fixture
def crypto(shared_devnet: Devnet) -> Iterator[Ground[CurveCryptoState]]:
    before = snapshot(shared_devnet)
    (adapter,) = curve_crypto.from_book(shared_devnet.book)
    yield Ground(shared_devnet, adapter)
    revert(shared_devnet, before)


def coins_of(devnet: Devnet, other: str) -> tuple[Address, Address]:
    return devnet.book.address("usdx"), devnet.book.address(other)


def random_stable_action(dice: random.Random, devnet: Devnet, held: int) -> Action:
    usdx, rusd = coins_of(devnet, "redeemable_usd")
    pool = devnet.book.address("curve_stable_usdx_redeemable_usd")
    whole = dice.choice((1, 7, 1_000, 200_000))
    dollars, tokens = whole * dice.randrange(1, DOLLAR), whole * dice.randrange(1, ETHER)
    burnt = dice.randrange(1, held // dice.choice((2, 100, 10**9)))
    return dice.choice(
        (
            Swap(usdx, rusd, dollars),
            Swap(rusd, usdx, tokens),
            AddLiquidity((TokenAmount(usdx, dollars),), pool),
            AddLiquidity((TokenAmount(rusd, tokens), TokenAmount(usdx, dollars)), pool),
            RemoveLiquidity(pool, burnt),
            Redeem(pool, dice.choice((usdx, rusd)), burnt),
        )
    )


def test_a_random_life_of_a_stable_pool_goes_as_quoted(stable: Ground[CurveState]) -> None:
    dice = random.Random("curve stable")
    pool = stable.devnet.book.address("curve_stable_usdx_redeemable_usd")
    landed = set()
    for _ in range(STEPS):
        action = random_stable_action(dice, stable.devnet, stable.balance(pool))
        try:
            lands_as_quoted(stable, action)
        except UnavailableActionError:
            with pytest.raises(NodeRefusedError):
                stable.act(stable.adapter.build(action, stable.account), stable.block.timestamp_s)
            continue
        landed.add(type(action))
    assert landed == stable.adapter.actions


def test_the_pools_own_views_agree(stable: Ground[CurveState]) -> None:
    state = stable.state()
    pool = stable.devnet.book.address("curve_stable_usdx_redeemable_usd")
    assert state.pool.virtual_price_down() == stable.view(pool, "get_virtual_price()")
    for i, dx in ((0, 123_456 * DOLLAR + 7), (1, 999_999 * ETHER + 1), (0, 1), (1, 10**13)):
        asked = stable.view(pool, "get_dy(int128,int128,uint256)", i, 1 - i, dx)
        assert state.pool.get_dy_down(i, 1 - i, dx) == asked
    for amounts in ((DOLLAR, 0), (0, 5 * ETHER + 3), (10**12 + 1, 10**24)):
        asked = stable.view(pool, "calc_token_amount(uint256[],bool)", amounts, True)
        assert state.pool.minted_down(amounts) == asked
    for i in (0, 1):
        asked = stable.view(pool, "calc_withdraw_one_coin(uint256,int128)", 1_234 * ETHER, i)
        assert state.pool.withdrawn_one_down(1_234 * ETHER, i) == asked


def test_the_pool_afterwards_is_the_one_foreseen(stable: Ground[CurveState]) -> None:
    usdx, rusd = coins_of(stable.devnet, "redeemable_usd")
    share = stable.devnet.book.address("curve_stable_usdx_redeemable_usd")
    before = stable.state().pool
    lands_as_quoted(stable, Swap(usdx, rusd, 123_456 * DOLLAR + 1))
    traded = stable.state().pool
    assert traded == before.after_exchange(0, 1, 123_456 * DOLLAR + 1)
    lands_as_quoted(stable, AddLiquidity((TokenAmount(rusd, 7_777 * ETHER + 1),), share))
    assert stable.state().pool == traded.after_minting((0, 7_777 * ETHER + 1))


def test_minimums_are_held_by_quote_and_pool(stable: Ground[CurveState]) -> None:
    usdx, rusd = coins_of(stable.devnet, "redeemable_usd")
    pool = stable.devnet.book.address("curve_stable_usdx_redeemable_usd")
    state = stable.state()

    def given(action: Action) -> int:
        return stable.adapter.quote(state, action, stable.account).gives[0].amount

    sold = given(Swap(usdx, rusd, 1_000 * DOLLAR))
    refused_by_both(stable, Swap(usdx, rusd, 1_000 * DOLLAR, sold + 1), "is demanded")
    brought = (TokenAmount(usdx, 1_000 * DOLLAR),)
    minted = given(AddLiquidity(brought, pool))
    refused_by_both(stable, AddLiquidity(brought, pool, minted + 1), "is demanded")
    one = given(Redeem(pool, usdx, 100 * ETHER))
    refused_by_both(stable, Redeem(pool, usdx, 100 * ETHER, one + 1), "is demanded")
    least = (TokenAmount(usdx, given(RemoveLiquidity(pool, 100 * ETHER)) + 1),)
    refused_by_both(stable, RemoveLiquidity(pool, 100 * ETHER, least), "is demanded")
    lands_as_quoted(stable, Swap(usdx, rusd, 1_000 * DOLLAR, sold))


def test_several_coins_with_a_minimum_are_held_by_the_plan(stable: Ground[CurveState]) -> None:
    usdx, rusd = coins_of(stable.devnet, "redeemable_usd")
    pool = stable.devnet.book.address("curve_stable_usdx_redeemable_usd")
    adapter = stable.adapter
    assert isinstance(adapter, curve.CurveStableAdapter)
    both = (TokenAmount(usdx, DOLLAR), TokenAmount(rusd, ETHER))
    (bound,) = adapter.bounds(AddLiquidity(both, pool, 5), stable.account)
    assert (bound.token, bound.kind, bound.amount) == (pool, "inflow", 5)
    assert adapter.bounds(AddLiquidity(both[:1], pool, 5), stable.account) == ()
    assert len(adapter.build(AddLiquidity(both, pool, 5), stable.account)) == 2
    with pytest.raises(UnavailableActionError, match="named twice"):
        adapter.build(AddLiquidity((both[0], both[0]), pool), stable.account)


def test_impact_grows_with_the_trade_and_a_share_is_worth_its_coins(stable: Ground[CurveState]) -> None:
    usdx, rusd = coins_of(stable.devnet, "redeemable_usd")
    state = stable.state()
    impacts = [
        stable.adapter.quote(state, Swap(rusd, usdx, amount * ETHER), stable.account).impact_bps
        for amount in (1, 10_000, 500_000, 900_000)
    ]
    assert impacts == sorted(impacts)
    assert impacts[0] <= 1 < impacts[-1] < BPS
    positions = stable.adapter.positions(state, stable.account)
    assert [position.token for position in positions] == [usdx, rusd]
    assert 9_900 * DOLLAR < positions[0].amount + positions[1].amount // 10**12 < 10_200 * DOLLAR
    assert stable.adapter.liquidity(state, usdx) == 1_000_000 * DOLLAR


def random_crypto_action(dice: random.Random, devnet: Devnet, held: int) -> Action:
    usdx, weth = coins_of(devnet, "weth")
    pool = devnet.book.address("curve_crypto_usdx_weth")
    size = dice.choice((1, 10**3, 10**8, 2 * 10**10))
    dollars = size * dice.randrange(1, 25)
    ether = size * dice.randrange(1, 10**10)
    return dice.choice(
        (
            Swap(usdx, weth, dollars),
            Swap(weth, usdx, ether),
            AddLiquidity((TokenAmount(usdx, dollars),), pool),
            AddLiquidity((TokenAmount(weth, ether),), pool),
            RemoveLiquidity(pool, dice.randrange(1, held)),
        )
    )


def test_a_random_life_of_a_crypto_pool_goes_as_quoted(crypto: Ground[CurveCryptoState]) -> None:
    dice = random.Random("curve crypto")
    pool = crypto.devnet.book.address("curve_crypto_usdx_weth")
    landed, scales = set(), set()
    for _ in range(STEPS):
        crypto.pass_time(dice.choice((1, 60, 3_600)))
        action = random_crypto_action(dice, crypto.devnet, crypto.balance(pool))
        try:
            lands_as_quoted(crypto, action)
        except UnavailableActionError:
            with pytest.raises(NodeRefusedError):
                crypto.act(crypto.adapter.build(action, crypto.account), crypto.block.timestamp_s)
            continue
        landed.add(type(action))
        scales.add(crypto.view(pool, "price_scale()"))
    assert landed == crypto.adapter.actions
    assert len(scales) > 1, "the price scale never moved: the trades are too small to prove anything"


def test_a_crypto_pool_follows_the_market_once_it_has_earned(crypto: Ground[CurveCryptoState]) -> None:
    usdx, weth = coins_of(crypto.devnet, "weth")
    pool = crypto.devnet.book.address("curve_crypto_usdx_weth")
    for _ in range(6):
        lands_as_quoted(crypto, Swap(weth, usdx, 100 * ETHER))
        lands_as_quoted(crypto, Swap(usdx, weth, 150_000 * DOLLAR))
        crypto.pass_time(600)
    assert crypto.view(pool, "price_scale()") < 2_500 * 10**18
    assert crypto.view(pool, "virtual_price()") > 10**18
    crypto.send(pool, "setKilled(bool)", True)
    refused_by_both(crypto, Swap(weth, usdx, ETHER), "killed")
    lands_as_quoted(crypto, RemoveLiquidity(pool, ETHER // 3))


def test_a_crypto_pool_keeps_one_unit_of_every_share_that_is_burnt(crypto: Ground[CurveCryptoState]) -> None:
    pool = crypto.devnet.book.address("curve_crypto_usdx_weth")
    held = crypto.state().pool
    per_wei = held.supply // held.balances[1] + 1
    burnt = next(n for n in range(1, 2 * per_wei) if n * held.balances[1] // held.supply == 1)
    assert lands_as_quoted(crypto, RemoveLiquidity(pool, burnt)).gives[1].amount == 0


def test_trades_beyond_the_range_of_a_crypto_pool_are_refused(crypto: Ground[CurveCryptoState]) -> None:
    usdx, weth = coins_of(crypto.devnet, "weth")
    crypto.send("usdx", "mint(address,uint256)", crypto.account, 10**18)
    refused_by_both(crypto, Swap(usdx, weth, 10**18), "range")
