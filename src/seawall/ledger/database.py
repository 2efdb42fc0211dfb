"""Opening a database: drivers, durability that is set and then verified, schema revision, epoch.

A connection that is weaker than promised is refused: SQLite must be in WAL mode with `synchronous=FULL`
(NORMAL can lose a committed row after its bytes were sent), PostgreSQL must have `synchronous_commit=on` and
`fsync=on`. A database in memory is for the world simulator alone.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from seawall.ledger import postgresql
from seawall.ledger.schema import HEAD, REVISIONS
from seawall.ledger.session import Prepared, Session
from seawall.primitives.errors import (
    ConfigError,
    LedgerError,
    LedgerLockedError,
    LedgerSchemaError,
    LedgerUnavailableError,
)

__all__ = ["BUSY_TIMEOUT_S", "Database"]

BUSY_TIMEOUT_S: Final = 5.0
# With the default of 1,000 pages, checkpoints of random index pages cost 12-16 ms at the 99th percentile.
WAL_AUTOCHECKPOINT_PAGES: Final = 20_000
CACHE_KIB: Final = 16_384
# Of a connection. All statements of the hot path stay prepared, each for every size of its chunks of rows.
STATEMENTS_PREPARED_MAX: Final = 512

_SYNCHRONOUS: Final = "FULL"
_STRONG_ENOUGH: Final = ("on", "remote_apply")
_MIGRATE: Final = "run `seawall ledger migrate`"

_version = sa.table("alembic_version", sa.column("version_num", sa.String))
_meta = sa.table("meta", sa.column("epoch", sa.LargeBinary))
_VERSION: Final = Prepared(sa.select(_version.c.version_num))
_EPOCH: Final = Prepared(sa.select(_meta.c.epoch))


class Database:
    """A URL, understood."""

    def __init__(self, url: str) -> None:
        try:
            self.url = sa.make_url(url)
        except ArgumentError:
            raise ConfigError(
                "the ledger's URL cannot be read",
                "ledger.url",
                "write sqlite:///path or postgresql+psycopg://...",
            ) from None
        if self.url.drivername not in ("sqlite", "postgresql+psycopg"):
            raise ConfigError(
                f"{self.url.drivername!r} is no database of a ledger",
                "ledger.url",
                "write sqlite:///path or postgresql+psycopg://...",
            )
        self.is_sqlite = self.url.drivername == "sqlite"
        name = self.url.database or ""
        self.is_memory = self.is_sqlite and (name in ("", ":memory:") or "mode=memory" in str(self.url))
        self.path: Path | None = Path(name) if self.is_sqlite and not self.is_memory else None
        self._engine: sa.Engine | None = None

    @property
    def shown(self) -> str:
        """The URL without its password and its query, which may hold another, for messages."""
        return self.url.set(query={}).render_as_string(hide_password=True)

    def require_existing(self) -> None:
        """SQLite would create an empty file on opening; a ledger is created by name only."""
        if self.path is not None and not self.path.is_file():
            raise LedgerSchemaError(
                "there is no ledger here", self.shown, "run `seawall ledger migrate`, or correct the path"
            )

    def session(self, *, read_only: bool) -> Session:
        """A new connection, set up and verified."""
        engine = self._engine_of()
        try:
            connection = engine.raw_connection()
        except engine.dialect.loaded_dbapi.Error as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise (LedgerError if self.is_sqlite else LedgerUnavailableError)(
                f"the database cannot be opened: {reason}",
                self.shown,
                "check the path, or that the server runs",
            ) from None
        cut = None if self.is_sqlite else partial(_sever, connection.dbapi_connection)
        session = Session(connection, engine.dialect, cut)
        try:
            if self.is_sqlite:
                self._prepare_sqlite(session, read_only)
            else:
                self._prepare_postgresql(session, read_only)
        except BaseException:
            session.close()
            raise
        return session

    def dispose(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def _engine_of(self) -> sa.Engine:
        if self._engine is None:
            arguments: dict[str, object] = (
                {
                    "timeout": BUSY_TIMEOUT_S,
                    "check_same_thread": False,
                    "cached_statements": STATEMENTS_PREPARED_MAX,
                }
                if self.is_sqlite
                else postgresql.CONNECT_ARGUMENTS
            )
            try:
                self._engine = sa.create_engine(
                    self.url,
                    isolation_level="AUTOCOMMIT",
                    poolclass=sa.NullPool,
                    pool_reset_on_return=None,  # whoever closes a connection has ended its transaction
                    connect_args=arguments,
                )
            except (ModuleNotFoundError, NoSuchModuleError):
                raise ConfigError(
                    "the driver for PostgreSQL is not installed", "ledger.url", "install seawall[postgresql]"
                ) from None
        return self._engine

    def _prepare_sqlite(self, session: Session, read_only: bool) -> None:
        if not self.is_memory and not read_only:
            session.setting("PRAGMA journal_mode = WAL")
        session.setting(f"PRAGMA synchronous = {_SYNCHRONOUS}")
        session.setting("PRAGMA foreign_keys = ON")
        session.setting(f"PRAGMA wal_autocheckpoint = {WAL_AUTOCHECKPOINT_PAGES}")
        session.setting(f"PRAGMA cache_size = -{CACHE_KIB}")
        # What a statement or a savepoint may have to undo is kept in memory: beyond 64 KiB SQLite would write
        # it to a file, as many bytes as the log itself takes. It need not outlive the process.
        session.setting("PRAGMA temp_store = MEMORY")
        session.setting(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
        self._require(
            "journal_mode",
            str(session.setting("PRAGMA journal_mode")),
            ("memory",) if self.is_memory else ("wal",),
        )
        self._require("synchronous", str(session.setting("PRAGMA synchronous")), ("2",))
        self._require("foreign_keys", str(session.setting("PRAGMA foreign_keys")), ("1",))

    def _prepare_postgresql(self, session: Session, read_only: bool) -> None:
        for setting in postgresql.SETTINGS:
            session.setting(setting)
        for name in ("synchronous_commit", "fsync"):
            self._require(name, str(session.setting(f"SHOW {name}")), _STRONG_ENOUGH)
        if read_only:
            return
        if session.setting("SHOW transaction_read_only") != "off":
            raise LedgerUnavailableError(
                "the server takes no writes: it is a standby, or set to read only",
                self.shown,
                "give the address of the primary",
            )
        if session.setting(postgresql.JOIN_KERNELS) is not True:
            raise LedgerLockedError(
                "a migration of this ledger is under way", self.shown, "wait until it is done"
            )

    def _require(self, name: str, found: str, wanted: tuple[str, ...]) -> None:
        if found not in wanted:
            raise LedgerError(
                f"{name} is {found!r}, which can lose a committed row after its bytes were sent",
                self.shown,
                f"the ledger needs {name} = {wanted[0]}",
            )

    def require_head(self, session: Session) -> None:
        """The schema must be the one that this program knows."""
        session.begin_read()
        try:
            record = session.first(_VERSION)
        except LedgerUnavailableError:
            raise
        except LedgerError:
            record = None
        finally:
            session.rollback()
        found = None if record is None else record[0]
        if found == HEAD:
            return
        if found is None:
            raise LedgerSchemaError(
                "the database holds no ledger", self.shown, "run `seawall ledger migrate`"
            )
        if found in REVISIONS:
            raise LedgerSchemaError(f"the schema is at {found}, older than {HEAD}", self.shown, _MIGRATE)
        raise LedgerSchemaError(
            f"the schema is at {found}, which this program (at {HEAD}) does not know",
            self.shown,
            "run the newer version of seawall",
        )

    def epoch_of(self, session: Session) -> int:
        """The random number under which this database draws on-chain intent ids."""
        session.begin_read()
        try:
            record = session.first(_EPOCH)
        finally:
            session.rollback()
        if record is None:
            raise LedgerSchemaError("the ledger has no epoch", self.shown, _MIGRATE)
        return int.from_bytes(record[0], "big")


def _sever(connection: Any) -> None:
    """Shut the connection's socket down beneath the driver, which then meets its end instead of waiting."""
    try:
        with socket.socket(fileno=os.dup(connection.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)
    except Exception:  # noqa: BLE001  (closed meanwhile: then nothing waits on it)
        return
