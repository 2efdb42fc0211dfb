"""examples/liquidation_guard.yaml by a true kernel, on the true Aave V3.6."""

from __future__ import annotations

import pytest

from seawall.rollout.devnet.steering import set_feed
from tests.integration.examples.stage import DOLLAR, ETHER, Stage

pytestmark = pytest.mark.anvil

DEBT = 30_000 * DOLLAR


def test_a_position_that_a_price_has_weakened_is_mended_before_it_is_liquidated(stage: Stage) -> None:
    account = stage.open("liquidation_guard")
    stage.owes_at_aave(account, "weth", 20 * ETHER, DEBT)
    assert stage.refusal("liquidation_guard").endswith("key when[0]")  # it is healthy
    with stage.play():
        set_feed(stage.devnet, "feed_eth_usd", 2_200 * 10**8)
        assert stage.health_wad(account) < 125 * 10**16
        stage.lands()
    assert stage.health_wad(account) > 125 * 10**16
    assert DEBT // 2 <= stage.balance("aave_debt_usdx", account) < DEBT // 2 + DOLLAR
    assert stage.balance("weth", account) == 0
    stage.assert_clean(account, "weth", "usdx")
