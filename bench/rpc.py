"""Reads per second of the pool, beside web3.py and viem, and against a bare aiohttp loop as the limit.

One anvil with the devnet's state, one client after another in the same run, `CONCURRENCY` questions in
flight. Single balances and calls, JSON-RPC batches of `BATCH` balances, and Multicall3 bundles of `BUNDLE`
calls; all of them of one block, ours and the bare loop's by its hash. Ours is the whole way: `ChainClient`
over a pool of one endpoint, answers decoded strictly. Clients take turns, and each has its best of `ROUNDS`,
because other load on the machine only ever slows a round down.

The second half is what several endpoints cost: the same reads over a pool of three, of which two must agree.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from bench.nodes import CHAIN_ID, Node
from bench.payloads import swaps
from bench.rows import Row
from bench.rpc_peers import KINDS, Reads, Workload, bare, viem, web3
from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address
from seawall.protocols.snapshots import snapshot

__all__ = ["measure"]

CONCURRENCY: Final = 8
BATCH: Final = 50
BUNDLE: Final = 100
ROUNDS: Final = 4
ROUND_S: Final = 0.6
ADDRESS: Final = Address(b"\x11" * 20)
TITLES: Final = {
    "balance": "single eth_getBalance",
    "call": "single eth_call",
    "batch": f"JSON-RPC batches of {BATCH} balances",
    "bundle": f"Multicall3 bundles of {BUNDLE} calls",
}


def measure() -> list[Row]:
    payload = swaps()
    with payload.node() as node:
        return asyncio.run(_measure(node, payload.book.address("multicall3")))


async def _measure(node: Node, multicall: Address) -> list[Row]:
    async with AsyncExitStack() as stack:
        ours = await stack.enter_async_context(_client(node, 1))
        work = Workload(node.url, await ours.head(), ADDRESS, multicall, BATCH, BUNDLE)
        three = await stack.enter_async_context(_client(node, 3))
        clients: dict[str, Reads] = {
            "ours": _reads(ours, work),
            "bare": await stack.enter_async_context(bare(work)),
            "web3.py": await stack.enter_async_context(web3(work)),
            "2 of 3": _reads(three, work),
        }
        best = {(name, kind): 0.0 for name in clients for kind in KINDS}
        for _ in range(ROUNDS):
            for kind in KINDS:
                for name, reads in clients.items():
                    rate = work.reads_of(kind) * await _rate(reads[kind])
                    best[name, kind] = max(best[name, kind], rate)
    of_viem = await asyncio.to_thread(viem, work, 2 * ROUND_S, CONCURRENCY)
    rows = []
    for kind in KINDS:
        peers = {"web3.py": best["web3.py", kind]}
        if kind in of_viem:
            peers["viem"] = of_viem[kind]
        rows.append(Row(TITLES[kind], "reads/s", best["ours", kind], peers, best["bare", kind]))
    return rows + [
        Row(f"{TITLES[kind]}, 2 of 3 endpoints agree", "reads/s", best["2 of 3", kind]) for kind in KINDS
    ]


@asynccontextmanager
async def _client(node: Node, endpoints: int) -> AsyncIterator[ChainClient]:
    transports = [HttpTransport(f"{node.url}/?{number}") for number in range(endpoints)]
    agreement = endpoints // 2 + 1
    pool = RpcPool(transports, chain_id=CHAIN_ID, clock=SystemClock(), agreement=agreement)
    try:
        yield ChainClient(pool, NETWORKS[CHAIN_ID])
    finally:
        await pool.close()


def _reads(client: ChainClient, work: Workload) -> Reads:
    one, many = [work.address], [work.address] * work.batch
    single = [work.read(0)]
    bundle = [work.read(place) for place in range(work.bundle)]
    block = work.block
    return {
        "balance": lambda: client.balances_at(one, block.hash),
        "call": lambda: client.call_at(single, block),
        "batch": lambda: client.balances_at(many, block.hash),
        "bundle": lambda: snapshot(client, bundle, block, work.multicall),
    }


async def _rate(ask: Callable[[], Awaitable[object]]) -> float:
    """Questions per second."""
    await ask()
    begin_s = time.perf_counter()
    done = 0

    async def keep_asking() -> None:
        nonlocal done
        while time.perf_counter() - begin_s < ROUND_S:
            await ask()
            done += 1

    await asyncio.gather(*(keep_asking() for _ in range(CONCURRENCY)))
    return done / (time.perf_counter() - begin_s)
