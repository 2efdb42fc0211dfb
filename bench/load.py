"""What many plans at once and very large plans do: 50 keys that all want a block, and 200 calls in one.

Flow: a true anvil, a whole pipeline on it with everything on (`pipeline`), swaps on the true Uniswap V2 by
one executor. *Concurrent*: in each wave 50 keys are given a plan each at the same moment; each plan's time
runs from there until it is in a block. *Batch*: 50 plans of four swaps, as segments of as few transactions as
the guards let pass. *Whole*: one plan of 200 swaps. *Too large*: one plan above 80 % of what a transaction
may use, which must be refused with that reason.

Every plan must end as it should, or the run fails: nothing lost, nothing twice. `python -m bench load`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
import psutil
from typing_extensions import override

from bench.latency import percentile
from bench.nodes import Node
from bench.payloads import SWAPPED, Swaps, swaps
from bench.pipeline import Pipeline, running_pipeline
from bench.rows import Row
from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX
from seawall.primitives.levels import IntentState
from seawall.primitives.plans import Plan, TokenBound
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import SwapV2
from seawall.strategies.plans import gas_use_guard

__all__ = ["Sizes", "measure", "rows_of"]

POLL_S: Final = 0.02
WAIT_S: Final = 60.0
GAS_USE_MAX: Final = GAS_LIMIT_TRANSACTION_MAX * 8 // 10
CALLS_PER_SEGMENT: Final = 4
# As many as fit below the guard on gas: a group that does not fit goes one by one.
SEGMENTS_MAX: Final = 25


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a run is."""

    keys: int = 50
    waves: int = 6
    calls: int = 200
    calls_too_many: int = 500


@dataclass(frozen=True, slots=True)
class ManySwaps(Swaps):
    """As `Swaps`, with several swaps in one plan."""

    calls: int = 1

    @property
    @override
    def caps(self) -> dict[Address, int]:
        return {NATIVE: 10**21, self.book.address("usdx"): 1_000 * SWAPPED}

    @override
    def plan(self, key: Address, name: str) -> Plan:
        return replace(Swaps.plan(self, key, name), guards=(gas_use_guard(),))

    @override
    def _operations(self) -> bytes:
        book = self.book
        one = SwapV2(book.address("uniswap_v2_factory"), book.address("usdx"), book.address("weth"), SWAPPED)
        return encode_operations((one,) * self.calls)

    @override
    def _bounds(self) -> tuple[TokenBound, ...]:
        return (TokenBound(self.book.address("usdx"), "outflow", self.calls * SWAPPED),)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a load ended."""

    rows: list[IntentRow]
    landed_ms: list[float]  # from acceptance to the block
    our_cpu_s: float
    gas_used: list[int]  # of each transaction

    def require(self, count: int, state: IntentState) -> None:
        """Nothing lost, nothing twice, and each as it should be."""
        assert len(self.rows) == count, f"{len(self.rows)} intents of {count} plans"
        wrong = [f"{row.state}: {row.reason}" for row in self.rows if row.state is not state]
        assert not wrong, f"{len(wrong)} of {count} ended otherwise, the first {wrong[0]}"


def measure() -> list[Row]:
    return asyncio.run(rows_of(Sizes()))


async def rows_of(sizes: Sizes) -> list[Row]:
    payload = swaps()
    one = ManySwaps(payload.state, payload.book, calls=1)
    with one.node() as node:
        rows = await _concurrent(node, one, sizes)
        several, whole = replace(one, calls=CALLS_PER_SEGMENT), replace(one, calls=sizes.calls)
        segments = sizes.calls // CALLS_PER_SEGMENT
        batch = await _together(node, several, segments, SEGMENTS_MAX)
        batch.require(segments, IntentState.LANDED)
        single = await _together(node, whole, 1, 1)
        single.require(1, IntentState.LANDED)
        refused = await _together(node, replace(one, calls=sizes.calls_too_many), 1, 1)
        refused.require(1, IntentState.REFUSED)
        reason = refused.rows[0].reason
        assert "gas limit" in reason, reason
    rows += _large(f"{sizes.calls} swaps as {segments} segments", batch)
    rows += _large(f"{sizes.calls} swaps in one plan", single)
    rows.append(Row(f"a plan of {sizes.calls_too_many} swaps is refused: {reason}", "plans", 1))
    rows.append(Row("resident memory, all done", "MiB", psutil.Process().memory_info().rss / 2**20))
    return rows


async def _concurrent(node: Node, payload: ManySwaps, sizes: Sizes) -> list[Row]:
    landed_ms: list[float] = []
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(running_pipeline(node, payload, sizes.keys))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        cpu_s = time.process_time()
        for wave in range(sizes.waves):
            plans = [payload.plan(key, f"wave-{wave}-{key.hex()}") for key in pipeline.keys]
            landed_ms += await _landed(node, session, pipeline, [[plan] for plan in plans], wave + 1)
        await pipeline.concluded()
        cpu_s = time.process_time() - cpu_s
        count = sizes.keys * sizes.waves
        ended = Ended(await _rows(pipeline, 2 * count), landed_ms, cpu_s, [])
    ended.require(count, IntentState.LANDED)
    name = f"{sizes.keys} plans at once, {sizes.waves} times"
    return [
        Row(f"{name}: accepted to landed, p50", "ms", percentile(landed_ms, 50)),
        Row(f"{name}: accepted to landed, p99", "ms", percentile(landed_ms, 99)),
        Row(f"{name}: our CPU a plan", "us", 1e6 * cpu_s / count),
        Row(f"{name}: lost or failed", "plans", 0),
    ]


async def _landed(
    node: Node,
    session: aiohttp.ClientSession,
    pipeline: Pipeline,
    decisions: Sequence[list[Plan]],
    nonce: int,
) -> list[float]:
    """How long after their acceptance began the keys had used so many nonces [ms each]."""
    begin_s = time.perf_counter()
    accepting = asyncio.gather(*(pipeline.accept(plans) for plans in decisions))
    waiting, landed_ms = list(pipeline.keys), []
    async with asyncio.timeout(WAIT_S):
        while waiting:
            calls = [("eth_getTransactionCount", [hex_text(key), "latest"]) for key in waiting]
            found = await node.ask(session, *calls)
            now_ms = 1e3 * (time.perf_counter() - begin_s)
            there = {key for key, count in zip(waiting, found, strict=True) if int(str(count), 16) >= nonce}
            landed_ms += [now_ms] * len(there)
            waiting = [key for key in waiting if key not in there]
            await asyncio.sleep(POLL_S)
    await accepting
    return landed_ms


async def _together(node: Node, payload: ManySwaps, count: int, segments_max: int) -> Ended:
    """`count` plans of one decision and one key, until each has its outcome."""
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(
            running_pipeline(node, payload, 1, segments_max=segments_max)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        plans = [payload.plan(pipeline.keys[0], f"large-{place}") for place in range(count)]
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        await pipeline.accept(plans)
        rows = await _ended(pipeline, count)
        taken_ms = 1e3 * (time.perf_counter() - begin_s)
        cpu_s = time.process_time() - cpu_s
        hashes = await pipeline.names_by_hash(2 * count)
        return Ended(rows, [taken_ms], cpu_s, await _gas_of(node, session, list(hashes)))


async def _ended(pipeline: Pipeline, count: int) -> list[IntentRow]:
    async with asyncio.timeout(WAIT_S):
        while True:
            rows = await _rows(pipeline, 2 * count)
            if len(rows) >= count and all(row.state.is_outcome for row in rows):
                return rows
            await asyncio.sleep(POLL_S)


async def _rows(pipeline: Pipeline, limit: int) -> list[IntentRow]:
    def read(tx: Transaction) -> list[IntentRow]:
        return list(tx.intents.listing(limit))

    return await pipeline.ledger.read(read)


async def _gas_of(node: Node, session: aiohttp.ClientSession, hashes: Sequence[Hash]) -> list[int]:
    """What each transaction used, of those that are in a block."""
    if not hashes:
        return []
    found = await node.ask(session, *(("eth_getTransactionReceipt", [hex_text(one)]) for one in hashes))
    return [int(str(one["gasUsed"]), 16) for one in found if isinstance(one, dict)]


def _large(name: str, ended: Ended) -> list[Row]:
    return [
        Row(f"{name}: transactions", "transactions", len(ended.gas_used)),
        Row(f"{name}: gas used by the largest", "gas", max(ended.gas_used), {}, GAS_USE_MAX),
        Row(f"{name}: accepted to accounted for", "ms", ended.landed_ms[0]),
        Row(f"{name}: our CPU", "ms", 1e3 * ended.our_cpu_s),
    ]
