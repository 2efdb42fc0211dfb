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
from seawall.rollout.devnet import Trader
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import FAR_FUTURE_S, Account, Stage

ETHER = 10**18
DOLLARS = 2_500 * 10**6
# Enough to leave the narrowest ranges of the devnet's pools.
CROSSING = 600 * ETHER


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 700 * ETHER)
    account.stage.give(account.stage.address("usdx"), account.address, 30 * DOLLARS)


def adapter_named(stage: Stage, name: str) -> UniswapV3Adapter:
    return next(found for found in from_book(stage.devnet.book) if found.name == name)


def buy(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), CROSSING)


def sell_back(account: Account) -> Action:
    bought = account.holds(account.stage.address("usdx")) - 30 * DOLLARS
    return Swap(account.stage.address("usdx"), account.stage.address("weth"), bought)


def bring(account: Account) -> Action:
    weth, usdx = account.stage.address("weth"), account.stage.address("usdx")
    amounts = (TokenAmount(weth, 2 * ETHER), TokenAmount(usdx, 2 * DOLLARS))
    return AddLiquidity(amounts, account.stage.address("uniswap_v3_positions"))


def collect(account: Account) -> Action:
    """After somebody else has traded through the position, both ways."""
    fee = adapter_named(account.stage, account.adapter.name).market.fee_pips
    market = Trader(account.stage.devnet)
    market.swap_v3("weth", "usdx", fee, 50 * ETHER)
    market.swap_v3("usdx", "weth", fee, 40 * DOLLARS)
    tokens = tuple(account.stage.address(token) for token in ("weth", "usdx"))
    return ClaimRewards(tokens, position=number_of(account))


def take_back(account: Account) -> Action:
    manager, number = account.stage.address("uniswap_v3_positions"), number_of(account)
    word = account.stage.word(manager, 7, "positions(uint256)", number)
    return RemoveLiquidity(manager, word, position=number)


def number_of(account: Account) -> int:
    (number,) = {position.reference for position in account.snapshot().positions(account.address)}
    return int(number)


def drain(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), 2**112)


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
    pool = stage.word_address(model.factory, "getPool(address,address,uint24)", token0, token1, fee)
    market = replace(model.market, address=pool, token0=token0, token1=token1)
    return replace(model, name=f"{name}-new", market=market)


def unopened(name: str, stage: Stage) -> tuple[AnyAdapter, Action]:
    usdx, ethx = stage.address("usdx"), stage.address("ethx")
    return erased(open_pool(name, stage, usdx, ethx)), Swap(usdx, ethx, DOLLARS)


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


def scenario(name: str) -> Scenario:
    return Scenario(
        adapter=name,
        fund=fund,
        steps=(buy, sell_back, bring, collect, take_back),
        base="weth",
        too_much=drain,
        pause=Absent("pools cannot be stopped"),
        empty=lambda stage: unopened(name, stage),
        odd=lambda stage, token: odd_pool(name, stage, token),
    )


SCENARIOS = (scenario("uniswap_v3:weth-usdx-500"), scenario("uniswap_v3:weth-usdx-3000"))
