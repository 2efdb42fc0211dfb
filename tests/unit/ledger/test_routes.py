"""How attempts by a route ended, as far as the ledger knows."""

from __future__ import annotations

from seawall.ledger import Transaction
from seawall.primitives.identifiers import AttemptNumber
from tests.unit.ledger.samples import CHAIN_ID, LANE, block, committed, digest_of, included

RELAY, BUNDLES = "relay", "relay:bundle"


def sent(tx: Transaction, nonce: int, route: str) -> AttemptNumber:
    attempt = committed(tx, nonce)
    tx.routes.change(attempt.number, route)
    return attempt.number


def test_attempts_by_a_route_that_ended_are_told_with_how_oldest_first(tx: Transaction) -> None:
    for nonce, route in enumerate((RELAY, BUNDLES, RELAY, "other", "public", RELAY)):
        sent(tx, nonce, route)
    for nonce in (0, 3, 4):
        attempt = tx.attempts.of_slot(LANE, nonce)[0]
        included(tx, attempt, block(10 + nonce))
    tx.slots.settle(LANE, 1, digest_of("something else"))
    assert tx.routes.ended(CHAIN_ID, (RELAY, BUNDLES), 100) == [
        (digest_of("attempt", 0), RELAY, True),
        (digest_of("attempt", 1), BUNDLES, False),
    ]
    assert tx.routes.ended(CHAIN_ID + 1, (RELAY, BUNDLES), 100) == []
    assert tx.routes.ended(CHAIN_ID, (RELAY, BUNDLES), 5) == [(digest_of("attempt", 1), BUNDLES, False)]


def test_attempt_whose_intent_was_cancelled_says_nothing_of_its_relay(tx: Transaction) -> None:
    attempt = committed(tx, 0)
    tx.routes.change(attempt.number, RELAY)
    tx.intents.ask_cancel(attempt.intents[0][0], "an operator")
    tx.slots.settle(LANE, 0, digest_of("a filler"))
    assert tx.routes.ended(CHAIN_ID, (RELAY,), 100) == []


def test_attempt_that_a_reorg_took_out_has_not_ended(tx: Transaction) -> None:
    attempt = committed(tx, 0)
    tx.routes.change(attempt.number, RELAY)
    included(tx, attempt, block(10))
    tx.inclusions.flip([block(10).hash])
    assert tx.routes.ended(CHAIN_ID, (RELAY,), 100) == []


def test_nothing_ended_where_nothing_was_sent(tx: Transaction) -> None:
    assert tx.routes.ended(CHAIN_ID, (RELAY,), 100) == []
