"""A kernel killed at random moments: what it acknowledged is there, and nothing is half done.

`SEAWALL_KILLS` says at how many moments on each database; by default few, so that it takes seconds. By hand:

    SEAWALL_KILLS=50 python -m pytest tests/integration/test_ledger_killed.py
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from seawall.ledger.migrate import create
from tests.fixtures.committing_process import BATCH
from tests.fixtures.postgresql import new_postgresql_database, postgresql_server

__all__ = ["new_postgresql_database", "postgresql_server"]

ROOT = Path(__file__).parents[2]
MOMENTS = int(os.environ.get("SEAWALL_KILLS", "6"))
LATEST_S = 0.3  # after the first acknowledgement: many batches fit in it
STAMPS = 100_000  # between the first stamps of two runs

# Where each acknowledged step leaves its stamp: a batch of it is stored wholly.
STEPS = {
    "accepted": "SELECT accepted_at_s, count(*) FROM intents GROUP BY 1",
    "committed": "SELECT committed_at_s, count(*) FROM attempts GROUP BY 1",
    "ended": "SELECT ended_at_s, count(*) FROM intents WHERE ended_at_s IS NOT NULL GROUP BY 1",
}
# Each finds rows that only half of a step would leave.
HALF_DONE = {
    "committed intent without its attempt": (
        "SELECT number FROM intents WHERE state <> 'queued' AND NOT EXISTS"
        " (SELECT 1 FROM attempt_intents l JOIN attempts a ON a.number = l.attempt"
        "  JOIN slots s ON s.number = a.slot JOIN verdicts v ON v.number = a.verdict"
        "  WHERE l.intent = intents.number AND s.intent = intents.number AND v.intent = intents.number)"
    ),
    "queued intent with a slot": (
        "SELECT s.number FROM slots s JOIN intents i ON i.number = s.intent WHERE i.state = 'queued'"
    ),
    "commitment without its event": (
        "SELECT number FROM intents WHERE state <> 'queued' AND number NOT IN"
        " (SELECT intent FROM events WHERE intent IS NOT NULL AND kind = 'intent.committed')"
    ),
    "reservation that does not fit the state": (
        "SELECT a.number FROM attempts a JOIN slots s ON s.number = a.slot LEFT JOIN reservations r"
        " ON r.attempt = a.number WHERE s.final = (r.attempt IS NOT NULL)"
    ),
    "attempt without its spend": (
        "SELECT number FROM attempts WHERE number NOT IN (SELECT attempt FROM spends)"
    ),
    "landed intent without inclusion, posting or settled slot": (
        "SELECT number FROM intents WHERE state = 'landed' AND number NOT IN"
        " (SELECT p.intent FROM posting_entries p JOIN inclusions n ON n.number = p.inclusion"
        "  JOIN slots s ON s.number = n.slot WHERE s.intent = p.intent AND s.final AND n.finality = 2"
        "  AND (SELECT count(*) FROM postings g WHERE g.entry = p.number) = 2)"
    ),
    "gap between the nonces": (
        "SELECT max(nonce) FROM slots HAVING count(*) > 0 AND max(nonce) + 1 <> count(*)"
    ),
    "id of an executor used twice": (
        "SELECT intent_id FROM intents GROUP BY chain_id, executor, intent_id HAVING count(*) > 1"
    ),
}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        made = f"sqlite:///{tmp_path / 'ledger.db'}"
    else:
        new: Callable[[], str] = request.getfixturevalue("new_postgresql_database")
        made = new()
    create(made)
    return made


def killed_after(url: str, first_stamp: int, delay_s: float) -> list[tuple[str, int]]:
    """What a process acknowledged before SIGKILL met it."""
    command = [sys.executable, "-m", "tests.fixtures.committing_process", url, str(first_stamp)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    said = [line.split() for line in lines if line.endswith("\n")]
    return [(step, int(stamp)) for step, stamp in said]


def check(connection: sa.Connection, acknowledged: list[tuple[str, int]]) -> None:
    assert acknowledged
    for step, sql in STEPS.items():
        stored: dict[int, int] = {row[0]: row[1] for row in connection.exec_driver_sql(sql)}
        assert set(stored.values()) <= {BATCH}, f"half a batch was {step}"
        assert {stamp for said, stamp in acknowledged if said == step} <= set(stored), f"{step}, and lost"
    for what, sql in HALF_DONE.items():
        assert connection.exec_driver_sql(sql).all() == [], what
    if connection.dialect.name == "sqlite":
        assert connection.exec_driver_sql("PRAGMA integrity_check").scalar() == "ok"
        assert connection.exec_driver_sql("PRAGMA foreign_key_check").all() == []


@pytest.mark.timeout(60 + 20 * MOMENTS)
def test_sigkill_at_random_moments_loses_nothing_and_leaves_nothing_half_done(url: str) -> None:
    moments = random.Random(MOMENTS)
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    acknowledged: list[tuple[str, int]] = []
    for run in range(MOMENTS):
        acknowledged += killed_after(url, (run + 1) * STAMPS, moments.uniform(0, LATEST_S))
        with engine.connect() as connection:
            check(connection, acknowledged)
