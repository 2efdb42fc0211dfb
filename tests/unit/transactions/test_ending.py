"""What one head made safe or final is stored in pieces: each is whole, and none is lost or said twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from unittest import mock

import pytest

from seawall.ledger import Ledger
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import LedgerUnavailableError
from seawall.primitives.levels import Finality, IntentState
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import Pipeline, pipeline

T = TypeVar("T")
COUNT = 5


async def landed(found: Pipeline, piece: int) -> list[IntentState]:
    """As many as `COUNT` are in one block, which is final at the head that comes next: handled, no more."""
    found.chain.loop.confirmer.endings.piece = piece
    numbers = await found.submit(*(found.plan(f"plan {place}") for place in range(COUNT)))
    await found.block()
    found.model.mine_nothing(count=found.model.final_depth)
    change = await found.chain.loop.follower.poll()
    assert change is not None
    await found.chain.loop.confirmer.handle(change)
    return [(await found.intent(number)).state for number in numbers]


async def how_often(found: Pipeline, kind: str) -> Counter[int | None]:
    return Counter(event.intent for event in await found.events(kind))


@pytest.mark.parametrize("piece", [1, 2, COUNT - 1, COUNT, COUNT + 1, 2 * COUNT])
async def test_pieces_of_any_size_end_every_intent_once(tmp_path: Path, piece: int) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        await landed(found, piece)
        await found.chain.loop.confirmer.finish()
        assert not found.chain.desk.unsettled
        for kind in ("inclusion.safe", "intent.landed"):
            assert set((await how_often(found, kind)).values()) == {1}
            assert len(await how_often(found, kind)) == COUNT
        rows = await found.ledger.read(lambda tx: tx.inclusions.unsettled(found.model.chain_id))
        assert rows == []


async def test_head_with_much_to_end_is_stored_before_all_of_it_has_ended(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        states = await landed(found, piece=COUNT + 2)  # all become safe first, and two of them final
        assert Counter(states) == {IntentState.LANDED: 2, IntentState.COMMITTED: COUNT - 2}
        assert found.chain.desk.head is not None
        assert found.chain.desk.head.number == found.model.head.number
        await found.look()
        assert len(await how_often(found, "intent.landed")) == COUNT


async def test_piece_that_could_not_be_stored_leaves_the_head_handled_and_is_stored_later(
    tmp_path: Path,
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        await landed(found, piece=1)
        confirmer, true_write = found.chain.loop.confirmer, Ledger.write
        fails = [False, False, True]

        async def write(self: Ledger, work: Callable[[Transaction], T]) -> T:
            if fails and fails.pop(0):
                raise LedgerUnavailableError("the disk is full", "here", "free space")
            return await true_write(self, work)

        with mock.patch.object(Ledger, "write", write), pytest.raises(LedgerUnavailableError):
            await confirmer.finish()
        assert found.chain.desk.unsettled
        inclusions = await found.ledger.read(lambda tx: tx.inclusions.unsettled(found.model.chain_id))
        assert {row.finality for row in inclusions} == {Finality.INCLUDED, Finality.SAFE}
        await found.look()  # no new head: the rest is stored all the same
        assert not found.chain.desk.unsettled
        assert (await how_often(found, "intent.landed")).total() == COUNT
        assert (await how_often(found, "inclusion.added")).total() == COUNT


async def test_pieces_left_by_one_life_are_stored_by_the_next(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        await landed(found, piece=2)
    async with pipeline(model, tmp_path) as found:
        await found.empty_block()
        assert not found.chain.desk.unsettled
        assert (await how_often(found, "intent.landed")).total() == COUNT
