"""examples/peg_redemption.yaml by a true kernel, on the stand-ins of Curve and of the issuer."""

from __future__ import annotations

import pytest

from tests.integration.examples.stage import DOLLAR, ETHER, Stage

pytestmark = pytest.mark.anvil

SIZE = 900 * DOLLAR
POOL = "curve_stable_usdx_redeemable_usd"


def test_what_is_bought_under_par_is_redeemed_at_par(stage: Stage) -> None:
    account = stage.open("peg_redemption")
    stage.give("usdx", account, SIZE)
    # Instant fee and cap, queue fee, minimum, delay: the day that the issuer takes is a second here.
    stage.send("redeemable_issuer", "setTerms(uint256,uint256,uint256,uint256,uint256)", 10, 0, 0, ETHER, 1)
    stage.send("redeemable_issuer", "setFrozen(bool)", True)
    assert "it would revert" in stage.refusal("peg_redemption")
    stage.send("redeemable_issuer", "setFrozen(bool)", False)
    bought = stage.word(POOL, "get_dy(int128,int128,uint256)", 0, 1, SIZE)
    with stage.play():
        stage.lands(1)
        assert stage.balance("usdx", account) == 0
        assert stage.balance("redeemable_usd", account) == 0
        stage.trade_stable("usdx", "redeemable_usd", 2_000_000 * DOLLAR)  # back at par: no more is bought
        stage.send("redeemable_issuer", "fund()")
        stage.lands(2)
    promised = bought // 10**12
    assert promised > SIZE * 1_020 // 1_000
    assert stage.balance("usdx", account) == promised
    stage.assert_clean(account, "usdx", "redeemable_usd")
