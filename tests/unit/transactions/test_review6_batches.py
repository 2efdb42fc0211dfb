"""A group that nobody sends leaves nothing behind that others are judged upon."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest

from seawall.primitives.errors import StaleError
from seawall.transactions import batches
from seawall.transactions.batches import BatchJudging
from seawall.transactions.segments import Together
from tests.builders.messages import candidate, executor_plan
from tests.unit.transactions.test_segments import row


def test_group_without_a_reservation_is_not_put_onto_the_state() -> None:
    kept: list[object] = []
    machine = cast(Any, SimpleNamespace(keep=kept.append))
    book = SimpleNamespace(reserve=lambda *_: False)
    rows = [row(1, executor_plan()), row(2, executor_plan())]
    one = candidate(executor_plan())
    judged = SimpleNamespace(candidate=one, spends={}, segments=())
    work = BatchJudging(
        cast(Any, SimpleNamespace(base=lambda: one.base)), list(rows), {rows[0].lane: 0}, frozenset(),
        {}, 0, cast(Any, None), cast(Any, None), 0,
    )  # fmt: skip
    together = Together(one.payload, (), {}, ())
    with (
        patch.object(BatchJudging, "_gas_limit_of", lambda *_: 100_000),
        patch.object(BatchJudging, "_candidate", lambda *_: one),
        patch.object(BatchJudging, "_as_judged", lambda *_: judged),
        patch.object(BatchJudging, "_is_guessed_wrong", lambda *_: False),
        patch.object(batches, "judge_together", lambda *_: together),
        pytest.raises(StaleError, match="spent what was left"),
    ):
        work._together(rows, machine, cast(Any, SimpleNamespace(book=book)))
    assert kept == []
