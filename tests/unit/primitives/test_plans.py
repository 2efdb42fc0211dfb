"""Malformed plans are refused where they are made, and a digest names exactly what is wanted."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seawall.primitives.codec import pack, plan_digest, unpack
from seawall.primitives.errors import PlanError
from seawall.primitives.levels import Priority
from seawall.primitives.plans import DirectBody, ExecutorBody, Plan, TokenBound
from seawall.primitives.routes import Routing, Unlanded
from seawall.primitives.units import Address
from tests.builders.messages import WETH, direct_plan, executor_plan


@pytest.mark.parametrize(
    "change",
    [
        {"key": Address(b"\x01" * 19)},
        {"strategy": ""},
        {"idempotency_key": ""},
        {"idempotency_key": "k" * 201},
        {"chain_id": 0},
        {"chain_id": -1},
        {"deadline_s": 0},
        {"gas_limit": 20_999},
        {"body": DirectBody(WETH, b"", -1)},
        {"body": DirectBody(WETH, b"", 2**256)},
        {"body": DirectBody(WETH, b"\0" * (128 * 1024 + 1), 0)},
        {"body": DirectBody(Address(b""), b"", 0)},
    ],
)
def test_malformed_direct_plan_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        replace(direct_plan(), **change)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body",
    [
        ExecutorBody(WETH, WETH, b"", (TokenBound(WETH, "sideways", 1),), 0),
        ExecutorBody(WETH, WETH, b"", (TokenBound(WETH, "inflow", -1),), 0),
        ExecutorBody(WETH, WETH, b"", (TokenBound(WETH, "outflow", 2**128),), 0),
        ExecutorBody(WETH, WETH, b"", (), -1),
        ExecutorBody(WETH, WETH, b"", (), 0, checks=bytes(4097)),
        ExecutorBody(WETH, WETH, b"", (), 1, position=True),
        ExecutorBody(WETH, WETH, b"", (TokenBound(WETH, "inflow", 1),) * 17, 0),
        ExecutorBody(WETH, WETH, b"\0" * (128 * 1024 + 1), (), 0),
    ],
)
def test_malformed_executor_plan_is_refused(body: ExecutorBody) -> None:
    with pytest.raises(PlanError):
        replace(executor_plan(), body=body)


def test_plan_survives_the_socket_unchanged() -> None:
    for plan in (direct_plan(value_wei=2**200), executor_plan(min_profit_wei=7)):
        assert unpack(Plan, pack(plan)) == plan


def test_wishes_about_the_route_are_part_of_a_plan_and_leave_others_as_they_were() -> None:
    public = direct_plan()
    private = replace(public, routing=Routing(private=True, unlanded=Unlanded.REPRICE, window_blocks=3))
    assert unpack(Plan, pack(private)) == private
    assert plan_digest(private) != plan_digest(public)
    # Digests of plans without wishes are what they were before plans had any.
    assert plan_digest(public).hex() == "44fb2df1fea1443009cb0db4ed7398ae44ef50582bad0d5044c6965a0a08b7e7"


@pytest.mark.parametrize(
    "wishes",
    [
        {"window_blocks": -1},
        {"window_blocks": 1_001},
        {"private": False, "alternatives": "either"},
        {"private": True, "alternatives": "x" * 101},
    ],
)
def test_wishes_that_no_route_can_fulfil_are_refused(wishes: dict[str, Any]) -> None:
    with pytest.raises(PlanError):
        Routing(**wishes)


def test_digest_ignores_the_idempotency_key_and_nothing_else() -> None:
    plan = direct_plan()
    assert plan_digest(plan) == plan_digest(replace(plan, idempotency_key="another"))
    others = [
        replace(plan, deadline_s=plan.deadline_s + 1),
        replace(plan, priority=Priority.LOW),
        replace(plan, note="another"),
        replace(plan, strategy="another"),
        replace(plan, body=DirectBody(WETH, b"\xd0\xe3\x0d\xb0", 1)),
        replace(plan, gas_limit=50_000),
        replace(plan, depends_on=("x",)),
    ]
    assert len({plan_digest(p) for p in [plan, *others]}) == len(others) + 1
