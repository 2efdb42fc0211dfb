"""Health factors and loans at three kinds of places: exact figures, limits, rescue, and no
answer."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from seawall.native import abi_encode, keccak256, selector
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import ProtocolError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence
from seawall.risk.guards.lending import HealthFactor, LoanToValue
from seawall.risk.lending import (
    MORPHO_RATE_MAX_WAD_S,
    WAD,
    AavePool,
    Collateral,
    Comet,
    LendingPlace,
    MorphoMarket,
)
from seawall.risk.limits import OurAddresses, RiskLimits
from tests.builders.answers import answered, words
from tests.builders.messages import (
    EXECUTOR,
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

OURS = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
BASE_FEED = Address(b"\x09" * 20)
IRM = Address(b"\x0a" * 20)
STRANGER = Address(b"\x0b" * 20)
Answers = Mapping[tuple[Address, bytes], bytes | None]
AAVE = AavePool(POOL)
MORPHO = MorphoMarket(POOL, USD, WETH, FEED, IRM, 86 * 10**16)
MULTICALL = Address(b"\x0c" * 20)
ACCRUING = MorphoMarket(POOL, USD, WETH, FEED, IRM, 86 * 10**16, MULTICALL)
COMET = Comet(POOL, USD, BASE_FEED, (Collateral(WETH, FEED),))


def aave(collateral: int, debt: int, health_wad: int) -> Answers:
    return {
        (POOL, selector("getUserAccountData(address)")): words(collateral, debt, 0, 8_000, 7_500, health_wad)
    }


def morpho(
    collateral: int, borrow_shares: int, price: int = 10**36, *, idle_s: int = 0, supply_shares: int = 0
) -> Answers:
    market = words(2_000, 2_000 * 10**6, 1_000, 1_000 * 10**6, NOW_S - idle_s, 0)
    return {
        (POOL, selector("position(bytes32,address)")): words(supply_shares, borrow_shares, collateral),
        (POOL, selector("market(bytes32)")): market,
        (FEED, selector("price()")): words(price),
    }


def comet(
    held: int, owed: int, *, feed: Address = FEED, base_feed: Address = BASE_FEED, scale: int = 10**18
) -> Answers:
    info = words(
        0, int.from_bytes(WETH, "big"), int.from_bytes(feed, "big"), scale, 8 * 10**17, 85 * 10**16, 0, 0
    )
    price = selector("getPrice(address)")
    return {
        (POOL, selector("balanceOf(address)")): words(0),
        (POOL, selector("borrowBalanceOf(address)")): words(owed),
        (POOL, selector("baseScale()")): words(10**6),
        (POOL, selector("baseTokenPriceFeed()")): words(int.from_bytes(base_feed, "big")),
        (POOL, price + bytes(12) + BASE_FEED): words(10**8),
        (POOL, price + bytes(12) + FEED): words(2_000 * 10**8),
        (POOL, selector("userCollateral(address,address)")): words(held, 0),
        (POOL, selector("getAssetInfoByAddress(address)")): info,
    }


def judged(guard: HealthFactor | LoanToValue, after: Answers, before: Answers | None = None) -> Measurement:
    probes = answered(guard.probes(), after)
    earlier = answered(guard.before(), before) if before is not None else {}
    found = simulation(probes=probes, before=earlier)
    return guard.measure(Evidence(candidate(direct_plan()), found, OURS, RiskLimits(), NOW_S))


def standing(place: LendingPlace, answers: Answers) -> tuple[int, int, int]:
    one = place.standing(answered(_probes(place), answers), EXECUTOR, NOW_S)
    return one.collateral, one.debt, one.health_factor_wad


def _probes(place: LendingPlace) -> tuple[Probe, ...]:
    return HealthFactor(place, EXECUTOR, 0).probes()


@pytest.mark.parametrize(
    ("health_wad", "passes"), [(11 * 10**17 + 1, True), (11 * 10**17, True), (11 * 10**17 - 1, False)]
)
def test_a_health_factor_may_not_be_under_its_floor(health_wad: int, passes: bool) -> None:
    found = judged(HealthFactor(AAVE, EXECUTOR, 11 * 10**17), aave(100, 50, health_wad))
    assert (found.measured, found.passed, found.margin) == (health_wad, passes, health_wad - 11 * 10**17)


def test_whoever_owes_nothing_is_healthy_whatever_the_contract_says_of_it() -> None:
    assert judged(HealthFactor(AAVE, EXECUTOR, WAD), aave(0, 0, 0)).measured == UINT256_MAX
    assert judged(LoanToValue(AAVE, EXECUTOR, 0), aave(0, 0, 0)).passed


@pytest.mark.parametrize(
    ("debt", "bps", "passes"), [(29, 2_900, True), (30, 3_000, True), (31, 3_100, False)]
)
def test_a_loan_may_not_be_over_its_cap(debt: int, bps: int, passes: bool) -> None:
    found = judged(LoanToValue(AAVE, EXECUTOR, 3_000), aave(100, debt, WAD))
    assert (found.measured, found.passed, found.margin) == (bps, passes, 3_000 - bps)


def test_a_loan_is_rounded_up_and_one_that_nothing_backs_is_over_every_cap() -> None:
    assert judged(LoanToValue(AAVE, EXECUTOR, 3_333), aave(3, 1, WAD)).measured == 3_334
    assert not judged(LoanToValue(AAVE, EXECUTOR, 10_000), aave(0, 1, 0)).passed


def test_a_position_outside_of_the_operator_s_limit_may_be_rescued_but_not_worsened() -> None:
    floor = HealthFactor(AAVE, EXECUTOR, 11 * 10**17)
    before = aave(100, 90, 102 * 10**16)
    assert judged(floor, aave(100, 88, 104 * 10**16), before).passed
    assert judged(floor, aave(100, 90, 102 * 10**16), before).margin == 0
    assert not judged(floor, aave(100, 91, 101 * 10**16), before).passed
    cap = LoanToValue(AAVE, EXECUTOR, 8_000)
    assert judged(cap, aave(100, 88, WAD), before).passed
    assert not judged(cap, aave(100, 91, WAD), before).passed


def test_what_the_plan_itself_asks_for_is_judged_strictly() -> None:
    before = aave(100, 90, 102 * 10**16)
    asked = HealthFactor(AAVE, EXECUTOR, 11 * 10**17, asked_wad=12 * 10**17)
    assert not judged(asked, aave(100, 80, 119 * 10**16), before).passed
    assert judged(asked, aave(100, 80, 12 * 10**17), before).passed
    loan = LoanToValue(AAVE, EXECUTOR, 8_000, asked_bps=5_000)
    assert not judged(loan, aave(100, 51, WAD), before).passed
    assert judged(loan, aave(100, 50, WAD), before).passed


@pytest.mark.parametrize("place", [AAVE, MORPHO, COMET], ids=["aave", "morpho", "comet"])
def test_a_place_that_does_not_answer_cannot_be_measured(place: LendingPlace) -> None:
    for guard in (HealthFactor(place, EXECUTOR, 0), LoanToValue(place, EXECUTOR, UINT256_MAX)):
        calls = (*aave(1, 1, 1), *morpho(1, 1), *comet(1, 1))
        unfit: tuple[Answers, ...] = ({}, dict.fromkeys(calls, b"\x01"))
        for answers in unfit:
            found = judged(guard, answers)
            assert (found.measured, found.margin, found.passed) == (None, None, False)


def test_nobody_else_s_position_speaks_for_ours() -> None:
    found = judged(HealthFactor(AAVE, STRANGER, 0), aave(1, 0, 0))
    assert (found.measured, found.passed) == (None, False)
    assert not judged(LoanToValue(AAVE, STRANGER, 10_000), aave(1, 0, 0)).passed


def test_a_morpho_market_is_known_by_the_hash_of_its_parameters() -> None:
    kinds = ("address", "address", "address", "address", "uint256")
    assert MORPHO.id == keccak256(abi_encode(kinds, (USD, WETH, FEED, IRM, 86 * 10**16)))


def test_a_morpho_position_is_valued_in_the_loan_token_against_us() -> None:
    # 500 of debt and a share more, rounded up; the price makes 1 of collateral 2 of the loan token.
    value, debt, health_wad = standing(MORPHO, morpho(500, 500 * 10**6 + 1, 2 * 10**36))
    assert (value, debt) == (1_000, 501)
    assert health_wad == 1_000 * 86 * 10**16 // 501
    assert standing(MORPHO, morpho(500, 0))[1:] == (0, UINT256_MAX)


def test_a_morpho_market_that_was_not_touched_owes_the_most_that_its_rate_can_charge() -> None:
    a_year_s = 365 * 24 * 3_600
    _, debt, _ = standing(MORPHO, morpho(500, 500 * 10**6, idle_s=a_year_s))
    assert debt > 500 * 8
    assert abs(MORPHO_RATE_MAX_WAD_S * a_year_s - 8 * WAD) < a_year_s
    with pytest.raises(ProtocolError):
        standing(MORPHO, morpho(500, 1, idle_s=NOW_S - 1))


def accruing(market: bytes | None, *, accrues: bool = True) -> Answers:
    results = ((accrues, b""), (market is not None, market or b""))
    answer = abi_encode(("(bool,bytes)[]",), (results,))
    return {**morpho(500, 500 * 10**6), (MULTICALL, selector("aggregate3((address,bool,bytes)[])")): answer}


def test_a_morpho_market_is_read_accrued_where_the_chain_has_a_multicall() -> None:
    market = words(2_000, 2_000 * 10**6, 1_100, 1_000 * 10**6, NOW_S, 0)
    _, debt, _ = standing(ACCRUING, accruing(market))
    assert debt == 550
    for unfit in (accruing(None), accruing(market, accrues=False), accruing(b"\x01"), morpho(500, 1)):
        assert judged(HealthFactor(ACCRUING, EXECUTOR, 0), unfit).measured is None


@pytest.mark.parametrize(
    "answers", [morpho(1, 1, 0), morpho(1, 1, idle_s=NOW_S)], ids=["no price", "no market"]
)
def test_a_morpho_market_without_price_or_being_cannot_be_measured(answers: Answers) -> None:
    assert judged(HealthFactor(MORPHO, EXECUTOR, 0), answers).measured is None


def test_morpho_shares_of_two_states_are_compared_at_the_rates_of_one() -> None:
    before = answered(HealthFactor(MORPHO, EXECUTOR, 0).probes(), morpho(5, 10**8, supply_shares=10**9))
    after = answered(HealthFactor(MORPHO, EXECUTOR, 0).probes(), morpho(7, 10**8, supply_shares=10**9))
    assert MORPHO.holdings(before, after, EXECUTOR) == {USD: 1_000 - 100, WETH: 5}
    assert MORPHO.holdings(after, after, EXECUTOR) == {USD: 1_000 - 100, WETH: 7}


def test_a_comet_position_is_valued_by_the_feeds_that_it_uses_itself() -> None:
    value, debt, health_wad = standing(COMET, comet(10**18, 1_000 * 10**6))
    assert (value, debt) == (2_000 * 10**8, 1_000 * 10**8)
    assert health_wad == 2_000 * 85 * 10**16 // 1_000
    probes = answered(HealthFactor(COMET, EXECUTOR, 0).probes(), comet(10**18, 7))
    assert COMET.holdings(probes, {}, EXECUTOR) == {USD: -7, WETH: 10**18}
    assert standing(COMET, comet(10**18, 0))[2] == UINT256_MAX


@pytest.mark.parametrize(
    "answers",
    [
        comet(1, 1, feed=STRANGER),
        comet(1, 1, base_feed=STRANGER),
        comet(1, 1, scale=0),
        comet(2**128, 1),
        {**comet(1, 1), (POOL, selector("baseScale()")): words(0)},
        {**comet(1, 1), (POOL, selector("getPrice(address)") + bytes(12) + FEED): words(0)},
    ],
    ids=["other feed", "other base feed", "no scale", "overflow", "no base scale", "price zero"],
)
def test_a_comet_that_prices_otherwise_cannot_be_measured(answers: Answers) -> None:
    for guard in (HealthFactor(COMET, EXECUTOR, 0), LoanToValue(COMET, EXECUTOR, UINT256_MAX)):
        found = judged(guard, answers)
        assert (found.measured, found.passed) == (None, False)


def test_limits_of_positions_tighten_with_the_share_that_volatility_leaves() -> None:
    health, loan = HealthFactor(AAVE, EXECUTOR, 11 * 10**17, 5), LoanToValue(AAVE, EXECUTOR, 8_000, 7_000)
    assert health.scaled(5_000) == HealthFactor(AAVE, EXECUTOR, 12 * 10**17, 5)
    assert HealthFactor(AAVE, EXECUTOR, 9 * 10**17).scaled(5_000).floor_wad == 9 * 10**17
    assert loan.scaled(5_000) == LoanToValue(AAVE, EXECUTOR, 4_000, 4_000)
