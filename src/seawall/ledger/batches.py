"""Statements over many rows: what the hot path runs, prepared once like all others.

A `Batch` (`bulk.py`) runs one statement for many rows; a row is a tuple of the statement's parameters in a
stated order: no name is looked up per row. An `InList` asks for the rows of a list of values; its text is
prepared for each power of four of their number, so that lists of any length share a few statements.

Row numbers of a batch are taken before it is inserted (`take_numbers`), in one statement: one writer at a
time writes on both databases, so nothing comes between.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.bulk import Batch
from seawall.ledger.session import Prepared, Record, Session
from seawall.primitives.bounds import UINT256_MAX

__all__ = ["InList", "insert_batch", "int256_text", "take_numbers", "uint256_text"]

LIST_MAX: Final = 256  # values in one statement; longer lists take several
_PLACES: Final = tuple(f"value_{place}" for place in range(LIST_MAX))

_NEXT_NUMBERS: Final = Prepared(
    sa.select(sa.func.nextval(bindparam("of", type_=sa.String))).select_from(
        sa.func.generate_series(sa.literal_column("1"), bindparam("count", type_=sa.Integer))
    )
)


def insert_batch(table: sa.Table, *omitted: str, unless_exists: Sequence[str] = ()) -> Batch:
    """Insert whole rows, in the order of the table's columns; the omitted ones stay NULL.

    A row that agrees with another in all of `unless_exists` is left out; the count of touched rows tells.
    """
    names = [c.name for c in table.c if c.name not in omitted]
    insert = sa.insert(table).values({name: bindparam(name) for name in names})
    if unless_exists:
        return Batch(insert, names, suffix=f" ON CONFLICT ({', '.join(unless_exists)}) DO NOTHING")
    columns = ", ".join(f'"{name}"' for name in names)
    return Batch(insert, names, copy=f"COPY {table.name} ({columns}) FROM STDIN")


class InList:
    """A query over a list of values. `make` builds it from the parameters that stand for them."""

    __slots__ = ("_make", "_prepared")

    def __init__(self, make: Callable[[list[sa.BindParameter[object]]], sa.Executable]) -> None:
        self._make = make
        self._prepared: dict[int, Prepared] = {}

    def rows(
        self, session: Session, values: Sequence[object], parameters: dict[str, object] | None = None
    ) -> list[Record]:
        """In the order of the statement within each `LIST_MAX` values."""
        records: list[Record] = []
        for start in range(0, len(values), LIST_MAX):
            part = values[start : start + LIST_MAX]
            bits = (len(part) - 1).bit_length()
            size = 1 << bits + bits % 2
            filled = [*part, *([part[-1]] * (size - len(part)))]
            named = dict(zip(_PLACES, filled, strict=False))
            records += session.rows(self.prepared_for(size), named | (parameters or {}))
        return records

    def prepared_for(self, size: int) -> Prepared:
        """For `size` values; a shorter list repeats its last one."""
        found = self._prepared.get(size)
        if found is None:
            binds: list[sa.BindParameter[object]] = [bindparam(place) for place in _PLACES[:size]]
            found = self._prepared[size] = Prepared(self._make(binds))
        return found


def take_numbers(session: Session, column: sa.Column[int], count: int) -> Sequence[int]:
    """The next `count` row numbers of the column's table, ascending."""
    if count == 0:
        return []
    table = column.table
    assert isinstance(table, sa.Table)
    if session.is_sqlite:
        return session.take_numbers(table.name, count)
    named = {"of": f"{table.name}_{column.name}_seq", "count": count}
    return [int(number) for (number,) in session.rows(_NEXT_NUMBERS, named)]


def uint256_text(value: int) -> str:
    """As `columns.Uint256` stores it."""
    assert 0 <= value <= UINT256_MAX, "it does not fit 256 bits"
    return str(value)


def int256_text(value: int) -> str:
    """As `columns.Int256` stores it."""
    assert -UINT256_MAX <= value <= UINT256_MAX, "it does not fit 256 bits and a sign"
    return str(value)
