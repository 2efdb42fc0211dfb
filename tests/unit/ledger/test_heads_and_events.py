from __future__ import annotations

import pytest

from seawall.ledger import Transaction
from seawall.primitives.bounds import EVENT_BATCH_MAX, HEADS_KEPT
from seawall.primitives.errors import LedgerError
from seawall.primitives.levels import Finality
from tests.unit.ledger.samples import CHAIN_ID, NOW_S, accepted, block, committed, included


def test_checkpoint_is_the_recent_line_oldest_first(tx: Transaction) -> None:
    assert tx.heads.latest(CHAIN_ID) is None
    for number in range(5, 9):
        tx.heads.append(block(number))
    assert tx.heads.latest(CHAIN_ID) == block(8)
    assert tx.heads.recent(CHAIN_ID, 3) == [block(6), block(7), block(8)]
    assert tx.heads.recent(1, 3) == []


def test_old_heads_are_pruned(tx: Transaction) -> None:
    for number in range(HEADS_KEPT + 10):
        tx.heads.append(block(number))
    kept = tx.heads.recent(CHAIN_ID, 10_000)
    assert len(kept) == HEADS_KEPT
    assert kept[0] == block(10)


def test_reorg_removes_and_another_branch_continues(tx: Transaction) -> None:
    for number in range(5, 8):
        tx.heads.append(block(number))
    assert tx.heads.remove([block(6).hash, block(7).hash, block(99).hash]) == 2
    branch = block(6, "b", parent=block(5).hash)
    tx.heads.append(branch)
    assert tx.heads.recent(CHAIN_ID, 9) == [block(5), branch]


def test_head_that_does_not_continue_the_line_is_refused(tx: Transaction) -> None:
    tx.heads.append(block(5))
    for strange in (block(6, "b"), block(5, "b"), block(4)):
        with pytest.raises(LedgerError, match="does not continue"):
            tx.heads.append(strange)


def test_same_head_again_and_a_gap_are_taken(tx: Transaction) -> None:
    tx.heads.append(block(5))
    tx.heads.append(block(5))
    tx.heads.append(block(50))
    assert tx.heads.latest(CHAIN_ID) == block(50)


def test_latest_final_head_is_the_highest_with_something_settled_as_final(tx: Transaction) -> None:
    for number in range(5, 10):
        tx.heads.append(block(number))
    for nonce, number in enumerate((6, 7, 9)):
        included(tx, committed(tx, nonce), block(number))
    assert tx.heads.latest_final(CHAIN_ID) is None
    tx.inclusions.set_finality(CHAIN_ID, 9, Finality.SAFE)
    tx.inclusions.set_finality(CHAIN_ID, 8, Finality.FINAL)
    assert tx.heads.latest_final(CHAIN_ID) == block(7)
    assert tx.heads.latest_final(1) is None
    tx.heads.remove([block(7).hash])
    assert tx.heads.latest_final(CHAIN_ID) == block(6)


def test_events_come_in_order_with_their_data(tx: Transaction) -> None:
    number = accepted(tx).number
    data = {"z": True, "a": None, "n": 2**200, "t": "größe"}
    first = tx.events.append("intent.accepted", CHAIN_ID, "keeper", number, data, NOW_S)
    second = tx.events.append("reorg", CHAIN_ID, "31337", None, {}, NOW_S + 1)
    assert second > first
    rows = tx.events.after(0, 10)
    assert [(row.seq, row.kind, row.intent, row.data) for row in rows] == [
        (first, "intent.accepted", number, data),
        (second, "reorg", None, {}),
    ]
    assert tx.events.after(first, 10) == rows[1:]
    assert tx.events.last() == second


def test_events_are_filtered_by_kind_and_bounded(tx: Transaction) -> None:
    for i in range(EVENT_BATCH_MAX + 5):
        tx.events.append("even" if i % 2 == 0 else "odd", CHAIN_ID, "s", None, {}, NOW_S)
    assert len(tx.events.after(0, 10_000)) == EVENT_BATCH_MAX
    assert {row.kind for row in tx.events.after(0, 50, kinds=["odd", "strange"])} == {"odd"}
    assert tx.events.after(0, 10, kinds=[]) == []


def test_cursor_remembers_and_never_goes_back(tx: Transaction) -> None:
    assert tx.events.cursor("alerts") == 0
    tx.events.advance("alerts", 5)
    tx.events.advance("alerts", 5)
    tx.events.advance("alerts", 9)
    assert tx.events.cursor("alerts") == 9
    with pytest.raises(LedgerError, match="cannot go back to 8"):
        tx.events.advance("alerts", 8)
    assert tx.events.last() == 0


def test_line_is_that_of_whoever_is_furthest(tx: Transaction) -> None:
    ours = [block(number) for number in range(5, 9)]
    line = {one.hash for one in ours}
    for one in ours:
        tx.heads.follow(one, line)
    theirs = [block(6, "b", parent=block(5).hash)]
    theirs += [block(7, "b", parent=theirs[0].hash), block(8, "b")]
    for one in theirs:  # as high, and later: the first one's line stays
        tx.heads.follow(one, {block(5).hash, *(other.hash for other in theirs)})
    tx.heads.follow(ours[1], line)  # one that lags says what it has handled only now
    assert tx.heads.recent(CHAIN_ID, 9) == ours


def test_who_gets_further_on_another_branch_replaces_what_is_not_on_it(tx: Transaction) -> None:
    for number in range(5, 8):
        tx.heads.append(block(number))
    higher = block(8, "b", parent=block(7, "b").hash)
    replaced = tx.heads.follow(higher, {block(5).hash, block(6, "b").hash, block(7, "b").hash, higher.hash})
    assert replaced == [block(6).hash, block(7).hash]
    assert tx.heads.recent(CHAIN_ID, 9) == [block(5), higher]
    following = block(9, "b", parent=higher.hash)
    assert tx.heads.follow(following, {block(5).hash, higher.hash, following.hash}) == []
