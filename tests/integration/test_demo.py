"""The demo as a stranger starts it, its account held against the chain, and the check itself checked: every
figure that the chain can contradict is falsified once, and noticed."""

from __future__ import annotations

import copy
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seawall.rollout.devnet.build import BuiltState
from tests import check_demo_account

pytestmark = [pytest.mark.anvil, pytest.mark.timeout(300)]

SEAWALL = (sys.executable, "-m", "seawall.cli")
SCRIPT = Path(check_demo_account.__file__)
WAIT_S = 120
# Leaves that the chain cannot contradict: texts, durations, and what only the ledger remembers.
UNCHECKED = {"took_s", "kernel_started_in_s", "judged_again", "removed_from_block"}

Document = dict[str, Any]
Path_ = tuple[str | int, ...]


def seawall(*arguments: str) -> str:
    done = subprocess.run([*SEAWALL, *arguments], capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def kept(built_devnet: BuiltState, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a played demo, its chain still running, and its account beside it."""
    folder = tmp_path_factory.mktemp("demo") / "kept"
    try:
        account = seawall("demo", "--json", "--keep", str(folder))
        (folder / "account.json").write_text(account)
        yield folder
    finally:
        seawall("devnet", "down", "--directory", str(folder / "devnet"))


@pytest.fixture(scope="module")
def account(kept: Path) -> Document:
    document: Document = json.loads((kept / "account.json").read_text())
    return document


@pytest.fixture(scope="module")
def node(account: Document) -> check_demo_account.Node:
    return check_demo_account.Node(account["chain"]["rpc_url"])


def run_script(file: Path) -> subprocess.CompletedProcess[str]:
    # -I: the script must not find this package, and does not need it.
    command = [sys.executable, "-I", str(SCRIPT), str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)


def test_account_of_the_demo_fits_the_chain_for_a_script_that_shares_no_code(kept: Path) -> None:
    checked = run_script(kept / "account.json")
    assert (checked.returncode, checked.stderr) == (0, ""), checked.stdout
    source = SCRIPT.read_text()
    assert "import seawall" not in source
    assert "from seawall" not in source


def test_demo_chooses_no_port_before_its_kernel_listens(kept: Path) -> None:
    assert 'listen = "127.0.0.1:0"' in (kept / "seawall.toml").read_text()


def test_script_ends_with_a_message_and_1_on_a_false_account(
    kept: Path, account: Document, tmp_path: Path
) -> None:
    false = copy.deepcopy(account)
    false["balances"][0]["after"] += 1
    (tmp_path / "false.json").write_text(json.dumps(false))
    checked = run_script(tmp_path / "false.json")
    assert checked.returncode == 1
    assert "MISMATCH ETH of the key: after" in checked.stdout


def test_demo_shows_what_it_promises(account: Document) -> None:
    plans = account["plans"]
    assert all(
        {
            "id",
            "strategy",
            "status",
            "verdict",
            "transactions",
            "profit_predicted_wei",
            "profit_realised_wei",
        }
        <= set(plan)
        for plan in plans
    )
    assert {plan["strategy"] for plan in plans if plan["status"] == "landed"} == {"arbitrage", "keeper"}
    refused_by = {
        guard["guard"]
        for plan in plans
        if plan["status"] == "refused"
        for guard in plan["verdict"]["guards"]
        if not guard["passed"]
    }
    assert refused_by == {"position_size", "slippage", "oracle_staleness", "min_profit", "simulation"}
    arbitrage = next(p for p in plans if p["strategy"] == "arbitrage" and p["status"] == "landed")
    assert arbitrage["profit_realised_wei"] > 0
    assert account["reorg"]["plan"] == arbitrage["id"]
    assert account["reorg"]["depth"] == 2
    assert account["halt"]["seen_by_node"] is False


def test_every_false_figure_is_noticed(account: Document, node: check_demo_account.Node) -> None:
    falsified = [(path, value) for path, value in leaves(account) if can_be_false(account, path, value)]
    unnoticed = []
    half_way = (account["chain"]["first_block"] + account["chain"]["last_block"]) // 2
    for path, value in falsified:
        false = copy.deepcopy(account)
        place: Any = false
        for step in path[:-1]:
            place = place[step]
        # One block later may be as true, if nothing happened in it; half way through it is not.
        place[path[-1]] = half_way if path == ("chain", "first_block") else falsify(value)
        if not check_demo_account.check(false, node):
            unnoticed.append(path)
    assert unnoticed == []
    assert len(falsified) > 150


def test_missing_plans_and_transactions_are_noticed(account: Document, node: check_demo_account.Node) -> None:
    for index, plan in enumerate(account["plans"]):
        without = copy.deepcopy(account)
        del without["plans"][index]
        assert check_demo_account.check(without, node)
        if plan["transactions"]:
            without = copy.deepcopy(account)
            without["plans"][index]["transactions"] = []
            assert check_demo_account.check(without, node)
    without = copy.deepcopy(account)
    del without["balances"][0]
    assert check_demo_account.check(without, node)
    assert check_demo_account.check({}, node)


def test_removed_block_that_is_canonical_is_noticed(account: Document, node: check_demo_account.Node) -> None:
    false = copy.deepcopy(account)
    false["reorg"]["removed_from_block"] = false["reorg"]["landed_again_in_block"]
    assert any("canonical" in problem for problem in check_demo_account.check(false, node))


def test_kept_demo_can_be_looked_at_with_the_program(kept: Path) -> None:
    configuration = str(kept / "seawall.toml")
    listed = json.loads(seawall("plans", "list", "--config", configuration, "--json"))
    assert len(listed["plans"]) == 8
    assert json.loads(seawall("devnet", "status", "--directory", str(kept / "devnet"), "--json"))["running"]


def test_folder_with_something_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    command = [*SEAWALL, "demo", "--keep", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    assert done.returncode == 2
    assert "nothing is overwritten" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        (signal.SIGTERM, "A key is kept in range"),
        (signal.SIGINT, "committed as"),  # its kernel stands still at the failpoint by then
    ],
)
def test_demo_that_is_interrupted_leaves_no_process_and_no_folder(
    number: signal.Signals, moment: str, built_devnet: BuiltState, tmp_path: Path
) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    told = []
    with subprocess.Popen([*SEAWALL, "demo"], stdout=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            told.append(line.strip())
            if moment in line:
                break
        running = processes_in(tmp_path)
        demo.send_signal(number)
        demo.communicate(timeout=WAIT_S)
    assert demo.returncode == 130
    assert moment in told[-1]
    assert len(running) >= 2  # node and kernel
    gone_by_s = time.monotonic() + WAIT_S  # hosts end when their kernel has
    while processes_in(tmp_path) and time.monotonic() < gone_by_s:
        time.sleep(0.05)
    assert processes_in(tmp_path) == {}
    assert list(tmp_path.iterdir()) == []
    if number is signal.SIGINT:
        assert_told_in_plain_words(told)


def assert_told_in_plain_words(told: list[str]) -> None:
    assert "canonical-weth@1.4.0                  WETH" in told
    for reason in (
        "position size: outflow of 9 ETH is above the limit of 8.5 ETH",
        "slippage: 16.96 % less USDX than expected is above the limit of 0.5 %",
        "simulation: it would revert, and the contract gives no reason",
    ):
        assert f"refused because of {reason}" in told
    text = "\n".join(told)
    assert "The last 2 blocks are replaced by empty ones" in text
    assert re.search(r"written \d+ times in all, landed once", text)
    # Neither addresses nor integers of 18 decimals.
    assert not re.search(r"0x[0-9a-fA-F]{40}\b", text)
    assert not re.search(r"\b\d{13,}\b", text)


def processes_in(folder: Path) -> dict[int, bytes]:
    """Running processes whose command line names the folder."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if os.fsencode(folder) in command:
            found[int(entry.name)] = command
    return found


def leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    if isinstance(value, dict | list):
        for step, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, (*path, step))
    else:
        yield path, value


def can_be_false(account: Document, path: Path_, value: Any) -> bool:
    if path[-1] in UNCHECKED:
        return False
    if path[0] == "plans" and path[-1] in ("profit_predicted_wei", "fee_predicted_wei"):
        # Nothing contradicts the prediction of what never happened.
        return bool(account["plans"][path[1]]["status"] == "landed")
    is_figure = isinstance(value, int)
    return is_figure or (isinstance(value, str) and value.startswith("0x")) or path[-1] == "status"


def falsify(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if value.startswith("0x"):
        return value[:-1] + ("0" if value[-1] != "0" else "1")
    return "failed" if value != "failed" else "landed"
