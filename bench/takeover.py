"""Takeover: two true kernels on one PostgreSQL share eight lanes, one is killed with SIGKILL under load, and
the other one commits on the dead one's lanes. Measured from the kill to the heir's first commit, and to its
first commit on the last of the lanes. At the end every plan must be on chain once, with no nonce left out.

Figures are in seconds of a machine that does all of it at once: both kernels, PostgreSQL, anvil and this. The
limit beside them is what was promised.
"""

from __future__ import annotations

import asyncio
import signal
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from bench.rows import Row
from seawall.ledger import Ledger, LedgerSettings
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import SystemClock, SystemEntropy
from tests.fixtures.anvil import CHAIN_ID
from tests.fixtures.fleet import Fleet, FleetKernel, running_fleet
from tests.fixtures.postgresql import started_server

__all__ = ["measure"]

KILLS: Final = 12
LANES: Final = 8
PLANS: Final = 4  # for each lane, before and after each kill
LOOK_S: Final = 0.01
WAIT_S: Final = 60.0
PROMISED_S: Final = 5.0


def measure() -> list[Row]:
    first_s: list[float] = []
    last_s: list[float] = []
    names: list[str] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        started_server() as server,
        running_fleet(Path(folder), _database(server.url), kernels=2, keys=LANES) as fleet,
    ):
        for kernel in fleet.kernels:
            kernel.start()
        for number in range(KILLS):
            victim = fleet.kernels[number % len(fleet.kernels)]
            fleet.wait_held(*fleet.kernels)
            names += fleet.submit(PLANS)
            first, last, more = _killed(fleet, victim)
            names += more
            first_s.append(first)
            last_s.append(last)
            fleet.wait_landed(len(names))  # idle lanes are shared again
            victim.start()
        fleet.assert_each_landed_once(names)
    of = f"of {KILLS} kills, {LANES // 2} lanes each"
    return [
        Row(f"takeover: kill to the heir's first commit, median {of}", "s", statistics.median(first_s)),
        Row("takeover: the same, 95th percentile", "s", _p95(first_s), limit=PROMISED_S),
        Row("takeover: kill to a commit on each lane, median", "s", statistics.median(last_s)),
        Row("takeover: the same, 95th percentile", "s", _p95(last_s), limit=PROMISED_S),
        Row("takeover: plans that landed, each once, without a gap", "", len(names)),
    ]


def _killed(fleet: Fleet, victim: FleetKernel) -> tuple[float, float, list[str]]:
    """Kill it; answers when its lanes had a commit, the first and the last of them, and new plans' names."""
    lanes = fleet.held_by(victim)
    mark = fleet.read(lambda tx: tx.attempts.newest(CHAIN_ID))
    assert victim.process is not None
    killed_s = time.monotonic()
    victim.signal(signal.SIGKILL)
    victim.process.wait()
    names = fleet.submit(PLANS)
    moments = asyncio.run(_first_commits(fleet.ledger_url, lanes, mark))
    return min(moments) - killed_s, max(moments) - killed_s, names


async def _first_commits(url: str, lanes: set[Lane], mark: int) -> list[float]:
    """When each lane had its first attempt after `mark` that was committed by somebody else than the dead
    kernel, whose last ones came before the lane's fence moved."""
    ledger = Ledger.open(LedgerSettings(url, kernel=False), clock=SystemClock(), entropy=SystemEntropy())
    try:
        fences = {row.lane: row.fence for row in await ledger.read(lambda tx: tx.lanes.all())}
        known: dict[Lane, int] = {}
        found: dict[Lane, float] = {}
        until_s = time.monotonic() + WAIT_S
        while len(found) < len(lanes):
            rows, news = await ledger.read(lambda tx: (tx.lanes.all(), tx.attempts.after(CHAIN_ID, mark)))
            now_s = time.monotonic()
            assert now_s < until_s, "the heir does not take over"
            highest = {row.lane: row.number for row in news}
            for row in rows:
                if row.lane in lanes and row.fence == fences[row.lane]:
                    known[row.lane] = highest.get(row.lane, mark)
                elif row.lane in lanes and highest.get(row.lane, mark) > known.get(row.lane, mark):
                    found.setdefault(row.lane, now_s)
            await asyncio.sleep(LOOK_S)
        return list(found.values())
    finally:
        await ledger.close()


def _p95(values: list[float]) -> float:
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _database(server: str) -> str:
    url = sa.make_url(server)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE takeover")
    return url.set(database="takeover").render_as_string(hide_password=False)
