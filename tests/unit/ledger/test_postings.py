from __future__ import annotations

import pytest

from seawall.ledger import Transaction
from seawall.ledger.rows import Account, Leg, PostingEntry
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import NATIVE, Address
from tests.unit.ledger.samples import CHAIN_ID, EXECUTOR, KEY, LANE, TOKEN, block, committed, included

BIG = 2**255


def moved(amount: int, token: Address = TOKEN, account: Account = KEY) -> tuple[Leg, ...]:
    return Leg(account, token, amount), Leg("world", token, -amount)


def entry(number: int, *legs: Leg, kind: str = "transfers", inclusion: int | None = None) -> PostingEntry:
    return PostingEntry(kind, CHAIN_ID, number, block(number).hash, legs, inclusion)


def test_entry_comes_back_whole(tx: Transaction) -> None:
    attempt = committed(tx)
    number = included(tx, attempt, block(10))
    fee = (Leg(KEY, NATIVE, -5), Leg("fees", NATIVE, 5))
    wanted = PostingEntry(
        "fee", CHAIN_ID, 10, block(10).hash, (*fee, *moved(BIG)), number, attempt.intents[0][0]
    )
    booked = tx.postings.book(wanted)
    rows = tx.postings.of_intent(attempt.intents[0][0])
    assert [(row.number, row.entry, row.canonical) for row in rows] == [(booked, wanted, True)]
    assert tx.postings.in_block(block(10).hash) == rows


def test_balance_change_is_the_exact_sum_of_a_block(tx: Transaction) -> None:
    tx.postings.book(entry(10, *moved(BIG), *moved(-7)))
    tx.postings.book(entry(10, *moved(3), *moved(5, NATIVE), *moved(11, TOKEN, EXECUTOR)))
    tx.postings.book(entry(11, *moved(1000)))
    assert tx.postings.balance_change(KEY, TOKEN, block(10).hash) == BIG - 4
    assert tx.postings.balance_change(KEY, NATIVE, block(10).hash) == 5
    assert tx.postings.balance_change("world", TOKEN, block(10).hash) == -(BIG - 4) - 11
    assert tx.postings.balance_change(EXECUTOR, NATIVE, block(10).hash) == 0


def test_legs_must_sum_to_zero_for_each_token(tx: Transaction) -> None:
    with pytest.raises(LedgerError, match="sum to 1, not zero"):
        tx.postings.book(entry(10, Leg(KEY, TOKEN, 2), Leg("world", TOKEN, -1)))
    with pytest.raises(LedgerError, match="not zero"):
        tx.postings.book(entry(10, Leg(KEY, TOKEN, 2), Leg("world", NATIVE, -2)))
    with pytest.raises(LedgerError, match="no legs"):
        tx.postings.book(entry(10))


def test_reorg_flips_the_entries_of_its_blocks(tx: Transaction) -> None:
    for number in (10, 11):
        tx.postings.book(entry(number, *moved(number)))
    assert tx.postings.flip([block(11).hash]) == 1
    assert tx.postings.in_block(block(11).hash) == []
    assert tx.postings.balance_change(KEY, TOKEN, block(11).hash) == 0
    assert tx.postings.balance_change(KEY, TOKEN, block(10).hash) == 10
    assert tx.postings.flip([block(11).hash]) == 0


def test_inclusion_is_booked_once_until_it_is_flipped(tx: Transaction) -> None:
    number = included(tx, committed(tx), block(10))
    tx.postings.book(entry(10, *moved(1), inclusion=number))
    with pytest.raises(LedgerError, match="booked already"):
        tx.postings.book(entry(10, *moved(1), inclusion=number))


def test_inclusion_that_comes_back_is_booked_again(tx: Transaction) -> None:
    number = included(tx, committed(tx), block(10))
    tx.postings.book(entry(10, *moved(1), inclusion=number))
    tx.postings.flip([block(10).hash])
    tx.postings.book(entry(10, *moved(1), inclusion=number))
    assert tx.postings.balance_change(KEY, TOKEN, block(10).hash) == 1


def test_reservations_count_the_largest_attempt_of_each_slot(tx: Transaction) -> None:
    first, second = committed(tx, 0), committed(tx, 1)
    tx.reservations.insert(first, NATIVE, 2**255)
    tx.reservations.insert(second, NATIVE, 7)
    tx.reservations.insert(second, TOKEN, 9)
    assert tx.reservations.sum(LANE, NATIVE) == 2**255 + 7
    assert tx.reservations.sum(LANE, TOKEN) == 9
    assert tx.reservations.sum(Lane(CHAIN_ID, EXECUTOR), NATIVE) == 0


def test_token_is_reserved_once_by_an_attempt(tx: Transaction) -> None:
    attempt = committed(tx)
    tx.reservations.insert(attempt, NATIVE, 5)
    with pytest.raises(LedgerError, match="reserved"):
        tx.reservations.insert(attempt, NATIVE, 6)


def test_released_reservation_counts_no_more(tx: Transaction) -> None:
    attempt = committed(tx)
    tx.reservations.insert(attempt, NATIVE, 5)
    tx.reservations.release(attempt)
    tx.reservations.release(attempt)
    assert tx.reservations.sum(LANE, NATIVE) == 0
