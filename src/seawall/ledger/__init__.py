"""The ledger: every durable fact of the runtime, and the only SQL in the house.

    ledger.py       open, write (grouped commits on one thread), read (snapshots), close
    transaction.py  the stores that a piece of work is given; one file a store or a few related ones
    rows.py         what comes back: frozen dataclasses
    schema.py       tables, indexes, revisions; migrations/ builds them with Alembic, migrate.py runs it
    session.py      one connection, statements prepared once, driver errors made ours
    batches.py      statements over many rows: the hot path; commitments.py: the fenced commit of many
    database.py     opening and verifying durability; lock.py: one kernel a database; writer.py: the writer
    postgresql.py   one writer in a fleet, timeouts, the watch; checkpoints.py: SQLite's log

It decides nothing: it keeps, checks what rows can check (fences, uniqueness, legal moves), and answers.
"""

from __future__ import annotations

from seawall.ledger.ledger import Ledger, LedgerSettings
from seawall.ledger.transaction import Transaction

__all__ = ["Ledger", "LedgerSettings", "Transaction"]
