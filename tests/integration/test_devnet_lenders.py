"""What the devnet's lenders start with: liquidity for loans, and borrowers whom no time liquidates."""

from __future__ import annotations

import pytest

from seawall.protocols.adapters import aave_v3, erc4626, morpho_blue
from seawall.protocols.adapters.base import Exact, PositionKind
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import BORROWERS, OWNER
from tests.fixtures.lending import head_s, state_of

pytestmark = pytest.mark.anvil

ONE_WAD = 10**18
YEARS_S = 5 * 365 * 86_400
FLASH_LOAN_WEI = 3_000 * 10**18


@pytest.mark.parametrize("name", ["aave_v3", "spark"])
def test_pools_lend_and_their_borrowers_stay_healthy_for_years(shared_devnet: Devnet, name: str) -> None:
    adapter = next(one for one in aave_v3.from_book(shared_devnet.book) if one.name == name)
    weth = shared_devnet.book.address("weth")
    state = state_of(shared_devnet, adapter, BORROWERS, head_s(shared_devnet) + YEARS_S)
    assert adapter.flash_fee_up(state, Exact(weth, FLASH_LOAN_WEI)) == FLASH_LOAN_WEI * 5 // 10_000
    healths = [
        adapter.account(state, borrower).health_wad
        for borrower in BORROWERS
        if any(one.kind is PositionKind.DEBT for one in adapter.positions(state, borrower))
    ]
    assert len(healths) >= 2
    assert len(set(healths)) == len(healths)
    assert all(ONE_WAD < health < 2 * ONE_WAD for health in healths)


def test_markets_lend_and_their_borrowers_stay_healthy_for_years(shared_devnet: Devnet) -> None:
    adapters = morpho_blue.from_book(shared_devnet.book)
    assert len(adapters) == 2
    for adapter in adapters:
        state = state_of(shared_devnet, adapter, BORROWERS, head_s(shared_devnet) + YEARS_S)
        assert adapter.liquidity(state, adapter.loan) > 0
        healths = [adapter.health_wad(state, one) for one in BORROWERS if adapter.positions(state, one)]
        assert len(healths) == 2
        assert all(ONE_WAD < health < 2 * ONE_WAD for health in healths)


def test_vaults_hold_more_than_was_brought(shared_devnet: Devnet) -> None:
    for adapter in erc4626.from_book(shared_devnet.book):
        state = state_of(shared_devnet, adapter, (OWNER,), head_s(shared_devnet))
        (position,) = adapter.positions(state, OWNER)
        brought = position.receipt_amount // 10**adapter.offset
        assert position.amount > brought
        assert adapter.liquidity(state, adapter.asset) >= position.amount
