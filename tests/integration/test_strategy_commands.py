"""`seawall strategies validate|plan|simulate|explain` as a person runs them, on a true devnet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from seawall.native import encode_call
from seawall.rollout.devnet import OWNER, Devnet, Trader
from seawall.rollout.devnet.steering import authorise
from tests.fixtures.kernel import KernelFolder

pytestmark = pytest.mark.anvil

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "flash_arbitrage.yaml"


@pytest.fixture(scope="module")
def folder(shared_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> KernelFolder:
    """A gap is open, and the folder's key may close it."""
    made = KernelFolder(tmp_path_factory.mktemp("files") / "k", shared_devnet)
    made.write()
    (made.directory / "arbitrage.yaml").write_text(EXAMPLE.read_text())
    authorise(shared_devnet, made.key, made.key)
    Trader(shared_devnet).open_gap_v2("weth", "usdx", 300)
    return made


def run(folder: KernelFolder, verb: str, *arguments: str, file: str = "arbitrage.yaml") -> tuple[int, Any]:
    done = folder.seawall("strategies", verb, str(folder.directory / file), "--json", *arguments)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_validate_tells_all_problems_with_line_key_and_fix(folder: KernelFolder) -> None:
    assert run(folder, "validate")[0] == 0
    text = EXAMPLE.read_text().replace("give: weth, get: usdx", "give: wet, get: usdx")
    (folder.directory / "bad.yaml").write_text(text)
    code, told = run(folder, "validate", file="bad.yaml")
    assert code == 2
    assert [(one["line"], one["key"], one["fix"]) for one in told["problems"]] == [
        (44, "steps[0].flash.steps[0].choose.then[0].swap.give", "did you mean 'weth'?"),
        (47, "steps[0].flash.steps[0].choose.else[0].swap.give", "did you mean 'weth'?"),
    ]
    said = folder.seawall("strategies", "validate", str(folder.directory / "bad.yaml")).stdout
    assert "bad.yaml:44:38, key steps[0]" in said
    (folder.directory / "bytes.yaml").write_bytes(b"\xff\xfe")
    assert run(folder, "validate", file="bytes.yaml")[0] == 2


def test_plan_shows_what_the_file_wants_or_the_condition_that_does_not_hold(folder: KernelFolder) -> None:
    code, told = run(folder, "plan")
    assert code == 0
    assert [step["verb"] for step in told["steps"]] == ["flash", "swap", "swap"]
    assert told["plan"]["runs_at"] == "atomic_executor"
    assert "admitted" not in told
    code, told = run(folder, "plan", "--set", "least=90 weth")
    assert code == 0
    assert told["plan"] is None
    assert told["at"].endswith("key when[0]")
    assert told["line"].startswith("- profit > least")


def test_simulate_asks_the_gate_with_the_operators_limits(folder: KernelFolder) -> None:
    code, told = run(folder, "simulate")
    assert (code, told["admitted"]) == (0, True), told["explanation"]
    guards = {one["guard"]: one for one in told["measurements"]}
    assert {"simulation", "slippage", "position_size", "min_profit", "executor"} <= set(guards)
    assert int(guards["min_profit"]["margin"]) > 0
    text = EXAMPLE.read_text().replace("accounting: weth", "accounting: weth\nbeneficiary: safe_treasury")
    (folder.directory / "others.yaml").write_text(text)
    code, told = run(folder, "simulate", file="others.yaml")
    assert (code, told["admitted"]) == (1, False)
    assert "atomic_executor pays signer main, not safe_treasury" in told["explanation"]


def test_explain_names_flows_calls_and_who_has_what_in_the_end(folder: KernelFolder) -> None:
    code, told = run(folder, "explain")
    assert code == 0
    assert told["flows"][0]["from"] == "balancer_vault"
    assert any(one["holder"] == "signer main" for one in told["balances"])
    calls = [one["call"].partition("(")[0] for one in told["calls"]]
    assert calls[0] == "atomic_executor.execute"
    assert "uniswap_v2_weth_usdx.swap" in calls
    assert "atomic_executor.uniswapV3SwapCallback" in calls
    said = folder.seawall("strategies", "explain", str(folder.directory / "arbitrage.yaml")).stdout
    assert "verdict       admitted" in said
    assert "atomic_executor.execute(" in said


def test_variables_that_are_no_settings_and_unknown_signers_are_refused(folder: KernelFolder) -> None:
    for arguments in (("--set", "least"), ("--signer", "nobody"), ("--set", "lest=1 weth")):
        done = folder.seawall("strategies", "plan", str(folder.directory / "arbitrage.yaml"), *arguments)
        assert done.returncode == 2, done.stdout
        assert "fix:" in done.stderr


LIAR = """\
strategy: liar
chain: 31337
account: key
accounting: weth
when: balance(odd_fee) >= 10 odd_fee
steps:
  - call: {to: odd_fee, function: "transfer(address,uint256)", arguments: [safe_treasury, 10 odd_fee]}
expect:
  - {holder: safe_treasury, token: odd_fee, change: 10 odd_fee, tolerance: 10 bps}
"""


def test_token_that_moves_less_than_it_says_is_refused_before_sending(
    folder: KernelFolder, shared_devnet: Devnet
) -> None:
    rpc, token = shared_devnet.rpc, shared_devnet.book.address("odd_fee")
    call = encode_call("transfer(address,uint256)", (folder.key, 100 * 10**18))
    rpc.settle([rpc.send(OWNER, token, call)], mine=True)
    (folder.directory / "liar.yaml").write_text(LIAR)
    code, told = run(folder, "simulate", file="liar.yaml")
    assert (code, told["admitted"]) == (1, False)
    (slippage,) = [one for one in told["measurements"] if one["guard"] == "slippage"]
    assert not slippage["passed"]
    assert "shortfall of odd_fee" in slippage["reason"]
