"""Morpho Blue: against collateral put up before, borrow and pay back; lend, and take all back."""

from __future__ import annotations

from dataclasses import replace

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.morpho_blue import MorphoAdapter, from_book
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

LIMIT_WAD = 5 * 10**17
CREATE = "createMarket((address,address,address,address,uint256))"


def market(stage: Stage, name: str) -> MorphoAdapter:
    return next(adapter for adapter in from_book(stage.devnet.book) if adapter.name == name)


def unit(stage: Stage, token: Address) -> int:
    """Worth as much of any token."""
    return 2_500 * 10**6 if token == stage.address("usdx") else 10**18


def scenario(name: str) -> Scenario:
    def tokens(account: Account) -> tuple[Address, Address]:
        found = market(account.stage, name)
        return found.loan, found.collateral

    def fund(account: Account) -> None:
        loan, collateral = tokens(account)
        account.stage.give(collateral, account.address, 10 * unit(account.stage, collateral))
        account.stage.give(loan, account.address, 10 * unit(account.stage, loan))
        put_up = Supply(collateral, 5 * unit(account.stage, collateral))
        account.run(put_up, account.quote(put_up))

    def borrow(account: Account) -> Action:
        loan, _ = tokens(account)
        return Borrow(loan, 2 * unit(account.stage, loan) + 1)

    def pay_back(account: Account) -> Action:
        loan, _ = tokens(account)
        return Repay(loan, unit(account.stage, loan))

    def end_the_debt(account: Account) -> Action:
        loan, _ = tokens(account)
        return Repay(loan, UINT256_MAX)

    def lend(account: Account) -> Action:
        loan, _ = tokens(account)
        return Supply(loan, 3 * unit(account.stage, loan) + 1)

    def take_back(account: Account) -> Action:
        loan, _ = tokens(account)
        return Withdraw(loan, 3 * unit(account.stage, loan))

    def drain(account: Account) -> Action:
        loan, _ = tokens(account)
        return Borrow(loan, 100_000 * unit(account.stage, loan))

    def unopened(stage: Stage) -> tuple[AnyAdapter, Action]:
        found = replace(market(stage, name), name=f"{name}-new", lltv_wad=LIMIT_WAD)
        stage.send(OWNER, found.morpho, "enableLltv(uint256)", LIMIT_WAD)
        stage.send(OWNER, found.morpho, CREATE, found.params)
        return erased(found), Borrow(found.loan, 1)

    loan = name.split("-")[1]
    return Scenario(
        adapter=name,
        fund=fund,
        steps=(borrow, pay_back, end_the_debt, lend, take_back),
        base=loan,
        too_much=drain,
        pause=Absent("nobody can stop it"),
        empty=unopened,
        odd=Absent("it credits what was sent, whatever arrives: the harm is the market's, not the sender's"),
    )


SCENARIOS = (scenario("morpho_blue:weth-usdx-8600"), scenario("morpho_blue:usdx-ethx-7700"))
