"""Convex: stakes move one for one, rewards grow by the second and are claimed as quoted, with CVX beside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seawall.primitives.errors import UnavailableActionError
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import ClaimRewards, Deposit, Redeem
from seawall.protocols.adapters.base import RAY, PositionKind
from seawall.protocols.adapters.convex import SECONDS_PER_YEAR, ConvexAdapter, ConvexState, from_book
from seawall.rollout.devnet import OWNER, Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both

pytestmark = pytest.mark.anvil

ETHER = 10**18
HOUR_S, DAY_S = 3_600, 86_400


@pytest.fixture
def ground(shared_devnet: Devnet) -> Iterator[Ground[ConvexState]]:
    before = snapshot(shared_devnet)
    (adapter,) = from_book(shared_devnet.book)
    ground = Ground(shared_devnet, adapter)
    # The stream of the build is over when a node starts; this one is fresh.
    ground.send("crv", "approve(address,uint256)", adapter.booster, 70_000 * ETHER)
    ground.send("convex_booster", "notify(uint256,uint256)", 0, 70_000 * ETHER)
    yield ground
    revert(shared_devnet, before)


def parts(ground: Ground[ConvexState]) -> tuple[ConvexAdapter, Address, Address]:
    adapter = ground.adapter
    assert isinstance(adapter, ConvexAdapter)
    return adapter, adapter.lp_token, adapter.rewards


def stake(ground: Ground[ConvexState], amount: int) -> Deposit:
    _, lp_token, rewards = parts(ground)
    return Deposit(lp_token, rewards, amount)


def claim(ground: Ground[ConvexState]) -> ClaimRewards:
    adapter, _, _ = parts(ground)
    return ClaimRewards((adapter.crv, adapter.cvx))


def test_stakes_and_claims_move_what_was_quoted(ground: Ground[ConvexState]) -> None:
    _, lp_token, rewards = parts(ground)
    lands_as_quoted(ground, stake(ground, 3_333 * ETHER + 7))
    ground.pass_time(HOUR_S + 1)
    quote = lands_as_quoted(ground, claim(ground))
    crv, cvx = (entry.amount for entry in quote.gives)
    assert crv > 0
    assert cvx == crv * (1_000 - 543) // 1_000
    lands_as_quoted(ground, stake(ground, 1))
    ground.pass_time(DAY_S)
    lands_as_quoted(ground, Redeem(rewards, lp_token, 1_000 * ETHER))
    ground.pass_time(DAY_S)
    lands_as_quoted(ground, claim(ground))


def test_what_is_earned_is_what_the_pool_says_to_the_second(ground: Ground[ConvexState]) -> None:
    adapter, _, rewards = parts(ground)
    lands_as_quoted(ground, stake(ground, 5_000 * ETHER))
    for seconds in (1, 59, DAY_S, 10 * DAY_S, DAY_S):
        ground.pass_time(seconds)
        earned = [
            position.amount
            for position in adapter.positions(ground.state(), ground.account)
            if position.kind is PositionKind.REWARD
        ]
        assert earned[0] == ground.view(rewards, "earned(address)", ground.account)
    assert adapter.reward_rate_ray_down(ground.state()) == 0, "the period is over"


def test_the_reward_rate_falls_with_our_own_stake(ground: Ground[ConvexState]) -> None:
    adapter, _, rewards = parts(ground)
    alone = adapter.reward_rate_ray_down(ground.state())
    foreseen = adapter.reward_rate_ray_down(ground.state(), 8_000 * ETHER)
    lands_as_quoted(ground, stake(ground, 8_000 * ETHER))
    assert adapter.reward_rate_ray_down(ground.state()) == foreseen < alone
    rate, staked = ground.view(rewards, "rewardRate()"), ground.view(rewards, "totalSupply()")
    assert foreseen == rate * SECONDS_PER_YEAR * RAY // staked


def test_a_closed_pool_pays_out_and_takes_nothing(ground: Ground[ConvexState]) -> None:
    adapter, lp_token, rewards = parts(ground)
    lands_as_quoted(ground, stake(ground, 10 * ETHER))
    ground.send("convex_booster", "shutdownPool(uint256)", 0)
    refused_by_both(ground, stake(ground, 10 * ETHER), "no deposits")
    assert adapter.liquidity(ground.state(), lp_token) == ground.view(rewards, "totalSupply()")
    lands_as_quoted(ground, Redeem(rewards, lp_token, 10 * ETHER))


def test_a_closed_booster_takes_nothing(ground: Ground[ConvexState]) -> None:
    ground.send("convex_booster", "shutdownSystem()")
    refused_by_both(ground, stake(ground, ETHER), "no deposits")


def test_nobody_claims_nothing_and_nobody_unread_is_quoted(ground: Ground[ConvexState]) -> None:
    state = ground.state()
    with pytest.raises(UnavailableActionError, match="nothing is earned"):
        ground.adapter.quote(state, claim(ground), ground.account)
    with pytest.raises(UnavailableActionError, match="nothing was read"):
        ground.adapter.quote(state, claim(ground), OWNER)


def test_more_than_all_have_staked_is_refused(ground: Ground[ConvexState]) -> None:
    _, lp_token, rewards = parts(ground)
    staked = ground.view(rewards, "totalSupply()")
    refused_by_both(ground, Redeem(rewards, lp_token, staked + 1), "more than all")
