"""Plans that cannot be judged or stored are refused alone: they stop neither the lane nor the kernel."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.chain.data_fees import NoDataFees
from seawall.chain.fees import FeeQuote
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.primitives.errors import PlanError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState, Priority
from seawall.primitives.observations import Decision, Timer
from seawall.primitives.plans import GuardSpec, Plan
from seawall.primitives.ports import InlineOffload, SystemClock, SystemEntropy
from seawall.telemetry.metrics import Metrics
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.intake import Intake
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.queue import Queues
from seawall.transactions.routes import Routes
from seawall.transactions.waiting import Waiting
from seawall.transactions.writing import Outbox
from tests.builders.messages import CHAIN_ID, GWEI, KEY, block, direct_plan
from tests.unit.transactions.test_review_overlay import attempt, desk

LANE = Lane(CHAIN_ID, KEY)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    opened = Ledger.open(LedgerSettings(url), clock=SystemClock(), entropy=SystemEntropy())
    yield opened
    await opened.close()


def intake(ledger: Ledger) -> Intake:
    return Intake(ledger, SystemClock(), SystemEntropy(), frozenset({LANE}))


def decision(*plans: Plan, timers: tuple[Timer, ...] | None = None, version: int = 0) -> Decision:
    return Decision("keeper", 1, version, plans, None if timers is None else b"x", timers)


async def standing_desk(ledger: Ledger) -> Desk:
    """A desk on a model of the chain, over a true ledger and the true EVM."""
    found = desk()

    async def nonce_at(*_: object) -> int:
        return 5

    async def quotes(*_: object) -> dict[Priority, FeeQuote]:
        return dict.fromkeys(Priority, FeeQuote(GWEI, 1, 2 * GWEI, GWEI, 2 * GWEI))

    parts = SimpleNamespace(
        routes=Routes(),
        simulator=found.parts.simulator,
        gate=found.parts.gate,
        clock=SimpleNamespace(now_s=found.parts.clock.now_s, monotonic_s=lambda: 0.0),
        ledger=ledger,
        latch=SimpleNamespace(authority=Authority.RUN, changes=0, admits=lambda _: True),
        metrics=Metrics(),
        client=SimpleNamespace(nonce_at=nonce_at),
        fees=SimpleNamespace(quotes=quotes),
        network=SimpleNamespace(chain_id=CHAIN_ID),
        lane_unlanded_max=16,
        segments_max=1,
        data_fees=NoDataFees(),
        offload=InlineOffload(),
    )
    made = Desk(cast(DeskParts, parts))
    made.move_to(block())
    await made.stand_on_head()
    return made


async def dry_run_of(standing: Desk) -> Dispatcher:
    outbox, queues = Outbox(standing), Queues()
    fence = await standing.parts.ledger.write(lambda tx: tx.lanes.acquire(LANE, "test", 0, 60))
    runner = LaneRunner(standing, LANE, None, outbox, fence)
    standing.fences = {LANE: fence}
    return Dispatcher(standing, {LANE: runner}, queues, outbox, Waiting(standing, queues))


async def state_of(ledger: Ledger, number: IntentNumber) -> tuple[IntentState, str]:
    row = await ledger.read(lambda tx: tx.intents.get(number))
    return row.state, row.reason


@pytest.mark.parametrize(
    "guard",
    [
        GuardSpec("nobody_knows_this"),
        GuardSpec("gas_price"),
        GuardSpec("gas_price", (("max_fee_per_gas_wei", "7"),)),
        GuardSpec("oracle_staleness", (("feed", b"short"), ("max_age_s", 60))),
        GuardSpec("position_size", (("token", b"short"), ("cap", 1))),
        GuardSpec("position_size", (("token", KEY), ("cap", b"1"))),
    ],
)
async def test_plan_with_a_guard_that_cannot_judge_is_not_taken_in(ledger: Ledger, guard: GuardSpec) -> None:
    with pytest.raises(PlanError):
        await intake(ledger).accept(decision(direct_plan(guards=(guard,))))
    assert await ledger.read(lambda tx: tx.intents.listing(10)) == []


@pytest.mark.parametrize("field", ["deadline_s", "gas_limit", "chain_id"])
def test_plan_with_a_number_that_nothing_can_hold_is_no_plan(field: str) -> None:
    with pytest.raises(PlanError):
        replace(direct_plan(), **{field: 2**70})  # type: ignore[arg-type]


async def test_timer_and_state_version_beyond_what_a_row_holds_are_refused(ledger: Ledger) -> None:
    with pytest.raises(PlanError):
        await intake(ledger).accept(decision(timers=(Timer("far", 2**70),)))
    with pytest.raises(PlanError):
        await intake(ledger).accept(decision(timers=(), version=2**70))


async def test_intent_that_cannot_be_judged_is_refused_and_the_next_one_is_carried(ledger: Ledger) -> None:
    unknown = direct_plan(guards=(GuardSpec("of_another_release"),), key="first")
    first = await ledger.write(lambda tx: tx.intents.accept(unknown, block().hash, "c", 1).intent.number)
    (second,) = await intake(ledger).accept(decision(direct_plan(key="second")))
    standing = await standing_desk(ledger)
    dispatcher = await dry_run_of(standing)
    assert await dispatcher.step()
    state, reason = await state_of(ledger, first)
    assert state is IntentState.REFUSED
    assert reason.startswith("it cannot be judged: unknown guard 'of_another_release'")
    assert (await state_of(ledger, second.number))[0] is IntentState.CANCELLED


async def test_what_is_included_and_not_final_does_not_count_as_unlanded(ledger: Ledger) -> None:
    (row,) = await intake(ledger).accept(decision(direct_plan(key="17th")))
    standing = await standing_desk(ledger)
    dispatcher = await dry_run_of(standing)
    rows = [attempt(number, number + 4) for number in range(1, 17)]
    standing.load(rows, {})
    await standing.rebuild_overlay()
    assert not await dispatcher.step()
    standing.include(rows[0].hash, block().hash)
    assert await dispatcher.step()
    assert (await state_of(ledger, row.number))[0] is IntentState.CANCELLED
