"""Several endpoints of one true chain, some of which lag, lie, stall or reset."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from seawall.chain.client import ChainClient, StateCheck
from seawall.chain.heads import CONTRADICTIONS_MAX, HeadFollower
from seawall.chain.networks import NETWORKS, Network, Proofs, ReceiptReads
from seawall.chain.pool.pace import HEDGE_S_MAX
from seawall.chain.pool.timeouts import READ_TIMEOUT_S
from seawall.chain.rpc import RpcPool
from seawall.chain.state import StateKeys
from seawall.chain.transport import HttpTransport
from seawall.primitives.errors import (
    ChainIdMismatchError,
    DisagreementError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import Clock, SystemClock
from seawall.primitives.units import Address, Hash
from tests.fixtures.anvil import CHAIN_ID, Anvil, anvil, transaction
from tests.fixtures.lying_endpoint import LyingEndpoint, lying_endpoint

__all__ = ["anvil"]

DEVNET = NETWORKS[CHAIN_ID]
PROVED = replace(DEVNET, receipts=ReceiptReads.BLOCK, proofs=Proofs.RECEIPTS, head_ahead_s_max=900)
TARGET = Address(b"\x11" * 20)
JUNK = "0x" + "ee" * 32


class Unhurried:
    """Nobody loses patience with an endpoint, however slow the machine is."""

    def now_s(self) -> int:
        return SystemClock().now_s()

    def monotonic_s(self) -> float:
        return SystemClock().monotonic_s()

    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.Event().wait()


@dataclass(slots=True)
class Endpoints:
    node: Anvil
    all: list[LyingEndpoint]

    @contextlib.asynccontextmanager
    async def client(
        self,
        agreement: int,
        *,
        count: int = 3,
        network: Network = DEVNET,
        verify_state: StateCheck = StateCheck.AGREEMENT,
        clock: Clock = SystemClock(),  # noqa: B008  (it has no state)
    ) -> AsyncIterator[ChainClient]:
        transports = [HttpTransport(endpoint.url) for endpoint in self.all[:count]]
        pool = RpcPool(transports, chain_id=CHAIN_ID, clock=clock, agreement=agreement)
        try:
            yield ChainClient(pool, network, verify_state=verify_state)
        finally:
            await pool.close()

    def asked(self, index: int) -> int:
        return len(self.all[index].asked)


@pytest.fixture
def endpoints(anvil: Anvil) -> Iterator[Endpoints]:
    with contextlib.ExitStack() as stack:
        yield Endpoints(anvil, [stack.enter_context(lying_endpoint(anvil.url)) for _ in range(3)])


def landed(node: Anvil, count: int = 3) -> tuple[Address, list[Hash]]:
    """Transactions of one key, in the newest block."""
    key = node.funded_key()
    signed = key.sign_transactions([transaction(nonce, TARGET) for nonce in range(count)])
    hashes = [node.send(one) for one in signed]
    node.mine()
    return Address(key.address), hashes


def with_fields(**fields: object) -> Any:
    return lambda params, answer: answer if answer is None else answer | fields


# What costs nothing


async def test_healthy_endpoints_are_asked_once_each_and_only_as_many_as_must_agree(
    endpoints: Endpoints,
) -> None:
    endpoints.node.mine(3)
    async with endpoints.client(2, clock=Unhurried()) as client:
        await client.pool.check()
        follower = HeadFollower(client, SystemClock())
        await follower.poll()
        before = [endpoints.asked(index) for index in range(3)]
        endpoints.node.mine()
        change = await follower.poll()
        assert change is not None
        assert change.added[-1].number == 4
        asked = [endpoints.asked(index) - before[index] for index in range(3)]
        assert sorted(asked) == [0, 3, 3]


async def test_one_endpoint_is_asked_exactly_as_without_agreement(endpoints: Endpoints) -> None:
    sender, hashes = landed(endpoints.node)
    async with endpoints.client(1, count=1, clock=Unhurried()) as client:
        head = await client.head()
        before = endpoints.asked(0)
        await client.nonce_at(sender, head.hash)
        await client.receipts(hashes)
        await client.fetch_state(StateKeys((sender,)), head)
        assert endpoints.asked(0) - before == 1 + len(hashes) + 3


# Heads


async def test_lagging_endpoint_neither_holds_the_tip_back_nor_takes_it_back(endpoints: Endpoints) -> None:
    endpoints.node.mine(10)
    async with endpoints.client(2) as client:
        follower = HeadFollower(client, SystemClock())
        for behind in (4, 0, 8, 2):
            endpoints.all[0].behind = behind
            endpoints.node.mine()
            await follower.poll()
            assert follower.tip is not None
            assert follower.tip.number == endpoints.node.number("eth_blockNumber")
        endpoints.all[0].behind, endpoints.all[1].behind = 5, 5
        assert await follower.poll() is None


async def test_two_that_must_agree_stand_on_the_newest_block_that_both_have(endpoints: Endpoints) -> None:
    endpoints.node.mine(10)
    endpoints.all[0].behind = 3
    async with endpoints.client(2, count=2) as client:
        assert (await client.head()).number == 7
        endpoints.all[0].behind = 0
        assert (await client.head()).number == 10


@pytest.mark.parametrize(
    "lie",
    [
        with_fields(number=hex(10**9), hash=JUNK),
        with_fields(hash=JUNK),
        with_fields(parentHash=JUNK),
        with_fields(timestamp=hex(2**36)),
        with_fields(baseFeePerGas="0x0"),
        lambda params, answer: answer | {"hash": JUNK} if params[0] == "finalized" else answer,
        lambda params, answer: answer | {"number": hex(10**9)} if params[0] == "finalized" else answer,
        lambda params, answer: None,
        lambda params, answer: "nonsense",
    ],
    ids=[
        "height",
        "hash",
        "parent",
        "future",
        "base-fee",
        "final-hash",
        "final-height",
        "nothing",
        "nonsense",
    ],
)
async def test_lie_about_any_block_moves_neither_tip_nor_finality_and_raises_no_alarm(
    endpoints: Endpoints, lie: Any
) -> None:
    endpoints.node.mine(10)
    endpoints.all[0].lies["eth_getBlockByNumber"] = lie
    endpoints.all[0].lies["eth_getBlockByHash"] = lie
    async with endpoints.client(2) as client:
        follower = HeadFollower(client, SystemClock())
        for _ in range(2 * CONTRADICTIONS_MAX):
            endpoints.node.mine()
            await follower.poll()
            head = endpoints.node.number("eth_blockNumber")
            assert follower.tip is not None
            assert follower.tip.number == head
            assert 0 <= follower.final_number < head


async def test_head_that_one_endpoint_calls_final_is_not(endpoints: Endpoints) -> None:
    endpoints.node.mine(10)
    endpoints.all[0].lies["eth_getBlockByNumber"] = lambda params, answer: (
        endpoints.node.rpc("eth_getBlockByNumber", "latest", False) if params[0] == "finalized" else answer
    )
    endpoints.all[1].behind = 1  # so that no two say the same, and each block is judged by itself
    async with endpoints.client(2) as client:
        follower = HeadFollower(client, SystemClock())
        await follower.poll()
        final = endpoints.node.rpc("eth_getBlockByNumber", "finalized", False)
        assert isinstance(final, dict)
        assert follower.final_number == int(final["number"], 16) < 10


async def test_lie_in_a_header_is_evidence_and_its_endpoint_is_struck_out(endpoints: Endpoints) -> None:
    endpoints.node.mine(2)
    endpoints.all[0].lies["eth_getBlockByNumber"] = with_fields(baseFeePerGas="0x0")
    async with endpoints.client(1, network=PROVED) as client:
        assert (await client.head()).base_fee_wei > 0
        asked = endpoints.asked(0)
        for _ in range(3):
            assert (await client.head()).base_fee_wei > 0
        assert endpoints.asked(0) == asked


async def test_head_out_of_the_future_is_refused(endpoints: Endpoints) -> None:
    endpoints.node.mine()
    endpoints.node.rpc("evm_setNextBlockTimestamp", int(time.time()) + 86_400)
    endpoints.node.mine()
    async with endpoints.client(1, count=1, network=PROVED) as client:
        with pytest.raises(Exception, match="ahead of our clock"):
            await HeadFollower(client, SystemClock()).poll()


# Facts that decide


async def test_lies_about_nonces_receipts_and_blocks_are_outvoted(endpoints: Endpoints) -> None:
    sender, hashes = landed(endpoints.node)
    liar = endpoints.all[0]
    liar.lies["eth_getTransactionCount"] = lambda params, answer: hex(7_777)
    liar.lies["eth_getTransactionReceipt"] = with_fields(status="0x0")
    liar.lies["eth_getBlockByHash"] = with_fields(transactions=[])
    async with endpoints.client(2) as client:
        head = await client.head()
        assert await client.nonce_at(sender, head.hash) == 3
        assert await client.block_transactions(head.hash) == hashes
        assert [r.status for r in await client.receipts_of(head, hashes)] == [True] * 3
        liar.lies["eth_getTransactionReceipt"] = lambda params, answer: None
        assert None not in await client.receipts(hashes)


async def test_lies_that_nothing_outvotes_decide_nothing_and_name_who_said_what(
    endpoints: Endpoints,
) -> None:
    sender, hashes = landed(endpoints.node)
    liar, honest = endpoints.all[:2]
    async with endpoints.client(2, count=2) as client:
        head = await client.head()
        liar.lies["eth_getTransactionCount"] = lambda params, answer: hex(7_777)
        liar.lies["eth_getTransactionReceipt"] = lambda params, answer: None
        with pytest.raises(DisagreementError) as caught:
            await client.nonce_at(sender, head.hash)
        assert f"{liar.url} say [7777]" in str(caught.value)
        assert f"{honest.url} say [3]" in str(caught.value)
        with pytest.raises(UnavailableError) as silence:
            await client.receipts(hashes)
        assert not isinstance(silence.value, DisagreementError), "it may only lag"
        liar.lies.clear()
        assert await client.nonce_at(sender, head.hash) == 3


async def test_state_under_a_verdict_is_agreed_on_unless_configured_otherwise(endpoints: Endpoints) -> None:
    sender, _ = landed(endpoints.node)
    endpoints.all[0].lies["eth_getBalance"] = lambda params, answer: hex(10**30)
    keys = StateKeys((sender,))
    async with endpoints.client(2) as client:
        (account,) = (await client.fetch_state(keys, await client.head())).accounts
        assert account.balance_wei < 10**30
    async with endpoints.client(2, verify_state=StateCheck.NONE) as client:
        (account,) = (await client.fetch_state(keys, await client.head())).accounts
        assert account.balance_wei == 10**30, "one endpoint is believed"


async def test_transaction_counts_as_known_only_where_enough_have_it(endpoints: Endpoints) -> None:
    _, hashes = landed(endpoints.node)
    unknown = Hash(b"\x77" * 32)
    endpoints.all[0].lies["eth_getTransactionByHash"] = lambda params, answer: {"hash": params[0]}
    async with endpoints.client(2) as client:
        assert await client.transactions_known([hashes[0], unknown]) == [True, False]


async def test_block_that_enough_do_not_know_is_gone_and_one_that_one_lacks_is_not(
    endpoints: Endpoints,
) -> None:
    endpoints.node.mine(5)
    async with endpoints.client(2) as client:
        head = await client.head()
        endpoints.all[0].behind = 3
        assert await client.block_by_hash(head.hash) == head
        assert await client.nonce_at(TARGET, head.hash) == 0
        endpoints.all[1].behind = 3
        assert await client.block_by_hash(head.hash) is None
        with pytest.raises(UnknownBlockError):
            await client.nonce_at(TARGET, head.hash)


# Silence


async def test_stalled_endpoint_costs_patience_once_and_rests_then(endpoints: Endpoints) -> None:
    endpoints.node.mine()
    async with endpoints.client(2) as client:
        await client.head()
        endpoints.all[0].stall()
        before, started_s = endpoints.asked(0), time.monotonic()
        assert (await client.head()).number == 1
        assert HEDGE_S_MAX <= time.monotonic() - started_s < READ_TIMEOUT_S
        assert endpoints.asked(0) == before + 1
        assert (await client.head()).number == 1
        assert endpoints.asked(0) == before + 1, "it rests"


async def test_endpoints_that_reset_are_replaced_and_below_agreement_nothing_is_decided(
    endpoints: Endpoints,
) -> None:
    endpoints.node.mine()
    async with endpoints.client(2) as client:
        endpoints.all[0].resets = True
        assert (await client.head()).number == 1
        endpoints.all[1].resets = True
        with pytest.raises(UnavailableError, match="1 endpoints answered where 2 must agree"):
            await client.head()


async def test_endpoint_of_another_chain_never_counts(endpoints: Endpoints) -> None:
    endpoints.node.mine()
    endpoints.all[0].lies["eth_chainId"] = lambda params, answer: "0x5"
    async with endpoints.client(2) as client:
        assert (await client.head()).number == 1
        assert set(endpoints.all[0].asked) == {"eth_chainId"}
        with pytest.raises(ChainIdMismatchError):
            await client.pool.check()
