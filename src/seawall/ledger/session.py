"""One database connection with statements prepared once, and its errors made ours.

Statements are SQLAlchemy Core expressions held in module constants; `Prepared` compiles each a single time
per dialect, and a `Session` runs the text on the driver's cursor itself. That leaves out what the engine does
per execution (cache key, context and result objects), which is most of what a small statement costs there
(`python -m bench ledger`). Begin, commit and savepoints are written out: the connections are in autocommit
mode, so that nothing begins by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

from seawall.ledger import postgresql
from seawall.ledger.bulk import Batch, buffer_of
from seawall.ledger.columns import Int256, Uint256
from seawall.primitives.errors import (
    LedgerDoubtError,
    LedgerError,
    LedgerLockedError,
    LedgerUnavailableError,
)

__all__ = [
    "Connection",
    "DiskFullError",
    "DoubtError",
    "DuplicateError",
    "Prepared",
    "Record",
    "Session",
]

# A raw row: the column types say what stands at each place, and `rows.py` gives it a shape at once.
Record = tuple[Any, ...]
_Processor = Callable[[Any], Any]
_SAVEPOINT: Final = "work"
# States that PostgreSQL answers with.
_DISK_FULL: Final = "53100"
_CANCELLED: Final = "57014"
_IDLE_TOO_LONG: Final = "25P03"


class Connection(Protocol):
    """As much of a DBAPI connection as a session uses."""

    def cursor(self) -> DBAPICursor: ...

    def close(self) -> None: ...


class DiskFullError(LedgerUnavailableError):
    """Nothing of the change was stored."""


class DoubtError(LedgerDoubtError):
    """Nobody can say whether the commit took place; only looking again, over a new connection, can."""


class DuplicateError(LedgerError):
    """A unique constraint said no. Stores turn it into the error that names the thing."""


class Prepared:
    """A Core statement whose parameters are given by name at each run; constants in it are bound once."""

    __slots__ = ("_compiled", "columns", "statement")

    def __init__(self, statement: sa.Executable, columns: Sequence[str] | None = None) -> None:
        self.statement = statement
        self.columns = columns
        self._compiled: dict[str, _Compiled] = {}

    def compiled_for(self, dialect: sa.Dialect) -> _Compiled:
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = _Compiled(self.statement, self.columns, dialect)
        return found


_SEQUENCES: Final = sa.table("sqlite_sequence", sa.column("name"), sa.column("seq"))
_LAST_NUMBERS: Final = Prepared(sa.select(_SEQUENCES.c.name, _SEQUENCES.c.seq))


class Session:
    """One connection inside its thread.

    `begin` ... `commit` or `rollback`; statements outside of that are refused.
    """

    __slots__ = (
        "_connection",
        "_cursor",
        "_cut",
        "_dbapi",
        "_dialect",
        "_last_numbers",
        "_open",
        "_statements",
        "is_sqlite",
        "waiting_for",
    )

    def __init__(
        self, connection: Connection, dialect: sa.Dialect, cut: Callable[[], None] | None = None
    ) -> None:
        """`cut` severs the connection from any thread, where the database is another process."""
        self._connection = connection
        self._cut = cut
        self._statements = 0
        self.waiting_for = 0  # which of the statements has no answer yet; 0 while none is under way
        self._cursor = connection.cursor()
        self._dialect = dialect
        self._dbapi = _dbapi_of(dialect)
        self._open = False
        self._last_numbers: dict[str, int] | None = None  # None: not known in this transaction
        self.is_sqlite = dialect.name == "sqlite"

    def begin_write(self) -> None:
        # IMMEDIATE takes the write lock now: a deferred begin lets two writers read the same highest nonce.
        self._last_numbers = None
        if self.is_sqlite:
            self._command("BEGIN IMMEDIATE")
        else:
            self._command(postgresql.BEGIN_WRITE)
            self._command(postgresql.WAIT_ALONE)
        self._open = True

    def begin_read(self) -> None:
        self._command("BEGIN" if self.is_sqlite else postgresql.BEGIN_READ)
        self._open = True

    def commit(self) -> None:
        """Raises `DoubtError` if nobody can say whether it took place, another error if it surely did not."""
        self._open = False
        try:
            self._send("COMMIT")
        except self._dbapi.Error as error:
            known = _translated(error, self._dbapi)
            if isinstance(known, LedgerLockedError | DiskFullError) or _was_answered(error):
                raise known from error
            raise DoubtError(
                f"the commit failed ({known.what}) and may or may not have taken place",
                "ledger",
                "look whether it is stored before repeating it",
            ) from error

    def rollback(self) -> None:
        """Never raises: it is called when something has failed already."""
        self._open = False
        try:
            self._send("ROLLBACK")
        except (
            self._dbapi.Error
        ):  # SQLite rolled back by itself (disk full, I/O error), or the connection is gone
            return

    def savepoint(self) -> None:
        self._command(f"SAVEPOINT {_SAVEPOINT}")

    def release(self) -> None:
        self._command(f"RELEASE SAVEPOINT {_SAVEPOINT}")

    def rollback_to_savepoint(self) -> None:
        self._last_numbers = None
        self._command(f"ROLLBACK TO SAVEPOINT {_SAVEPOINT}")
        self._command(f"RELEASE SAVEPOINT {_SAVEPOINT}")

    def is_connected(self) -> bool:
        """Asked after a failure: is the connection still of use?"""
        try:
            self._send("SELECT 1")
            self._cursor.fetchall()
        except self._dbapi.Error:
            return False
        return True

    def cut(self) -> None:
        """Sever the connection, from any thread: what waits for an answer fails as if it had been lost."""
        if self._cut is not None:
            self._cut()

    def close(self) -> None:
        self._open = False
        try:
            self._cursor.close()
            self._connection.close()
        except self._dbapi.Error:
            return

    def setting(self, text: str) -> object:
        """Run a connection setting (`PRAGMA`, `SHOW`) and answer what it says, if anything."""
        answer = self.settings(text)
        return answer[0] if answer else None

    def settings(self, text: str) -> Sequence[object]:
        """As `setting`, where it says several things at once."""
        self._command(text)
        # None after a command without an answer, whatever the stub says.
        description: object = self._cursor.description
        answer = None if description is None else self._cursor.fetchone()
        return () if answer is None else tuple(answer)

    def define(self, definition: sa.schema.ExecutableDDLElement) -> None:
        """Make a table or an index."""
        self._command(str(definition.compile(dialect=self._dialect)))

    def rows(self, prepared: Prepared, parameters: Mapping[str, object] | None = None) -> list[Record]:
        compiled = prepared.compiled_for(self._dialect)
        self._run(compiled, parameters or {})
        try:
            return compiled.results(self._cursor.fetchall())
        except self._dbapi.Error as error:
            raise _translated(error, self._dbapi) from error

    def first(self, prepared: Prepared, parameters: Mapping[str, object] | None = None) -> Record | None:
        found = self.rows(prepared, parameters)
        return found[0] if found else None

    def run(self, prepared: Prepared, parameters: Mapping[str, object] | None = None) -> int:
        """Rows touched."""
        self._run(prepared.compiled_for(self._dialect), parameters or {})
        return int(self._cursor.rowcount)

    def many(self, prepared: Prepared, parameters: Iterable[Mapping[str, object]]) -> None:
        compiled = prepared.compiled_for(self._dialect)
        bound = [compiled.bind(each) for each in parameters]
        if not bound:
            return
        if compiled.is_insert:
            self._last_numbers = None
        self._send_many(compiled.sql, bound)

    def load(self, batch: Batch, rows: Sequence[tuple[object, ...]]) -> int:
        """Run the batch for every row; rows of the database touched."""
        if not rows:
            return 0
        batch.require_apart(rows)
        if self.is_sqlite:
            touched = 0
            for text, values in batch.chunks(self._dialect, rows):
                self._execute(text, values)
                touched += int(self._cursor.rowcount)
            return touched
        if batch.copy:
            self._send_copy(batch.copy, rows)
        else:
            self._send_many(batch.text_for(self._dialect), rows)
        return int(self._cursor.rowcount)

    def once(self, statement: sa.Executable) -> list[Record]:
        """Run a statement with a list in it (`IN`), which cannot be prepared; for what is rare."""
        compiled = _Compiled(statement, None, self._dialect)
        self._run(compiled, {})
        return compiled.results(self._cursor.fetchall()) if compiled.returns_rows else []

    def take_numbers(self, table: str, count: int) -> range:
        """The next `count` row numbers of a table of SQLite, for rows that `load` inserts.

        Where they stand is read once a transaction; a statement that lets the database number its rows makes
        that void.
        """
        assert self.is_sqlite, "PostgreSQL gives numbers out itself"
        known = self._last_numbers
        if known is None:
            known = self._last_numbers = {str(name): int(last) for name, last in self.rows(_LAST_NUMBERS)}
        first = known.get(table, 0) + 1
        known[table] = first + count - 1
        return range(first, first + count)

    def _run(self, compiled: _Compiled, parameters: Mapping[str, object]) -> None:
        if compiled.is_insert:
            self._last_numbers = None
        self._execute(compiled.sql, compiled.bind(parameters))

    def _execute(self, sql: str, parameters: Any) -> None:
        self._require_open()
        try:
            self._send(sql, parameters)
        except self._dbapi.Error as error:
            raise _translated(error, self._dbapi) from error

    def _command(self, sql: str) -> None:
        try:
            self._send(sql)
        except self._dbapi.Error as error:
            raise _translated(error, self._dbapi) from error

    def _send(self, sql: str, parameters: Any = ()) -> None:
        self._statements = self.waiting_for = self._statements + 1
        try:
            self._cursor.execute(sql, parameters)
        finally:
            self.waiting_for = 0

    def _send_copy(self, text: str, rows: Sequence[tuple[object, ...]]) -> None:
        self._require_open()
        self._statements = self.waiting_for = self._statements + 1
        cursor: Any = self._cursor
        try:
            with cursor.copy(text) as copy:
                for row in rows:
                    copy.write_row(row)
        except self._dbapi.Error as error:
            raise _translated(error, self._dbapi) from error
        finally:
            self.waiting_for = 0

    def _send_many(self, sql: str, rows: Sequence[Any]) -> None:
        self._require_open()
        self._statements = self.waiting_for = self._statements + 1
        try:
            self._cursor.executemany(sql, rows)
        except self._dbapi.Error as error:
            raise _translated(error, self._dbapi) from error
        finally:
            self.waiting_for = 0

    def _require_open(self) -> None:
        assert self._open, "a transaction was used outside of the work it was given to"


class _Compiled:
    """Text and conversions of one statement in one dialect."""

    __slots__ = ("_binds", "_positional", "_results", "is_insert", "returns_rows", "sql")

    def __init__(self, statement: sa.Executable, columns: Sequence[str] | None, dialect: sa.Dialect) -> None:
        compiled = statement.compile(  # type: ignore[attr-defined]
            dialect=dialect, column_keys=columns, compile_kwargs={"render_postcompile": True}
        )
        self.sql: str = compiled.string
        self.is_insert = isinstance(statement, sa.Insert)
        names: list[str] = compiled.positiontup if compiled.positional else list(compiled.params)
        self._positional: bool = compiled.positional
        self._binds = [_bind_of(compiled, name, dialect) for name in names]
        returned = getattr(statement, "exported_columns", ())
        processors = [_result_processor(column.type, dialect) for column in returned]
        self.returns_rows = bool(processors)
        self._results = [(place, process) for place, process in enumerate(processors) if process is not None]

    def bind(self, parameters: Mapping[str, object]) -> Any:
        values = [
            constant if name is None else parameters[name] if process is None else process(parameters[name])
            for name, process, constant, _ in self._binds
        ]
        if self._positional:
            return values
        return {place: value for (_, _, _, place), value in zip(self._binds, values, strict=True)}

    def results(self, records: Sequence[Any]) -> list[Record]:
        processors = self._results
        if not processors or not records:
            return list(records)
        shaped: list[Record] = []
        for record in records:
            values = list(record)
            for place, process in processors:
                values[place] = process(values[place])
            shaped.append(tuple(values))
        return shaped


def _bind_of(
    compiled: Any, name: str, dialect: sa.Dialect
) -> tuple[str | None, _Processor | None, object, str]:
    """(parameter, conversion, constant, place).

    Either a parameter given at each run, or a constant known now.
    """
    bind = compiled.binds.get(name)
    process = None if bind is None else _bind_processor(bind.type, dialect)
    if bind is not None and bind.required:
        return name, process, None, name
    constant = compiled.params[name]
    return None, None, constant if process is None else process(constant), name


def _bind_processor(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> _Processor | None:
    # The drivers take bytes; the stock conversion only wraps them. SQLite's is quicker with bytearrays.
    if isinstance(kind, sa.LargeBinary):
        return buffer_of if dialect.name == "sqlite" else None
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _result_processor(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> _Processor | None:
    if isinstance(kind, sa.LargeBinary):
        return None
    if isinstance(kind, Uint256 | Int256):
        return _integer_of
    return kind.dialect_impl(dialect).result_processor(dialect, None)


def _integer_of(text: str | None) -> int | None:
    """What the column types do, at a third of the cost."""
    return None if text is None else int(text)


def _dbapi_of(dialect: sa.Dialect) -> Any:
    dbapi = dialect.dbapi
    assert dbapi is not None, "the dialect comes from an engine, which has loaded its driver"
    return dbapi


def _was_answered(error: Exception) -> bool:
    """A server that answers a commit with a mere error has rolled back; one that says more is going down."""
    return getattr(getattr(error, "diag", None), "severity_nonlocalized", None) == "ERROR"


def _translated(error: Exception, dbapi: Any) -> LedgerError:
    """What the driver said, as an error of the ledger. Values bound to the statement are never part of it."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, dbapi.IntegrityError):
        if "unique" in text.lower() or "primary key" in text.lower():
            return DuplicateError(text, "ledger", "the row exists already")
        return LedgerError(
            f"the database refused the row: {text}",
            "ledger",
            "a row that it refers to is missing or a value is not allowed",
        )
    if "database is locked" in text or "database table is locked" in text:
        return LedgerLockedError(
            "the database is locked by another process",
            "ledger",
            "close what else writes to it, then try again",
        )
    state = getattr(error, "sqlstate", None) or ""
    if "disk is full" in text or "No space left" in text or state == _DISK_FULL:
        return DiskFullError(
            "the disk is full; nothing of this change was stored", "ledger", "free space on the ledger's disk"
        )
    if state == _CANCELLED:
        return LedgerUnavailableError(
            f"the database did not answer within {postgresql.STATEMENT_TIMEOUT_S} s: it is slow,"
            " or another kernel holds it",
            "ledger",
            "nothing of this change was stored; see which session waits in pg_stat_activity",
        )
    if "readonly database" in text or "read-only transaction" in text:
        return LedgerError(
            "a change inside a read", "ledger", "use Ledger.write on a ledger opened by the kernel"
        )
    is_away = state == _IDLE_TOO_LONG or (
        hasattr(error, "sqlstate") and isinstance(error, dbapi.OperationalError)
    )
    return (LedgerUnavailableError if is_away else LedgerError)(
        f"the database failed: {text}",
        "ledger",
        "look at the database's log; nothing of this change was stored",
    )
