"""An executor call on state that is far away: how often a simulator waits for the node, and how long.

A fresh simulator each time, nothing of the state in it; the node is another process, and every answer takes
20 ms longer than it would. What counts is each time that the call waits: for the node's access list, for the
state that this names, and for what is still missing afterwards. Peer: anvil forking over the same connection.
The same on a node that tells no access lists, where what a call reads is found by looking.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
from typing_extensions import override

from bench.nodes import running_node
from bench.rows import Row
from bench.stage import CHAIN_ID, GWEI, OPERATOR, client_of, forms, observe, ten_calls_stage
from seawall.chain.client import ChainClient
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport, Request, RpcError, RpcPool
from seawall.chain.simulation import Simulator
from seawall.native import encode_call
from seawall.primitives.plans import ExecutorBody, Plan, TokenBound
from seawall.primitives.ports import SystemClock, ThreadOffload
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, hex_text
from seawall.primitives.verdicts import Payload
from seawall.protocols.adapters.actions import Borrow, Supply, Swap
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.executor.encoding import Execution as PlanOfExecutor
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Flash, Loan, Measure, Measured, Operation
from seawall.protocols.executor.policy import TokenClass
from seawall.protocols.executor.policy_parts import policy_of
from seawall.protocols.executor.risk_book import LossLimit, RiskPolicy, TokenLimit
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.positions import open_account

__all__ = [
    "ROUNDS_MAX",
    "Scenario",
    "WithoutHints",
    "arbitrage",
    "client_on",
    "leverage",
    "rows_of_cold_calls",
    "waits_of",
]

LATENCY_S: Final = 0.020
ROUNDS_MAX: Final = 3
REPEATS: Final = 5
PEER_REPEATS: Final = 1
GAS_LIMIT: Final = 5_000_000
FAR_FUTURE_S: Final = 2**40
ETHER: Final = 10**18
DOLLAR: Final = 10**6
CAP: Final = 10**30
HEARTBEAT_S: Final = 2**31
CHUNK_BYTES: Final = 64 * 1024
INTENT_ID: Final = 11
DIGEST: Final = Hash(b"\x11" * 32)


@dataclass(slots=True)
class Delayed:
    """A connection whose answers come `LATENCY_S` later, however long they are."""

    upstream: int
    requests: int = 0
    port: int = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, onwards = await asyncio.open_connection("127.0.0.1", self.upstream)
        late: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        async with asyncio.TaskGroup() as tasks:
            for work in (self._ask(reader, onwards), _hold(there, late), _release(late, writer)):
                tasks.create_task(work)

    async def _ask(self, reader: asyncio.StreamReader, onwards: asyncio.StreamWriter) -> None:
        while piece := await reader.read(CHUNK_BYTES):
            self.requests += piece.count(b"POST / ")
            onwards.write(piece)
        onwards.close()


async def _hold(there: asyncio.StreamReader, late: asyncio.Queue[tuple[float, bytes]]) -> None:
    while piece := await there.read(CHUNK_BYTES):
        late.put_nowait((time.monotonic() + LATENCY_S, piece))
    late.put_nowait((0.0, b""))


async def _release(late: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    while True:
        due_s, piece = await late.get()
        if not piece:
            break
        await asyncio.sleep(due_s - time.monotonic())
        writer.write(piece)
    writer.close()


@contextlib.asynccontextmanager
async def delayed(port: int) -> AsyncIterator[Delayed]:
    relay = Delayed(port)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ExceptionGroup, OSError):
            await relay._serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    relay.port = int(server.sockets[0].getsockname()[1])
    try:
        yield relay
    finally:
        server.close()


@dataclass(frozen=True, slots=True)
class Scenario:
    name: str
    payload: Payload


def rows_of_cold_calls() -> list[Row]:
    return asyncio.run(_measured())


async def _measured() -> list[Row]:
    # Connections that are open at the end are cancelled, which streams of Python 3.11 report as an error.
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    with ten_calls_stage() as devnet:
        port = int(devnet.info.rpc_url.rpartition(":")[2])
        scenarios = [arbitrage(devnet), leverage(devnet), await _ten_calls(devnet)]
        rows: list[Row] = []
        for scenario in scenarios:
            rows += await _rows_of(devnet, port, scenario)
        return rows


async def _rows_of(devnet: Devnet, port: int, scenario: Scenario) -> list[Row]:
    """Ours and the peers in turn, so that other work on the machine hits all alike."""
    ours_ms, waits, anvil_ms, asked, blind_ms, blind_waits = [], [], [], [], [], []
    for number in range(REPEATS):
        async with delayed(port) as relay:
            taken_ms, waited = await waits_of(f"http://127.0.0.1:{relay.port}", scenario.payload)
        ours_ms.append(taken_ms)
        waits.append(waited)
        async with delayed(port) as relay:
            url = f"http://127.0.0.1:{relay.port}"
            taken_ms, waited = await waits_of(url, scenario.payload, has_hints=False)
        blind_ms.append(taken_ms)
        blind_waits.append(waited)
        if number < PEER_REPEATS:
            async with delayed(port) as relay:
                anvil_ms.append(await _by_anvil(f"http://127.0.0.1:{relay.port}", scenario.payload))
                asked.append(relay.requests)
    peer = {"anvil --fork-url, eth_call": statistics.median(anvil_ms)}
    name = f"{scenario.name}, cold, {1e3 * LATENCY_S:.0f} ms away"
    return [
        Row(
            f"{name}: waits for the node",
            "round trips",
            max(waits),
            {"requests of anvil --fork-url, its start included": statistics.median(asked)},
            ROUNDS_MAX,
        ),
        Row(f"{name}: until its result", "ms", statistics.median(ours_ms), peer),
        Row(f"{name}, without access lists: waits for the node", "round trips", max(blind_waits)),
        Row(f"{name}, without access lists: until its result", "ms", statistics.median(blind_ms), peer),
    ]


class WithoutHints(HttpTransport):
    """A node that does not offer access lists."""

    @override
    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        if any(request.method == "eth_createAccessList" for request in requests):
            return [RpcError(-32601, "the method does not exist") for _ in requests]
        return await super().send(requests)


async def waits_of(url: str, payload: Payload, *, has_hints: bool = True) -> tuple[float, int]:
    """Time, and how often it waited: for the hint, for what the hint names, for what is missing then."""
    network = network_of(CHAIN_ID)
    transport = HttpTransport(url) if has_hints else WithoutHints(url)
    async with client_on(transport) as client:
        head = await client.head()
        nonce = await client.nonce_at(payload.sender, head.hash)
        simulator = Simulator(client, network, ThreadOffload())
        await simulator.pin(head)
        begin_s = time.perf_counter()
        execution = await simulator.run(payload, nonce, 2 * GWEI)
        taken_s = time.perf_counter() - begin_s
        assert execution.success, execution.transactions[0].failure
        return 1e3 * taken_s, 1 + simulator.prefetches + simulator.rounds


@contextlib.asynccontextmanager
async def client_on(transport: HttpTransport) -> AsyncIterator[ChainClient]:
    pool = RpcPool([transport], chain_id=CHAIN_ID, clock=SystemClock())
    try:
        yield ChainClient(pool, network_of(CHAIN_ID))
    finally:
        await pool.close()


async def _by_anvil(url: str, payload: Payload) -> float:
    call = {
        "from": hex_text(payload.sender),
        "to": hex_text(payload.to),
        "data": hex_text(payload.data),
        "gas": hex(GAS_LIMIT),
    }
    stack = contextlib.ExitStack()
    async with aiohttp.ClientSession() as session:
        node = await asyncio.to_thread(stack.enter_context, running_node("--fork-url", url))
        try:
            await node.ask(session, ("eth_chainId", []))
            begin_s = time.perf_counter()
            await node.ask(session, ("eth_call", [call, "latest"]))
            return 1e3 * (time.perf_counter() - begin_s)
        finally:
            stack.close()


# ---------------------------------------------------------------------- what is called


def arbitrage(devnet: Devnet) -> Scenario:
    book = devnet.book
    weth, usdx = book.address("weth"), book.address("usdx")
    dollars = (Measure("dollars", usdx),)
    adapters = adapters_of(book)
    sell = Swap(weth, usdx, ETHER, measure=dollars)
    buy = Swap(usdx, weth, Measured("dollars"))
    executor = book.address("atomic_executor")
    swaps = (
        *adapters["uniswap_v2:weth-usdx"].build(sell, executor),
        *adapters["uniswap_v3:weth-usdx-500"].build(buy, executor),
    )
    loan = Flash(book.address("balancer_vault"), (Loan(weth, ETHER),), swaps)
    return Scenario("flash arbitrage", _payload(OPERATOR, executor, (loan,), (), weth))


def leverage(devnet: Devnet) -> Scenario:
    """Supply, borrow, trade, supply again on the true Aave, in an account that holds positions."""
    book, operator = devnet.book, TRADERS[0]
    weth, usdx, debt = (book.address(name) for name in ("weth", "usdx", "aave_debt_usdx"))
    aave, market = (adapters_of(book)[name] for name in ("aave_v3", "uniswap_v2:weth-usdx"))
    kept = dict.fromkeys((weth, usdx), TokenClass.KEPT)
    ether, dollar = book.address("feed_eth_usd"), book.address("feed_usdx_usd")
    limits = tuple(
        TokenLimit(token, feed, HEARTBEAT_S, decimals, CAP, 0)
        for token, feed, decimals in ((weth, ether, 18), (usdx, dollar, 6), (debt, dollar, 6))
    )
    risk = RiskPolicy(ZERO_ADDRESS, limits, LossLimit(CAP, CAP, 0), (), holds_positions=True)
    policy = policy_of([one.policy(ZERO_ADDRESS) for one in (aave, market)], ZERO_ADDRESS, kept)
    account = open_account(devnet, operator, Address(b"\x77" * 20), policy, risk)
    transfer = encode_call("transfer(address,uint256)", (account, 2 * ETHER))
    devnet.rpc.settle([devnet.rpc.send(operator, weth, transfer)], mine=True)
    operations = (
        *aave.build(Supply(weth, 2 * ETHER), account),
        *aave.build(Borrow(usdx, 500 * DOLLAR, measure=(Measure("cash", usdx),)), account),
        *market.build(Swap(usdx, weth, Measured("cash"), 1, (Measure("more", weth),)), account),
        *aave.build(Supply(weth, Measured("more")), account),
    )
    bounds = (
        TokenBound(weth, "outflow", 2 * ETHER),
        TokenBound(debt, "debt_increase", 501 * DOLLAR),
    )
    return Scenario(
        "Aave leverage in an account", _payload(operator, account, operations, bounds, ZERO_ADDRESS)
    )


async def _ten_calls(devnet: Devnet) -> Scenario:
    async with client_of(devnet.info.rpc_url) as client:
        plan: Plan = forms(devnet)["Python"].decide(await observe(client, devnet), b"").plans[0]
    body = plan.body
    assert isinstance(body, ExecutorBody)
    execution = PlanOfExecutor(
        body.operations, body.bounds, FAR_FUTURE_S, body.min_profit_wei, plan.accounting_token
    )
    return Scenario("ten calls in a flash loan", _called(OPERATOR, body.executor, execution))


def _payload(
    sender: Address,
    executor: Address,
    operations: Sequence[Operation],
    bounds: tuple[TokenBound, ...],
    token: Address,
) -> Payload:
    execution = PlanOfExecutor(encode_operations(operations), bounds, FAR_FUTURE_S, 0, token)
    return _called(sender, executor, execution)


def _called(sender: Address, executor: Address, execution: PlanOfExecutor) -> Payload:
    data = execution.calldata(intent_id=INTENT_ID, plan_digest=DIGEST, max_fee_wei=0)
    return Payload(CHAIN_ID, sender, executor, data, 0, GAS_LIMIT)
