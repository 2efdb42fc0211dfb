"""Plans handed to a true kernel from outside: accepted once, landed once, and a wish to cancel is kept."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from seawall.primitives.levels import IntentState
from seawall.primitives.units import hex_text
from seawall.rollout.devnet import Devnet
from tests.fixtures.kernel import DEPOSIT, ETHER, KernelFolder

SUBMITTER = """
[[submitters]]
name = "treasury"
chain_id = 31337
signers = ["main"]
"""
DEADLINE_S = int(time.time()) + 86_400  # this file may be read long before its tests run


@pytest.fixture
def folder(manual_devnet: Devnet, tmp_path: Path) -> KernelFolder:
    made = KernelFolder(tmp_path / "k", manual_devnet)
    made.strategies.append(SUBMITTER)
    made.write()
    return made


def plan(key: str, value_wei: int = ETHER // 100, **changes: object) -> dict[str, object]:
    body = {"kind": "direct", "data": hex_text(DEPOSIT), "value_wei": str(value_wei)}
    written = {"idempotency_key": key, "deadline_s": DEADLINE_S, "target": "@weth", "body": body}
    return {**written, "accounting_token": "@weth", **changes}


def submit(folder: KernelFolder, *plans: object) -> tuple[int, dict[str, object]]:
    file = folder.directory / "plans.json"
    file.write_text(json.dumps(plans))
    done = folder.seawall("plans", "submit", str(file), "--json")
    return done.returncode, json.loads(done.stdout or done.stderr)


def test_plans_from_outside_land_once_though_they_are_submitted_again(folder: KernelFolder) -> None:
    plans = [plan("a", 7), plan("b", 8, priority="high"), plan("c", 9, depends_on=["a"])]
    with folder.run() as kernel:
        kernel.wait_ready()
        code, first = submit(folder, *plans)
        assert code == 0, first
        _, again = submit(folder, *plans)
        rows, known = first["plans"], again["plans"]
        assert isinstance(rows, list)
        assert isinstance(known, list)
        assert [row["created"] for row in rows + known] == [True] * 3 + [False] * 3
        assert [row["id"] for row in rows] == [row["id"] for row in known]
        folder.settle(3)
        code, refusal = submit(folder, plan("a", 7_000))
    assert code == 1
    error = refusal["error"]
    assert isinstance(error, dict)
    assert rows[0]["plan_digest"] in error["what"]
    assert {row.state for row in folder.books.intents()} == {IntentState.LANDED}
    assert sorted(one.value_wei for one in folder.on_chain()) == [7, 8, 9]
    folder.assert_books_balance()


def test_plan_that_waits_is_cancelled_on_request(folder: KernelFolder) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        submit(folder, plan("waits", depends_on=["never"]), plan("goes"))
        done = folder.seawall(
            "plans", "cancel", "--strategy", "treasury", "--key", "waits", "--reason", "moved", "--json"
        )
        assert done.returncode == 0, done.stderr
        folder.settle(2)
    cancelled, landed = folder.books.intents()
    assert (cancelled.state, landed.state) == (IntentState.CANCELLED, IntentState.LANDED)
    assert "moved" in cancelled.reason
    assert len(folder.on_chain()) == 1
