"""A PostgreSQL that vanishes, stops or is slow, and kernels that stop: typed, nothing half done, going on."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import sqlalchemy as sa

from seawall.ledger import Ledger, LedgerSettings, Transaction, postgresql
from seawall.ledger.migrate import create, downgrade
from seawall.ledger.rows import EventRow
from seawall.primitives.errors import (
    LedgerDoubtError,
    LedgerError,
    LedgerLockedError,
    LedgerUnavailableError,
)
from tests.fixtures.cut_line import CutLine
from tests.fixtures.postgresql import new_postgresql_database, postgresql_server, started_server
from tests.unit.ledger.samples import LANE, FixedClock, FixedEntropy, accepted

__all__ = ["new_postgresql_database", "postgresql_server"]

pytestmark = pytest.mark.postgresql

WAIT_S = 120
# A commit of nonce 77 lasts until the test gives this lock away.
BRAKE = 4711
SLOW_COMMIT = (
    "CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS"
    f" $$ BEGIN PERFORM pg_advisory_xact_lock({BRAKE}); RETURN NULL; END $$",
    "CREATE CONSTRAINT TRIGGER paused AFTER INSERT ON slots DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW WHEN (NEW.nonce = 77) EXECUTE FUNCTION pause()",
)
IS_BRAKED = f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = {BRAKE} AND NOT granted"


@pytest.fixture
def url(new_postgresql_database: Callable[[], str]) -> str:
    made = new_postgresql_database()
    create(made, entropy=FixedEntropy())
    return made


@pytest.fixture
def line(url: str) -> Iterator[tuple[CutLine, str]]:
    """A line to the server that can be cut, and the URL of the ledger behind it."""
    with tempfile.TemporaryDirectory(prefix="seawall-line-") as folder:
        made = sa.make_url(url)
        cut = CutLine(Path(folder), Path(str(made.query["host"])))
        yield cut, made.update_query_dict({"host": folder}).render_as_string(hide_password=False)
        cut.close()


def set_timeouts(
    monkeypatch: pytest.MonkeyPatch, *, answer_s: float = 60, statement_s: float = 60, idle_s: float = 60
) -> None:
    """Those that are given are what the test waits for; the others wait for a slow machine."""
    monkeypatch.setattr(postgresql, "ANSWER_TIMEOUT_S", answer_s)
    monkeypatch.setattr(postgresql, "_WATCH_EVERY_S", 0.1)
    settings = {"statement_timeout": statement_s, "idle_in_transaction_session_timeout": idle_s}
    stated = tuple(f"SET {name} = '{round(value_s * 1000)}ms'" for name, value_s in settings.items())
    monkeypatch.setattr(postgresql, "SETTINGS", stated)


def opened(url: str) -> Ledger:
    return Ledger.open(LedgerSettings(url), clock=FixedClock(), entropy=FixedEntropy())


def fill(tx: Transaction, nonce: int) -> int:
    return tx.slots.insert(LANE, nonce, "gap_fill", None).nonce


def nonces(tx: Transaction) -> list[int]:
    return [slot.nonce for slot in tx.slots.open(LANE)]


def events_after(tx: Transaction, last: int) -> list[EventRow]:
    return tx.events.after(last)


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not reached():  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.02)


async def until_back(ledger: Ledger) -> None:
    await until(lambda: ledger.failure is None)


def backend_of(url: str, state: str) -> int:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        found = connection.exec_driver_sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query ~ %s"
            " AND pid <> pg_backend_pid()",
            (state,),
        ).scalar()
    assert isinstance(found, int)
    return found


async def test_server_that_vanishes_is_waited_for_and_loses_nothing() -> None:
    with started_server() as server:
        url = server.url
        create(url, entropy=FixedEntropy())
        ledger = opened(url)
        assert await ledger.write(partial(fill, nonce=0)) == 0
        assert await ledger.read(nonces) == [0]
        server.stop_at_once()
        for nonce in (1, 2):
            with pytest.raises(LedgerUnavailableError, match="nothing"):
                await asyncio.wait_for(ledger.write(partial(fill, nonce=nonce)), WAIT_S)
        assert ledger.failure is not None
        with pytest.raises(LedgerUnavailableError):
            await asyncio.wait_for(ledger.read(nonces), WAIT_S)
        server.start()
        await until_back(ledger)
        assert await ledger.write(partial(fill, nonce=3)) == 3
        assert await ledger.read(nonces) == [0, 3]
        await ledger.close()


async def test_commit_whose_answer_is_lost_is_in_doubt_and_may_be_stored(line: tuple[CutLine, str]) -> None:
    cut, url = line
    ledger = opened(url)
    await ledger.write(partial(fill, nonce=0))
    cut.swallow_next_commit = True
    with pytest.raises(LedgerDoubtError, match="may or may not"):
        await asyncio.wait_for(ledger.write(partial(fill, nonce=1)), WAIT_S)
    await until_back(ledger)
    assert await ledger.read(nonces) == [0, 1]
    assert await ledger.write(partial(fill, nonce=2)) == 2
    await ledger.close()


async def test_ids_that_a_doubtful_commit_may_have_used_are_not_used_again(line: tuple[CutLine, str]) -> None:
    cut, url = line
    ledger = opened(url)
    first = await ledger.write(partial(accepted, key="first"))
    cut.swallow_next_commit = True
    with pytest.raises(LedgerDoubtError):
        await asyncio.wait_for(ledger.write(partial(accepted, key="doubtful")), WAIT_S)
    await until_back(ledger)
    found = await ledger.write(partial(accepted, key="doubtful"))
    third = await ledger.write(partial(accepted, key="third"))
    assert len({first.intent_id, found.intent_id, third.intent_id}) == 3
    await ledger.close()


async def test_line_cut_before_the_commit_stores_nothing_of_the_group(line: tuple[CutLine, str]) -> None:
    cut, url = line
    ledger = opened(url)

    def cut_in_between(tx: Transaction) -> None:
        fill(tx, 1)
        cut.cut()
        fill(tx, 2)

    with pytest.raises(LedgerUnavailableError) as caught:
        await asyncio.wait_for(ledger.write(cut_in_between), WAIT_S)
    assert not isinstance(caught.value, LedgerDoubtError)
    await until_back(ledger)
    assert await ledger.read(nonces) == []
    await ledger.close()


async def test_what_waited_when_the_line_was_cut_fails_at_once(line: tuple[CutLine, str]) -> None:
    cut, url = line
    ledger = opened(url)
    started, release = threading.Event(), threading.Event()

    def held(tx: Transaction) -> int:
        started.set()
        release.wait(WAIT_S)
        return fill(tx, 0)

    writes = [asyncio.create_task(ledger.write(held))]
    await asyncio.to_thread(started.wait, WAIT_S)
    writes += [asyncio.create_task(ledger.write(partial(fill, nonce=n))) for n in range(1, 9)]
    await asyncio.sleep(0.01)
    cut.refusing = True
    cut.cut()
    release.set()
    results = await asyncio.wait_for(asyncio.gather(*writes, return_exceptions=True), WAIT_S)
    assert all(isinstance(result, LedgerUnavailableError) for result in results)
    assert ledger.failure is not None
    await asyncio.wait_for(ledger.close(), WAIT_S)


async def test_stopped_backend_is_cut_off_and_waited_for(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_timeouts(monkeypatch, answer_s=2)
    ledger = opened(url)
    await ledger.write(partial(fill, nonce=0))
    pid = backend_of(url, "COMMIT")
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(LedgerUnavailableError):
            await asyncio.wait_for(ledger.write(partial(fill, nonce=1)), WAIT_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    await until_back(ledger)
    assert await ledger.write(partial(fill, nonce=2)) == 2
    stored = await ledger.read(nonces)
    assert stored[-1] == 2
    await ledger.close()


async def test_kernel_that_stops_in_a_transaction_does_not_hold_the_fleet(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_timeouts(monkeypatch)
    other = opened(url)
    set_timeouts(monkeypatch, idle_s=1)
    stopped = opened(url)
    set_timeouts(monkeypatch)  # for whatever is opened again
    started, release = threading.Event(), threading.Event()

    def stops(tx: Transaction) -> None:
        fill(tx, 0)
        started.set()
        release.wait(WAIT_S)
        fill(tx, 1)

    writing = asyncio.create_task(stopped.write(stops))
    await asyncio.to_thread(started.wait, WAIT_S)
    assert await asyncio.wait_for(other.write(partial(fill, nonce=0)), WAIT_S) == 0
    release.set()
    with pytest.raises(LedgerUnavailableError) as caught:
        await asyncio.wait_for(writing, WAIT_S)
    assert not isinstance(caught.value, LedgerDoubtError)
    await until_back(stopped)
    assert await stopped.write(partial(fill, nonce=2)) == 2
    assert await other.read(nonces) == [0, 2]
    await stopped.close()
    await other.close()


async def test_slow_commit_is_awaited_and_whoever_waits_for_its_lock_is_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute(url, *SLOW_COMMIT)
    set_timeouts(monkeypatch)
    slow = opened(url)
    set_timeouts(monkeypatch, statement_s=1)
    other = opened(url)
    set_timeouts(monkeypatch)
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as brake:
        brake.exec_driver_sql(f"SELECT pg_advisory_lock({BRAKE})")
        writing = asyncio.create_task(slow.write(partial(fill, nonce=77)))
        await until(lambda: brake.exec_driver_sql(IS_BRAKED).scalar_one() == 1)
        with pytest.raises(LedgerUnavailableError, match="another kernel holds it"):
            await asyncio.wait_for(other.write(partial(fill, nonce=1)), WAIT_S)
        assert not writing.done()
    assert await asyncio.wait_for(writing, WAIT_S) == 77
    assert other.failure is None
    assert await other.write(partial(fill, nonce=1)) == 1
    await slow.close()
    await other.close()


async def test_ledger_restored_while_it_was_away_ends_the_writer(url: str, line: tuple[CutLine, str]) -> None:
    cut, through = line
    ledger = opened(through)
    cut.refusing = True
    cut.cut()
    with pytest.raises(LedgerUnavailableError):
        await asyncio.wait_for(ledger.write(partial(fill, nonce=0)), WAIT_S)
    execute(url, "UPDATE meta SET epoch = decode('00112233445566778899aabbccddeeff', 'hex')")
    cut.refusing = False
    await until(lambda: "start the kernel again" in str(ledger.failure))
    with pytest.raises(LedgerError, match="start the kernel again"):
        await ledger.write(partial(fill, nonce=0))
    await ledger.close()


async def test_migration_and_kernels_exclude_each_other(url: str) -> None:
    ledger = opened(url)
    with pytest.raises(LedgerLockedError, match="stop all kernels"):
        downgrade(url, "base")
    await ledger.close()
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as migration:
        migration.exec_driver_sql(postgresql.ENTER_ALONE)
        with pytest.raises(LedgerLockedError, match="migration of this ledger"):
            opened(url)
    await opened(url).close()


def test_server_that_takes_no_writes_is_refused(url: str) -> None:
    name = sa.make_url(url).database
    execute(url, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(LedgerUnavailableError, match="takes no writes"):
        opened(url)


async def test_events_of_two_kernels_are_numbered_in_the_order_of_their_commits(url: str) -> None:
    kernels = [opened(url), opened(url)]
    seen: list[int] = []

    def append(tx: Transaction) -> int:
        return tx.events.append("x", 1, "s", None, {}, 1)

    async def keep_writing(ledger: Ledger) -> None:
        for _ in range(40):
            await ledger.write(append)

    async def keep_reading() -> None:
        while len(seen) < 80:
            last = max(seen, default=0)
            seen.extend(event.seq for event in await kernels[0].read(partial(events_after, last=last)))

    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*(keep_writing(kernel) for kernel in kernels), keep_reading())
    assert seen == sorted(seen)
    assert len(seen) == 80
    for kernel in kernels:
        await kernel.close()
