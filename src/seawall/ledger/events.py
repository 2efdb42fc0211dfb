"""Events: the append-only outbox, and the durable cursors of those who read it.

The order of `seq` is the order of commits, because one writer commits. Audit entries are a kind of event.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

import orjson
import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import insert_batch, take_numbers
from seawall.ledger.rows import EventData, EventRow, NewEvent
from seawall.ledger.schema import cursors, events
from seawall.ledger.session import Prepared, Record, Session
from seawall.primitives.bounds import EVENT_BATCH_MAX
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import IntentNumber

__all__ = ["Events", "text_of"]

_COLUMNS: Final = (
    events.c.seq,
    events.c.kind,
    events.c.chain_id,
    events.c.subject,
    events.c.intent,
    events.c.data,
    events.c.at_s,
)
_INSERT: Final = Prepared(
    sa.insert(events).returning(events.c.seq), [c.name for c in events.c if c.name != "seq"]
)
_INSERT_MANY: Final = insert_batch(events)
_AFTER: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(events.c.seq > bindparam("cursor"))
    .order_by(events.c.seq)
    .limit(bindparam("count"))
)
_LAST: Final = Prepared(sa.select(sa.func.max(events.c.seq)))
_CURSOR: Final = Prepared(sa.select(cursors.c.seq).where(cursors.c.name == bindparam("of")))
_NEW_CURSOR: Final = Prepared(sa.insert(cursors), [c.name for c in cursors.c])
_ADVANCE: Final = Prepared(
    sa.update(cursors)
    .where(cursors.c.name == bindparam("of"), cursors.c.seq <= bindparam("to"))
    .values(seq=bindparam("to"))
)
_JSON: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class Events:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def append(
        self, kind: str, chain_id: int, subject: str, intent: IntentNumber | None, data: EventData, at_s: int
    ) -> int:
        """Answers the event's place in the order."""
        created = self._session.first(
            _INSERT,
            {
                "kind": kind,
                "chain_id": chain_id,
                "subject": subject,
                "intent": intent,
                "data": text_of(data),
                "at_s": at_s,
            },
        )
        assert created is not None
        return int(created[0])

    def append_many(self, new: Sequence[NewEvent], at_s: int) -> Sequence[int]:
        """Answers the events' places in the order."""
        places = take_numbers(self._session, events.c.seq, len(new))
        self._session.load(
            _INSERT_MANY,
            [
                (seq, e.kind, e.chain_id, e.subject, e.intent, text_of(e.data), at_s)
                for seq, e in zip(places, new, strict=True)
            ],
        )
        return places

    def after(
        self, cursor_seq: int, limit: int = EVENT_BATCH_MAX, kinds: Sequence[str] | None = None
    ) -> list[EventRow]:
        """Events later than `cursor_seq`, oldest first, at most `EVENT_BATCH_MAX`."""
        count = min(limit, EVENT_BATCH_MAX)
        if kinds is None:
            return [
                _row_of(record)
                for record in self._session.rows(_AFTER, {"cursor": cursor_seq, "count": count})
            ]
        statement = (
            sa.select(*_COLUMNS)
            .where(events.c.seq > cursor_seq, events.c.kind.in_(kinds))
            .order_by(events.c.seq)
            .limit(count)
        )
        return [_row_of(record) for record in self._session.once(statement)]

    def last(self) -> int:
        """The place of the newest event; 0 before the first."""
        record = self._session.first(_LAST)
        return 0 if record is None or record[0] is None else int(record[0])

    def cursor(self, name: str) -> int:
        """How far this reader has come; 0 at the beginning."""
        record = self._session.first(_CURSOR, {"of": name})
        return 0 if record is None else int(record[0])

    def advance(self, name: str, seq: int) -> None:
        """The reader has dealt with everything up to `seq`; a cursor never goes back."""
        if self._session.run(_ADVANCE, {"of": name, "to": seq}):
            return
        present = self.cursor(name)
        if present > seq:
            raise LedgerError(
                f"the cursor stands at {present} and cannot go back to {seq}",
                f"cursor {name!r}",
                "use a new cursor to read again",
            )
        self._session.run(_NEW_CURSOR, {"name": name, "seq": seq})


def text_of(data: EventData) -> str:
    """JSON with sorted keys. Both encoders write the same text; the quick one knows 64-bit integers only."""
    plain = data if type(data) is dict else dict(data)
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        return _JSON.encode(plain)


def _row_of(record: Record) -> EventRow:
    seq, kind, chain_id, subject, intent, data, at_s = record
    return EventRow(seq, kind, chain_id, subject, intent, json.loads(data), at_s)
