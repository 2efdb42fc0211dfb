"""Checkpoints of SQLite's write-ahead log, made beside the writer instead of by it.

SQLite lets the commit that fills the log carry it all over into the database: with random pages (an index
on hashes) that is a pause of tens of milliseconds in the hot path, once for every thousand intents or so.
Here a thread with a connection of its own carries over what there is, every `CHECKPOINT_EVERY_S` in which
something was committed, without holding up writer or readers.

A pass that took something over is followed by another, for what was written meanwhile: only one that finds
nothing new has caught up with the writer, and the log begins anew. Else it grows, and a commit that makes the
file longer costs a third more than one that writes over what was there. Where no pass catches up, the
writer's own checkpoint (`database.WAL_AUTOCHECKPOINT_PAGES`) finds little left to do.
"""

from __future__ import annotations

import threading
from typing import Final

from seawall.ledger.database import Database
from seawall.ledger.session import Session
from seawall.primitives.errors import LedgerError

__all__ = ["CHECKPOINT_EVERY_S", "Checkpointer"]

CHECKPOINT_EVERY_S: Final = 1.0
_PASSES_MAX: Final = 8


class Checkpointer:
    """The thread. It never fails anybody: a checkpoint that cannot be made is tried again a little later."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, name="seawall-ledger-checkpoints", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _main(self) -> None:
        session: Session | None = None
        seen: object = None
        while not self._over.wait(CHECKPOINT_EVERY_S):
            try:
                session = session or self._database.session(read_only=False)
                present = session.setting("PRAGMA data_version")
                if present != seen:
                    _carry_over(session)
                seen = present
            except LedgerError:
                continue  # full disk or the like: the writer meets it too, and says so
        if session is not None:
            session.close()


def _carry_over(session: Session) -> None:
    seen: object = None
    for _ in range(_PASSES_MAX):
        _, in_log, carried = session.settings("PRAGMA wal_checkpoint(PASSIVE)")
        if in_log == carried == seen:
            return
        seen = in_log
