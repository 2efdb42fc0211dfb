"""Wrapped ether."""

from __future__ import annotations

from seawall.primitives.units import NATIVE
from seawall.protocols.adapters.actions import Action, Deposit, Redeem
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account

ETHER = 10**18


def wrap(account: Account) -> Action:
    return Deposit(NATIVE, account.stage.address("weth"), 3 * ETHER)


def unwrap(account: Account) -> Action:
    return Redeem(account.stage.address("weth"), NATIVE, 3 * ETHER)


def unwrap_all_and_more(account: Account) -> Action:
    weth = account.stage.address("weth")
    return Redeem(weth, NATIVE, account.stage.integer(weth, "totalSupply()") + 1)


SCENARIOS = (
    Scenario(
        adapter="weth",
        fund=lambda account: account.stage.give(NATIVE, account.address, 10 * ETHER),
        steps=(wrap, unwrap),
        base=NATIVE,
        too_much=unwrap_all_and_more,
        pause=Absent("nobody can stop it"),
        empty=Absent("there is only one"),
        odd=Absent("it trades the native coin alone"),
    ),
)
