"""The shipped strategies against the true contracts, asked in a host as the kernel asks them.

The test plays the kernel: it reads at each head what the strategy subscribed to, and sends what it wants
from an unlocked account. What the strategy promised must then be what the chain shows, to the wei.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from seawall.native import encode_call
from seawall.primitives.blocks import Block
from seawall.primitives.codec import plan_digest
from seawall.primitives.observations import Cause, Decision, Observation
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash, address_text, hex_text
from seawall.protocols.executor.encoding import execution_calldata
from seawall.rollout.devnet import TRADERS, Devnet, Trader
from seawall.rollout.devnet.deployer import ETHER
from seawall.rollout.devnet.rpc import as_bytes, as_int
from seawall.rollout.devnet.steering import authorise, mine
from seawall.runtime.hosts.settings import HostedStrategy, HostSettings
from seawall.runtime.hosts.supervisor import HostSupervisor

pytestmark = pytest.mark.anvil

OPERATOR = TRADERS[2]
BENEFICIARY = Address(b"\x77" * 20)
MAX_FEE_WEI = 10**15
START_S = 60.0
# A host misses nothing because the machine is slow.
UNHURRIED = HostSettings(decide_deadline_s=START_S, load_deadline_s=START_S, heartbeat_deadline_s=START_S)


class Kernel:
    """Plays the kernel's part for one strategy."""

    def __init__(self, devnet: Devnet, path: str, settings: dict[str, object]) -> None:
        self.devnet = devnet
        strategy = HostedStrategy("tried", path, json.dumps(settings))
        self.hosts = HostSupervisor((strategy,), UNHURRIED, SystemClock())
        self.state, self.version, self.seq = b"", 0, 0

    async def start(self) -> None:
        async with asyncio.timeout(START_S):
            await self.hosts.start()
        (status,) = self.hosts.status()
        assert status.standing == "running", status.reason
        self.reads = status.subscriptions[0].reads

    async def head(self) -> Decision:
        """One decision on the latest block."""
        rpc = self.devnet.rpc
        found = rpc.record("eth_getBlockByNumber", "latest", False)
        pinned = {"blockHash": found["hash"]}
        answers = rpc.batch(
            [
                ("eth_call", ({"to": hex_text(read.target), "data": hex_text(read.calldata)}, pinned))
                for read in self.reads
            ]
        )
        block = Block(
            31337,
            as_int(found["number"], "number"),
            Hash(as_bytes(found["hash"], "hash")),
            Hash(as_bytes(found["parentHash"], "parent")),
            as_int(found["timestamp"], "timestamp"),
            as_int(found["baseFeePerGas"], "base fee"),
            30_000_000,
            Address(bytes(20)),
            Hash(bytes(32)),
        )
        self.seq += 1
        reads: dict[str, bytes | None] = {
            read.label: as_bytes(answer, read.label) for read, answer in zip(self.reads, answers, strict=True)
        }
        seen = Observation("tried", self.seq, Cause.HEAD, block.timestamp_s, block, reads)
        decided = await self.hosts.decide(seen, self.state, self.version)
        assert decided.state_version == self.version
        if decided.state is not None:
            self.state, self.version = decided.state, self.version + 1
        if decided.subscriptions is not None:
            self.reads = decided.subscriptions[0].reads
        return decided

    async def plan(self, heads: int = 4) -> Plan | None:
        """The first plan within so many heads."""
        for _ in range(heads):
            decided = await self.head()
            if decided.plans:
                return decided.plans[0]
            mine(self.devnet, 1)
        return None

    def land(self, plan: Plan, intent_id: int = 1) -> None:
        body = plan.body
        data, value_wei = b"", 0
        if isinstance(body, DirectBody):
            data, value_wei = body.calldata, body.value_wei
        else:
            digest = plan_digest(plan)
            data = execution_calldata(
                plan, body, intent_id=intent_id, plan_digest=digest, max_total_fee_wei=MAX_FEE_WEI
            )
        sent = self.devnet.rpc.send(plan.key, plan.target, data, value_wei=value_wei)
        self.devnet.rpc.settle([sent], mine=True)

    def balance(self, token: str, owner: Address) -> int:
        call = encode_call("balanceOf(address)", (owner,))
        return int.from_bytes(self.devnet.rpc.view(self.devnet.book.address(token), call))

    def native_balance(self, owner: Address) -> int:
        return self.devnet.rpc.integer("eth_getBalance", hex_text(owner), "latest")


def text_of(devnet: Devnet, name: str) -> str:
    return address_text(devnet.book.address(name))


@pytest.fixture
async def arbitrage(devnet: Devnet) -> AsyncIterator[Kernel]:
    authorise(devnet, OPERATOR, BENEFICIARY)
    settings: dict[str, object] = {
        "chain_id": 31337,
        "key": address_text(OPERATOR),
        "executor": text_of(devnet, "atomic_executor"),
        "beneficiary": address_text(BENEFICIARY),
        "vault": text_of(devnet, "balancer_vault"),
        "v2_factory": text_of(devnet, "uniswap_v2_factory"),
        "v3_factory": text_of(devnet, "uniswap_v3_factory"),
        "v3_fee_pips": 500,
        "token": text_of(devnet, "weth"),
        "other_token": text_of(devnet, "usdx"),
        "min_profit_wei": str(ETHER // 1000),
    }
    kernel = Kernel(devnet, "seawall.strategies.arbitrage.two_venue:TwoVenueArbitrage", settings)
    await kernel.start()
    yield kernel
    await kernel.hosts.close()


async def test_arbitrage_earns_to_the_wei_what_it_promised(arbitrage: Kernel) -> None:
    Trader(arbitrage.devnet).open_gap_v2("weth", "usdx", 300)
    plan = await arbitrage.plan()
    assert plan is not None
    arbitrage.land(plan)
    (promised,) = plan.expected
    assert promised.change > ETHER // 100
    assert arbitrage.balance("weth", BENEFICIARY) == promised.change
    assert arbitrage.balance("usdx", BENEFICIARY) == 0


async def test_arbitrage_closes_a_gap_of_the_other_direction_too(arbitrage: Kernel) -> None:
    Trader(arbitrage.devnet).open_gap_v2("usdx", "weth", 300)
    plan = await arbitrage.plan()
    assert plan is not None
    arbitrage.land(plan)
    assert arbitrage.balance("weth", BENEFICIARY) == plan.expected[0].change > ETHER // 100


async def test_arbitrage_wants_nothing_while_pools_agree_nor_twice_of_one_gap(arbitrage: Kernel) -> None:
    assert await arbitrage.plan() is None
    Trader(arbitrage.devnet).open_gap_v2("weth", "usdx", 300)
    assert await arbitrage.plan() is not None
    assert await arbitrage.plan() is None


@pytest.mark.parametrize(("low", "target", "high"), [(1, 9_000, 9_500), (20_000, 20_005, 30_000)])
async def test_native_range_moves_the_balance_to_its_target(
    devnet: Devnet, low: int, target: int, high: int
) -> None:
    key = TRADERS[2]
    settings: dict[str, object] = {
        "chain_id": 31337,
        "key": address_text(key),
        "wrapped_native": text_of(devnet, "weth"),
        "multicall": text_of(devnet, "multicall3"),
        "low_wei": str(low * ETHER),
        "target_wei": str(target * ETHER),
        "high_wei": str(high * ETHER),
    }
    kernel = Kernel(devnet, "seawall.strategies.native_range:NativeRange", settings)
    native_wei, wrapped_wei = kernel.native_balance(key), kernel.balance("weth", key)
    try:
        await kernel.start()
        plan = await kernel.plan()
    finally:
        await kernel.hosts.close()
    assert plan is not None
    assert not isinstance(plan.body, ExecutorBody)
    kernel.land(plan)
    moved_wei = kernel.balance("weth", key) - wrapped_wei
    fee_wei = native_wei - moved_wei - kernel.native_balance(key)
    assert abs(moved_wei) == plan.expected[0].change
    assert 0 < fee_wei < ETHER // 1000
    wanted_wei = native_wei - target * ETHER
    assert moved_wei == max(wanted_wei, -wrapped_wei)
