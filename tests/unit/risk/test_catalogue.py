"""What a plan may ask, what judges it unasked, and in which order a verdict lists it all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.errors import PlanError
from seawall.primitives.levels import Authority
from seawall.primitives.plans import ExecutorBody, GuardSpec, Plan
from seawall.primitives.simulations import Flow
from seawall.primitives.units import NATIVE
from seawall.protocols.executor.checks import (
    BalanceAtMost,
    BookHealthFloor,
    Check,
    FeedFresh,
    FeedWithin,
    HealthFloor,
    TwapAgrees,
    encode_checks,
)
from seawall.protocols.sequencer import GRACE_S, UptimeTerms
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.guards.asking import GUARDS
from seawall.risk.guards.base import Comparing, Guard
from seawall.risk.guards.catalogue import GUARD_NAMES, guards_of
from seawall.risk.guards.executors import ChainChecks
from seawall.risk.guards.lending import HealthFactor, LoanToValue
from seawall.risk.guards.mev import MevExposure
from seawall.risk.guards.oracles import OracleDeviation, OracleStaleness, OracleTerms, SequencerUp
from seawall.risk.guards.pools import Pool, PoolKind, PriceImpact, TwapDeviation
from seawall.risk.guards.profit import MinProfit, PositionLoss
from seawall.risk.guards.tokens import Exposure, TokenList
from seawall.risk.lending import AavePool, Collateral, Comet, MorphoMarket
from seawall.risk.limits import ChainFacts, ExposureLimit, OurAddresses, PriceFeed, RiskLimits
from seawall.risk.reduce import ReduceRule
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

HOLDERS = frozenset({KEY, EXECUTOR})
Given = int | bytes | str


def spec(name: str, **arguments: Given) -> GuardSpec:
    return GuardSpec(name, tuple(arguments.items()))


def asked(*specs: GuardSpec, plan: Plan | None = None, limits: RiskLimits | None = None) -> tuple[Guard, ...]:
    return guards_of(replace(plan or direct_plan(), guards=specs), limits or RiskLimits(), HOLDERS)


def position_plan() -> Plan:
    return replace(executor_plan(), body=ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), 0, position=True))


MORPHO: dict[str, Given] = {
    "morpho": POOL,
    "loan": USD,
    "collateral": WETH,
    "oracle": FEED,
    "irm": LENDER,
    "lltv_wad": 7,
}
COMET: dict[str, Given] = {"comet": POOL, "base": USD, "base_feed": LENDER, "collateral": WETH, "feed": FEED}
COMET_PLACE = Comet(POOL, USD, LENDER, (Collateral(WETH, FEED),))
PAIR, V3 = Pool(POOL, PoolKind.V2), Pool(POOL, PoolKind.V3)
TERMS: dict[str, Given] = {"feed": FEED, "base_decimals": 18, "quote_decimals": 6}


@pytest.mark.parametrize(
    ("one", "guard"),
    [
        (spec("oracle_staleness", feed=FEED, max_age_s=60), OracleStaleness(FEED, 60)),
        (spec("oracle_staleness", feed=FEED, max_age_s=9_999), OracleStaleness(FEED, 3_600)),
        (
            spec("oracle_deviation", **TERMS, limit_bps=50, pair=POOL),
            OracleDeviation(OracleTerms(FEED, PAIR, 18, 6), 50),
        ),
        (
            spec(
                "oracle_deviation",
                **TERMS,
                limit_bps=999,
                pool=POOL,
                inverse=1,
                quote_feed=LENDER,
                window_s=60,
            ),
            OracleDeviation(
                OracleTerms(FEED, V3, 18, 6, is_inverse=True, quote_feed=LENDER, window_s=60), 200
            ),
        ),
        (spec("twap_deviation", pool=POOL, window_s=60, limit_bps=999), TwapDeviation(V3, 60, 300)),
        (spec("price_impact", pair=POOL, limit_bps=20), PriceImpact(PAIR, 20)),
        (spec("price_impact", pool=POOL, limit_bps=999), PriceImpact(V3, 100)),
        (
            spec("health_factor", pool=POOL, min_wad=2 * 10**18),
            HealthFactor(AavePool(POOL), KEY, 105 * 10**16, 2 * 10**18),
        ),
        (
            spec("health_factor", **MORPHO, min_wad=5, holder=EXECUTOR),
            HealthFactor(MorphoMarket(POOL, USD, WETH, FEED, LENDER, 7), EXECUTOR, 105 * 10**16, 5),
        ),
        (spec("ltv", **COMET, limit_bps=5_000), LoanToValue(COMET_PLACE, KEY, 8_000, 5_000)),
        (
            spec("exposure", token=WETH, share_bps=2_500),
            Exposure(
                ExposureLimit("0x0404040404040404040404040404040404040404", frozenset({WETH}), 2_500),
                ChainFacts(),
                (KEY, EXECUTOR),
            ),
        ),
        (spec("token_list", allow=WETH), TokenList(frozenset({WETH}))),
        (spec("token_list", deny=WETH), TokenList(None, frozenset({WETH}))),
        (spec("sequencer_up", feed=FEED), SequencerUp(UptimeTerms(FEED, GRACE_S))),
        (spec("sequencer_up", feed=FEED, grace_s=5), SequencerUp(UptimeTerms(FEED, 5))),
        (spec("mev_exposure", max_value=4), MevExposure(4, ChainFacts())),
        (spec("min_profit", min_wei=4), MinProfit(4)),
    ],
)
def test_a_plan_asks_for_a_guard_by_name(one: GuardSpec, guard: Guard) -> None:
    found = asked(one)
    assert found[-1] == guard
    assert len(found) == len(asked()) + 1


def test_a_position_of_an_executor_plan_is_the_executor_s_own() -> None:
    found = asked(spec("health_factor", pool=POOL, min_wad=1), plan=executor_plan())[-1]
    assert isinstance(found, HealthFactor)
    assert found.holder == EXECUTOR


@pytest.mark.parametrize(
    ("specs", "told"),
    [
        ((spec("hope"),), r"unknown guard 'hope'.*price_impact"),
        ((spec("slippage", limit_bps=1), spec("slippage", limit_bps=2)), "asked for twice"),
        ((spec("slippage"),), "lacks the argument 'limit_bps'.*whole number of bps"),
        ((spec("slippage", limit_bps=WETH),), "another type for 'limit_bps'"),
        ((spec("slippage", limit_bps="5"),), "another type for 'limit_bps'"),
        ((spec("slippage", limit_bps=10_001),), "has 10001 bps.*0 to 10,000"),
        ((spec("slippage", limit_bps=-1),), "has -1 bps"),
        ((spec("slippage", limit_bps=1, bound=2),), "does not know the argument 'bound'.*limit_bps"),
        ((spec("gas_use", cap=2),), "its arguments: none"),
        ((GuardSpec("balance", (("min_wei", 1), ("min_wei", 2))),), "given 'min_wei' twice"),
        ((spec("oracle_staleness", feed=b"\x01", max_age_s=1),), "1 bytes for 'feed' instead of 20"),
        ((spec("oracle_staleness", max_age_s=1),), "lacks the argument 'feed'.*an address"),
        ((spec("price_impact", limit_bps=1),), "one of 'pool' and 'pair'"),
        ((spec("price_impact", limit_bps=1, pool=POOL, pair=POOL),), "one of 'pool' and 'pair'"),
        ((spec("oracle_deviation", **TERMS, limit_bps=1, pair=POOL, window_s=9),), "remembers nothing"),
        ((spec("oracle_deviation", **TERMS, limit_bps=1, pool=POOL, window_s=0),), "has 0 s"),
        ((spec("twap_deviation", pool=POOL, window_s=0, limit_bps=1),), "has 0 s"),
        ((spec("health_factor", min_wad=1),), "one of 'pool', 'morpho' and 'comet'"),
        ((spec("ltv", limit_bps=1, pool=POOL, comet=POOL),), "one of 'pool', 'morpho' and 'comet'"),
        ((spec("ltv", limit_bps=1, morpho=POOL, lltv_wad=1, loan=USD),), "lacks the argument 'collateral'"),
        ((spec("ltv", limit_bps=1, morpho=POOL),), "lacks the argument 'lltv_wad'"),
        ((spec("ltv", limit_bps=1, comet=POOL),), "lacks the argument"),
        ((spec("position_loss", max_loss=1),), "moves no position"),
        ((spec("chain_checks"),), "asked of a direct plan"),
    ],
)
def test_a_wish_that_is_not_understood_is_refused(specs: tuple[GuardSpec, ...], told: str) -> None:
    with pytest.raises(PlanError, match=told) as caught:
        asked(*specs)
    assert caught.value.where == "plan 'k'"


def test_every_guard_says_what_it_is_and_in_what_its_arguments_are() -> None:
    assert tuple(GUARDS) == GUARD_NAMES
    for kind in GUARDS.values():
        assert kind.summary
        assert all(one.unit for one in kind.arguments)
        assert len({one.name for one in kind.arguments}) == len(kind.arguments)


def test_several_wishes_for_one_thing_are_judged_at_the_tightest() -> None:
    found = asked(
        spec("health_factor", pool=POOL, min_wad=9), spec("health_factor", pool=POOL, min_wad=5),
        spec("ltv", pool=POOL, limit_bps=50), spec("ltv", pool=POOL, limit_bps=90),
        spec("token_list", allow=WETH), spec("token_list", allow=USD), spec("token_list", deny=USD),
    )[-3:]  # fmt: skip
    assert found == (
        HealthFactor(AavePool(POOL), KEY, 105 * 10**16, 9),
        LoanToValue(AavePool(POOL), KEY, 8_000, 50),
        TokenList(frozenset({WETH, USD}), frozenset({USD})),
    )
    within = RiskLimits(tokens_allowed=frozenset({USD, NATIVE}), mev_value_max=3)
    narrowed = asked(spec("token_list", allow=WETH), spec("mev_exposure", max_value=9), limits=within)[-2:]
    assert narrowed == (TokenList(frozenset()), MevExposure(3, ChainFacts()))


def test_a_position_plan_is_judged_by_what_it_costs_and_at_every_lending_place() -> None:
    facts = ChainFacts(lending=(AavePool(POOL), COMET_PLACE))
    limits = RiskLimits(position_loss_max=50, facts=facts)
    names = [guard.name for guard in asked(plan=position_plan(), limits=limits)]
    assert "min_profit" not in names
    assert names[-5:] == ["position_loss", "health_factor", "health_factor", "ltv", "ltv"]
    (loss,) = [
        one
        for one in asked(spec("position_loss", max_loss=20), plan=position_plan(), limits=limits)
        if isinstance(one, PositionLoss)
    ]
    assert (loss.limit, loss.accounts) == (20, (EXECUTOR, KEY, TREASURY))
    closed = asked(spec("position_loss", max_loss=20), plan=position_plan())
    assert [one.limit for one in closed if isinstance(one, PositionLoss)] == [None]
    with pytest.raises(PlanError, match="pays no profit"):
        asked(spec("min_profit", min_wei=1), plan=position_plan(), limits=limits)


def test_the_sequencer_stands_between_executor_plans_and_the_chain() -> None:
    limits = RiskLimits(facts=ChainFacts(sequencer=UptimeTerms(FEED, 60)))
    assert asked(plan=executor_plan(), limits=limits)[-1] == SequencerUp(UptimeTerms(FEED, 60))
    assert all(guard.name != "sequencer_up" for guard in asked(limits=limits))
    longer = asked(spec("sequencer_up", feed=FEED, grace_s=99), limits=limits)
    assert longer[-2:] == (SequencerUp(UptimeTerms(FEED, 60)), SequencerUp(UptimeTerms(FEED, 99)))
    shorter = asked(spec("sequencer_up", feed=FEED, grace_s=1), limits=limits)
    assert shorter[-1] == SequencerUp(UptimeTerms(FEED, 60))


def test_a_verdict_lists_guards_in_one_order_whatever_the_plan_s() -> None:
    facts = ChainFacts(
        (PriceFeed(WETH, FEED, 18, 8),), lending=(AavePool(POOL),), sequencer=UptimeTerms(FEED),
        wrapped_native=WETH,
    )  # fmt: skip
    limits = RiskLimits(
        position_caps={WETH: 1}, position_loss_max=1, mev_value_max=1, tokens_denied=frozenset({USD}),
        exposures=(ExposureLimit("x", frozenset({WETH}), 1),), facts=facts,
    )  # fmt: skip
    specs = (
        spec("price_impact", pair=POOL, limit_bps=1),
        spec("twap_deviation", pool=POOL, window_s=1, limit_bps=1),
        spec("oracle_deviation", **TERMS, limit_bps=1, pair=POOL),
        spec("oracle_staleness", feed=FEED, max_age_s=1),
        spec("slippage", limit_bps=1),
    )
    ours = OurAddresses(HOLDERS, WETH)
    gate = Gate(limits, ours, ReduceRule({}, (), (), ()))
    who = candidate(replace(position_plan(), guards=specs))
    verdict = gate.judge(
        Evidence(who, simulation(Flow(WETH, KEY, POOL, 1)), ours, limits, NOW_S), Authority.RUN
    )
    names = [one.guard for one in verdict.measurements]
    assert names == [
        "simulation", "gas_price", "gas_use", "slippage", "position_size", "balance", "executor",
        "position_loss", "oracle_staleness", "oracle_deviation", "twap_deviation", "price_impact",
        "health_factor", "ltv", "exposure", "token_list", "sequencer_up", "mev_exposure",
    ]  # fmt: skip
    assert [name for name in GUARD_NAMES if name in names] == [name for name in names if name in GUARD_NAMES]


def test_only_guards_that_compare_ask_for_the_state_before() -> None:
    gate = Gate(RiskLimits(), OurAddresses(HOLDERS, WETH), ReduceRule({}, (), (), ()))
    plain = candidate(direct_plan())
    assert gate.probes_before(plain, Authority.RUN) == ()
    moved = candidate(direct_plan(guards=(spec("price_impact", pair=POOL, limit_bps=1),)))
    before = gate.probes_before(moved, Authority.RUN)
    assert before == PriceImpact(PAIR, 1).probes()
    assert set(before) <= set(gate.probes(moved, Authority.RUN))
    assert gate.probes_before(plain, Authority.REDUCE_ONLY) == gate.probes(plain, Authority.REDUCE_ONLY)
    assert not isinstance(MinProfit(1), Comparing)


def test_guards_that_ask_the_same_share_one_call() -> None:
    gate = Gate(RiskLimits(), OurAddresses(HOLDERS, WETH), ReduceRule({}, (), (), ()))
    specs = (spec("health_factor", pool=POOL, min_wad=1), spec("ltv", pool=POOL, limit_bps=1))
    assert len(gate.probes(candidate(direct_plan(guards=specs)), Authority.RUN)) == 1


def test_an_address_of_another_kind_is_no_number() -> None:
    with pytest.raises(PlanError, match="another type for 'token'"):
        asked(GuardSpec("position_size", (("token", 5), ("cap", 1))))


FRESH, TWAP, HEALTH = FeedFresh(FEED, 60), TwapAgrees(POOL, 60, 50), HealthFloor(POOL, 10**18)
ASKED = (
    spec("oracle_staleness", feed=FEED, max_age_s=60),
    spec("twap_deviation", pool=POOL, window_s=60, limit_bps=50),
    spec("health_factor", pool=POOL, min_wad=1),
    spec("health_factor", **COMET, min_wad=1),
)


@pytest.mark.parametrize(
    ("checks", "missing"),
    [
        ((), 4),
        ((FRESH,), 3),
        ((FeedFresh(LENDER, 60), TwapAgrees(FEED, 60, 50)), 4),  # of others
        ((BalanceAtMost(POOL, 5, FEED), FeedWithin(FEED, 1, 2**200), FRESH, TWAP, HEALTH), 1),
        ((BookHealthFloor(LENDER, 0), HEALTH, TWAP, FRESH), 0),
    ],
)
def test_what_guards_ask_can_be_demanded_on_chain_too(checks: tuple[Check, ...], missing: int) -> None:
    body = ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), 0, encode_checks(checks))
    plan = replace(executor_plan(), body=body, guards=ASKED)
    (guard,) = [one for one in guards_of(plan, RiskLimits(chain_checks=True)) if isinstance(one, ChainChecks)]
    found = guard.measure(
        Evidence(candidate(plan), simulation(), OurAddresses(HOLDERS, WETH), RiskLimits(), NOW_S)
    )
    assert (found.measured, found.passed, found.margin) == (missing, missing == 0, -missing)
    assert guard in asked(*ASKED, spec("chain_checks"), plan=replace(plan, guards=()))


@pytest.mark.parametrize("packed", [b"\x0b", b"\x01" + FEED, b"\x07" + FEED, b"\x07" + FEED + b"\x05\x01"])
def test_checks_that_do_not_parse_cannot_be_measured(packed: bytes) -> None:
    plan = replace(executor_plan(), body=ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), 0, packed))
    found = ChainChecks(()).measure(
        Evidence(candidate(plan), simulation(), OurAddresses(HOLDERS, WETH), RiskLimits(), NOW_S)
    )
    assert (found.measured, found.passed) == (None, False)
