"""How often a simulation waits for the node: for a new call its hint and one round at most (SIM-2)."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.remote import ROUNDS_MAX, Scenario, WithoutHints, arbitrage, leverage, waits_of
from bench.stage import ten_calls_stage
from seawall.chain import simulation
from seawall.chain.client import ChainClient
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.chain.simulation import Simulator
from seawall.native import encode_call
from seawall.primitives.errors import NativeError
from seawall.primitives.ports import SystemClock, ThreadOffload
from seawall.primitives.units import Hash, hex_text
from seawall.primitives.verdicts import Payload
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.rpc import Json, as_bytes
from seawall.rollout.devnet.steering import mine

CHAIN_ID = 31337
FOREVER_S = 2**40
GWEI = 10**9


def swap(devnet: Devnet) -> Payload:
    book = devnet.book
    path = [book.address("weth"), book.address("usdx")]
    signature = "swapExactTokensForTokens(uint256,uint256,address[],address,uint256)"
    data = encode_call(signature, (10**18, 0, path, TRADERS[0], FOREVER_S))
    return Payload(CHAIN_ID, TRADERS[0], book.address("uniswap_v2_router"), data, 0, 500_000)


def simulator_on(transport: HttpTransport) -> tuple[RpcPool, ChainClient, Simulator]:
    network = network_of(CHAIN_ID)
    pool = RpcPool([transport], chain_id=CHAIN_ID, clock=SystemClock())
    client = ChainClient(pool, network)
    return pool, client, Simulator(client, network, ThreadOffload())


async def test_call_never_seen_takes_at_most_one_round_with_the_nodes_hint(devnet: Devnet) -> None:
    pool, client, simulator = simulator_on(HttpTransport(devnet.info.rpc_url))
    try:
        head = await client.head()
        await simulator.pin(head)
        execution = await simulator.run(swap(devnet), await client.nonce_at(TRADERS[0], head.hash), 2 * GWEI)
        assert execution.success
        assert simulator.rounds <= 1
    finally:
        await pool.close()


async def test_call_seen_before_takes_no_round_on_the_next_head(devnet: Devnet) -> None:
    pool, client, simulator = simulator_on(HttpTransport(devnet.info.rpc_url))
    try:
        head = await client.head()
        await simulator.pin(head)
        nonce = await client.nonce_at(TRADERS[0], head.hash)
        await simulator.run(swap(devnet), nonce, 2 * GWEI)
        before = simulator.rounds
        mine(devnet)
        await simulator.pin(await client.head())
        assert (await simulator.run(swap(devnet), nonce, 2 * GWEI)).success
        assert simulator.rounds == before
    finally:
        await pool.close()


async def test_node_without_access_lists_only_costs_more_rounds(devnet: Devnet) -> None:
    pool, client, simulator = simulator_on(WithoutHints(devnet.info.rpc_url))
    try:
        head = await client.head()
        await simulator.pin(head)
        execution = await simulator.run(swap(devnet), await client.nonce_at(TRADERS[0], head.hash), 2 * GWEI)
        assert execution.success
        assert simulator.rounds > 1
    finally:
        await pool.close()


async def test_look_that_fails_only_costs_more_rounds(
    devnet: Devnet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise NativeError("no such override", "look", "none needed")

    monkeypatch.setattr(simulation, "look", fails)
    pool, client, simulator = simulator_on(WithoutHints(devnet.info.rpc_url))
    try:
        head = await client.head()
        await simulator.pin(head)
        execution = await simulator.run(swap(devnet), await client.nonce_at(TRADERS[0], head.hash), 2 * GWEI)
        assert execution.success
    finally:
        await pool.close()


@pytest.mark.parametrize("scenario", [arbitrage, leverage], ids=["flash arbitrage", "Aave leverage"])
async def test_executor_call_never_seen_waits_three_times_for_the_node(
    scenario: Callable[[Devnet], Scenario],
) -> None:
    """For its access list, for the state that this names, and once for what is missing then."""
    with ten_calls_stage() as devnet:
        _, waits = await waits_of(devnet.info.rpc_url, scenario(devnet).payload)
    assert waits <= ROUNDS_MAX


@pytest.mark.parametrize(
    ("scenario", "rounds_max"), [(arbitrage, 12), (leverage, 24)], ids=["flash arbitrage", "Aave leverage"]
)
async def test_executor_call_without_access_lists_is_found_by_looking_and_does_what_the_chain_does(
    scenario: Callable[[Devnet], Scenario], rounds_max: int
) -> None:
    """A round each for what is missing would be 45 and 66."""
    with ten_calls_stage() as devnet:
        payload = scenario(devnet).payload
        pool, client, simulator = simulator_on(WithoutHints(devnet.info.rpc_url))
        try:
            head = await client.head()
            await simulator.pin(head)
            nonce = await client.nonce_at(payload.sender, head.hash)
            execution = await simulator.run(payload, nonce, 2 * GWEI)
        finally:
            await pool.close()
        assert execution.success
        assert simulator.rounds <= rounds_max
        block_time_s = network_of(CHAIN_ID).block_time_s
        devnet.rpc.call("evm_setNextBlockTimestamp", head.timestamp_s + block_time_s)
        sent: dict[str, Json] = {
            "from": hex_text(payload.sender),
            "to": hex_text(payload.to),
            "data": hex_text(payload.data),
            "gas": hex(payload.gas_limit),
        }
        tx_hash = Hash(as_bytes(devnet.rpc.call("eth_sendTransaction", sent), "eth_sendTransaction"))
        (receipt,) = devnet.rpc.settle([tx_hash], mine=True)
    result = execution.transactions[0]
    assert receipt["gasUsed"] == hex(result.gas_used)
    logs = receipt["logs"]
    assert isinstance(logs, list)
    assert [(one["address"], one["topics"], one["data"]) for one in logs if isinstance(one, dict)] == [
        (hex_text(one.address), [hex_text(topic) for topic in one.topics], hex_text(one.data))
        for one in result.logs
    ]
