"""A backfill of 1,000,000 blocks over a provider that takes 2,000 blocks and 10,000 logs at once.

The provider is a process of its own on the loopback, with a made-up history of about a million logs, few in
most blocks and many for a while here and there. Limit of the calls: the fewest that any way to cut this
history under both caps needs, for one that knows every log beforehand. Of each way of refusing that providers
have: with the range that would work, with the numbers alone, and with neither. Killed: the process is killed
again and again with SIGKILL and started anew, until it is done; what is stored is then compared with the
history.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

from bench.rows import Row
from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.ledger.migrate import create
from seawall.primitives.ports import SystemClock, SystemEntropy
from tests.fixtures.backfilling_process import QUESTION
from tests.fixtures.log_provider import DIALECTS, History, Served, Terms, provided_history

BLOCKS: Final = 1_000_000
BLOCK_CAP: Final = 2_000
LOG_CAP: Final = 10_000
SEED: Final = 1
WORKERS: Final = 4
KILLS: Final = 12
CALLS_BEFORE_A_KILL: Final = (1, 60)
POLL_S: Final = 0.005
PART: Final = 50_000  # rows compared at once
_ROOT: Final = Path(__file__).resolve().parents[1]


def measure() -> list[Row]:
    history = History.of(SEED, BLOCKS)
    return [*(row for name in DIALECTS for row in _whole(history, name)), *_killed(history)]


def _part(name: str) -> list[Row]:
    history = History.of(SEED, BLOCKS)
    return _killed(history) if name == "killed" else _whole(history, name)


PARTS: Final = {name: partial(_part, name) for name in (*DIALECTS, "killed")}


def _whole(history: History, dialect: str) -> list[Row]:
    fewest = float(history.fewest_calls(BLOCK_CAP, LOG_CAP))
    with _provided(dialect) as (provider, command, url):
        begin, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=_ROOT, check=True)
        seconds, after = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
        counts = provider.counts()
        _require_complete(url, history)
    cpu_s = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    where = f"1,000,000 blocks, {history.before[-1]:,} logs, refusals as {dialect}"
    return [
        Row(f"calls of eth_getLogs, {where}", "calls", float(counts["eth_getLogs"]), limit=fewest),
        Row(f"of them refused, {where}", "calls", float(counts.get("refused", 0))),
        Row(f"headers read beside them, {where}", "calls", float(counts["eth_getBlockByNumber"])),
        Row(f"HTTP requests, {where}", "requests", float(counts["http"])),
        Row(f"wall time, {where}", "s", seconds),
        Row(f"CPU time of the backfill, {where}", "s", cpu_s),
    ]


def _killed(history: History) -> list[Row]:
    chance, kills = random.Random(SEED), 0
    with _provided("infura") as (provider, command, url):
        for _ in range(KILLS):
            wanted = provider.counts().get("eth_getLogs", 0) + chance.randint(*CALLS_BEFORE_A_KILL)
            with subprocess.Popen(command, cwd=_ROOT) as process:
                while process.poll() is None and provider.counts().get("eth_getLogs", 0) < wanted:
                    time.sleep(POLL_S)
                kills += process.poll() is None
                process.kill()
        subprocess.run(command, cwd=_ROOT, check=True)
        counts = provider.counts()
        _require_complete(url, history)
    fewest = float(history.fewest_calls(BLOCK_CAP, LOG_CAP))
    return [
        Row(
            f"calls of eth_getLogs, killed {kills} times", "calls", float(counts["eth_getLogs"]), limit=fewest
        )
    ]


@contextlib.contextmanager
def _provided(dialect: str) -> Iterator[tuple[Served, list[str], str]]:
    terms = Terms(BLOCK_CAP, LOG_CAP, dialect)
    with tempfile.TemporaryDirectory() as folder, provided_history(SEED, BLOCKS, terms) as provider:
        url = f"sqlite:///{folder}/ledger.db"
        create(url)
        command = [sys.executable, "-m", "tests.fixtures.backfilling_process", provider.url, url]
        yield provider, [*command, str(BLOCKS - 1), str(WORKERS)], url


def _require_complete(url: str, history: History) -> None:
    """Every log of the history is stored once, and nothing else."""
    asyncio.run(_compare(url, history))


async def _compare(url: str, history: History) -> None:
    ledger = Ledger.open(LedgerSettings(url, kernel=False), clock=SystemClock(), entropy=SystemEntropy())
    source = await ledger.read(lambda tx: tx.logs.find(QUESTION.name))
    assert source is not None
    assert source.next_block == BLOCKS
    for first in range(0, BLOCKS, PART):
        last = first + PART - 1

        def places(tx: Transaction, first: int = first, last: int = last) -> list[tuple[int, int]]:
            found = tx.logs.between(source, first, last, 10**7)
            return [(log.block_number, log.log_index) for log in found]

        expected = [(block, i) for block in range(first, last + 1) for i in range(history.counts[block])]
        assert await ledger.read(places) == expected
    await ledger.close()
