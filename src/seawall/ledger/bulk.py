"""One statement for many rows, as each database takes it best.

SQLite runs inside our process: a statement for each row would give the interpreter's lock away and wait
for it again at every row. So rows go in chunks of few fixed sizes, each chunk one statement that is prepared
once:

    INSERT ... VALUES (?, ?), (?, ?), ...
    UPDATE t SET a = v.column1 FROM (VALUES (?, ?), ...) AS v WHERE t.number = v.column2
    UPDATE t SET a = ? WHERE t.number IN (?, ?, ...)      where these rows get the same values
    DELETE FROM t WHERE a IN (?, ?, ...)

All four are made from the statement for a single row. PostgreSQL takes that one in a pipeline, or COPY.

The driver of SQLite looks for an adapter of every value that is not exactly an integer, a float, a text or
a bytearray, which costs more than storing it. So bytes go as bytearrays, and truth as 0 and 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.sql import visitors

from seawall.native.rows import driver_values
from seawall.primitives.errors import LedgerError

__all__ = ["ALIKE_MIN", "CHUNKS", "Batch", "buffer_of"]

# Rows of a statement; what is left over takes smaller ones. More would save little, and preparing a statement
# costs a millisecond for each hundred rows or so, once.
CHUNKS: Final = (128, 32, 8, 2, 1)
# So many rows that get the same values are worth a statement of their own.
ALIKE_MIN: Final = 8
_PLACE: Final = re.compile(r"\?")


class Batch:
    """A Core statement run for many rows; `order` names its parameters as they stand in each row.

    A row is a tuple in the driver's own form: nothing is looked up or converted by name. Every parameter is
    given exactly once, and what is constant is written into the statement as text. No two rows of an update
    may name the same row of the database, which one statement would change once, and not as both say: that is
    refused. `suffix` is what Core cannot say alike for both databases; `copy` is the COPY that PostgreSQL
    takes instead, in one stream.
    """

    __slots__ = ("_chunked", "_named_from", "_order", "_suffix", "_text", "copy", "statement")

    def __init__(
        self, statement: sa.Executable, order: Sequence[str], suffix: str = "", copy: str = ""
    ) -> None:
        self.statement = statement
        self.copy = copy
        self._suffix = suffix
        self._order = list(order)
        self._named_from = _named_from(statement, self._order)
        self._text: str | None = None
        self._chunked: _Chunked | None = None

    def require_apart(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Raises `LedgerError` if two rows are about the same row of the database."""
        begin = self._named_from
        if begin is not None and len({row[begin:] for row in rows}) < len(rows):
            raise LedgerError(
                f"two of {len(rows)} rows of a batch change the same row",
                str(self.statement).split(" SET ", 1)[0],
                "say once what becomes of each row",
            )

    def text_for(self, dialect: sa.Dialect) -> str:
        """For one row, where the driver takes it for many by itself."""
        if self._text is None:
            self._text = f"{self._compiled(type(dialect)(paramstyle='format'))}{self._suffix}"  # type: ignore[call-arg]
        return self._text

    def chunks(
        self, dialect: sa.Dialect, rows: Sequence[tuple[object, ...]]
    ) -> Iterator[tuple[str, list[object]]]:
        """Statements with their values that together take all rows, for SQLite."""
        if self._chunked is None:
            alike = self._named_from == len(self._order) - 1
            self._chunked = _Chunked(self.statement, self._compiled(dialect), self._suffix, alike)
        return self._chunked.chunks(rows)

    def _compiled(self, dialect: sa.Dialect) -> Any:
        compiled: Any = self.statement.compile(dialect=dialect)  # type: ignore[attr-defined]
        assert compiled.positiontup == self._order, f"{compiled.positiontup} are not {self._order}"
        return compiled


def _named_from(statement: sa.Executable, order: Sequence[str]) -> int | None:
    """Where in each row of an update the values begin that say which row of the database it is about."""
    if not isinstance(statement, sa.Update):
        return None
    condition = statement.whereclause
    assert condition is not None, "an update of many rows says of which"
    binds = [each for each in visitors.iterate(condition) if isinstance(each, sa.BindParameter)]
    begin = len(order) - len(binds)
    assert {bind.key for bind in binds} == set(order[begin:]), f"{order} do not end with what names a row"
    return begin


class _Chunked:
    """The texts of one statement for each size of chunk."""

    __slots__ = ("_alike", "_alike_texts", "_single", "_statement", "_suffix", "_texts", "_width")

    def __init__(self, statement: sa.Executable, compiled: Any, suffix: str, alike: bool) -> None:
        names: list[str] = compiled.positiontup
        single = str(compiled)
        self._width = len(names)
        assert single.count("?") == self._width, f"a question mark that is no parameter in {single}"
        self._alike = alike and isinstance(compiled.binds[names[-1]].type, sa.Integer)
        self._statement, self._single, self._suffix = statement, single, suffix
        self._texts: dict[int, str] = {}
        self._alike_texts: dict[int, str] = {}

    def chunks(self, rows: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, list[object]]]:
        listed = rows if type(rows) is list else list(rows)
        if self._alike and len(listed) >= ALIKE_MIN:
            groups: dict[tuple[object, ...], list[object]] = {}
            for row in listed:
                groups.setdefault(row[:-1], []).append(row[-1])
            listed = []
            for same, numbers in groups.items():
                if len(numbers) < ALIKE_MIN:
                    listed += [(*same, number) for number in numbers]
                    continue
                values = driver_values([same], 0, 1, self._width - 1)
                for begin, size in _parts_of(len(numbers)):
                    yield self._alike_text_for(size), values + numbers[begin : begin + size]
        for begin, size in _parts_of(len(listed)):
            yield self._text_for(size), driver_values(listed, begin, begin + size, self._width)

    def _text_for(self, size: int) -> str:
        if size not in self._texts:
            self._texts[size] = f"{_for_many(self._statement, self._single, size)}{self._suffix}"
        return self._texts[size]

    def _alike_text_for(self, size: int) -> str:
        if size not in self._alike_texts:
            changes, condition = self._single.split(" WHERE ", 1)
            named = condition.replace("= ?", f"IN ({', '.join('?' * size)})")
            self._alike_texts[size] = f"{changes} WHERE {named}{self._suffix}"
        return self._alike_texts[size]


def _parts_of(count: int) -> Iterator[tuple[int, int]]:
    """Where each chunk begins, and its size."""
    begin = 0
    for size in CHUNKS:
        while count - begin >= size:
            yield begin, size
            begin += size


def buffer_of(value: bytes | None) -> bytearray | None:
    """Bytes as SQLite's driver stores them without looking for an adapter."""
    return None if value is None else bytearray(value)


def _for_many(statement: sa.Executable, single: str, size: int) -> str:
    """The statement for `size` rows, from the text for one."""
    if size == 1:
        return single
    if isinstance(statement, sa.Insert):
        head, row = single.rsplit(" VALUES ", 1)
        return f"{head} VALUES {', '.join([row] * size)}"
    if isinstance(statement, sa.Update):
        places = iter(range(1, single.count("?") + 1))
        named = _PLACE.sub(lambda _: f"v.column{next(places)}", single)
        changes, condition = named.split(" WHERE ", 1)
        row = f"({', '.join('?' * single.count('?'))})"
        return f"{changes} FROM (VALUES {', '.join([row] * size)}) AS v WHERE {condition}"
    assert isinstance(statement, sa.Delete), "rows are inserted, updated or deleted"
    assert single.endswith(" = ?"), f"{single} does not end with its only parameter"
    return f"{single.removesuffix('= ?')}IN ({', '.join('?' * size)})"
