"""What evidence finds in one walk over the flows is what the plain formulas say, each by its own walk."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.native import selector
from seawall.primitives.levels import Authority
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan, TokenDelta
from seawall.primitives.simulations import AllowanceChange, Flow
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.risk.evidence import Evidence, below, cannot_measure
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.numbered import collectors, takes_out
from seawall.risk.reduce import ReduceRule
from tests.builders.messages import (
    EXECUTOR,
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

TOKENS = (WETH, USD, NATIVE)
CAPS = {NATIVE: 10**18, USD: 50}
COLLECT = selector("collect((uint256,address,uint128,uint128))")
WHO = st.sampled_from((KEY, EXECUTOR, TREASURY, POOL, LENDER))
AMOUNTS = st.one_of(st.integers(0, 3), st.integers(0, 10**20))
FLOWS = st.lists(st.builds(Flow, st.sampled_from(TOKENS), WHO, WHO, AMOUNTS), max_size=8)
ALLOWANCES = st.lists(st.builds(AllowanceChange, st.sampled_from(TOKENS), WHO, WHO, AMOUNTS), max_size=4)
CONTENTS = st.one_of(
    st.just(b""),
    st.binary(max_size=8),
    st.builds(lambda junk, at: junk + COLLECT + bytes(32) + bytes(12) + at, st.binary(max_size=8), WHO),
    st.just(COLLECT + b"\xff" * 70),
)
EXPECTED = st.lists(st.builds(TokenDelta, WHO, st.sampled_from(TOKENS), st.integers(-5, 5)), max_size=2).map(
    tuple
)


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    content, value_wei = draw(CONTENTS), draw(AMOUNTS)
    body: DirectBody | ExecutorBody = DirectBody(POOL, content, value_wei)
    plan = direct_plan(value_wei=value_wei)
    if draw(st.booleans()):
        plan = executor_plan()
        body = ExecutorBody(EXECUTOR, TREASURY, content, (), 0)
    plan = replace(plan, body=body, accounting_token=draw(st.sampled_from(TOKENS)), expected=draw(EXPECTED))
    one = candidate(plan, gas_limit=draw(st.integers(21_000, 10**6)))
    one = replace(one, payload=replace(one.payload, value_wei=plan_value(plan)), data_fee_wei=draw(AMOUNTS))
    found = replace(simulation(*draw(FLOWS)), allowances=tuple(draw(ALLOWANCES)))
    if draw(st.integers(0, 9)) == 0:
        found = replace(found, success=False, flows=(), allowances=(), reason="no")
    ours = OurAddresses(frozenset(draw(st.sets(WHO)) | {KEY}), draw(st.sampled_from((None, WETH))))
    limits = RiskLimits(position_caps=CAPS)
    return Evidence(one, found, ours, limits, NOW_S, (), draw(st.integers(0, 10**10)))


def plan_value(plan: Plan) -> int:
    return plan.body.value_wei if isinstance(plan.body, DirectBody) else 0


@settings(max_examples=400)
@given(evidences())
def test_one_walk_finds_what_a_walk_for_each_finds(evidence: Evidence) -> None:
    assert evidence.takes_out == takes_out(evidence.candidate.plan)
    assert evidence.outflows() == plain_outflows(evidence)
    assert evidence.spends() == plain_spends(evidence)
    assert evidence.inflow() == plain_inflow(evidence)


@settings(max_examples=400)
@given(evidences(), st.sampled_from([Authority.RUN, Authority.REDUCE_ONLY, Authority.HALT]))
def test_verdict_by_rules_at_hand_is_the_verdict(evidence: Evidence, authority: Authority) -> None:
    gate = Gate(evidence.limits, evidence.ours, ReduceRule({}, (), (), ()))
    rules = gate.rules_of(evidence.candidate.plan)
    verdict = gate.judge(evidence, authority, rules)
    assert verdict == gate.judge(evidence, authority)
    found = {one.guard: one for one in verdict.measurements}
    names = [one.guard for one in verdict.measurements]
    if evidence.simulation.success:
        assert names[1 : 1 + len(rules.guards)] == [guard.name for guard in rules.guards]
        assert found["position_size"] == plain_position_size(evidence)
        assert verdict.predicted_floor_wei == (
            None
            if plain_inflow(evidence) is None
            else (plain_inflow(evidence) or 0) - evidence.candidate.max_total_fee_wei
        )


# The plain formulas, each as it would be written if nobody counted time.


def plain_outflows(evidence: Evidence) -> dict[Address, int]:
    net: dict[tuple[Address, Address], int] = defaultdict(int)
    holders, forgets = evidence.holders, takes_out(evidence.candidate.plan)
    for flow in evidence.simulation.flows:
        if flow.sender in holders:
            if flow.receiver not in holders:
                net[(flow.token, flow.receiver)] += flow.amount
        elif flow.receiver in holders and not forgets:
            net[(flow.token, flow.sender)] -= flow.amount
    totals: dict[Address, int] = defaultdict(int)
    for (token, _), amount in net.items():
        if amount > 0:
            totals[token] += amount
    for token, amount in plain_approved(evidence):
        totals[token] += amount
    return dict(totals)


def plain_spends(evidence: Evidence) -> dict[Address, int]:
    one, holders = evidence.candidate, evidence.holders
    net: dict[Address, int] = defaultdict(int)
    for flow in evidence.simulation.flows:
        if takes_out(one.plan) and flow.sender not in holders:
            continue
        net[flow.token] += flow.amount * ((flow.receiver in holders) - (flow.sender in holders))
    native_wei = max(one.payload.value_wei, -net.pop(NATIVE, 0))
    totals = {NATIVE: native_wei + one.max_total_fee_wei}
    totals |= {token: -change for token, change in net.items() if change < 0}
    for token, amount in plain_approved(evidence):
        totals[token] = totals.get(token, 0) + amount
    return totals


def plain_approved(evidence: Evidence) -> Sequence[tuple[Address, int]]:
    return [
        (token, amount)
        for (token, owner, spender), amount in evidence.allowances_left().items()
        if amount > 0 and owner in evidence.holders and spender not in evidence.holders
    ]


def plain_inflow(evidence: Evidence) -> int | None:
    plan = evidence.candidate.plan
    if not evidence.is_native_like(plan.accounting_token):
        return None
    who = frozenset({evidence.payee}) if plan.is_executor_plan else evidence.holders
    flows = [flow for flow in evidence.simulation.flows if evidence.is_native_like(flow.token)]
    return sum(flow.amount * ((flow.receiver in who) - (flow.sender in who)) for flow in flows)


def plain_position_size(evidence: Evidence) -> Measurement:
    name, holders = "position_size", evidence.holders
    for collector in collectors(evidence.candidate.plan):
        if collector not in holders:
            who = "what is no address" if collector is None else address_text(collector)
            why = f"it collects from a numbered position to {who}, which is not ours"
            return cannot_measure(name, evidence, 0, "units", why)
    found: list[Measurement] = []
    for token, amount in sorted(plain_outflows(evidence).items()):
        if token not in CAPS:
            why = f"no cap is configured for {address_text(token)}, of which {amount} would leave"
            return cannot_measure(name, evidence, 0, "units", why)
        what = f"outflow of {address_text(token)}"
        found.append(below(name, evidence, amount, CAPS[token], "units", what))
    nothing = below(name, evidence, 0, 0, "units", "nothing leaves: outflow")
    return min(found, key=lambda one: one.margin or 0, default=nothing)
