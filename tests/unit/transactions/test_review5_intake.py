"""The bound on what waits in a lane, as the ledger's thread counts it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.primitives.errors import BackPressureError
from seawall.primitives.identifiers import Lane
from seawall.primitives.observations import Decision
from seawall.primitives.ports import SystemClock, SystemEntropy
from seawall.transactions import intake
from seawall.transactions.intake import Intake
from tests.builders.messages import direct_plan

MAX = 4


async def test_decisions_of_one_commit_do_not_pass_the_bound_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "QUEUED_PER_LANE_MAX", MAX)
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    clock = SystemClock()
    ledger = Ledger.open(LedgerSettings(url), clock=clock, entropy=SystemEntropy())
    plans = [direct_plan(key=f"plan {number}") for number in range(2 * MAX)]
    lane = Lane(plans[0].chain_id, plans[0].key)
    made = Intake(ledger, clock, SystemEntropy(), [lane])
    made.queues.open(lane)
    decisions = [Decision(plan.strategy, seq, 0, (plan,)) for seq, plan in enumerate(plans, start=1)]
    for decision in decisions[: MAX // 2]:
        await made.accept(decision)
    ends = await asyncio.gather(*map(made.accept, decisions[MAX // 2 :]), return_exceptions=True)
    waiting = await ledger.read(lambda tx: tx.intents.queued(lane, 2 * MAX))
    await ledger.close()
    assert len(waiting) == MAX
    assert [type(end) for end in ends if isinstance(end, BaseException)] == [BackPressureError] * MAX
