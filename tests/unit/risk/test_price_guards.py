"""Feeds against markets, pools against their averages, impact and sequencer: inside, at and outside of the
limit, and refusing where nothing can be measured."""

from __future__ import annotations

from typing import Final

import pytest

from seawall.markets.tick_math import sqrt_ratio_at_tick
from seawall.native import selector
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Measurement
from seawall.protocols.sequencer import UptimeTerms
from seawall.risk.evidence import Evidence
from seawall.risk.guards.oracles import OracleDeviation, OracleTerms, SequencerUp
from seawall.risk.guards.pools import Pool, PoolKind, PriceImpact, TwapDeviation
from seawall.risk.limits import OurAddresses, RiskLimits
from tests.builders.answers import answered, observed, round_of, slot0_of, words
from tests.builders.messages import EXECUTOR, FEED, KEY, POOL, WETH, candidate, direct_plan, simulation

QUOTE_FEED = Address(b"\x09" * 20)
OURS = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
ROUND: Final = selector("latestRoundData()")
DECIMALS: Final = selector("decimals()")
RESERVES: Final = selector("getReserves()")
SLOT0: Final = selector("slot0()")
LIQUIDITY: Final = selector("liquidity()")
OBSERVE: Final = selector("observe(uint32[])")
Answers = dict[tuple[Address, bytes], bytes | None]
PAIR = Pool(POOL, PoolKind.V2)
V3 = Pool(POOL, PoolKind.V3)


def judged(
    guard: OracleDeviation | TwapDeviation | PriceImpact | SequencerUp,
    after: Answers,
    before: Answers | None = None,
    limits: RiskLimits | None = None,
) -> Measurement:
    probes = answered(guard.probes(), after)
    earlier = answered(guard.probes(), before) if before is not None else {}
    found = simulation(probes=probes, before=earlier)
    return guard.measure(
        Evidence(candidate(direct_plan()), found, OURS, limits or RiskLimits(), 1_800_000_000)
    )


def pair(reserve0: int, reserve1: int) -> Answers:
    return {(POOL, RESERVES): words(reserve0, reserve1, 0)}


def pool_at(tick: int, liquidity: int = 1) -> Answers:
    return {(POOL, SLOT0): slot0_of(sqrt_ratio_at_tick(tick)), (POOL, LIQUIDITY): words(liquidity)}


def feed(price: int, feed: Address = FEED, age_s: int = 0, decimals: int = 8) -> Answers:
    return {(feed, ROUND): round_of(price, age_s), (feed, DECIMALS): words(decimals)}


# One ether against dollars of six digits: 2,000 of them for one.
TERMS = OracleTerms(FEED, PAIR, base_decimals=18, quote_decimals=6)
AT_2000: Final = pair(10**18, 2_000 * 10**6)


@pytest.mark.parametrize(
    ("price", "bps", "passes"),
    [
        (2_000 * 10**8, 0, True),
        (2_039 * 10**8, 195, True),
        (2_040 * 10**8, 200, True),  # at the limit
        (2_040 * 10**8 + 1, 201, False),  # rounded up, against us
        (1_960 * 10**8, 205, False),  # of the lower one
    ],
)
def test_a_feed_may_be_so_far_from_its_market_and_no_further(price: int, bps: int, passes: bool) -> None:
    found = judged(OracleDeviation(TERMS, 200), feed(price) | AT_2000)
    assert (found.measured, found.passed, found.margin) == (bps, passes, 200 - bps)


def test_a_feed_is_compared_in_the_quote_token_s_own_price() -> None:
    terms = OracleTerms(FEED, PAIR, 18, 6, quote_feed=QUOTE_FEED)
    # The dollar token is worth 0.98, so that 2,000 of them are 1,960.
    answers = feed(1_960 * 10**8) | feed(98 * 10**6, QUOTE_FEED) | AT_2000
    assert judged(OracleDeviation(terms, 1), answers).measured == 0
    assert judged(OracleDeviation(TERMS, 1), feed(1_960 * 10**8) | AT_2000).passed is False


def test_the_base_token_may_be_the_second_one_of_the_pool() -> None:
    terms = OracleTerms(FEED, PAIR, 18, 6, is_inverse=True)
    answers = feed(2_000 * 10**8) | pair(2_000 * 10**6, 10**18)
    assert judged(OracleDeviation(terms, 0), answers).measured == 0


def test_a_feed_can_be_held_against_an_average_that_one_block_cannot_move() -> None:
    terms = OracleTerms(FEED, V3, 0, 0, window_s=100)
    answers = feed(10**18, decimals=18) | pool_at(5_000)
    answers |= {(POOL, OBSERVE): observed((0, 0))}
    assert judged(OracleDeviation(terms, 0), answers).measured == 0
    now = OracleTerms(FEED, V3, 0, 0)
    assert judged(OracleDeviation(now, 6_000), answers).passed is False


@pytest.mark.parametrize(
    "answers",
    [
        AT_2000,
        feed(2_000 * 10**8),
        feed(0) | AT_2000,
        feed(-1) | AT_2000,
        feed(2_000 * 10**8, age_s=3_601) | AT_2000,
        feed(2_000 * 10**8) | pair(0, 5),
        feed(2_000 * 10**8) | pair(5, 0),
        feed(2_000 * 10**8) | {(POOL, RESERVES): b"\x01"},
        feed(2_000 * 10**8) | pair(2**112, 5),
        {(FEED, ROUND): round_of(5, round_id=8), (FEED, DECIMALS): words(8)} | AT_2000,
        {(FEED, ROUND): round_of(5), (FEED, DECIMALS): None} | AT_2000,
        {(FEED, ROUND): round_of(5), (FEED, DECIMALS): words(256)} | AT_2000,
        {(FEED, ROUND): b"", (FEED, DECIMALS): words(8)} | AT_2000,
    ],
    ids=[
        "feed reverted", "pair reverted", "price zero", "price negative", "stale", "reserve0 empty",
        "reserve1 empty", "short answer", "reserve overflows", "carried over", "no decimals",
        "decimals overflow", "feed empty",
    ],
)  # fmt: skip
def test_deviation_without_both_prices_cannot_be_measured(answers: Answers) -> None:
    found = judged(OracleDeviation(TERMS, 10_000), answers)
    assert (found.measured, found.margin, found.passed) == (None, None, False)
    assert found.reason.startswith("cannot measure: ")


@pytest.mark.parametrize(
    ("tick", "passes"), [(0, True), (198, True), (199, False), (-198, True), (-199, False)]
)
def test_a_pool_may_be_so_far_from_its_own_average(tick: int, passes: bool) -> None:
    # 1.0001 ** 198 is 1.01999..., of which the excess over 1 is rounded up to 200 bps.
    answers = pool_at(tick) | {(POOL, OBSERVE): observed((7, 7))}
    found = judged(TwapDeviation(V3, 1_800, 200), answers)
    assert found.passed is passes
    assert found.margin is not None
    assert (found.margin >= 0) is passes


def test_an_average_is_rounded_to_the_tick_below_as_the_pool_s_own_library_does() -> None:
    answers = pool_at(-1) | {(POOL, OBSERVE): observed((0, -1))}
    assert judged(TwapDeviation(V3, 1_800, 0), answers).measured == 0


@pytest.mark.parametrize(
    "answers",
    [
        pool_at(0),
        {(POOL, OBSERVE): observed((0, 0))},
        pool_at(0, liquidity=0) | {(POOL, OBSERVE): observed((0, 0))},
        {(POOL, SLOT0): slot0_of(0), (POOL, LIQUIDITY): words(1), (POOL, OBSERVE): observed((0, 0))},
        pool_at(0) | {(POOL, OBSERVE): observed((0,))},
        pool_at(0) | {(POOL, OBSERVE): observed((0, 2**200))},
        {(POOL, SLOT0): words(2**160), (POOL, LIQUIDITY): words(1), (POOL, OBSERVE): observed((0, 0))},
    ],
    ids=["too young", "no price", "no liquidity", "never opened", "one moment", "tick overflows", "overflow"],
)
def test_average_that_the_pool_does_not_remember_cannot_be_measured(answers: Answers) -> None:
    found = judged(TwapDeviation(V3, 1_800, 10_000), answers)
    assert (found.measured, found.passed) == (None, False)


@pytest.mark.parametrize(
    ("after", "bps", "passes"),
    [(10_000, 0, True), (10_099, 99, True), (10_100, 100, True), (10_101, 101, False), (9_900, 102, False)],
)
def test_price_impact_is_how_far_the_plan_moves_the_pool(after: int, bps: int, passes: bool) -> None:
    found = judged(PriceImpact(PAIR, 100), pair(10_000, after), pair(10_000, 10_000))
    assert (found.measured, found.passed) == (bps, passes)


@pytest.mark.parametrize("before", [None, {}, pair(0, 1), {(POOL, RESERVES): b"x" * 31}])
def test_price_impact_without_the_state_before_cannot_be_measured(before: Answers | None) -> None:
    found = judged(PriceImpact(PAIR, 10_000), pair(1, 1), before)
    assert (found.measured, found.passed) == (None, False)
    assert PriceImpact(PAIR, 1).before() == PriceImpact(PAIR, 1).probes()


def uptime(answer: int, since_s: int) -> Answers:
    return {(FEED, ROUND): round_of(answer, started_age_s=since_s)}


@pytest.mark.parametrize(("since_s", "passes"), [(3_601, True), (3_600, True), (3_599, False), (0, False)])
def test_a_sequencer_must_be_up_for_its_grace(since_s: int, passes: bool) -> None:
    found = judged(SequencerUp(UptimeTerms(FEED)), uptime(0, since_s))
    assert (found.measured, found.passed, found.margin) == (since_s, passes, since_s - 3_600)


@pytest.mark.parametrize("grace_s", [0, 3_600])
def test_a_sequencer_that_is_down_is_refused_for_whatever_grace(grace_s: int) -> None:
    found = judged(SequencerUp(UptimeTerms(FEED, grace_s)), uptime(1, 10**6))
    assert not found.passed
    assert found.margin is not None
    assert found.margin < 0
    assert "down" in found.reason


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {(FEED, ROUND): b"\x00"},
        uptime(2, 9_999),
        uptime(-1, 9_999),
        uptime(0, -5),
        uptime(0, 1_800_000_000),
    ],
    ids=["reverted", "short", "two", "minus one", "of the future", "never written"],
)
def test_an_uptime_feed_that_says_nothing_cannot_be_measured(answers: Answers) -> None:
    found = judged(SequencerUp(UptimeTerms(FEED)), answers)
    assert (found.measured, found.passed) == (None, False)
