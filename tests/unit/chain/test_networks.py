"""The registry's facts, and its refusals where nothing is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.chain.networks import (
    NETWORKS,
    FinalityRule,
    Network,
    hardfork_at,
    network_of,
    require_local_judge,
)
from seawall.native.evm import HARDFORKS
from seawall.primitives.errors import ConfigError, InputError, UnavailableError

NAMED = {1, 10, 137, 138, 8_453, 31_337, 42_161, 651_940, 11_155_111}


def test_registry_holds_the_named_networks_with_usable_facts() -> None:
    assert set(NETWORKS) == NAMED
    assert all(network.chain_id == chain_id for chain_id, network in NETWORKS.items())
    assert {name for network in NETWORKS.values() for _, name in network.hardforks} <= set(HARDFORKS)


@pytest.mark.parametrize(
    ("timestamp_s", "name"),
    [
        (1_663_224_179, "paris"), (1_681_338_454, "paris"), (1_681_338_455, "shanghai"),
        (1_710_338_135, "cancun"),
        (1_746_612_310, "cancun"), (1_746_612_311, "prague"), (1_764_798_551, "osaka"), (2**33, "osaka"),
    ],
)  # fmt: skip
def test_hardfork_of_ethereum_follows_the_time(timestamp_s: int, name: str) -> None:
    assert hardfork_at(NETWORKS[1], timestamp_s) == name


def test_devnet_is_prague_at_any_time() -> None:
    assert hardfork_at(NETWORKS[31_337], 0) == "prague"


def test_time_before_the_first_known_hardfork_is_an_input_error() -> None:
    with pytest.raises(InputError, match="no hardfork"):
        hardfork_at(NETWORKS[1], 1_600_000_000)


@pytest.mark.parametrize("chain_id", sorted(NAMED - {1, 31_337, 11_155_111}))
def test_chain_that_is_not_modelled_has_no_local_judge(chain_id: int) -> None:
    with pytest.raises(UnavailableError, match=r"remote judge|no hardfork"):
        require_local_judge(NETWORKS[chain_id])


@pytest.mark.parametrize("chain_id", [1, 31_337, 11_155_111])
def test_modelled_chain_is_judged_locally(chain_id: int) -> None:
    require_local_judge(NETWORKS[chain_id])


def test_user_network_is_added_and_overrides() -> None:
    mine = Network(7_777, "mine", "ETH", 3, FinalityRule(2, 4), "", None, None, hardforks=((0, "cancun"),))
    assert network_of(7_777, {7_777: mine}) is mine
    quicker = replace(NETWORKS[1], block_time_s=1)
    assert network_of(1, {1: quicker}) is quicker


def test_unknown_chain_is_a_config_error_that_lists_the_known() -> None:
    with pytest.raises(ConfigError, match="31337"):
        network_of(999)


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 0}, {"name": ""}, {"native_symbol": ""}, {"block_time_s": 0},
        {"hardforks": ((5, "cancun"), (5, "prague"))}, {"hardforks": ((-1, "cancun"),)},
    ],
)  # fmt: skip
def test_unusable_network_is_a_config_error(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        replace(NETWORKS[1], **change)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", [("latest", "finalized"), (-1, 5), ("safe", 10**9)])
def test_unusable_finality_rule_is_a_config_error(rule: tuple[str | int, str | int]) -> None:
    with pytest.raises(ConfigError):
        FinalityRule(*rule)
