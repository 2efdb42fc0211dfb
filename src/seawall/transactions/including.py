"""Inclusions in the ledger: stored with their postings and events, and taken back by a reorg.

Everything is written in bulk: a block costs no statement for each of its transactions. What is true of a lane
is written by its holder alone; what is true of a block (that it is gone, a balance that nothing explains) by
whoever is first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from seawall.chain.heads import HeadChange
from seawall.ledger.rows import (
    AttemptRow,
    EventData,
    InclusionRow,
    Leg,
    NewEvent,
    NewInclusion,
    PostingEntry,
)
from seawall.ledger.segments import SegmentEnd
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.units import Hash, hex_text
from seawall.transactions.accounting import Entry
from seawall.transactions.desk import Desk
from seawall.transactions.finding import Found
from seawall.transactions.suspects import mark_suspects

__all__ = ["include", "tell", "unwind"]


def include(
    tx: Transaction, desk: Desk, found: Sequence[Found], now_s: int
) -> tuple[list[InclusionRow], dict[int, tuple[Leg, ...]]]:
    """Store what is in these blocks; answers the inclusions and the legs of each."""
    held = desk.fences.keys()
    own = [
        (one.block, entry)
        for one in found
        for entry in one.account.entries
        if entry.included.attempt.lane in held
        and desk.included.get(entry.included.attempt.hash) != one.block.hash  # else it is stored
    ]
    rows = tx.inclusions.insert_many(
        [
            NewInclusion(
                entry.included.attempt.hash, block, receipt.index, receipt.status, receipt.gas_used,
                receipt.effective_gas_price_wei, receipt.fee_wei, entry.included.attempt,
            )
            for block, entry in own
            for receipt in (entry.included.receipt,)
        ]
    )  # fmt: skip
    tx.postings.book_many(
        [
            PostingEntry(kind, block.chain_id, block.number, block.hash, legs, row.number, intent)
            for (block, entry), row in zip(own, rows, strict=True)
            for kind, intent, legs in _bookings(entry)
        ]
    )
    tx.segments.insert_many(
        [
            SegmentEnd(row.number, place, part.intent, part.landed, part.reason)
            for (_, entry), row in zip(own, rows, strict=True)
            for place, part in enumerate(entry.parts)
        ]
    )
    tell(tx, desk, "inclusion.added", rows, now_s)
    for one in found:
        if one.included:
            _say_doubts(tx, desk, one, now_s)
    # What several plans moved together is read by plan when they end.
    single = [(entry, row) for (_, entry), row in zip(own, rows, strict=True) if not entry.parts]
    return rows, {row.number: entry.legs for entry, row in single}


def _say_doubts(tx: Transaction, desk: Desk, found: Found, now_s: int) -> None:
    """What the block did to our balances beyond the postings, once, whichever kernel is first."""
    block, unexplained = found.block, found.account.unexplained
    where = hex_text(block.hash)
    if not found.account.is_proved and any(i.attempt.lane in desk.fences for i in found.included):
        why: EventData = {"block": block.number, "why": "its state is not kept any more"}
        tx.events.append("unproved", block.chain_id, where, None, why, now_s)
    if not unexplained:
        return
    said = {
        (leg.account, leg.token)
        for row in tx.postings.in_block(block.hash)
        if row.entry.kind == "unexplained"
        for leg in row.entry.legs
    }
    pairs = zip(unexplained[::2], unexplained[1::2], strict=True)
    news = [pair for pair in pairs if (pair[0].account, pair[0].token) not in said]
    if not news:
        return
    legs = tuple(leg for pair in news for leg in pair)
    tx.postings.book(PostingEntry("unexplained", block.chain_id, block.number, block.hash, legs))
    for leg, _ in news:
        data: EventData = {
            "account": _text(leg),
            "token": hex_text(leg.token),
            "difference": str(leg.delta),
        }
        tx.events.append("unexplained", block.chain_id, where, None, data, now_s)


def unwind(
    tx: Transaction, desk: Desk, change: HeadChange, strays: Mapping[Hash, int], now_s: int
) -> frozenset[IntentNumber]:
    """Take back what stood in blocks that are gone; answers who depended on it."""
    hashes = [*(block.hash for block in change.removed), *strays]
    if not hashes:
        return frozenset()
    held = desk.fences.keys()
    flipped = tx.inclusions.flip(hashes, held)
    tx.postings.flip(hashes, held)
    is_first = tx.heads.remove(hashes) > 0
    if is_first or flipped:
        chain_id = desk.parts.network.chain_id
        numbers = [*(block.number for block in change.removed), *strays.values()]
        data: EventData = {
            "depth": len(hashes),
            "from": min(numbers),
            "transactions": len(flipped),
        }
        tx.events.append("reorg", chain_id, str(chain_id), None, data, now_s)
    tell(tx, desk, "inclusion.removed", flipped, now_s)
    return mark_suspects(tx, flipped, _intents_of(tx, desk, flipped), now_s)


def tell(tx: Transaction, desk: Desk, kind: str, rows: Sequence[InclusionRow], now_s: int) -> None:
    """One event for each intent of these inclusions, in one statement."""
    known = desk.intents
    intents_of = [_attempt_of(tx, desk, row).intents for row in rows]
    shared = [row.number for row, intents in zip(rows, intents_of, strict=True) if len(intents) > 1]
    ends = tx.segments.of_inclusions(shared) if shared else []
    failed = {(end.inclusion, end.intent) for end in ends if not end.landed}
    missing = [n for n in _numbers_in(intents_of) if n not in known]
    if missing:
        known.update((row.number, row) for row in tx.intents.get_many(missing))
    blocks = {row.block_hash: hex_text(row.block_hash) for row in rows}
    events = []
    for row, intents in zip(rows, intents_of, strict=True):
        data: dict[str, str | int | bool | None] = {
            "hash": hex_text(row.attempt_hash),
            "block": row.block_number,
            "block_hash": blocks[row.block_hash],
            "status": row.status,
        }
        for number, _ in intents:
            own = data | {"status": False} if (row.number, number) in failed else data
            events.append(NewEvent(kind, row.lane.chain_id, known[number].strategy, number, own))
        if not intents:
            events.append(NewEvent(kind, row.lane.chain_id, str(row.lane), None, data))
    tx.events.append_many(events, now_s)


def _intents_of(tx: Transaction, desk: Desk, rows: Sequence[InclusionRow]) -> list[IntentNumber]:
    return _numbers_in([_attempt_of(tx, desk, row).intents for row in rows])


def _attempt_of(tx: Transaction, desk: Desk, row: InclusionRow) -> AttemptRow:
    return desk.unsettled.get(row.attempt_hash) or tx.attempts.get(row.attempt)


def _bookings(entry: Entry) -> list[tuple[str, IntentNumber | None, tuple[Leg, ...]]]:
    """Kind, intent and legs of each posting entry: one a plan."""
    if not entry.parts:
        intents = entry.included.attempt.intents
        return [("inclusion", intents[0][0] if intents else None, entry.legs)]
    kinds = ["inclusion", *(f"inclusion.{place}" for place in range(1, len(entry.parts)))]
    return [(kind, part.intent, part.legs) for kind, part in zip(kinds, entry.parts, strict=True)]


def _numbers_in(links: Iterable[Sequence[tuple[IntentNumber, int]]]) -> list[IntentNumber]:
    return list(dict.fromkeys([number for intents in links for number, _ in intents]))


def _text(leg: Leg) -> str:
    return leg.account if isinstance(leg.account, str) else hex_text(leg.account)
