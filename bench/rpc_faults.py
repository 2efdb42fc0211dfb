"""What a faulty endpoint costs: one of three stalls, dies, resets, lags, lies, limits or changes its chain,
while `INTENTS_PER_S` intents a second go through the whole pipeline.

Three endpoints of one anvil, each behind a proxy in a process of its own; two must agree; signed bytes go to
the node itself. Beside the kernel's own reads a reader asks for a balance `READS_PER_S` times a second
through the same pool, at fixed times whether the last one came back or not, and knows what the answer must
be. Each fault: health for `HEALTHY_S`, then the fault, of which the first `ONSET_S` are the onset; then the
endpoint is healed and has to be back. `TURNS` are taken on different endpoints: durations of all of them
count together, for a share of one in a hundred needs many, and of the other figures the worst. Durations are
of the reader's reads: all alike, so that their shares mean something.

*Left after* is from the fault to the first moment when the endpoint is no longer asked first. *Extra calls*
are those sent beyond what all questions needed, the kernel's too, hedges and looks included, while the fault
lasts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from bench.nodes import Node
from bench.payloads import Transfers
from bench.pipeline import Pipeline, running_pipeline
from bench.rows import Row
from seawall.chain.rpc import RpcPool
from seawall.primitives.errors import ChainError
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address
from seawall.telemetry.endpoints import EndpointState
from tests.fixtures.faulty_endpoints import FAULTS, FaultyEndpoints, running_endpoints

__all__ = ["FaultRun", "Load", "measure", "one_fault", "under_faults"]

INTENTS_PER_S: Final = 200
READS_PER_S: Final = 200
KEYS: Final = 16
WARM_UP_S: Final = 2.0
HEALTHY_S: Final = 6.0
ONSET_S: Final = 3.0
FAULT_S: Final = 8.0
TURNS: Final = 2
BACK_WITHIN_S: Final = 60.0
LANDED_WITHIN_S: Final = 60.0
SAMPLE_S: Final = 0.002
LANDED_PAUSE_S: Final = 0.2
READ_ADDRESS: Final = Address(b"\x5e" * 20)
_TICKS_PER_S: Final = 20


@dataclass(frozen=True, slots=True)
class FaultRun:
    """One fault, durations in seconds."""

    fault: str
    healthy_s: list[float]  # of each read
    onset_s: list[float]
    after_s: list[float]
    left_after_s: float
    extra_share: float
    failed_reads: int
    back_after_s: float


@dataclass(slots=True)
class Load:
    """Intents and reads at fixed rates, and how long every question to the pool took."""

    pipeline: Pipeline
    intents_per_s: int = INTENTS_PER_S
    reads_per_s: int = READS_PER_S
    reads: list[tuple[float, float]] = field(default_factory=list)  # when one began, how long it took
    submitted: int = 0
    failed_reads: int = 0
    wrong_reads: int = 0
    landed: int = 0  # at the end
    ended_otherwise: int = 0
    _reading: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def pool(self) -> RpcPool:
        return self.pipeline.chain.pool

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self._submit()), asyncio.create_task(self._read())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._reading, return_exceptions=True)

    def durations(self, from_s: float, to_s: float) -> list[float]:
        return sorted(took_s for begun_s, took_s in self.reads if from_s <= begun_s < to_s)

    async def _submit(self) -> None:
        payload, keys = Transfers(), self.pipeline.keys
        async for _ in _ticks(_TICKS_PER_S):
            count = self.intents_per_s // _TICKS_PER_S
            plans = [
                payload.plan(keys[n % len(keys)], f"fault-{n}")
                for n in range(self.submitted, self.submitted + count)
            ]
            await self.pipeline.accept(plans)
            self.submitted += count

    async def _read(self) -> None:
        client = self.pipeline.chain.desk.parts.client

        async def read() -> None:
            head = self.pipeline.chain.desk.head
            assert head is not None
            begun_s = time.perf_counter()
            try:
                (found,) = await client.balances_at([READ_ADDRESS], head.hash)
            except ChainError:
                self.failed_reads += 1
            else:
                self.wrong_reads += found != 0
            self.reads.append((begun_s, time.perf_counter() - begun_s))

        async for _ in _ticks(self.reads_per_s):
            self._reading = {task for task in self._reading if not task.done()}
            self._reading.add(asyncio.create_task(read()))


async def _ticks(per_s: int) -> AsyncIterator[None]:
    due_s = time.perf_counter()
    while True:
        yield
        due_s = max(due_s + 1 / per_s, time.perf_counter() - 1)
        await asyncio.sleep(max(due_s - time.perf_counter(), 0))


def measure() -> list[Row]:
    return _measured(FAULTS)


def _measured(faults: Sequence[str]) -> list[Row]:
    with Transfers().node() as node:
        return asyncio.run(_measure(node, faults))


PARTS: Final = {fault: partial(_measured, (fault,)) for fault in FAULTS}


async def _measure(node: Node, faults: Sequence[str]) -> list[Row]:
    rows = []
    async with under_faults(node) as (load, endpoints):
        for place, fault in enumerate(faults):
            runs = [
                await one_fault(load, endpoints, (place + turn) % len(endpoints.urls), fault)
                for turn in range(TURNS)
            ]
            rows += _rows_of(runs)
    return [
        *rows,
        Row("intents accepted", "", load.submitted),
        Row("intents not landed", "", load.submitted - load.landed),
        Row("intents that ended otherwise", "", load.ended_otherwise),
        Row("reads that believed the liar", "", load.wrong_reads),
    ]


def _rows_of(runs: Sequence[FaultRun]) -> list[Row]:
    fault = runs[0].fault
    healthy = sorted(took_s for run in runs for took_s in run.healthy_s)
    onset_p99_s = _share(sorted(took_s for run in runs for took_s in run.onset_s), 0.99)
    after_p99_s = _share(sorted(took_s for run in runs for took_s in run.after_s), 0.99)
    p50_s, p95_s, p99_s = (_share(healthy, share) for share in (0.5, 0.95, 0.99))
    return [
        Row(f"{fault}: p99 at its onset", "ms", 1e3 * onset_p99_s,
            {"p95 + p50 of health": 1e3 * (p95_s + p50_s), "p99 of health": 1e3 * p99_s}),
        Row(f"{fault}: p99 after {ONSET_S:g} s", "ms", 1e3 * after_p99_s,
            {"1.2 x p99 of health": 1.2e3 * p99_s}),
        Row(f"{fault}: left after", "ms", 1e3 * max(run.left_after_s for run in runs),
            {"250 ms + 1 RTT": 250 + 1e3 * p50_s}),
        Row(f"{fault}: extra calls", "%", 100 * max(run.extra_share for run in runs), {"goal": 5.0}),
        Row(f"{fault}: back after", "s", max(run.back_after_s for run in runs)),
        Row(f"{fault}: reads that failed", "", sum(run.failed_reads for run in runs)),
    ]  # fmt: skip


@asynccontextmanager
async def under_faults(
    node: Node, *, intents_per_s: int = INTENTS_PER_S, reads_per_s: int = READS_PER_S
) -> AsyncIterator[tuple[Load, FaultyEndpoints]]:
    """The pipeline on three endpoints, loaded; at the end everything that was accepted has landed."""
    async with AsyncExitStack() as stack:
        endpoints = stack.enter_context(running_endpoints(urlsplit(node.url).port or 0))
        pipeline = await stack.enter_async_context(
            running_pipeline(node, Transfers(), KEYS, readers=endpoints.urls)
        )
        load = Load(pipeline, intents_per_s, reads_per_s)
        async with load.running():
            await asyncio.sleep(WARM_UP_S)
            yield load, endpoints
        await _landed(load)


async def one_fault(
    load: Load,
    endpoints: FaultyEndpoints,
    place: int,
    fault: str,
    *,
    scale: float = 1.0,
    back_within_s: float | None = None,
) -> FaultRun:
    """Health, the fault, and the way back; `scale` shortens the phases."""
    pool = load.pool
    healthy_from_s = time.perf_counter()
    await asyncio.sleep(scale * HEALTHY_S)
    failed, sent, needed = load.failed_reads, pool.sent, pool.needed
    asked_s = time.perf_counter()
    await asyncio.to_thread(endpoints.begin, place, fault)
    begun_s = time.perf_counter()
    left_s = await _until(pool, place, serving=False, within_s=scale * FAULT_S)
    await asyncio.sleep(max(begun_s + scale * FAULT_S - time.perf_counter(), 0))
    extra_share = (pool.sent - sent) / (pool.needed - needed) - 1
    healed_s = time.perf_counter()
    await asyncio.to_thread(endpoints.begin, place, "")
    back_s = await _until(
        pool, place, serving=True, within_s=BACK_WITHIN_S if back_within_s is None else back_within_s
    )
    onset_s = begun_s + scale * ONSET_S
    return FaultRun(
        fault,
        load.durations(healthy_from_s, asked_s),
        load.durations(asked_s, onset_s),
        load.durations(onset_s, healed_s),
        left_s - begun_s,
        extra_share,
        load.failed_reads - failed,
        back_s - healed_s,
    )


async def _until(pool: RpcPool, place: int, *, serving: bool, within_s: float) -> float:
    until_s = time.perf_counter() + within_s
    while time.perf_counter() < until_s:
        if (pool.health()[place].state is EndpointState.SERVING) is serving:
            break
        await asyncio.sleep(SAMPLE_S)
    return time.perf_counter()


async def _landed(load: Load) -> None:
    until_s = time.perf_counter() + LANDED_WITHIN_S
    while time.perf_counter() < until_s:
        if not await load.pipeline.ledger.read(lambda tx: tx.intents.alive(1)):
            break
        await asyncio.sleep(LANDED_PAUSE_S)
    rows = await load.pipeline.ledger.read(lambda tx: tx.intents.listing(load.submitted))
    load.landed = sum(row.state is IntentState.LANDED for row in rows)
    load.ended_otherwise = sum(row.state.is_outcome for row in rows) - load.landed


def _share(ordered: Sequence[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] if ordered else float("nan")
