"""Between a head that is confirmed and the simulator that stands on it, the base is the block before."""

from __future__ import annotations

from pathlib import Path

from seawall.primitives.levels import IntentState
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import ETHER, Pipeline, pipeline


async def confirm_alone(found: Pipeline) -> None:
    """The head is confirmed, and the simulator is not there yet."""
    loop = found.chain.loop
    change = await loop.follower.poll()
    assert change is not None
    await loop.confirmer.handle(change)
    loop._pin_due = True


async def test_what_is_included_above_the_base_is_not_left_out_of_its_overlay(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (first,) = await found.submit(found.plan("first"))
        found.model.mine()
        await confirm_alone(found)
        found.chain.desk.unready()  # a batch was dropped, say
        (second,) = await found.submit(found.plan("second"))
        assert found.chain.intake.queues[found.lane].cause_of(second) == ""
        await found.look()
        states = [(await found.intent(number)).state for number in (first, second)]
        assert states == [IntentState.COMMITTED] * 2


async def test_what_a_neighbour_spent_above_the_base_is_not_spent_again_on_it(tmp_path: Path) -> None:
    """The first takes from somebody what the second needs him to have."""
    async with pipeline(ChainModel(), tmp_path, keys=2) as found:
        key, other = found.signers
        found.model.fund(other, ETHER // 2)
        await found.submit(found.plan("first", to=other, value_wei=ETHER))
        found.model.mine()
        await confirm_alone(found)
        found.chain.desk.unready()
        (second,) = await found.submit(found.plan("second", key=other, value_wei=ETHER))
        assert (await found.intent(second)).state is not IntentState.REFUSED
        await found.look()
        assert (await found.intent(second)).state is IntentState.COMMITTED
        assert key != other
