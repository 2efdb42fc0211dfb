"""How fast a payload gets from the intake into blocks, and how fast this node takes it at all.

*Ours*: plans accepted by the intake until the last is in a block; the CPU is counted until all have their
outcome. *Limit*: as many transactions, signed before the clock starts, in JSON-RPC batches of 100, two in
flight, by a bare loop.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import orjson

from bench.nodes import Node
from bench.payloads import Payload
from bench.pipeline import Pipeline, running_pipeline
from seawall.native import LocalKey
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, hex_text

__all__ = ["Throughput", "bare_rate", "mined", "through", "throughput"]

WARM_UP: Final = 500
PLANS_AT_ONCE: Final = 64  # one decision
DECISIONS_IN_FLIGHT: Final = 4
BATCH: Final = 100
IN_FLIGHT: Final = 2
POLL_S: Final = 0.05
# Without a further transaction in a block for as long, the rest will not come.
STUCK_S: Final = 12.0
MINED_WITHIN_S: Final = 60.0
JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Throughput:
    """Of one run through the pipeline."""

    rate: float  # mined [1/s]
    our_cpu_us: float  # an intent
    node_cpu_us: float  # a transaction

    @property
    def node_share(self) -> float:
        """Of the CPU that both took."""
        return self.node_cpu_us / (self.node_cpu_us + self.our_cpu_us)


async def throughput(
    node: Node, payload: Payload, keys: int, count: int, directory: Path | None = None
) -> Throughput:
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(running_pipeline(node, payload, keys, directory=directory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await through(node, session, payload, pipeline, WARM_UP, "warm")
        await pipeline.concluded()
        node_before_s, ours_before_s = node.cpu_s(), time.process_time()
        rate = await through(node, session, payload, pipeline, count, "run")
        # What is mined is confirmed and accounted for a little later, and costs no less for that.
        await pipeline.concluded()
        node_s, ours_s = node.cpu_s() - node_before_s, time.process_time() - ours_before_s
        return Throughput(rate, 1e6 * ours_s / count, 1e6 * node_s / count)


async def through(
    node: Node, session: aiohttp.ClientSession, payload: Payload, pipeline: Pipeline, count: int, tag: str
) -> float:
    """`count` plans over all keys, until they are mined [1/s]."""
    keys = pipeline.keys
    plans = [payload.plan(keys[i % len(keys)], f"{tag}-{i}-{keys[0].hex()}") for i in range(count)]
    before = await mined(node, session, keys)
    begin_s = time.perf_counter()
    in_flight = asyncio.Semaphore(DECISIONS_IN_FLIGHT)

    async def accept(some: Sequence[Plan]) -> None:
        async with in_flight:
            await pipeline.accept(some)

    await asyncio.gather(*(accept(plans[i : i + PLANS_AT_ONCE]) for i in range(0, count, PLANS_AT_ONCE)))
    found = await _until_mined(node, session, keys, before + count) - before
    if found < count:
        print(f"{found} of {count} {payload.name} were mined", file=sys.stderr)
    return found / (time.perf_counter() - begin_s)


async def bare_rate(node: Node, payload: Payload, keys: int, count: int) -> float | None:
    """What this node takes and mines [1/s]. None: it lost one of the bare loop's transactions, which anvil
    sometimes does to those whose nonces arrive out of order."""
    signers = [LocalKey.generate() for _ in range(keys)]
    addresses = [Address(key.address) for key in signers]
    per_key = count // keys
    signed = [
        key.sign_transactions([payload.transaction(nonce, nonce * keys + i) for nonce in range(per_key)])
        for i, key in enumerate(signers)
    ]
    in_turn = [each.raw for several in zip(*signed, strict=True) for each in several]
    bodies = [_request(in_turn[i : i + BATCH]) for i in range(0, len(in_turn), BATCH)]
    await asyncio.to_thread(payload.prepare, node, addresses)
    async with aiohttp.ClientSession() as session:
        begin_s = time.perf_counter()
        in_flight = asyncio.Semaphore(IN_FLIGHT)

        async def post(body: bytes) -> None:
            async with in_flight, session.post(node.url, data=body, headers=JSON) as response:
                await response.read()

        await asyncio.gather(*(post(body) for body in bodies))
        found = await _until_mined(node, session, addresses, len(in_turn))
        return found / (time.perf_counter() - begin_s) if found == len(in_turn) else None


async def mined(node: Node, session: aiohttp.ClientSession, addresses: Sequence[Address]) -> int:
    """Transactions of fresh keys in blocks."""
    counts = await node.ask(
        session, *(("eth_getTransactionCount", [hex_text(each), "latest"]) for each in addresses)
    )
    return sum(int(str(count), 16) for count in counts)


async def _until_mined(
    node: Node, session: aiohttp.ClientSession, addresses: Sequence[Address], count: int
) -> int:
    """How many are mined when all are, or when no more come."""
    begin_s = moved_s = time.perf_counter()
    found = 0
    while True:
        last, found = found, await mined(node, session, addresses)
        now_s = time.perf_counter()
        moved_s = now_s if found > last else moved_s
        if found >= count or now_s - moved_s > STUCK_S or now_s - begin_s > MINED_WITHIN_S:
            return found
        await asyncio.sleep(POLL_S)


def _request(raws: Sequence[bytes]) -> bytes:
    return orjson.dumps(
        [
            {"jsonrpc": "2.0", "id": i, "method": "eth_sendRawTransaction", "params": [hex_text(raw)]}
            for i, raw in enumerate(raws)
        ]
    )
