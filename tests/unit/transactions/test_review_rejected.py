"""Bytes that no endpoint takes: written a bounded number of times, then their nonce is filled."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.chain.broadcast import WriteAnswer
from seawall.ledger.rows import AttemptRow, IntentRow, SlotRow
from seawall.primitives.identifiers import IntentNumber
from seawall.transactions import recovery
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.recovery import REJECTIONS_MAX, OpenSlot
from tests.builders.messages import NOW_S, direct_plan
from tests.unit.transactions.test_review_overlay import LANE, attempt


@pytest.mark.parametrize(
    ("writes", "answer", "fills"),
    [
        (REJECTIONS_MAX - 1, WriteAnswer.REJECTED, False),
        (REJECTIONS_MAX, WriteAnswer.REJECTED, True),
        (REJECTIONS_MAX, WriteAnswer.ACCEPTED, False),
    ],
)
async def test_bytes_are_given_up_after_their_last_rejection(
    monkeypatch: pytest.MonkeyPatch, writes: int, answer: WriteAnswer, fills: bool
) -> None:
    put: list[AttemptRow] = []
    filled: list[str] = []

    async def fill(*arguments: object) -> None:
        filled.append(str(arguments[-1]))

    monkeypatch.setattr(recovery, "_fill", fill)
    outbox = SimpleNamespace(holds=lambda _hash: False, put=put.append)
    desk = SimpleNamespace(
        parts=SimpleNamespace(clock=SimpleNamespace(now_s=lambda: NOW_S)),
        verdicts={},
        in_force=lambda _verdict: True,
    )
    runner = cast(LaneRunner, SimpleNamespace(outbox=outbox, desk=desk))
    row = replace(attempt(1, 5), writes=writes, answer=answer)
    plan = direct_plan()
    intent = cast(IntentRow, SimpleNamespace(plan=plan, number=IntentNumber(1), correlation_id="c"))
    slot = OpenSlot(SlotRow(1, LANE, 5, "plan", IntentNumber(1), None, None, final=False), (row,), intent)
    await recovery._tend_slot(runner, slot, is_known=False)
    assert (bool(filled), bool(put)) == (fills, not fills)
