"""What comes while a batch is being committed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import AsyncMock, patch

import pytest

from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Decision
from seawall.transactions.committing import Batch, Committer
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import STRATEGY, Pipeline, pipeline

WAIT_S = 20


@pytest.mark.parametrize("happens", [True, False])
async def test_what_comes_while_a_batch_is_committed_is_prepared_beside_it(
    tmp_path: Path, happens: bool
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found, asyncio.timeout(WAIT_S):
        dispatcher, queues = found.chain.loop.dispatcher, found.chain.intake.queues
        begun, may_end, commit = asyncio.Event(), asyncio.Event(), Committer.commit

        async def held(committer: Committer, batch: Batch) -> bool:
            if begun.is_set():
                return await commit(committer, batch)
            begun.set()
            await may_end.wait()
            if happens:
                return await commit(committer, batch)
            committer._undo(batch)
            return False

        with patch.object(Committer, "commit", held):
            first = await _accept(found, 1)
            step = asyncio.create_task(dispatcher.step())
            await begun.wait()
            second = await _accept(found, 2)
            found.chain.loop.wake_lanes()
            while not queues[found.lane].has_taken(second):  # noqa: ASYNC110  (nobody would set an event)
                await asyncio.sleep(0.001)
            may_end.set()
            await step
            await found.dispatch()
        rows = [await found.intent(number) for number in (first, second)]
        assert [row.state for row in rows] == [IntentState.COMMITTED] * 2
        attempts = [one.nonce for number in (first, second) for one in await found.attempts(number)]
        assert attempts == [0, 1], "none is lost and none is used twice, whether the first commit happened"


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_turn_that_ends_early_waits_for_the_commit_that_is_under_way(
    tmp_path: Path, is_cancelled: bool
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found, asyncio.timeout(WAIT_S):
        dispatcher, desk = found.chain.loop.dispatcher, found.chain.desk
        begun, may_end, commit = asyncio.Event(), asyncio.Event(), Committer.commit

        async def held(committer: Committer, batch: Batch) -> bool:
            begun.set()
            await may_end.wait()
            return await commit(committer, batch)

        with patch.object(Committer, "commit", held):
            first = await _accept(found, 1)
            step = asyncio.create_task(dispatcher.step())
            await begun.wait()
            await asyncio.sleep(0)
            if is_cancelled:
                step.cancel()
            else:
                with patch.object(type(dispatcher), "_prepare", AsyncMock(side_effect=ValueError)):
                    dispatcher.stir()
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.01)
            assert desk.turn.locked(), "nobody else may judge before it is known what is committed"
            may_end.set()
            with pytest.raises(asyncio.CancelledError if is_cancelled else ValueError):
                await step
        (attempt,) = await found.attempts(first)
        assert (attempt.hash in desk.unsettled, desk.turn.locked()) == (True, False)


async def _accept(found: Pipeline, seq: int) -> IntentNumber:
    (row,) = await found.chain.intake.accept(Decision(STRATEGY, seq, 0, (found.plan(f"plan {seq}"),)))
    return row.number
