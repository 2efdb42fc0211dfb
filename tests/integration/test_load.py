"""Many plans at once and large ones, in short: `make load` is the long form."""

from __future__ import annotations

import pytest

from bench.load import GAS_USE_MAX, NEAR_BPS, Sizes, rows_of
from seawall.primitives.units import BPS

pytestmark = pytest.mark.anvil


async def test_plans_at_once_and_large_ones_end_as_they_should_and_one_too_large_is_refused() -> None:
    """The run itself requires that nothing is lost or twice, and that the refusal names the gas."""
    rows = {row.metric: row for row in await rows_of(Sizes(keys=10, waves=1))}
    transactions = {"200 calls as 10 plans": 1, "220 calls as 10 plans": 2, "200 calls in one plan": 1}
    for name, count in transactions.items():
        assert rows[f"{name}: transactions"].ours == count
        gas_limit = rows[f"{name}: gas limit of the largest"].ours
        assert GAS_USE_MAX * NEAR_BPS // BPS <= gas_limit <= GAS_USE_MAX
        assert rows[f"{name}: gas used by the largest"].ours < gas_limit
