"""Fees of a filler: what the replacement rule needs is paid up to the ceiling; what more is quoted is cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.chain.fees import FeeQuote
from seawall.chain.networks import network_of
from seawall.chain.replacement import Fees
from seawall.primitives.errors import ConfigError
from seawall.primitives.levels import Priority
from seawall.runtime.configuration.loading import load_configuration
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.housekeeping import fill_fees
from seawall.transactions.lanes import LaneRunner
from tests.builders.messages import CHAIN_ID, GWEI, NOW_S, block
from tests.unit.transactions.test_review_overlay import attempt


def runner(quoted_gwei: int, ceiling_gwei: int) -> LaneRunner:
    async def quotes(*_: object) -> dict[Priority, FeeQuote]:
        quote = FeeQuote(GWEI, 1, quoted_gwei * GWEI, GWEI, quoted_gwei * GWEI)
        return dict.fromkeys(Priority, quote)

    parts = SimpleNamespace(
        fees=SimpleNamespace(quotes=quotes),
        network=network_of(CHAIN_ID),
        emergency_max_fee_per_gas_wei=ceiling_gwei * GWEI,
        clock=SimpleNamespace(now_s=lambda: NOW_S),
    )
    desk = Desk(cast(DeskParts, parts))
    desk.move_to(block())
    return cast(LaneRunner, SimpleNamespace(desk=desk))


async def test_quote_above_the_ceiling_is_cut_so_that_a_filler_can_wait_in_the_pool() -> None:
    fees = await fill_fees(runner(quoted_gwei=300, ceiling_gwei=100), ())
    assert fees == Fees(100 * GWEI, 1)


@pytest.mark.parametrize(("earlier_gwei", "ceiling_gwei", "fits"), [(100, 111, True), (100, 110, False)])
async def test_replacement_is_made_up_to_the_ceiling(
    earlier_gwei: int, ceiling_gwei: int, fits: bool
) -> None:
    earlier = replace(attempt(1, 5), max_fee_per_gas_wei=earlier_gwei * GWEI)
    fees = await fill_fees(runner(quoted_gwei=300, ceiling_gwei=ceiling_gwei), (earlier,))
    assert fees == (Fees(111 * GWEI, 2) if fits else None)


def test_emergency_ceiling_that_could_not_replace_the_dearest_plan_is_no_configuration(
    tmp_path: Path,
) -> None:
    text = '[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:8545"]\n[chains.fees]\n'
    (tmp_path / "seawall.toml").write_text(
        text + 'max_fee_per_gas_ceiling_gwei = "455"\nemergency_max_fee_per_gas_gwei = "500"\n'
    )
    with pytest.raises(ConfigError, match="cannot replace"):
        load_configuration(tmp_path / "seawall.toml", {})
