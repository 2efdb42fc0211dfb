"""Exposure, token lists, what a sandwich could take, and what a position plan costs: at their limits, and
refusing where nothing can be valued."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from seawall.native import selector
from seawall.primitives.plans import ExecutorBody, Plan, TokenBound
from seawall.primitives.routes import Routing, Unlanded
from seawall.primitives.simulations import AllowanceChange, Flow
from seawall.primitives.units import NATIVE, Address
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence
from seawall.risk.guards.base import Comparing, Guard
from seawall.risk.guards.mev import MevExposure
from seawall.risk.guards.profit import PositionLoss
from seawall.risk.guards.tokens import Exposure, TokenList
from seawall.risk.lending import Collateral, Comet
from seawall.risk.limits import ChainFacts, ExposureLimit, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.prices import VALUE_SCALE
from tests.builders.answers import answered, round_of, words
from tests.builders.messages import (
    EXECUTOR,
    FEED,
    KEY,
    LENDER,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    candidate,
    direct_plan,
    executor_plan,
    simulation,
)

OURS = OurAddresses(frozenset({KEY, TREASURY, EXECUTOR}), WETH)
USD_FEED = Address(b"\x09" * 20)
RECEIPT = Address(b"\x0a" * 20)
DEBT = Address(b"\x0b" * 20)
MULTICALL = Address(b"\x0c" * 20)
STRANGE = Address(b"\x0d" * 20)
Answers = dict[tuple[Address, bytes], bytes | None]
# One unit of WETH is worth 2, of USD 1; receipts and debts are of USD.
FEEDS: Final = (
    PriceFeed(WETH, FEED, 0, 0),
    PriceFeed(USD, USD_FEED, 0, 0),
    PriceFeed(RECEIPT, USD_FEED, 0, 0),
    PriceFeed(DEBT, USD_FEED, 0, 0),
)
ROUND: Final = selector("latestRoundData()")
PRICES: Answers = {(FEED, ROUND): round_of(2), (USD_FEED, ROUND): round_of(1)}
FACTS = ChainFacts(FEEDS, (RECEIPT,), (DEBT,), multicall=MULTICALL, wrapped_native=WETH)
FREE = 0  # a fee of nothing, where it is not what is looked at


def judged(
    guard: Guard, plan: Plan, *flows: Flow, after: Answers, before: Answers | None = None, fee_wei: int = FREE
) -> Measurement:
    probes = answered(guard.probes(), after)
    earlier = answered(guard.before(), before or {}) if isinstance(guard, Comparing) else {}
    found = simulation(*flows, probes=probes, before=earlier)
    one = candidate(plan, max_fee_per_gas_wei=fee_wei, gas_limit=1)
    return guard.measure(Evidence(one, found, OURS, RiskLimits(), NOW_S))


def feed(price: int, age_s: int = 0) -> Answers:
    return {(FEED, ROUND): round_of(price, age_s)}


def held(token: Address, amount: int, holder: Address = EXECUTOR) -> Answers:
    return {(token, selector("balanceOf(address)") + bytes(12) + holder): words(amount)}


def nothing(*tokens: Address) -> Answers:
    return {(token, selector("balanceOf(address)")): words(0) for token in tokens}


def position_plan(*bounds: TokenBound) -> Plan:
    body = ExecutorBody(EXECUTOR, TREASURY, b"\x01", bounds, 0, position=True)
    return replace(executor_plan(), body=body)


# What a position plan costs


ACCOUNTS = (EXECUTOR, KEY, TREASURY)
EMPTY = nothing(RECEIPT, DEBT)
MALFORMED: Answers = {(DEBT, selector("balanceOf(address)")): b""}


@pytest.mark.parametrize(("got", "lost", "passes"), [(91, 9, True), (90, 10, True), (89, 11, False)])
def test_a_position_plan_may_cost_so_much_and_no_more(got: int, lost: int, passes: bool) -> None:
    """50 of WETH at 2 go in, receipts of USD come out."""
    guard = PositionLoss(ACCOUNTS, 10 * VALUE_SCALE, FACTS)
    after = PRICES | EMPTY | held(RECEIPT, got)
    found = judged(guard, position_plan(), Flow(WETH, EXECUTOR, POOL, 50), after=after, before=EMPTY)
    assert (found.measured, found.passed) == (lost * VALUE_SCALE, passes)
    assert found.margin == (10 - lost) * VALUE_SCALE


def test_a_debt_that_grows_costs_and_one_that_is_repaid_gains() -> None:
    guard = PositionLoss(ACCOUNTS, 0, FACTS)
    borrowed = judged(
        guard, position_plan(), Flow(USD, LENDER, EXECUTOR, 10),
        after=PRICES | EMPTY | held(DEBT, 10), before=EMPTY,
    )  # fmt: skip
    assert (borrowed.measured, borrowed.passed) == (0, True)
    repaid = judged(
        guard, position_plan(), Flow(USD, EXECUTOR, LENDER, 4),
        after=PRICES | EMPTY | held(DEBT, 6), before=EMPTY | held(DEBT, 10),
    )  # fmt: skip
    assert repaid.measured == 0
    robbed = judged(guard, position_plan(), after=PRICES | EMPTY | held(DEBT, 1), before=EMPTY)
    assert (robbed.measured, robbed.passed) == (VALUE_SCALE, False)


def test_the_maximum_fee_is_part_of_what_it_costs() -> None:
    guard = PositionLoss(ACCOUNTS, 6 * VALUE_SCALE, FACTS)
    found = judged(guard, position_plan(), after=PRICES | EMPTY, before=EMPTY, fee_wei=3)
    assert (found.measured, found.margin) == (6 * VALUE_SCALE, 0)


def test_a_receipt_that_goes_to_another_address_of_ours_is_no_loss() -> None:
    vault = Address(b"\x0e" * 20)
    ours = OurAddresses(OURS.holders | {vault}, WETH)
    guard = PositionLoss(ACCOUNTS, 0, FACTS)
    probes = answered(guard.probes(), PRICES | EMPTY)
    before = answered(guard.before(), EMPTY | held(RECEIPT, 5))
    flows = (Flow(RECEIPT, EXECUTOR, vault, 5),)
    one = candidate(position_plan(), max_fee_per_gas_wei=0)
    found = guard.measure(
        Evidence(one, simulation(*flows, probes=probes, before=before), ours, RiskLimits(), NOW_S)
    )
    assert (found.measured, found.passed) == (0, True)


def test_positions_that_no_token_stands_for_count_too() -> None:
    comet = Comet(POOL, USD, USD_FEED, (Collateral(WETH, FEED),))
    facts = replace(FACTS, lending=(comet,))
    kept: Answers = {
        (POOL, selector("balanceOf(address)")): words(0),
        (POOL, selector("borrowBalanceOf(address)")): words(0),
        (POOL, selector("userCollateral(address,address)")): words(0, 0),
    }
    pledged = kept | {(POOL, selector("userCollateral(address,address)")): words(50, 0)}
    guard = PositionLoss(ACCOUNTS, 0, facts)
    flow = Flow(WETH, EXECUTOR, POOL, 50)
    found = judged(guard, position_plan(), flow, after=PRICES | EMPTY | pledged, before=EMPTY | kept)
    assert (found.measured, found.passed) == (0, True)
    lost = judged(guard, position_plan(), flow, after=PRICES | EMPTY | kept, before=EMPTY | kept)
    assert lost.measured == 100 * VALUE_SCALE


@pytest.mark.parametrize(
    ("after", "before", "flow"),
    [
        (EMPTY, EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES, EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY, {}, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY, EMPTY, Flow(STRANGE, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY, EMPTY, Flow(STRANGE, POOL, EXECUTOR, 1)),
        (PRICES | EMPTY | feed(0), EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY | feed(-2), EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY | feed(2, 3_601), EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY | {(FEED, ROUND): b"\x02"}, EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
        (PRICES | EMPTY | MALFORMED, EMPTY, Flow(WETH, EXECUTOR, POOL, 1)),
    ],
    ids=[
        "no price", "no balance after", "no balance before", "unpriced loss", "unpriced gain", "price zero",
        "price negative", "stale", "malformed price", "malformed balance",
    ],
)  # fmt: skip
def test_a_loss_that_cannot_be_valued_is_refused(after: Answers, before: Answers, flow: Flow) -> None:
    guard = PositionLoss(ACCOUNTS, 10**40, FACTS)
    found = judged(guard, position_plan(), flow, after=after, before=before)
    assert (found.measured, found.margin, found.passed) == (None, None, False)


def test_without_a_limit_no_position_plan_passes() -> None:
    found = judged(PositionLoss(ACCOUNTS, None, FACTS), position_plan(), after=PRICES | EMPTY, before=EMPTY)
    assert (found.measured, found.passed) == (None, False)
    assert "limits.position_loss" in found.reason


# What a sandwich could take


def profit_plan(min_profit_wei: int, *bounds: TokenBound, routing: Routing | None = None) -> Plan:
    body = ExecutorBody(EXECUTOR, TREASURY, b"\x01", bounds, min_profit_wei)
    return replace(executor_plan(), body=body, routing=routing)


@pytest.mark.parametrize(("enforced", "room", "passes"), [(95, 3, True), (93, 5, True), (92, 6, False)])
def test_a_public_plan_may_leave_so_much_between_expected_and_enforced(
    enforced: int, room: int, passes: bool
) -> None:
    """100 reach the beneficiary; the maximum fee of 2 is enforced beside the profit."""
    guard = MevExposure(10 * VALUE_SCALE, FACTS)
    flow = Flow(WETH, POOL, TREASURY, 100)
    found = judged(guard, profit_plan(enforced), flow, after=PRICES, fee_wei=2)
    assert (found.measured, found.passed) == (room * 2 * VALUE_SCALE, passes)


def test_bounds_close_the_room_of_other_tokens_and_of_what_is_paid() -> None:
    guard = MevExposure(0, FACTS)
    flows = (Flow(USD, POOL, EXECUTOR, 100), Flow(STRANGE, EXECUTOR, POOL, 7))
    loose = profit_plan(0, TokenBound(USD, "inflow", 99), TokenBound(STRANGE, "outflow", 7))
    assert judged(guard, loose, *flows, after=PRICES).measured == VALUE_SCALE
    tight = profit_plan(0, TokenBound(USD, "inflow", 100), TokenBound(STRANGE, "outflow", 7))
    assert judged(guard, tight, *flows, after=PRICES).passed
    overpaid = profit_plan(0, TokenBound(USD, "inflow", 100), TokenBound(STRANGE, "outflow", 9))
    assert judged(guard, overpaid, *flows, after=PRICES).measured is None  # nothing prices it


def test_a_position_plan_is_exposed_as_far_as_its_bounds_are_open() -> None:
    guard = MevExposure(0, FACTS)
    flows = (
        Flow(WETH, EXECUTOR, POOL, 50),
        Flow(RECEIPT, POOL, EXECUTOR, 100),
        Flow(DEBT, POOL, EXECUTOR, 5),
    )
    bounds = (
        TokenBound(WETH, "outflow", 50),
        TokenBound(RECEIPT, "inflow", 90),
        TokenBound(DEBT, "debt_increase", 8),
    )
    found = judged(guard, position_plan(*bounds), *flows, after=PRICES)
    assert found.measured == (10 + 3) * VALUE_SCALE


def test_wrapping_exposes_nothing_and_a_direct_swap_everything_that_it_gains() -> None:
    guard = MevExposure(0, FACTS)
    wrapped = judged(
        guard, direct_plan(value_wei=5), Flow(NATIVE, KEY, WETH, 5), Flow(WETH, WETH, KEY, 5), after=PRICES
    )
    assert wrapped.passed
    swapped = judged(guard, direct_plan(), Flow(WETH, KEY, POOL, 5), Flow(USD, POOL, KEY, 9), after=PRICES)
    assert swapped.measured == 9 * VALUE_SCALE


@pytest.mark.parametrize(
    ("routing", "passes"),
    [
        (Routing(private=True), True),
        (Routing(private=True, unlanded=Unlanded.REPRICE), True),
        (Routing(private=True, unlanded=Unlanded.PUBLIC), False),
        (Routing(), False),
        (None, False),
    ],
)
def test_what_goes_privately_and_stays_so_exposes_nothing(routing: Routing | None, passes: bool) -> None:
    plan = profit_plan(0, routing=routing)
    flow = Flow(WETH, POOL, TREASURY, 100)
    assert judged(MevExposure(0, FACTS), plan, flow, after=PRICES).passed is passes
    private = replace(FACTS, private_keys=frozenset({KEY}))
    falls_back = routing is not None and routing.unlanded is Unlanded.PUBLIC
    assert judged(MevExposure(0, private), plan, flow, after=PRICES).passed is not falls_back


def test_a_refusal_says_both_ways_out() -> None:
    found = judged(MevExposure(0, FACTS), profit_plan(0), Flow(WETH, POOL, TREASURY, 1), after=PRICES)
    assert "privately" in found.reason
    assert "tighter" in found.reason


@pytest.mark.parametrize("prices", [{}, feed(0), feed(2, 3_601)])
def test_exposure_to_a_sandwich_without_a_price_cannot_be_measured(prices: Answers) -> None:
    found = judged(MevExposure(10**40, FACTS), profit_plan(0), Flow(WETH, POOL, TREASURY, 1), after=prices)
    assert (found.measured, found.passed) == (None, False)


# Token lists


def test_a_token_outside_of_the_lists_is_refused_however_it_is_touched() -> None:
    flow, plan = Flow(STRANGE, POOL, EXECUTOR, 1), executor_plan()
    allowed = frozenset({WETH, USD})
    assert judged(TokenList(allowed), plan, after={}).passed
    found = judged(TokenList(allowed), plan, flow, after={})
    assert (found.measured, found.margin, found.passed) == (1, -1, False)
    assert not judged(TokenList(None, frozenset({STRANGE})), plan, flow, after={}).passed
    assert judged(TokenList(None, frozenset({USD})), plan, flow, after={}).passed
    assert judged(TokenList(allowed), plan, Flow(STRANGE, POOL, LENDER, 1), after={}).passed
    named = executor_plan(accounting_token=STRANGE)
    assert not judged(TokenList(allowed), named, after={}).passed


def test_denied_beats_allowed_and_the_native_token_needs_no_place_on_the_list() -> None:
    flow = Flow(NATIVE, POOL, KEY, 1)
    assert judged(TokenList(frozenset({WETH})), direct_plan(), flow, after={}).passed
    both = TokenList(frozenset({WETH}), frozenset({WETH, NATIVE}))
    assert judged(both, direct_plan(), flow, after={}).measured == 2


def test_an_approval_of_a_token_outside_of_the_lists_is_refused() -> None:
    found = simulation(allowances=(AllowanceChange(STRANGE, KEY, POOL, 0),))
    evidence = Evidence(candidate(direct_plan()), found, OURS, RiskLimits(), NOW_S)
    assert not TokenList(frozenset({WETH})).measure(evidence).passed


# Exposure


GROUP = ExposureLimit("dollars", frozenset({USD, RECEIPT}), 2_500)
NO_NATIVE: Answers = {(MULTICALL, selector("getEthBalance(address)")): words(0)}
NONE: Answers = PRICES | nothing(WETH, USD, RECEIPT, DEBT) | NO_NATIVE


@pytest.mark.parametrize(
    ("dollars", "bps", "passes"), [(99, 2_482, True), (100, 2_500, True), (101, 2_519, False)]
)
def test_a_group_may_be_so_much_of_all_that_we_have(dollars: int, bps: int, passes: bool) -> None:
    """Beside 150 of WETH at 2."""
    guard = Exposure(GROUP, FACTS, (EXECUTOR,))
    after = NONE | held(USD, dollars - 40) | held(RECEIPT, 40) | held(WETH, 150)
    found = judged(guard, executor_plan(), after=after, before=NONE)
    assert (found.measured, found.passed) == (bps, passes)
    assert found.margin is not None
    assert (found.margin >= 0) is passes


def test_exposure_may_be_lowered_from_outside_of_the_limit_but_not_raised() -> None:
    guard = Exposure(GROUP, FACTS, (EXECUTOR,))
    full = NONE | held(USD, 60) | held(WETH, 20)
    less, more = NONE | held(USD, 50) | held(WETH, 25), NONE | held(USD, 62) | held(WETH, 19)
    assert judged(guard, executor_plan(), after=less, before=full).passed
    assert judged(guard, executor_plan(), after=full, before=full).margin == 0
    assert not judged(guard, executor_plan(), after=more, before=full).passed


def test_native_coins_count_by_what_the_chain_s_multicall_says() -> None:
    native = ExposureLimit("ether", frozenset({NATIVE, WETH}), 10_000)
    after = NONE | held(USD, 50) | {(MULTICALL, selector("getEthBalance(address)")): words(25)}
    assert judged(Exposure(native, FACTS, (EXECUTOR,)), executor_plan(), after=after).measured == 5_000
    blind = replace(FACTS, multicall=None)
    assert judged(Exposure(native, blind, (EXECUTOR,)), executor_plan(), after=after).measured is None


@pytest.mark.parametrize(
    "after",
    [
        NONE,
        nothing(WETH, USD, RECEIPT, DEBT) | NO_NATIVE | held(USD, 5) | held(WETH, 5),
        PRICES | nothing(WETH, USD, DEBT) | NO_NATIVE,
        NONE | held(USD, 5) | held(DEBT, 5),
        NONE | held(USD, 5) | held(DEBT, 6),
    ],
    ids=["nothing at all", "no prices", "no balance", "worth nothing", "owes more than it has"],
)
def test_exposure_that_cannot_be_valued_is_refused(after: Answers) -> None:
    guard = Exposure(replace(GROUP, share_bps_max=10_000), FACTS, (EXECUTOR,))
    found = judged(guard, executor_plan(), after=after, before=NONE)
    assert (found.measured, found.margin, found.passed) == (None, None, False)


def test_what_has_no_price_and_is_in_no_group_makes_all_that_we_have_smaller_not_larger() -> None:
    unpriced = replace(FACTS, prices=FEEDS[1:])
    guard = Exposure(replace(GROUP, share_bps_max=10_000), unpriced, (EXECUTOR,))
    after = NONE | held(USD, 50) | held(WETH, 10**6)
    assert judged(guard, executor_plan(), after=after).measured == 10_000


def test_limits_of_value_tighten_with_the_share_that_volatility_leaves() -> None:
    assert MevExposure(9, FACTS).scaled(5_000) == MevExposure(4, FACTS)
    assert PositionLoss(ACCOUNTS, 9, FACTS).scaled(5_000) == PositionLoss(ACCOUNTS, 4, FACTS)
    assert PositionLoss(ACCOUNTS, None, FACTS).scaled(5_000).limit is None
    assert Exposure(GROUP, FACTS, ()).scaled(5_000).limit.share_bps_max == 1_250


def test_exposure_counts_what_every_address_of_ours_holds() -> None:
    guard = Exposure(GROUP, FACTS, (EXECUTOR, KEY))
    after = NONE | held(USD, 30) | held(USD, 20, KEY) | held(WETH, 25, KEY)
    assert judged(guard, executor_plan(), after=after).measured == 5_000
