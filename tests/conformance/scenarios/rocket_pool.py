"""Rocket Pool: ether in for rETH, rETH burnt for ether."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.units import NATIVE
from seawall.protocols.adapters.actions import Action, Deposit, Redeem
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.rocket_pool import from_book
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.again import created_again
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18


def deposit(account: Account) -> Action:
    return Deposit(NATIVE, account.stage.address("rocket_reth"), 5 * ETHER + 1)


def burn(account: Account) -> Action:
    reth = account.stage.address("rocket_reth")
    return Redeem(reth, NATIVE, account.holds(reth))


def deposit_too_much(account: Account) -> Action:
    pool = account.stage.address("rocket_deposit")
    most = account.stage.integer(pool, "getMaximumDepositAmount()")
    return Deposit(NATIVE, account.stage.address("rocket_reth"), most + 1)


def disable(stage: Stage) -> None:
    switch = "set(bool,uint256,uint256,uint256)"
    stage.send(OWNER, stage.address("rocket_settings"), switch, False, 1, 10**30, 0)


def without_ether(stage: Stage) -> tuple[AnyAdapter, Action]:
    (model,) = from_book(stage.devnet.book)
    pool = created_again(stage, model.deposit_pool)
    reth = stage.word_address(pool, "reth()")
    return erased(replace(model, deposit_pool=pool, reth=reth)), Redeem(reth, NATIVE, ETHER)


SCENARIOS = (
    Scenario(
        adapter="rocket_pool",
        fund=lambda account: account.stage.give(NATIVE, account.address, 10 * ETHER),
        steps=(deposit, burn),
        base=NATIVE,
        too_much=deposit_too_much,
        pause=disable,
        empty=without_ether,
        odd=Absent("it takes the native coin alone"),
    ),
)
