"""PancakeSwap V3 and Slipstream: swaps over ticks in pools under other addresses."""

from __future__ import annotations

from dataclasses import replace

from seawall.native import encode_call
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.v3_forks import V3ForkAdapter, from_book
from seawall.protocols.uniswap_v2 import sorted_tokens
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLARS = 2_500 * 10**6
# Enough to leave the narrower of the two ranges.
CROSSING = 200 * ETHER
LIQUIDITY = 10**21
END = 60


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 300 * ETHER)
    account.stage.give(account.stage.address("usdx"), account.address, 30 * DOLLARS)


def adapter_named(stage: Stage, name: str) -> V3ForkAdapter:
    return next(found for found in from_book(stage.devnet.book) if found.name == name)


def buy(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), CROSSING)


def sell_back(account: Account) -> Action:
    bought = account.holds(account.stage.address("usdx")) - 30 * DOLLARS
    return Swap(account.stage.address("usdx"), account.stage.address("weth"), bought)


def drain(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), 2**112)


def open_pool(name: str, stage: Stage, token: Address, other: Address) -> V3ForkAdapter:
    """A new pool at a price of one for one."""
    model = adapter_named(stage, name)
    deployment, tokens = model.deployment, sorted_tokens(token, other)
    if model.fee_changes:
        factory = deployment.factory
        call = encode_call("createPool(address,address,int24)", (*tokens, deployment.salt_word))
    else:
        factory = stage.address("pancake_v3_factory")
        call = encode_call("createPool(address,address,uint24)", (*tokens, deployment.salt_word))
    pool = Address(stage.devnet.rpc.view(factory, call)[12:32])
    stage.send_data(OWNER, factory, call)
    stage.send(OWNER, pool, "initialize(uint160)", 2**96)
    market = replace(deployment.market, address=pool, token0=tokens[0], token1=tokens[1])
    return replace(model, deployment=replace(deployment, name=f"{name}-new", market=market))


def unopened(name: str, stage: Stage) -> tuple[AnyAdapter, Action]:
    usdx, ethx = stage.address("usdx"), stage.address("ethx")
    return erased(open_pool(name, stage, usdx, ethx)), Swap(usdx, ethx, DOLLARS)


def odd_pool(name: str, stage: Stage, odd: Address) -> tuple[AnyAdapter, Action]:
    weth, bringer = stage.address("weth"), stage.address("v3_bringer")
    adapter = open_pool(name, stage, odd, weth)
    market = adapter.deployment.market
    for token in (odd, weth):
        stage.send(OWNER, token, "approve(address,uint256)", bringer, 0)
        stage.send(OWNER, token, "approve(address,uint256)", bringer, 10**30)
    near, far = market.tick_spacing, END * market.tick_spacing
    ends = (-far, far)
    if odd == stage.address("odd_fee"):
        # The pool checks what arrives: only the other side can be brought.
        ends = (-far, -near) if market.token0 == odd else (near, far)
    stage.send(OWNER, bringer, "bring(address,int24,int24,uint128)", market.address, *ends, LIQUIDITY)
    return erased(adapter), Swap(odd, weth, ETHER)


def scenario(name: str) -> Scenario:
    return Scenario(
        adapter=name,
        fund=fund,
        steps=(buy, sell_back),
        base="weth",
        too_much=drain,
        pause=Absent("pools cannot be stopped"),
        empty=lambda stage: unopened(name, stage),
        odd=lambda stage, token: odd_pool(name, stage, token),
        positions=Absent("liquidity is not brought to them"),
    )


SCENARIOS = (scenario("pancake_v3:weth-usdx-2500"), scenario("slipstream:weth-usdx-100"))
