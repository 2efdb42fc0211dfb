"""Compound V3: collateral up, base borrowed and paid back, collateral down; and base lent."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.bounds import UINT256_MAX
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.compound_v3 import from_book
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.again import created_again
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18
DOLLAR = 10**6


def fund(account: Account) -> None:
    account.stage.give(account.stage.address("weth"), account.address, 10 * ETHER)
    account.stage.give(account.stage.address("usdx"), account.address, 1_000 * DOLLAR)


def put_up(account: Account) -> Action:
    return Supply(account.stage.address("weth"), 5 * ETHER + 1)


def borrow(account: Account) -> Action:
    return Borrow(account.stage.address("usdx"), 3_000 * DOLLAR + 1)


def pay_back_some(account: Account) -> Action:
    return Repay(account.stage.address("usdx"), 500 * DOLLAR)


def pay_back_all(account: Account) -> Action:
    return Repay(account.stage.address("usdx"), UINT256_MAX)


def lend(account: Account) -> Action:
    return Supply(account.stage.address("usdx"), 700 * DOLLAR)


def take_back(account: Account) -> Action:
    return Withdraw(account.stage.address("usdx"), UINT256_MAX)


def take_down(account: Account) -> Action:
    return Withdraw(account.stage.address("weth"), 5 * ETHER + 1)


def drain(account: Account) -> Action:
    return Borrow(account.stage.address("usdx"), 10**14)


def pause(stage: Stage) -> None:
    switch = "pause(bool,bool,bool,bool,bool)"
    stage.send(OWNER, stage.address("comet_usdx"), switch, True, True, True, True, True)


def unopened(stage: Stage) -> tuple[AnyAdapter, Action]:
    (model,) = from_book(stage.devnet.book)
    return erased(replace(model, comet=created_again(stage, model.comet))), Borrow(model.base_token, DOLLAR)


SCENARIOS = (
    Scenario(
        adapter="compound_v3:usdx",
        fund=fund,
        steps=(put_up, borrow, pay_back_some, pay_back_all, lend, take_back, take_down),
        base="weth",
        too_much=drain,
        pause=pause,
        empty=unopened,
        odd=Absent("its governors list no token that takes fees"),
    ),
)
