"""The ledger on SQLite and PostgreSQL: intake, the pipeline's commits, confirmations, the cost of history.

Limit of the rates: the same statements with ready values on a bare cursor of the driver (sqlite3, psycopg),
recorded from our own run and replayed in turns with it. Peer of the single statement: SQLAlchemy's
`Connection.execute`, compiled cache warm. Peer of the rows on history: a ledger with 1,000 finished intents.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
import sqlalchemy as sa

from bench.history import fill
from bench.rows import Row, best_rate
from seawall.ledger import Transaction
from seawall.ledger.database import Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.migrate import create
from seawall.ledger.rows import (
    Accepted,
    AttemptRow,
    Commitment,
    Leg,
    NewEvent,
    NewInclusion,
    PostingEntry,
)
from seawall.ledger.schema import events
from seawall.ledger.session import Prepared, Session
from seawall.ledger.writer import Committer, Job
from seawall.primitives.blocks import Block
from seawall.primitives.codec import payload_digest, plan_digest
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import WriteKind
from seawall.primitives.plans import ExecutorBody, GuardSpec, Plan, TokenBound
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, Hash, hex_text
from seawall.primitives.verdicts import Measurement, Payload, Verdict
from tests.fixtures.postgresql import started_server

GROUP: Final = 100
ROUNDS: Final = 15
SMALL_GROUP: Final = 8
SMALL_GROUPS: Final = 400
FEW: Final = 1_000
MANY: Final = 1_000_000
MEMORY_GROUPS: Final = 100
STATEMENTS: Final = 2_000

KEY: Final = Address(b"\x01" * 20)
WETH: Final = Address(b"\x02" * 20)
LANE: Final = Lane(31337, KEY)
NOW_S: Final = 1_800_000_000
FEE_WEI: Final = 21_000 * 10**9
PAYLOAD: Final = Payload(31337, KEY, WETH, bytes(range(200)) * 3, 0, 500_000)
PAYLOAD_DIGEST: Final = payload_digest(PAYLOAD)
GUARDS: Final = ("slippage", "min_profit", "oracle", "gas", "position", "balance")
MEASURED: Final = tuple(
    Measurement(g, 10**18, 10**17, 5, "wei", True, Hash(b"b" * 32), "inside") for g in GUARDS
)

Work = Callable[[Transaction], Any]
_Command = Callable[[Any], object]  # runs on a bare cursor


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as directory, started_server() as server:
        folder = Path(directory)
        return [
            *_rate_rows("SQLite", f"sqlite:///{folder / 'rates.db'}"),
            *_rate_rows("PostgreSQL", server.url),
            _statement_row(f"sqlite:///{folder / 'statement.db'}"),
            *_history_rows(folder),
        ]


# ---------------------------------------------------------------------- the work


@dataclass
class _Pipeline:
    """Makes the works of one step after the other; each takes what the step before answered."""

    nonces: Iterator[int] = field(default_factory=itertools.count)
    keys: Iterator[int] = field(default_factory=itertools.count)
    blocks: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def accepting(self, count: int) -> Work:
        plans = [_plan(f"new-{next(self.keys)}") for _ in range(count)]
        with_digests = [(plan, plan_digest(plan)) for plan in plans]
        return lambda tx: tx.intents.accept_many(with_digests, "correlation", NOW_S)

    def committing(self, accepted: Sequence[Accepted]) -> Work:
        commitments = [_commitment(row, next(self.nonces)) for row in accepted]
        return lambda tx: tx.commitments.insert(commitments, NOW_S)

    def confirming(self, attempts: Sequence[AttemptRow]) -> Work:
        number = next(self.blocks)
        block = Block(
            31337,
            number,
            _random_hash(),
            Hash(b"p" * 32),
            NOW_S,
            1,
            30_000_000,
            ZERO_ADDRESS,
            Hash(b"r" * 32),
        )

        def work(tx: Transaction) -> None:
            rows = tx.inclusions.insert_many(
                [
                    NewInclusion(a.hash, block, i, True, 21_000, 10**9, FEE_WEI, a)
                    for i, a in enumerate(attempts)
                ]
            )
            legs = (Leg(KEY, NATIVE, -FEE_WEI), Leg("fees", NATIVE, FEE_WEI))
            pairs = list(zip(rows, (a.intents[0][0] for a in attempts), strict=True))
            tx.postings.book_many(
                [PostingEntry("inclusion", 31337, number, block.hash, legs, r.number, n) for r, n in pairs]
            )
            in_block: dict[str, str | int | bool | None] = {
                "block": number,
                "block_hash": hex_text(block.hash),
                "status": True,
            }
            tx.events.append_many(
                [
                    NewEvent("inclusion.added", 31337, "arbitrage", n, in_block | {"hash": hex_text(h)})
                    for h, n in ((r.attempt_hash, n) for r, n in pairs)
                ],
                NOW_S,
            )

        return work


def _plan(key: str) -> Plan:
    body = ExecutorBody(WETH, KEY, bytes(450), (TokenBound(WETH, "inflow", 10**18),), 5)
    guards = (GuardSpec("slippage", (("bps", 50),)), GuardSpec("oracle"))
    return Plan("arbitrage", 31337, KEY, body, WETH, key, NOW_S, guards, note="gap of 30 bps")


def _commitment(accepted: Accepted, nonce: int) -> Commitment:
    intent = accepted.intent
    verdict = Verdict(
        intent.number, 1, intent.plan_digest, PAYLOAD_DIGEST, 5, Hash(b"b" * 32), Hash(b"o" * 32), 10, NOW_S,
        10**18, 10**17, WriteKind.PLAN, True, MEASURED, 5, 5, 100_000,
    )  # fmt: skip
    return Commitment(
        LANE, nonce, intent.number, intent.strategy, verdict, _random_hash(), bytes(700), PAYLOAD,
        PAYLOAD_DIGEST, 10**9, 10**9, "public", ((NATIVE, 10**17),),
    )  # fmt: skip


def _random_hash() -> Hash:
    return Hash(SystemEntropy().token(32))


# ---------------------------------------------------------------------- rates and their limits


class _Bench:
    """A ledger without its threads: groups are committed as the writer would."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.session = self.database.session(read_only=False)
        self.ids = IntentIds(self.database.epoch_of(self.session))
        self.committer = Committer(self.session, self.ids)

    def commit(self, work: Work) -> Any:
        job = Job(work)
        self.committer.commit([job])
        if job.error is not None:
            raise job.error
        return job.result

    def recorded(self, work: Work) -> tuple[Any, list[_Command]]:
        """What `work` answers and which statements it takes; nothing of it is stored."""
        with _recording(self.session) as commands:
            self.session.begin_write()
            answer = work(Transaction(self.session, self.ids))
        self.session.rollback()
        return answer, commands

    def close(self) -> None:
        self.session.close()
        self.database.dispose()


def _rate_rows(name: str, url: str) -> list[Row]:
    create(url)
    bench, pipeline = _Bench(url), _Pipeline()
    bare = Database(url).session(read_only=False)  # its cursor is used as it is
    steps = ("intents accepted", "fenced commits", "confirmations")
    best: dict[tuple[str, bool], float] = {}
    cpu_us: dict[str, float] = {}
    for _ in range(ROUNDS):
        for is_bare in (False, True):
            answer: Any = None
            made: Sequence[Callable[[Any], Work]] = (
                lambda _: pipeline.accepting(GROUP),
                pipeline.committing,
                pipeline.confirming,
            )
            for step, make in zip(steps, made, strict=True):
                work = make(answer)
                commands: list[_Command] = []
                if is_bare:
                    answer, commands = bench.recorded(work)
                begin, begin_cpu = time.perf_counter(), time.process_time()
                if is_bare:
                    _replay(bare, commands)
                else:
                    answer = bench.commit(work)
                took_s, took_cpu_s = time.perf_counter() - begin, time.process_time() - begin_cpu
                best[step, is_bare] = max(best.get((step, is_bare), 0), GROUP / took_s)
                if not is_bare:
                    cpu_us[step] = min(cpu_us.get(step, 1e9), took_cpu_s * 1e6 / GROUP)
    bare.close()
    bench.close()
    return [
        *(Row(f"{s}, {name}, groups of {GROUP}", "/s", best[s, False], limit=best[s, True]) for s in steps),
        *(Row(f"our CPU, {s}, {name}", "us each", cpu_us[s]) for s in steps),
    ]


def _replay(bare: Session, commands: Sequence[_Command]) -> None:
    for command in commands:
        command(bare._cursor)
    bare._cursor.execute("COMMIT")


class _Recorder:
    """Stands in for a session's cursor and keeps what it was asked to run."""

    def __init__(self, cursor: Any) -> None:
        self.commands: list[_Command] = []
        self._cursor = cursor

    def execute(self, sql: str, parameters: Any = ()) -> None:
        self.commands.append(partial(_execute, sql=sql, parameters=parameters))
        self._cursor.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any) -> None:
        self.commands.append(lambda cursor: cursor.executemany(sql, parameters))
        self._cursor.executemany(sql, parameters)

    @contextlib.contextmanager
    def copy(self, sql: str) -> Iterator[_CopyRecorder]:
        with self._cursor.copy(sql) as stream:
            recorder = _CopyRecorder(stream)
            yield recorder
        self.commands.append(partial(_copy, sql=sql, rows=recorder.rows))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


class _CopyRecorder:
    def __init__(self, stream: Any) -> None:
        self.rows: list[Any] = []
        self._stream = stream

    def write_row(self, row: Any) -> None:
        self.rows.append(row)
        self._stream.write_row(row)


def _execute(cursor: Any, sql: str, parameters: Any) -> None:
    cursor.execute(sql, parameters)
    if cursor.description is not None:
        cursor.fetchall()


def _copy(cursor: Any, sql: str, rows: Sequence[Any]) -> None:
    with cursor.copy(sql) as stream:
        for row in rows:
            stream.write_row(row)


@contextlib.contextmanager
def _recording(session: Session) -> Iterator[list[_Command]]:
    cursor = session._cursor
    recorder: Any = _Recorder(cursor)
    session._cursor = recorder
    try:
        yield recorder.commands
    finally:
        session._cursor = cursor


def _statement_row(url: str) -> Row:
    create(url)
    bench = _Bench(url)
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

    engine = sa.create_engine(url)

    def by_engine() -> int:
        with engine.connect() as connection:
            for _ in range(STATEMENTS):
                connection.execute(statement, values).first()
            connection.rollback()
        return STATEMENTS

    peers = {"SQLAlchemy engine": best_rate(by_engine, 5)}
    row = Row("one insert with RETURNING, SQLite", "statements/s", best_rate(ours, 5), peers)
    engine.dispose()
    bench.close()
    return row


# ---------------------------------------------------------------------- the cost of history


def _history_rows(folder: Path) -> list[Row]:
    """The pipeline's commits with a million finished intents and with a thousand, in turns."""
    urls = {count: f"sqlite:///{folder / f'{count}.db'}" for count in (MANY, FEW)}
    for count, url in urls.items():
        create(url)
        fill(Path(url.removeprefix("sqlite:///")), count)
    benches = {count: _Bench(url) for count, url in urls.items()}
    pipelines = {count: _Pipeline() for count in urls}
    took_ms: dict[int, list[float]] = {count: [] for count in urls}
    cpu_us: dict[int, list[float]] = {count: [] for count in urls}
    for _ in range(SMALL_GROUPS):
        for count, bench in benches.items():
            work = pipelines[count].committing(bench.commit(pipelines[count].accepting(SMALL_GROUP)))
            begin, begin_cpu = time.perf_counter(), time.process_time()
            bench.commit(work)
            took_ms[count].append((time.perf_counter() - begin) * 1000)
            cpu_us[count].append((time.process_time() - begin_cpu) * 1e6 / SMALL_GROUP)
    for bench in benches.values():
        bench.close()
    metric = f"group of {SMALL_GROUP} fenced commits over {MANY:,} finished"
    few = f"over {FEW:,}"

    def row(what: str, unit: str, figures: dict[int, list[float]], percent: int) -> Row:
        peers = {few: _percentile(figures[FEW], percent)}
        return Row(f"{metric}, {what}", unit, _percentile(figures[MANY], percent), peers)

    return [
        row("p50", "ms", took_ms, 50),
        row("p99", "ms", took_ms, 99),
        row("our CPU, p50", "us each", cpu_us, 50),
        Row(f"{metric}, memory", "MiB", _memory_mib(urls[MANY]), {few: _memory_mib(urls[FEW])}),
    ]


def _percentile(values: Sequence[float], percent: int) -> float:
    return sorted(values)[len(values) * percent // 100]


def _memory_mib(url: str) -> float:
    """Resident memory of a process that did `MEMORY_GROUPS` groups on this ledger and nothing else."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_memory_here, (url,))


def _memory_here(url: str) -> float:
    bench, pipeline = _Bench(url), _Pipeline(nonces=itertools.count(10**9), keys=itertools.count(10**9))
    for _ in range(MEMORY_GROUPS):
        bench.commit(pipeline.committing(bench.commit(pipeline.accepting(SMALL_GROUP))))
    used = psutil.Process().memory_info().rss / 2**20
    bench.close()
    return float(used)
