"""Creating a ledger and moving its schema. The only importer of Alembic, apart from the revisions themselves.

A migration runs in one transaction under the kernel lock, so that it happens wholly or not at all and never
beneath a running kernel. A new ledger draws its epoch in the same transaction.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from seawall.ledger import postgresql
from seawall.ledger.database import BUSY_TIMEOUT_S, Database
from seawall.ledger.lock import KernelLock
from seawall.ledger.schema import EPOCH_BYTES, meta
from seawall.primitives.errors import LedgerError, LedgerLockedError, LedgerSchemaError
from seawall.primitives.ports import Clock, Entropy, SystemClock, SystemEntropy

__all__ = ["create", "downgrade", "migrate"]

_SCRIPTS: Final = Path(__file__).parent / "migrations"


def create(url: str, *, entropy: Entropy | None = None, clock: Clock | None = None) -> None:
    """Make a new ledger at head; an existing one is left alone and refused."""
    database = Database(url)
    if database.path is not None:
        try:
            os.close(os.open(database.path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise LedgerError(
                "there is a file already",
                database.shown,
                "choose another path, or migrate the ledger that is there",
            ) from None
        except OSError as error:
            raise LedgerError(
                f"the file cannot be made: {error.strerror}",
                database.shown,
                "make the directory and let this user write",
            ) from error
    _run(database, "head", down=False, must_be_new=True, entropy=entropy, clock=clock)


def migrate(
    url: str, revision: str = "head", *, entropy: Entropy | None = None, clock: Clock | None = None
) -> None:
    """Bring the schema up to `revision`; an empty database becomes a ledger."""
    database = Database(url)
    database.require_existing()
    _run(database, revision, down=False, must_be_new=False, entropy=entropy, clock=clock)


def downgrade(url: str, revision: str, *, clock: Clock | None = None) -> None:
    """Take the schema down to `revision` (`base`: nothing is left)."""
    database = Database(url)
    database.require_existing()
    _run(database, revision, down=True, must_be_new=False, entropy=None, clock=clock)


def _run(
    database: Database,
    revision: str,
    *,
    down: bool,
    must_be_new: bool,
    entropy: Entropy | None,
    clock: Clock | None,
) -> None:
    if database.is_memory:
        raise LedgerError(
            "a ledger in memory is made by opening it", database.shown, "give the URL of a file"
        )
    lock = None
    if database.path is not None:
        lock = KernelLock(database.path, "migration", (clock or SystemClock()).now_s())
    engine = _engine_of(database)
    try:
        with engine.begin() as connection:
            if not database.is_sqlite:
                _require_alone(connection, database)
            if must_be_new and sa.inspect(connection).has_table("alembic_version"):
                raise LedgerError(
                    "the database holds a ledger already",
                    database.shown,
                    "migrate it, or choose another database",
                )
            config = Config()
            config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
            config.attributes["connection"] = connection
            (command.downgrade if down else command.upgrade)(config, revision)
            if not down:
                _draw_epoch(connection, entropy or SystemEntropy())
    except CommandError as error:
        raise LedgerSchemaError(
            str(error), database.shown, "run the version of seawall that knows this schema"
        ) from error
    except DBAPIError as error:
        reason = str(error.orig).splitlines()[0]
        raise LedgerError(
            f"the migration failed: {reason}",
            database.shown,
            "nothing was changed; correct the cause and repeat",
        ) from error
    finally:
        engine.dispose()
        if lock is not None:
            lock.release()


def _require_alone(connection: sa.Connection, database: Database) -> None:
    """What the lock file is on SQLite: no kernel may write while the schema moves beneath it."""
    if connection.exec_driver_sql(postgresql.ENTER_ALONE).scalar() is not True:
        raise LedgerLockedError(
            "the ledger is held by a kernel, or by another migration",
            database.shown,
            "stop all kernels of the fleet first",
        )


def _draw_epoch(connection: sa.Connection, entropy: Entropy) -> None:
    if connection.scalar(sa.select(sa.func.count()).select_from(meta)) == 0:
        connection.execute(sa.insert(meta).values(number=1, epoch=entropy.token(EPOCH_BYTES)))


def _engine_of(database: Database) -> sa.Engine:
    """An engine whose transactions hold schema changes too.

    SQLite's driver would commit before each of them.
    """
    if not database.is_sqlite:
        return sa.create_engine(
            database.url, poolclass=sa.NullPool, connect_args=postgresql.CONNECT_ARGUMENTS
        )
    engine = sa.create_engine(database.url, poolclass=sa.NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})

    def no_implicit_begin(connection: Any, _: object) -> None:
        connection.isolation_level = None
        connection.execute(
            "PRAGMA journal_mode = WAL"
        )  # stays with the file: even its first reader finds it so

    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", no_implicit_begin)
    sa.event.listen(engine, "begin", begin)
    return engine
