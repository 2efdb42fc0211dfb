"""Balancer V2: swaps in a weighted and in a stable pool through the Vault."""

from __future__ import annotations

from dataclasses import replace

from seawall.native import abi_encode, encode_call
from seawall.primitives.units import Address
from seawall.protocols.adapters import balancer_stable
from seawall.protocols.adapters.actions import Action, Swap
from seawall.protocols.adapters.balancer_v2 import BalancerV2Adapter, from_book
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLARS = 2_500 * 10**6


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 30 * ETHER)
    account.stage.give(account.stage.address("usdx"), account.address, 30 * DOLLARS)


def buy(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("usdx"), 7 * ETHER + 1)


def sell_back(account: Account) -> Action:
    bought = account.holds(account.stage.address("usdx")) - 30 * DOLLARS
    return Swap(account.stage.address("usdx"), account.stage.address("weth"), bought)


def more_than_a_third(account: Account) -> Action:
    weth = account.stage.address("weth")
    (adapter,) = from_book(account.stage.devnet.book)
    held = account.stage.balance(weth, adapter.at.vault)
    account.stage.give(weth, account.address, held)
    return Swap(weth, account.stage.address("usdx"), held * 31 // 100)


def create(stage: Stage, *tokens: Address) -> BalancerV2Adapter:
    """A pool in equal parts that nobody has joined."""
    (model,) = from_book(stage.devnet.book)
    factory, nobody = stage.address("balancer_weighted_factory"), Address(bytes(20))
    named = tuple(sorted(tokens))
    call = encode_call(
        "create(string,string,address[],uint256[],address[],uint256,address)",
        ("New", "NEW", named, (ETHER // 2, ETHER // 2), (nobody, nobody), 3 * 10**15, OWNER),
    )
    # The factory returns the address: asking first and sending then meets the same nonce.
    pool = Address(stage.devnet.rpc.view(factory, call)[12:32])
    stage.send_data(OWNER, factory, call)
    pool_id = stage.devnet.rpc.view(pool, encode_call("getPoolId()", ()))
    scales = tuple(10 ** (18 - stage.integer(token, "decimals()")) for token in named)
    at = replace(model.at, name=f"{model.name}-new", pool=pool, pool_id=pool_id, tokens=named)
    return replace(model, at=at, scales=scales)


def unjoined(stage: Stage) -> tuple[AnyAdapter, Action]:
    usdx, ethx = stage.address("usdx"), stage.address("ethx")
    return erased(create(stage, usdx, ethx)), Swap(usdx, ethx, DOLLARS)


def odd_pool(stage: Stage, odd: Address) -> tuple[AnyAdapter, Action]:
    weth = stage.address("weth")
    adapter = create(stage, odd, weth)
    at = adapter.at
    for token in at.tokens:
        stage.send(OWNER, token, "approve(address,uint256)", at.vault, 0)
        stage.send(OWNER, token, "approve(address,uint256)", at.vault, 10**30)
    amounts = (1_000 * ETHER, 1_000 * ETHER)
    user_data = abi_encode(["uint256", "uint256[]"], (0, amounts))
    if odd == stage.address("odd_fee"):
        # The Vault counts what was sent, not what arrived: such a token lends itself coins of others.
        stage.give(odd, at.vault, 100 * ETHER)
    stage.send(
        OWNER,
        at.vault,
        "joinPool(bytes32,address,address,(address[],uint256[],bytes,bool))",
        at.pool_id,
        OWNER,
        OWNER,
        (at.tokens, amounts, user_data, False),
    )
    return erased(adapter), Swap(odd, weth, ETHER)


def fund_stable(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 400 * ETHER)


def buy_stable(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("ethx"), 321 * ETHER + 1)


def sell_stable_back(account: Account) -> Action:
    ethx = account.stage.address("ethx")
    return Swap(ethx, account.stage.address("weth"), account.holds(ethx))


def more_than_the_curve_has(account: Account) -> Action:
    return Swap(account.stage.address("weth"), account.stage.address("ethx"), 2**112)


def stable_unjoined(stage: Stage) -> tuple[AnyAdapter, Action]:
    (model,) = balancer_stable.from_book(stage.devnet.book)
    factory, nobody = stage.address("balancer_stable_factory"), Address(bytes(20))
    tokens = tuple(sorted((stage.address("usdx"), stage.address("ethx"))))
    call = encode_call(
        "create(string,string,address[],uint256,address[],uint256[],bool[],uint256,address)",
        ("New", "NEW", tokens, 100, (nobody, nobody), (0, 0), (False, False), 10**15, OWNER),
    )
    pool = Address(stage.devnet.rpc.view(factory, call)[12:32])
    stage.send_data(OWNER, factory, call)
    pool_id = stage.devnet.rpc.view(pool, encode_call("getPoolId()", ()))
    at = replace(model.at, name=f"{model.name}-new", pool=pool, pool_id=pool_id, tokens=tokens)
    return erased(replace(model, at=at)), Swap(tokens[0], tokens[1], DOLLARS)


SCENARIOS = (
    Scenario(
        adapter="balancer_v2:weth-usdx",
        fund=fund,
        steps=(buy, sell_back),
        base="weth",
        too_much=more_than_a_third,
        pause=Absent("the Vault can be stopped for its first 90 days alone, which the devnet has behind it"),
        empty=unjoined,
        odd=odd_pool,
    ),
    Scenario(
        adapter="balancer_stable:weth-ethx",
        fund=fund_stable,
        steps=(buy_stable, sell_stable_back),
        base="weth",
        too_much=more_than_the_curve_has,
        pause=Absent("pools can be stopped for their first 90 days alone, which the devnet has behind it"),
        empty=stable_unjoined,
        odd=Absent("the Vault counts what was sent, as for weighted pools; the pool never moves a token"),
    ),
)
