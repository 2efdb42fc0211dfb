"""From the call of the intake to the bytes on the socket, at a steady rate, a local key and a warm state.

The limit is two `fdatasync` of the same bytes on the same file system in the same run, and an allowance, at
the same percentile. The same bytes: what the ledger's log grows by when a plan is accepted and when its
attempt is committed, measured first. They are written over a file, as the log is, at the pace of the run,
half of them before it and half after: a disk that is asked again at once answers several times as fast as
one that is asked fifty times a second. The time of a transaction's bytes is that of the piece of the stream
in which they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from unittest import mock

import aiohttp

from bench.nodes import Node
from bench.payloads import Payload
from bench.pipeline import Pipeline, running_pipeline
from bench.throughput import through
from seawall.chain.sockets import Connection
from seawall.native import keccak256
from seawall.primitives.units import Hash

__all__ = ["Latencies", "latencies", "percentile"]

WARM_UP: Final = 200
RATE_S: Final = 6.0
PROBED: Final = 15  # plans, one at a time, for what a commit writes
PROBED_WITHIN_S: Final = 10.0
FSYNC_PAIRS: Final = 100  # before the run, and as many after it
# A frame of SQLite's write-ahead log; the last one that is valid stands in the header of its index
# (sqlite.org/walformat.html, the WAL-index format).
FRAME_BYTES: Final = 24 + 4_096
LAST_FRAME: Final = slice(16, 20)
_RAW: Final = re.compile(rb'"0x([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of one rate [ms each]."""

    to_socket: list[float]
    to_answer: list[float]  # of the node
    fdatasync: list[float]  # of the bytes of either commit, in turn


@dataclass(slots=True)
class _Streams:
    """What was written to every socket, and when."""

    pieces: dict[int, list[tuple[float, bytes]]] = field(default_factory=dict)

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        send = Connection.send

        def timed(connection: Connection, data: memoryview) -> int:
            sent = send(connection, data)
            piece = (time.perf_counter(), bytes(data[:sent]))
            self.pieces.setdefault(id(connection), []).append(piece)
            return sent

        with mock.patch.object(Connection, "send", timed):
            yield

    def written_s(self) -> dict[Hash, float]:
        """When each transaction was on a socket first."""
        found: dict[Hash, float] = {}
        for pieces in self.pieces.values():
            stream, end = b"".join(data for _, data in pieces), 0
            ends = [(end := end + len(data), at_s) for at_s, data in pieces]
            whole = iter(ends)
            until, at_s = next(whole)
            for raw in _RAW.finditer(stream):
                while raw.end() > until:
                    until, at_s = next(whole)
                transaction = Hash(keccak256(bytes.fromhex(raw[1].decode())))
                found[transaction] = min(at_s, found.get(transaction, at_s))
        return found


async def latencies(
    node: Node, payload: Payload, rate_per_s: int, directory: Path | None = None
) -> Latencies:
    streams = _Streams()
    async with AsyncExitStack() as stack:
        pipeline = await stack.enter_async_context(running_pipeline(node, payload, 1, directory=directory))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        await through(node, session, payload, pipeline, WARM_UP, "warm")
        sizes = await _commit_sizes(pipeline, payload)
        pause_s = 1 / (len(sizes) * rate_per_s)
        fdatasync_ms = await asyncio.to_thread(_fdatasyncs, pipeline.directory, sizes, pause_s)
        pipeline.port.answered_s.clear()
        count = int(rate_per_s * RATE_S)
        with streams.watched():
            accepted_s = await _accept(pipeline, payload, rate_per_s, count)
            await pipeline.settled()
        fdatasync_ms += await asyncio.to_thread(_fdatasyncs, pipeline.directory, sizes, pause_s)
        names = await pipeline.names_by_hash(count + WARM_UP + PROBED)
        answered_s = dict(pipeline.port.answered_s)
    return Latencies(
        _since(accepted_s, streams.written_s(), names), _since(accepted_s, answered_s, names), fdatasync_ms
    )


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


async def _accept(pipeline: Pipeline, payload: Payload, rate_per_s: int, count: int) -> dict[str, float]:
    """When each plan was given to the intake, by its name: one at a time, at an even pace."""
    accepted_s: dict[str, float] = {}
    plans = [payload.plan(pipeline.keys[0], f"at-{index}") for index in range(count)]
    tasks = []
    begin_s = time.perf_counter()
    for index, plan in enumerate(plans):
        await asyncio.sleep(max(0.0, begin_s + index / rate_per_s - time.perf_counter()))
        accepted_s[plan.idempotency_key] = time.perf_counter()
        tasks.append(asyncio.create_task(pipeline.accept([plan])))
    await asyncio.gather(*tasks)
    return accepted_s


def _since(
    accepted_s: Mapping[str, float], at_s: Mapping[Hash, float], names: Mapping[Hash, str]
) -> list[float]:
    """From each intent's acceptance to the first of its attempts [ms]."""
    first_s: dict[str, float] = {}
    for attempt_hash, moment_s in at_s.items():
        name = names.get(attempt_hash)
        if name is not None and name in accepted_s:
            first_s[name] = min(moment_s, first_s.get(name, moment_s))
    assert len(first_s) == len(accepted_s), f"{len(first_s)} of {len(accepted_s)} were written"
    return [1e3 * (moment_s - accepted_s[name]) for name, moment_s in first_s.items()]


async def _commit_sizes(pipeline: Pipeline, payload: Payload) -> tuple[int, int]:
    """What the ledger's log grows by when a plan is accepted, and when its attempt is committed [byte]."""
    grown: list[tuple[int, int]] = []
    for index in range(PROBED):
        sent: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def note(sent: asyncio.Future[int] = sent) -> None:
            if not sent.done():
                sent.set_result(_frames(pipeline.directory))

        pipeline.port.on_write = note
        begin = _frames(pipeline.directory)
        await pipeline.accept([payload.plan(pipeline.keys[0], f"size-{index}")])
        accepted = _frames(pipeline.directory)
        committed = await asyncio.wait_for(sent, PROBED_WITHIN_S)
        if begin < accepted < committed:  # else the log began anew meanwhile
            grown.append((accepted - begin, committed - accepted))
        await pipeline.settled()
    pipeline.port.on_write = None
    accept, commit = (FRAME_BYTES * statistics.median_low(frames) for frames in zip(*grown, strict=True))
    return accept, commit


def _frames(directory: Path) -> int:
    with (directory / "ledger.db-shm").open("rb") as index:
        return int.from_bytes(index.read(LAST_FRAME.stop)[LAST_FRAME], sys.byteorder)


def _fdatasyncs(directory: Path, sizes: Sequence[int], pause_s: float) -> list[float]:
    """How long the file system takes to make as many bytes durable as each commit writes [ms]."""
    found = []
    with tempfile.TemporaryFile(dir=directory) as file:
        os.write(file.fileno(), bytes(FSYNC_PAIRS * sum(sizes)))
        os.fsync(file.fileno())
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        for size in list(sizes) * FSYNC_PAIRS:
            time.sleep(pause_s)
            os.write(file.fileno(), bytes(size))
            begin_s = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(1e3 * (time.perf_counter() - begin_s))
    return found
