"""Positions without a token of their own, in the true Morpho and the Comet: no account loses them unseen.

The account's key is a thief's: it withdraws collateral and trades it away, or borrows and trades that away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

import pytest

from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash
from seawall.protocols.adapters.actions import Action, Borrow, Supply, Swap, Withdraw
from seawall.protocols.adapters.base import PositionKind
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import gather
from seawall.protocols.answers import Answers
from seawall.protocols.executor.encoding import Execution, encode_operations
from seawall.protocols.executor.policy import TokenClass
from seawall.protocols.executor.policy_parts import policy_of
from seawall.protocols.executor.risk_book import VALUE_UNIT, LossLimit, RiskPolicy, TokenLimit
from seawall.rollout.devnet import TRADERS, Devnet, Trader
from seawall.rollout.devnet.deployer import ETHER
from seawall.rollout.devnet.executor import FEED_HEARTBEAT_S
from seawall.rollout.devnet.positions import open_account
from tests.fixtures.lending import head_s
from tests.integration.test_accounts_on_anvil import ask, refusal

pytestmark = pytest.mark.anvil

DOLLAR = 10**6
DEX = "uniswap_v2:weth-usdx"
PUT_UP = 20 * ETHER
CAP_ETHER = 4 * ETHER
CAP_DOLLARS = 10_000 * DOLLAR
FAR_FUTURE_S = 2**40
INTENTS = count(1)
LENDERS = {
    "morpho_blue:weth-usdx-8600": ("morpho_weth_usdx_8600", TRADERS[0]),
    "compound_v3:usdx": ("comet_usdx", TRADERS[1]),
}


@dataclass(frozen=True, slots=True)
class Place:
    """An account of a thief with collateral at one lender."""

    devnet: Devnet
    lender: str
    key: Address
    account: Address

    def token(self, name: str) -> Address:
        return self.devnet.book.address(name)

    def view(self, what: str) -> Address:
        token = "weth" if what == "collateral" else "usdx"
        return self.token(f"position_{LENDERS[self.lender][0]}_{what}_{token}")

    def shown(self, what: str) -> int:
        call = encode_call("balanceOf(address)", (self.account,))
        return int.from_bytes(self.devnet.rpc.view(self.view(what), call), "big")

    def plan(self, actions: Sequence[tuple[str, Action]], *more: TokenBound, named: bool = True) -> bytes:
        """With the bounds that the adapters want; `named`: or without them."""
        adapters = adapters_of(self.devnet.book)
        done = [(adapters[name], action) for name, action in actions]
        operations = [one for at, action in done for one in at.build(action, self.account)]
        bounds = [one for at, action in done for one in at.bounds(action, self.account)] if named else []
        execution = Execution(encode_operations(operations), (*bounds, *more), FAR_FUTURE_S, 0, ZERO_ADDRESS)
        return execution.calldata(intent_id=next(INTENTS), plan_digest=bytes(32), max_fee_wei=0)

    def lands(self, data: bytes) -> None:
        rpc = self.devnet.rpc
        rpc.settle([rpc.send(self.key, self.account, data)], mine=True)

    def refused(self, data: bytes) -> str:
        return refusal(self.devnet, self.key, self.account, data).name

    def sold(self, amount: int) -> tuple[str, Action]:
        """At any price: the thief's own pool would give nothing at all."""
        return DEX, Swap(self.token("weth"), self.token("usdx"), amount, 1)


def block_at(chain_id: int, timestamp_s: int) -> Block:
    nothing = Hash(bytes(32))
    return Block(chain_id, 0, nothing, nothing, timestamp_s, 0, 0, ZERO_ADDRESS, nothing)


def opened(devnet: Devnet, lender: str) -> Place:
    book, (market, key) = devnet.book, LENDERS[lender]
    adapters = adapters_of(book)
    weth, usdx = book.address("weth"), book.address("usdx")
    parts = (adapters[lender].policy(ZERO_ADDRESS), adapters[DEX].policy(ZERO_ADDRESS))
    policy = policy_of(parts, ZERO_ADDRESS, {weth: TokenClass.KEPT, usdx: TokenClass.KEPT})
    ether, dollar = book.address("feed_eth_usd"), book.address("feed_usdx_usd")
    collateral = book.address(f"position_{market}_collateral_weth")
    debt = book.address(f"position_{market}_debt_usdx")
    limits = (
        TokenLimit(weth, ether, FEED_HEARTBEAT_S, 18, PUT_UP, 0),
        TokenLimit(usdx, dollar, FEED_HEARTBEAT_S, 6, 10 * CAP_DOLLARS, 0),
        TokenLimit(collateral, ether, FEED_HEARTBEAT_S, 18, CAP_ETHER, 0),
        TokenLimit(debt, dollar, FEED_HEARTBEAT_S, 6, CAP_DOLLARS, 0),
    )
    losses = LossLimit(100 * VALUE_UNIT, 200 * VALUE_UNIT)
    risk = RiskPolicy(ZERO_ADDRESS, limits, losses, holds_positions=True)
    place = Place(devnet, lender, key, open_account(devnet, key, key, policy, risk))
    given = encode_call("transfer(address,uint256)", (place.account, PUT_UP))
    devnet.rpc.settle([devnet.rpc.send(TRADERS[2], weth, given)], mine=True)
    out = TokenBound(weth, "outflow", PUT_UP)
    place.lands(place.plan([(lender, Supply(weth, PUT_UP))], out))
    return place


@pytest.fixture(scope="module")
def places(shared_devnet: Devnet) -> dict[str, Place]:
    return {lender: opened(shared_devnet, lender) for lender in LENDERS}


@pytest.fixture(params=LENDERS)
def place(places: dict[str, Place], request: pytest.FixtureRequest) -> Iterator[Place]:
    found = places[str(request.param)]
    kept = found.devnet.rpc.call("evm_snapshot")
    yield found
    assert found.devnet.rpc.call("evm_revert", kept) is True


def test_positions_name_the_tokens_that_show_them(place: Place) -> None:
    place.lands(place.plan([(place.lender, Borrow(place.token("usdx"), 3_000 * DOLLAR))]))
    adapter = adapters_of(place.devnet.book)[place.lender]

    def asked(reads: Sequence[Read]) -> Answers:
        return ask(place.devnet, reads)

    block = block_at(adapter.chain_id, head_s(place.devnet))
    found = adapter.at(gather(adapter, asked, (place.account,)), block).positions(place.account)
    assert {one.kind for one in found} == {PositionKind.COLLATERAL, PositionKind.DEBT}
    for position in found:
        what = "collateral" if position.kind is PositionKind.COLLATERAL else "debt"
        assert position.receipt == place.view(what)
        assert position.receipt_amount == place.shown(what) > 0


def test_honest_withdrawal_lands_under_the_adapters_own_bounds(place: Place) -> None:
    place.lands(place.plan([(place.lender, Withdraw(place.token("weth"), 3 * ETHER))]))
    assert place.shown("collateral") == PUT_UP - 3 * ETHER
    assert place.shown("debt") == 0


def test_collateral_that_no_bound_names_may_not_fall(place: Place) -> None:
    weth = place.token("weth")
    steps = [(place.lender, Withdraw(weth, ETHER)), place.sold(ETHER)]
    assert place.refused(place.plan(steps, named=False)) == "OutflowAboveBound"


def test_withdrawn_and_lost_in_a_skewed_pool_is_refused_by_its_value(place: Place) -> None:
    """The balance of WETH ends where it began: only the position shows that three of them are gone."""
    Trader(place.devnet).open_gap_v2("usdx", "weth", 1_000)
    steps = [(place.lender, Withdraw(place.token("weth"), 3 * ETHER)), place.sold(3 * ETHER)]
    assert place.refused(place.plan(steps)) == "LossAboveExecution"


def test_more_collateral_than_its_cap_does_not_leave(place: Place) -> None:
    steps = [(place.lender, Withdraw(place.token("weth"), CAP_ETHER + 1))]
    assert place.refused(place.plan(steps)) == "CapExceeded"


def test_debt_that_no_bound_names_may_not_rise_and_none_above_its_cap(place: Place) -> None:
    steps = [(place.lender, Borrow(place.token("usdx"), 1_000 * DOLLAR))]
    assert place.refused(place.plan(steps, named=False)) == "DebtIncreaseAboveBound"
    steps = [(place.lender, Borrow(place.token("usdx"), CAP_DOLLARS + 1))]
    assert place.refused(place.plan(steps)) == "CapExceeded"
