"""Rocket Pool: deposits and burns move what was quoted; cap, minimum, pause and empty collateral are seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seawall.primitives.units import NATIVE
from seawall.protocols.adapters.actions import Deposit, Redeem
from seawall.protocols.adapters.rocket_pool import RocketPoolState, from_book
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both

pytestmark = pytest.mark.anvil

ETHER = 10**18
SETTINGS = "set(bool,uint256,uint256,uint256)"
POOL_SIZE = 18_000 * ETHER


@pytest.fixture
def ground(shared_devnet: Devnet) -> Iterator[Ground[RocketPoolState]]:
    before = snapshot(shared_devnet)
    (adapter,) = from_book(shared_devnet.book)
    yield Ground(shared_devnet, adapter)
    revert(shared_devnet, before)


def deposit(ground: Ground[RocketPoolState], amount_wei: int) -> Deposit:
    return Deposit(NATIVE, ground.devnet.book.address("rocket_reth"), amount_wei)


def burn(ground: Ground[RocketPoolState], amount: int) -> Redeem:
    return Redeem(ground.devnet.book.address("rocket_reth"), NATIVE, amount)


def test_deposit_less_its_fee_and_burn_move_what_was_quoted(ground: Ground[RocketPoolState]) -> None:
    for amount_wei in (ETHER, 12_345_678_901_234_567_891, 10**16):
        lands_as_quoted(ground, deposit(ground, amount_wei))
    for amount in (1, 7, 3_333_333_333_333_333_333):
        lands_as_quoted(ground, burn(ground, amount))
    ground.send("rocket_balances", "updateBalances(uint256,uint256)", 11_999 * ETHER + 7, 10_001 * ETHER + 3)
    ground.send("rocket_settings", SETTINGS, True, 1, POOL_SIZE, 3 * 10**15 + 1)
    lands_as_quoted(ground, deposit(ground, 9_876_543_210_987_654_321))
    lands_as_quoted(ground, burn(ground, 5_432_109_876_543_210_987))


def test_going_in_and_out_pays_the_fee_and_no_more_than_it(ground: Ground[RocketPoolState]) -> None:
    bought = lands_as_quoted(ground, deposit(ground, 10 * ETHER)).gives[0].amount
    back = lands_as_quoted(ground, burn(ground, bought)).gives[0].amount
    fee_off = 10 * ETHER - 10 * ETHER * 5 // 10_000
    assert fee_off - 2 <= back <= fee_off


def test_deposits_end_at_the_cap_the_minimum_and_the_switch(ground: Ground[RocketPoolState]) -> None:
    held = ground.view(ground.devnet.book.address("rocket_deposit"), "getBalance()")
    ground.send("rocket_settings", SETTINGS, True, 10**16, held + 5 * ETHER, 5 * 10**14)
    refused_by_both(ground, deposit(ground, 5 * ETHER + 1), "more than the")
    refused_by_both(ground, deposit(ground, 10**16 - 1), "is below")
    lands_as_quoted(ground, deposit(ground, 5 * ETHER))
    ground.send("rocket_settings", SETTINGS, False, 10**16, POOL_SIZE, 5 * 10**14)
    refused_by_both(ground, deposit(ground, ETHER), "disabled")
    lands_as_quoted(ground, burn(ground, ETHER))


def test_burning_ends_with_what_is_in_excess(ground: Ground[RocketPoolState]) -> None:
    held = ground.view(ground.devnet.book.address("rocket_deposit"), "getBalance()")
    ground.send("rocket_deposit", "setQueueCapacity(uint256)", held - 2 * ETHER)
    assert ground.adapter.liquidity(ground.state(), NATIVE) == 2 * ETHER
    refused_by_both(ground, burn(ground, 2 * ETHER), "are there")
    lands_as_quoted(ground, burn(ground, ETHER))
    ground.send("rocket_deposit", "setQueueCapacity(uint256)", 10**30)
    refused_by_both(ground, burn(ground, ETHER), "are there")


def test_a_holder_has_the_ether_that_its_reth_stands_for(ground: Ground[RocketPoolState]) -> None:
    reth = ground.devnet.book.address("rocket_reth")
    (position,) = ground.adapter.positions(ground.state(), ground.account)
    assert position.receipt_amount == ground.balance(reth)
    assert position.amount == ground.view(reth, "getEthValue(uint256)", position.receipt_amount)
