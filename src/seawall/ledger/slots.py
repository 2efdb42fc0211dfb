"""Slots: the nonces of a lane that are spoken for, each exactly once, and by what they were consumed in the
end.

There is no counter: the next nonce follows from `highest` and the chain. A slot is never removed, save a
provisional *foreign* one whose block a reorg took away before anything of ours stood on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.bulk import Batch
from seawall.ledger.rows import Purpose, SlotRow
from seawall.ledger.schema import attempts, slots
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.errors import LedgerError, NonceTakenError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.units import Hash, hex_text

__all__ = ["Slots", "foreign_slots_of"]

_COLUMNS: Final = (
    slots.c.number,
    slots.c.chain_id,
    slots.c.key,
    slots.c.nonce,
    slots.c.purpose,
    slots.c.intent,
    slots.c.block_hash,
    slots.c.consumed_by,
    slots.c.final,
)
_OPEN: Final = sa.text("NOT final")
_THE_LANE: Final = (slots.c.chain_id == bindparam("chain_id"), slots.c.key == bindparam("key"))
_NUMBER_MAX: Final = 2**63 - 1

_INSERT: Final = Prepared(
    sa.insert(slots).returning(slots.c.number),
    [c.name for c in slots.c if c.name not in ("number", "consumed_by")],
)
_HIGHEST: Final = Prepared(
    sa.select(slots.c.nonce).where(*_THE_LANE).order_by(slots.c.nonce.desc()).limit(sa.literal_column("1"))
)
_OPEN_OF: Final = Prepared(sa.select(*_COLUMNS).where(*_THE_LANE, _OPEN).order_by(slots.c.nonce))
_GET: Final = Prepared(sa.select(*_COLUMNS).where(*_THE_LANE, slots.c.nonce == bindparam("nonce")))
_SETTLE: Final = Prepared(
    sa.update(slots)
    .where(slots.c.number == bindparam("row"), _OPEN)
    .values(final=True, consumed_by=bindparam("by"))
)
_SETTLE_MANY: Final = Batch(
    sa.update(slots)
    .where(*_THE_LANE, slots.c.nonce == bindparam("nonce"), _OPEN)
    .values(final=sa.true(), consumed_by=bindparam("by")),
    ["by", "chain_id", "key", "nonce"],
)
_OVERTAKE: Final = Prepared(
    sa.update(slots)
    .where(*_THE_LANE, slots.c.nonce == bindparam("nonce"), _OPEN, slots.c.purpose != "foreign")
    .values(block_hash=bindparam("seen_in"))
)
_LISTING: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(slots.c.number < bindparam("before"))
    .order_by(slots.c.number.desc())
    .limit(bindparam("count"))
)
_LISTING_OF: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(*_THE_LANE, slots.c.nonce < bindparam("before"))
    .order_by(slots.c.nonce.desc())
    .limit(bindparam("count"))
)


class Slots:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(
        self,
        lane: Lane,
        nonce: int,
        purpose: Purpose,
        intent: IntentNumber | None,
        block_hash: Hash | None = None,
    ) -> SlotRow:
        """Take a nonce. `block_hash` is where a foreign transaction was seen to use it, and only for that."""
        if (purpose == "foreign") != (block_hash is not None) or (purpose == "plan") != (intent is not None):
            raise LedgerError(
                f"a slot for {purpose} needs "
                + ("its block" if purpose == "foreign" else "an intent if and only if it is a plan"),
                f"slot {lane}/{nonce}",
                "say whose nonce it is",
            )
        values = {
            "chain_id": lane.chain_id,
            "key": lane.key,
            "nonce": nonce,
            "purpose": purpose,
            "intent": intent,
            "block_hash": block_hash,
            "final": False,
        }
        try:
            created = self._session.first(_INSERT, values)
        except DuplicateError:
            raise NonceTakenError(
                f"nonce {nonce} is taken",
                f"slot {lane}/{nonce}",
                "build the candidate again from the highest slot and the chain",
            ) from None
        assert created is not None
        return SlotRow(created[0], lane, nonce, purpose, intent, block_hash, None, final=False)

    def highest(self, lane: Lane) -> int | None:
        record = self._session.first(_HIGHEST, _named(lane))
        return None if record is None else int(record[0])

    def open(self, lane: Lane) -> list[SlotRow]:
        """Not final yet, ascending nonce."""
        return [_row_of(record) for record in self._session.rows(_OPEN_OF, _named(lane))]

    def get(self, lane: Lane, nonce: int) -> SlotRow | None:
        record = self._session.first(_GET, _named(lane) | {"nonce": nonce})
        return None if record is None else _row_of(record)

    def settle(self, lane: Lane, nonce: int, consumed_by: Hash | None) -> SlotRow:
        """Beyond finality: the nonce was consumed by this hash (None: by one that nobody could name)."""
        present = self.get(lane, nonce)
        where = f"slot {lane}/{nonce}"
        if present is None:
            raise LedgerError("there is no such slot", where, "insert the slot before settling it")
        if present.final:
            if present.consumed_by == consumed_by:
                return present
            raise LedgerError(
                f"it was settled by {_named_hash(present.consumed_by)}, not by {_named_hash(consumed_by)}",
                where,
                "final means final: raise an integrity alarm",
            )
        self._session.run(_SETTLE, {"row": present.row, "by": consumed_by})
        return SlotRow(
            present.row,
            lane,
            nonce,
            present.purpose,
            present.intent,
            present.block_hash,
            consumed_by,
            final=True,
        )

    def settle_many(self, settled: Sequence[tuple[Lane, int, Hash | None]]) -> None:
        """As `settle`, for all of these; one that cannot be undoes all."""
        rows = [(by, lane.chain_id, lane.key, nonce) for lane, nonce, by in settled]
        if self._session.load(_SETTLE_MANY, rows) != len(rows):
            for lane, nonce, by in settled:
                self.settle(lane, nonce, by)

    def mark_overtaken(self, lane: Lane, nonce: int, block_hash: Hash | None) -> None:
        """A foreign transaction was seen to use the nonce of this slot of ours in that block.

        None takes it back: the block is gone. Nothing is settled by either.
        """
        named = _named(lane) | {"nonce": nonce, "seen_in": block_hash}
        if self._session.run(_OVERTAKE, named) == 0:
            raise LedgerError(
                "there is no open slot of ours here",
                f"slot {lane}/{nonce}",
                "only a slot of ours that is not final can be overtaken",
            )

    def forget_foreign(self, block_hashes: Sequence[Hash]) -> list[SlotRow]:
        """A reorg removed these blocks: foreign slots in them, with no attempt of ours, are free again."""
        freed = [_row_of(record) for record in self._session.once(foreign_slots_of(block_hashes))]
        return sorted(freed, key=lambda slot: (slot.lane, slot.nonce))

    def listing(self, limit: int, before: int | None = None, lane: Lane | None = None) -> list[SlotRow]:
        """Newest first, for people; `before` is a row number, or with a lane a nonce."""
        page: dict[str, object] = {"count": limit, "before": _NUMBER_MAX if before is None else before}
        records = (
            self._session.rows(_LISTING, page)
            if lane is None
            else self._session.rows(_LISTING_OF, page | _named(lane))
        )
        return [_row_of(record) for record in records]


def foreign_slots_of(block_hashes: Sequence[Hash]) -> sa.Executable:
    """Take away the provisional foreign slots that were seen in these blocks and carry nothing of ours."""
    return (
        sa.delete(slots)
        .where(
            slots.c.block_hash.in_(block_hashes),
            _OPEN,
            slots.c.purpose == "foreign",
            ~sa.exists().where(attempts.c.slot == slots.c.number),
        )
        .returning(*_COLUMNS)
    )


def _named(lane: Lane) -> dict[str, object]:
    return {"chain_id": lane.chain_id, "key": lane.key}


def _named_hash(value: Hash | None) -> str:
    return "an unknown hash" if value is None else hex_text(value)


def _row_of(record: Record) -> SlotRow:
    number, chain_id, key, nonce, purpose, intent, block_hash, consumed_by, final = record
    return SlotRow(number, Lane(chain_id, key), nonce, purpose, intent, block_hash, consumed_by, final)
