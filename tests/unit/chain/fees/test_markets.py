"""The rules by which base fees move, against their specifications."""

from __future__ import annotations

import pytest

from seawall.chain.fees import (
    FeeMarket,
    FeeSettings,
    fee_settings_of,
    highest_base_fee_after,
    market_of,
    next_base_fee,
)
from seawall.chain.fees.markets import market_of_header
from seawall.chain.networks import NETWORKS
from seawall.primitives.errors import ConfigError

GWEI = 10**9
ETHEREUM, BASE, POLYGON, ARBITRUM = (NETWORKS[number] for number in (1, 8_453, 137, 42_161))


def test_base_fee_rises_by_an_eighth_a_block_at_most() -> None:
    assert highest_base_fee_after(800, 0) == 800
    assert highest_base_fee_after(800, 2) == 1_013
    assert highest_base_fee_after(0, 3) == 3


@pytest.mark.parametrize(
    ("gas_used", "expected"),
    [
        # The example values of EIP-1559's reference tests: target 10M, base fee 1 gwei.
        (10_000_000, 1_000_000_000), (9_000_000, 987_500_000), (11_000_000, 1_012_500_000),
        (20_000_000, 1_125_000_000), (0, 875_000_000),
    ],
)  # fmt: skip
def test_next_base_fee_follows_eip_1559(gas_used: int, expected: int) -> None:
    assert next_base_fee(market_of(ETHEREUM), GWEI, gas_used, 20_000_000) == expected


def test_base_fee_of_nothing_rises_by_one_wei() -> None:
    assert next_base_fee(market_of(ETHEREUM), 0, 15_000_001, 30_000_000) == 1
    assert next_base_fee(market_of(ETHEREUM), 5, 0, 0) == 5


def test_op_stack_rises_by_two_per_cent_where_its_header_says_nothing() -> None:
    assert highest_base_fee_after(GWEI, 1, market_of(BASE)) == GWEI * 102 // 100
    assert next_base_fee(market_of(BASE), GWEI, 60_000_000, 60_000_000) == GWEI * 102 // 100


def test_op_stack_parameters_are_read_from_the_parents_header() -> None:
    holocene = b"\x00" + (50).to_bytes(4, "big") + (3).to_bytes(4, "big")
    said = market_of_header(market_of(BASE), holocene)
    assert (said.change_denominator, said.target_numerator, said.target_denominator) == (50, 1, 3)
    jovian = market_of_header(market_of(BASE), b"\x01" + holocene[1:] + (7 * GWEI).to_bytes(8, "big"))
    assert next_base_fee(jovian, GWEI, 0, 60_000_000) == 7 * GWEI
    assert highest_base_fee_after(GWEI, 1, jovian) > 7 * GWEI


@pytest.mark.parametrize(
    "extra_data",
    [
        b"",
        b"\x00",
        bytes(9),
        b"\x01" + bytes(16),
        b"\x02" + bytes(16),
        b"\x01" + bytes(8),
        b"beaverbuild.org",
    ],
)
def test_header_that_says_nothing_legible_leaves_the_defaults(extra_data: bytes) -> None:
    assert market_of_header(market_of(BASE), extra_data) == market_of(BASE)
    assert market_of_header(market_of(ETHEREUM), extra_data) == FeeMarket()


def test_networks_without_a_public_rule_are_not_computed() -> None:
    assert not market_of(POLYGON).exact
    assert not market_of(ARBITRUM).exact
    assert market_of(ETHEREUM).exact


def test_defaults_suit_the_network() -> None:
    assert fee_settings_of(POLYGON).priority_fee_floor_wei == 25 * GWEI
    assert fee_settings_of(ARBITRUM).priority_fee_ceiling_wei == 0
    assert fee_settings_of(ETHEREUM) == FeeSettings()


@pytest.mark.parametrize(
    "change",
    [
        {"priority_fee_floor_wei": -1}, {"priority_fee_floor_wei": 10**12},
        {"max_fee_per_gas_ceiling_wei": 1}, {"validity_blocks": 0}, {"validity_blocks": 65},
        {"headroom_bps": 9_999}, {"headroom_bps": 100_001},
    ],
)  # fmt: skip
def test_absurd_settings_are_config_errors(change: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        FeeSettings(**change)  # type: ignore[arg-type]


@pytest.mark.parametrize("percentiles", [(101, 75, 50, 20), (90, 95, 50, 20), (90, 75, 50, -1)])
def test_percentiles_that_favour_the_less_urgent_are_config_errors(
    percentiles: tuple[int, int, int, int],
) -> None:
    with pytest.raises(ConfigError, match="percentiles"):
        FeeSettings(percentiles=percentiles)
