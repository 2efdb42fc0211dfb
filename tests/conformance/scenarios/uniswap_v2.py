"""Uniswap V2 and Sushi: swaps, and shares brought and taken back."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, AddLiquidity, RemoveLiquidity, Swap, TokenAmount
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.pair_shares import Pair
from seawall.protocols.adapters.uniswap_v2 import UniswapV2Adapter, from_book
from seawall.protocols.uniswap_v2 import sorted_tokens
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLARS = 2_500 * 10**6


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 30 * ETHER)
    account.stage.give(account.stage.address("usdx"), account.address, 30 * DOLLARS)


def adapter_named(stage: Stage, name: str) -> UniswapV2Adapter:
    return next(found for found in from_book(stage.devnet.book) if found.name == name)


def buy(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), 7 * ETHER + 1)


def sell_back(account: Account) -> Action:
    bought = account.holds(account.stage.address("usdx")) - 30 * DOLLARS
    return Swap(account.stage.address("usdx"), account.stage.address("weth"), bought)


def bring(account: Account) -> Action:
    weth, usdx = account.stage.address("weth"), account.stage.address("usdx")
    amounts = (TokenAmount(weth, 2 * ETHER), TokenAmount(usdx, 2 * DOLLARS))
    return AddLiquidity(amounts, pair_of(account))


def take_back(account: Account) -> Action:
    pair = pair_of(account)
    return RemoveLiquidity(pair, account.holds(pair))


def drain(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), 2**112)


def pair_of(account: Account) -> Address:
    return adapter_named(account.stage, account.adapter.name).pair.address


def unopened(name: str, stage: Stage) -> tuple[AnyAdapter, Action]:
    """A pair that was created and never brought anything."""
    usdx, ethx = stage.address("usdx"), stage.address("ethx")
    return erased(open_pair(name, stage, usdx, ethx)), Swap(usdx, ethx, DOLLARS)


def open_pair(name: str, stage: Stage, token: Address, other: Address) -> UniswapV2Adapter:
    model = adapter_named(stage, name)
    stage.send(OWNER, model.factory, "createPair(address,address)", token, other)
    token0, token1 = sorted_tokens(token, other)
    pair = stage.word_address(model.factory, "getPair(address,address)", token0, token1)
    return replace(model, pair=Pair(f"{name}-new", pair, token0, token1))


def odd_pair(name: str, stage: Stage, odd: Address) -> tuple[AnyAdapter, Action]:
    weth = stage.address("weth")
    adapter = open_pair(name, stage, odd, weth)
    for token in (odd, weth):
        stage.give(token, adapter.pair.address, 1_000 * ETHER)
    stage.send(OWNER, adapter.pair.address, "mint(address)", OWNER)
    return erased(adapter), Swap(odd, weth, ETHER)


def scenario(name: str) -> Scenario:
    return Scenario(
        adapter=name,
        fund=fund,
        steps=(buy, sell_back, bring, take_back),
        base="weth",
        too_much=drain,
        pause=Absent("pairs cannot be stopped"),
        empty=lambda stage: unopened(name, stage),
        odd=lambda stage, token: odd_pair(name, stage, token),
    )


SCENARIOS = (scenario("uniswap_v2:weth-usdx"), scenario("sushi_v2:weth-usdx"))
