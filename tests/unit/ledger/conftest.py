"""Stores under test run on both databases, in a transaction that is rolled back; ledgers on SQLite files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seawall.ledger import Ledger, LedgerSettings, Transaction
from seawall.ledger.database import Database
from seawall.ledger.intents import IntentIds
from seawall.ledger.memory import create_in_memory
from seawall.ledger.migrate import create
from seawall.ledger.session import Session
from tests.fixtures.postgresql import new_postgresql_database, postgresql_server
from tests.unit.ledger.samples import EPOCH, FixedClock, FixedEntropy

__all__ = ["new_postgresql_database", "postgresql_server"]


@pytest.fixture(scope="session")
def postgresql_ledger_url(postgresql_server: str) -> str:
    create(postgresql_server, entropy=FixedEntropy())
    return postgresql_server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def session(request: pytest.FixtureRequest) -> Iterator[Session]:
    if request.param == "sqlite":
        database = Database("sqlite://")
        opened = database.session(read_only=False)
        create_in_memory(opened, FixedEntropy())
    else:
        database = Database(request.getfixturevalue("postgresql_ledger_url"))
        opened = database.session(read_only=False)
        # A test thinks in the middle of its transaction, on a busy machine for seconds.
        opened.setting("SET idle_in_transaction_session_timeout = 0")
    opened.begin_write()
    yield opened
    opened.rollback()
    opened.close()
    database.dispose()


@pytest.fixture
def tx(session: Session) -> Transaction:
    return Transaction(session, IntentIds(EPOCH))


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A fresh ledger in a file."""
    made = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(made, entropy=FixedEntropy(), clock=FixedClock())
    return made


OpenLedger = Callable[..., Ledger]


@pytest.fixture
def open_ledger() -> OpenLedger:
    def opened(url: str, *, kernel: bool = True, inline: bool = False) -> Ledger:
        return Ledger.open(
            LedgerSettings(url, kernel), clock=FixedClock(), entropy=FixedEntropy(), inline=inline
        )

    return opened
