"""Many plans at once and large ones, in short: `make load` is the long form."""

from __future__ import annotations

import pytest

from bench.load import Sizes, rows_of

pytestmark = pytest.mark.anvil


async def test_plans_at_once_and_large_ones_end_as_they_should_and_one_too_large_is_refused() -> None:
    """The run itself requires that nothing is lost or twice, and that the refusal names the gas."""
    rows = {row.metric: row for row in await rows_of(Sizes(keys=10, waves=1))}
    assert rows["200 swaps in one plan: transactions"].ours == 1
    assert rows["200 swaps as 50 segments: transactions"].ours < 50
    for name in ("200 swaps in one plan", "200 swaps as 50 segments"):
        gas = rows[f"{name}: gas used by the largest"]
        assert gas.limit is not None
        assert 0 < gas.ours <= gas.limit
