"""What many plans at once and very large ones do: 50 keys that all want a block, 200 calls in a transaction.

Flow: a true anvil, a whole pipeline on it with everything on (`pipeline`), one executor for all.
*Concurrent*: in each wave 50 keys are given a plan each at the same moment; each plan's time runs from there
until it is in a block. *Batch*: ten plans of twenty calls, whose gas limit as one transaction is near the
most that the guards let pass; with a little more they are cut in two. *Whole*: one plan of 200 calls near
that limit; with a little more it must be refused with that reason.

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

from bench.latency import percentile
from bench.mixed import SUPPLY, SWAP_V2, SWAP_V3, MixedCalls
from bench.nodes import Node
from bench.payloads import swaps
from bench.pipeline import Pipeline, running_pipeline
from bench.rows import Row
from seawall.ledger.rows import IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import (
    BATCH_SEGMENTS_MAX,
    GAS_LIMIT_TRANSACTION_MAX,
    GAS_USE_BPS_MAX,
    PAYLOAD_BYTES_MAX,
)
from seawall.primitives.levels import IntentState
from seawall.primitives.plans import Plan
from seawall.primitives.units import BPS, Hash, hex_text

__all__ = ["Sizes", "measure", "rows_of"]

POLL_S: Final = 0.02
WAIT_S: Final = 60.0
GAS_USE_MAX: Final = GAS_LIMIT_TRANSACTION_MAX * GAS_USE_BPS_MAX // BPS
# What counts as near the limit, of the gas that the guards let pass.
NEAR_BPS: Final = 8_500
PLANS: Final = 10
CALLS: Final = 200
# Calls of a plan of ten, and of one alone, that are a little too many.
CALLS_CUT: Final = 22
CALLS_REFUSED: Final = 210


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a run is."""

    keys: int = 50
    waves: int = 6


@dataclass(frozen=True, slots=True)
class Landed:
    """A transaction in a block."""

    gas_limit: int
    gas_used: int
    calldata_bytes: int
    logs: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How a load ended."""

    rows: list[IntentRow]
    landed_ms: list[float]  # from acceptance to the block
    our_cpu_s: float
    transactions: list[Landed]

    @property
    def largest(self) -> Landed:
        return max(self.transactions, key=lambda one: one.gas_limit)

    def require(self, count: int, state: IntentState) -> None:
        """Nothing lost, nothing twice, and each as it should be."""
        assert len(self.rows) == count, f"{len(self.rows)} intents of {count} plans"
        wrong = [f"{row.state}: {row.reason}" for row in self.rows if row.state is not state]
        assert not wrong, f"{len(wrong)} of {count} ended otherwise, the first {wrong[0]}"


def measure() -> list[Row]:
    return asyncio.run(rows_of(Sizes()))


async def rows_of(sizes: Sizes) -> list[Row]:
    payload = swaps()
    one = MixedCalls(payload.state, payload.book, calls=2)
    swapping = replace(one, pattern=SWAP_V3 + SWAP_V2)
    lending = replace(one, pattern=SWAP_V3 + SUPPLY)
    with one.node() as node:
        rows = await _concurrent(node, one, sizes)
        batch = await _together(node, replace(swapping, calls=CALLS // PLANS), PLANS)
        batch.require(PLANS, IntentState.LANDED)
        cut = await _together(node, replace(swapping, calls=CALLS_CUT), PLANS)
        cut.require(PLANS, IntentState.LANDED)
    with lending.node() as node:
        single = await _together(node, replace(lending, calls=CALLS), 1)
        single.require(1, IntentState.LANDED)
        refused = await _together(node, replace(lending, calls=CALLS_REFUSED), 1)
        refused.require(1, IntentState.REFUSED)
    reason = refused.rows[0].reason
    assert "gas limit" in reason, reason
    rows += _large(f"{CALLS} calls as {PLANS} plans", batch, transactions=1)
    rows += _large(f"{CALLS_CUT * PLANS} calls as {PLANS} plans", cut, transactions=2)
    rows += _large(f"{CALLS} calls in one plan", single, transactions=1)
    rows.append(Row(f"a plan of {CALLS_REFUSED} calls is refused: {reason}", "plans", 1))
    rows.append(Row("resident memory, all done", "MiB", psutil.Process().memory_info().rss / 2**20))
    return rows


async def _concurrent(node: Node, payload: MixedCalls, sizes: Sizes) -> list[Row]:
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


async def _together(node: Node, payload: MixedCalls, count: int) -> Ended:
    """`count` plans of one decision and one key, until each has its outcome."""
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(
            running_pipeline(node, payload, 1, segments_max=BATCH_SEGMENTS_MAX)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        plans = [payload.plan(pipeline.keys[0], f"large-{place}") for place in range(count)]
        cpu_s, begin_s = time.process_time(), time.perf_counter()
        await pipeline.accept(plans)
        rows = await _ended(pipeline, count)
        taken_ms = 1e3 * (time.perf_counter() - begin_s)
        cpu_s = time.process_time() - cpu_s
        hashes = await pipeline.names_by_hash(2 * count)
        return Ended(rows, [taken_ms], cpu_s, await _landed_of(node, session, list(hashes)))


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


async def _landed_of(node: Node, session: aiohttp.ClientSession, hashes: Sequence[Hash]) -> list[Landed]:
    """Those that are in a block."""
    found = []
    for one in map(hex_text, hashes):
        sent, receipt = await node.ask(
            session, ("eth_getTransactionByHash", [one]), ("eth_getTransactionReceipt", [one])
        )
        if isinstance(sent, dict) and isinstance(receipt, dict):
            calldata_bytes = len(str(sent["input"])) // 2 - 1
            gas_limit, gas_used = int(str(sent["gas"]), 16), int(str(receipt["gasUsed"]), 16)
            found.append(Landed(gas_limit, gas_used, calldata_bytes, len(receipt["logs"])))
    return found


def _large(name: str, ended: Ended, *, transactions: int) -> list[Row]:
    """Figures of what must have gone in so many transactions, the largest near the limit."""
    count, largest = len(ended.transactions), ended.largest
    assert count == transactions, f"{name}: {count} transactions"
    near = GAS_USE_MAX * NEAR_BPS // BPS
    assert near <= largest.gas_limit <= GAS_USE_MAX, f"{name}: {largest.gas_limit} gas of {GAS_USE_MAX}"
    return [
        Row(f"{name}: transactions", "transactions", count),
        Row(f"{name}: gas limit of the largest", "gas", largest.gas_limit, {}, GAS_USE_MAX),
        Row(f"{name}: gas used by the largest", "gas", largest.gas_used, {}, GAS_USE_MAX),
        Row(f"{name}: calldata of the largest", "bytes", largest.calldata_bytes, {}, PAYLOAD_BYTES_MAX),
        Row(f"{name}: logs of the largest", "logs", largest.logs),
        Row(f"{name}: accepted to accounted for", "ms", ended.landed_ms[0]),
        Row(f"{name}: our CPU", "ms", 1e3 * ended.our_cpu_s),
    ]
