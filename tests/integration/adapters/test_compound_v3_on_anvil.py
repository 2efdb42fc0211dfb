"""Compound V3: every direction of base and collateral moves what was quoted, interest and rounding too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Borrow, Repay, Supply, Withdraw
from seawall.protocols.adapters.base import PositionKind
from seawall.protocols.adapters.compound_v3 import SECONDS_PER_YEAR, CometState, CompoundV3Adapter, from_book
from seawall.rollout.devnet import OWNER, Devnet
from seawall.rollout.devnet.accounts import BORROWERS
from seawall.rollout.devnet.rpc import NodeRefusedError
from seawall.rollout.devnet.steering import revert, set_feed, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both

pytestmark = pytest.mark.anvil

ETHER = 10**18
DOLLAR = 10**6
FEED_UNIT = 10**8
DAY_S = 86_400
PAUSE = "pause(bool,bool,bool,bool,bool)"


@pytest.fixture
def ground(shared_devnet: Devnet) -> Iterator[Ground[CometState]]:
    before = snapshot(shared_devnet)
    (adapter,) = from_book(shared_devnet.book)
    yield Ground(shared_devnet, adapter)
    revert(shared_devnet, before)


def token(ground: Ground[CometState], name: str) -> Address:
    return ground.devnet.book.address(name)


def comet(ground: Ground[CometState]) -> Address:
    return token(ground, "comet_usdx")


def position(ground: Ground[CometState], kind: PositionKind) -> int:
    found = ground.adapter.positions(ground.state(), ground.account)
    return sum(each.amount for each in found if each.kind is kind)


def put_up(ground: Ground[CometState], amount_wei: int = 10 * ETHER) -> None:
    lands_as_quoted(ground, Supply(token(ground, "weth"), amount_wei))


def test_lending_earns_and_is_withdrawn_as_quoted(ground: Ground[CometState]) -> None:
    usdx = token(ground, "usdx")
    for amount in (1, 1_234_567_891, 100_000 * DOLLAR + 1):
        ground.pass_time(DAY_S + 1)
        lands_as_quoted(ground, Supply(usdx, amount))
    ground.pass_time(30 * DAY_S)
    assert position(ground, PositionKind.SUPPLIED) > 101_234 * DOLLAR
    lands_as_quoted(ground, Withdraw(usdx, 1))
    lands_as_quoted(ground, Withdraw(usdx, 77_777_777_777))
    everything = lands_as_quoted(ground, Withdraw(usdx, UINT256_MAX))
    assert everything.gives[0].amount > 23_456 * DOLLAR
    assert ground.adapter.positions(ground.state(), ground.account) == ()


def test_a_debt_is_taken_grows_and_is_paid_as_quoted(ground: Ground[CometState]) -> None:
    usdx = token(ground, "usdx")
    put_up(ground)
    lands_as_quoted(ground, Borrow(usdx, 5_000 * DOLLAR + 1))
    ground.pass_time(90 * DAY_S)
    lands_as_quoted(ground, Borrow(usdx, 3))
    owed = position(ground, PositionKind.DEBT)
    assert owed > 5_000 * DOLLAR + 4
    assert owed == ground.view(comet(ground), "borrowBalanceOf(address)", ground.account)
    lands_as_quoted(ground, Repay(usdx, 1_000 * DOLLAR + 7))
    ground.pass_time(DAY_S)
    owed = position(ground, PositionKind.DEBT)
    assert lands_as_quoted(ground, Repay(usdx, UINT256_MAX)).takes[0].amount == owed
    assert position(ground, PositionKind.DEBT) == 0
    lands_as_quoted(ground, Withdraw(token(ground, "weth"), 10 * ETHER))


def test_the_largest_debt_that_is_quoted_is_the_largest_that_is_given(ground: Ground[CometState]) -> None:
    usdx, weth = token(ground, "usdx"), token(ground, "weth")
    put_up(ground)
    most = 10 * 2_500 * DOLLAR * 825 // 1_000
    ground.pass_time(DAY_S)
    # A borrower's principal rounds up, and its balance down again: one unit over may still fit.
    refused_by_both(ground, Borrow(usdx, most + 2), "short by")
    lands_as_quoted(ground, Borrow(usdx, most - 1))
    refused_by_both(ground, Withdraw(weth, ETHER // 1_000), "short by")
    set_feed(ground.devnet, "feed_eth_usd", 2_499 * FEED_UNIT)
    refused_by_both(ground, Borrow(usdx, 200 * DOLLAR), "short by")


def test_one_word_never_turns_into_another(ground: Ground[CometState]) -> None:
    usdx = token(ground, "usdx")
    put_up(ground)
    lands_as_quoted(ground, Supply(usdx, 1_000 * DOLLAR))
    state = ground.state()
    for action, words in (
        (Withdraw(usdx, 1_200 * DOLLAR), "would be borrowed"),
        (Borrow(usdx, 100 * DOLLAR), "withdrawn first"),
        (Repay(usdx, DOLLAR), "nothing is owed"),
        (Supply(usdx, UINT256_MAX), "repaying all"),
    ):
        with pytest.raises(Exception, match=words):
            ground.adapter.quote(state, action, ground.account)
    lands_as_quoted(ground, Withdraw(usdx, UINT256_MAX))
    refused_by_both(ground, Borrow(usdx, 100 * DOLLAR - 2), "below the minimum")
    lands_as_quoted(ground, Borrow(usdx, 100 * DOLLAR))
    assert lands_as_quoted(ground, Repay(usdx, 101 * DOLLAR)).takes[0].amount == 100 * DOLLAR


def test_pauses_caps_and_cash_are_seen(ground: Ground[CometState]) -> None:
    usdx, weth, ethx = (token(ground, name) for name in ("usdx", "weth", "ethx"))
    put_up(ground)
    ground.send("comet_usdx", "updateAssetSupplyCap(uint256,uint128)", 1, 3 * ETHER)
    refused_by_both(ground, Supply(ethx, 3 * ETHER + 1), "over the cap")
    lands_as_quoted(ground, Supply(ethx, 3 * ETHER))
    refused_by_both(ground, Withdraw(ethx, 3 * ETHER + 1), "put up")
    ground.send("comet_usdx", PAUSE, True, False, False, False, False)
    refused_by_both(ground, Supply(usdx, DOLLAR), "supply is paused")
    refused_by_both(ground, Supply(weth, ETHER), "supply is paused")
    lands_as_quoted(ground, Withdraw(weth, ETHER))
    ground.send("comet_usdx", PAUSE, False, False, True, False, False)
    refused_by_both(ground, Borrow(usdx, 100 * DOLLAR), "withdrawal is paused")
    assert ground.adapter.liquidity(ground.state(), usdx) == 0
    ground.send("comet_usdx", PAUSE, False, False, False, False, False)
    cash = ground.view(usdx, "balanceOf(address)", comet(ground))
    assert ground.adapter.liquidity(ground.state(), usdx) == cash
    ground.send("comet_usdx", "withdraw(address,uint256)", usdx, cash - 50 * DOLLAR)
    refused_by_both(ground, Borrow(usdx, 100 * DOLLAR), "at hand")


def test_rates_with_our_own_impact_are_those_that_follow(ground: Ground[CometState]) -> None:
    usdx = token(ground, "usdx")
    for change in (0, 3_000_000 * DOLLAR, -1_500_000 * DOLLAR):
        ground.pass_time(7 * DAY_S)
        expected = ground.adapter.rates(ground.state(), usdx, change)
        if change > 0:
            lands_as_quoted(ground, Supply(usdx, change))
        elif change < 0:
            lands_as_quoted(ground, Withdraw(usdx, -change))
        utilization = ground.view(comet(ground), "getUtilization()")
        for view, found in (("getSupplyRate", expected.supply_ray), ("getBorrowRate", expected.borrow_ray)):
            per_second = ground.view(comet(ground), f"{view}(uint256)", utilization)
            assert found is not None
            assert abs(found // (SECONDS_PER_YEAR * 10**9) - per_second) <= (1 if change < 0 else 0)
        if change == 0:
            assert expected.supply_ray is not None
            assert 10**25 < expected.supply_ray < 10**26


def test_a_market_with_no_debt_and_one_with_no_money_have_their_rates(ground: Ground[CometState]) -> None:
    usdx = token(ground, "usdx")
    cash = ground.view(usdx, "balanceOf(address)", comet(ground))
    ground.send("comet_usdx", "withdraw(address,uint256)", usdx, cash)
    everything_lent_out = ground.adapter.rates(ground.state(), usdx)
    assert everything_lent_out.borrow_ray is not None
    assert everything_lent_out.borrow_ray > 30 * 10**25
    with pytest.raises(Exception, match="at hand"):
        ground.adapter.rates(ground.state(), usdx, -1)


def test_the_stand_in_absorbs_and_sells_at_its_discount(ground: Ground[CometState]) -> None:
    adapter = ground.adapter
    assert isinstance(adapter, CompoundV3Adapter)
    ground.account = BORROWERS[1]
    assert not adapter.is_liquidatable(ground.state(), ground.account)
    with pytest.raises(NodeRefusedError):
        ground.send("comet_usdx", "absorb(address,address[])", OWNER, (ground.account,))
    ground.send("comet_usdx", "accrueAccount(address)", ground.account)
    # Between the factors of 0.895 and 0.95: liquidatable, and worth more than is owed.
    owed = position(ground, PositionKind.DEBT)
    price = owed * 100 * 100 // (92 * 4_000)
    set_feed(ground.devnet, "feed_eth_usd", price)
    assert adapter.is_liquidatable(ground.state(), ground.account)
    ground.send("comet_usdx", "absorb(address,address[])", OWNER, (ground.account,))
    credited = 4_000 * price * 95 // 100 // 100
    assert 0 <= credited - owed - position(ground, PositionKind.SUPPLIED) < 10 * DOLLAR
    weth, usdx = token(ground, "weth"), token(ground, "usdx")
    cost = price * 97 // 100 // 100 + 1  # 0.6 of the 5 % is the discount
    bought = ground.view(comet(ground), "quoteCollateral(address,uint256)", weth, cost)
    assert ETHER <= bought <= ETHER * (cost + 1) // cost
    held = ground.view(weth, "balanceOf(address)", OWNER)
    ground.send(usdx, "approve(address,uint256)", comet(ground), cost)
    ground.send("comet_usdx", "buyCollateral(address,uint256,uint256,address)", weth, ETHER, cost, OWNER)
    assert ground.view(weth, "balanceOf(address)", OWNER) == held + bought
