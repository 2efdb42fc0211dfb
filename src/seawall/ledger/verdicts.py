"""Verdicts: every answer of the gate, refusals too, with each guard's measurement, for ever."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.rows import VerdictNumber, VerdictRow
from seawall.ledger.schema import verdicts
from seawall.ledger.session import Prepared, Record, Session
from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.verdicts import Verdict

__all__ = ["Verdicts"]

_COLUMNS: Final = (verdicts.c.number, verdicts.c.body, verdicts.c.at_s)
_INSERT: Final = Prepared(
    sa.insert(verdicts).returning(verdicts.c.number), [c.name for c in verdicts.c if c.name != "number"]
)
_GET: Final = Prepared(sa.select(*_COLUMNS).where(verdicts.c.number == bindparam("row")))
_OF_INTENT: Final = Prepared(
    sa.select(*_COLUMNS).where(verdicts.c.intent == bindparam("of")).order_by(verdicts.c.number)
)


class Verdicts:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, verdict: Verdict, at_s: int) -> VerdictNumber:
        created = self._session.first(
            _INSERT,
            {
                "intent": verdict.number,
                "candidate": verdict.attempt_number,
                "payload_digest": verdict.payload_digest,
                "overlay_digest": verdict.overlay_digest,
                "base_number": verdict.base_number,
                "base_hash": verdict.base_hash,
                "valid_until_block": verdict.valid_until_block,
                "valid_until_s": verdict.valid_until_s,
                "max_total_fee_wei": verdict.max_total_fee_wei,
                "admitted": verdict.admitted,
                "body": pack(verdict),
                "at_s": at_s,
            },
        )
        assert created is not None
        return VerdictNumber(created[0])

    def get(self, number: VerdictNumber) -> VerdictRow:
        record = self._session.first(_GET, {"row": number})
        if record is None:
            raise LedgerError(f"there is no verdict {number}", "verdicts", "list the verdicts of the intent")
        return _row_of(record)

    def of_intent(self, number: IntentNumber) -> list[VerdictRow]:
        """In the order they were given."""
        return [_row_of(record) for record in self._session.rows(_OF_INTENT, {"of": number})]


def _row_of(record: Record) -> VerdictRow:
    number, body, at_s = record
    return VerdictRow(VerdictNumber(number), unpack(Verdict, body), at_s)
