from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.ledger import Transaction
from seawall.primitives.errors import IntegrityAlarm, LedgerError
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Finality, WriteKind
from seawall.primitives.units import Address
from tests.unit.ledger.samples import (
    CHAIN_ID,
    LANE,
    NOW_S,
    block,
    committed,
    digest_of,
    included,
    payload,
)


def test_inclusion_names_its_attempt_and_block(tx: Transaction) -> None:
    attempt = committed(tx, 3)
    included(tx, attempt, block(10))
    row = tx.inclusions.canonical_of(attempt.hash)
    assert row is not None
    assert (row.attempt_hash, row.block_hash, row.lane, row.nonce) == (attempt.hash, block(10).hash, LANE, 3)
    assert (row.canonical, row.finality, row.fee_wei) == (True, Finality.INCLUDED, 21_000 * 10**9)
    assert tx.inclusions.of_intent(attempt.intents[0][0]) == row


def test_seeing_it_again_is_the_same_row(tx: Transaction) -> None:
    attempt = committed(tx)
    assert included(tx, attempt, block(10)) == included(tx, attempt, block(10))


def test_reorg_flips_the_removed_blocks_only(tx: Transaction) -> None:
    attempts = [committed(tx, nonce) for nonce in range(3)]
    for attempt, number in zip(attempts, (10, 11, 11), strict=True):
        included(tx, attempt, block(number))
    flipped = tx.inclusions.flip([block(11).hash, block(12).hash])
    assert [row.nonce for row in flipped] == [1, 2]
    assert not any(row.canonical for row in flipped)
    assert [row.nonce for row in tx.inclusions.unsettled(CHAIN_ID)] == [0]
    assert tx.inclusions.canonical_of(attempts[1].hash) is None
    assert tx.inclusions.flip([block(11).hash]) == []


def test_landing_again_in_another_block_after_a_reorg_keeps_the_history(tx: Transaction) -> None:
    attempt = committed(tx)
    included(tx, attempt, block(10))
    tx.inclusions.flip([block(10).hash])
    included(tx, attempt, block(11, "b"))
    assert [row.canonical for row in tx.inclusions.of_attempt(attempt.number)] == [False, True]


def test_block_that_comes_back_restores_its_inclusion(tx: Transaction) -> None:
    attempt = committed(tx)
    number = included(tx, attempt, block(10))
    tx.inclusions.set_finality(CHAIN_ID, 10, Finality.SAFE)
    tx.inclusions.flip([block(10).hash])
    assert included(tx, attempt, block(10)) == number
    row = tx.inclusions.canonical_of(attempt.hash)
    assert row is not None
    assert row.finality is Finality.INCLUDED


def test_one_nonce_in_two_canonical_blocks_is_an_alarm(tx: Transaction) -> None:
    attempt = committed(tx)
    included(tx, attempt, block(10))
    with pytest.raises(IntegrityAlarm, match="landed in another"):
        included(tx, attempt, block(11))


def test_finality_rises_with_the_chain_and_is_told_once(tx: Transaction) -> None:
    for nonce, number in enumerate((10, 11, 12)):
        included(tx, committed(tx, nonce), block(number))
    assert [row.nonce for row in tx.inclusions.set_finality(CHAIN_ID, 11, Finality.SAFE)] == [0, 1]
    assert tx.inclusions.set_finality(CHAIN_ID, 11, Finality.SAFE) == []
    final = tx.inclusions.set_finality(CHAIN_ID, 10, Finality.FINAL)
    assert [(row.nonce, row.finality) for row in final] == [(0, Finality.FINAL)]
    assert tx.inclusions.set_finality(CHAIN_ID, 10, Finality.SAFE) == []
    assert [row.finality for row in tx.inclusions.unsettled(CHAIN_ID)] == [Finality.SAFE, Finality.INCLUDED]


def test_finality_of_known_rows_is_answered_as_that_of_rows_that_are_read(tx: Transaction) -> None:
    for nonce, number in enumerate((10, 11, 12)):
        included(tx, committed(tx, nonce), block(number))
    stored = tx.inclusions.unsettled(CHAIN_ID)
    known = {row.number: row for row in stored[:2]}
    safe = tx.inclusions.set_finality(CHAIN_ID, 12, Finality.SAFE, {LANE}, known)
    assert safe == [replace(row, finality=Finality.SAFE) for row in stored]
    assert tx.inclusions.unsettled(CHAIN_ID) == safe
    assert tx.inclusions.set_finality(CHAIN_ID, 12, Finality.SAFE, {LANE}, known) == []
    final = tx.inclusions.set_finality(CHAIN_ID, 12, Finality.FINAL, set(), known)
    assert (final, tx.inclusions.unsettled(CHAIN_ID)) == ([], safe)


def test_finality_comes_in_pieces_that_rows_of_other_kernels_do_not_fill(tx: Transaction) -> None:
    other = Lane(CHAIN_ID, Address(b"\x0c" * 20))
    nothing = replace(payload(), sender=other.key)
    for nonce in range(3):
        slot = tx.slots.insert(other, nonce, "gap_fill", None)
        filler = tx.attempts.insert(
            slot, digest_of(f"filler {nonce}"), b"raw", nothing, digest_of("payload"),
            WriteKind.HOUSEKEEPING, 2, 1, "public", None, [], NOW_S,
        )  # fmt: skip
        included(tx, filler, block(10))
    for nonce in range(3):
        included(tx, committed(tx, nonce), block(10))
    pieces = [
        tx.inclusions.set_finality(CHAIN_ID, 10, Finality.SAFE, {LANE}, {}, at_most=2) for _ in range(3)
    ]
    assert [[row.nonce for row in piece] for piece in pieces] == [[0, 1], [2], []]
    assert {row.lane: row.finality for row in tx.inclusions.unsettled(CHAIN_ID)} == {
        LANE: Finality.SAFE,
        other: Finality.INCLUDED,
    }


def test_removal_of_a_final_block_is_an_alarm(tx: Transaction) -> None:
    included(tx, committed(tx), block(10))
    tx.inclusions.set_finality(CHAIN_ID, 10, Finality.FINAL)
    with pytest.raises(IntegrityAlarm, match="final block"):
        tx.inclusions.flip([block(10).hash])


def test_hash_that_is_not_ours_is_refused(tx: Transaction) -> None:
    with pytest.raises(LedgerError, match="no attempt of ours"):
        tx.inclusions.insert(digest_of("them"), block(10), 0, True, 1, 1, 1)


def test_finality_of_a_lane_of_another_kernel_is_left_to_its_holder(tx: Transaction) -> None:
    other = Lane(CHAIN_ID, Address(b"\x0c" * 20))
    slot = tx.slots.insert(other, 7, "gap_fill", None)
    nothing = replace(payload(), sender=other.key)
    filler = tx.attempts.insert(
        slot, digest_of("filler"), b"raw", nothing, digest_of("payload"), WriteKind.HOUSEKEEPING, 2, 1,
        "public", None, [], NOW_S,
    )  # fmt: skip
    included(tx, committed(tx, 0), block(10))
    included(tx, filler, block(10))
    assert [row.lane for row in tx.inclusions.set_finality(CHAIN_ID, 10, Finality.SAFE, {LANE})] == [LANE]
    assert [(row.lane, row.finality) for row in tx.inclusions.unsettled(CHAIN_ID)] == [
        (LANE, Finality.SAFE),
        (other, Finality.INCLUDED),
    ]
    assert [row.lane for row in tx.inclusions.set_finality(CHAIN_ID, 10, Finality.SAFE, {other})] == [other]
    assert {row.finality for row in tx.inclusions.unsettled(CHAIN_ID)} == {Finality.SAFE}
    assert tx.inclusions.set_finality(CHAIN_ID + 1, 10, Finality.FINAL) == []
