"""Dry runs, and strategies that misbehave, beside a good strategy in one true kernel."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.primitives.levels import IntentState
from seawall.primitives.plans import DirectBody
from seawall.rollout.devnet import Devnet
from tests.fixtures.kernel import ETHER, Books, KernelFolder, RunningKernel, deposit, wait_until

RESTARTED = '"strategy":"wild","standing":"waiting"'


def test_dry_run_judges_in_a_ledger_of_its_own_and_signs_nothing(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.scripted(deposit(ETHER), deposit(2 * ETHER), name="rehearsal", mode="dry_run")
    folder.scripted(deposit(ETHER // 2), name="live")
    dry = Books(f"sqlite:///{folder.data / 'dry_run-rehearsal.db'}")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.settle(1)
        folder.pump(lambda: len(dry.intents()) == 2, "both rehearsed plans were taken")
        folder.pump(lambda: all(row.state.is_outcome for row in dry.intents()), "both have ended")
    assert [(row.state, row.reason) for row in dry.intents()] == [(IntentState.CANCELLED, "dry_run")] * 2
    for row in dry.intents():
        assert [one.verdict.admitted for one in dry.verdicts(row.number)] == [True]
        assert dry.attempts(row.number) == []
    assert [row.strategy for row in folder.books.intents()] == ["live"]
    assert [one.value_wei for one in folder.on_chain()] == [ETHER // 2]
    folder.assert_books_balance()


def test_dry_run_begins_with_the_state_of_the_live_strategy(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER), name="one")
    with folder.run():
        folder.settle(1)
    folder.strategies.clear()
    folder.scripted(deposit(ETHER), deposit(2 * ETHER), name="one", mode="dry_run")
    dry = Books(f"sqlite:///{folder.data / 'dry_run-one.db'}")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: any(row.state.is_outcome for row in dry.intents()), "a plan was rehearsed")
    (row,) = dry.intents()
    assert isinstance(row.plan.body, DirectBody)
    assert row.plan.body.value_wei == 2 * ETHER, "step 0 is done already"


@pytest.mark.parametrize("act", ["raise", "hang", "eat"])
def test_plans_land_beside_a_strategy_of_the_same_host_that(
    manual_devnet: Devnet, tmp_path: Path, act: str
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet, decide_deadline_s=2)
    folder.strategy("wild", "kernel_trials:Wild", f'act = "{act}"')
    folder.scripted(deposit(ETHER), deposit(2 * ETHER), name="good")
    with folder.run() as kernel:
        kernel.wait_ready()
        rows = folder.settle(2)
        assert kernel.health()[0] == 200, "a strategy's fault is not the kernel's"
        # It started anew with the host that the wild one took down with it, perhaps more than once.
        wait_until(lambda: is_well(kernel, "good"), "the good one runs")
        wait_until(lambda: RESTARTED in folder.log.read_text(), "the wild one is started anew")
    assert [row.state for row in rows] == [IntentState.LANDED] * 2
    folder.assert_books_balance()


def is_well(kernel: RunningKernel, name: str) -> bool:
    checks = kernel.health("/health")[1]["checks"]
    assert isinstance(checks, dict)
    return checks[f"strategy:{name}"]["passed"] is True


def test_plans_land_in_the_lane_that_another_strategy_floods_at_every_head(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.strategy("wild", "kernel_trials:Wild", 'act = "flood"')
    folder.scripted(deposit(ETHER), deposit(2 * ETHER), name="good")

    def landed() -> int:
        good = [row for row in folder.books.intents() if row.strategy == "good"]
        return sum(row.state is IntentState.LANDED for row in good)

    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: landed() == 2, "both plans landed in front of the flood")
        assert kernel.health()[0] == 200
    rows = folder.books.intents()
    assert sum(row.strategy == "wild" for row in rows) > 100, "there was a flood"


def test_strategy_is_told_of_the_logs_that_it_subscribed_to(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.strategy("watcher", "kernel_trials:Watcher", 'target = "@weth"')
    values = (ETHER, 2 * ETHER, 3 * ETHER)
    folder.scripted(*map(deposit, values), name="good")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.settle(len(values))
    _, state = folder.books.read(lambda tx: tx.states.get("watcher"))
    assert state == b"".join(value.to_bytes(32, "big") for value in values)
