from __future__ import annotations

import pytest

from seawall.primitives.errors import PlanError
from seawall.primitives.observations import Cause, Observation
from seawall.primitives.plans import DirectBody, ExecutorBody
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Call
from seawall.risk.guards import catalogue
from seawall.risk.guards.fees import GasPrice
from seawall.risk.guards.flows import PositionSize
from seawall.risk.limits import RiskLimits
from seawall.strategies import plans
from seawall.strategies.plans import PlanDesk, Terms
from tests.builders import messages
from tests.builders.messages import EXECUTOR, FEED, KEY, NOW_S, TREASURY, USD, WETH

SEEN = Observation("x", 7, Cause.HEAD, NOW_S, messages.block())
TERMS = Terms(WETH, ttl_s=60, note="because")


def test_direct_plan_takes_deadline_and_key_from_the_observation() -> None:
    plan = PlanDesk(KEY).direct(SEEN, 2, DirectBody(WETH, b"", 1), TERMS)
    assert (plan.strategy, plan.chain_id, plan.deadline_s) == ("x", messages.CHAIN_ID, NOW_S + 60)
    assert (plan.idempotency_key, plan.note) == ("x:7:2", "because")


def test_own_idempotency_key_replaces_the_default() -> None:
    assert PlanDesk(KEY).direct(SEEN, 0, DirectBody(WETH, b""), TERMS, "mine").idempotency_key == "mine"


def test_executor_plan_packs_its_operations() -> None:
    operations = (Call(WETH, b"\x01\x02\x03\x04"),)
    desk = PlanDesk(KEY, EXECUTOR, TREASURY)
    plan = desk.through_executor(SEEN, 0, operations, TERMS, min_profit_wei=5)
    assert plan.body == ExecutorBody(EXECUTOR, TREASURY, encode_operations(operations), (), 5)
    assert plan.target == EXECUTOR


def test_executor_plan_without_an_executor_is_refused() -> None:
    with pytest.raises(PlanError, match="no executor"):
        PlanDesk(KEY).through_executor(SEEN, 0, (), TERMS, min_profit_wei=0)


def test_every_guard_that_can_be_asked_for_is_known_to_the_gate() -> None:
    asked = (
        plans.slippage_guard(10),
        plans.min_profit_guard(1),
        plans.oracle_staleness_guard(FEED, 60),
        plans.gas_price_guard(5),
        plans.gas_use_guard(),
        plans.position_size_guard(USD, 3),
        plans.balance_guard(9),
    )
    terms = Terms(WETH, 60, guards=asked)
    plan = PlanDesk(KEY, EXECUTOR, TREASURY).through_executor(SEEN, 0, (), terms, min_profit_wei=0)
    found = {guard.name: guard for guard in catalogue.guards_of(plan, RiskLimits(position_caps={USD: 8}))}
    assert {spec.name for spec in asked} | {"executor"} == set(found) <= set(catalogue.GUARD_NAMES)
    assert found["gas_price"] == GasPrice(5)
    assert found["position_size"] == PositionSize(((USD, 3),))
