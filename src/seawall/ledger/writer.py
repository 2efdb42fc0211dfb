"""The one writer: pieces of work gathered into one commit, each in a savepoint of its own.

`Committer` executes a group: begin, every work, commit. Work that is alone needs no savepoint: it has the
transaction to itself. `Writer` runs it on a thread: it takes whatever
gathered while the previous commit ran (there is no waiting window), at most `WRITER_GROUP_MAX`, and resolves
the futures after the commit. A work that raises loses its own savepoint and nothing else. A group that the
database refuses as a whole (locked, disk full) fails as a whole, typed, with nothing stored, and the writer
goes on.

Where the database is a server, its connection can be lost. What was under way fails typed (as surely not
stored, or, if it was in its commit, as in doubt), and so does all that is submitted while the server is away:
nobody waits for a server in silence. The writer connects again with back-off, for as long as it takes;
durability, schema and epoch are verified anew. Meanwhile `failure` says what is wrong.

Where it is a file, or if anything unforeseen happens, the writer dies on purpose: all waiting and all future
work fails with `LedgerError`, and the kernel is started again, which is recovery. It never hangs anybody.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from seawall.ledger.intents import IntentIds
from seawall.ledger.session import DoubtError, Session
from seawall.ledger.transaction import Transaction
from seawall.primitives.bounds import WRITER_GROUP_MAX
from seawall.primitives.errors import (
    LedgerDoubtError,
    LedgerError,
    LedgerSchemaError,
    LedgerUnavailableError,
)
from seawall.telemetry import failpoints

__all__ = ["CLOSE_TIMEOUT_S", "Committer", "Job", "LostError", "Writer"]

CLOSE_TIMEOUT_S: Final = 30.0
RECONNECT_FIRST_S: Final = 0.05
RECONNECT_MAX_S: Final = 1.0

_BEFORE_COMMIT: Final = failpoints.declare("ledger.before_commit")
_AFTER_COMMIT: Final = failpoints.declare("ledger.after_commit")


class LostError(LedgerUnavailableError):
    """The connection is gone, and nothing of the group was stored."""


@dataclass(slots=True, eq=False)
class Job:
    """A piece of work and where its result goes.

    Afterwards either `error` is set, or `result` is the answer.
    """

    work: Callable[[Transaction], Any]
    future: asyncio.Future[Any] | None = None
    result: Any = None
    error: Exception | None = None


class Committer:
    """Executes groups on one connection. Not for two threads."""

    def __init__(self, session: Session, ids: IntentIds) -> None:
        self._ids = ids
        self.adopt(session)

    def adopt(self, session: Session) -> None:
        """Go on with a new connection."""
        self._session = session
        self._transaction = Transaction(session, self._ids)

    def commit(self, group: list[Job]) -> None:
        """Every job ends with a result or an error.

        Raises only if the committer must not be used again as it is: `LostError` if every job has its error,
        `DoubtError` if nobody knows whether they are stored, or whatever else was not foreseen.
        """
        mark = self._ids.mark()
        try:
            self._session.begin_write()
            if len(group) == 1:
                self._perform_alone(group[0])
            else:
                for job in group:
                    self._perform(job)
            _BEFORE_COMMIT.hit()
        except Exception as error:  # noqa: BLE001  (whatever it is, the whole group has not happened)
            self._refuse(group, error, mark)
            return
        except BaseException:
            self._undo(mark)
            raise
        try:
            self._session.commit()
        except DoubtError:
            self._session.rollback()
            self._ids.forget()
            raise
        except LedgerError as error:
            self._refuse(group, error, mark)
            return
        _AFTER_COMMIT.hit()

    def _perform_alone(self, job: Job) -> None:
        try:
            job.result = job.work(self._transaction)
        except Exception as error:
            job.error = error
            raise

    def _perform(self, job: Job) -> None:
        mark = self._ids.mark()
        self._session.savepoint()
        try:
            job.result = job.work(self._transaction)
        except Exception as error:  # noqa: BLE001  (the work's own error goes to whoever waits for it)
            self._ids.restore(mark)
            job.error = error
            try:
                self._session.rollback_to_savepoint()
            except LedgerError as gone:
                # A full disk makes SQLite roll everything back by itself: the reason is what the work saw.
                raise (error if isinstance(error, LedgerError) else gone) from None
        else:
            self._session.release()

    def _refuse(self, group: list[Job], error: Exception, mark: dict[Any, Any]) -> None:
        self._undo(mark)
        _fail(group, error)
        if not self._session.is_connected():
            raise LostError("the connection to the database is lost", "ledger", "open the ledger again")

    def _undo(self, mark: dict[Any, Any]) -> None:
        self._session.rollback()
        self._ids.restore(mark)


class Writer:
    """The thread. `submit` from the event loop; the job's future is resolved there."""

    def __init__(
        self,
        committer: Committer,
        on_done: Callable[[list[Job]], None],
        reopen: Callable[[], Session] | None = None,
    ) -> None:
        """`on_done(group)` is called on the loop of the group's futures, once a group.

        `reopen` makes and verifies a new connection, and raises `LedgerError` as long as there is none to be
        had, `LedgerSchemaError` if there is nothing to go on with; None: a lost connection is the end.
        """
        self._committer = committer
        self._on_done = on_done
        self._reopen = reopen
        self._away: LedgerError | None = None
        self._closing = threading.Event()
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._ended: LedgerError | None = None
        self._thread = threading.Thread(target=self._main, name="seawall-ledger-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def failure(self) -> LedgerError | None:
        """Why nothing is written, now or any more, or None."""
        return self._ended or self._away

    def submit(self, job: Job) -> None:
        with self._gate:
            failure = self.failure
            if failure is not None:
                raise _again(failure)
            self._queue.put(job)

    def close(self) -> None:
        """Commit what was submitted, then end the thread. Blocks, at most `CLOSE_TIMEOUT_S`."""
        with self._gate:
            if self._ended is None:
                self._ended = LedgerError("the ledger is closed", "ledger", "open it again")
                self._queue.put(None)
        self._closing.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            raise LedgerError(
                f"the writer did not end within {CLOSE_TIMEOUT_S:.0f} s",
                "ledger",
                "look at what holds the database",
            )

    def _main(self) -> None:
        group: list[Job] = []
        try:
            going_on = True
            while going_on:
                group = []
                going_on = self._gather(group)
                if group and not self._commit(group):
                    going_on = self._reconnect() and going_on
        except BaseException as error:  # noqa: BLE001  (a writer that dies silently would hang every producer)
            self._die(error, group)

    def _commit(self, group: list[Job]) -> bool:
        """Commit and deliver; False if the connection was lost over it."""
        try:
            self._committer.commit(group)
        except (LostError, DoubtError) as error:
            if self._reopen is None:
                raise
            self._leave(error)
            if isinstance(error, DoubtError):
                for job in group:
                    job.result, job.error = None, _again(error)
            self._deliver(group)
            return False
        self._deliver(group)
        return True

    def _leave(self, cause: LedgerError) -> None:
        with self._gate:
            self._away = LedgerUnavailableError(
                f"the database is away ({cause.what}); nothing is written until it is back",
                "ledger",
                "see that the server runs and can be reached; the ledger connects again by itself",
            )

    def _reconnect(self) -> bool:
        """Back to a database that can be written; False if the last job was taken or the ledger closes."""
        assert self._reopen is not None
        going_on = self._refuse_waiting()
        pause_s = RECONNECT_FIRST_S
        while going_on:
            try:
                self._committer.adopt(self._reopen())
            except LedgerSchemaError:
                raise
            except LedgerError as error:
                self._leave(error)
            else:
                with self._gate:
                    self._away = None
                return True
            going_on = not self._closing.wait(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_MAX_S)
        return False

    def _refuse_waiting(self) -> bool:
        """Fail what was submitted before the database went away; False if the last job was taken."""
        assert self._away is not None
        waiting: list[Job] = []
        going_on = True
        while going_on and not self._queue.empty():
            going_on = self._gather(waiting)
        for job in waiting:
            job.error = _again(self._away)
        self._deliver(waiting)
        return going_on

    def _gather(self, group: list[Job]) -> bool:
        """Wait for one job, take what else is there; False when the last was taken."""
        job = self._queue.get()
        while job is not None:
            group.append(job)
            if len(group) >= WRITER_GROUP_MAX:
                return True
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                return True
        return False

    def _die(self, cause: BaseException, group: list[Job]) -> None:
        with self._gate:
            self._ended = LedgerError(
                f"the ledger's writer died ({type(cause).__name__}: {cause});"
                " its last group may or may not be stored",
                "ledger",
                "start the kernel again: recovery finds out what was stored",
            )
        group = list(group)
        while True:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is not None:
                group.append(job)
        for job in group:
            job.result, job.error = None, _again(self._ended)
        self._deliver(group)

    def _deliver(self, group: list[Job]) -> None:
        for loop in {job.future.get_loop() for job in group if job.future is not None}:
            done = [job for job in group if job.future is not None and job.future.get_loop() is loop]
            try:
                loop.call_soon_threadsafe(self._on_done, done)
            except RuntimeError:  # that loop was closed: nobody waits there any more, and the commit stands
                continue


def _fail(group: list[Job], cause: Exception) -> None:
    for job in group:
        job.result = None
        if job.error is None:
            job.error = cause


def _again(error: LedgerError) -> LedgerError:
    """A copy, because a raised exception collects the traceback of whoever raised it."""
    kinds = (LedgerDoubtError, LedgerUnavailableError, LedgerSchemaError)
    kind = next((kind for kind in kinds if isinstance(error, kind)), LedgerError)
    return kind(error.what, error.where, error.fix)
