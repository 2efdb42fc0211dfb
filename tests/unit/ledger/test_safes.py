"""Proposals of Safes in the ledger: once each, once per nonce, one signature an owner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.ledger import Transaction
from seawall.ledger.safes import NewProposal, ProposalNumber, ProposalState, SafeSignatureRow
from seawall.primitives.errors import InputError, StaleError
from seawall.primitives.units import Address, Hash

SAFE = Address(b"\x5a" * 20)
NEW = NewProposal(31337, SAFE, 4, Hash(b"\x01" * 32), b"body", b"rules", "rent", "op", 100)
SEEN = (9, Hash(b"\x09" * 32))


def test_same_proposal_again_is_the_same_row(tx: Transaction) -> None:
    first, created = tx.safes.propose(NEW)
    again, created_again = tx.safes.propose(replace(NEW, note="other words"))
    assert (created, created_again) == (True, False)
    assert again == first
    assert first.state is ProposalState.OPEN
    assert tx.safes.unsettled(31337) == [first] == tx.safes.listing(5)
    assert tx.safes.unsettled(1) == []


def test_only_one_proposal_of_a_nonce_is_on_its_way(tx: Transaction) -> None:
    first, _ = tx.safes.propose(NEW)
    rival, _ = tx.safes.propose(replace(NEW, hash=Hash(b"\x02" * 32)))
    tx.safes.move(first, ProposalState.EXECUTING)
    with pytest.raises(StaleError, match="another proposal of nonce 4"):
        tx.safes.move(rival, ProposalState.EXECUTING)


def test_move_from_a_state_that_has_passed_is_refused(tx: Transaction) -> None:
    row, _ = tx.safes.propose(NEW)
    tx.safes.move(row, ProposalState.STALE, "the nonce moved", seen=SEEN, is_settled=True)
    with pytest.raises(StaleError, match="open no more"):
        tx.safes.move(row, ProposalState.EXECUTING)
    left = tx.safes.get(row.number)
    assert (left.reason, left.seen_number, left.seen_hash, left.is_settled) == (
        "the nonce moved",
        *SEEN,
        True,
    )
    assert tx.safes.unsettled(31337) == []


def test_owner_signs_once(tx: Transaction) -> None:
    row, _ = tx.safes.propose(NEW)
    signature = SafeSignatureRow(Address(b"\x07" * 20), "ecdsa", bytes(65), "main", 101)
    tx.safes.add_signature(row.number, signature)
    assert tx.safes.signatures(row.number) == [signature]
    with pytest.raises(InputError, match="signed already"):
        tx.safes.add_signature(row.number, replace(signature, origin="file"))


def test_proposal_stands_on_newer_rules_once_they_are_accepted(tx: Transaction) -> None:
    row, _ = tx.safes.propose(NEW)
    tx.safes.rebase(row.number, b"newer")
    assert tx.safes.get(row.number).rules == b"newer"


def test_proposal_that_is_not_there_is_named(tx: Transaction) -> None:
    with pytest.raises(InputError, match="no proposal 77"):
        tx.safes.get(ProposalNumber(77))
