"""From the call of the intake to the bytes on the socket, at a steady rate, a local key and a warm state.

The limit is two `fdatasync` of as many bytes on the same file system in the same run, and an allowance, at
the same percentile. The time of a transaction's bytes is that of the piece of the stream in which they end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import statistics
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
FSYNCS: Final = 400
FSYNC_BYTES: Final = 4_096
_RAW: Final = re.compile(rb'"0x([0-9a-f]+)"')


@dataclass(frozen=True, slots=True)
class Latencies:
    """Of one rate [ms each]."""

    to_socket: list[float]
    to_answer: list[float]  # of the node
    fdatasync: list[float]


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
        pipeline.port.answered_s.clear()
        count = int(rate_per_s * RATE_S)
        with streams.watched():
            accepted_s = await _accept(pipeline, payload, rate_per_s, count)
            await pipeline.settled()
        fdatasync_ms = await asyncio.to_thread(_fdatasyncs, pipeline.directory)
        names = await pipeline.names_by_hash(count + WARM_UP)
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


def _fdatasyncs(directory: Path) -> list[float]:
    """How long the file system takes to make as many bytes durable as a commit writes [ms]."""
    found = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(FSYNCS):
            os.write(file.fileno(), bytes(FSYNC_BYTES))
            begin_s = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(1e3 * (time.perf_counter() - begin_s))
    return found
