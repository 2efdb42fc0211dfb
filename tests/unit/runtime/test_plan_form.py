"""Plans as JSON: what is written becomes exactly that plan, and what is wrong is named by its place."""

from __future__ import annotations

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.primitives.codec import plan_digest
from seawall.primitives.errors import InputError, PlanError
from seawall.primitives.levels import Finality, Priority
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, TokenBound, TokenDelta
from seawall.primitives.routes import Routing, Unlanded
from seawall.primitives.units import NATIVE, Address, Hash, address_text
from seawall.runtime.plan_form import PlanOrigin, plan_of

CHAIN_ID = 31_337
MAIN, SECOND, WETH = (Address(bytes([byte]) * 20) for byte in (1, 2, 3))
EXECUTOR = Address(b"\x04" * 20)


def origin(**keys: Address) -> PlanOrigin:
    book = AddressBook(CHAIN_ID)
    book.add(AddressEntry(CHAIN_ID, "weth", WETH, AddressKind.FEED, "test", Hash(bytes(32))))
    return PlanOrigin("treasury", CHAIN_ID, keys or {"main": MAIN, "second": SECOND}, book)


def written(**changes: object) -> dict[str, object]:
    direct: dict[str, object] = {"kind": "direct", "data": "0xd0e30db0", "value_wei": "1000"}
    return {
        "idempotency_key": "rent",
        "signer": "main",
        "deadline_s": 1_800_000_000,
        "target": "@weth",
        "body": direct,
    } | changes


def test_least_plan_takes_every_default() -> None:
    plan = plan_of(written(), "plans[0]", origin())
    assert (plan.strategy, plan.chain_id, plan.key) == ("treasury", CHAIN_ID, MAIN)
    assert plan.body == DirectBody(WETH, bytes.fromhex("d0e30db0"), 1000)
    assert (plan.accounting_token, plan.priority, plan.depends_finality) == (
        NATIVE,
        Priority.NORMAL,
        Finality.SAFE,
    )
    assert (plan.gas_limit, plan.note, plan.retry_of, plan.guards) == (None, "", "", ())


def test_everything_that_a_plan_may_say_arrives() -> None:
    plan = plan_of(
        written(
            signer=address_text(SECOND),
            accounting_token="@weth",
            priority="critical",
            depends_on=["first", "second"],
            depends_finality="final",
            guards=[
                {"name": "oracle_staleness", "arguments": {"max_age_s": "60", "feed": "@weth"}},
                {"name": "gas_use"},
            ],
            expected=[{"holder": "@key", "token": "native", "change": "-5", "tolerance_bps": 7}],
            gas_limit=100_000,
            note="the rent of November",
            retry_of="rent-of-october",
            routing={"private": True, "unlanded": "reprice", "window_blocks": "9", "alternatives": "either"},
        ),
        "plans[0]",
        origin(),
    )
    assert (plan.key, plan.accounting_token, plan.priority) == (SECOND, WETH, Priority.CRITICAL)
    assert (plan.depends_on, plan.depends_finality) == (("first", "second"), Finality.FINAL)
    assert plan.guards == (
        GuardSpec("oracle_staleness", (("feed", WETH), ("max_age_s", 60))),
        GuardSpec("gas_use"),
    )
    assert plan.expected == (TokenDelta(SECOND, NATIVE, -5, 7),)
    assert (plan.gas_limit, plan.note, plan.retry_of) == (100_000, "the rent of November", "rent-of-october")
    assert plan.routing == Routing(True, Unlanded.REPRICE, 9, "either")


def test_plan_for_the_executor_arrives() -> None:
    body = {
        "kind": "executor",
        "beneficiary": "@key",
        "operations": "0x0102",
        "bounds": [{"token": "@weth", "kind": "outflow", "amount": 9}],
        "min_profit_wei": "5",
    }
    plan = plan_of(written(target=address_text(EXECUTOR), body=body), "plans[0]", origin())
    bounds = (TokenBound(WETH, "outflow", 9),)
    assert plan.body == ExecutorBody(EXECUTOR, MAIN, b"\x01\x02", bounds, 5)


def test_position_plan_arrives_with_its_checks_and_asks_for_no_profit() -> None:
    body: dict[str, object] = {
        "kind": "executor",
        "beneficiary": "@key",
        "operations": "0x01",
        "bounds": [],
    }
    with pytest.raises(InputError, match="required field is missing"):
        plan_of(written(target=address_text(EXECUTOR), body=body), "plans[0]", origin())
    body |= {"position": True, "checks": "0x0203"}
    plan = plan_of(written(target=address_text(EXECUTOR), body=body), "plans[0]", origin())
    assert plan.body == ExecutorBody(EXECUTOR, MAIN, b"\x01", (), 0, b"\x02\x03", position=True)
    with pytest.raises(InputError, match="neither"):
        plan_of(written(target=address_text(EXECUTOR), body=body | {"position": 1}), "plans[0]", origin())


def test_digest_does_not_depend_on_who_wrote_the_json() -> None:
    one = [{"name": "oracle_staleness", "arguments": {"max_age_s": "60", "feed": "@weth"}}]
    other = [{"arguments": {"feed": address_text(WETH), "max_age_s": 60}, "name": "oracle_staleness"}]
    digests = {
        plan_digest(plan_of(written(guards=guards, target=target), "", origin()))
        for guards in (one, other)
        for target in ("@weth", address_text(WETH))
    }
    assert len(digests) == 1


def test_only_signer_need_not_be_named() -> None:
    plan = written()
    del plan["signer"]
    assert plan_of(plan, "plans[0]", origin(only=SECOND)).key == SECOND
    with pytest.raises(InputError, match="required field is missing"):
        plan_of(plan, "plans[0]", origin())


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"deadline": 5}, "plans[3].deadline", "not known"),
        ({"deadline_s": "soon"}, "plans[3].deadline_s", "not a whole number"),
        ({"deadline_s": True}, "plans[3].deadline_s", "not a whole number"),
        ({"deadline_s": 0}, "plans[3].deadline_s", "out of range"),
        ({"idempotency_key": ""}, "plans[3].idempotency_key", "not a text"),
        ({"idempotency_key": None}, "plans[3].idempotency_key", "missing"),
        ({"signer": "third"}, "plans[3].signer", "may not use signer 'third'"),
        ({"target": "@wheat"}, "plans[3].target", "no contract is named"),
        ({"target": "0x12"}, "plans[3].target", "address"),
        ({"body": []}, "plans[3].body.kind", "no kind of body"),
        ({"body": {"kind": "direct", "value": 1}}, "plans[3].body.value", "not known"),
        ({"body": {"kind": "direct", "data": "0x123"}}, "plans[3].body.data", "not hex"),
        ({"body": {"kind": "direct", "value_wei": 1.5}}, "plans[3].body.value_wei", "not a whole number"),
        ({"body": {"kind": "direct", "value_wei": -1}}, "plans[3].body.value_wei", "out of range"),
        ({"priority": "urgent"}, "plans[3].priority", "not one of the choices"),
        ({"depends_on": "first"}, "plans[3].depends_on", "not a list"),
        ({"depends_on": ["first", 2]}, "plans[3].depends_on[1]", "not a text"),
        ({"guards": [{"name": "balance", "arguments": []}]}, "plans[3].guards[0].arguments", "not an object"),
        (
            {"guards": [{"name": "balance", "arguments": {"min_wei": "much"}}]},
            "plans[3].guards[0].arguments.min_wei",
            "no argument",
        ),
        ({"expected": [{"holder": "@key"}]}, "plans[3].expected[0].token", "missing"),
        ({"gas_limit": 20_999}, "plans[3].gas_limit", "out of range"),
        ({"routing": {"private": "yes"}}, "plans[3].routing.private", "neither"),
        ({"routing": {"unlanded": "never"}}, "plans[3].routing.unlanded", "not one of the choices"),
        ({"routing": {"window_blocks": 1_001}}, "plans[3].routing.window_blocks", "out of range"),
    ],
)
def test_wrong_field_is_named_by_its_place(changes: dict[str, object], where: str, what: str) -> None:
    with pytest.raises(InputError, match=what) as caught:
        plan_of(written(**changes), "plans[3]", origin())
    assert caught.value.where == where
    assert caught.value.fix


@pytest.mark.parametrize("content", [None, 7, "plan", []])
def test_what_is_no_object_is_refused(content: object) -> None:
    with pytest.raises(InputError, match="not an object"):
        plan_of(content, "plans[0]", origin())


def test_plan_that_contradicts_itself_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match="retry of itself"):
        plan_of(written(retry_of="rent"), "plans[0]", origin())
