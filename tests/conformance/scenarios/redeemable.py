"""The redeemable dollar: bought at par, redeemed at once, and through the queue."""

from __future__ import annotations

from dataclasses import replace

from seawall.protocols.adapters.actions import Action, ClaimExit, Deposit, Redeem, RequestExit
from seawall.protocols.adapters.erased import AnyAdapter, erased
from seawall.protocols.adapters.redeemable import from_book
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.again import created_again
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

DOLLAR = 10**6
TOKEN = 10**18
DAY_S = 86_400


def buy(account: Account) -> Action:
    stage = account.stage
    return Deposit(stage.address("usdx"), stage.address("redeemable_usd"), 5_000 * DOLLAR)


def redeem(account: Account) -> Action:
    stage = account.stage
    return Redeem(stage.address("redeemable_usd"), stage.address("usdx"), 2_000 * TOKEN + 7)


def request(account: Account) -> Action:
    return RequestExit(account.stage.address("redeemable_usd"), 1_000 * TOKEN)


def claim(account: Account) -> Action:
    issuer = account.stage.address("redeemable_issuer")
    account.stage.send(OWNER, issuer, "fund()")
    account.stage.pass_time(DAY_S)
    return ClaimExit(account.stage.integer(issuer, "requestCount()"), account.stage.address("usdx"))


def redeem_too_much(account: Account) -> Action:
    stage = account.stage
    return Redeem(stage.address("redeemable_usd"), stage.address("usdx"), 10**30)


def freeze(stage: Stage) -> None:
    stage.send(OWNER, stage.address("redeemable_issuer"), "setFrozen(bool)", True)


def without_money(stage: Stage) -> tuple[AnyAdapter, Action]:
    (model,) = from_book(stage.devnet.book)
    issuer = created_again(stage, model.issuer)
    token = stage.word_address(issuer, "token()")
    return erased(replace(model, issuer=issuer, token=token)), Redeem(token, model.asset, TOKEN)


SCENARIOS = (
    Scenario(
        adapter="redeemable_usd",
        fund=lambda account: account.stage.give(
            account.stage.address("usdx"), account.address, 6_000 * DOLLAR
        ),
        steps=(buy, redeem, request, claim),
        base="usdx",
        too_much=redeem_too_much,
        pause=freeze,
        empty=without_money,
        odd=Absent("its asset and its token are the issuer's choice, and known"),
    ),
)
