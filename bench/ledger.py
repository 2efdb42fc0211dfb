"""The ledger on SQLite: intake, the fenced commit, one statement, and commits over a million finished rows.

Limit: the same statements with ready values on a bare sqlite3 cursor, recorded from our own run. Peer of the
single statement: SQLAlchemy's `Connection.execute`, compiled cache warm.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from bench.rows import Row, best_rate
from seawall.ledger import Transaction
from seawall.ledger.database import CACHE_KIB, Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.migrate import create
from seawall.ledger.rows import EventData, IntentRow
from seawall.ledger.schema import events
from seawall.ledger.session import Prepared, Session
from seawall.ledger.writer import Committer, Job
from seawall.primitives.bounds import WRITER_GROUP_MAX
from seawall.primitives.codec import payload_digest, plan_digest
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState, WriteKind
from seawall.primitives.plans import ExecutorBody, GuardSpec, Plan, TokenBound
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Measurement, Payload, Verdict

GROUPS = 8
SMALL_GROUP = 8
SMALL_GROUPS = 400
FINISHED_ROWS = 1_000_000
STATEMENTS = 2_000

KEY = Address(b"\x01" * 20)
WETH = Address(b"\x02" * 20)
LANE = Lane(31337, KEY)
NOW_S = 1_800_000_000
PAYLOAD = Payload(31337, KEY, WETH, bytes(range(200)) * 3, 0, 500_000)
GUARDS = ("slippage", "min_profit", "oracle", "gas", "position", "balance")
MEASURED = tuple(Measurement(g, 10**18, 10**17, 5, "wei", True, Hash(b"b" * 32), "inside") for g in GUARDS)

Work = Callable[[Transaction], Any]
_Command = tuple[str, Any, bool]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        return [
            *_group_rows(Path(directory) / "groups.db"),
            _statement_row(Path(directory) / "statement.db"),
            *_million_rows(Path(directory)),
        ]


class _Bench:
    """A ledger without its thread: groups are committed as the writer would."""

    def __init__(self, path: Path) -> None:
        if not path.exists():
            create(f"sqlite:///{path}")
        self.database = Database(f"sqlite:///{path}")
        self.session = self.database.session(read_only=False)
        self.committer = Committer(self.session, IntentIds(self.database.epoch_of(self.session)))
        self.next_key = 0

    def commit(self, works: Sequence[Work]) -> list[Any]:
        jobs = [Job(work) for work in works]
        self.committer.commit(jobs)
        failed = [job.error for job in jobs if job.error is not None]
        if failed:
            raise failed[0]
        return [job.result for job in jobs]

    def intake(self, count: int) -> list[Work]:
        self.next_key += count
        plans = [_plan(f"{id(self)}-{i}") for i in range(self.next_key - count, self.next_key)]
        return [_accept(plan, plan_digest(plan)) for plan in plans]

    def close(self) -> None:
        self.session.close()
        self.database.dispose()


def _plan(key: str) -> Plan:
    body = ExecutorBody(WETH, KEY, bytes(450), (TokenBound(WETH, "inflow", 10**18),), 5)
    guards = (GuardSpec("slippage", (("bps", 50),)), GuardSpec("oracle"))
    return Plan("arbitrage", 31337, KEY, body, WETH, key, NOW_S, guards, note="gap of 30 bps")


def _accept(plan: Plan, digest: Hash) -> Work:
    return lambda tx: tx.intents.accept(plan, digest, "correlation", NOW_S).intent


def _acquire(tx: Transaction) -> int:
    return tx.lanes.acquire(LANE, "bench", NOW_S, 60)


def _fenced(fence: int, nonce: int, row: IntentRow) -> Work:
    digest = payload_digest(PAYLOAD)
    signed = Hash(SystemEntropy().token(32))

    def work(tx: Transaction) -> None:
        tx.lanes.require(LANE, fence)
        tx.controls.require_epoch(0)
        slot = tx.slots.insert(LANE, nonce, "plan", row.number)
        verdict = Verdict(
            row.number,
            1,
            row.plan_digest,
            digest,
            5,
            Hash(b"b" * 32),
            Hash(b"o" * 32),
            10,
            NOW_S,
            10**18,
            10**17,
            WriteKind.PLAN,
            True,
            MEASURED,
            5,
            5,
            100_000,
        )
        number = tx.verdicts.insert(verdict, NOW_S)
        links = [(row.number, 0)]
        tx.attempts.insert(
            slot,
            signed,
            bytes(700),
            PAYLOAD,
            digest,
            WriteKind.PLAN,
            10**9,
            10**9,
            "public",
            number,
            links,
            NOW_S,
        )
        tx.intents.set_state(row.number, IntentState.COMMITTED, "", None, NOW_S)
        data: EventData = {"hash": signed.hex(), "nonce": nonce}
        tx.events.append("intent.committed", 31337, "arbitrage", row.number, data, NOW_S)

    return work


def _group_rows(path: Path) -> list[Row]:
    bench = _Bench(path)
    fence = bench.commit([_acquire])[0]
    intake = [bench.intake(WRITER_GROUP_MAX) for _ in range(GROUPS)]
    accepted: list[IntentRow] = []
    rates: list[float] = []
    for works in intake:
        begin = time.perf_counter()
        accepted += bench.commit(works)
        rates.append(len(works) / (time.perf_counter() - begin))
    fenced = [_fenced(fence, nonce, row) for nonce, row in enumerate(accepted)]
    groups = [fenced[i : i + WRITER_GROUP_MAX] for i in range(0, len(fenced), WRITER_GROUP_MAX)]
    fenced_rates = [best_rate(partial(_committed, bench, works), 1) for works in groups[:-1]]
    limit = _bare_rate(bench, path, groups[-1])
    bench.close()
    return [
        Row(f"accept, groups of {WRITER_GROUP_MAX}", "intents/s", max(rates)),
        Row(f"fenced commit, groups of {WRITER_GROUP_MAX}", "commits/s", max(fenced_rates), limit=limit),
    ]


def _committed(bench: _Bench, works: Sequence[Work]) -> int:
    return len(bench.commit(works))


def _bare_rate(bench: _Bench, path: Path, works: Sequence[Work]) -> float:
    """Record what a group executes, and run just that on a copy of the database, several times."""
    bench.session.setting("PRAGMA wal_checkpoint(TRUNCATE)")
    copies = [path.with_suffix(f".{i}") for i in range(3)]
    for copy in copies:
        shutil.copy(path, copy)
    recorder = _Recorder(bench.session)
    bench.commit(works)
    return max(_replayed_rate(copy, recorder.commands, len(works)) for copy in copies)


def _replayed_rate(copy: Path, commands: Sequence[_Command], items: int) -> float:
    connection = sqlite3.connect(copy, isolation_level=None)
    for setting in ("synchronous = FULL", "foreign_keys = ON", f"cache_size = -{CACHE_KIB}"):
        connection.execute(f"PRAGMA {setting}")
    cursor = connection.cursor()

    def replay(these: Sequence[_Command]) -> int:
        for sql, parameters, many in these:
            if many:
                cursor.executemany(sql, parameters)
            else:
                cursor.execute(sql, parameters).fetchall()
        return items

    # Once for nothing, so that pages and statements are as warm as ours.
    replay(commands[:-1])
    cursor.execute("ROLLBACK")
    rate = best_rate(lambda: replay(commands), 1)
    connection.close()
    return rate


class _Recorder:
    """Stands in for a session's cursor and keeps what it was asked to run."""

    def __init__(self, session: Session) -> None:
        self.commands: list[_Command] = []
        self._cursor: Any = session._cursor
        session._cursor = self

    def execute(self, sql: str, parameters: Any = ()) -> None:
        self.commands.append((sql, parameters, False))
        self._cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> None:
        self.commands.append((sql, parameters, True))
        self._cursor.executemany(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _statement_row(path: Path) -> Row:
    bench = _Bench(path)
    columns = [c.name for c in events.c if c.name != "seq"]
    statement = sa.insert(events).returning(events.c.seq)
    prepared = Prepared(statement, columns)
    values = dict(zip(columns, ("kind", 1, "subject", None, "{}", NOW_S), strict=True))

    def ours() -> int:
        bench.session.begin_write()
        for _ in range(STATEMENTS):
            bench.session.first(prepared, values)
        bench.session.rollback()
        return STATEMENTS

    engine = sa.create_engine(f"sqlite:///{path}")

    def by_engine() -> int:
        with engine.connect() as connection:
            for _ in range(STATEMENTS):
                connection.execute(statement, values).first()
            connection.rollback()
        return STATEMENTS

    row = Row(
        "one insert with RETURNING",
        "statements/s",
        best_rate(ours, 5),
        {"SQLAlchemy engine": best_rate(by_engine, 5)},
    )
    engine.dispose()
    bench.close()
    return row


def _million_rows(directory: Path) -> list[Row]:
    """Committing a small group over a million finished intents and on an empty ledger, in turns."""
    create(f"sqlite:///{directory / 'million.db'}")
    _fill(directory / "million.db")
    benches = [_Bench(directory / "million.db"), _Bench(directory / "empty.db")]
    fences = [bench.commit([_acquire])[0] for bench in benches]
    took_ms: list[list[float]] = [[], []]
    for group in range(SMALL_GROUPS):
        for bench, fence, figures in zip(benches, fences, took_ms, strict=True):
            rows = bench.commit(bench.intake(SMALL_GROUP))
            works = [_fenced(fence, group * SMALL_GROUP + i, row) for i, row in enumerate(rows)]
            begin = time.perf_counter()
            bench.commit(works)
            figures.append((time.perf_counter() - begin) * 1000)
    for bench in benches:
        bench.close()
    full, empty = took_ms
    metric = f"group of {SMALL_GROUP} fenced commits over {FINISHED_ROWS:,} finished"
    return [
        Row(f"{metric}, p{of}", "ms", _percentile(full, of), {"empty ledger": _percentile(empty, of)})
        for of in (50, 99)
    ]


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


def _fill(path: Path) -> None:
    """Finished intents with their slots and attempts on another lane, made inside SQLite."""
    series = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FINISHED_ROWS})"
    other = "x'" + "09" * 20 + "'"
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute(
        f"{series} INSERT INTO intents (strategy, idempotency_key, chain_id, key, executor, intent_id, plan,"
        " plan_digest, priority, deadline_s, state, reason, finality, correlation_id, accepted_at_s,"
        f" ended_at_s, candidates) SELECT 'old', 'old-' || i, 1, {other}, {other}, i, zeroblob(64),"
        " randomblob(32), 2, 1, 'landed', '', 2, 'c', 1, 1, 1 FROM n"
    )
    connection.execute(
        f"{series} INSERT INTO slots (chain_id, key, nonce, purpose, intent, final)"
        f" SELECT 1, {other}, i, 'plan', i, 1 FROM n"
    )
    connection.execute(
        f"{series} INSERT INTO attempts (slot, hash, raw, target, data, value_wei, gas_limit,"
        " payload_digest, kind, max_fee_per_gas_wei, max_priority_fee_per_gas_wei, route, renewals,"
        " committed_at_s, writes, answer)"
        f" SELECT i, randomblob(32), zeroblob(64), {other}, zeroblob(4), '0', 21000, randomblob(32),"
        " 'plan', '1', '1', 'public', 0, 1, 1, '' FROM n"
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
