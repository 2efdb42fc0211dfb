"""What does not land is written again, replaced, cancelled or reported; every hash stays watched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.chain.fees import FeeSettings
from seawall.ledger.rows import AttemptRow
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import Authority, Finality, IntentState, Priority, WriteKind
from seawall.primitives.units import Address
from seawall.transactions.policies import StuckPolicies
from seawall.transactions.recovery import REJECTIONS_MAX
from tests.builders.chain_model import GWEI, ChainModel
from tests.builders.pipeline import ETHER, Pipeline, pipeline

FINAL_BLOCKS = 4
NORMAL = StuckPolicies().normal
# PUSH0 PUSH0 REVERT
REVERTS = bytes.fromhex("5f5ffd")
TARGET = Address(b"\xc0" * 20)


def kinds(attempts: list[AttemptRow]) -> list[WriteKind]:
    return [row.kind for row in attempts]


async def waits(found: Pipeline, **plan: object) -> IntentNumber:
    """An intent that the node has and does not include."""
    (number,) = await found.submit(found.plan("waits", **plan))  # type: ignore[arg-type]
    return number


async def test_what_a_node_forgot_is_written_again_at_the_next_head(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found)
        found.model.drop()
        await found.empty_block()
        (attempt,) = await found.attempts(number)
        assert (attempt.writes, attempt.hash in found.model.pool) == (2, True)


async def test_fresh_attempts_behind_others_cost_no_look(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        await found.submit(*[found.plan(f"plan {i}") for i in range(4)])
        found.model.requests.clear()
        await found.empty_block()
        assert found.model.requests.count("eth_getTransactionByHash") == 1


async def test_executable_bytes_are_written_again_and_then_replaced_by_dearer_ones(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found)
        await found.empty_block(NORMAL.rebroadcast_blocks)
        (first,) = await found.attempts(number)
        assert first.writes == 2
        await found.empty_block(NORMAL.replace_blocks)
        first, second, *_ = await found.attempts(number)
        assert (second.payload, second.nonce) == (first.payload, first.nonce)
        assert second.max_fee_per_gas_wei * 10 >= first.max_fee_per_gas_wei * 11
        verdict = await found.ledger.read(lambda tx: tx.verdicts.get(second.verdict or first.verdict))  # type: ignore[arg-type]
        assert second.payload.gas_limit * second.max_fee_per_gas_wei <= verdict.verdict.max_total_fee_wei
        assert list(found.model.pool) == [second.hash]
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED


async def test_first_hash_that_lands_after_all_is_the_one_that_counts(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found)
        (first,) = await found.attempts(number)
        kept = found.model.pool[first.hash]
        await found.empty_block(NORMAL.rebroadcast_blocks + NORMAL.replace_blocks)
        assert len(await found.attempts(number)) >= 2
        found.model.drop()
        found.model.mine(kept)
        await found.look()
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        assert row.state is IntentState.LANDED
        slot = await found.ledger.read(lambda tx: tx.slots.get(found.lane, 0))
        assert slot is not None
        assert slot.consumed_by == first.hash
        assert found.chain.desk.unsettled == {}


async def test_no_replacement_passes_what_the_verdict_judged(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found)
        await found.empty_block(40)
        attempts = await found.attempts(number)
        verdicts = await found.ledger.read(lambda tx: tx.verdicts.of_intent(number))
        ceiling_wei = verdicts[0].verdict.max_total_fee_wei
        assert len(attempts) > 2
        assert all(a.payload.gas_limit * a.max_fee_per_gas_wei <= ceiling_wei for a in attempts)
        assert {v.verdict.max_total_fee_wei for v in verdicts} == {ceiling_wei // 21_000 * 21_000} or all(
            v.verdict.max_total_fee_wei <= ceiling_wei for v in verdicts
        )


async def test_slot_that_cannot_be_replaced_is_reported_with_who_waits_behind_it_once(
    tmp_path: Path,
) -> None:
    fees = FeeSettings(headroom_bps=10_000)  # nothing may be dearer than what was signed first
    async with pipeline(ChainModel(), tmp_path, fees=fees) as found:
        number = await waits(found)
        (urgent,) = await found.submit(found.plan("urgent", priority=Priority.CRITICAL))
        (calm,) = await found.submit(found.plan("calm", priority=Priority.LOW))
        await found.empty_block(20)
        (stuck,) = await found.events("slot.stuck")
        assert stuck.intent == number
        assert "its verdict judged" in str(stuck.data["why"])
        assert stuck.data["waiting"] == 2
        (blocked,) = await found.events("lane.blocked")
        assert (blocked.intent, blocked.data["blocking"]) == (urgent, number)
        assert calm != urgent
        assert len(await found.attempts(number)) == 1


async def test_deadline_gives_up_by_a_transfer_to_ourselves(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found, ttl_s=2)
        await found.empty_block(4)
        row = await found.intent(number)
        assert (row.state, row.reason) == (
            IntentState.COMMITTED,
            "its deadline passed before it was on chain",
        )
        assert kinds(await found.slot_attempts(0)) == [WriteKind.PLAN, WriteKind.HOUSEKEEPING]
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        assert (row.state, row.reason) == (
            IntentState.CANCELLED,
            "its deadline passed before it was on chain",
        )


@pytest.mark.parametrize("wins", ["filler", "original"])
async def test_cancel_of_what_is_committed_ends_by_what_the_chain_shows(tmp_path: Path, wins: str) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found)
        (first,) = await found.attempts(number)
        original = found.model.pool[first.hash]
        await found.ledger.write(lambda tx: tx.intents.ask_cancel(number, "the operator wants it so"))
        await found.empty_block()
        assert kinds(await found.slot_attempts(0)) == [WriteKind.PLAN, WriteKind.HOUSEKEEPING]
        if wins == "original":
            found.model.drop()
            found.model.mine(original)
            await found.look()
        else:
            await found.block()
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        assert row.state is (IntentState.LANDED if wins == "original" else IntentState.CANCELLED)
        if wins == "filler":
            assert row.reason == "the operator wants it so"


async def test_cancel_of_what_is_queued_never_gets_a_nonce(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path, unlanded_max=1) as found:
        await waits(found)
        (queued,) = await found.submit(found.plan("queued"))
        await found.ledger.write(lambda tx: tx.intents.ask_cancel(queued, "not needed any more"))
        await found.empty_block(3)
        row = await found.intent(queued)
        assert (row.state, row.reason) == (IntentState.CANCELLED, "not needed any more")
        assert await found.attempts(queued) == []


async def test_bytes_that_every_endpoint_rejects_are_filled_after_their_last_try(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        found.port.refuses = "transaction type not supported"
        number = await waits(found, ttl_s=10_000)
        await found.empty_block(REJECTIONS_MAX - 2)
        assert len(await found.slot_attempts(0)) == 1
        await found.empty_block(4)
        found.port.refuses = ""
        attempts = await found.slot_attempts(0)
        assert (attempts[0].writes, kinds(attempts)[1]) == (REJECTIONS_MAX, WriteKind.HOUSEKEEPING)
        assert "every endpoint rejects" in (await found.intent(number)).reason


async def test_filler_that_cannot_be_paid_is_told_once_and_not_written_at_each_head(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        await waits(found, ttl_s=2)
        found.model.drop()
        found.model.fund(found.key, 1_000)
        await found.empty_block(3)
        writes = len(found.port.written)
        await found.empty_block(5)
        assert len(found.port.written) <= writes + 1
        (event,) = await found.events("filler.unfunded")
        assert event.data["balance_wei"] == "1000"
        found.model.fund(found.key, ETHER)
        await found.empty_block(2)
        assert [row.nonce for row in found.model.pool.values()] == [0]


async def test_filler_whose_tip_is_too_low_is_made_dearer_under_the_emergency_ceiling(
    tmp_path: Path,
) -> None:
    async with pipeline(ChainModel(), tmp_path, emergency_gwei=3) as found:
        await waits(found, ttl_s=2)
        await found.empty_block(40)
        attempts = await found.slot_attempts(0)
        fillers = [row for row in attempts if row.kind is WriteKind.HOUSEKEEPING]
        assert len(fillers) > 1
        assert max(row.max_fee_per_gas_wei for row in fillers) <= 3 * GWEI
        (stuck,) = await found.events("slot.stuck")
        assert "ceiling for housekeeping" in str(stuck.data["why"])


@pytest.mark.parametrize(
    ("priority", "ends"), [(Priority.NORMAL, WriteKind.HOUSEKEEPING), (Priority.CRITICAL, WriteKind.PLAN)]
)
async def test_predicted_revert_cancels_by_the_policy_of_its_priority(
    tmp_path: Path, priority: Priority, ends: WriteKind
) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        await waits(found, priority=priority, to=TARGET)
        found.model.codes[TARGET] = REVERTS
        await found.empty_block(12)
        assert (await found.slot_attempts(0))[-1].kind is ends


async def test_dropped_bytes_that_would_revert_now_are_cancelled_whatever_their_priority(
    tmp_path: Path,
) -> None:
    """Nothing is written without a verdict in force (invariant 3a)."""
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found, priority=Priority.CRITICAL, to=TARGET)
        found.model.codes[TARGET] = REVERTS
        found.model.drop()
        found.chain.desk.verdicts.clear()
        await found.empty_block()
        assert kinds(await found.slot_attempts(0)) == [WriteKind.PLAN, WriteKind.HOUSEKEEPING]
        assert "it would revert" in (await found.intent(number)).reason


async def dependent_of_lost(found: Pipeline, effect: Callable[[], None]) -> tuple[IntentNumber, IntentNumber]:
    """A committed dependent whose dependency a reorg takes from the chain."""
    first, second = await found.submit(
        found.plan("first"), found.plan("second", to=TARGET, depends_on=("first",))
    )
    await found.block()
    assert (await found.intent(second)).state is IntentState.COMMITTED
    effect()
    found.model.reorg(1)
    found.model.drop()
    found.model.mine_nothing(2)
    await found.look()
    return first, second


async def test_dependent_of_a_reorged_inclusion_is_suspect_and_kept_if_admitted(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        first, second = await dependent_of_lost(found, lambda: None)
        (event,) = await found.events("intent.suspect")
        assert (event.intent, event.data["intent"]) == (second, first)
        assert [row.data["admitted"] for row in await found.events("verdict.renewed")][-1] is True
        await found.block(2)
        await found.empty_block(FINAL_BLOCKS)
        assert [(await found.intent(n)).state for n in (first, second)] == [IntentState.LANDED] * 2


async def test_dependent_of_a_reorged_inclusion_is_cancelled_if_refused(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:

        def reverts() -> None:
            found.model.codes[TARGET] = REVERTS

        _, second = await dependent_of_lost(found, reverts)
        assert kinds(await found.slot_attempts(1)) == [WriteKind.PLAN, WriteKind.HOUSEKEEPING]
        assert "what it depends on is gone" in (await found.intent(second)).reason


async def test_queued_dependent_waits_for_its_dependency_to_come_back(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (first,) = await found.submit(found.plan("first"))
        await found.block()
        (second,) = await found.submit(
            found.plan("second", depends_on=("first",), depends_finality=Finality.SAFE)
        )
        found.model.reorg(1)
        found.model.mine_nothing(2)
        await found.look()
        assert await found.events("intent.suspect") == []
        assert (await found.intent(second)).state is IntentState.QUEUED
        await found.block(3)
        assert (await found.intent(second)).state is IntentState.COMMITTED
        assert first < second


async def test_nothing_is_replaced_under_halt_and_time_under_it_is_no_waiting(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        number = await waits(found)
        found.latch.lower(Authority.HALT, "a drill", "test")
        await found.empty_block(20)
        (attempt,) = await found.attempts(number)
        assert attempt.writes == 1
        found.latch.raise_to(Authority.RUN, "over", "test")
        await found.empty_block()
        assert len(await found.attempts(number)) == 1


def test_policies_are_in_order_of_urgency() -> None:
    policies = StuckPolicies()
    waits_blocks = [policies.of(priority).replace_blocks for priority in Priority]
    assert waits_blocks == sorted(waits_blocks)
    with pytest.raises(Exception, match="no fewer to replace"):
        replace(policies.normal, replace_blocks=1)
