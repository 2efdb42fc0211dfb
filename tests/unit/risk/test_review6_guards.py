"""Guards count what the chain enforces, not more, and an age that nobody can tell is none that passes."""

from __future__ import annotations

import pytest

from seawall.primitives.plans import TokenBound
from seawall.primitives.simulations import Flow
from seawall.risk.evidence import Evidence
from seawall.risk.guards.mev import MevExposure
from seawall.risk.guards.oracles import OracleDeviation, OracleStaleness
from seawall.risk.limits import RiskLimits
from seawall.risk.prices import VALUE_SCALE
from tests.builders.answers import answered, round_of
from tests.builders.messages import (
    EXECUTOR,
    FEED,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    candidate,
    direct_plan,
    simulation,
)
from tests.unit.risk import test_price_guards as prices
from tests.unit.risk.test_value_guards import FACTS, OURS, PRICES, judged, profit_plan

AHEAD_S = 31


def test_bounds_of_one_token_are_held_one_by_one_and_do_not_add_up() -> None:
    """A step's minimum and an expected change of the same token: the chain asks for the larger."""
    flow = Flow(USD, POOL, EXECUTOR, 100)
    both = profit_plan(0, TokenBound(USD, "inflow", 60), TokenBound(USD, "inflow", 50))
    assert judged(MevExposure(0, FACTS), both, flow, after=PRICES).measured == 40 * VALUE_SCALE


def test_of_two_bounds_on_what_leaves_the_smaller_is_what_the_chain_admits() -> None:
    flow = Flow(USD, EXECUTOR, POOL, 100)
    both = profit_plan(0, TokenBound(USD, "outflow", 110), TokenBound(USD, "outflow", 150))
    assert judged(MevExposure(0, FACTS), both, flow, after=PRICES).measured == 10 * VALUE_SCALE


def test_answer_dated_in_the_future_has_no_age() -> None:
    """It would be fresh for as long as its date is ahead."""
    guard = OracleStaleness(FEED, 3_600)
    for ahead_s, passes in ((AHEAD_S - 1, True), (AHEAD_S, False), (10**12, False)):
        probes = answered(guard.probes(), {(FEED, prices.ROUND): round_of(2_000, -ahead_s)})
        evidence = Evidence(candidate(direct_plan()), simulation(probes=probes), OURS, RiskLimits(), NOW_S)
        assert guard.measure(evidence).passed is passes, ahead_s


@pytest.mark.parametrize(
    "answer", [round_of(2, -AHEAD_S), round_of(2, answered_in=6)], ids=["future", "carried over"]
)
def test_price_dated_in_the_future_or_carried_over_values_nothing(answer: bytes) -> None:
    guard, flow = MevExposure(10**40, FACTS), Flow(WETH, POOL, TREASURY, 1)
    assert judged(guard, profit_plan(0), flow, after=PRICES).passed
    found = judged(guard, profit_plan(0), flow, after={**PRICES, (FEED, prices.ROUND): answer})
    assert (found.measured, found.passed) == (None, False)


@pytest.mark.parametrize("ahead_s", [AHEAD_S, 10**12])
def test_feed_from_the_future_is_compared_with_no_market(ahead_s: int) -> None:
    guard = OracleDeviation(prices.TERMS, 100)
    fresh = {**prices.feed(2_000 * 10**8), **prices.AT_2000}
    assert prices.judged(guard, fresh).passed
    future = {**prices.feed(2_000 * 10**8, age_s=-ahead_s), **prices.AT_2000}
    assert prices.judged(guard, future).measured is None
