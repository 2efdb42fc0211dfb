"""A nonce that somebody else's pending transaction holds: our filler outbids it as far as housekeeping may,
and what it cannot outbid is told."""

from __future__ import annotations

from pathlib import Path

from seawall.ledger.rows import AttemptRow
from seawall.primitives.levels import IntentState, WriteKind
from seawall.primitives.units import Hash
from tests.builders.chain_model import GWEI, ChainModel, ModelTransaction
from tests.builders.pipeline import Pipeline, pipeline

FINAL_BLOCKS = 4
OUTBIDDING_BLOCKS = 60  # a tenth more at each block


def hold_nonce(found: Pipeline, tip_gwei: int) -> Hash:
    """Somebody signed for our next nonce elsewhere, with a tip that no quote of ours reaches."""
    foreign = ModelTransaction(
        Hash(b"\xaa" * 32),
        found.key,
        0,
        max_fee_per_gas_wei=(tip_gwei + 2) * GWEI,
        max_priority_fee_per_gas_wei=tip_gwei * GWEI,
    )
    found.model.pool[foreign.hash] = foreign
    return foreign.hash


async def fillers(found: Pipeline) -> list[AttemptRow]:
    return [row for row in await found.slot_attempts(0) if row.kind is WriteKind.HOUSEKEEPING]


async def test_filler_outbids_a_foreign_transaction_that_holds_its_nonce(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        foreign = hold_nonce(found, tip_gwei=1)
        (number,) = await found.submit(found.plan("held up", ttl_s=2))
        await found.empty_block(OUTBIDDING_BLOCKS)
        (held,) = found.model.pool
        assert held != foreign
        assert held == (await fillers(found))[-1].hash
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.CANCELLED


async def test_filler_that_may_not_outbid_is_told_once_and_goes_on_when_the_nonce_is_free(
    tmp_path: Path,
) -> None:
    async with pipeline(ChainModel(), tmp_path, emergency_gwei=4) as found:
        foreign = hold_nonce(found, tip_gwei=50)
        (number,) = await found.submit(found.plan("held up", ttl_s=2))
        await found.empty_block(OUTBIDDING_BLOCKS)
        made = await fillers(found)
        assert max(row.max_fee_per_gas_wei for row in made) <= 4 * GWEI
        (stuck,) = await found.events("slot.stuck")
        assert "ceiling for housekeeping" in str(stuck.data["why"])
        found.model.drop(foreign)
        await found.empty_block()
        assert list(found.model.pool) == [made[-1].hash]
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.CANCELLED
        assert len(await fillers(found)) == len(made)
