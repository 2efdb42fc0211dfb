"""Lido: staked, wrapped, unwrapped, and out through the queue."""

from __future__ import annotations

from seawall.primitives.units import NATIVE, Address
from seawall.protocols.adapters.actions import Action, ClaimExit, Deposit, Redeem, RequestExit
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.scenario import Absent, Scenario
from tests.conformance.stage import Account, Stage

ETHER = 10**18


def tokens(account: Account) -> tuple[Address, Address]:
    return account.stage.address("lido_steth"), account.stage.address("lido_wsteth")


def stake(account: Account) -> Action:
    return Deposit(NATIVE, tokens(account)[0], 7 * ETHER + 1)


def wrap(account: Account) -> Action:
    steth, wsteth = tokens(account)
    return Deposit(steth, wsteth, 4 * ETHER + 3)


def unwrap(account: Account) -> Action:
    steth, wsteth = tokens(account)
    return Redeem(wsteth, steth, ETHER + 1)


def request(account: Account) -> Action:
    return RequestExit(tokens(account)[0], 2 * ETHER)


def request_wrapped(account: Account) -> Action:
    return RequestExit(tokens(account)[1], ETHER)


def claim(account: Account) -> Action:
    queue = account.stage.address("lido_queue")
    last = account.stage.integer(queue, "getLastRequestId()")
    if account.stage.integer(queue, "getLastFinalizedRequestId()") < last:
        account.stage.send(OWNER, queue, "finalize(uint256)", last)
    return ClaimExit(last, NATIVE)


def stake_too_much(account: Account) -> Action:
    limit = account.stage.integer(tokens(account)[0], "getCurrentStakeLimit()")
    return Deposit(NATIVE, tokens(account)[0], limit + 1)


def stop(stage: Stage) -> None:
    stage.send(OWNER, stage.address("lido_steth"), "setPauses(bool,bool)", True, False)


SCENARIOS = (
    Scenario(
        adapter="lido",
        fund=lambda account: account.stage.give(NATIVE, account.address, 10 * ETHER),
        steps=(stake, wrap, unwrap, request, request_wrapped, claim),
        base=NATIVE,
        too_much=stake_too_much,
        pause=stop,
        empty=Absent("there is only one, and it is never empty"),
        odd=Absent("it takes the native coin alone"),
    ),
)
