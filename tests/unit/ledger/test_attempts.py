from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.ledger import Transaction
from seawall.ledger.rows import AttemptNumber, VerdictNumber
from seawall.primitives.codec import payload_digest
from seawall.primitives.errors import LedgerError
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Address
from tests.unit.ledger.samples import CHAIN_ID, LANE, NOW_S, accepted, committed, digest_of, payload, verdict


def test_attempt_comes_back_whole(tx: Transaction) -> None:
    attempt = committed(tx, 3)
    assert tx.attempts.by_hash(attempt.hash) == attempt
    assert tx.attempts.get(attempt.number) == attempt
    assert tx.attempts.of_slot(LANE, 3) == [attempt]
    assert tx.attempts.of_intent(attempt.intents[0][0]) == [attempt]
    assert tx.attempts.by_hash(digest_of("unknown")) is None


def test_batch_links_every_segment(tx: Transaction) -> None:
    numbers = [accepted(tx, f"k{i}").number for i in range(3)]
    slot = tx.slots.insert(LANE, 0, "plan", numbers[0])
    judged = tx.verdicts.insert(verdict(numbers[0]), NOW_S)
    links = [(number, segment) for segment, number in enumerate(numbers)]
    attempt = tx.attempts.insert(
        slot,
        digest_of("h"),
        b"raw",
        payload(),
        payload_digest(payload()),
        WriteKind.PLAN,
        1,
        1,
        "public",
        judged,
        links,
        NOW_S,
    )
    assert tx.attempts.unsettled(CHAIN_ID) == [attempt]
    assert tx.attempts.unsettled(CHAIN_ID)[0].intents == tuple(links)


def test_unsettled_are_those_of_open_slots_in_commit_order(tx: Transaction) -> None:
    second, first = committed(tx, 5), committed(tx, 4)
    done = committed(tx, 6)
    tx.slots.settle(LANE, 6, done.hash)
    assert tx.attempts.unsettled(CHAIN_ID) == [second, first]
    assert tx.attempts.unsettled(1) == []


def test_hash_is_stored_once(tx: Transaction) -> None:
    committed(tx, 0, attempt_hash=digest_of("same"))
    with pytest.raises(LedgerError, match="exists already"):
        committed(tx, 1, attempt_hash=digest_of("same"))


def test_writes_are_counted_with_their_last_answer(tx: Transaction) -> None:
    rows = [committed(tx, nonce) for nonce in range(2)]
    tx.attempts.mark_written(rows, NOW_S + 1, "accepted")
    tx.attempts.mark_written(rows[:1], NOW_S + 2, "known")
    stored = [tx.attempts.get(row.number) for row in rows]
    assert [(r.writes, r.written_at_s, r.answer) for r in stored] == [
        (2, NOW_S + 2, "known"),
        (1, NOW_S + 1, "accepted"),
    ]


def test_plan_without_a_verdict_is_refused_and_housekeeping_is_not(tx: Transaction) -> None:
    slot = tx.slots.insert(LANE, 0, "gap_fill", None)
    bytes_of = (b"raw", payload(), payload_digest(payload()))
    with pytest.raises(LedgerError, match="only housekeeping"):
        tx.attempts.insert(slot, digest_of("p"), *bytes_of, WriteKind.PLAN, 1, 1, "public", None, [], NOW_S)
    kept = tx.attempts.insert(
        slot, digest_of("h"), *bytes_of, WriteKind.HOUSEKEEPING, 1, 1, "public", None, [], NOW_S
    )
    assert kept.verdict is None


@pytest.mark.parametrize(
    ("admitted", "nonce", "fee_wei", "reason"),
    [
        (False, 0, 10**15, "refused"),
        (True, 1, 10**15, "is about payload"),
        (True, 0, 99_999, "a fee of at most"),
    ],
)
def test_bytes_need_a_verdict_that_admits_exactly_them(
    tx: Transaction, admitted: bool, nonce: int, fee_wei: int, reason: str
) -> None:
    attempt = committed(tx, 0)
    other = verdict(attempt.intents[0][0], admitted=admitted, nonce=nonce, max_total_fee_wei=fee_wei)
    number = tx.verdicts.insert(other, NOW_S)
    with pytest.raises(LedgerError, match=reason):
        tx.attempts.renew(attempt, number)


def test_renewal_is_recorded_and_the_old_verdict_stays(tx: Transaction) -> None:
    attempt = committed(tx, 0)
    intent = attempt.intents[0][0]
    renewed = tx.verdicts.insert(verdict(intent, candidate=2), NOW_S + 5)
    tx.attempts.renew(attempt, renewed)
    stored = tx.attempts.get(attempt.number)
    assert (stored.verdict, stored.renewals, stored.raw) == (renewed, 1, attempt.raw)
    assert [row.number for row in tx.verdicts.of_intent(intent)] == [attempt.verdict, renewed]


def test_payload_of_another_lane_is_refused(tx: Transaction) -> None:
    slot = tx.slots.insert(LANE, 0, "gap_fill", None)
    foreign = replace(payload(), sender=Address(b"\x55" * 20))
    with pytest.raises(LedgerError, match="another lane"):
        tx.attempts.insert(
            slot,
            digest_of("h"),
            b"",
            foreign,
            payload_digest(foreign),
            WriteKind.HOUSEKEEPING,
            1,
            1,
            "public",
            None,
            [],
            NOW_S,
        )


def test_refusal_is_stored_with_every_measurement(tx: Transaction) -> None:
    refused = verdict(accepted(tx).number, admitted=False)
    number = tx.verdicts.insert(refused, NOW_S)
    assert tx.verdicts.get(number).verdict == refused
    assert tx.verdicts.of_intent(refused.number)[0].verdict.explanation == "slippage: the pool moved"


def test_unknown_numbers_are_typed_errors(tx: Transaction) -> None:
    attempt = committed(tx, 0)
    with pytest.raises(LedgerError, match="no verdict 99"):
        tx.verdicts.get(VerdictNumber(99))
    with pytest.raises(LedgerError, match="no verdict 99"):
        tx.attempts.renew(attempt, VerdictNumber(99))
    with pytest.raises(LedgerError, match="no attempt 99"):
        tx.attempts.get(AttemptNumber(99))
