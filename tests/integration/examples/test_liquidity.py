"""examples/liquidity_entry.yaml and liquidity_exit.yaml by a true kernel, on the Curve stand-in."""

from __future__ import annotations

import pytest

from tests.integration.examples.stage import DOLLAR, ETHER, Stage

pytestmark = pytest.mark.anvil

SHARE = "curve_stable_usdx_redeemable_usd"


def test_liquidity_goes_in_at_par_and_comes_out_when_par_is_lost(stage: Stage) -> None:
    account = stage.open("liquidity_entry", "liquidity_exit")
    stage.give("usdx", account, 10_000 * DOLLAR)
    stage.give("redeemable_usd", account, 10_000 * ETHER)
    assert stage.refusal("liquidity_entry").endswith("key when[3]")  # not at par
    # The pool begins with four times more of one dollar than of the other: somebody buys that.
    stage.trade_stable("usdx", "redeemable_usd", 1_500_000 * DOLLAR)
    with stage.play():
        stage.lands(1)
        assert (stage.balance("usdx", account), stage.balance("redeemable_usd", account)) == (0, 0)
        assert stage.balance(SHARE, account) > 19_000 * ETHER
        stage.trade_stable("redeemable_usd", "usdx", 1_500_000 * ETHER)
        assert stage.lands(2).strategy == "liquidity_exit"
    assert stage.balance(SHARE, account) == 0
    both = stage.balance("usdx", account) * 10**12 + stage.balance("redeemable_usd", account)
    assert both > 19_900 * ETHER
    stage.assert_clean(account, "usdx", "redeemable_usd", SHARE)
