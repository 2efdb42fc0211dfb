"""Each guard: inside, at and outside its limit, and refusing where it cannot measure (GD-1, GD-2)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import abi_encode
from seawall.primitives.errors import PlanError
from seawall.primitives.levels import Authority
from seawall.primitives.plans import ExecutorBody, GuardSpec, TokenDelta
from seawall.primitives.simulations import Flow, Handover, Simulation
from seawall.primitives.units import NATIVE, Address
from seawall.primitives.verdicts import Candidate, Measurement, Verdict
from seawall.risk.claims import Stake
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.guards.catalogue import guards_of, silent_of
from seawall.risk.guards.fees import Balance, GasPrice, GasUse
from seawall.risk.guards.flows import PositionSize, Slippage
from seawall.risk.guards.oracles import OracleStaleness
from seawall.risk.guards.profit import MinProfit
from seawall.risk.limits import ChainFacts, OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from tests.builders.messages import (
    ETHER,
    EXECUTOR,
    FEED,
    GWEI,
    KEY,
    LENDER,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    block,
    candidate,
    direct_plan,
    executor_plan,
    simulation,
)

LIMITS = RiskLimits(position_caps={WETH: 100 * ETHER, USD: 10**12, NATIVE: ETHER})
OURS = OurAddresses(frozenset({KEY, TREASURY, EXECUTOR}), WETH)


def evidence(who: Candidate, found: Simulation, limits: RiskLimits = LIMITS) -> Evidence:
    return Evidence(who, found, OURS, limits, NOW_S)


def feed_answer(answer: int, updated_at_s: int, round_id: int = 7, answered_in: int = 7) -> bytes:
    types = ("uint80", "int256", "uint256", "uint256", "uint80")
    return abi_encode(types, (round_id, answer, updated_at_s, updated_at_s, answered_in))


@pytest.mark.parametrize(("fee_gwei", "passes"), [(9, True), (10, True), (11, False)])
def test_gas_price_is_judged_at_the_ceiling_that_we_would_pay(fee_gwei: int, passes: bool) -> None:
    who = candidate(direct_plan(), max_fee_per_gas_wei=fee_gwei * GWEI)
    found = GasPrice(10 * GWEI).measure(evidence(who, simulation()))
    assert found.passed is passes
    assert found.margin == (10 - fee_gwei) * GWEI


@pytest.mark.parametrize(
    ("block_gas", "gas_limit", "passes"),
    [
        (30_000_000, 2**24 * 8 // 10, True),
        (30_000_000, 2**24 * 8 // 10 + 1, False),  # the transaction cap of EIP-7825 is the lower one
        (10_000_000, 8_000_000, True),
        (10_000_000, 8_000_001, False),
    ],
)
def test_gas_use_is_judged_against_the_lower_of_block_and_transaction_limit(
    block_gas: int, gas_limit: int, passes: bool
) -> None:
    who = candidate(direct_plan(), gas_limit=gas_limit, base=block(gas_limit=block_gas))
    assert GasUse().measure(evidence(who, simulation())).passed is passes


@pytest.mark.parametrize(
    ("got", "bps", "passes"), [(10_000, 0, True), (9_950, 50, True), (9_949, 51, False), (10_100, 0, True)]
)
def test_slippage_is_the_shortfall_against_the_expected_change(got: int, bps: int, passes: bool) -> None:
    who = candidate(executor_plan(expected=(TokenDelta(TREASURY, WETH, 10_000),)))
    found = Slippage(50).measure(evidence(who, simulation(Flow(WETH, POOL, TREASURY, got))))
    assert (found.measured, found.passed) == (bps, passes)


def test_slippage_of_an_expected_outflow_counts_paying_more() -> None:
    who = candidate(direct_plan(expected=(TokenDelta(KEY, WETH, -1_000),)))
    found = Slippage(50).measure(evidence(who, simulation(Flow(WETH, KEY, POOL, 1_100))))
    assert (found.measured, found.passed) == (1_000, False)


@pytest.mark.parametrize(
    ("expected", "flow", "measured", "passes"),
    [
        (1_000, Flow(USD, POOL, KEY, 1_100), 1_000, False),
        (1_000, Flow(USD, POOL, KEY, 900), 0, True),
        (-1_000, Flow(USD, KEY, POOL, 900), 1_000, False),
        (-1_000, Flow(USD, KEY, POOL, 1_100), 0, True),
    ],
    ids=["owes more", "owes less", "repaid less", "repaid more"],
)
def test_slippage_of_a_debt_is_owing_more(expected: int, flow: Flow, measured: int, passes: bool) -> None:
    who = candidate(direct_plan(expected=(TokenDelta(KEY, USD, expected),)))
    found = Slippage(50, (USD,)).measure(evidence(who, simulation(flow)))
    assert (found.measured, found.passed) == (measured, passes)


def test_slippage_reports_the_worst_of_several_expected_changes() -> None:
    deltas = (TokenDelta(TREASURY, WETH, 1_000), TokenDelta(TREASURY, USD, 1_000))
    flows = (Flow(WETH, POOL, TREASURY, 1_000), Flow(USD, POOL, TREASURY, 900))
    found = Slippage(50).measure(evidence(candidate(executor_plan(expected=deltas)), simulation(*flows)))
    assert found.measured == 1_000
    assert not found.passed


POSITION, OWED = Address(b"\x51" * 20), Address(b"\x52" * 20)
FACTS = ChainFacts(positions=frozenset({POSITION, OWED}), position_debts=frozenset({OWED}))


def word(value: int | None) -> bytes | None:
    return None if value is None else value.to_bytes(32, "big")


@pytest.mark.parametrize(
    ("token", "expected", "balances", "measured", "passes"),
    [
        (POSITION, 1_000, (500, 1_500), 0, True),
        (POSITION, 1_000, (500, 1_495), 50, True),
        (POSITION, 1_000, (500, 1_494), 60, False),
        (POSITION, 1_000, (500, 500), 10_000, False),
        (POSITION, -1_000, (1_500, 500), 0, True),
        (POSITION, -1_000, (1_500, 400), 1_000, False),
        (OWED, 1_000, (0, 1_100), 1_000, False),
        (OWED, -1_000, (1_000, 0), 0, True),
        (OWED, -1_000, (1_000, 200), 2_000, False),
        (POSITION, 1_000, (None, 1_500), None, False),
        (POSITION, 1_000, (500, None), None, False),
    ],
)
def test_slippage_of_a_position_that_logs_nothing_is_by_its_balances(
    token: Address,
    expected: int,
    balances: tuple[int | None, int | None],
    measured: int | None,
    passes: bool,
) -> None:
    """No event tells of it, and whatever event somebody logs in its name counts nothing."""
    plan = executor_plan(expected=(TokenDelta(EXECUTOR, token, expected),))
    guard = next(one for one in guards_of(plan, RiskLimits(facts=FACTS)) if isinstance(one, Slippage))
    (probe,) = guard.before()
    assert guard.probes() == (probe,)
    assert (probe.target, probe.calldata[16:]) == (token, EXECUTOR)
    before, after = ({probe.label: word(balance)} for balance in balances)
    told = simulation(Flow(token, POOL, EXECUTOR, expected), probes=after, before=before)
    found = guard.measure(evidence(candidate(plan), told))
    assert (found.measured, found.passed) == (measured, passes)


def test_plans_that_expect_no_position_are_read_once_only() -> None:
    for expected in ((), (TokenDelta(EXECUTOR, WETH, 1),)):
        assert silent_of(executor_plan(expected=expected), FACTS) == ()
    assert silent_of(executor_plan(expected=(TokenDelta(EXECUTOR, POSITION, 1),)), ChainFacts()) == ()


def test_a_ticket_that_ends_is_let_go_where_its_worth_is_counted_and_nowhere_else() -> None:
    facts = ChainFacts(claims=(Stake(POSITION, USD),))
    position = replace(executor_plan(), body=ExecutorBody(EXECUTOR, TREASURY, b"\x01", (), 0, position=True))
    cases = [
        (position, facts, POSITION, True),
        (position, facts, OWED, False),  # nobody counts what lies there
        (position, facts, None, False),  # given to somebody
        (position, ChainFacts(), POSITION, False),
        (executor_plan(), facts, POSITION, False),
        (direct_plan(), facts, POSITION, False),
    ]
    for plan, known, burnt_at, passes in cases:
        found = replace(simulation(), handovers=(Handover(KEY, "gives away an NFT", burnt_at),))
        guards = guards_of(plan, RiskLimits(facts=known))
        (guard,) = [one for one in guards if isinstance(one, PositionSize)]
        assert guard.measure(evidence(candidate(plan), found)).passed is passes
        assert guard.scaled(5_000).measure(evidence(candidate(plan), found)).passed is passes


def test_a_gate_asks_for_each_position_that_a_plan_expects() -> None:
    """What was asked for one plan does not stand for another of the same key."""
    gate = Gate(replace(LIMITS, facts=FACTS), OURS, ReduceRule({}, (), (), ()))
    plans = [executor_plan(expected=(TokenDelta(EXECUTOR, token, 1),)) for token in (POSITION, OWED, WETH)]
    asked = [gate.probes_before(candidate(plan), Authority.RUN) for plan in plans]
    assert [[probe.target for probe in one] for one in asked] == [[POSITION], [OWED], []]


def test_minimum_profit_is_judged_after_the_maximum_fee() -> None:
    who = candidate(executor_plan(min_profit_wei=1), max_fee_per_gas_wei=GWEI, gas_limit=100_000)
    fee_wei = 100_000 * GWEI
    enough = MinProfit(1).measure(evidence(who, simulation(Flow(WETH, POOL, TREASURY, fee_wei + 1))))
    short = MinProfit(1).measure(evidence(who, simulation(Flow(WETH, POOL, TREASURY, fee_wei))))
    assert (enough.passed, enough.measured) == (True, 1)
    assert (short.passed, short.margin) == (False, -1)


def test_minimum_profit_counts_native_and_wrapped_native_one_to_one() -> None:
    flows = (Flow(WETH, POOL, TREASURY, 5), Flow(NATIVE, POOL, TREASURY, 7), Flow(USD, POOL, TREASURY, 10**9))
    who = candidate(executor_plan(), max_fee_per_gas_wei=0)
    assert MinProfit(0).measure(evidence(who, simulation(*flows))).measured == 12


def test_minimum_profit_refuses_a_token_that_nothing_compares_with_the_fee() -> None:
    who = candidate(executor_plan(accounting_token=USD))
    found = MinProfit(0).measure(evidence(who, simulation(Flow(USD, POOL, TREASURY, 10**9))))
    assert (found.measured, found.passed) == (None, False)
    assert "cannot measure" in found.reason


@pytest.mark.parametrize(("age_s", "passes"), [(0, True), (60, True), (61, False)])
def test_oracle_staleness_is_the_age_of_the_answer_on_the_state_after(age_s: int, passes: bool) -> None:
    guard = OracleStaleness(FEED, 60)
    (probe,) = guard.probes()
    found = guard.measure(
        evidence(candidate(direct_plan()), simulation(probes={probe.label: feed_answer(1, NOW_S - age_s)}))
    )
    assert (found.measured, found.passed) == (age_s, passes)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"",
        b"\x00" * 31,
        feed_answer(0, NOW_S),
        feed_answer(-5, NOW_S),
        feed_answer(1, 0),
        feed_answer(1, NOW_S, 8, 7),
    ],
    ids=["reverted", "empty", "short", "zero", "negative", "never updated", "carried over"],
)
def test_oracle_without_a_complete_positive_answer_cannot_be_measured(answer: bytes | None) -> None:
    guard = OracleStaleness(FEED, 60)
    (probe,) = guard.probes()
    found = guard.measure(evidence(candidate(direct_plan()), simulation(probes={probe.label: answer})))
    assert (found.measured, found.passed) == (None, False)


def test_position_size_ignores_a_loan_that_is_repaid_but_not_what_goes_into_a_pool() -> None:
    flows = (
        Flow(WETH, LENDER, EXECUTOR, 90 * ETHER),
        Flow(WETH, EXECUTOR, POOL, 90 * ETHER),
        Flow(USD, POOL, EXECUTOR, 10**11),
        Flow(WETH, EXECUTOR, LENDER, 90 * ETHER),
    )
    caps = tuple(LIMITS.position_caps.items())
    found = PositionSize(caps).measure(evidence(candidate(executor_plan()), simulation(*flows)))
    assert (found.measured, found.passed) == (90 * ETHER, True)
    tight = PositionSize(((WETH, 89 * ETHER),)).measure(
        evidence(candidate(executor_plan()), simulation(*flows))
    )
    assert not tight.passed


def test_position_size_refuses_a_token_without_a_cap() -> None:
    strange = Address(b"\x77" * 20)
    found = PositionSize(()).measure(
        evidence(candidate(executor_plan()), simulation(Flow(strange, EXECUTOR, POOL, 1)))
    )
    assert (found.measured, found.passed) == (None, False)


@pytest.mark.parametrize(("balance", "passes"), [(10, True), (9, False), (None, False)])
def test_balance_is_judged_after_the_transaction_and_refuses_the_unknown(
    balance: int | None, passes: bool
) -> None:
    who = candidate(direct_plan(), max_fee_per_gas_wei=0)
    found = Balance(10).measure(evidence(who, simulation(sender_balance_wei=balance)))
    assert found.passed is passes


def test_balance_reckons_with_the_whole_gas_limit_not_with_the_gas_that_was_used() -> None:
    who = candidate(direct_plan(), max_fee_per_gas_wei=GWEI, gas_limit=100_000)
    unused_wei = 20_000 * GWEI
    enough = Balance(10).measure(
        evidence(who, simulation(gas_used=80_000, sender_balance_wei=unused_wei + 10))
    )
    short = Balance(10).measure(evidence(who, simulation(gas_used=80_000, sender_balance_wei=unused_wei + 9)))
    assert (enough.passed, short.passed) == (True, False)


def test_giving_away_what_no_cap_can_bound_is_refused_whoever_else_does_it() -> None:
    ours = replace(simulation(), handovers=(Handover(EXECUTOR, "hands all its tokens to an operator"),))
    theirs = replace(simulation(), handovers=(Handover(POOL, "hands all its tokens to an operator"),))
    caps = tuple(LIMITS.position_caps.items())
    who = candidate(executor_plan())
    assert PositionSize(caps).measure(evidence(who, theirs)).passed
    refused = PositionSize(caps).measure(evidence(who, ours))
    assert (refused.measured, refused.passed) == (None, False)
    assert "operator" in refused.reason


def test_plan_may_tighten_a_limit_but_never_loosen_it() -> None:
    loose = direct_plan(
        guards=(
            GuardSpec("slippage", (("limit_bps", 500),)),
            GuardSpec("gas_price", (("max_fee_per_gas_wei", 1),)),
        )
    )
    by_name = {guard.name: guard for guard in guards_of(loose, LIMITS)}
    assert by_name["slippage"] == Slippage(LIMITS.slippage_bps_max)
    assert by_name["gas_price"] == GasPrice(1)


def test_unknown_guard_is_a_plan_error_that_lists_the_known_ones() -> None:
    with pytest.raises(PlanError, match=r"unknown guard .hope..*min_profit"):
        guards_of(direct_plan(guards=(GuardSpec("hope"),)), LIMITS)


def judge(found: Simulation, authority: Authority = Authority.RUN) -> Verdict:
    gate = Gate(LIMITS, OURS, ReduceRule({}, (), (), ()))
    return gate.judge(evidence(candidate(direct_plan(value_wei=1)), found), authority)


def test_verdict_lists_every_guard_and_admits_only_if_all_pass() -> None:
    verdict = judge(simulation(Flow(NATIVE, KEY, WETH, 1), Flow(WETH, WETH, KEY, 1)))
    assert [m.guard for m in verdict.measurements] == [
        "simulation",
        "gas_price",
        "gas_use",
        "slippage",
        "position_size",
        "balance",
    ]
    assert verdict.admitted
    assert verdict.explanation == ""


def test_what_reverts_is_refused_with_its_reason() -> None:
    verdict = judge(simulation(success=False, reason="Error: too little received"))
    assert not verdict.admitted
    assert "too little received" in verdict.explanation
    assert verdict.predicted_wei is None


def test_halt_refuses_whatever_the_guards_say() -> None:
    verdict = judge(simulation(), Authority.HALT)
    assert not verdict.admitted
    assert "HALT" in verdict.explanation


def test_every_measurement_carries_the_block_hash_it_was_read_at() -> None:
    findings: tuple[Measurement, ...] = judge(simulation()).measurements
    assert {m.block_hash for m in findings} == {simulation().base_hash}
