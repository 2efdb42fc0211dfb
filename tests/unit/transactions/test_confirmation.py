"""What is in a block is booked once, however often the chain tells of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.chain.heads import HeadChange
from seawall.chain.receipts import Receipt
from seawall.primitives.blocks import Block
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Hash
from seawall.transactions.accounting import Accountant
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.finding import Finder
from seawall.transactions.foreign import ForeignUse, NonceWatch
from seawall.transactions.neighbours import Neighbours
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import pipeline

FINAL_BLOCKS = 4


async def test_transaction_that_a_block_and_an_old_sighting_tell_of_at_once_is_booked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A nonce was said to be used before its block was seen; finality reaches that as the block comes."""
    true_look = NonceWatch.look
    told: list[tuple[Block, Receipt]] = []

    async def look(self: NonceWatch, change: HeadChange, included: Collection[Hash]) -> ForeignUse:
        use = await true_look(self, change, included)
        receipts = await self.desk.parts.client.receipts(list(included))
        missed = tuple([(block, r) for block in change.added for r in receipts if r is not None])
        told.extend(missed)
        return replace(use, missed=missed)

    monkeypatch.setattr(NonceWatch, "look", look)
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one", value_wei=7))
        await found.block()
        monkeypatch.setattr(NonceWatch, "look", true_look)
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        inclusion = await found.ledger.read(lambda tx: tx.inclusions.of_intent(number))
        assert inclusion is not None
        assert (row.state, row.realised_wei) == (IntentState.LANDED, -inclusion.fee_wei - 7)
    assert told, "both told of it"


async def test_reorg_of_a_block_that_the_stored_line_of_heads_has_not_is_seen(tmp_path: Path) -> None:
    """A kernel that held no lane stored no heads; whoever recalls that line does not follow all that it has
    inclusions in, and looks at those until they are final."""
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        (number,) = await found.submit(found.plan("one", value_wei=7))
        await found.block()
        inclusion_block = Hash(found.model.head.hash)
        await found.empty_block()
        await found.ledger.write(lambda tx: tx.heads.remove([inclusion_block]))
    async with pipeline(model, tmp_path) as found:
        await found.look()  # its block is still there
        model.reorg(2)
        model.mine_nothing(2)
        model.mine()
        await found.look()
        assert (await found.intent(number)).state is IntentState.COMMITTED
        inclusion = await found.ledger.read(lambda tx: tx.inclusions.of_intent(number))
        assert inclusion is not None
        assert inclusion.block_hash != inclusion_block
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert not found.alarms


@pytest.mark.parametrize(
    ("reader", "step"), [(Finder, "_receipts"), (Accountant, "prepare"), (Confirmer, "_store")]
)
async def test_what_its_holder_settled_while_a_block_was_read_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: type, step: str
) -> None:
    """A kernel that is behind reads a block without its desk's turn; another one, for which the block is
    final, settles what its lane has in it, and the dispatcher learns of that."""
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        (attempt,) = await found.attempts(number)
        desk, neighbours = found.chain.desk, Neighbours(found.chain.desk)
        await neighbours.start()
        true_step: Callable[..., Awaitable[object]] = getattr(reader, step)

        async def learning(self: object, *given: object) -> object:
            if attempt.hash in desk.unsettled:
                await found.ledger.write(
                    lambda tx: tx.slots.settle(attempt.lane, attempt.nonce, attempt.hash)
                )
                desk.fences = {}
                await neighbours.learn()
            return await true_step(self, *given)

        monkeypatch.setattr(reader, step, learning)
        found.model.mine()
        await found.look()
        assert desk.head is not None
        assert desk.head.hash == found.model.head.hash
        assert (desk.unsettled, desk.included) == ({}, {})
        assert not found.alarms
