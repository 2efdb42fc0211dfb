"""Curve: trades there and back, liquidity in and out; a stableswap and a crypto pool."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.units import Address
from seawall.protocols.adapters import curve, curve_crypto
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Redeem,
    RemoveLiquidity,
    Swap,
    TokenAmount,
)
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.again import created_again
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLAR = 10**6
FUNDS = 20_000 * DOLLAR
STABLE = "curve_stable_usdx_redeemable_usd"
CRYPTO = "curve_crypto_usdx_weth"


def coins(account: Account, other: str) -> tuple[Address, Address]:
    return account.stage.address("usdx"), account.stage.address(other)


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("usdx"), account.address, FUNDS)


def kill(stage: Stage) -> None:
    stage.send(OWNER, stage.address(CRYPTO), "setKilled(bool)", True)


def stable_unopened(stage: Stage) -> tuple[AnyAdapter, Action]:
    (model,) = curve.from_book(stage.devnet.book)
    pool = created_again(stage, model.pool)
    return erased(replace(model, pool=pool)), Swap(model.coins[0], model.coins[1], DOLLAR)


def crypto_unopened(stage: Stage) -> tuple[AnyAdapter, Action]:
    (model,) = curve_crypto.from_book(stage.devnet.book)
    pool = created_again(stage, model.pool)
    return erased(replace(model, pool=pool, share=pool)), Swap(model.coins[0], model.coins[1], DOLLAR)


def scenario(adapter: str, pool: str, other: str) -> Scenario:
    def buy(account: Account) -> Action:
        dollars, token = coins(account, other)
        return Swap(dollars, token, 7_000 * DOLLAR + 1)

    def bring(account: Account) -> Action:
        dollars, _ = coins(account, other)
        share = account.stage.address(pool)
        return AddLiquidity((TokenAmount(dollars, 2_000 * DOLLAR + 3),), share)

    def take_part(account: Account) -> Action:
        share = account.stage.address(pool)
        return RemoveLiquidity(share, account.holds(share) // 3)

    def take_one(account: Account) -> Action:
        share = account.stage.address(pool)
        return Redeem(share, coins(account, other)[0], account.holds(share))

    def sell(account: Account) -> Action:
        dollars, token = coins(account, other)
        return Swap(token, dollars, account.holds(token))

    def take_everything(account: Account) -> Action:
        dollars, _ = coins(account, other)
        return Swap(dollars, coins(account, other)[1], 2**200)

    stable = pool == STABLE
    return Scenario(
        adapter=adapter,
        fund=fund,
        steps=(buy, bring, take_part, *((take_one,) if stable else ()), sell),
        base="usdx",
        too_much=take_everything,
        pause=Absent("nobody can stop pools of this kind") if stable else kill,
        empty=stable_unopened if stable else crypto_unopened,
        odd=Absent("it credits what was sent, whatever arrives: the harm is its providers', not ours"),
    )


SCENARIOS = (
    scenario("curve_stable:usdx-redeemable_usd", STABLE, "redeemable_usd"),
    scenario("curve_crypto:usdx-weth", CRYPTO, "weth"),
)
