"""What one key may send alone, by value: above it, and where nothing tells the value, it is refused."""

from __future__ import annotations

import pytest

from seawall.native import abi_encode
from seawall.primitives.simulations import Flow
from seawall.primitives.units import NATIVE
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence
from seawall.risk.guards.catalogue import guards_of
from seawall.risk.guards.multisig import Multisig
from seawall.risk.limits import MultisigRule, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.prices import VALUE_SCALE
from tests.builders.messages import (
    ETHER,
    FEED,
    KEY,
    NOW_S,
    POOL,
    USD,
    WETH,
    candidate,
    direct_plan,
    simulation,
)

PRICE = 2_500 * 10**8
FEEDS = (PriceFeed(NATIVE, FEED, 18, 8), PriceFeed(WETH, FEED, 18, 8))
LIMITS = RiskLimits(multisig=MultisigRule(1_000_000 * VALUE_SCALE, FEEDS))


def answer(updated_at_s: int) -> bytes:
    types = ("uint80", "int256", "uint256", "uint256", "uint80")
    return abi_encode(types, (7, PRICE, updated_at_s, updated_at_s, 7))


def measured(*flows: Flow, updated_at_s: int = NOW_S - 60) -> Measurement:
    (guard,) = [one for one in guards_of(direct_plan(), LIMITS) if isinstance(one, Multisig)]
    probes = {probe.label: answer(updated_at_s) for probe in guard.probes()}
    ours = OurAddresses(frozenset({KEY}), WETH)
    return guard.measure(
        Evidence(candidate(direct_plan()), simulation(*flows, probes=dict(probes)), ours, LIMITS, NOW_S)
    )


@pytest.mark.parametrize(("more_wei", "passes"), [(0, True), (1, False)])
def test_value_over_all_tokens_is_held_against_the_limit(more_wei: int, passes: bool) -> None:
    found = measured(Flow(WETH, KEY, POOL, 300 * ETHER), Flow(NATIVE, KEY, POOL, 100 * ETHER + more_wei))
    assert found.passed is passes
    assert found.measured == 400 * 2_500 * VALUE_SCALE + more_wei * 2_500


def test_what_comes_in_is_no_deal_of_ours() -> None:
    assert measured(Flow(WETH, POOL, KEY, 10_000 * ETHER)).passed


def test_token_without_a_price_and_a_stale_price_are_refused() -> None:
    assert "no fresh price" in measured(Flow(USD, KEY, POOL, 1)).reason
    stale = measured(Flow(NATIVE, KEY, POOL, 1), updated_at_s=NOW_S - 7_200)
    assert (stale.passed, stale.measured) == (False, None)


def test_without_a_rule_nobody_asks() -> None:
    assert not [one for one in guards_of(direct_plan(), RiskLimits()) if isinstance(one, Multisig)]
