from __future__ import annotations

import pytest

from seawall.ledger import Transaction
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address
from tests.unit.ledger.samples import CHAIN_ID, LANE, NOW_S, TOKEN, committed

OTHER_TOKEN = Address(b"\x0a" * 20)


def test_spends_are_read_from_a_time_on_oldest_first(tx: Transaction) -> None:
    first, second = committed(tx, 0), committed(tx, 1)
    tx.spends.add(LANE, second.number, TOKEN, 2**255, NOW_S + 10)
    tx.spends.add(LANE, first.number, TOKEN, 7, NOW_S)
    rows = tx.spends.since(LANE, NOW_S)
    assert [(row.attempt, row.amount, row.at_s) for row in rows] == [
        (first.number, 7, NOW_S),
        (second.number, 2**255, NOW_S + 10),
    ]
    assert [row.attempt for row in tx.spends.since(LANE, NOW_S + 1)] == [second.number]


def test_spends_of_another_lane_do_not_count(tx: Transaction) -> None:
    attempt = committed(tx)
    tx.spends.add(LANE, attempt.number, TOKEN, 7, NOW_S)
    assert tx.spends.since(Lane(CHAIN_ID, Address(b"\x09" * 20)), 0) == []
    assert tx.spends.since(Lane(CHAIN_ID + 1, LANE.key), 0) == []


def test_settled_spend_is_corrected_in_its_own_token_only(tx: Transaction) -> None:
    attempt = committed(tx)
    tx.spends.add(LANE, attempt.number, TOKEN, 7, NOW_S)
    tx.spends.add(LANE, attempt.number, OTHER_TOKEN, 9, NOW_S)
    tx.spends.correct(attempt.number, TOKEN, 0)
    assert {row.token: row.amount for row in tx.spends.since(LANE, 0)} == {TOKEN: 0, OTHER_TOKEN: 9}


@pytest.mark.parametrize(
    "taken", [{}, {TOKEN: 3}, {OTHER_TOKEN: 2**255}, {TOKEN: 3, OTHER_TOKEN: 4}, {Address(b"\x0b" * 20): 1}]
)
def test_settled_attempt_keeps_what_it_took_and_nothing_else(
    tx: Transaction, taken: dict[Address, int]
) -> None:
    settled, other = committed(tx, 0), committed(tx, 1)
    for attempt in (settled, other):
        tx.spends.add(LANE, attempt.number, TOKEN, 7, NOW_S)
        tx.spends.add(LANE, attempt.number, OTHER_TOKEN, 9, NOW_S)
    tx.spends.settle_many([(settled.number, taken)])
    found = {(row.attempt, row.token): row.amount for row in tx.spends.since(LANE, 0)}
    assert found == {
        (settled.number, TOKEN): taken.get(TOKEN, 0),
        (settled.number, OTHER_TOKEN): taken.get(OTHER_TOKEN, 0),
        (other.number, TOKEN): 7,
        (other.number, OTHER_TOKEN): 9,
    }


def test_adding_a_token_twice_is_an_error(tx: Transaction) -> None:
    attempt = committed(tx)
    tx.spends.add(LANE, attempt.number, TOKEN, 7, NOW_S)
    with pytest.raises(LedgerError, match="already"):
        tx.spends.add(LANE, attempt.number, TOKEN, 7, NOW_S)
