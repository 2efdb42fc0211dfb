"""Stakes and queued claims on the devnet's contracts: what `position_loss` says before is what is lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.chain.simulation import Simulator
from seawall.native import AbiValue, encode_call
from seawall.primitives.codec import plan_digest
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.ports import SystemClock, ThreadOffload
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Candidate, Measurement, Payload
from seawall.protocols.adapters import convex
from seawall.risk.gate import Gate
from seawall.risk.guards.profit import PositionLoss
from seawall.risk.limits import ChainFacts, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.prices import VALUE_SCALE
from seawall.risk.reduce import ReduceRule
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import OWNER, TRADERS
from seawall.rollout.devnet.steering import revert, snapshot
from seawall.runtime.limiting import claims_of
from tests.fixtures.devnet import built_devnet, shared_devnet, toolchain
from tests.integration.test_guards_on_devnet import CHAIN_ID, ETHER, FOREVER_S, GAS_LIMIT, GWEI, Work, found

__all__ = ["built_devnet", "shared_devnet", "toolchain"]

pytestmark = pytest.mark.anvil

KEY, STRANGER = TRADERS[0], TRADERS[1]
# What the maximum fee is worth at most, with what shares are rounded by.
NEARLY_NOTHING = 200 * VALUE_SCALE
MANY = 2**128


@dataclass(frozen=True)
class Ours:
    devnet: Devnet

    def address(self, name: str) -> Address:
        return self.devnet.book.address(name)

    def send(self, name: str, signature: str, *values: AbiValue, value_wei: int = 0) -> None:
        """By our key, for true."""
        self._send(KEY, name, signature, values, value_wei)

    def send_as_owner(self, name: str, signature: str, *values: AbiValue) -> None:
        self._send(OWNER, name, signature, values, 0)

    def _send(
        self, sender: Address, name: str, signature: str, values: tuple[AbiValue, ...], value_wei: int
    ) -> None:
        rpc, data = self.devnet.rpc, encode_call(signature, values)
        rpc.settle([rpc.send(sender, self.address(name), data, value_wei=value_wei)], mine=True)

    async def loss_of(self, name: str, signature: str, *values: AbiValue) -> Measurement:
        """What one call of our key would cost."""
        book, network = self.devnet.book, network_of(CHAIN_ID)
        ether, dollar = book.address("feed_eth_usd"), book.address("feed_usdx_usd")
        prices = (
            PriceFeed(book.address("weth"), ether, 18, 8),
            PriceFeed(book.address("lido_steth"), ether, 18, 8),
            PriceFeed(book.address("redeemable_usd"), dollar, 18, 8),
            PriceFeed(book.address("usdx"), dollar, 6, 8),
        )
        facts = ChainFacts(prices, wrapped_native=book.address("weth"), claims=claims_of(book))
        guard = PositionLoss((KEY,), MANY, facts)
        pool = RpcPool([HttpTransport(self.devnet.info.rpc_url)], chain_id=CHAIN_ID, clock=SystemClock())
        try:
            client = ChainClient(pool, network)
            head = await client.head()
            simulator = Simulator(client, network, ThreadOffload())
            await simulator.pin(head)
            target, data = self.address(name), encode_call(signature, values)
            plan = Plan("x", CHAIN_ID, KEY, DirectBody(target, data), target, "k", FOREVER_S)
            payload = Payload(CHAIN_ID, KEY, target, data, 0, GAS_LIMIT)
            nonce = await client.nonce_at(KEY, head.hash)
            candidate = Candidate(
                IntentNumber(1), 1, plan, plan_digest(plan), 1, Lane(CHAIN_ID, KEY), nonce, payload,
                10 * GWEI, GWEI, 2 * GWEI, 10 * GWEI, head,
            )  # fmt: skip
            ours = OurAddresses(frozenset({KEY}), book.address("weth"))
            gate = Gate(RiskLimits(oracle_age_s_max=MANY), ours, ReduceRule({}, (), (), ()), own=(guard,))
            verdict = await simulator.drive(Work(simulator.machine, gate, candidate), [payload])
            assert verdict.measurements[0].passed, verdict.measurements[0].reason
            return found(verdict, "position_loss")
        finally:
            await pool.close()


@pytest.fixture
def ours(shared_devnet: Devnet) -> Iterator[Ours]:
    taken = snapshot(shared_devnet)
    try:
        yield Ours(shared_devnet)
    finally:
        revert(shared_devnet, taken)


async def test_a_request_to_lidos_queue_is_kept_in_our_name_and_lost_in_anothers(ours: Ours) -> None:
    ours.send("lido_steth", "submit(address)", KEY, value_wei=10 * ETHER)
    ours.send("lido_steth", "approve(address,uint256)", ours.address("lido_queue"), MANY)
    request = "requestWithdrawals(uint256[],address)"
    own = await ours.loss_of("lido_queue", request, [ETHER, 2 * ETHER], KEY)
    assert own.measured is not None
    assert own.measured < NEARLY_NOTHING
    lost = await ours.loss_of("lido_queue", request, [ETHER, 2 * ETHER], STRANGER)
    assert lost.measured is not None
    assert lost.measured > 1_000 * 3 * VALUE_SCALE


async def test_a_claim_of_lidos_queue_pays_what_it_was_worth(ours: Ours) -> None:
    ours.send("lido_steth", "submit(address)", KEY, value_wei=10 * ETHER)
    ours.send("lido_steth", "approve(address,uint256)", ours.address("lido_queue"), MANY)
    ours.send("lido_queue", "requestWithdrawals(uint256[],address)", [3 * ETHER], KEY)
    last = encode_call("getLastRequestId()", ())
    number = int.from_bytes(ours.devnet.rpc.view(ours.address("lido_queue"), last))
    ours.send_as_owner("lido_queue", "finalize(uint256)", number)
    claimed = await ours.loss_of("lido_queue", "claimWithdrawal(uint256)", number)
    assert claimed.measured is not None
    assert 0 <= claimed.measured < NEARLY_NOTHING  # the fee alone: neither gain nor loss


async def test_a_stake_of_convex_comes_and_goes_for_nothing(ours: Ours) -> None:
    (pool,) = convex.from_book(ours.devnet.book)
    amount = 5 * ETHER
    ours.devnet.rpc.settle(
        [ours.devnet.rpc.send(OWNER, pool.lp_token, encode_call("transfer(address,uint256)", (KEY, amount)))],
        mine=True,
    )
    ours.devnet.rpc.settle(
        [
            ours.devnet.rpc.send(
                KEY, pool.lp_token, encode_call("approve(address,uint256)", (pool.booster, MANY))
            )
        ],
        mine=True,
    )
    staked = await ours.loss_of("convex_booster", "deposit(uint256,uint256,bool)", pool.pid, amount, True)
    assert staked.measured is not None, staked.reason  # of a token without a price: nothing of it is lost
    ours.send("convex_booster", "deposit(uint256,uint256,bool)", pool.pid, amount, True)
    name = next(one.name for one in ours.devnet.book if one.address == pool.rewards)
    back = await ours.loss_of(name, "withdrawAndUnwrap(uint256,bool)", amount, False)
    assert back.measured is not None, back.reason
    assert max(staked.measured, back.measured) < NEARLY_NOTHING


async def test_a_request_to_the_redemption_desk_costs_its_fee(ours: Ours) -> None:
    ours.devnet.rpc.settle(
        [
            ours.devnet.rpc.send(
                OWNER, ours.address("usdx"), encode_call("transfer(address,uint256)", (KEY, 20_000 * 10**6))
            )
        ],
        mine=True,
    )
    ours.send("usdx", "approve(address,uint256)", ours.address("redeemable_issuer"), MANY)
    ours.send("redeemable_issuer", "issue(uint256)", 20_000 * 10**6)
    asked = await ours.loss_of("redeemable_issuer", "requestRedemption(uint256)", 10_000 * ETHER)
    fee = encode_call("queueFeeBps()", ())
    fee_bps = int.from_bytes(ours.devnet.rpc.view(ours.address("redeemable_issuer"), fee))
    assert asked.measured is not None, asked.reason
    assert 0 <= asked.measured - 10_000 * fee_bps * VALUE_SCALE // 10_000 < NEARLY_NOTHING
