"""What is done to many rows at once is what the single stores do, one by one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from seawall.ledger import Transaction
from seawall.ledger.batches import LIST_MAX, int256_text, take_numbers, uint256_text
from seawall.ledger.columns import Int256, Uint256
from seawall.ledger.intents import IntentIds
from seawall.ledger.rows import (
    AttemptRow,
    Commitment,
    Ending,
    IntentRow,
    Leg,
    NewEvent,
    NewInclusion,
    PostingEntry,
)
from seawall.ledger.schema import events, intents
from seawall.ledger.session import Session
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.codec import payload_digest, plan_digest
from seawall.primitives.errors import (
    IdempotencyConflictError,
    IntegrityAlarm,
    LedgerError,
    NonceTakenError,
)
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.plans import Plan
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.primitives.verdicts import Verdict
from tests.unit.ledger.samples import (
    CHAIN_ID,
    EPOCH,
    LANE,
    NOW_S,
    TOKEN,
    accepted,
    block,
    committed,
    digest_of,
    executor_plan,
    included,
    payload,
    plan,
    verdict,
)

OTHER = Lane(CHAIN_ID, Address(b"\x09" * 20))


def with_digests(*plans: Plan) -> list[tuple[Plan, Hash]]:
    return [(each, plan_digest(each)) for each in plans]


def accept(tx: Transaction, *keys: str) -> list[IntentRow]:
    rows = tx.intents.accept_many(with_digests(*(plan(key) for key in keys)), "correlation", NOW_S)
    return [row.intent for row in rows]


def commitment(intent: IntentRow, nonce: int) -> Commitment:
    judged = verdict(intent.number, nonce=nonce)
    return Commitment(
        LANE, nonce, intent.number, intent.strategy, judged, digest_of("attempt", nonce), b"\x02raw",
        payload(nonce), payload_digest(payload(nonce)), 10**9, 10**8, "public",
        ((NATIVE, 10**15), (TOKEN, UINT256_MAX)),
    )  # fmt: skip


def commit(tx: Transaction, count: int) -> list[AttemptRow]:
    rows = accept(tx, *(f"at-{nonce}" for nonce in range(count)))
    return tx.commitments.insert([commitment(row, nonce) for nonce, row in enumerate(rows)], NOW_S)


def new_inclusion(attempt: AttemptRow, number: int, fork: str = "a") -> NewInclusion:
    return NewInclusion(attempt.hash, block(number, fork), 3, True, 21_000, 10**9, 21_000 * 10**9)


def test_accepted_batch_reads_back_as_it_was_answered(tx: Transaction) -> None:
    plans = with_digests(plan("a"), executor_plan("b"), plan("c", value_wei=2**255))
    answered = tx.intents.accept_many(plans, "correlation", NOW_S)
    assert [a.created for a in answered] == [True] * 3
    rows = [a.intent for a in answered]
    assert tx.intents.get_many([row.number for row in rows]) == rows
    assert [row.plan for row in rows] == [wanted for wanted, _ in plans]
    assert [row.number for row in rows] == sorted({row.number for row in rows})


def test_batch_and_single_acceptance_store_the_same(tx: Transaction) -> None:
    one = accepted(tx, "single")
    many = accept(tx, "batch")[0]
    assert many == replace(
        one,
        number=many.number,
        plan=plan("batch"),
        plan_digest=plan_digest(plan("batch")),
        intent_id=one.intent_id + 1,
    )
    assert accepted(tx, "after").number > many.number


def test_known_keys_of_a_batch_answer_their_first_intent(tx: Transaction) -> None:
    before = accepted(tx, "known")
    answered = tx.intents.accept_many(
        with_digests(plan("new"), plan("known"), plan("twice"), plan("twice")), "correlation", NOW_S
    )
    assert [a.created for a in answered] == [True, False, True, False]
    assert answered[1].intent == before
    assert answered[3].intent == answered[2].intent
    assert len(tx.intents.alive(10)) == 3


def test_known_key_with_another_digest_refuses_the_batch(tx: Transaction) -> None:
    accepted(tx, "known")
    with pytest.raises(IdempotencyConflictError, match="was used for plan 0x"):
        tx.intents.accept_many(with_digests(plan("new"), plan("known", value_wei=9)), "correlation", NOW_S)


def test_ids_of_a_batch_cross_their_blocks_without_a_gap(session: Session) -> None:
    tx = Transaction(session, IntentIds(EPOCH))
    rows = accept(tx, *(f"{i}" for i in range(300)))
    assert [row.intent_id & (2**128 - 1) for row in rows] == list(range(300))


def test_candidates_of_a_batch_count_up_while_alive(tx: Transaction) -> None:
    numbers = [row.number for row in accept(tx, "a", "b")]
    tx.intents.count_candidate(numbers[0])
    assert tx.intents.counted_many(numbers) == [2, 1]
    assert tx.intents.counted_many([numbers[1], numbers[0]]) == [2, 3]
    tx.intents.set_state(numbers[0], IntentState.EXPIRED, "late", None, NOW_S)
    with pytest.raises(LedgerError, match="takes no candidate"):
        tx.intents.counted_many(numbers)


def test_commitment_stores_what_the_single_stores_would(tx: Transaction) -> None:
    attempt = commit(tx, 3)[1]
    intent = tx.intents.get(attempt.intents[0][0])
    assert tx.attempts.by_hash(attempt.hash) == attempt
    slot = tx.slots.get(LANE, 1)
    assert slot is not None
    assert (slot.row, slot.purpose, slot.intent, slot.final) == (attempt.slot, "plan", intent.number, False)
    stored: list[Verdict] = [row.verdict for row in tx.verdicts.of_intent(intent.number)]
    assert stored == [verdict(intent.number, nonce=1)]
    assert (intent.state, intent.candidates, intent.predicted_wei) == (IntentState.COMMITTED, 1, 2**200)
    assert tx.reservations.sum(LANE, NATIVE) == 3 * 10**15
    assert tx.reservations.sum(LANE, TOKEN) == 3 * UINT256_MAX
    spent = {(row.attempt, row.token): (row.amount, row.at_s) for row in tx.spends.since(LANE, NOW_S)}
    assert spent[attempt.number, TOKEN] == (UINT256_MAX, NOW_S)
    event = tx.events.after(0)[1]
    assert (event.kind, event.chain_id, event.subject, event.intent, event.data, event.at_s) == (
        "intent.committed",
        CHAIN_ID,
        "keeper",
        intent.number,
        {"hash": f"0x{attempt.hash.hex()}", "nonce": 1},
        NOW_S,
    )


def test_singles_go_on_where_a_batch_ended(tx: Transaction) -> None:
    batch = commit(tx, 3)
    single = committed(tx, 3)
    assert single.number > batch[-1].number
    assert single.slot > batch[-1].slot
    seq = tx.events.append("x", CHAIN_ID, "s", None, {}, NOW_S)
    assert seq > max(e.seq for e in tx.events.after(0)[:-1])


def test_taken_nonce_refuses_the_batch(tx: Transaction) -> None:
    tx.slots.insert(LANE, 1, "gap_fill", None)
    with pytest.raises(NonceTakenError, match="nonce 0 is taken, or one of 2 up to 1"):
        commit(tx, 2)


def test_intent_that_is_not_queued_refuses_the_batch(tx: Transaction) -> None:
    rows = accept(tx, "a", "b")
    tx.intents.set_state(rows[1].number, IntentState.EXPIRED, "late", None, NOW_S)
    with pytest.raises(LedgerError, match="1 of 2 intents are not queued"):
        tx.commitments.insert([commitment(row, nonce) for nonce, row in enumerate(rows)], NOW_S)


def test_hash_that_exists_refuses_the_batch(tx: Transaction) -> None:
    committed(tx, 7, attempt_hash=digest_of("attempt", 0))
    with pytest.raises(LedgerError, match="exists already"):
        tx.commitments.insert([commitment(accepted(tx, "new"), 0)], NOW_S)


BROKEN: dict[str, Callable[[Commitment], Commitment]] = {
    "refused it": lambda c: replace(c, verdict=replace(c.verdict, admitted=False)),
    "about payload": lambda c: replace(c, payload_digest=digest_of("other")),
    "a fee of at most": lambda c: replace(c, max_fee_per_gas_wei=10**12),
    "of another lane": lambda c: replace(c, lane=OTHER),
    "about intent": lambda c: replace(c, intent=IntentNumber(c.intent + 1)),
}


@pytest.mark.parametrize("problem", BROKEN)
def test_commitment_that_its_verdict_does_not_carry_is_refused(tx: Transaction, problem: str) -> None:
    broken = BROKEN[problem](commitment(accepted(tx), 0))
    with pytest.raises(LedgerError, match=problem):
        tx.commitments.insert([broken], NOW_S)
    assert tx.slots.highest(LANE) is None


def test_attempts_are_found_by_hashes_and_by_slots(tx: Transaction) -> None:
    rows = commit(tx, 5)
    assert tx.attempts.by_hashes([rows[3].hash, digest_of("nobody"), rows[0].hash]) == {
        rows[0].hash: rows[0],
        rows[3].hash: rows[3],
    }
    wanted = [(LANE, 4), (LANE, 77), (OTHER, 0), (LANE, 2)]
    assert tx.attempts.of_slots(wanted) == {
        (LANE, 4): [rows[4]],
        (LANE, 77): [],
        (OTHER, 0): [],
        (LANE, 2): [rows[2]],
    }


def test_lists_beyond_one_statement_are_whole(tx: Transaction) -> None:
    rows = commit(tx, LIST_MAX + 3)
    assert tx.attempts.by_hashes([row.hash for row in rows]) == {row.hash: row for row in rows}
    numbers = [row.intents[0][0] for row in rows]
    assert [row.number for row in tx.intents.get_many(numbers)] == numbers


def test_marks_of_writes_keep_each_answer(tx: Transaction) -> None:
    first, second, third = commit(tx, 3)
    tx.attempts.mark_written_many([(first, "accepted"), (third, "already known")], NOW_S + 1)
    tx.attempts.mark_written_many([(third, "nonce too low")], NOW_S + 2)
    found = tx.attempts.by_hashes([first.hash, second.hash, third.hash])
    assert [
        (found[a.hash].writes, found[a.hash].answer, found[a.hash].written_at_s)
        for a in (first, second, third)
    ] == [
        (1, "accepted", NOW_S + 1),
        (0, "", None),
        (2, "nonce too low", NOW_S + 2),
    ]


def test_newer_attempts_of_the_chain_are_read_from_a_mark(tx: Transaction) -> None:
    assert tx.attempts.newest(CHAIN_ID) == 0
    known = commit(tx, 2)
    mark = tx.attempts.newest(CHAIN_ID)
    assert mark >= known[-1].number
    later = committed(tx, 2)
    assert tx.attempts.after(CHAIN_ID, mark) == [later]
    assert tx.attempts.after(CHAIN_ID + 1, mark) == []
    assert tx.attempts.after(CHAIN_ID, tx.attempts.newest(CHAIN_ID)) == []


def test_included_batch_reads_back_and_seen_again_is_one_row(tx: Transaction) -> None:
    attempts = commit(tx, 3)
    rows = tx.inclusions.insert_many([new_inclusion(a, 10) for a in attempts])
    assert tx.inclusions.unsettled(CHAIN_ID) == rows
    assert [row.attempt for row in rows] == [a.number for a in attempts]
    again = tx.inclusions.insert_many([new_inclusion(a, 10) for a in (attempts[2], attempts[2], attempts[0])])
    assert again == [rows[2], rows[2], rows[0]]


def test_attempts_that_are_given_along_need_not_be_asked_for(tx: Transaction) -> None:
    attempts = commit(tx, 3)
    given = [replace(new_inclusion(a, 10), attempt=a) for a in attempts[:2]]
    rows = tx.inclusions.insert_many([*given, new_inclusion(attempts[2], 10)])
    assert rows == [tx.inclusions.canonical_of(a.hash) for a in attempts]
    assert tx.inclusions.insert_many(given) == rows[:2]
    abroad = replace(given[0].block, chain_id=CHAIN_ID + 1)
    with pytest.raises(LedgerError, match="attempt of chain"):
        tx.inclusions.insert_many([replace(given[0], block=abroad)])


def test_batch_brings_back_what_a_reorg_took(tx: Transaction) -> None:
    attempts = commit(tx, 2)
    rows = tx.inclusions.insert_many([new_inclusion(a, 10) for a in attempts])
    tx.inclusions.flip([block(10).hash])
    elsewhere = tx.inclusions.insert_many([new_inclusion(attempts[0], 10, "b")])[0]
    assert elsewhere.number > rows[1].number
    tx.inclusions.flip([block(10, "b").hash])
    assert tx.inclusions.insert_many([new_inclusion(a, 10) for a in attempts]) == rows


def test_nonce_that_landed_in_another_block_is_an_integrity_alarm(tx: Transaction) -> None:
    attempts = commit(tx, 2)
    included(tx, attempts[1], block(10))
    with pytest.raises(IntegrityAlarm, match="another canonical block"):
        tx.inclusions.insert_many([new_inclusion(a, 11) for a in attempts])


def test_batch_with_a_hash_of_nobody_is_refused(tx: Transaction) -> None:
    attempt = commit(tx, 1)[0]
    stranger = replace(new_inclusion(attempt, 10), attempt_hash=digest_of("nobody"))
    with pytest.raises(LedgerError, match="no attempt of ours"):
        tx.inclusions.insert_many([new_inclusion(attempt, 10), stranger])


def entry(inclusion: int, intent: IntentNumber, kind: str = "inclusion") -> PostingEntry:
    legs = (Leg(LANE.key, TOKEN, -(2**200)), Leg("world", TOKEN, 2**200), Leg("fees", NATIVE, 0))
    return PostingEntry(kind, CHAIN_ID, 10, block(10).hash, legs, inclusion, intent)


def test_booked_batch_reads_back_by_intents(tx: Transaction) -> None:
    attempts = commit(tx, 3)
    rows = tx.inclusions.insert_many([new_inclusion(a, 10) for a in attempts])
    intents_of = [a.intents[0][0] for a in attempts]
    entries = [entry(row.number, number) for row, number in zip(rows[:2], intents_of[:2], strict=True)]
    numbers = tx.postings.book_many(entries)
    assert tx.postings.book(entry(rows[0].number, intents_of[0], "fee")) > max(numbers)
    found = tx.postings.of_intents(intents_of)
    assert [row.entry.kind for row in found[intents_of[0]]] == ["inclusion", "fee"]
    assert found[intents_of[1]] == tx.postings.of_intent(intents_of[1])
    assert found[intents_of[1]][0].entry == entries[1]
    assert found[intents_of[2]] == []


def test_unbalanced_or_booked_entry_refuses_the_batch(tx: Transaction) -> None:
    attempt = commit(tx, 1)[0]
    row = tx.inclusions.insert_many([new_inclusion(attempt, 10)])[0]
    good = entry(row.number, attempt.intents[0][0])
    with pytest.raises(LedgerError, match="not zero"):
        tx.postings.book_many([good, replace(good, legs=good.legs[:1])])
    assert tx.postings.of_intent(attempt.intents[0][0]) == []
    tx.postings.book_many([good])
    with pytest.raises(LedgerError, match="booked already"):
        tx.postings.book_many([good])


def test_events_of_a_batch_stand_in_order_behind_the_earlier_ones(tx: Transaction) -> None:
    first = tx.events.append("a", CHAIN_ID, "s", None, {}, NOW_S)
    places = tx.events.append_many(
        [NewEvent(kind, CHAIN_ID, "s", None, {"b": 2**100, "a": None}) for kind in "bcd"], NOW_S
    )
    assert list(places) == sorted(places)
    rows = tx.events.after(first)
    assert [(row.seq, row.kind) for row in rows] == list(zip(places, "bcd", strict=True))
    assert rows[0].data == {"a": None, "b": 2**100}
    assert tx.events.append_many([], NOW_S) == []


def test_settled_batch_is_final_and_saying_it_again_changes_nothing(tx: Transaction) -> None:
    attempts = commit(tx, 3)
    settled = [(LANE, 0, attempts[0].hash), (LANE, 1, None)]
    tx.slots.settle_many(settled)
    tx.slots.settle_many([*settled, (LANE, 2, attempts[2].hash)])
    assert tx.slots.open(LANE) == []
    assert [slot.consumed_by for slot in tx.slots.listing(3, lane=LANE)] == [
        attempts[2].hash,
        None,
        attempts[0].hash,
    ]
    with pytest.raises(LedgerError, match="final means final"):
        tx.slots.settle_many([(LANE, 1, digest_of("other"))])
    with pytest.raises(LedgerError, match="no such slot"):
        tx.slots.settle_many([(LANE, 9, None)])


def test_released_batch_reserves_nothing_any_more(tx: Transaction) -> None:
    attempts = commit(tx, 3)
    tx.reservations.release_many([a.number for a in attempts[:2]])
    tx.reservations.release_many([a.number for a in attempts[:1]])
    assert tx.reservations.sum(LANE, NATIVE) == 10**15


def test_endings_move_each_intent_with_its_own_outcome(tx: Transaction) -> None:
    numbers = [attempt.intents[0][0] for attempt in commit(tx, 3)]
    queued = accepted(tx, "queued").number
    endings = [
        Ending(numbers[0], IntentState.LANDED, "", Finality.FINAL, -(2**200)),
        Ending(numbers[1], IntentState.FAILED, "it reverted", Finality.FINAL, -5),
        Ending(numbers[2], IntentState.LANDED, "", Finality.SAFE, 7),
        Ending(queued, IntentState.EXPIRED, "late", None, None),
    ]
    tx.intents.end_many(endings, NOW_S + 9)
    rows = tx.intents.get_many([*numbers, queued])
    assert [(r.state, r.reason, r.finality, r.realised_wei, r.ended_at_s) for r in rows] == [
        (e.state, e.reason, e.finality, e.realised_wei, NOW_S + 9) for e in endings
    ]
    tx.intents.end_many(endings[:1], NOW_S + 10)
    assert tx.intents.get(numbers[0]).ended_at_s == NOW_S + 9


def test_ending_that_its_intent_does_not_allow_is_refused(tx: Transaction) -> None:
    settled = commit(tx, 1)[0].intents[0][0]
    tx.intents.set_state(settled, IntentState.LANDED, "", Finality.FINAL, NOW_S)
    queued = accepted(tx, "queued").number
    with pytest.raises(LedgerError, match="cannot become failed"):
        tx.intents.end_many([Ending(settled, IntentState.FAILED, "", Finality.FINAL, None)], NOW_S)
    with pytest.raises(LedgerError, match="cannot be expired"):
        tx.intents.end_many([Ending(queued, IntentState.EXPIRED, "", Finality.FINAL, None)], NOW_S)


def test_unknown_number_in_a_list_is_a_typed_error(tx: Transaction) -> None:
    with pytest.raises(LedgerError, match="no intent #99"):
        tx.intents.get_many([accepted(tx).number, IntentNumber(99)])


def test_numbers_are_taken_behind_all_rows_there_are(session: Session, tx: Transaction) -> None:
    last = accepted(tx).number
    taken = take_numbers(session, intents.c.number, 3)
    assert list(taken) == sorted(taken)
    assert min(taken) > last
    assert take_numbers(session, events.c.seq, 0) == []


@pytest.mark.parametrize("value", [0, 1, UINT256_MAX])
def test_amounts_are_written_as_their_columns_write_them(session: Session, value: int) -> None:
    dialect = session._dialect
    assert uint256_text(value) == Uint256().process_bind_param(value, dialect)
    assert int256_text(-value) == Int256().process_bind_param(-value, dialect)
