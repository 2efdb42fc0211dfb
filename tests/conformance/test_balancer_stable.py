"""A stable pool of Balancer whose token has a rate: what it shows and what it would trade by must be one."""

from __future__ import annotations

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.balancer_stable import BalancerStableAdapter, from_book
from seawall.protocols.adapters.erased import erased
from seawall.rollout.devnet.accounts import OWNER
from tests.conformance.stage import Account, Stage

pytestmark = pytest.mark.anvil

ETHER = 10**18
LONGER_THAN_RATES_LIVE_S = 11 * 365 * 86_400


def stable_pool(stage: Stage) -> BalancerStableAdapter:
    (adapter,) = from_book(stage.devnet.book)
    return adapter


def test_rate_past_its_time_is_refused_until_somebody_has_it_updated(stage: Stage) -> None:
    adapter = stable_pool(stage)
    weth, ethx = stage.address("weth"), stage.address("ethx")
    swap = Swap(weth, ethx, ETHER)
    before = stage.snapshot(erased(adapter)).quote(swap, OWNER).gives[0].amount
    stage.pass_time(LONGER_THAN_RATES_LIVE_S)
    stage.send(OWNER, stage.address("balancer_ethx_rate"), "setRate(uint256)", 11 * ETHER // 10)
    with pytest.raises(UnavailableActionError, match="past its time"):
        stage.snapshot(erased(adapter)).quote(swap, OWNER)
    stage.send(OWNER, adapter.at.pool, "updateTokenRateCache(address)", ethx)
    assert stage.snapshot(erased(adapter)).quote(swap, OWNER).gives[0].amount < before


@pytest.mark.parametrize("amount", [10**12 + 1, 17 * ETHER, 1_999 * ETHER])
def test_quotes_hold_far_along_the_curve(stage: Stage, amount: int) -> None:
    adapter = stable_pool(stage)
    weth, ethx = stage.address("weth"), stage.address("ethx")
    account: Account = stage.open_account(erased(adapter))
    stage.give(weth, account.address, amount)
    swap = Swap(weth, ethx, amount)
    quote = account.quote(swap)
    moved = account.run(swap, quote)
    assert moved == {weth: -amount, ethx: quote.gives[0].amount}
