"""A plan's word for its executor and beneficiary counts as far as configuration and chain say the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.errors import PlanError
from seawall.primitives.levels import Authority
from seawall.primitives.plans import ExecutorBody, GuardSpec, Plan
from seawall.primitives.simulations import Flow, Simulation
from seawall.primitives.units import Address
from seawall.primitives.verdicts import Verdict
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.guards.catalogue import guards_of
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule, TokenClass
from tests.builders.messages import (
    ETHER,
    EXECUTOR,
    KEY,
    NOW_S,
    POOL,
    TREASURY,
    USD,
    WETH,
    candidate,
    executor_plan,
    simulation,
)

OURS = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)
LIMITS = RiskLimits(position_caps={WETH: ETHER})
LABEL = f"executor:{EXECUTOR.hex()}"
GATE = Gate(LIMITS, OURS, ReduceRule({WETH: TokenClass.SETTLEMENT, USD: TokenClass.DEBT}, (USD,), (), ()))


def plan(**changes: Address) -> Plan:
    made = executor_plan()
    assert isinstance(made.body, ExecutorBody)
    return replace(made, body=replace(made.body, **changes))  # type: ignore[arg-type]


def said(beneficiary: Address) -> dict[str, bytes | None]:
    return {LABEL: beneficiary.rjust(32, b"\0")}


def verdict(of: Plan, found: Simulation) -> Verdict:
    return GATE.judge(Evidence(candidate(of), found, OURS, LIMITS, NOW_S), Authority.RUN)


def test_profit_of_the_true_beneficiary_counts() -> None:
    found = simulation(Flow(WETH, POOL, TREASURY, ETHER), probes=said(TREASURY))
    assert verdict(plan(), found).admitted


def test_stranger_named_as_beneficiary_is_refused_though_it_gains() -> None:
    found = simulation(Flow(WETH, EXECUTOR, POOL, 50 * ETHER), probes=said(TREASURY))
    refused = verdict(plan(beneficiary=POOL), found)
    assert [finding.guard for finding in refused.refusals] == ["executor"]


def test_executor_that_the_configuration_does_not_name_is_refused() -> None:
    stranger = Address(b"\x66" * 20)
    found = simulation(
        Flow(WETH, KEY, stranger, 50 * ETHER),
        Flow(WETH, stranger, TREASURY, 50 * ETHER),
        probes=said(TREASURY),
    )
    refused = verdict(plan(executor=stranger), found)
    assert "executor" in [finding.guard for finding in refused.refusals]


@pytest.mark.parametrize("answer", [None, b"", b"\1" * 31])
def test_executor_that_does_not_answer_is_refused(answer: bytes | None) -> None:
    found = simulation(Flow(WETH, POOL, TREASURY, ETHER), probes={LABEL: answer})
    refused = verdict(plan(), found)
    assert [finding.guard for finding in refused.refusals] == ["executor"]


def test_reduce_only_asks_for_the_debt_of_every_address_that_it_judges() -> None:
    labels = {probe.label for probe in GATE.probes(candidate(plan()), Authority.REDUCE_ONLY)}
    assert {f"reduce_only:debt:{USD.hex()}:{holder.hex()}" for holder in (KEY, EXECUTOR, TREASURY)} <= labels


def test_guard_asked_for_twice_is_refused_so_that_no_looser_value_wins() -> None:
    twice = tuple(GuardSpec("gas_price", (("max_fee_per_gas_wei", limit),)) for limit in (1, 10**12))
    with pytest.raises(PlanError, match="twice"):
        guards_of(replace(plan(), guards=twice), LIMITS)
