from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import bindparam
from sqlalchemy.dialects import sqlite

from seawall.ledger import Transaction
from seawall.ledger.batches import insert_batch, int256_text
from seawall.ledger.bulk import ALIKE_MIN, CHUNKS, Batch
from seawall.ledger.columns import Int256
from seawall.ledger.rows import AttemptRow, Ending, IntentRow, NewEvent
from seawall.ledger.schema import cursors, reservations, slots
from seawall.ledger.session import Prepared, Session
from seawall.primitives.codec import plan_digest
from seawall.primitives.errors import LedgerError
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


def test_updated_rows_that_get_the_same_values_are_named_in_a_list(tx: Transaction) -> None:
    _, attempts = committed(tx, MANY)
    answers = ["known" if a.nonce % 3 else f"answer {a.nonce % 9}" for a in attempts]
    tx.attempts.mark_written_many(list(zip(attempts, answers, strict=True)), NOW_S + 1)
    written = tx.attempts.unsettled(LANE.chain_id)
    assert [(row.answer, row.writes) for row in written] == [(answer, 1) for answer in answers]
    statement = sa.update(slots).where(slots.c.number == bindparam("row")).values(consumed_by=bindparam("by"))
    rows: list[tuple[object, ...]] = [(b"x", number) for number in range(ALIKE_MIN)]
    rows[1:1] = [(b"y", 99)]
    chunks = list(Batch(statement, ["by", "row"]).chunks(DIALECT, rows))
    assert [values for _, values in chunks] == [[bytearray(b"x"), *range(ALIKE_MIN)], [bytearray(b"y"), 99]]
    assert chunks[0][0].endswith(f"number IN ({', '.join('?' * ALIKE_MIN)})")


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


def test_two_rows_about_the_same_row_are_refused_and_nothing_is_changed(tx: Transaction) -> None:
    _, attempts = committed(tx, 2)
    with pytest.raises(LedgerError, match="change the same row"):
        tx.attempts.mark_written_many([(attempts[0], "one"), (attempts[1], "two"), (attempts[0], "three")], 7)
    assert [row.answer for row in tx.attempts.unsettled(LANE.chain_id)] == ["", ""]


TABLE = sa.Table(
    "bulk_samples",
    sa.MetaData(),
    sa.Column("number", sa.BigInteger, primary_key=True),
    sa.Column("data", sa.LargeBinary),
    sa.Column("text", sa.Text),
    sa.Column("amount", Int256),
    sa.Column("count", sa.BigInteger),
    sa.Column("is_so", sa.Boolean, nullable=False),
)
INSERT = insert_batch(TABLE)
INSERT_ONE = Prepared(sa.insert(TABLE), [c.name for c in TABLE.c])
CHANGES = {"data": "new_data", "text": "new_text", "amount": "new_amount", "count": "new_count"}
CHANGE = (
    sa.update(TABLE)
    .where(TABLE.c.number == bindparam("row"), TABLE.c.is_so == bindparam("was", type_=sa.Boolean))
    .values({name: bindparam(new, type_=TABLE.c[name].type) for name, new in CHANGES.items()})
)
UPDATE = Batch(CHANGE, [*CHANGES.values(), "row", "was"])
UPDATE_ONE = Prepared(CHANGE)
DELETE = Batch(sa.delete(TABLE).where(TABLE.c.number == bindparam("row")), ["row"])
ALL = Prepared(sa.select(*TABLE.c).order_by(TABLE.c.number))
NUMBERS = st.integers(-(2**63), 2**63 - 1)
VALUES = st.tuples(
    st.none() | st.binary(max_size=40),
    st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
    st.none() | st.integers(-(2**256) + 1, 2**256 - 1),
    st.none() | NUMBERS,
)


def _stored(values: tuple[bytes | None, str | None, int | None, int | None]) -> tuple[object, ...]:
    """As a batch takes it: in the driver's own form."""
    data, text, amount, count = values
    return data, text, None if amount is None else int256_text(amount), count


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), size=st.sampled_from([1, 2, 3, 7, 8, 9, 31, 32, 33, 43, 64, 65]))
def test_many_rows_end_as_row_by_row(session: Session, data: st.DataObject, size: int) -> None:
    """On both databases, at every border of a chunk, with nothing, bytes and numbers of any size."""
    numbers = data.draw(st.lists(NUMBERS, min_size=size, max_size=size, unique=True))
    first, second = (data.draw(st.lists(VALUES, min_size=size, max_size=size)) for _ in range(2))
    flags = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    found = []
    for is_bulk in (True, False):
        session.savepoint()
        session.define(sa.schema.CreateTable(TABLE))
        new = list(zip(numbers, first, flags, strict=True))
        changed = list(zip(numbers, second, strict=True))
        if is_bulk:
            session.load(INSERT, [(number, *_stored(values), flag) for number, values, flag in new])
            touched = session.load(UPDATE, [(*_stored(values), n, True) for n, values in changed])
        else:
            for number, values, flag in new:
                row = dict(zip(TABLE.c.keys(), (number, *values, flag), strict=True))
                session.run(INSERT_ONE, row)
            touched = sum(
                session.run(
                    UPDATE_ONE, dict(zip(CHANGES.values(), values, strict=True)) | {"row": n, "was": True}
                )
                for n, values in changed
            )
        assert touched == sum(flags)
        found.append(session.rows(ALL))
        assert session.load(DELETE, [(number,) for number in numbers]) == size
        session.rollback_to_savepoint()
    assert found[0] == found[1]
    assert len(found[0]) == size
