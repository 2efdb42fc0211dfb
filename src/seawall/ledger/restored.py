"""After a restore: what stands in this database may be older than what was signed from it.

A new epoch is drawn, so that no on-chain intent id is used a second time, and every lane is quarantined: what
the lost part of the ledger had committed is on chain or in somebody's pool, and only the chain knows. No
kernel may run meanwhile; one that ran on the old database must not come back.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.database import Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.lock import KernelLock
from seawall.ledger.schema import EPOCH_BYTES, meta
from seawall.ledger.session import Prepared, Session
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import LedgerLockedError
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Clock, Entropy

__all__ = ["mark_restored"]

# A kernel beats more often than this.
WATCH_S: Final = 1.5
_NEW_EPOCH: Final = Prepared(sa.update(meta).values(epoch=bindparam("drawn")))


def mark_restored(
    url: str, lanes: Collection[Lane], reason: str, who: str, *, clock: Clock, entropy: Entropy
) -> list[Lane]:
    """Draw a new epoch and quarantine `lanes` and every lane of the ledger; answers all of them."""
    database = Database(url)
    database.require_existing()
    lock = None
    if database.path is not None:
        lock = KernelLock(database.path, "restore", clock.now_s())
    try:
        session = database.session(read_only=False)
        try:
            database.require_head(session)
            _require_quiet(session)
            session.begin_write()
            try:
                found = _mark(session, lanes, reason, who, clock.now_s(), entropy.token(EPOCH_BYTES))
            except BaseException:
                session.rollback()
                raise
            session.commit()
            return found
        finally:
            session.close()
    finally:
        database.dispose()
        if lock is not None:
            lock.release()


def _mark(
    session: Session, lanes: Collection[Lane], reason: str, who: str, now_s: int, epoch: bytes
) -> list[Lane]:
    tx = Transaction(session, IntentIds(int.from_bytes(epoch, "big")))
    session.run(_NEW_EPOCH, {"drawn": epoch})
    rows = {row.lane: row for row in tx.lanes.all()}
    for lane, row in rows.items():
        if row.holder is not None:
            tx.lanes.release(lane, row.fence)
    for kernel in tx.kernels.all():
        tx.kernels.leave(kernel.holder)
    every = sorted({*rows, *lanes})
    for lane in every:
        tx.lanes.quarantine(lane, f"restored: {reason}")
    tx.events.append("ledger.restored", 0, "ledger", None, {"reason": reason, "who": who}, now_s)
    return every


def _require_quiet(session: Session) -> None:
    """On PostgreSQL nothing but its beat tells that a kernel runs. One that the backup remembers stands
    still."""
    before = _beats(session)
    if not before:
        return
    time.sleep(WATCH_S)
    moved = [holder for holder, beats in _beats(session).items() if before.get(holder) != beats]
    if moved:
        raise LedgerLockedError(
            f"{len(moved)} kernels run on this ledger, {moved[0]} among them",
            "kernels",
            "stop all of them first",
        )


def _beats(session: Session) -> dict[str, int]:
    session.begin_read()
    try:
        return {row.holder: row.beats for row in Transaction(session, IntentIds(0)).kernels.all()}
    finally:
        session.rollback()
