from __future__ import annotations

import dataclasses

import pytest

from seawall.ledger import Transaction
from seawall.ledger.key_changes import KeyChange, KeyChangeKind
from seawall.primitives.errors import InputError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address
from tests.unit.ledger.samples import CHAIN_ID, KEY, LANE, NOW_S

HEIR = Address(b"\x09" * 20)
RETIRED = KeyChange(LANE, KeyChangeKind.RETIRE, HEIR, None, "ann", "ninety days", NOW_S)
ADOPTED = KeyChange(LANE, KeyChangeKind.ADOPT, None, 2**53, "ann", "from the old bot", NOW_S)


def test_changes_of_both_kinds_stand_beside_each_other_by_lane(tx: Transaction) -> None:
    other = dataclasses.replace(RETIRED, lane=Lane(CHAIN_ID - 1, KEY))
    for change in (RETIRED, ADOPTED, other):
        tx.key_changes.begin(change)
    assert tx.key_changes.all() == [other, ADOPTED, RETIRED]


def test_a_change_is_begun_once(tx: Transaction) -> None:
    tx.key_changes.begin(RETIRED)
    with pytest.raises(InputError, match="begun before"):
        tx.key_changes.begin(dataclasses.replace(RETIRED, reason="again"))


def test_a_change_ends_once_and_stays(tx: Transaction) -> None:
    tx.key_changes.begin(RETIRED)
    tx.key_changes.begin(ADOPTED)
    assert tx.key_changes.end(LANE, KeyChangeKind.RETIRE, NOW_S + 5)
    assert not tx.key_changes.end(LANE, KeyChangeKind.RETIRE, NOW_S + 9)
    assert tx.key_changes.all() == [ADOPTED, dataclasses.replace(RETIRED, ended_at_s=NOW_S + 5)]


def test_a_change_that_is_taken_back_may_begin_anew(tx: Transaction) -> None:
    tx.key_changes.begin(RETIRED)
    assert tx.key_changes.forget(LANE, KeyChangeKind.RETIRE)
    assert not tx.key_changes.forget(LANE, KeyChangeKind.RETIRE)
    tx.key_changes.begin(RETIRED)
    assert tx.key_changes.all() == [RETIRED]
