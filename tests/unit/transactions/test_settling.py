"""Finality consumes slots and gives outcomes in bulk: statements do not grow with transactions."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from seawall.ledger.bulk import CHUNKS
from seawall.ledger.rows import Leg
from seawall.ledger.session import Session
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.units import NATIVE, Address
from seawall.transactions.accounting import Accountant, Entry, Included
from tests.builders.chain_model import ChainModel
from tests.builders.messages import EXECUTOR
from tests.builders.pipeline import Pipeline, pipeline

FINAL_BLOCKS = 4  # after the inclusion, with the model's depth


async def landed(found: Pipeline, count: int) -> list[int]:
    numbers = await found.submit(*[found.plan(f"plan {i}") for i in range(count)])
    await found.block()
    await found.empty_block(FINAL_BLOCKS)
    return list(numbers)


async def test_what_landed_ends_at_finality_and_not_before(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one", value_wei=7))
        await found.block()
        await found.empty_block(2)
        assert (await found.intent(number)).state is IntentState.COMMITTED
        await found.empty_block(2)
        row = await found.intent(number)
        assert (row.state, row.finality) == (IntentState.LANDED, Finality.FINAL)
        (inclusion,) = await found.ledger.read(lambda tx: [tx.inclusions.of_intent(number)])
        assert inclusion is not None
        assert row.realised_wei == -inclusion.fee_wei - 7
        assert found.chain.desk.unsettled == {}


async def test_revert_fails_the_intent_and_its_fee_is_its_loss(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one", value_wei=7))
        (attempt,) = await found.attempts(number)
        in_pool = found.model.pool.pop(attempt.hash)
        found.model.pool[attempt.hash] = type(in_pool)(
            in_pool.hash, in_pool.sender, in_pool.nonce, in_pool.to, 7, in_pool.max_fee_per_gas_wei,
            reverts=True,
        )  # fmt: skip
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        assert (row.state, row.reason) == (IntentState.FAILED, "it reverted on chain")
        assert row.realised_wei is not None
        assert -(10**15) < row.realised_wei < 0


async def test_reservations_go_and_spends_become_what_was_taken(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one", value_wei=7))
        reserved = await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE))
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert reserved > 7
        assert await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE)) == 0
        (spend,) = await found.ledger.read(lambda tx: tx.spends.since(found.lane, 0))
        inclusion = await found.ledger.read(lambda tx: tx.inclusions.of_intent(number))
        assert inclusion is not None
        assert spend.amount == inclusion.fee_wei + 7


async def test_native_coin_that_left_an_account_stays_counted_as_taken(tmp_path: Path) -> None:
    true_entry = Accountant._entry

    def with_what_left(self: Accountant, included: Included, holders: frozenset[Address]) -> Entry:
        found = true_entry(self, included, holders)
        moved = (Leg(EXECUTOR, NATIVE, -900), Leg("world", NATIVE, 900))
        return replace(found, legs=(*found.legs, *moved))

    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one", value_wei=7))
        with patch.object(Accountant, "_entry", with_what_left):
            await found.block()
        await found.empty_block(FINAL_BLOCKS)
        (spend,) = await found.ledger.read(lambda tx: tx.spends.since(found.lane, 0))
        inclusion = await found.ledger.read(lambda tx: tx.inclusions.of_intent(number))
        assert inclusion is not None
        assert spend.amount == inclusion.fee_wei + 7 + 900


async def test_statements_of_a_head_change_do_not_grow_with_its_transactions(tmp_path: Path) -> None:
    """Apart from what corrects a spend, which is one a slot. Both numbers are one chunk of rows."""
    counted: Counter[str] = Counter()
    true_execute = Session._execute

    def execute(self: Session, sql: str, parameters: object) -> None:
        counted[sql.split(" SET ")[0][:40]] += "spends" not in sql
        true_execute(self, sql, parameters)

    totals = []
    for count in CHUNKS[3], CHUNKS[1]:
        folder = tmp_path / str(count)
        folder.mkdir()
        async with pipeline(ChainModel(), folder, unlanded_max=64) as found:
            found.chain.loop.confirmer.endings.piece = 4 * CHUNKS[1]  # all of it at once
            await found.submit(*[found.plan(f"plan {i}") for i in range(count)])
            found.model.mine()
            found.model.mine_nothing(FINAL_BLOCKS)
            counted.clear()
            with patch.object(Session, "_execute", execute):
                await found.chain.loop.turn()
            assert found.chain.desk.unsettled == {}
            totals.append(sum(counted.values()))
    assert totals[1] <= totals[0] + 2, totals


async def test_every_event_is_told_once_in_the_order_of_finality(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        numbers = await landed(found, 3)
        for kind in ("inclusion.added", "inclusion.safe", "intent.landed"):
            assert [row.intent for row in await found.events(kind)] == numbers, kind
        assert {row.subject for row in await found.events("inclusion.safe")} == {"keeper"}


async def test_reorg_takes_back_and_lands_again(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        await found.block()
        found.model.reorg(1)
        found.model.mine_nothing()
        await found.empty_block()
        assert [row.intent for row in await found.events("inclusion.removed")] == [number]
        assert await found.ledger.read(lambda tx: tx.inclusions.of_intent(number)) is None
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert not found.alarms


async def test_inclusion_reorged_away_while_nobody_followed_is_taken_back(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        await found.block()
        lost = model.head.hash
    model.reorg(1)
    model.mine_nothing(3)
    async with pipeline(model, tmp_path) as again:
        inclusion = await again.ledger.read(lambda tx: tx.inclusions.of_intent(number))
        assert inclusion is None, lost.hex()
        await again.block()
        await again.empty_block(FINAL_BLOCKS)
        assert (await again.intent(number)).state is IntentState.LANDED
