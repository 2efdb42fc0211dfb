"""A signer's policy, guard by guard."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import GuardSpec
from seawall.primitives.simulations import AllowanceChange, Flow
from seawall.primitives.units import NATIVE, Address
from seawall.primitives.verdicts import Candidate, Measurement
from seawall.risk.evidence import Evidence
from seawall.risk.guards.catalogue import GUARD_NAMES, guards_of
from seawall.risk.guards.signer_policy import POLICY_GUARD_NAMES
from seawall.risk.limits import OurAddresses, RiskLimits, SignerPolicy, TargetRule
from seawall.risk.spending import DAY_S, HOUR_S, Spent
from tests.builders.messages import (
    ETHER,
    EXECUTOR,
    GWEI,
    KEY,
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

OURS = OurAddresses(frozenset({KEY}), WETH)
DEPOSIT = b"\xd0\xe3\x0d\xb0"
POLICY = SignerPolicy(
    "hot",
    fee_max_wei=ETHER // 10,
    value_max_wei=2 * ETHER,
    gas_limit_max=500_000,
    balance_min_wei=ETHER,
    targets=(TargetRule(WETH, frozenset({DEPOSIT})),),
    recipients=frozenset({TREASURY}),
)
ROOMY = (
    Spent("hot", NATIVE, HOUR_S, 0, 10 * ETHER),
    Spent("hot", NATIVE, DAY_S, 0, 50 * ETHER),
)


def finding(
    name: str,
    *,
    policy: SignerPolicy = POLICY,
    one: Candidate | None = None,
    spent: tuple[Spent, ...] | None = ROOMY,
    flows: tuple[Flow, ...] = (),
    allowances: tuple[AllowanceChange, ...] = (),
    sender_balance_wei: int = 10 * ETHER,
) -> Measurement:
    limits = RiskLimits(policies={KEY: policy})
    one = one or candidate(direct_plan())
    found = simulation(*flows, allowances=allowances, sender_balance_wei=sender_balance_wei)
    evidence = Evidence(one, found, OURS, limits, NOW_S, spent)
    (guard,) = [guard for guard in guards_of(one.plan, limits) if guard.name == name]
    return guard.measure(evidence)


def called(to: Address, data: bytes, *, value_wei: int = 0, gas_limit: int = 100_000) -> Candidate:
    one = candidate(direct_plan(value_wei=value_wei))
    return replace(
        one, payload=replace(one.payload, to=to, data=data, value_wei=value_wei, gas_limit=gas_limit)
    )


@pytest.mark.parametrize(
    ("to", "data", "passed", "says"),
    [
        (WETH, DEPOSIT, True, "may call"),
        (WETH, DEPOSIT + bytes(32), True, "may call"),
        (WETH, b"\xde\xad\xbe\xef", False, "but not function 0xdeadbeef"),
        (WETH, b"", False, "but not a plain transfer"),
        (WETH, DEPOSIT[:3], False, "but not function 0xd0e30d"),
        (POOL, DEPOSIT, False, "is no target"),
        (POOL, b"", False, "nor a recipient"),
        (TREASURY, b"", True, "is a recipient"),
        (TREASURY, DEPOSIT, False, "is no target"),
    ],
)
def test_only_listed_calls_and_recipients_are_admitted(
    to: Address, data: bytes, passed: bool, says: str
) -> None:
    found = finding("signer_target", one=called(to, data))
    assert found.passed is passed
    assert says in found.reason


def test_target_open_to_any_call_takes_plain_transfers_too() -> None:
    policy = replace(POLICY, targets=(TargetRule(WETH, None),))
    for data in (b"", b"\x01", b"\xde\xad\xbe\xef"):
        assert finding("signer_target", policy=policy, one=called(WETH, data)).passed
    assert not finding("signer_target", policy=policy, one=called(POOL, b"")).passed


def test_any_target_has_to_be_said() -> None:
    assert finding("signer_target", policy=replace(POLICY, any_target=True), one=called(POOL, b"\x01")).passed


def test_gas_value_and_fee_are_measured_against_their_caps() -> None:
    over_gas = finding("signer_gas", one=called(WETH, DEPOSIT, gas_limit=500_001))
    assert (over_gas.measured, over_gas.limit, over_gas.margin, over_gas.passed) == (
        500_001,
        500_000,
        -1,
        False,
    )
    at_value = finding("signer_value", one=called(WETH, DEPOSIT, value_wei=2 * ETHER))
    assert (at_value.margin, at_value.passed) == (0, True)
    assert not finding("signer_value", one=called(WETH, DEPOSIT, value_wei=2 * ETHER + 1)).passed
    dear = replace(candidate(direct_plan()), ceiling_fee_per_gas_wei=10_000 * GWEI)
    over_fee = finding("signer_fee", one=dear)
    assert over_fee.measured == dear.max_total_fee_wei
    assert not over_fee.passed


def test_value_cap_of_nothing_sends_nothing() -> None:
    policy = replace(POLICY, value_max_wei=0)
    assert finding("signer_value", policy=policy).passed
    assert not finding("signer_value", policy=policy, one=called(WETH, DEPOSIT, value_wei=1)).passed


def test_key_keeps_the_higher_of_both_balances() -> None:
    found = finding("balance", sender_balance_wei=ETHER)
    assert found.limit == ETHER
    assert not found.passed


def test_spend_is_what_was_spent_with_value_and_maximum_fee() -> None:
    one = called(WETH, DEPOSIT, value_wei=ETHER)
    one = replace(one, plan=direct_plan(value_wei=ETHER))
    most = ETHER + one.max_total_fee_wei
    left = replace(ROOMY[0], amount=10 * ETHER - most)
    at_cap = finding("signer_spend", one=one, spent=(left, ROOMY[1]))
    assert (at_cap.measured, at_cap.limit, at_cap.margin, at_cap.passed) == (10 * ETHER, 10 * ETHER, 0, True)
    over = finding("signer_spend", one=one, spent=(replace(left, amount=left.amount + 1), ROOMY[1]))
    assert not over.passed
    assert "in one hour" in over.reason
    day = finding("signer_spend", one=one, spent=(ROOMY[0], replace(ROOMY[1], amount=50 * ETHER)))
    assert not day.passed
    assert "in one day" in day.reason


def test_token_that_leaves_counts_and_one_without_a_limit_is_refused() -> None:
    away = Flow(USD, KEY, POOL, 700)
    unknown = finding("signer_spend", flows=(away,))
    assert not unknown.passed
    assert unknown.measured is None
    assert "no spend limit" in unknown.reason
    usd = (Spent("hot", USD, HOUR_S, 301, 1_000), Spent("hot", USD, DAY_S, 301, 10_000))
    found = finding("signer_spend", flows=(away,), spent=(*ROOMY, *usd))
    assert (found.measured, found.limit, found.passed) == (1_001, 1_000, False)
    back = finding("signer_spend", flows=(away, Flow(USD, POOL, KEY, 701)), spent=(*ROOMY, *usd))
    assert back.passed


def test_native_coin_that_a_stolen_key_moves_out_of_an_account_counts_in_hour_and_day() -> None:
    """The key itself sends none: the plan empties the account, and what its own addresses pass on is none."""
    most = candidate(executor_plan()).max_total_fee_wei

    def judged(*flows: Flow) -> Measurement:
        return finding("signer_spend", one=candidate(executor_plan()), flows=flows)

    out = judged(Flow(NATIVE, EXECUTOR, POOL, 9 * ETHER))
    assert (out.measured, out.passed) == (9 * ETHER + most, True)
    over = judged(Flow(NATIVE, EXECUTOR, POOL, 10 * ETHER))
    assert (over.measured, over.limit, over.passed) == (10 * ETHER + most, 10 * ETHER, False)
    assert judged(Flow(NATIVE, EXECUTOR, TREASURY, 20 * ETHER)).measured == most  # its beneficiary is ours
    back = judged(Flow(NATIVE, EXECUTOR, POOL, 20 * ETHER), Flow(NATIVE, POOL, EXECUTOR, 19 * ETHER))
    assert back.measured == ETHER + most


def test_native_value_that_comes_back_still_counts_as_sent() -> None:
    one = called(WETH, DEPOSIT, value_wei=ETHER)
    there = (Flow(NATIVE, KEY, WETH, ETHER), Flow(NATIVE, WETH, KEY, ETHER))
    assert finding("signer_spend", one=one, flows=there).measured == ETHER + one.max_total_fee_wei


def test_approval_counts_as_spent() -> None:
    usd = (Spent("hot", USD, HOUR_S, 0, 1_000), Spent("hot", USD, DAY_S, 0, 10_000))
    open_ended = AllowanceChange(USD, KEY, POOL, 2**256 - 1)
    found = finding("signer_spend", spent=(*ROOMY, *usd), allowances=(open_ended,))
    assert not found.passed


def test_spend_that_nobody_counts_is_refused() -> None:
    assert "nobody counts" in finding("signer_spend", spent=None).reason
    assert not finding("signer_spend", spent=()).passed


def test_key_without_a_policy_has_none_of_its_guards() -> None:
    names = {guard.name for guard in guards_of(direct_plan(), RiskLimits())}
    assert not names & set(POLICY_GUARD_NAMES)
    with_policy = {guard.name for guard in guards_of(direct_plan(), RiskLimits(policies={KEY: POLICY}))}
    assert set(POLICY_GUARD_NAMES) <= with_policy


def test_plans_cannot_ask_for_a_policys_guards() -> None:
    assert not set(POLICY_GUARD_NAMES) & set(GUARD_NAMES)
    with pytest.raises(PlanError, match="unknown guard"):
        guards_of(direct_plan(guards=(GuardSpec("signer_spend"),)), RiskLimits(policies={KEY: POLICY}))
