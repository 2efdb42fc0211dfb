"""examples/leverage_up.yaml and leverage_unwind.yaml by a true kernel, on the true Aave V3.6."""

from __future__ import annotations

import pytest

from seawall.rollout.devnet.steering import mine
from tests.integration.examples.stage import DOLLAR, ETHER, Stage

pytestmark = pytest.mark.anvil

OWED = 25_062_500_000


def test_leverage_goes_up_and_ends_when_owing_becomes_dear(stage: Stage) -> None:
    account = stage.open("leverage_up", "leverage_unwind")
    stage.give("weth", account, 10 * ETHER)
    printed = stage.seawall("policy", "leverage_up")
    assert 'function = "borrow(address,uint256,uint256,uint16,address)"' in printed
    assert 'lender = "@balancer_vault"' in printed
    with stage.play():
        stage.lands(1)
        rest = stage.balance("weth", account)
        assert 0 < rest < ETHER // 10
        assert stage.balance("usdx", account) == 0
        assert abs(stage.balance("a_weth", account) - 20 * ETHER) < 10**13
        assert OWED <= stage.balance("aave_debt_usdx", account) <= OWED + 10
        assert stage.health_wad(account) >= 15 * 10**17
        stage.leave_at_aave("usdx", 1_000 * DOLLAR)
        unwound = stage.lands(2)
    assert unwound.strategy == "leverage_unwind"
    assert stage.balance("a_weth", account) == 0
    assert stage.balance("aave_debt_usdx", account) == 0
    # Two trades of ten ether at 0.05 % and their impact are all that it cost.
    assert 10 * ETHER * 995 // 1_000 < stage.balance("weth", account) < 10 * ETHER
    assert 0 < stage.balance("usdx", account) < 100 * DOLLAR
    stage.assert_clean(account, "weth", "usdx")


def test_price_that_is_too_old_makes_no_plan(stage: Stage) -> None:
    account = stage.open("leverage_up")
    stage.give("weth", account, 10 * ETHER)
    stage.edit(
        "leverage_up", "weth: {feed: feed_eth_usd, max_age: 1 h}", "weth: {feed: feed_eth_usd, max_age: 1 s}"
    )
    mine(stage.devnet, 5)
    assert "s old, and 1 s are allowed" in stage.refusal("leverage_up")


def test_feed_that_is_too_old_is_refused_by_the_guard(stage: Stage) -> None:
    account = stage.open("leverage_up")
    stage.give("weth", account, 10 * ETHER)
    stage.edit("leverage_up", "max_age_s: 1 h", "max_age_s: 1 s")
    mine(stage.devnet, 5)
    assert "age of feed feed_eth_usd" in stage.refusal("leverage_up")
