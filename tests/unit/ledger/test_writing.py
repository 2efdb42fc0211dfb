from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from seawall.ledger import Transaction, checkpoints
from seawall.ledger import database as database_module
from seawall.ledger import ledger as ledger_module
from seawall.primitives.errors import LedgerError, LedgerLockedError, NonceTakenError
from seawall.primitives.identifiers import intent_id_of
from seawall.telemetry import failpoints
from tests.unit.ledger.conftest import OpenLedger
from tests.unit.ledger.samples import LANE, accepted

WAIT_S = 30


@pytest.fixture(autouse=True)
def disarmed() -> Iterator[None]:
    yield
    failpoints.install(None)


@pytest.fixture(params=[False, True], ids=["threads", "inline"])
def inline(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def fill(tx: Transaction, nonce: int) -> int:
    return tx.slots.insert(LANE, nonce, "gap_fill", None).nonce


def raising(tx: Transaction) -> None:
    fill(tx, 500)
    raise ValueError("the work's own mistake")


async def test_answer_comes_after_the_commit(url: str, open_ledger: OpenLedger, inline: bool) -> None:
    ledger = open_ledger(url, inline=inline)
    row = await ledger.write(accepted)
    reader = sqlite3.connect(Path(url.removeprefix("sqlite:///")))
    assert reader.execute("SELECT number FROM intents").fetchall() == [(row.number,)]
    reader.close()
    assert await ledger.read(lambda tx: tx.intents.get(row.number)) == row
    await ledger.close()


async def test_failing_work_harms_no_neighbour(url: str, open_ledger: OpenLedger, inline: bool) -> None:
    ledger = open_ledger(url, inline=inline)
    works = [lambda tx: fill(tx, 0), raising, lambda tx: fill(tx, 0), lambda tx: fill(tx, 1)]
    results = await asyncio.gather(*(ledger.write(work) for work in works), return_exceptions=True)
    assert (results[0], results[3]) == (0, 1)
    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], NonceTakenError)
    assert [slot.nonce for slot in await ledger.read(lambda tx: tx.slots.open(LANE))] == [0, 1]
    await ledger.close()


async def test_ids_of_a_failed_work_are_not_lost_to_the_database(
    url: str, open_ledger: OpenLedger, inline: bool
) -> None:
    ledger = open_ledger(url, inline=inline)

    def accepted_then_failed(tx: Transaction) -> None:
        accepted(tx, "a")
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await ledger.write(accepted_then_failed)
    row = await ledger.write(lambda tx: accepted(tx, "b"))
    assert row.intent_id == intent_id_of(ledger.epoch, 0)
    await ledger.close()


async def test_what_gathers_during_a_commit_is_one_group(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    commits: list[str] = []
    started, release = threading.Event(), threading.Event()

    def first(tx: Transaction) -> int:
        started.set()
        release.wait(WAIT_S)
        return fill(tx, 0)

    failpoints.install(commits.append)
    slow = asyncio.create_task(ledger.write(first))
    await asyncio.to_thread(started.wait, WAIT_S)
    others = [asyncio.create_task(ledger.write(partial(fill, nonce=n))) for n in range(1, 50)]
    await asyncio.sleep(0.01)
    release.set()
    assert await asyncio.gather(slow, *others) == list(range(50))
    assert commits.count("ledger.before_commit") == 2
    await ledger.close()


async def test_cancelled_waiter_does_not_undo_its_write(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    started, release = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> int:
        started.set()
        release.wait(WAIT_S)
        return fill(tx, 7)

    waiting = asyncio.create_task(ledger.write(slow))
    await asyncio.to_thread(started.wait, WAIT_S)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    await ledger.write(lambda tx: fill(tx, 8))
    assert [slot.nonce for slot in await ledger.read(lambda tx: tx.slots.open(LANE))] == [7, 8]
    await ledger.close()


async def test_reading_goes_on_while_a_write_is_under_way(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    started, release = threading.Event(), threading.Event()

    def slow(tx: Transaction) -> int:
        fill(tx, 0)
        started.set()
        release.wait(WAIT_S)
        return 0

    writing = asyncio.create_task(ledger.write(slow))
    await asyncio.to_thread(started.wait, WAIT_S)
    assert await ledger.read(lambda tx: tx.slots.highest(LANE)) is None
    release.set()
    await writing
    assert await ledger.read(lambda tx: tx.slots.highest(LANE)) == 0
    await ledger.close()


async def test_read_is_one_snapshot(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    reading, written = threading.Event(), threading.Event()

    def twice(tx: Transaction) -> tuple[int | None, int | None]:
        before = tx.slots.highest(LANE)
        reading.set()
        written.wait(WAIT_S)
        return before, tx.slots.highest(LANE)

    answer = asyncio.create_task(ledger.read(twice))
    await asyncio.to_thread(reading.wait, WAIT_S)
    await ledger.write(lambda tx: fill(tx, 3))
    written.set()
    assert await answer == (None, None)
    await ledger.close()


@pytest.mark.parametrize("point", ["ledger.before_commit", "ledger.after_commit"])
async def test_dead_writer_fails_all_waiting_and_future_work(
    url: str, open_ledger: OpenLedger, point: str
) -> None:
    ledger = open_ledger(url)
    started, release = threading.Event(), threading.Event()

    def crash(name: str) -> None:
        if name == point:
            raise failpoints.Crash

    def slow(tx: Transaction) -> int:
        started.set()
        release.wait(WAIT_S)
        return fill(tx, 0)

    failpoints.install(crash)
    waiting = [asyncio.create_task(ledger.write(slow))]
    await asyncio.to_thread(started.wait, WAIT_S)
    waiting += [asyncio.create_task(ledger.write(partial(fill, nonce=n))) for n in range(1, 4)]
    await asyncio.sleep(0.01)
    release.set()
    for result in await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), WAIT_S):
        assert isinstance(result, LedgerError)
        assert "writer died (Crash" in str(result)
    with pytest.raises(LedgerError, match="start the kernel again"):
        await asyncio.wait_for(ledger.write(lambda tx: fill(tx, 9)), WAIT_S)
    assert ledger.failure is not None
    await ledger.close()
    failpoints.install(None)
    again = open_ledger(url)
    stored = [slot.nonce for slot in await again.read(lambda tx: tx.slots.open(LANE))]
    assert stored == ([] if point == "ledger.before_commit" else [0])
    await again.close()


@pytest.mark.parametrize(("point", "stored"), [("ledger.before_commit", None), ("ledger.after_commit", 0)])
async def test_simulated_crash_leaves_inline_what_a_true_one_leaves(
    url: str, open_ledger: OpenLedger, point: str, stored: int | None
) -> None:
    ledger = open_ledger(url, inline=True)

    def crash(name: str) -> None:
        if name == point:
            raise failpoints.Crash

    failpoints.install(crash)
    with pytest.raises(failpoints.Crash):
        await ledger.write(lambda tx: fill(tx, 0))
    with pytest.raises(LedgerError, match="writer died"):
        await ledger.write(lambda tx: fill(tx, 1))
    await ledger.close()
    failpoints.install(None)
    again = open_ledger(url, inline=True)
    assert await again.read(lambda tx: tx.slots.highest(LANE)) == stored
    await again.close()


async def test_locked_database_fails_typed_and_the_writer_goes_on(
    url: str, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch, inline: bool
) -> None:
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
    ledger = open_ledger(url, inline=inline)
    stranger = sqlite3.connect(Path(url.removeprefix("sqlite:///")), isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerLockedError, match="locked by another process"):
        await ledger.write(lambda tx: fill(tx, 0))
    stranger.execute("ROLLBACK")
    stranger.close()
    assert await ledger.write(lambda tx: fill(tx, 0)) == 0
    await ledger.close()


async def test_full_disk_fails_typed_with_nothing_half_done(
    url: str, open_ledger: OpenLedger, inline: bool
) -> None:
    ledger = open_ledger(url, inline=inline)
    assert ledger._committer is not None
    session = ledger._committer._session
    pages = session.setting("PRAGMA page_count")
    session.setting(f"PRAGMA max_page_count = {pages}")

    def large(tx: Transaction) -> None:
        fill(tx, 0)
        tx.states.compare_and_set("s", 0, bytes(200_000))

    with pytest.raises(LedgerError, match="disk is full"):
        await ledger.write(large)
    assert await ledger.read(lambda tx: (tx.slots.highest(LANE), tx.states.get("s"))) == (None, (0, b""))
    session.setting("PRAGMA max_page_count = 1000000")
    await ledger.write(large)
    assert await ledger.read(lambda tx: tx.slots.highest(LANE)) == 0
    await ledger.close()


async def test_closing_commits_what_was_given(url: str, open_ledger: OpenLedger) -> None:
    ledger = open_ledger(url)
    writes = [asyncio.create_task(ledger.write(partial(fill, nonce=n))) for n in range(20)]
    await asyncio.sleep(0)
    await ledger.close()
    await ledger.close()
    assert await asyncio.gather(*writes) == list(range(20))
    for late in (ledger.write(lambda tx: fill(tx, 99)), ledger.read(lambda tx: tx.events.last())):
        with pytest.raises(LedgerError, match="closed"):
            await late


async def test_producers_wait_when_too_much_is_pending(
    url: str, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "WRITES_PENDING_MAX", 2)
    ledger = open_ledger(url)
    release = threading.Event()

    def held_up(tx: Transaction, nonce: int) -> int:
        release.wait(WAIT_S)
        return fill(tx, nonce)

    held = [asyncio.create_task(ledger.write(partial(held_up, nonce=n))) for n in range(2)]
    third = asyncio.create_task(ledger.write(lambda tx: fill(tx, 2)))
    await asyncio.sleep(0.01)
    assert ledger._writes.locked()
    release.set()
    assert await third == 2
    await asyncio.gather(*held)
    assert not ledger._writes.locked()
    await ledger.close()


async def test_log_is_carried_over_beside_the_writer(
    url: str, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_EVERY_S", 0.02)
    size = Path(url.removeprefix("sqlite:///")).stat
    before = size().st_size
    ledger = open_ledger(url)
    await ledger.write(lambda tx: tx.states.compare_and_set("s", 0, bytes(200_000)))
    async with asyncio.timeout(WAIT_S):
        while size().st_size < before + 150_000:  # noqa: ASYNC110  (nobody would set an event)
            await asyncio.sleep(0.01)
    assert (await ledger.read(lambda tx: tx.states.get("s")))[0] == 1
    await ledger.close()


async def test_log_begins_anew_though_something_was_committed_during_a_pass(
    url: str, open_ledger: OpenLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "CHECKPOINT_EVERY_S", 3_600.0)
    path = Path(url.removeprefix("sqlite:///"))
    ledger = open_ledger(url)
    await ledger.write(lambda tx: tx.states.compare_and_set("s", 0, bytes(200_000)))
    session = database_module.Database(url).session(read_only=False)
    settings, passes = session.settings, list[Sequence[object]]()

    def passing(_: object, text: str) -> Sequence[object]:
        passes.append(settings(text))
        if len(passes) == 1:
            with sqlite3.connect(path) as other:
                other.execute("PRAGMA user_version = 1")
            other.close()
        return passes[-1]

    monkeypatch.setattr(type(session), "settings", passing)
    checkpoints._carry_over(session)
    assert len(passes) == 3, "one with what was there, one with what came meanwhile, one that found nothing"
    log = path.with_name(f"{path.name}-wal")
    grown = log.stat().st_size
    await ledger.write(lambda tx: tx.states.compare_and_set("s", 1, bytes(100)))
    assert log.stat().st_size == grown
    session.close()
    await ledger.close()
