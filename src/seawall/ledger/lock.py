"""The kernel lock of an SQLite ledger: one process may change it, the others read.

An exclusive `flock` on `<database>.kernel-lock` beside the database. The operating system releases it with
the process, however that ends; the file stays, and says who held it last.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Final, Self

from seawall.primitives.errors import LedgerError, LedgerLockedError

__all__ = ["KernelLock"]

_SUFFIX: Final = ".kernel-lock"
_HOLDER_BYTES_MAX: Final = 1024


class KernelLock:
    """Held from construction until `release`."""

    def __init__(self, database: Path, purpose: str, now_s: int) -> None:
        self._path = database.with_name(database.name + _SUFFIX)
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerError(
                f"the lock file cannot be opened: {error.strerror}",
                str(self._path),
                "let this user write beside the database",
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = _described(os.pread(self._file, _HOLDER_BYTES_MAX, 0))
            os.close(self._file)
            raise LedgerLockedError(
                f"the ledger is held by {holder}",
                str(database),
                "stop that process first; a second kernel never runs on one ledger",
            ) from None
        text = json.dumps({"pid": os.getpid(), "purpose": purpose, "since_s": now_s}).encode()
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text, 0)

    def release(self) -> None:
        """Releasing twice changes nothing."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _described(data: bytes) -> str:
    try:
        holder = json.loads(data)
        return (
            f"process {int(holder['pid'])} ({holder['purpose']}) since {int(holder['since_s'])} (UTC seconds)"
        )
    except (ValueError, KeyError, TypeError):
        return "another process"
