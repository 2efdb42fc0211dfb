"""The ledger: the one place where state is kept, and the only way to it.

    Ledger.open ... await close()   once each, by whoever owns the process
    write(work) ── queue ──▶ writer thread: group commit ──▶ future resolved after the commit
    read(work)  ──────────▶ reader threads: one read-only snapshot each

A ledger belongs to one event loop. It opens only a database whose schema is exactly the one this program
knows. `inline=True` is for the world simulator: the same stores, statements and committer, run inside `write`
itself, one commit each; only the threads are missing, and a database in memory is allowed (it is created on
opening).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar, cast

from seawall.ledger.checkpoints import Checkpointer
from seawall.ledger.database import Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.lock import KernelLock
from seawall.ledger.memory import create_in_memory
from seawall.ledger.postgresql import Watch
from seawall.ledger.session import Session
from seawall.ledger.transaction import Transaction
from seawall.ledger.writer import Committer, Job, Writer
from seawall.primitives.errors import LedgerError, LedgerSchemaError, LedgerUnavailableError
from seawall.primitives.ports import Clock, Entropy

__all__ = ["READERS", "READS_PENDING_MAX", "WRITES_PENDING_MAX", "Ledger", "LedgerSettings"]

T = TypeVar("T")

WRITES_PENDING_MAX: Final = 4096  # beyond it `write` waits: back-pressure on whoever produces
READS_PENDING_MAX: Final = 256
READERS: Final = 2  # threads


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """Which database, and whether this process is its kernel (may write) or a reader."""

    url: str = field(repr=False)  # may hold a password
    kernel: bool = True


class Ledger:
    """Open with `Ledger.open`; the constructor only keeps what that prepared."""

    def __init__(
        self,
        database: Database,
        ids: IntentIds,
        committer: Committer | None,
        inline: Session | None,
        lock: KernelLock | None,
    ) -> None:
        self.epoch = ids.epoch
        self._database = database
        self._ids = ids
        self._lock = lock
        self._committer = committer
        self._inline = inline
        self._closed = False
        self._failure: LedgerError | None = None
        self._writes = asyncio.Semaphore(WRITES_PENDING_MAX)
        self._reads = asyncio.Semaphore(READS_PENDING_MAX)
        self._local = threading.local()
        self._sessions: list[Session] = []
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._beside: Watch | Checkpointer | None = None

    @staticmethod
    def open(settings: LedgerSettings, *, clock: Clock, entropy: Entropy, inline: bool = False) -> Ledger:
        """Open a ledger that exists and is at this program's schema.

        Raises `LedgerSchemaError` (none here, older or newer), `LedgerLockedError` (another kernel has it),
        `LedgerError` (cannot be opened, or durability weaker than needed).
        """
        database = Database(settings.url)
        if database.is_memory and not inline:
            raise LedgerError(
                "a ledger in memory forgets what it sent", database.shown, "give the URL of a file"
            )
        database.require_existing()
        lock = None
        if settings.kernel and database.path is not None:
            lock = KernelLock(database.path, "kernel", clock.now_s())
        try:
            session = database.session(read_only=not settings.kernel)
            try:
                if database.is_memory:
                    create_in_memory(session, entropy)
                database.require_head(session)
                ids = IntentIds(database.epoch_of(session))
            except BaseException:
                session.close()
                raise
        except BaseException:
            database.dispose()
            if lock is not None:
                lock.release()
            raise
        committer = Committer(session, ids) if settings.kernel else None
        ledger = Ledger(database, ids, committer, session if inline else None, lock)
        ledger._sessions.append(session)
        if not inline:
            ledger._start(session)
        return ledger

    @property
    def failure(self) -> LedgerError | None:
        """Why nothing can be written, now or any more, or None: for health checks."""
        return self._failure if self._writer is None else self._writer.failure

    async def write(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on the writer and commit it; the answer comes after the commit.

        What `work` raises is raised here, and nothing of it is stored. If the caller is cancelled while it
        waits, the work is done and committed all the same: only the answer is lost, so whoever cancels must
        look before repeating.
        """
        if self._committer is None:
            raise LedgerError(
                "the ledger was opened for reading", self._database.shown, "only the kernel changes it"
            )
        if self._closed or self._failure is not None:
            raise self._failure or LedgerError("the ledger is closed", self._database.shown, "open it again")
        if self._writer is None:
            return self._write_inline(self._committer, work)
        await self._writes.acquire()
        job = Job(work, asyncio.get_running_loop().create_future())
        try:
            self._writer.submit(job)
        except LedgerError:
            self._writes.release()
            raise
        assert job.future is not None
        return cast(T, await job.future)

    async def read(self, work: Callable[[Transaction], T]) -> T:
        """Run `work` on one read-only snapshot; it sees every write whose answer has arrived."""
        if self._closed:
            raise LedgerError("the ledger is closed", self._database.shown, "open it again")
        if self._readers is None:
            assert self._inline is not None
            return self._read_inline(self._inline, work)
        async with self._reads:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._read_here, work)

    async def close(self) -> None:
        """Commit what was given, stop the threads, leave the lock. Closing twice changes nothing."""
        if self._closed:
            return
        self._closed = True
        if self._readers is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._stop)
        for session in self._sessions:
            session.close()
        self._database.dispose()
        if self._lock is not None:
            self._lock.release()

    def _start(self, session: Session) -> None:
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="seawall-ledger-reader")
        if not self._database.is_sqlite:
            self._beside = Watch(lambda: list(self._sessions))
        elif self._committer is not None:
            self._beside = Checkpointer(self._database)
        if self._beside is not None:
            self._beside.start()
        if self._committer is not None:
            reopen = None if self._database.is_sqlite else partial(self._reopened, [session])
            self._writer = Writer(self._committer, self._resolve, reopen)
            self._writer.start()

    def _reopened(self, current: list[Session]) -> Session:
        """On the writer's thread: another connection for the one that was lost, as good as the first."""
        while current:
            self._drop(current.pop())
        session = self._database.session(read_only=False)
        try:
            self._database.require_head(session)
            if self._database.epoch_of(session) != self.epoch:
                raise LedgerSchemaError(
                    "the ledger was restored or rebuilt while it was away",
                    self._database.shown,
                    "start the kernel again: what it holds in memory is of another ledger",
                )
        except BaseException:
            session.close()
            raise
        current.append(session)
        self._sessions.append(session)
        return session

    def _drop(self, session: Session) -> None:
        if session in self._sessions:
            self._sessions.remove(session)
        session.close()

    def _stop(self) -> None:
        assert self._readers is not None
        self._readers.shutdown(wait=True, cancel_futures=True)
        if self._writer is not None:
            self._writer.close()
        if self._beside is not None:
            self._beside.stop()

    def _resolve(self, group: list[Job]) -> None:
        for job in group:
            self._writes.release()
            assert job.future is not None
            if job.future.cancelled():
                continue
            if job.error is not None:
                job.future.set_exception(job.error)
            else:
                job.future.set_result(job.result)

    def _write_inline(self, committer: Committer, work: Callable[[Transaction], T]) -> T:
        job = Job(work)
        try:
            committer.commit([job])
        except BaseException as error:
            self._failure = LedgerError(
                f"the ledger's writer died ({type(error).__name__})",
                self._database.shown,
                "start the kernel again",
            )
            raise
        if job.error is not None:
            raise job.error
        return cast(T, job.result)

    def _read_inline(self, session: Session, work: Callable[[Transaction], T]) -> T:
        if session.is_sqlite:
            session.setting("PRAGMA query_only = ON")
        try:
            return _snapshot(session, Transaction(session, self._ids), work)
        finally:
            if session.is_sqlite and self._committer is not None:
                session.setting("PRAGMA query_only = OFF")

    def _read_here(self, work: Callable[[Transaction], T]) -> T:
        """On a reader thread, whose connection is its own; a lost one is replaced, once for each read."""
        known: Session | None = getattr(self._local, "session", None)
        try:
            return self._read_on(known or self._reader(), work)
        except LedgerUnavailableError:
            if known is None or getattr(self._local, "session", None) is not None:
                raise
        return self._read_on(self._reader(), work)

    def _reader(self) -> Session:
        session = self._database.session(read_only=True)
        self._sessions.append(session)
        self._local.session = session
        self._local.transaction = Transaction(session, self._ids)
        return session

    def _read_on(self, session: Session, work: Callable[[Transaction], T]) -> T:
        try:
            return _snapshot(session, self._local.transaction, work)
        except LedgerError:
            if not session.is_connected():
                self._local.session = None
                self._drop(session)
            raise


def _snapshot(session: Session, transaction: Transaction, work: Callable[[Transaction], T]) -> T:
    session.begin_read()
    try:
        return work(transaction)
    finally:
        session.rollback()
