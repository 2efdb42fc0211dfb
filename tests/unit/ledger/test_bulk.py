from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlalchemy.dialects import sqlite

from seawall.ledger import Transaction
from seawall.ledger.batches import insert_batch
from seawall.ledger.bulk import CHUNKS, Batch
from seawall.ledger.rows import AttemptRow, Ending, IntentRow, NewEvent
from seawall.ledger.schema import cursors, reservations, slots
from seawall.ledger.session import Session
from seawall.primitives.codec import plan_digest
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.units import NATIVE
from tests.unit.ledger.samples import LANE, NOW_S, plan, verdict
from tests.unit.ledger.test_batches import commitment

DIALECT = sqlite.dialect()
MANY = sum(CHUNKS) + CHUNKS[0]  # takes a chunk of every size


def committed(tx: Transaction, count: int) -> tuple[list[IntentRow], list[AttemptRow]]:
    plans = [plan(f"k{i}") for i in range(count)]
    accepted = tx.intents.accept_many([(each, plan_digest(each)) for each in plans], "correlation", NOW_S)
    rows = [one.intent for one in accepted]
    return rows, tx.commitments.insert([commitment(row, i) for i, row in enumerate(rows)], NOW_S)


def sizes_of(batch: Batch, count: int) -> list[int]:
    rows = [(f"n{i}", i) for i in range(count)]
    chunks = list(batch.chunks(DIALECT, rows))
    assert [value for _, values in chunks for value in values] == [value for row in rows for value in row]
    return [len(values) // 2 for _, values in chunks]


def test_rows_go_in_chunks_of_few_sizes() -> None:
    batch = insert_batch(cursors)
    assert sizes_of(batch, 1) == [1]
    assert sizes_of(batch, 23) == [8, 8, 2, 2, 2, 1]
    assert sizes_of(batch, 2 * CHUNKS[0]) == [CHUNKS[0]] * 2
    assert len({text for text, _ in batch.chunks(DIALECT, [("n", 1)] * MANY)}) == len(CHUNKS)


def test_bytes_go_as_bytearrays_and_nothing_as_it_is() -> None:
    statement = sa.update(slots).where(slots.c.number == bindparam("row")).values(consumed_by=bindparam("by"))
    (_, values), *rest = Batch(statement, ["by", "row"]).chunks(DIALECT, [(b"x" * 32, 1), (None, 2)])
    assert [type(value) for value in values] == [bytearray, int, type(None), int]
    assert rest == []


def test_deletion_of_many_names_them_in_a_list() -> None:
    statement = sa.delete(reservations).where(reservations.c.attempt == bindparam("of"))
    (text, values), *rest = Batch(statement, ["of"]).chunks(DIALECT, [(i,) for i in range(2)])
    assert text.endswith("attempt IN (?, ?)")
    assert (values, rest) == ([0, 1], [])


def test_many_rows_are_stored_as_single_ones_are(tx: Transaction) -> None:
    intents, attempts = committed(tx, MANY)
    assert tx.attempts.of_slots([(LANE, nonce) for nonce in range(MANY)]) == {
        (LANE, nonce): [attempt] for nonce, attempt in enumerate(attempts)
    }
    assert [row.verdict for row in tx.verdicts.of_intent(intents[-1].number)] == [
        verdict(intents[-1].number, nonce=MANY - 1)
    ]
    assert {row.state for row in tx.intents.get_many([row.number for row in intents])} == {
        IntentState.COMMITTED
    }


def test_each_of_many_updated_rows_gets_its_own_values(tx: Transaction) -> None:
    intents, attempts = committed(tx, MANY)
    tx.attempts.mark_written_many([(a, f"answer {a.nonce}") for a in attempts], NOW_S + 1)
    assert [row.answer for row in tx.attempts.unsettled(LANE.chain_id)] == [
        f"answer {nonce}" for nonce in range(MANY)
    ]
    tx.slots.settle_many([(LANE, a.nonce, a.hash if a.nonce % 2 else None) for a in attempts])
    assert tx.slots.open(LANE) == []
    assert [slot.consumed_by for slot in tx.slots.listing(MANY)][::-1] == [
        a.hash if a.nonce % 2 else None for a in attempts
    ]
    endings = [Ending(r.number, IntentState.LANDED, "", Finality.FINAL, -i) for i, r in enumerate(intents)]
    tx.intents.end_many(endings, NOW_S)
    assert [row.realised_wei for row in tx.intents.get_many([row.number for row in intents])] == [
        -i for i in range(MANY)
    ]
    tx.reservations.release_many([a.number for a in attempts])
    assert tx.reservations.sum(LANE, NATIVE) == 0


def test_numbers_stay_apart_where_the_database_gives_some_itself(session: Session, tx: Transaction) -> None:
    many = [NewEvent("many", 1, "s", None, {})] * 3
    session.savepoint()
    first = list(tx.events.append_many(many, NOW_S))
    session.rollback_to_savepoint()
    first = list(tx.events.append_many(many, NOW_S))
    single = tx.events.append("single", 1, "s", None, {}, NOW_S)
    last = list(tx.events.append_many(many, NOW_S))
    assert [*first, single, *last] == sorted({*first, single, *last})
    assert [row.seq for row in tx.events.after(0)] == [*first, single, *last]
