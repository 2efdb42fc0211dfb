"""What several plans of a transaction, or an account of ours, did is told by the ledger as it was."""

from __future__ import annotations

from pathlib import Path

from seawall.ledger.rows import Account, Leg
from seawall.ledger.segments import SegmentEnd
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import pipeline

FINAL_BLOCKS = 4
USD, ACCOUNT = Address(b"\x0d" * 20), Address(b"\x0e" * 20)


async def test_plan_waits_for_a_segment_that_failed_within_a_transaction_that_did_not(
    tmp_path: Path,
) -> None:
    """Until that is final it may still land after a reorg; then whoever depends on it is told."""
    async with pipeline(ChainModel(), tmp_path) as found:
        (first,) = await found.submit(found.plan("first"))
        await found.block()
        inclusion = await found.ledger.read(lambda tx: tx.inclusions.of_intent(first))
        assert inclusion is not None
        failed = SegmentEnd(inclusion.number, 0, first, landed=False, reason="it reverted")
        await found.ledger.write(lambda tx: tx.segments.insert_many([failed]))
        (second,) = await found.submit(found.plan("second", depends_on=("first",)))
        await found.empty_block()
        assert (await found.intent(second)).state is IntentState.QUEUED


async def test_what_an_account_of_ours_paid_stays_spent_when_it_is_final(tmp_path: Path) -> None:
    """An hour's limit counts what is settled too; several legs of one token add up."""
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        (attempt,) = await found.attempts(number)
        now_s = found.clock.now_s()
        await found.ledger.write(lambda tx: tx.spends.add(found.lane, attempt.number, USD, 1_000, now_s))
        await found.block()
        inclusion = await found.ledger.read(lambda tx: tx.inclusions.of_intent(number))
        assert inclusion is not None
        legs = found.chain.loop.confirmer.endings._legs
        paid: list[tuple[Account, int]] = [
            (ACCOUNT, -500), ("world", 500), (ACCOUNT, -300),
            ("world", 300), (found.key, 100), ("world", -100),
        ]  # fmt: skip
        more = tuple(Leg(account, USD, delta) for account, delta in paid)
        legs[inclusion.number] = (*legs[inclusion.number], *more)
        await found.empty_block(FINAL_BLOCKS)
        spends = await found.ledger.read(lambda tx: tx.spends.since(found.lane, 0))
        assert {row.token: row.amount for row in spends}[USD] == 700
