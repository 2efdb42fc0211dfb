"""Convex: LP tokens staked, rewards claimed, LP tokens taken back."""

from __future__ import annotations

from dataclasses import replace

from seawall.native import encode_call
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, ClaimRewards, Deposit, Redeem
from seawall.protocols.adapters.convex import ConvexAdapter, from_book
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.again import created_again
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
HOUR_S = 3_600
REWARD = 7_000 * ETHER


def adapter_of(stage: Stage) -> ConvexAdapter:
    (adapter,) = from_book(stage.devnet.book)
    return adapter


def fund(account: Account) -> None:
    """LP tokens, and a stream of rewards that has not ended."""
    stage, adapter = account.stage, adapter_of(account.stage)
    stage.give(adapter.lp_token, account.address, 100 * ETHER)
    stage.send(OWNER, adapter.crv, "approve(address,uint256)", adapter.booster, REWARD)
    stage.send(OWNER, adapter.booster, "notify(uint256,uint256)", adapter.pid, REWARD)


def stake(account: Account) -> Action:
    adapter = adapter_of(account.stage)
    return Deposit(adapter.lp_token, adapter.rewards, 60 * ETHER + 1)


def claim(account: Account) -> Action:
    adapter = adapter_of(account.stage)
    account.stage.pass_time(HOUR_S)
    return ClaimRewards((adapter.crv, adapter.cvx))


def take_back(account: Account) -> Action:
    adapter = adapter_of(account.stage)
    return Redeem(adapter.rewards, adapter.lp_token, 60 * ETHER)


def take_too_much(account: Account) -> Action:
    adapter = adapter_of(account.stage)
    staked = account.stage.integer(adapter.rewards, "totalSupply()")
    return Redeem(adapter.rewards, adapter.lp_token, staked + 1)


def close(stage: Stage) -> None:
    adapter = adapter_of(stage)
    stage.send(OWNER, adapter.booster, "shutdownPool(uint256)", adapter.pid)


def unopened(stage: Stage) -> tuple[AnyAdapter, Action]:
    model = adapter_of(stage)
    booster = created_again(stage, model.booster)
    stage.send(OWNER, booster, "addPool(address)", model.lp_token)
    info = stage.devnet.rpc.view(booster, encode_call("poolInfo(uint256)", (0,)))
    rewards = Address(info[3 * 32 + 12 : 4 * 32])
    adapter = replace(model, booster=booster, rewards=rewards)
    return erased(adapter), Redeem(rewards, model.lp_token, 1)


SCENARIOS = (
    Scenario(
        adapter="convex:curve_stable_usdx_redeemable_usd",
        fund=fund,
        steps=(stake, claim, take_back),
        base="curve_stable_usdx_redeemable_usd",
        too_much=take_too_much,
        pause=close,
        empty=unopened,
        odd=Absent("it stakes LP tokens of known pools alone"),
    ),
)
