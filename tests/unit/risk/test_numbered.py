"""Numbered positions in the guards: what is taken out of one pays for nothing, and goes to nobody else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import encode_call
from seawall.primitives.levels import Authority
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan
from seawall.primitives.simulations import Flow
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.risk.evidence import Evidence
from seawall.risk.gate import Gate
from seawall.risk.guards.flows import PositionSize
from seawall.risk.guards.profit import MinProfit, PositionLoss
from seawall.risk.limits import ChainFacts
from seawall.risk.prices import VALUE_SCALE
from tests.builders.messages import (
    EXECUTOR,
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
from tests.unit.risk.test_reduce import DESK, LIMITS, OURS, RULE, failed, state
from tests.unit.risk.test_value_guards import FEEDS, PRICES, STRANGE, judged

MANAGER = Address(b"\x41" * 20)
WAD = 10**18
MOST = 2**128 - 1
DECREASE = encode_call("decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))", ((7, 5, 0, 0, NOW_S),))
GUARD = PositionLoss((EXECUTOR, KEY, TREASURY), 5 * VALUE_SCALE, ChainFacts(FEEDS, wrapped_native=WETH))
OUT = (Flow(WETH, POOL, EXECUTOR, 50), Flow(USD, POOL, EXECUTOR, 90))


def collect(recipient: Address) -> bytes:
    return encode_call("collect((uint256,address,uint128,uint128))", ((7, recipient, MOST, MOST),))


def position_plan(*calls: bytes) -> Plan:
    """As operations have it: an address, then the call as it will be made."""
    operations = b"\x01" + b"".join(MANAGER + call for call in calls)
    return replace(executor_plan(), body=ExecutorBody(EXECUTOR, TREASURY, operations, (), 0, position=True))


def direct(*calls: bytes) -> Plan:
    call = encode_call("multicall(bytes[])", (list(calls),))
    return replace(direct_plan(), body=DirectBody(MANAGER, call, 0))


TAKING = position_plan(DECREASE, collect(EXECUTOR))


def test_what_stays_is_no_gain_and_what_passes_through_is_lost() -> None:
    stays = judged(GUARD, TAKING, *OUT, after=PRICES)
    assert (stays.measured, stays.passed) == (0, True)
    through = judged(GUARD, TAKING, *OUT, Flow(WETH, EXECUTOR, STRANGE, 50), after=PRICES)
    assert (through.measured, through.passed) == (100 * VALUE_SCALE, False)
    # Sold back into the very pool that paid it, for nothing: its other token does not make up for it.
    sold = judged(GUARD, TAKING, *OUT, Flow(WETH, EXECUTOR, POOL, 50), after=PRICES)
    assert (sold.measured, sold.passed) == (100 * VALUE_SCALE, False)
    # Nothing of it is taken out by whoever only decreases: it waits in the position.
    assert judged(GUARD, position_plan(DECREASE), after=PRICES).measured == 0


def test_what_is_taken_out_goes_on_to_our_own_addresses_freely() -> None:
    moved = judged(GUARD, TAKING, *OUT, Flow(WETH, EXECUTOR, TREASURY, 50), after=PRICES)
    assert (moved.measured, moved.passed) == (0, True)


def test_another_plan_is_judged_by_what_it_gains_and_loses() -> None:
    found = judged(GUARD, position_plan(), *OUT, Flow(WETH, EXECUTOR, STRANGE, 50), after=PRICES)
    assert (found.measured, found.passed) == (-90 * VALUE_SCALE, True)


@pytest.mark.parametrize(
    "plan", [TAKING, direct(DECREASE), direct(collect(KEY))], ids=["both", "less", "fees"]
)
def test_what_is_taken_out_is_no_profit(plan: Plan) -> None:
    found = judged(MinProfit(0), plan, Flow(WETH, POOL, TREASURY, 50), after={})
    assert (found.measured, found.passed) == (None, False)


@pytest.mark.parametrize(
    ("plan", "passes"),
    [
        (position_plan(collect(EXECUTOR)), True),
        (position_plan(collect(TREASURY)), True),
        (position_plan(collect(EXECUTOR), collect(STRANGE)), False),
        (position_plan(collect(ZERO_ADDRESS)), False),  # it would lie in the manager, for anyone to take
        (position_plan(collect(EXECUTOR)[:40]), False),
        (position_plan(collect(EXECUTOR)[:36] + b"\x01" * 12 + collect(EXECUTOR)[48:]), False),
        (direct(collect(KEY)), True),
        (direct(DECREASE, collect(STRANGE)), False),
    ],
    ids=["ours", "payee", "stranger", "nobody", "cut", "padded", "key", "by a batch"],
)
def test_what_is_collected_goes_to_us_alone(plan: Plan, passes: bool) -> None:
    """Of what goes to a stranger nothing is seen to leave us."""
    found = judged(PositionSize(()), plan, Flow(WETH, POOL, STRANGE, 50), after={})
    assert found.passed is passes


def test_what_is_paid_back_to_a_pool_that_paid_a_position_counts_against_the_cap() -> None:
    flows = (*OUT, Flow(WETH, EXECUTOR, POOL, 50))
    cap = PositionSize(((WETH, 49),))
    assert judged(cap, TAKING, *flows, after={}).measured == 50
    assert judged(cap, position_plan(), *flows, after={}).passed


def test_what_passes_through_counts_in_what_a_key_spends() -> None:
    flows = (*OUT, Flow(WETH, EXECUTOR, STRANGE, 50), Flow(USD, EXECUTOR, TREASURY, 90))
    free = candidate(TAKING, max_fee_per_gas_wei=0)
    spends = Evidence(free, simulation(*flows), OURS, LIMITS, NOW_S).spends()
    assert spends == {NATIVE: 0, WETH: 50}


def test_under_reduce_only_nothing_of_a_position_pays_for_what_leaves() -> None:
    """A repayment that is right, and beside it coins of a position that only pass through."""
    gate = Gate(LIMITS, OURS, RULE)
    repaid = Flow(WETH, KEY, DESK, 10)
    through = (Flow(USD, POOL, KEY, 500), Flow(USD, KEY, STRANGE, 500))
    after, before = state(90, 3 * WAD), state(100, 2 * WAD)
    for plan, refusals in ((direct_plan(), set()), (direct(collect(KEY)), {"reduce_only.loss"})):
        found = simulation(repaid, *through, probes=after, before=before)
        evidence = Evidence(candidate(plan), found, OURS, LIMITS, NOW_S)
        assert failed(gate.judge(evidence, Authority.REDUCE_ONLY)) == refusals


def test_under_reduce_only_what_is_collected_repays_debt() -> None:
    flows = (Flow(WETH, POOL, KEY, 10), Flow(WETH, KEY, DESK, 10))
    found = simulation(*flows, probes=state(90, 3 * WAD), before=state(100, 2 * WAD))
    evidence = Evidence(candidate(direct(collect(KEY))), found, OURS, LIMITS, NOW_S)
    verdict = Gate(LIMITS, OURS, RULE).judge(evidence, Authority.REDUCE_ONLY)
    assert verdict.admitted, verdict.explanation
