"""Foreign use of our keys: told at once, taken back by a reorg, decided at finality (TX-3)."""

from __future__ import annotations

from pathlib import Path

from seawall.ledger.rows import SlotRow
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Hash
from tests.builders.chain_model import ChainModel, ModelTransaction
from tests.builders.pipeline import Pipeline, pipeline

FINAL_BLOCKS = 4


def theirs(found: Pipeline, nonce: int, seed: int = 1) -> ModelTransaction:
    """Somebody else signed with our key."""
    return ModelTransaction(Hash(bytes([seed]) * 32), found.key, nonce)


async def slots(found: Pipeline) -> list[SlotRow]:
    return await found.ledger.read(lambda tx: tx.slots.listing(100, lane=found.lane))


async def test_nonce_without_a_slot_becomes_a_provisional_foreign_slot_at_once(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        found.model.mine(theirs(found, 0))
        await found.look()
        (slot,) = await slots(found)
        assert (slot.purpose, slot.nonce, slot.final) == ("foreign", 0, False)
        assert slot.block_hash == found.model.head.hash
        (event,) = await found.events("slot.foreign")
        assert (event.data["nonce"], event.data["overtakes_ours"]) == (0, False)
        (number,) = await found.submit(found.plan("next"))
        assert [row.nonce for row in await found.attempts(number)] == [1]
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert [row.final for row in await slots(found)] == [True, True]
        assert (await found.intent(number)).state is IntentState.LANDED


async def overtaken(found: Pipeline) -> IntentNumber:
    """An intent whose nonce somebody else used, one block ago."""
    (number,) = await found.submit(found.plan("ours"))
    found.model.drop()
    found.model.mine(theirs(found, 0))
    await found.look()
    return number


async def test_overtaken_slot_is_marked_at_once_and_its_intent_waits_for_finality(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        (slot,) = await slots(found)
        assert (slot.purpose, slot.block_hash) == ("plan", found.model.head.hash)
        (event,) = await found.events("slot.foreign")
        assert (event.intent, event.data["overtakes_ours"]) == (number, True)
        await found.empty_block(2)
        assert (await found.intent(number)).state is IntentState.COMMITTED
        await found.empty_block(2)
        row = await found.intent(number)
        assert row.state is IntentState.CANCELLED
        assert "not ours" in row.reason
        (slot,) = await slots(found)
        assert (slot.final, slot.consumed_by) == (True, None)
        assert await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE)) == 0
        assert len(await found.events("slot.foreign")) == 1


async def test_reorg_that_removes_the_foreign_transaction_lets_our_old_bytes_land(tmp_path: Path) -> None:
    """Why nothing is signed anew before finality: the bytes of the first nonce are still about."""
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        found.model.reorg(1, forget=True)
        found.model.mine_nothing(2)
        await found.look()
        (slot,) = await slots(found)
        assert slot.block_hash is None
        assert len(await found.events("slot.foreign_removed")) == 1
        await found.block(2)
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert len(await found.attempts(number)) == 1


async def test_foreign_slot_of_a_removed_block_is_free_again(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        found.model.mine(theirs(found, 0))
        await found.look()
        found.model.reorg(1, forget=True)
        found.model.mine_nothing(2)
        await found.look()
        assert await slots(found) == []
        (number,) = await found.submit(found.plan("next"))
        assert [row.nonce for row in await found.attempts(number)] == [0]


async def test_sightings_survive_a_restart_and_are_settled_after_it(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        number = await overtaken(found)
    async with pipeline(model, tmp_path) as again:
        await again.empty_block(FINAL_BLOCKS)
        assert (await again.intent(number)).state is IntentState.CANCELLED
        assert len(await again.events("slot.foreign")) == 1


async def test_own_transaction_in_a_block_that_nobody_looked_at_is_no_foreign_use(tmp_path: Path) -> None:
    """The follower passes over blocks when it was away for long; the receipt tells."""
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
    model.mine()
    model.mine_nothing(300)
    async with pipeline(model, tmp_path) as again:
        await again.empty_block()
        assert (await again.intent(number)).state is IntentState.LANDED
        assert await again.events("slot.foreign") == []


async def test_one_endpoint_without_receipts_decides_nothing(tmp_path: Path) -> None:
    """Of two that must agree, one knows no receipt of what landed while we were away."""
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
    model.mine()
    model.mine_nothing(300)
    forgetful = ChainModel(label="forgetful")
    forgetful.blocks, forgetful._by_hash, forgetful._places = model.blocks, model._by_hash, model._places
    forgetful.hides_receipts = True
    async with pipeline(model, tmp_path, transports=[model, forgetful], agreement=2) as again:
        await again.empty_block(2)
        assert (await again.intent(number)).state is IntentState.COMMITTED
        assert await again.events("slot.foreign") == []
        forgetful.hides_receipts = False
        await again.empty_block(2)
        assert (await again.intent(number)).state is IntentState.LANDED


async def test_settled_nonces_are_not_foreign_to_an_endpoint_whose_final_block_is_older(
    tmp_path: Path,
) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
    model.final_depth = 100
    async with pipeline(model, tmp_path) as again:
        await again.empty_block(2)
        assert await again.events("slot.foreign") == []
        model.final_depth = 3
        await again.empty_block(2)
        assert not again.alarms
