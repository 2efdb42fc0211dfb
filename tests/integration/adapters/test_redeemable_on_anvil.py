"""The redeemable dollar: quotes are what the issuer does, its queue and its freezes are seen ahead."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import ClaimExit, Deposit, Redeem, RequestExit
from seawall.protocols.adapters.base import Position, PositionKind
from seawall.protocols.adapters.redeemable import RedeemableState, from_book
from seawall.rollout.devnet import OWNER, Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both

pytestmark = pytest.mark.anvil

TOKEN = 10**18
DOLLAR = 10**6
DAY_S = 86_400
ISSUER = "redeemable_issuer"


@pytest.fixture
def ground(shared_devnet: Devnet) -> Iterator[Ground[RedeemableState]]:
    before = snapshot(shared_devnet)
    (adapter,) = from_book(shared_devnet.book)
    yield Ground(shared_devnet, adapter)
    revert(shared_devnet, before)


def tokens(ground: Ground[RedeemableState]) -> tuple[Address, Address]:
    return ground.devnet.book.address("redeemable_usd"), ground.devnet.book.address("usdx")


def redeem(ground: Ground[RedeemableState], amount: int, minimum: int = 0) -> Redeem:
    book = ground.devnet.book
    return Redeem(book.address("redeemable_usd"), book.address("usdx"), amount, minimum)


def request(ground: Ground[RedeemableState], amount: int) -> RequestExit:
    return RequestExit(ground.devnet.book.address("redeemable_usd"), amount)


def claim(ground: Ground[RedeemableState], number: int) -> ClaimExit:
    return ClaimExit(number, ground.devnet.book.address("usdx"))


def last_request(ground: Ground[RedeemableState]) -> int:
    return ground.view(ground.devnet.book.address(ISSUER), "requestCount()")


def test_issue_and_redemption_move_what_was_quoted(ground: Ground[RedeemableState]) -> None:
    book = ground.devnet.book
    buy = Deposit(book.address("usdx"), book.address("redeemable_usd"), 12_345_678_901)
    assert lands_as_quoted(ground, buy).gives[0].amount == 12_345_678_901 * 10**12
    quote = lands_as_quoted(ground, redeem(ground, 9_999 * TOKEN + 123_456_789_012_345))
    assert quote.gives[0].amount == 9_999_000_123 * 9_990 // 10_000
    ground.send(ISSUER, "setTerms(uint256,uint256,uint256,uint256,uint256)", 37, 5, 10**15, 1, 60)
    lands_as_quoted(ground, redeem(ground, 1_000_001 * 10**12 + 1))


def test_what_the_minimum_demands_is_held_on_both_sides(ground: Ground[RedeemableState]) -> None:
    fee_off = 1_000 * DOLLAR * 9_990 // 10_000
    lands_as_quoted(ground, redeem(ground, 1_000 * TOKEN, fee_off))
    refused_by_both(ground, redeem(ground, 1_000 * TOKEN, fee_off + 1), "is demanded")


def test_redemption_at_once_ends_with_the_days_allowance(ground: Ground[RedeemableState]) -> None:
    terms = "setTerms(uint256,uint256,uint256,uint256,uint256)"
    ground.send(ISSUER, terms, 0, 0, 1_000 * DOLLAR, TOKEN, DAY_S)
    usdx = ground.devnet.book.address("usdx")
    assert ground.adapter.liquidity(ground.state(), usdx) == 1_000 * DOLLAR
    lands_as_quoted(ground, redeem(ground, 999 * TOKEN))
    assert ground.adapter.liquidity(ground.state(), usdx) == DOLLAR
    refused_by_both(ground, redeem(ground, 2 * TOKEN), "are there")
    refused_by_both(ground, redeem(ground, TOKEN - 1), "below the minimum")
    ground.pass_time(DAY_S)
    lands_as_quoted(ground, redeem(ground, 1_000 * TOKEN))


def test_the_queue_pays_when_funded_and_due(ground: Ground[RedeemableState]) -> None:
    assert lands_as_quoted(ground, request(ground, 5_000 * TOKEN)).gives == ()
    number = last_request(ground)
    refused_by_both(ground, claim(ground, number), "is not due")
    leaving = [p for p in positions(ground) if p.kind is PositionKind.LEAVING]
    assert [(p.amount, p.reference) for p in leaving] == [(5_000 * DOLLAR, str(number))]
    ground.send(ISSUER, "fund()")
    refused_by_both(ground, claim(ground, number), "is not due")
    ground.pass_time(DAY_S)
    assert lands_as_quoted(ground, claim(ground, number)).gives[0].amount == 5_000 * DOLLAR
    refused_by_both(ground, claim(ground, number), "not an open one")
    assert [p for p in positions(ground) if p.kind is PositionKind.LEAVING] == []


def test_money_of_the_queue_is_not_there_for_redemption_at_once(ground: Ground[RedeemableState]) -> None:
    token, usdx = tokens(ground)
    held = ground.view(usdx, "balanceOf(address)", ground.devnet.book.address(ISSUER))
    ground.send(ISSUER, "setTerms(uint256,uint256,uint256,uint256,uint256)", 0, 0, 10**18, TOKEN, DAY_S)
    queued = ground.view(token, "balanceOf(address)", OWNER)
    ground.send(ISSUER, "requestRedemption(uint256)", queued)
    assert ground.adapter.liquidity(ground.state(), usdx) == held
    ground.send(ISSUER, "fund()")
    assert ground.adapter.liquidity(ground.state(), usdx) == held - queued // 10**12


def test_a_freeze_of_everything_and_of_one_account_is_seen(ground: Ground[RedeemableState]) -> None:
    usdx = ground.devnet.book.address("usdx")
    ground.send(ISSUER, "setFrozen(bool)", True)
    refused_by_both(ground, redeem(ground, 5 * TOKEN), "has frozen issue")
    refused_by_both(ground, request(ground, 5 * TOKEN), "has frozen issue")
    assert ground.adapter.liquidity(ground.state(), usdx) == 0
    ground.send(ISSUER, "setFrozen(bool)", False)
    ground.send(ISSUER, "setAccountFrozen(address,bool)", ground.account, True)
    refused_by_both(ground, redeem(ground, 5 * TOKEN), "has frozen 0x")
    assert ground.adapter.liquidity(ground.state(), usdx) > 0
    ground.send(ISSUER, "setAccountFrozen(address,bool)", ground.account, False)
    lands_as_quoted(ground, redeem(ground, 5 * TOKEN))


def test_nobody_is_quoted_who_was_not_read(ground: Ground[RedeemableState]) -> None:
    state = ground.state()
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        ground.adapter.quote(state, redeem(ground, 5 * TOKEN), OWNER)
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        ground.adapter.positions(state, OWNER)


def positions(ground: Ground[RedeemableState]) -> tuple[Position, ...]:
    return ground.adapter.positions(ground.state(), ground.account)


def test_the_token_counts_at_par_in_its_asset(ground: Ground[RedeemableState]) -> None:
    token, usdx = tokens(ground)
    (share,) = positions(ground)
    assert (share.token, share.receipt, share.receipt_amount) == (usdx, token, 500_000 * TOKEN)
    assert share.amount == 500_000 * DOLLAR
