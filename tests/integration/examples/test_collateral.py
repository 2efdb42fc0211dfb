"""examples/collateral_swap.yaml and debt_refinance.yaml by a true kernel, on the true Aave and Morpho."""

from __future__ import annotations

import pytest

from seawall.protocols.adapters import morpho_blue
from tests.integration.examples.stage import DOLLAR, ETHER, Stage

pytestmark = pytest.mark.anvil

DEBT = 20_000 * DOLLAR


def test_collateral_is_swapped_and_the_debt_stays(stage: Stage) -> None:
    account = stage.open("collateral_swap")
    stage.owes_at_aave(account, "ethx", 20 * ETHER, DEBT)
    assert stage.refusal("collateral_swap").endswith("key when[2]")  # it would not earn more
    stage.leave_at_aave("weth", 20 * ETHER)
    with stage.play():
        stage.lands()
    assert stage.balance("a_ethx", account) == 0
    assert stage.balance("ethx", account) == 0
    assert 19 * ETHER < stage.balance("a_weth", account) < 20 * ETHER
    assert 0 < stage.balance("weth", account) < ETHER
    assert DEBT <= stage.balance("aave_debt_usdx", account) < DEBT + DOLLAR
    assert stage.health_wad(account) >= 14 * 10**17
    stage.assert_clean(account, "weth", "usdx", "ethx")


def test_debt_moves_to_the_cheaper_lender(stage: Stage) -> None:
    account = stage.open("debt_refinance")
    stage.owes_at_aave(account, "weth", 20 * ETHER, DEBT)
    assert stage.refusal("debt_refinance").endswith("key when[2]")  # it would not be cheaper
    stage.leave_at_aave("usdx", 100_000 * DOLLAR)
    with stage.play():
        stage.lands()
    (market,) = [m for m in morpho_blue.from_book(stage.book) if m.name.endswith("weth-usdx-8600")]
    assert stage.balance("a_weth", account) == 0
    assert stage.balance("aave_debt_usdx", account) == 0
    collateral = stage.word("morpho", "position(bytes32,address)", market.market_id, account, place=2)
    assert abs(collateral - 20 * ETHER) < 10**13
    assert stage.word("morpho", "position(bytes32,address)", market.market_id, account, place=1) > 0
    assert 0 < stage.balance("usdx", account) < 3 * DOLLAR
    stage.assert_clean(account, "weth", "usdx")
