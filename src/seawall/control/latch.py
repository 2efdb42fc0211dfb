"""The latch: the authority in force on this machine, read before every write of signed bytes.

Flow: `lower` writes and syncs the latch file, then sets the flag, then waits (briefly, bounded) until no
write is between its look and its `send()`; when it returns, nothing it forbids leaves any more. The
broadcast port looks and writes inside `passage()`. Start-up builds the latch before anything else, so a
halt survives a crash. Another process may put the file there itself: `look()` adopts it, and every passage
looks.

Assumes one directory on a local file system. A file that cannot be read or understood means HALT. No file
means RUN. A file can lower the flag and never raise it: only `raise_to` does, with a reason. Deliberately
has no database, no network, no event loop, no log: nothing here can be blocked by those.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from seawall.control.authority import admits, authority_from_text
from seawall.primitives.errors import AuthorityError, InputError, SeawallError
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.ports import Clock, SystemClock

__all__ = ["FILE_BYTES_MAX", "MUTATION_WAIT_S", "PASSAGE_WAIT_S", "Latch"]

# A latch file is a few hundred bytes; more is not ours and means HALT.
FILE_BYTES_MAX: Final = 16 * 1024
TEXT_CHARS_MAX: Final = 1_000
# A stop waits this long for other changes of the latch, then goes ahead without their lock.
MUTATION_WAIT_S: Final = 0.5
# A stop waits this long for a `send()` in progress; sends never block: only a frozen thread outlasts it.
PASSAGE_WAIT_S: Final = 0.5
_LOCK_POLL_S: Final = 0.002
_LOCK_POLLS_MAX: Final = int(MUTATION_WAIT_S / _LOCK_POLL_S)

_Identity = tuple[int, int, int]
_UNREADABLE: Final[_Identity] = (-1, -1, -1)


@dataclass(frozen=True, slots=True)
class _Record:
    authority: Authority
    reason: str
    who: str


_NO_FILE: Final = _Record(Authority.RUN, "", "")


class Latch:
    """The authority in force. Every method may be called from any thread."""

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        """Read the file at `path` (its directory is made if missing) before anything else happens."""
        self._path = path
        self._clock = clock or SystemClock()
        self._mutation = threading.RLock()
        self._passage = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._quiescing = False
        self.changes = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"the latch's directory cannot be made: {error.strerror}",
                str(path.parent),
                "give a writable data directory",
            ) from None
        self._seen = _identity(path)
        self._record = _NO_FILE if self._seen is None else _read(path)

    @property
    def authority(self) -> Authority:
        return self._record.authority

    @property
    def reason(self) -> str:
        return self._record.reason

    @property
    def who(self) -> str:
        return self._record.who

    @property
    def quiescing(self) -> bool:
        return self._quiescing

    def admits(self, kind: WriteKind) -> bool:
        """True if a write of `kind` may leave, by the flag; inside `passage()`, by the file too."""
        return admits(self._record.authority, kind, quiescing=self._quiescing)

    @contextlib.contextmanager
    def passage(self) -> Iterator[None]:
        """Hold this over `admits` and the non-blocking `send()` after it; `lower` returns outside it."""
        with self._passage:
            self.look()
            yield

    def look(self) -> None:
        """Adopt a latch file that somebody else wrote. One `stat` when nothing changed."""
        if _identity(self._path) == self._seen:
            return
        with self._mutation:
            identity = _identity(self._path)
            if identity == self._seen:
                return
            record = _NO_FILE if identity is None else _read(self._path)
            self._seen = identity
            if record.authority < self._record.authority or (
                identity is not None and record.authority is Authority.HALT
            ):
                self._adopt(record)

    def lower(self, to: Authority, reason: str, who: str) -> None:
        """Go down to `to`: file and directory synced, then the flag. Never raises authority.

        A fresh HALT ends a quiesce. If the file cannot be written the flag is set all the same, and the
        error says that the stop will not survive a restart.
        """
        if to > self._record.authority:
            return
        record = _Record(to, reason[:TEXT_CHARS_MAX] or "no reason given", who[:TEXT_CHARS_MAX] or "unknown")
        failure: OSError | None = None
        with self._changing(patient=False):
            if to > self._record.authority:
                return
            try:
                self._store(record)
            except OSError as error:
                failure = error
            self._adopt(record)
        if self._passage.acquire(timeout=PASSAGE_WAIT_S):
            self._passage.release()
        if failure is not None:
            raise AuthorityError(
                f"{to.name} is in force in this process, but its file cannot be written: {failure.strerror}",
                str(self._path),
                "free or repair the disk and stop again, or the stop will not survive a restart",
            )

    def raise_to(self, to: Authority, reason: str, who: str) -> None:
        """Go up to `to`, for a reason. Refused if somebody lowered the latch after it was last looked at."""
        if not reason.strip():
            raise AuthorityError("raising authority needs a reason", "latch", "say why it is safe to go on")
        with self._changing(patient=True):
            if to < self._record.authority:
                raise AuthorityError(
                    f"{to.name} is below {self._record.authority.name}",
                    "latch",
                    "use halt or reduce-only to go down",
                )
            if _identity(self._path) != self._seen:
                self.look()
                raise AuthorityError(
                    f"the latch was lowered meanwhile: {self._record.reason}",
                    str(self._path),
                    "read the new reason, then decide again",
                )
            record = _Record(to, reason[:TEXT_CHARS_MAX], who[:TEXT_CHARS_MAX])
            if to is Authority.RUN:
                self._path.unlink(missing_ok=True)
                _sync_directory(self._path.parent)
                self._seen = None
            else:
                self._store(record)
            self._adopt(record)

    def begin_quiesce(self) -> None:
        """Under HALT: admit housekeeping, until `end_quiesce` or the next stop."""
        with self._changing(patient=True):
            if self._record.authority is not Authority.HALT:
                raise AuthorityError(
                    f"quiesce is a step of HALT, and {self._record.authority.name} is in force",
                    "latch",
                    "halt first",
                )
            self._quiescing = True
            self.changes += 1
        self._notify()

    def end_quiesce(self) -> None:
        self._quiescing = False
        self.changes += 1
        self._notify()

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Call `callback` after every change, from whichever thread made it; what it raises is dropped."""
        self._callbacks.append(callback)

    def _adopt(self, record: _Record) -> None:
        self._quiescing = False
        self._record = record
        self.changes += 1
        self._notify()

    def _notify(self) -> None:
        for callback in tuple(self._callbacks):
            with contextlib.suppress(Exception):
                callback()

    def _store(self, record: _Record) -> None:
        text = json.dumps(
            {
                "authority": record.authority.name,
                "reason": record.reason,
                "who": record.who,
                "at": self._clock.now_s(),
            }
        )
        draft = self._path.with_name(f".{self._path.name}.{os.getpid()}.{threading.get_ident()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text.encode())
            os.fsync(descriptor)
            self._seen = _identity_of(os.fstat(descriptor))
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        os.replace(draft, self._path)
        _sync_directory(self._path.parent)

    @contextlib.contextmanager
    def _changing(self, *, patient: bool) -> Iterator[None]:
        """One change at a time, here and across processes. A stop waits a moment, then goes ahead."""
        held = self._mutation.acquire(timeout=-1 if patient else MUTATION_WAIT_S)
        descriptor = -1
        try:
            descriptor = self._lock_file(patient=patient)
            yield
        finally:
            if descriptor >= 0:
                os.close(descriptor)
            if held:
                self._mutation.release()

    def _lock_file(self, *, patient: bool) -> int:
        try:
            descriptor = os.open(
                self._path.with_name(f"{self._path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
            )
        except OSError as error:
            if patient:
                raise AuthorityError(
                    f"the latch cannot be changed: {error.strerror}", str(self._path), "repair the disk"
                ) from None
            return -1
        for _ in range(_LOCK_POLLS_MAX):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                time.sleep(_LOCK_POLL_S)
            else:
                return descriptor
        if patient:
            os.close(descriptor)
            raise AuthorityError("another process is changing the latch", str(self._path), "try again")
        return descriptor


def _identity(path: Path) -> _Identity | None:
    try:
        return _identity_of(os.stat(path))
    except FileNotFoundError:
        return None
    except OSError:
        return _UNREADABLE


def _identity_of(status: os.stat_result) -> _Identity:
    return (status.st_ino, status.st_mtime_ns, status.st_size)


def _read(path: Path) -> _Record:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
        content: object = json.loads(text) if len(text) <= FILE_BYTES_MAX else None
        if not isinstance(content, dict):
            return _fail_closed("it is not a latch file")
        authority = authority_from_text(str(content.get("authority", "")))
        return _Record(authority, str(content.get("reason", "")), str(content.get("who", "")))
    except (OSError, ValueError, RecursionError, SeawallError) as error:
        return _fail_closed(type(error).__name__)


def _fail_closed(cause: str) -> _Record:
    return _Record(
        Authority.HALT, f"the latch file cannot be understood ({cause}), which means HALT", "latch"
    )


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
