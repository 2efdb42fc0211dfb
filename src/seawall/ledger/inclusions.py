"""Inclusions: our hashes in blocks. Provisional facts, found from the block and undone with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList, insert_batch, take_numbers, uint256_text
from seawall.ledger.bulk import Batch
from seawall.ledger.rows import AttemptNumber, AttemptRow, InclusionRow, NewInclusion
from seawall.ledger.schema import attempt_intents, attempts, inclusions, slots
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.blocks import Block
from seawall.primitives.errors import IntegrityAlarm, LedgerError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality
from seawall.primitives.units import Hash, hex_text

__all__ = ["Inclusions"]

_COLUMNS: Final = (
    inclusions.c.number,
    inclusions.c.attempt,
    attempts.c.hash,
    slots.c.chain_id,
    slots.c.key,
    slots.c.nonce,
    inclusions.c.block_number,
    inclusions.c.block_hash,
    inclusions.c["index"],
    inclusions.c.status,
    inclusions.c.gas_used,
    inclusions.c.effective_gas_price_wei,
    inclusions.c.fee_wei,
    inclusions.c.canonical,
    inclusions.c.finality,
)
_JOINED: Final = (
    sa.select(*_COLUMNS)
    .join_from(inclusions, attempts, inclusions.c.attempt == attempts.c.number)
    .join(slots, inclusions.c.slot == slots.c.number)
)
_CANONICAL: Final = sa.text("inclusions.canonical")
_UNSETTLED_ONLY: Final = sa.text("inclusions.canonical AND inclusions.finality < 2")

_ATTEMPTS: Final = InList(
    lambda hashes: (
        sa.select(
            attempts.c.hash, attempts.c.number, attempts.c.slot, slots.c.chain_id, slots.c.key, slots.c.nonce
        )
        .join_from(attempts, slots, attempts.c.slot == slots.c.number)
        .where(attempts.c.hash.in_(hashes))
    )
)
_SEEN: Final = InList(
    lambda numbers: sa.select(inclusions.c.attempt, inclusions.c.block_hash).where(
        inclusions.c.attempt.in_(numbers)
    )
)
_OF_ATTEMPTS: Final = InList(lambda numbers: _JOINED.where(inclusions.c.attempt.in_(numbers)))
_INSERT_MANY: Final = insert_batch(inclusions)
_NAMED_MAX: Final = 8  # hashes in the text of an alarm
_RESTORE: Final = Prepared(
    sa.update(inclusions)
    .where(inclusions.c.number == bindparam("row"))
    .values(canonical=True, finality=int(Finality.INCLUDED))
)
_CANONICAL_OF: Final = Prepared(_JOINED.where(attempts.c.hash == bindparam("wanted"), _CANONICAL))
_OF_INTENT: Final = Prepared(
    _JOINED.join(attempt_intents, attempt_intents.c.attempt == inclusions.c.attempt)
    .where(attempt_intents.c.intent == bindparam("of"), _CANONICAL)
    .order_by(inclusions.c.status.desc(), inclusions.c.number)
)
_OF_ATTEMPT: Final = Prepared(
    _JOINED.where(inclusions.c.attempt == bindparam("of")).order_by(inclusions.c.number)
)
_UNSETTLED: Final = Prepared(
    _JOINED.where(inclusions.c.chain_id == bindparam("chain"), _UNSETTLED_ONLY).order_by(inclusions.c.number)
)
_ARE_RIPE: Final = (
    inclusions.c.chain_id == bindparam("chain"),
    inclusions.c.block_number <= bindparam("up_to"),
    _UNSETTLED_ONLY,
    inclusions.c.finality < bindparam("reached"),
)
_RIPE: Final = Prepared(sa.select(inclusions.c.number).where(*_ARE_RIPE).order_by(inclusions.c.number))
_BY_NUMBERS: Final = InList(lambda numbers: _JOINED.where(inclusions.c.number.in_(numbers)))
_RIPEN_ALL: Final = Prepared(sa.update(inclusions).where(*_ARE_RIPE).values(finality=bindparam("reached")))
_RIPEN: Final = Batch(
    sa.update(inclusions)
    .where(inclusions.c.number == bindparam("row"))
    .values(finality=bindparam("reached")),
    ["reached", "row"],
)


class _Owner(NamedTuple):
    """The attempt behind a hash."""

    attempt: AttemptNumber
    slot: int
    lane: Lane
    nonce: int


class Inclusions:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(
        self,
        attempt_hash: Hash,
        block: Block,
        index: int,
        status: bool,
        gas_used: int,
        effective_gas_price_wei: int,
        fee_wei: int,
    ) -> InclusionRow:
        """Our hash was seen in `block`, which is canonical now.

        Seeing it again, or back after a reorg, is one row.
        """
        new = NewInclusion(attempt_hash, block, index, status, gas_used, effective_gas_price_wei, fee_wei)
        return self.insert_many([new])[0]

    def insert_many(self, new: Sequence[NewInclusion]) -> list[InclusionRow]:
        """As `insert`, in the order of `new`; one that cannot be undoes all."""
        owners = self._owners_of(new)
        numbers = take_numbers(self._session, inclusions.c.number, len(new))
        rows = [_row_for(number, owner, one) for number, owner, one in zip(numbers, owners, new, strict=True)]
        records = [_record_of(row, owner.slot) for row, owner in zip(rows, owners, strict=True)]
        try:
            places = {
                (row.attempt, row.block_hash): record for row, record in zip(rows, records, strict=True)
            }
            seen = places.keys() & set(_SEEN.rows(self._session, [row.attempt for row in rows]))
            self._session.load(_INSERT_MANY, [r for place, r in places.items() if place not in seen])
            if seen or len(places) < len(rows):
                rows = self._as_stored(rows)
        except DuplicateError:
            raise _landed_twice(rows) from None
        return rows

    def canonical_of(self, hash: Hash) -> InclusionRow | None:  # noqa: A002
        record = self._session.first(_CANONICAL_OF, {"wanted": hash})
        return None if record is None else _row_of(record)

    def of_attempt(self, attempt: AttemptNumber) -> list[InclusionRow]:
        """All of them, flipped ones too, in the order they were seen."""
        return [_row_of(record) for record in self._session.rows(_OF_ATTEMPT, {"of": attempt})]

    def of_intent(self, number: IntentNumber) -> InclusionRow | None:
        """Where the intent stands in the chain now: the canonical inclusion of one of its attempts, one that
        succeeded before a copy of it that reverted."""
        record = self._session.first(_OF_INTENT, {"of": number})
        return None if record is None else _row_of(record)

    def unsettled(self, chain_id: int) -> list[InclusionRow]:
        """Canonical and not final."""
        return [_row_of(record) for record in self._session.rows(_UNSETTLED, {"chain": chain_id})]

    def flip(self, block_hashes: Sequence[Hash], lanes: Collection[Lane] | None = None) -> list[InclusionRow]:
        """A reorg removed these blocks.

        Their inclusions, of `lanes` if given, are no longer canonical. Answers those, as they are now.
        """
        gone = self._session.once(
            _JOINED.where(inclusions.c.block_hash.in_(block_hashes), _CANONICAL).order_by(inclusions.c.number)
        )
        rows = [row for row in map(_row_of, gone) if lanes is None or row.lane in lanes]
        for row in rows:
            if row.finality is Finality.FINAL:
                raise IntegrityAlarm(
                    f"a final block {hex_text(row.block_hash)} is said to be removed",
                    f"slot {row.lane}/{row.nonce}",
                    "halt and find out which endpoint is right",
                )
        if rows:
            self._session.once(
                sa.update(inclusions)
                .where(inclusions.c.number.in_([row.number for row in rows]))
                .values(canonical=False, finality=int(Finality.INCLUDED))
            )
        return [replace(row, canonical=False, finality=Finality.INCLUDED) for row in rows]

    def set_finality(
        self,
        chain_id: int,
        up_to_number: int,
        finality: Finality,
        lanes: Collection[Lane] | None = None,
        known: Mapping[int, InclusionRow] | None = None,
        at_most: int | None = None,
    ) -> list[InclusionRow]:
        """Blocks up to this number have reached `finality`; answers the inclusions, of `lanes` if given, that
        are new to it: the first `at_most`, if given, and the others are new to it the next time.

        `known` are rows by their number as they were answered before: those are not read again."""
        if at_most == 0:
            return []
        named = {"chain": chain_id, "up_to": up_to_number, "reached": int(finality)}
        ripe = [number for (number,) in self._session.rows(_RIPE, named)]
        rows: list[InclusionRow] = []
        wanted = len(ripe) if at_most is None else at_most
        begin = 0
        while begin < len(ripe) and len(rows) < wanted:
            part = ripe[begin : begin + wanted - len(rows)]
            begin += len(part)
            rows += self._ripened_of(part, finality, lanes, known or {})
        if len(rows) < len(ripe):
            self._session.load(_RIPEN, [(int(finality), row.number) for row in rows])
        elif rows:
            self._session.run(_RIPEN_ALL, named)
        return rows

    def _ripened_of(
        self,
        numbers: Sequence[int],
        finality: Finality,
        lanes: Collection[Lane] | None,
        known: Mapping[int, InclusionRow],
    ) -> list[InclusionRow]:
        """Those of `lanes`, as they are now."""
        unread = [number for number in numbers if number not in known]
        read = {record[0]: _row_of(record) for record in _BY_NUMBERS.rows(self._session, unread)}
        rows = [known[number] if number in known else read[number] for number in numbers]
        return [_ripened(row, finality) for row in rows if lanes is None or row.lane in lanes]

    def _owners_of(self, new: Sequence[NewInclusion]) -> list[_Owner]:
        """Whose hashes these are, of their own chain."""
        unread = [one.attempt_hash for one in new if one.attempt is None]
        found = {
            digest: _Owner(number, slot, Lane(chain_id, key), nonce)
            for digest, number, slot, chain_id, key, nonce in _ATTEMPTS.rows(self._session, unread)
        }
        owners = []
        for one in new:
            owner = found.get(one.attempt_hash) if one.attempt is None else _owner_by(one.attempt)
            _require_owner(one, owner)
            assert owner is not None
            owners.append(owner)
        return owners

    def _as_stored(self, rows: Sequence[InclusionRow]) -> list[InclusionRow]:
        """Some were seen before, in the ledger or earlier in this batch: those are as they stand there."""
        stored = map(_row_of, _OF_ATTEMPTS.rows(self._session, [row.attempt for row in rows]))
        seen = {(row.attempt, row.block_hash): row for row in stored}
        for place in {(row.attempt, row.block_hash) for row in rows}:
            if not seen[place].canonical:
                self._session.run(_RESTORE, {"row": seen[place].number})
                seen[place] = replace(seen[place], canonical=True, finality=Finality.INCLUDED)
        return [seen[row.attempt, row.block_hash] for row in rows]


def _owner_by(attempt: AttemptRow) -> _Owner:
    return _Owner(attempt.number, attempt.slot, attempt.lane, attempt.nonce)


def _require_owner(new: NewInclusion, owner: _Owner | None) -> None:
    if owner is None:
        raise LedgerError(
            f"{hex_text(new.attempt_hash)} is no attempt of ours",
            "inclusions",
            "record only hashes the ledger holds",
        )
    if owner.lane.chain_id != new.block.chain_id:
        raise LedgerError(
            f"block of chain {new.block.chain_id}, attempt of chain {owner.lane.chain_id}",
            "inclusions",
            "ask the attempt's own chain",
        )


def _landed_twice(rows: Sequence[InclusionRow]) -> IntegrityAlarm:
    named = ", ".join(f"{hex_text(row.attempt_hash)} at {row.block_number}" for row in rows[:_NAMED_MAX])
    return IntegrityAlarm(
        f"a nonce landed in another canonical block already, with another hash: one of {len(rows)}, {named}",
        f"slot {rows[0].lane}/{rows[0].nonce}" + (" or another of the batch" if len(rows) > 1 else ""),
        "flip the blocks that a reorg removed before recording new ones",
    )


def _row_for(number: int, owner: _Owner, new: NewInclusion) -> InclusionRow:
    return InclusionRow(
        number, owner.attempt, new.attempt_hash, owner.lane, owner.nonce, new.block.number, new.block.hash,
        new.index, new.status, new.gas_used, new.effective_gas_price_wei, new.fee_wei, True,
        Finality.INCLUDED,
    )  # fmt: skip


def _record_of(row: InclusionRow, slot: int) -> tuple[object, ...]:
    return (
        row.number, row.attempt, slot, row.lane.chain_id, row.block_number, row.block_hash, row.index,
        row.status, row.gas_used, uint256_text(row.effective_gas_price_wei), uint256_text(row.fee_wei),
        True, 0,
    )  # fmt: skip


def _ripened(row: InclusionRow, finality: Finality) -> InclusionRow:
    return InclusionRow(
        row.number, row.attempt, row.attempt_hash, row.lane, row.nonce, row.block_number, row.block_hash,
        row.index, row.status, row.gas_used, row.effective_gas_price_wei, row.fee_wei, True, finality,
    )  # fmt: skip


def _row_of(record: Record) -> InclusionRow:
    (number, attempt, digest, chain_id, key, nonce, block_number, block_hash, index, status, gas_used,
     effective_gas_price_wei, fee_wei, canonical, stored) = record  # fmt: skip
    return InclusionRow(
        number, attempt, digest, Lane(chain_id, key), nonce, block_number, block_hash, index, status,
        gas_used, effective_gas_price_wei, fee_wei, canonical, Finality(stored),
    )  # fmt: skip
