"""Intents to mined transactions, beside the node's own limit and what people use today; accept to socket.

One run, one machine, a fresh node a figure. On anvil, whose pool has no bound, a lane may have 1,024
unlanded, and blocks come each 0.2 s; on geth the default of 16 stays. Our CPU is that of this process, the
driver that makes and counts plans included; the node's is that of its process.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import psutil

from bench.history import fill
from bench.latency import Latencies, latencies, percentile
from bench.nodes import Node, geth_node, has_geth
from bench.payloads import Payload, Transfers, swaps
from bench.peers import ape_rate, web3_rate
from bench.pipeline import ANVIL_UNLANDED_MAX, LANE_UNLANDED_MAX, running_pipeline
from bench.rows import Row
from bench.throughput import Throughput, bare_rate, mined, through, throughput
from seawall.ledger.migrate import create
from seawall.primitives.codec import pack
from seawall.primitives.units import Address

KEYS: Final = (1, 16)
TRANSFERS: Final = {1: 6_000, 16: 12_000}
SWAPS: Final = {1: 3_000, 16: 6_000}
BARE_ROUNDS: Final = 2
WEB3_COUNT: Final = 400
APE_COUNT: Final = 16  # it waits for each block
GETH_BLOCKS: Final = 12
# Blocks at either end of a run are not full by its own fault.
GETH_EDGE_BLOCKS: Final = 2
RATES_PER_S: Final = (50, 200, 500)
ALLOWANCES_MS: Final = {50: 2.0, 99: 6.0}  # beside two fdatasync, by percentile
HISTORIES: Final = (1_000, 1_000_000)
HISTORY_COUNT: Final = 6_000
HISTORY_RATE_PER_S: Final = 200
OLD_KEY: Final = Address(b"\x09" * 20)


def measure() -> list[Row]:
    return [row for part in PARTS.values() for row in part()]


# ---------------------------------------------------------------------- throughput


def transfer_rows() -> list[Row]:
    return [row for keys in KEYS for row in _rate_rows(Transfers(), keys, TRANSFERS[keys])]


def swap_rows() -> list[Row]:
    payload = swaps()
    return [row for keys in KEYS for row in _rate_rows(payload, keys, SWAPS[keys])]


def _rate_rows(payload: Payload, keys: int, count: int) -> list[Row]:
    limits = []
    for _ in range(BARE_ROUNDS):
        with payload.node() as node:
            limits.append(asyncio.run(bare_rate(node, payload, keys, count)))
    peers = {}
    with payload.node() as node:
        peers["web3.py loop"] = web3_rate(node, payload, keys, WEB3_COUNT)
    if isinstance(payload, Transfers):
        with payload.node() as node:
            ape = ape_rate(node, keys, APE_COUNT)
        peers |= {} if ape is None else {"ape (Silverback)": ape}
    with payload.node() as node:
        ours = asyncio.run(throughput(node, payload, keys, count))
    limit = max((rate for rate in limits if rate is not None), default=None)
    name = f"{payload.name} mined, {_plural(keys)}, lane bound {ANVIL_UNLANDED_MAX}"
    return [Row(name, "1/s", ours.rate, peers, limit), *_cpu_rows(name, ours)]


def _cpu_rows(name: str, found: Throughput) -> list[Row]:
    return [
        Row(f"{name}: our CPU an intent", "us", found.our_cpu_us),
        Row(f"{name}: node's CPU a transaction", "us", found.node_cpu_us),
        Row(f"{name}: node's share of the CPU", "%", 100 * found.node_share),
    ]


def _plural(keys: int) -> str:
    return f"{keys} key{'s' if keys > 1 else ''}"


# ---------------------------------------------------------------------- geth


def geth_rows() -> list[Row]:
    """Mined per block where a pool promises no more than 16 of a key."""
    if not has_geth():
        print("geth is not installed: its rows are missing", file=sys.stderr)
        return []
    rows = []
    for keys in KEYS:
        with geth_node() as node:
            per_block = asyncio.run(_per_block(node, keys))
        name = f"transfers a block on geth, {_plural(keys)}, lane bound {LANE_UNLANDED_MAX}"
        rows.append(Row(name, "a block", per_block, limit=float(LANE_UNLANDED_MAX * keys)))
    return rows


async def _per_block(node: Node, keys: int) -> float:
    """Mean over the blocks in the middle of the run."""
    payload = Transfers(node.network.chain_id)
    count = LANE_UNLANDED_MAX * keys * GETH_BLOCKS
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(
            running_pipeline(node, payload, keys, unlanded_max=LANE_UNLANDED_MAX)
        )
        session = await stack.enter_async_context(aiohttp.ClientSession())
        (before,) = await node.ask(session, ("eth_blockNumber", []))
        await through(node, session, payload, pipeline, count, "run")
        assert await mined(node, session, pipeline.keys) == count
        (after,) = await node.ask(session, ("eth_blockNumber", []))
        numbers = range(int(str(before), 16) + 1, int(str(after), 16) + 1)
        counts = await node.ask(
            session, *(("eth_getBlockTransactionCountByNumber", [hex(number)]) for number in numbers)
        )
    held = [int(str(count), 16) for count in counts]
    ours = [i for i, held_here in enumerate(held) if held_here]
    middle = held[ours[0] + GETH_EDGE_BLOCKS : ours[-1] + 1 - GETH_EDGE_BLOCKS]
    return sum(middle) / len(middle)


# ---------------------------------------------------------------------- latency


def latency_rows() -> list[Row]:
    rows = []
    for rate_per_s in RATES_PER_S:
        payload = Transfers()
        with payload.node() as node:
            found = asyncio.run(latencies(node, payload, rate_per_s))
        rows += [_latency_row(f"accept to socket at {rate_per_s}/s", found, each) for each in ALLOWANCES_MS]
        rows += [
            Row(f"accept to the node's answer at {rate_per_s}/s, p{each}", "ms", at_percent)
            for each in ALLOWANCES_MS
            if (at_percent := percentile(found.to_answer, each))
        ]
    return rows


def _latency_row(name: str, found: Latencies, percent: int) -> Row:
    two_ms = 2 * percentile(found.fdatasync, percent)
    return Row(
        f"{name}, p{percent}",
        "ms",
        percentile(found.to_socket, percent),
        {"two fdatasync": two_ms},
        two_ms + ALLOWANCES_MS[percent],
    )


# ---------------------------------------------------------------------- cost of history


@dataclass(frozen=True, slots=True)
class _Lived:
    """A process on a ledger that holds so much."""

    through: Throughput
    p50_ms: float
    p99_ms: float
    resident_mib: float


def history_rows() -> list[Row]:
    """The same work over little and over much that is finished, each in a process of its own."""
    few, many = HISTORIES
    lived: dict[int, _Lived] = {}
    for count in HISTORIES:
        with (
            tempfile.TemporaryDirectory() as folder,
            multiprocessing.get_context("spawn").Pool(1) as pool,
        ):
            _fill(Path(folder), count)
            lived[count] = pool.apply(_live, (folder,))
    name = f"over {many:,} finished intents"
    figures: tuple[tuple[str, str, Callable[[_Lived], float]], ...] = (
        ("transfers mined, 16 keys", "1/s", lambda one: one.through.rate),
        ("our CPU an intent, 16 keys", "us", lambda one: one.through.our_cpu_us),
        (f"accept to socket at {HISTORY_RATE_PER_S}/s, p50", "ms", lambda one: one.p50_ms),
        (f"accept to socket at {HISTORY_RATE_PER_S}/s, p99", "ms", lambda one: one.p99_ms),
        ("resident memory, both runs done", "MiB", lambda one: one.resident_mib),
    )
    return [
        Row(f"{what}, {name}", unit, figure(lived[many]), {f"over {few:,}": figure(lived[few])})
        for what, unit, figure in figures
    ]


def _fill(folder: Path, count: int) -> None:
    """A kernel reads the newest intent at its start: of what is filled in, that one needs a true plan."""
    path = folder / "ledger.db"
    create(f"sqlite:///{path}")
    fill(path, count)
    plan = Transfers().plan(OLD_KEY, "old")
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "UPDATE intents SET plan = ? WHERE number = (SELECT max(number) FROM intents)", (pack(plan),)
        )
    with path.open("rb+") as file:
        os.fsync(file.fileno())  # what was filled in is not written back while others are measured


def _live(folder: str) -> _Lived:
    directory, payload = Path(folder), Transfers()
    with payload.node() as node:  # one for both: a ledger belongs to one chain
        fast = asyncio.run(throughput(node, payload, KEYS[-1], HISTORY_COUNT, directory))
        steady = asyncio.run(latencies(node, payload, HISTORY_RATE_PER_S, directory))
    resident_mib = psutil.Process().memory_info().rss / 2**20
    socket = steady.to_socket
    return _Lived(fast, percentile(socket, 50), percentile(socket, 99), float(resident_mib))


PARTS: Final[dict[str, Callable[[], list[Row]]]] = {
    "transfers": transfer_rows,
    "swaps": swap_rows,
    "geth": geth_rows,
    "latency": latency_rows,
    "history": history_rows,
}
