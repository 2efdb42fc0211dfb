"""examples/convex_compound.yaml by a true kernel, on the stand-ins of Convex and Curve."""

from __future__ import annotations

import pytest

from seawall.rollout.devnet.markets import open_market
from seawall.rollout.devnet.steering import mine
from tests.integration.examples.stage import DOLLAR, ETHER, STABLE_POOL, Stage

pytestmark = pytest.mark.anvil

STAKE = "convex_curve_stable_usdx_redeemable_usd_0"
STAKED = 100_000 * ETHER
REWARD = 1_000_000 * ETHER


def test_yield_becomes_a_larger_stake(stage: Stage) -> None:
    for token in ("crv", "convex_cvx"):
        open_market(stage.devnet, token, 100_000 * ETHER, "usdx", 50_000 * DOLLAR)
    account = stage.open("convex_compound", least="0.01 usdx")
    stage.give(STABLE_POOL, account, STAKED)
    stage.act(account, STABLE_POOL, "approve(address,uint256)", stage.book.address("convex_booster"), STAKED)
    stage.act(account, "convex_booster", "deposit(uint256,uint256,bool)", 0, STAKED, True)
    # A new period of rewards begins.
    stage.send("crv", "approve(address,uint256)", stage.book.address("convex_booster"), REWARD)
    stage.send("convex_booster", "notify(uint256,uint256)", 0, REWARD)
    mine(stage.devnet, 2)
    assert stage.refusal("convex_compound", "--set", "least=1_000 usdx").endswith("key when[0]")
    with stage.play():
        stage.lands()
    for token in ("usdx", "crv", "convex_cvx", STABLE_POOL):
        assert stage.balance(token, account) == 0
    assert stage.balance(STAKE, account) > STAKED + ETHER // 100
    stage.assert_clean(account, "usdx", "crv", "convex_cvx", STABLE_POOL)
