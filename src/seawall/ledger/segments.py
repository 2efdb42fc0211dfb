"""What became of each plan of an inclusion that held several.

Facts of a block, as inclusions are: they stand as long as their inclusion is canonical, and whoever reads
them asks for those of a canonical one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList, insert_batch
from seawall.ledger.schema import segment_ends
from seawall.ledger.session import Prepared, Session
from seawall.primitives.identifiers import IntentNumber

__all__ = ["SegmentEnd", "Segments"]


class SegmentEnd(NamedTuple):
    """How one plan of an inclusion ended there."""

    inclusion: int  # InclusionRow.number
    segment: int
    intent: IntentNumber
    landed: bool
    reason: str  # of a failure


_COLUMNS: Final = tuple(segment_ends.c)
# The same block may come back after a reorg, and says the same.
_INSERT_MANY: Final = insert_batch(segment_ends, unless_exists=("inclusion", "segment"))
_OF_INCLUSIONS: Final = InList(
    lambda numbers: (
        sa.select(*_COLUMNS)
        .where(segment_ends.c.inclusion.in_(numbers))
        .order_by(segment_ends.c.inclusion, segment_ends.c.segment)
    )
)
_OF_ONE: Final = Prepared(
    sa.select(segment_ends.c.landed).where(
        segment_ends.c.inclusion == bindparam("of_inclusion"), segment_ends.c.intent == bindparam("of_intent")
    )
)


class Segments:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert_many(self, ends: Sequence[SegmentEnd]) -> None:
        if ends:
            self._session.load(_INSERT_MANY, list(ends))

    def of_inclusions(self, numbers: Sequence[int]) -> list[SegmentEnd]:
        """Those of these inclusions, by inclusion and segment; nothing of those with one plan."""
        return [
            SegmentEnd(int(row[0]), int(row[1]), IntentNumber(int(row[2])), bool(row[3]), str(row[4]))
            for row in _OF_INCLUSIONS.rows(self._session, list(numbers))
        ]

    def has_failed(self, inclusion: int, intent: IntentNumber) -> bool:
        """Whether the inclusion succeeded and this plan in it did not."""
        row = self._session.first(_OF_ONE, {"of_inclusion": inclusion, "of_intent": intent})
        return row is not None and not row[0]
