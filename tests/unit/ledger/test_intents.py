from __future__ import annotations

import pytest

from seawall.ledger import Transaction
from seawall.ledger.intents import IntentIds
from seawall.ledger.session import Session
from seawall.primitives.bounds import INTENT_ID_BLOCK, UINT256_MAX
from seawall.primitives.codec import plan_digest
from seawall.primitives.errors import IdempotencyConflictError, LedgerError
from seawall.primitives.identifiers import IntentNumber, intent_id_of
from seawall.primitives.levels import Finality, IntentState, Priority
from seawall.primitives.units import hex_text
from tests.unit.ledger.samples import EPOCH, LANE, NOW_S, accepted, executor_plan, plan

S = IntentState


def test_accepted_plan_comes_back_whole(tx: Transaction) -> None:
    wanted = plan("a", value_wei=UINT256_MAX)
    created = tx.intents.accept(wanted, plan_digest(wanted), "c-1", NOW_S)
    stored = tx.intents.get(created.intent.number)
    assert created.created
    assert stored == created.intent
    assert (stored.plan, stored.state, stored.lane, stored.correlation_id) == (wanted, S.QUEUED, LANE, "c-1")


def test_same_key_and_digest_answers_the_first_intent(tx: Transaction) -> None:
    first = tx.intents.accept(plan("a"), plan_digest(plan("a")), "c-1", NOW_S)
    again = tx.intents.accept(plan("a"), plan_digest(plan("a")), "c-2", NOW_S + 9)
    assert again.intent == first.intent
    assert not again.created


def test_same_key_with_another_digest_shows_both_digests(tx: Transaction) -> None:
    first, other = plan("a"), plan("a", value_wei=2)
    tx.intents.accept(first, plan_digest(first), "c", NOW_S)
    with pytest.raises(IdempotencyConflictError) as caught:
        tx.intents.accept(other, plan_digest(other), "c", NOW_S)
    assert hex_text(plan_digest(first)) in str(caught.value)
    assert hex_text(plan_digest(other)) in str(caught.value)


def test_same_key_of_two_strategies_is_two_intents(tx: Transaction) -> None:
    one, two = plan("a", strategy="x"), plan("a", strategy="y")
    rows = [tx.intents.accept(p, plan_digest(p), "c", NOW_S).intent for p in (one, two)]
    assert rows[0].number != rows[1].number
    assert tx.intents.find("y", "a") == rows[1]
    assert tx.intents.find("z", "a") is None


def test_ids_count_from_the_epoch_for_each_executor(tx: Transaction) -> None:
    direct = [accepted(tx, f"d{i}").intent_id for i in range(3)]
    through = executor_plan("e")
    executor = tx.intents.accept(through, plan_digest(through), "c", NOW_S).intent.intent_id
    assert direct == [intent_id_of(EPOCH, i) for i in range(3)]
    assert executor == intent_id_of(EPOCH, 0)


def test_another_kernel_takes_the_next_block_of_ids(tx: Transaction, session: Session) -> None:
    accepted(tx, "a")
    restarted = Transaction(session, IntentIds(EPOCH))
    assert accepted(restarted, "b").intent_id == intent_id_of(EPOCH, INTENT_ID_BLOCK)
    assert accepted(tx, "c").intent_id == intent_id_of(EPOCH, 1)


def test_used_up_block_is_followed_by_a_fresh_one(session: Session) -> None:
    ids = IntentIds(EPOCH)
    taken = [ids.take(session, 1, LANE.key) for _ in range(INTENT_ID_BLOCK + 1)]
    assert taken == [intent_id_of(EPOCH, i) for i in range(INTENT_ID_BLOCK + 1)]


def test_queue_is_by_priority_then_number(tx: Transaction) -> None:
    for key, priority in (
        ("n", Priority.NORMAL),
        ("l", Priority.LOW),
        ("c", Priority.CRITICAL),
        ("m", Priority.NORMAL),
    ):
        wanted = plan(key, priority=priority)
        tx.intents.accept(wanted, plan_digest(wanted), "c", NOW_S)
    assert [row.plan.idempotency_key for row in tx.intents.queued(LANE, 10)] == ["c", "n", "m", "l"]
    assert [row.plan.idempotency_key for row in tx.intents.queued(LANE, 2)] == ["c", "n"]


def test_states_are_listed_by_lane(tx: Transaction) -> None:
    rows = [accepted(tx, key) for key in "abc"]
    tx.intents.set_state(rows[0].number, S.COMMITTED, "", None, NOW_S)
    tx.intents.set_state(rows[1].number, S.REFUSED, "slippage", None, NOW_S)
    assert [r.number for r in tx.intents.in_state(LANE, S.COMMITTED)] == [rows[0].number]
    assert [r.number for r in tx.intents.in_state(LANE, S.QUEUED)] == [rows[2].number]
    assert [r.number for r in tx.intents.alive(10)] == [rows[0].number, rows[2].number]


def test_outcomes_are_not_collected(tx: Transaction) -> None:
    with pytest.raises(AssertionError, match="listed, not collected"):
        tx.intents.in_state(LANE, S.LANDED)


def test_listing_pages_from_the_newest(tx: Transaction) -> None:
    numbers = [accepted(tx, f"k{i}").number for i in range(5)]
    first = [row.number for row in tx.intents.listing(2)]
    assert first == [numbers[4], numbers[3]]
    assert [r.number for r in tx.intents.listing(2, before=first[-1])] == [numbers[2], numbers[1]]
    assert tx.intents.listing(5, strategy="nobody") == []
    assert len(tx.intents.listing(5, strategy="keeper")) == 5


@pytest.mark.parametrize("outcome", [(S.REFUSED, None), (S.EXPIRED, None), (S.CANCELLED, None)])
def test_outcome_of_a_queued_intent_stays(tx: Transaction, outcome: tuple[IntentState, None]) -> None:
    row = accepted(tx)
    tx.intents.set_state(row.number, outcome[0], "why", None, NOW_S + 5)
    for state, finality in (
        (S.QUEUED, None),
        (S.COMMITTED, None),
        (S.LANDED, Finality.FINAL),
        (S.CANCELLED, Finality.SAFE),
    ):
        with pytest.raises(LedgerError, match="cannot become"):
            tx.intents.set_state(row.number, state, "", finality, NOW_S + 6)
    stored = tx.intents.get(row.number)
    assert (stored.state, stored.reason, stored.ended_at_s, stored.is_settled) == (
        outcome[0],
        "why",
        NOW_S + 5,
        True,
    )


def test_saying_an_outcome_again_changes_nothing(tx: Transaction) -> None:
    row = accepted(tx)
    tx.intents.set_state(row.number, S.REFUSED, "first", None, NOW_S)
    tx.intents.set_state(row.number, S.REFUSED, "second", None, NOW_S + 9)
    assert tx.intents.get(row.number).reason == "first"


@pytest.mark.parametrize("state", [S.REFUSED, S.EXPIRED])
def test_committed_intent_is_never_refused_or_expired(tx: Transaction, state: IntentState) -> None:
    row = accepted(tx)
    tx.intents.set_state(row.number, S.COMMITTED, "", None, NOW_S)
    with pytest.raises(LedgerError, match="cannot become"):
        tx.intents.set_state(row.number, state, "", None, NOW_S)


def test_reorg_takes_back_a_provisional_landing_but_not_a_final_one(tx: Transaction) -> None:
    row = accepted(tx)
    tx.intents.set_state(row.number, S.COMMITTED, "", None, NOW_S)
    tx.intents.set_state(row.number, S.LANDED, "", Finality.INCLUDED, NOW_S + 1)
    assert not tx.intents.get(row.number).is_settled
    tx.intents.set_state(row.number, S.COMMITTED, "reorg", None, NOW_S + 2)
    assert tx.intents.get(row.number).ended_at_s is None
    tx.intents.set_state(row.number, S.FAILED, "reverted", Finality.FINAL, NOW_S + 3)
    with pytest.raises(LedgerError, match=r"failed \(final\) and cannot become committed"):
        tx.intents.set_state(row.number, S.COMMITTED, "", None, NOW_S + 4)


def test_queued_intent_cannot_land(tx: Transaction) -> None:
    row = accepted(tx)
    with pytest.raises(LedgerError, match="cannot become landed"):
        tx.intents.set_state(row.number, S.LANDED, "", Finality.FINAL, NOW_S)


@pytest.mark.parametrize(
    ("state", "finality"),
    [(S.LANDED, None), (S.FAILED, None), (S.REFUSED, Finality.SAFE), (S.QUEUED, Finality.FINAL)],
)
def test_finality_must_fit_the_state(tx: Transaction, state: IntentState, finality: Finality | None) -> None:
    with pytest.raises(LedgerError, match="carry the finality"):
        tx.intents.set_state(accepted(tx).number, state, "", finality, NOW_S)


def test_candidates_count_up_while_alive(tx: Transaction) -> None:
    row = accepted(tx)
    assert [tx.intents.count_candidate(row.number) for _ in range(2)] == [1, 2]
    tx.intents.set_state(row.number, S.EXPIRED, "late", None, NOW_S)
    with pytest.raises(LedgerError, match="takes no candidate"):
        tx.intents.count_candidate(row.number)


def test_reason_is_explained_without_a_change_of_state(tx: Transaction) -> None:
    row = accepted(tx)
    tx.intents.explain(row.number, "its verdict lapsed")
    assert (tx.intents.get(row.number).reason, tx.intents.get(row.number).state) == (
        "its verdict lapsed",
        S.QUEUED,
    )
    tx.intents.set_state(row.number, S.EXPIRED, "late", None, NOW_S)
    with pytest.raises(LedgerError, match="already"):
        tx.intents.explain(row.number, "again")


def test_asked_cancellation_is_noted_and_changes_no_outcome(tx: Transaction) -> None:
    row = accepted(tx)
    assert row.cancel_reason is None
    asked = tx.intents.ask_cancel(row.number, "operator: wrong pool")
    assert (asked.state, asked.cancel_reason) == (S.QUEUED, "operator: wrong pool")
    assert tx.intents.get(row.number) == asked
    tx.intents.set_state(row.number, S.EXPIRED, "late", None, NOW_S)
    too_late = tx.intents.ask_cancel(row.number, "operator: again")
    assert (too_late.state, too_late.cancel_reason) == (S.EXPIRED, "operator: wrong pool")


def test_profit_keeps_the_prediction_and_a_reorg_clears_what_was_realised(tx: Transaction) -> None:
    number = accepted(tx).number
    tx.intents.set_profit(number, -(2**200), None)
    tx.intents.set_profit(number, None, 2**200)
    assert (tx.intents.get(number).predicted_wei, tx.intents.get(number).realised_wei) == (-(2**200), 2**200)
    tx.intents.set_profit(number, None, None)
    assert (tx.intents.get(number).predicted_wei, tx.intents.get(number).realised_wei) == (-(2**200), None)


def test_unknown_number_is_a_typed_error(tx: Transaction) -> None:
    missing = IntentNumber(99)
    for work in (
        lambda: tx.intents.get(missing),
        lambda: tx.intents.ask_cancel(missing, "why"),
        lambda: tx.intents.set_state(missing, S.EXPIRED, "", None, NOW_S),
        lambda: tx.intents.count_candidate(missing),
        lambda: tx.intents.set_profit(missing, 1, 1),
    ):
        with pytest.raises(LedgerError, match="no intent #99"):
            work()
