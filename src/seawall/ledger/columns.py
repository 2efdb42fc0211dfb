"""Column types for what SQL integers cannot hold.

Amounts are 256-bit and kept as decimal text, so that both databases store them exactly and a person can read
them; sums are made in Python. Text order is not number order: never ORDER BY such a column.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from typing_extensions import override

__all__ = ["Int256", "RowNumber", "Uint256"]

_DIGITS_MAX: Final = 79  # sign and 78 digits

# SQLite numbers rows only by the type INTEGER; PostgreSQL needs 64 bits to be said.
RowNumber: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class _DecimalText(sa.types.TypeDecorator[int]):
    """An integer of a bounded range as decimal text."""

    impl = sa.String(_DIGITS_MAX)
    cache_ok = True
    lowest: int
    highest: int

    @override
    def process_bind_param(self, value: int | None, dialect: sa.Dialect) -> str | None:
        if value is None:
            return None
        assert self.lowest <= value <= self.highest, f"{value} does not fit {type(self).__name__}"
        return str(value)

    @override
    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> int | None:
        return None if value is None else int(value)


class Uint256(_DecimalText):
    """0 .. 2**256 - 1."""

    cache_ok = True
    lowest = 0
    highest = 2**256 - 1


class Int256(_DecimalText):
    """-(2**256 - 1) .. 2**256 - 1: the difference of two balances always fits."""

    cache_ok = True
    lowest = -(2**256 - 1)
    highest = 2**256 - 1
