"""The commands by which plans come from outside, on a true ledger."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.primitives.bounds import PLANS_PER_DECISION_MAX
from seawall.primitives.errors import IdempotencyConflictError, InputError, LedgerError, PlanError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.ports import SystemClock, SystemEntropy
from seawall.primitives.units import Address, address_text
from seawall.runtime.commands import Answer, Command
from seawall.runtime.plan_form import PlanOrigin
from seawall.runtime.submission import INTENTS_PER_QUESTION_MAX, Submission, Submitter
from seawall.transactions.intake import Intake

CHAIN_ID = 31_337
KEY = Address(b"\x11" * 20)
TARGET = address_text(Address(b"\x22" * 20))
DEADLINE_S = int(time.time()) + 86_400  # this file may be read long before its tests run


@dataclass
class Woken:
    accepted: int = 0
    cancelled: list[int] = field(default_factory=list)

    def on_accepted(self) -> None:
        self.accepted += 1


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    opened = Ledger.open(LedgerSettings(url), clock=SystemClock(), entropy=SystemEntropy())
    yield opened
    await opened.close()


@pytest.fixture
def woken() -> Woken:
    return Woken()


@pytest.fixture
def submission(ledger: Ledger, woken: Woken) -> Submission:
    clock, entropy = SystemClock(), SystemEntropy()
    intake = Intake(ledger, clock, entropy, frozenset({Lane(CHAIN_ID, KEY)}))

    def submitter(name: str) -> Submitter:
        origin = PlanOrigin(name, CHAIN_ID, {"main": KEY}, AddressBook(CHAIN_ID))
        return Submitter(origin, intake, woken.on_accepted)

    names = {name: submitter(name) for name in ("treasury", "payroll")}
    return Submission(names, ledger, clock, entropy, woken.cancelled.append)


def plan(key: str, **changes: object) -> dict[str, object]:
    body: dict[str, object] = {"kind": "direct", "value_wei": 1}
    return {"idempotency_key": key, "deadline_s": DEADLINE_S, "target": TARGET, "body": body} | changes


async def submit(submission: Submission, *plans: object, submitter: str = "treasury") -> list[Answer]:
    body = {"submitter": submitter, "plans": list(plans)}
    return rows_of(await submission.submit(Command("submit", body=body)), "plans")


def rows_of(answer: Answer, name: str) -> list[Any]:
    rows = answer[name]
    assert isinstance(rows, list)
    return rows


async def test_submitted_plan_is_durable_and_said_again_is_the_same_intent(
    submission: Submission, ledger: Ledger, woken: Woken
) -> None:
    (first,) = await submit(submission, plan("a"))
    again, other = await submit(submission, plan("a"), plan("b"))
    assert (first["created"], again["created"], other["created"]) == (True, False, True)
    assert first == {**again, "created": True}
    assert first["status"] == "queued"
    assert str(first["plan_digest"]).startswith("0x")
    number = first["id"]
    assert isinstance(number, int)
    row = await ledger.read(lambda tx: tx.intents.get(IntentNumber(number)))
    assert (row.strategy, row.plan.idempotency_key) == ("treasury", "a")
    assert woken.accepted == 2
    await submit(submission, plan("a"))
    assert woken.accepted == 2, "nothing new came"


async def test_same_key_with_another_plan_shows_both_digests_and_stores_nothing(
    submission: Submission,
) -> None:
    (first,) = await submit(submission, plan("a"))
    with pytest.raises(IdempotencyConflictError) as caught:
        await submit(submission, plan("b"), plan("a", note="another"))
    assert str(first["plan_digest"]) in caught.value.what
    assert caught.value.what.count("0x") == 2
    question = Command("intent", body={"strategy": "treasury", "idempotency_keys": ["a", "b"]})
    known, unknown = rows_of(await submission.intent(question), "intents")
    assert known["id"] == first["id"]
    assert unknown is None


async def test_plan_said_twice_in_one_list_is_made_once(submission: Submission) -> None:
    one, same, other = await submit(submission, plan("a"), plan("a"), plan("b"))
    assert (one["created"], same["created"], other["created"]) == (True, False, True)
    assert one["id"] == same["id"] != other["id"]


async def test_submitters_do_not_share_keys(submission: Submission) -> None:
    (one,) = await submit(submission, plan("a"))
    (other,) = await submit(submission, plan("a"), submitter="payroll")
    assert (other["created"], other["id"] == one["id"]) == (True, False)


async def test_unknown_submitter_is_refused_and_those_there_are_named(submission: Submission) -> None:
    with pytest.raises(InputError, match="'thief'") as caught:
        await submit(submission, plan("a"), submitter="thief")
    assert "payroll, treasury" in caught.value.fix
    with pytest.raises(InputError, match="required field"):
        await submission.submit(Command("submit", body={"plans": [plan("a")]}))


@pytest.mark.parametrize("count", [0, PLANS_PER_DECISION_MAX + 1])
async def test_submission_has_at_least_one_plan_and_a_bound(submission: Submission, count: int) -> None:
    with pytest.raises(InputError, match=f"{count} plans"):
        await submit(submission, *(plan(str(number)) for number in range(count)))


async def test_guard_that_nobody_knows_is_refused_at_the_door(submission: Submission) -> None:
    with pytest.raises(PlanError, match="astrology"):
        await submit(submission, plan("a", guards=[{"name": "astrology"}]))


async def test_wish_to_cancel_stays_with_the_intent_and_wakes_its_chain(
    submission: Submission, ledger: Ledger, woken: Woken
) -> None:
    (first,) = await submit(submission, plan("a"))
    await submission.cancel(Command("cancel", reason="changed my mind", who="me", body={"id": first["id"]}))
    named: dict[str, object] = {"strategy": "treasury", "idempotency_key": "a"}
    answer = await submission.cancel(Command("cancel", reason="again", who="you", body=named))
    standing = answer["intent"]
    assert isinstance(standing, dict)
    assert standing["id"] == first["id"]
    assert standing["cancel_reason"] == "changed my mind (me)", "the first wish stays"
    assert woken.cancelled == [CHAIN_ID, CHAIN_ID]
    events = await ledger.read(lambda tx: tx.events.after(0, 10, ("cancel.asked",)))
    assert len(events) == 1


async def test_outcome_is_past_cancelling(submission: Submission, ledger: Ledger) -> None:
    (first,) = await submit(submission, plan("a"))
    number = first["id"]
    assert isinstance(number, int)
    await ledger.write(
        lambda tx: tx.intents.set_state(IntentNumber(number), IntentState.REFUSED, "too dear", None, 1)
    )
    answer = await submission.cancel(Command("cancel", reason="late", body={"id": number}))
    standing = answer["intent"]
    assert isinstance(standing, dict)
    assert (standing["status"], standing["reason"]) == ("refused", "too dear")
    assert (standing["cancel_reason"], standing["settled"]) == (None, True)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        (Command("cancel", body={"id": 1}), InputError),
        (Command("cancel", reason="x", body={}), InputError),
        (Command("cancel", reason="x", body={"id": 99}), LedgerError),
        (Command("cancel", reason="x", body={"strategy": "treasury", "idempotency_key": "z"}), InputError),
    ],
)
async def test_cancellation_of_nothing_or_without_a_reason_is_refused(
    submission: Submission, command: Command, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await submission.cancel(command)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": ["1"]},
        {"ids": [True]},
        {"idempotency_keys": ["a"]},
        {"ids": list(range(1, INTENTS_PER_QUESTION_MAX + 2))},
    ],
)
async def test_question_about_nothing_or_too_much_is_refused(
    submission: Submission, body: dict[str, object]
) -> None:
    with pytest.raises(InputError):
        await submission.intent(Command("intent", body=body))
