from __future__ import annotations

import pytest

from seawall.ledger import Transaction
from seawall.primitives.errors import FenceLostError, InputError, LedgerError, NonceTakenError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address
from tests.unit.ledger.samples import CHAIN_ID, LANE, NOW_S, accepted, committed, digest_of

OTHER = Lane(CHAIN_ID, Address(b"\x09" * 20))


def test_fence_grows_with_each_acquisition(tx: Transaction) -> None:
    fences = [tx.lanes.acquire(LANE, "one", NOW_S, 30) for _ in range(3)]
    assert fences == [1, 2, 3]
    tx.lanes.require(LANE, 3)


def test_lease_of_another_holder_is_respected_until_it_was_watched_and_did_not_move(tx: Transaction) -> None:
    tx.lanes.acquire(LANE, "one", NOW_S, 30)
    watched = tx.lanes.get(LANE)
    with pytest.raises(FenceLostError, match="held by one"):
        tx.lanes.acquire(LANE, "two", NOW_S + 3_600, 30)
    assert tx.lanes.acquire(LANE, "two", NOW_S + 1, 30, unmoved=watched) == 2


def test_lane_that_was_renewed_since_it_was_watched_is_not_taken(tx: Transaction) -> None:
    fence = tx.lanes.acquire(LANE, "one", NOW_S, 30)
    watched = tx.lanes.get(LANE)
    tx.lanes.renew(LANE, fence, NOW_S + 20, 30)
    with pytest.raises(FenceLostError, match="held by one"):
        tx.lanes.acquire(LANE, "two", NOW_S + 40, 30, unmoved=watched)


def test_holder_whose_lane_was_taken_over_can_do_nothing(tx: Transaction) -> None:
    old = tx.lanes.acquire(LANE, "one", NOW_S, 30)
    tx.lanes.acquire(LANE, "two", NOW_S + 60, 30, unmoved=tx.lanes.get(LANE))
    for work in (
        lambda: tx.lanes.require(LANE, old),
        lambda: tx.lanes.renew(LANE, old, NOW_S + 61, 30),
        lambda: tx.lanes.release(LANE, old),
    ):
        with pytest.raises(FenceLostError, match="fence 1 is no longer held"):
            work()


def test_renewing_all_names_the_lanes_that_are_lost(tx: Transaction) -> None:
    held = {lane: tx.lanes.acquire(lane, "one", NOW_S, 30) for lane in (LANE, OTHER)}
    tx.lanes.acquire(OTHER, "two", NOW_S, 30, unmoved=tx.lanes.get(OTHER))
    assert tx.lanes.renew_all(held, NOW_S + 1, 30) == [OTHER]
    assert [(row.lane, row.renewals) for row in tx.lanes.all()] == [(LANE, 1), (OTHER, 0)]


def test_of_many_lanes_those_that_are_not_held_any_more_are_named(tx: Transaction) -> None:
    elsewhere, never = Lane(CHAIN_ID + 1, LANE.key), Lane(CHAIN_ID, Address(b"\x0a" * 20))
    held = {lane: tx.lanes.acquire(lane, "one", NOW_S, 30) for lane in (LANE, OTHER, elsewhere)}
    assert tx.lanes.lost_of(held) == []
    tx.lanes.require_all(held)
    tx.lanes.acquire(OTHER, "two", NOW_S, 30, unmoved=tx.lanes.get(OTHER))
    tx.lanes.release(elsewhere, held[elsewhere])
    assert tx.lanes.lost_of(held | {never: 1}) == [OTHER, elsewhere, never]
    with pytest.raises(FenceLostError, match="fence 1 is no longer held"):
        tx.lanes.require_all(held)


def test_quarantine_stays_with_the_lane_until_it_is_lifted(tx: Transaction) -> None:
    tx.lanes.quarantine(LANE, "restored")  # never acquired: the row is made
    fence = tx.lanes.acquire(LANE, "one", NOW_S, 30)
    assert [(row.fence, row.quarantine) for row in tx.lanes.all()] == [(fence, "restored")]
    tx.lanes.quarantine(LANE, None)
    assert [(row.fence, row.quarantine) for row in tx.lanes.all()] == [(fence, None)]
    with pytest.raises(InputError, match="no such lane"):
        tx.lanes.quarantine(OTHER, None)


def test_released_lane_is_free_at_once_and_its_fence_is_spent(tx: Transaction) -> None:
    fence = tx.lanes.acquire(LANE, "one", NOW_S, 30)
    tx.lanes.release(LANE, fence)
    with pytest.raises(FenceLostError):
        tx.lanes.require(LANE, fence)
    assert tx.lanes.acquire(LANE, "two", NOW_S, 30) == 2
    assert [(row.lane, row.holder, row.fence) for row in tx.lanes.all()] == [(LANE, "two", 2)]


def test_lane_never_acquired_is_not_held(tx: Transaction) -> None:
    with pytest.raises(FenceLostError):
        tx.lanes.require(LANE, 0)


def test_nonce_is_taken_once(tx: Transaction) -> None:
    number = accepted(tx).number
    tx.slots.insert(LANE, 4, "plan", number)
    with pytest.raises(NonceTakenError, match="nonce 4 is taken"):
        tx.slots.insert(LANE, 4, "gap_fill", None)


def test_highest_and_open_are_of_the_lane(tx: Transaction) -> None:
    assert tx.slots.highest(LANE) is None
    for nonce in (7, 5, 6):
        tx.slots.insert(LANE, nonce, "gap_fill", None)
    tx.slots.insert(OTHER, 99, "cancel", None)
    tx.slots.settle(LANE, 6, None)
    assert tx.slots.highest(LANE) == 7
    assert [slot.nonce for slot in tx.slots.open(LANE)] == [5, 7]


def test_settled_slot_names_its_consumer_for_ever(tx: Transaction) -> None:
    tx.slots.insert(LANE, 0, "gap_fill", None)
    settled = tx.slots.settle(LANE, 0, digest_of("x"))
    assert tx.slots.settle(LANE, 0, digest_of("x")) == settled == tx.slots.get(LANE, 0)
    with pytest.raises(LedgerError, match="was settled by"):
        tx.slots.settle(LANE, 0, None)
    with pytest.raises(LedgerError, match="no such slot"):
        tx.slots.settle(LANE, 1, None)


def test_purpose_and_its_facts_must_agree(tx: Transaction) -> None:
    number = accepted(tx).number
    for purpose, intent, block_hash in (
        ("plan", None, None),
        ("gap_fill", number, None),
        ("foreign", None, None),
        ("cancel", None, digest_of("b")),
    ):
        with pytest.raises(LedgerError, match="needs"):
            tx.slots.insert(LANE, 0, purpose, intent, block_hash)  # type: ignore[arg-type]


def test_reorg_frees_foreign_slots_but_none_of_ours(tx: Transaction) -> None:
    tx.slots.insert(LANE, 0, "foreign", None, digest_of("gone"))
    tx.slots.insert(LANE, 1, "foreign", None, digest_of("stays"))
    tx.slots.insert(LANE, 2, "foreign", None, digest_of("gone"))
    tx.slots.settle(LANE, 2, digest_of("them"))
    committed(tx, 3)
    assert [slot.nonce for slot in tx.slots.forget_foreign([digest_of("gone"), digest_of("other")])] == [0]
    assert [slot.nonce for slot in tx.slots.listing(10, lane=LANE)] == [3, 2, 1]


def test_overtaken_slot_of_ours_names_the_block_until_that_is_gone(tx: Transaction) -> None:
    committed(tx, 3)
    tx.slots.mark_overtaken(LANE, 3, digest_of("theirs"))
    overtaken = tx.slots.get(LANE, 3)
    assert overtaken is not None
    assert (overtaken.block_hash, overtaken.purpose, overtaken.final) == (digest_of("theirs"), "plan", False)
    assert tx.slots.forget_foreign([digest_of("theirs")]) == []
    tx.slots.mark_overtaken(LANE, 3, None)
    assert [slot.block_hash for slot in tx.slots.open(LANE)] == [None]


def test_only_an_open_slot_of_ours_is_overtaken(tx: Transaction) -> None:
    tx.slots.insert(LANE, 0, "foreign", None, digest_of("seen"))
    tx.slots.insert(LANE, 1, "gap_fill", None)
    tx.slots.settle(LANE, 1, digest_of("ours"))
    for nonce in (0, 1, 2):
        with pytest.raises(LedgerError, match="no open slot of ours"):
            tx.slots.mark_overtaken(LANE, nonce, digest_of("theirs"))


def test_listing_pages_from_the_newest(tx: Transaction) -> None:
    for nonce in range(4):
        tx.slots.insert(LANE, nonce, "gap_fill", None)
    tx.slots.insert(OTHER, 0, "gap_fill", None)
    assert [s.nonce for s in tx.slots.listing(2, before=3, lane=LANE)] == [2, 1]
    newest = tx.slots.listing(1)
    assert newest[0].lane == OTHER
    assert [s.nonce for s in tx.slots.listing(2, before=newest[0].row)] == [3, 2]
