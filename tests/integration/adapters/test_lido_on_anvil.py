"""Lido: staking, wrapping and the withdrawal queue move what was quoted, rounding of shares included."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from seawall.primitives.units import NATIVE, Address, hex_text
from seawall.protocols.adapters.actions import ClaimExit, Deposit, Redeem, RequestExit
from seawall.protocols.adapters.base import Position, PositionKind
from seawall.protocols.adapters.lido import REQUEST_MAX_WEI, LidoState, from_book
from seawall.rollout.devnet import OWNER, Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.ground import Ground, lands_as_quoted, refused_by_both

pytestmark = pytest.mark.anvil

ETHER = 10**18


@pytest.fixture
def ground(shared_devnet: Devnet) -> Iterator[Ground[LidoState]]:
    before = snapshot(shared_devnet)
    (adapter,) = from_book(shared_devnet.book)
    yield Ground(shared_devnet, adapter)
    revert(shared_devnet, before)


def steth(ground: Ground[LidoState]) -> Address:
    return ground.devnet.book.address("lido_steth")


def wsteth(ground: Ground[LidoState]) -> Address:
    return ground.devnet.book.address("lido_wsteth")


def leaving(ground: Ground[LidoState]) -> list[Position]:
    found = ground.adapter.positions(ground.state(), ground.account)
    return [position for position in found if position.kind is PositionKind.LEAVING]


def test_staking_and_wrapping_move_what_was_quoted(ground: Ground[LidoState]) -> None:
    for amount_wei in (ETHER, 1, 12_345_678_901_234_567_891):
        lands_as_quoted(ground, Deposit(NATIVE, steth(ground), amount_wei))
    for amount_wei in (1, 2, 999_999_999_999_999_999, 10 * ETHER + 7):
        lands_as_quoted(ground, Deposit(steth(ground), wsteth(ground), amount_wei))
    for amount in (1, 2, 5_555_555_555_555_555_555):
        lands_as_quoted(ground, Redeem(wsteth(ground), steth(ground), amount))
    lands_as_quoted(ground, Deposit(steth(ground), wsteth(ground), ground.balance(steth(ground))))


def test_quotes_hold_after_the_rate_moved_either_way(ground: Ground[LidoState]) -> None:
    pooled = ground.view(steth(ground), "getTotalPooledEther()")
    for changed in (pooled + 17 * ETHER + 3, pooled - 5 * ETHER - 1):
        ground.send("lido_steth", "rebase(uint256)", changed)
        lands_as_quoted(ground, Deposit(NATIVE, steth(ground), 3 * ETHER + 1))
        lands_as_quoted(ground, Deposit(steth(ground), wsteth(ground), ETHER + 1))
        lands_as_quoted(ground, Redeem(wsteth(ground), steth(ground), ETHER - 1))


def test_what_rounding_leaves_to_the_pool_is_shared_by_its_holders(ground: Ground[LidoState]) -> None:
    # At an ether for each wei of a share, what a stake loses to rounding is seen in every balance.
    pooled = ground.view(steth(ground), "getTotalPooledEther()")
    ground.send("lido_steth", "rebase(uint256)", pooled * 10**18)
    share = ground.view(steth(ground), "getPooledEthByShares(uint256)", 1)
    ground.devnet.rpc.call("anvil_setBalance", hex_text(ground.account), hex(share * 10))
    quote = lands_as_quoted(ground, Deposit(NATIVE, steth(ground), share * 5 // 2))
    assert 2 * share < quote.gives[0].amount < share * 5 // 2


def test_staking_ends_at_the_limit_and_the_pauses(ground: Ground[LidoState]) -> None:
    ground.send("lido_steth", "setStakingLimit(uint256,uint256)", 10 * ETHER, 0)
    refused_by_both(ground, Deposit(NATIVE, steth(ground), 10 * ETHER + 1), "more than the limit")
    lands_as_quoted(ground, Deposit(NATIVE, steth(ground), 10 * ETHER))
    refused_by_both(ground, Deposit(NATIVE, steth(ground), 1), "more than the limit")
    ground.send("lido_steth", "setStakingLimit(uint256,uint256)", 0, 0)
    ground.send("lido_steth", "setPauses(bool,bool)", False, True)
    refused_by_both(ground, Deposit(NATIVE, steth(ground), ETHER), "paused")
    lands_as_quoted(ground, Deposit(steth(ground), wsteth(ground), ETHER))
    ground.send("lido_steth", "setPauses(bool,bool)", True, False)
    refused_by_both(ground, Deposit(steth(ground), wsteth(ground), ETHER), "stopped")
    refused_by_both(ground, RequestExit(steth(ground), ETHER), "stopped")


def test_the_queue_pays_what_was_asked_for_once_finalised(ground: Ground[LidoState]) -> None:
    lands_as_quoted(ground, RequestExit(steth(ground), 20 * ETHER))
    lands_as_quoted(ground, RequestExit(wsteth(ground), 10 * ETHER))
    first, second = leaving(ground)
    assert 20 * ETHER - 2 <= first.amount < 20 * ETHER  # its shares are worth a wei or two less
    refused_by_both(ground, ClaimExit(int(first.reference), NATIVE), "not finalised")
    ground.send("lido_queue", "finalize(uint256)", int(first.reference))
    lands_as_quoted(ground, ClaimExit(int(first.reference), NATIVE))
    refused_by_both(ground, ClaimExit(int(first.reference), NATIVE), "not an open one")
    refused_by_both(ground, ClaimExit(int(second.reference), NATIVE), "not finalised")
    ground.send("lido_queue", "finalize(uint256)", int(second.reference))
    (left,) = leaving(ground)
    assert lands_as_quoted(ground, ClaimExit(int(second.reference), NATIVE)).gives[0].amount == left.amount


def test_a_loss_of_the_pool_before_finalisation_is_shared(ground: Ground[LidoState]) -> None:
    lands_as_quoted(ground, RequestExit(steth(ground), 20 * ETHER))
    pooled = ground.view(steth(ground), "getTotalPooledEther()")
    ground.send("lido_steth", "rebase(uint256)", pooled * 9 // 10)
    (request,) = leaving(ground)
    assert 18 * ETHER - 3 <= request.amount <= 18 * ETHER
    ground.send("lido_queue", "finalize(uint256)", int(request.reference))
    paid = lands_as_quoted(ground, ClaimExit(int(request.reference), NATIVE)).gives[0].amount
    assert paid == request.amount


def test_requests_keep_the_queues_limits(ground: Ground[LidoState]) -> None:
    ground.send("lido_steth", "submit(address)", OWNER, value_wei=3_000 * ETHER)
    ground.send("lido_steth", "transfer(address,uint256)", ground.account, 2_500 * ETHER)
    lands_as_quoted(ground, RequestExit(steth(ground), 2 * REQUEST_MAX_WEI + 7))
    assert len(leaving(ground)) == 3
    assert sum(position.amount for position in leaving(ground)) >= 2 * REQUEST_MAX_WEI + 7 - 3
    lands_as_quoted(ground, RequestExit(steth(ground), 100))
    ground.send("lido_queue", "setPaused(bool)", True)
    refused_by_both(ground, RequestExit(steth(ground), ETHER), "paused")
    ground.send("lido_queue", "setPaused(bool)", False)
    ground.send("lido_steth", "approve(address,uint256)", wsteth(ground), 2**255)
    ground.send("lido_wsteth", "wrap(uint256)", 400 * ETHER)
    refused_by_both(ground, RequestExit(wsteth(ground), 10), "outside")


def test_positions_are_in_ether_and_ether_leaves_by_the_queue_alone(ground: Ground[LidoState]) -> None:
    state = ground.state()
    held, wrapped = ground.adapter.positions(state, ground.account)
    assert held.token == wrapped.token == NATIVE
    assert (held.receipt, held.amount) == (steth(ground), ground.balance(steth(ground)))
    assert wrapped.receipt_amount == ground.balance(wsteth(ground))
    worth = ground.view(steth(ground), "getPooledEthByShares(uint256)", wrapped.receipt_amount)
    assert wrapped.amount == worth
    assert ground.adapter.liquidity(state, NATIVE) == 0
    wrapper_holds = ground.view(steth(ground), "balanceOf(address)", wsteth(ground))
    assert ground.adapter.liquidity(state, steth(ground)) == wrapper_holds
