from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seawall.control.latch import Latch
from seawall.primitives.bounds import DECISION_FRAME_BYTES_MAX
from seawall.primitives.errors import BackPressureError, IdempotencyConflictError, SeawallError
from seawall.runtime.commands import Answer, Command, CommandServer
from seawall.runtime.http import HealthReport
from seawall.runtime.places import LATCH_NAME, SOCKET_NAME
from tests.unit.cli.conftest import Seawall

PLAN = {"idempotency_key": "rent", "note": "November"}
ACCEPTED = {"id": 7, "idempotency_key": "rent", "created": True, "plan_digest": "0xab", "status": "queued"}
STANDING = {
    "id": 7,
    "strategy": "treasury",
    "idempotency_key": "rent",
    "status": "queued",
    "reason": "",
    "cancel_reason": "moved (me)",
    "finality": None,
    "transactions": [{"hash": "0xcd", "nonce": 1, "kind": "plan"}],
}


@dataclass
class Kernel:
    """What the socket was asked, and what it answers."""

    asked: list[Command] = field(default_factory=list)
    refusal: SeawallError | None = None

    async def submit(self, command: Command) -> Answer:
        self.asked.append(command)
        if self.refusal is not None:
            raise self.refusal
        return {"plans": [ACCEPTED]}

    async def cancel(self, command: Command) -> Answer:
        self.asked.append(command)
        return {"intent": STANDING}


@pytest.fixture
async def kernel(project: Path) -> AsyncIterator[Kernel]:
    data = project / "data"
    data.mkdir()
    stand_in = Kernel()
    server = CommandServer(data / SOCKET_NAME, Latch(data / LATCH_NAME), lambda: HealthReport(True, ()))
    server.offer("submit", stand_in.submit)
    server.offer("cancel", stand_in.cancel)
    await server.start()
    yield stand_in
    await server.stop()


@pytest.fixture
def plans(project: Path) -> Path:
    file = project / "plans.json"
    file.write_text(json.dumps([PLAN, PLAN]))
    return file


async def test_plans_of_a_file_are_submitted_and_the_answer_is_shown(
    seawall: Seawall, kernel: Kernel, plans: Path
) -> None:
    answer = await asyncio.to_thread(
        seawall, "plans", "submit", str(plans), "--submitter", "treasury", "--json"
    )
    assert answer.document == {"plans": [ACCEPTED]}
    (command,) = kernel.asked
    assert command.body == {"submitter": "treasury", "plans": [PLAN, PLAN]}
    assert command.who
    shown = await asyncio.to_thread(seawall, "plans", "submit", str(plans))
    assert "#7" in shown.output
    assert "new" in shown.output


async def test_one_plan_comes_from_standard_input(
    seawall: Seawall, kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(PLAN).encode())))
    assert (await asyncio.to_thread(seawall, "plans", "submit", "-")).code == 0
    assert kernel.asked[0].body == {"plans": [PLAN]}


@pytest.mark.parametrize("kind", [IdempotencyConflictError, BackPressureError])
async def test_refusal_of_the_kernel_is_told_in_its_own_words(
    seawall: Seawall, kernel: Kernel, plans: Path, kind: type[SeawallError]
) -> None:
    kernel.refusal = kind("0xaa is not 0xbb", "strategy 'treasury'", "give a new key")
    answer = await asyncio.to_thread(seawall, "plans", "submit", str(plans), "--json")
    assert answer.code == 1
    assert answer.refusal == {
        "what": "0xaa is not 0xbb",
        "where": "strategy 'treasury'",
        "fix": "give a new key",
    }


async def test_plan_is_cancelled_by_number_or_by_name(seawall: Seawall, kernel: Kernel) -> None:
    by_number = await asyncio.to_thread(seawall, "plans", "cancel", "7", "--reason", "moved", "--json")
    assert by_number.document == STANDING
    by_name = await asyncio.to_thread(
        seawall, "plans", "cancel", "-s", "treasury", "-k", "rent", "-r", "moved"
    )
    assert "#7 of treasury: queued" in by_name.output
    assert [command.body for command in kernel.asked] == [
        {"id": 7},
        {"strategy": "treasury", "idempotency_key": "rent"},
    ]
    assert {command.reason for command in kernel.asked} == {"moved"}


@pytest.mark.parametrize(
    "arguments", [("7", "-s", "treasury"), ("-k", "rent"), (), ("7", "-s", "treasury", "-k", "rent")]
)
def test_plan_is_named_in_exactly_one_way(
    seawall: Seawall, project: Path, arguments: tuple[str, ...]
) -> None:
    answer = seawall("plans", "cancel", *arguments, "-r", "moved", "--json")
    assert answer.code == 2
    assert "number" in answer.refusal["what"]


def test_without_a_kernel_nothing_is_submitted(seawall: Seawall, project: Path, plans: Path) -> None:
    answer = seawall("plans", "submit", str(plans), "--json")
    assert answer.code == 1
    assert "no kernel listens" in answer.refusal["what"]


def test_file_that_holds_no_plans_is_refused(seawall: Seawall, project: Path) -> None:
    (project / "bad.json").write_text("[{]")
    (project / "huge.json").write_text(" " * (DECISION_FRAME_BYTES_MAX + 1))
    for name, what in (("bad.json", "not JSON"), ("huge.json", "more than"), ("none.json", "cannot be read")):
        answer = seawall("plans", "submit", name, "--json")
        assert answer.code == 2
        assert what in answer.refusal["what"]
        assert answer.refusal["where"] == name
