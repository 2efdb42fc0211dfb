"""What PostgreSQL needs beyond the common statements: one writer in the fleet, and ways out of silence.

**One writer.** Every writing transaction begins by taking one advisory lock, for all kernels of the database.
So what holds on SQLite (nothing comes between reading the highest nonce and taking the next, events are
numbered in the order of commits) holds for a fleet as well. The isolation level is READ COMMITTED on purpose:
each statement sees what was committed when the lock was given, not when it was asked for.

**Nobody holds the fleet up.** A kernel that is stopped in the middle of a transaction is cut off by the
server after `IDLE_IN_TRANSACTION_S`; whoever waits for the lock is told so after `STATEMENT_TIMEOUT_S`; a
server that says nothing for `ANSWER_TIMEOUT_S` is cut off by ourselves (`Watch`): a driver waits for ever.

**Migrations exclude kernels** as the lock file does on SQLite: a writing session holds a shared lock for as
long as it is connected, and a migration needs it alone.

A commit during which the connection was lost stays in doubt. The server's transaction ids could be asked, but
after a crash they may be given out again, and an answer that is wrong once is worse than none.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Final, Protocol

__all__ = [
    "ANSWER_TIMEOUT_S",
    "BEGIN_READ",
    "BEGIN_WRITE",
    "CONNECT_ARGUMENTS",
    "ENTER_ALONE",
    "IDLE_IN_TRANSACTION_S",
    "JOIN_KERNELS",
    "SETTINGS",
    "STATEMENT_TIMEOUT_S",
    "WAIT_ALONE",
    "Watch",
]

CONNECT_TIMEOUT_S: Final = 5
STATEMENT_TIMEOUT_S: Final = 5
IDLE_IN_TRANSACTION_S: Final = 2
ANSWER_TIMEOUT_S: Final = 8  # longer than any statement may take: what is cut off would not have answered

_KEEPALIVE_IDLE_S: Final = 2
_KEEPALIVE_EVERY_S: Final = 1
_KEEPALIVES_MAX: Final = 3
_WATCH_EVERY_S: Final = 0.5

# Keys of advisory locks, which are per database: any constants of our own.
_WRITER_KEY: Final = 0x5EA7_A110_0001
_KERNELS_KEY: Final = 0x5EA7_A110_0002

CONNECT_ARGUMENTS: Final[dict[str, object]] = {
    "connect_timeout": CONNECT_TIMEOUT_S,
    "keepalives": 1,
    "keepalives_idle": _KEEPALIVE_IDLE_S,
    "keepalives_interval": _KEEPALIVE_EVERY_S,
    "keepalives_count": _KEEPALIVES_MAX,
    "tcp_user_timeout": ANSWER_TIMEOUT_S * 1000,
    "application_name": "seawall",
}
SETTINGS: Final = (
    f"SET statement_timeout = '{STATEMENT_TIMEOUT_S}s'",
    f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_S}s'",
)

BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
# The timeout bounds the wait for the lock; from there on it is off: where a standby confirms commits, it
# would turn a slow confirmation into a commit that no standby has, and `Watch` bounds the rest.
WAIT_ALONE: Final = f"SELECT pg_advisory_xact_lock({_WRITER_KEY}), set_config('statement_timeout', '0', true)"
JOIN_KERNELS: Final = f"SELECT pg_try_advisory_lock_shared({_KERNELS_KEY})"
ENTER_ALONE: Final = f"SELECT pg_try_advisory_xact_lock({_KERNELS_KEY})"


class Watched(Protocol):
    """As much of a session as the watch needs."""

    @property
    def waiting_for(self) -> int:
        """Which of its statements has no answer yet; 0 while none is under way."""
        ...

    def cut(self) -> None: ...


class Watch:
    """A thread that cuts the connection of a session whose statement has no answer for too long."""

    def __init__(self, sessions: Callable[[], Iterable[Watched]]) -> None:
        self._sessions = sessions
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, name="seawall-ledger-watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _main(self) -> None:
        patience = round(ANSWER_TIMEOUT_S / _WATCH_EVERY_S)
        seen: dict[Watched, tuple[int, int]] = {}
        while not self._over.wait(_WATCH_EVERY_S):
            seen = {s: _older(seen.get(s, (0, 0)), s.waiting_for) for s in self._sessions()}
            for session, (statement, looks) in seen.items():
                if statement and looks >= patience:
                    session.cut()


def _older(before: tuple[int, int], statement: int) -> tuple[int, int]:
    """(statement, how often it was seen without an answer)."""
    return (statement, before[1] + 1) if statement == before[0] else (statement, 0)
