"""Uniswap V3: swaps over ticks, and a numbered position opened, paid its fees, and closed."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    ClaimRewards,
    RemoveLiquidity,
    Swap,
    TokenAmount,
)
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.uniswap_v3 import UniswapV3Adapter, from_book
from seawall.protocols.uniswap_v2 import sorted_tokens
from seawall.rollout.devnet import TRADERS, Trader
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import FAR_FUTURE_S, Account, Stage

ETHER = 10**18
DOLLARS = 2_500 * 10**6
# Enough to leave the narrowest ranges of the devnet's pools.
CROSSING = 600 * ETHER


def fund(account: Account) -> None:
    ether_like, usdx = tokens(account)
    account.stage.give(ether_like, account.address, 700 * ETHER)
    account.stage.give(usdx, account.address, 30 * DOLLARS)


def tokens(account: Account) -> tuple[Address, Address]:
    """The one that is worth as much as WETH, and dollars."""
    usdx = account.stage.address("usdx")
    market = adapter_named(account.stage, account.adapter.name).market
    return (market.token1 if market.token0 == usdx else market.token0), usdx


def adapter_named(stage: Stage, name: str) -> UniswapV3Adapter:
    return next(found for found in from_book(stage.devnet.book) if found.name == name)


def buy(account: Account) -> Action:
    return Swap(*tokens(account), CROSSING)


def sell_back(account: Account) -> Action:
    ether_like, usdx = tokens(account)
    return Swap(usdx, ether_like, account.holds(usdx) - 30 * DOLLARS)


def bring(account: Account) -> AddLiquidity:
    ether_like, usdx = tokens(account)
    amounts = (TokenAmount(ether_like, 2 * ETHER), TokenAmount(usdx, 2 * DOLLARS))
    return AddLiquidity(amounts, account.stage.address("uniswap_v3_positions"))


def bring_more(account: Account) -> Action:
    return replace(bring(account), position=number_of(account))


def collect(account: Account) -> Action:
    """After somebody else has traded through the position, both ways."""
    stage, (ether_like, usdx) = account.stage, tokens(account)
    fee = adapter_named(stage, account.adapter.name).market.fee_pips
    name = {entry.address: entry.name for entry in stage.devnet.book}[ether_like]
    stage.send(TRADERS[0], ether_like, "approve(address,uint256)", stage.address("uniswap_v3_router"), 10**30)
    market = Trader(stage.devnet)
    market.swap_v3(name, "usdx", fee, 50 * ETHER)
    market.swap_v3("usdx", name, fee, 40 * DOLLARS)
    return ClaimRewards((ether_like, usdx), position=number_of(account))


def take_back(account: Account) -> Action:
    manager, number = account.stage.address("uniswap_v3_positions"), number_of(account)
    word = account.stage.word(manager, 7, "positions(uint256)", number)
    return RemoveLiquidity(manager, word, position=number)


def number_of(account: Account) -> int:
    (number,) = {position.reference for position in account.snapshot().positions(account.address)}
    return int(number)


def drain(account: Account) -> Action:
    return Swap(*tokens(account), 2**112)


def open_pool(name: str, stage: Stage, token: Address, other: Address) -> UniswapV3Adapter:
    """A new pool at a price of one for one."""
    model = adapter_named(stage, name)
    token0, token1 = sorted_tokens(token, other)
    fee = model.market.fee_pips
    stage.send(
        OWNER,
        model.manager,
        "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
        token0,
        token1,
        fee,
        2**96,
    )
    factory = model.deployment.factory
    pool = stage.word_address(factory, "getPool(address,address,uint24)", token0, token1, fee)
    market = replace(model.market, address=pool, token0=token0, token1=token1)
    deployment = replace(model.deployment, name=f"{name}-new", market=market)
    return replace(model, deployment=deployment)


def unopened(name: str, stage: Stage) -> tuple[AnyAdapter, Action]:
    dollar, ethx = stage.address("redeemable_usd"), stage.address("ethx")
    return erased(open_pool(name, stage, dollar, ethx)), Swap(dollar, ethx, DOLLARS)


def odd_pool(name: str, stage: Stage, odd: Address) -> tuple[AnyAdapter, Action]:
    weth = stage.address("weth")
    adapter = open_pool(name, stage, odd, weth)
    market = adapter.market
    for token in (odd, weth):
        stage.send(OWNER, token, "approve(address,uint256)", adapter.manager, 0)
        stage.send(OWNER, token, "approve(address,uint256)", adapter.manager, 10**30)
    wanted = (100 * ETHER, 100 * ETHER)
    if odd == stage.address("odd_fee"):
        # The pool checks what arrives: only the other side can be brought.
        wanted = (0, 100 * ETHER) if market.token0 == odd else (100 * ETHER, 0)
    one_sided = 0 in wanted
    end = 60 * market.tick_spacing
    if one_sided:
        ticks = (market.tick_spacing, end) if wanted[0] else (-end, -market.tick_spacing)
    else:
        ticks = (-end, end)
    stage.send(
        OWNER,
        adapter.manager,
        "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))",
        (market.token0, market.token1, market.fee_pips, *ticks, *wanted, 0, 0, OWNER, FAR_FUTURE_S),
    )
    return erased(adapter), Swap(odd, weth, ETHER)


def scenario(name: str, base: str) -> Scenario:
    return Scenario(
        adapter=name,
        fund=fund,
        steps=(buy, sell_back, bring, bring_more, collect, take_back),
        base=base,
        too_much=drain,
        pause=Absent("pools cannot be stopped"),
        empty=lambda stage: unopened(name, stage),
        odd=lambda stage, token: odd_pool(name, stage, token),
    )


SCENARIOS = (
    scenario("uniswap_v3:weth-usdx-500", "weth"),
    scenario("uniswap_v3:weth-usdx-3000", "weth"),
    scenario("uniswap_v3:ethx-usdx-3000", "ethx"),
)
