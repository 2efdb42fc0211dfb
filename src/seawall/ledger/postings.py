"""Postings: double entry, derived from blocks. Every entry's legs sum to zero per token, or it is refused.

Also reservations: what the unsettled attempts of a lane may still take from its balance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final, cast

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList, insert_batch, int256_text, take_numbers
from seawall.ledger.bulk import Batch
from seawall.ledger.rows import Account, AttemptRow, Leg, PostingEntry, PostingRow
from seawall.ledger.schema import attempts, inclusions, posting_entries, postings, reservations, slots
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import AttemptNumber, IntentNumber, Lane
from seawall.primitives.units import Address, Hash, address_text

__all__ = ["Postings", "Reservations"]

_NAMES: Final = {b"world": "world", b"fees": "fees", b"unexplained": "unexplained"}

_COLUMNS: Final = (
    posting_entries.c.number,
    posting_entries.c.kind,
    posting_entries.c.chain_id,
    posting_entries.c.block_number,
    posting_entries.c.block_hash,
    posting_entries.c.inclusion,
    posting_entries.c.intent,
    posting_entries.c.canonical,
    postings.c.account,
    postings.c.token,
    postings.c.delta,
)
_JOINED: Final = (
    sa.select(*_COLUMNS)
    .join_from(posting_entries, postings, postings.c.entry == posting_entries.c.number)
    .order_by(posting_entries.c.number, postings.c.leg)
)
_CANONICAL: Final = sa.text("posting_entries.canonical")
_INSERT: Final = Prepared(
    sa.insert(posting_entries).returning(posting_entries.c.number),
    [c.name for c in posting_entries.c if c.name != "number"],
)
_INSERT_LEG: Final = Prepared(sa.insert(postings), [c.name for c in postings.c])
_INSERT_MANY: Final = insert_batch(posting_entries)
_INSERT_LEGS: Final = insert_batch(postings)
_OF_INTENTS: Final = InList(lambda numbers: _JOINED.where(posting_entries.c.intent.in_(numbers), _CANONICAL))
_OF_INTENT: Final = Prepared(_JOINED.where(posting_entries.c.intent == bindparam("of"), _CANONICAL))
_IN_BLOCK: Final = Prepared(_JOINED.where(posting_entries.c.block_hash == bindparam("in_block"), _CANONICAL))
_CHANGES: Final = Prepared(
    sa.select(postings.c.delta)
    .join_from(posting_entries, postings, postings.c.entry == posting_entries.c.number)
    .where(
        posting_entries.c.block_hash == bindparam("in_block"),
        _CANONICAL,
        postings.c.account == bindparam("of"),
        postings.c.token == bindparam("in_token"),
    )
)
_RESERVE: Final = Prepared(sa.insert(reservations), [c.name for c in reservations.c])
_UNRESERVE: Final = Prepared(sa.delete(reservations).where(reservations.c.attempt == bindparam("of")))
_UNRESERVE_MANY: Final = Batch(
    sa.delete(reservations).where(reservations.c.attempt == bindparam("of")), ["of"]
)
_RESERVED_BY_SLOT: Final = Prepared(
    sa.select(attempts.c.slot, reservations.c.amount)
    .join_from(reservations, attempts, reservations.c.attempt == attempts.c.number)
    .where(
        reservations.c.chain_id == bindparam("chain"),
        reservations.c.key == bindparam("lane_key"),
        reservations.c.token == bindparam("in_token"),
    )
)


class Postings:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def book(self, entry: PostingEntry) -> int:
        """Store an entry.

        Answers its number. Booking the same kind for the same canonical inclusion twice raises.
        """
        _require_balanced(entry)
        try:
            created = self._session.first(
                _INSERT,
                {
                    "kind": entry.kind,
                    "chain_id": entry.chain_id,
                    "block_number": entry.block_number,
                    "block_hash": entry.block_hash,
                    "inclusion": entry.inclusion,
                    "intent": entry.intent,
                    "canonical": True,
                },
            )
        except DuplicateError:
            raise _booked_before(f"{entry.kind!r} of inclusion {entry.inclusion}") from None
        assert created is not None
        number = int(created[0])
        self._session.many(
            _INSERT_LEG,
            [
                {
                    "entry": number,
                    "leg": i,
                    "account": _stored(leg.account),
                    "token": leg.token,
                    "delta": leg.delta,
                }
                for i, leg in enumerate(entry.legs)
            ],
        )
        return number

    def book_many(self, entries: Sequence[PostingEntry]) -> Sequence[int]:
        """Store entries as `book` does, and answer their numbers; one that cannot be undoes all."""
        for entry in entries:
            _require_balanced(entry)
        numbers = take_numbers(self._session, posting_entries.c.number, len(entries))
        try:
            self._session.load(
                _INSERT_MANY,
                [
                    (number, e.kind, e.chain_id, e.block_number, e.block_hash, e.inclusion, e.intent, True)
                    for number, e in zip(numbers, entries, strict=True)
                ],
            )
        except DuplicateError:
            raise _booked_before("one of the entries") from None
        self._session.load(
            _INSERT_LEGS,
            [
                (number, i, _stored(leg.account), leg.token, int256_text(leg.delta))
                for number, entry in zip(numbers, entries, strict=True)
                for i, leg in enumerate(entry.legs)
            ],
        )
        return numbers

    def flip(self, block_hashes: Sequence[Hash], lanes: Collection[Lane] | None = None) -> int:
        """A reorg removed these blocks: their entries count no more, those of inclusions only if these are of
        `lanes`. Answers how many."""
        gone: list[sa.ColumnElement[bool]] = [
            posting_entries.c.block_hash.in_(block_hashes),
            posting_entries.c.canonical,
        ]
        if lanes is not None:
            found = self._session.once(
                sa.select(posting_entries.c.number, slots.c.chain_id, slots.c.key)
                .join_from(posting_entries, inclusions, posting_entries.c.inclusion == inclusions.c.number)
                .join(slots, inclusions.c.slot == slots.c.number)
                .where(posting_entries.c.block_hash.in_(block_hashes), _CANONICAL)
            )
            others = [number for number, chain_id, key in found if Lane(chain_id, key) not in lanes]
            gone.append(posting_entries.c.number.not_in(others))
        return len(
            self._session.once(
                sa.update(posting_entries)
                .where(*gone)
                .values(canonical=False)
                .returning(posting_entries.c.number)
            )
        )

    def of_intent(self, number: IntentNumber) -> list[PostingRow]:
        """Canonical entries, in booking order."""
        return _entries_of(self._session.rows(_OF_INTENT, {"of": number}))

    def of_intents(self, numbers: Sequence[IntentNumber]) -> dict[IntentNumber, list[PostingRow]]:
        """Canonical entries of each, in booking order; every number has its list."""
        found: dict[IntentNumber, list[PostingRow]] = {number: [] for number in numbers}
        for row in _entries_of(_OF_INTENTS.rows(self._session, list(found))):
            assert row.entry.intent is not None
            found[row.entry.intent].append(row)
        return found

    def in_block(self, block_hash: Hash) -> list[PostingRow]:
        """Canonical entries, in booking order."""
        return _entries_of(self._session.rows(_IN_BLOCK, {"in_block": block_hash}))

    def balance_change(self, address: Account, token: Address, block_hash: Hash) -> int:
        """What the ledger says this block did to the balance [smallest unit of token]."""
        named = {"in_block": block_hash, "of": _stored(address), "in_token": token}
        return sum(record[0] for record in self._session.rows(_CHANGES, named))


class Reservations:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def insert(self, attempt: AttemptRow, token: Address, amount: int) -> None:
        values = {
            "attempt": attempt.number,
            "token": token,
            "chain_id": attempt.lane.chain_id,
            "key": attempt.lane.key,
            "amount": amount,
        }
        try:
            self._session.run(_RESERVE, values)
        except DuplicateError:
            raise LedgerError(
                f"attempt {attempt.number} has reserved {address_text(token)} already",
                "reservations",
                "reserve once a token",
            ) from None

    def release(self, attempt: AttemptRow) -> None:
        """Nothing more can be taken by this attempt; releasing twice changes nothing."""
        self._session.run(_UNRESERVE, {"of": attempt.number})

    def release_many(self, attempt_numbers: Sequence[AttemptNumber]) -> None:
        """As `release`, for all of these attempts."""
        self._session.load(_UNRESERVE_MANY, [(number,) for number in attempt_numbers])

    def sum(self, lane: Lane, token: Address) -> int:
        """The most that the lane's unsettled slots can still take.

        Of a slot's attempts only one lands, so the largest counts.
        """
        named = {"chain": lane.chain_id, "lane_key": lane.key, "in_token": token}
        largest: dict[int, int] = defaultdict(int)
        for slot, amount in self._session.rows(_RESERVED_BY_SLOT, named):
            largest[slot] = max(largest[slot], amount)
        return sum(largest.values())


def _booked_before(what: str) -> LedgerError:
    return LedgerError(f"{what} is booked already", "postings", "book an inclusion once, flip it on a reorg")


def _require_balanced(entry: PostingEntry) -> None:
    sums: dict[Address, int] = {}
    for _, token, delta in entry.legs:
        sums[token] = sums.get(token, 0) + delta
    for token, total in sums.items():
        if total != 0:
            raise LedgerError(
                f"the legs of {entry.kind!r} in {address_text(token)} sum to {total}, not zero",
                "postings",
                "book the other side too, against world, fees or unexplained",
            )
    if not entry.legs:
        raise LedgerError(
            f"the entry {entry.kind!r} has no legs", "postings", "book only what moved something"
        )


def _stored(account: Account) -> bytes:
    return account.encode() if isinstance(account, str) else account


def _account_of(stored: bytes) -> Account:
    return cast(Account, _NAMES.get(stored, stored))


def _entries_of(records: Sequence[Record]) -> list[PostingRow]:
    rows: list[PostingRow] = []
    for number, group in groupby(records, key=itemgetter(0)):
        legs = list(group)
        _, kind, chain_id, block_number, block_hash, inclusion, intent, canonical, *_ = legs[0]
        entry = PostingEntry(
            kind,
            chain_id,
            block_number,
            block_hash,
            tuple(Leg(_account_of(account), token, delta) for *_, account, token, delta in legs),
            inclusion,
            intent,
        )
        rows.append(PostingRow(number, entry, canonical))
    return rows
