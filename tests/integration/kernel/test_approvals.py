"""What others may do with what is ours: listed from logs and reads, revoked by plans and proposals, gone."""

from __future__ import annotations

import contextlib
import io
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from seawall.cli.main import main
from seawall.native import AbiValue, encode_call, event_topic
from seawall.native.wire import Password
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address, address_text, hex_text
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.steering import create_safe
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.fixtures.kernel import ETHER, KernelFolder, manual_devnet

pytestmark = pytest.mark.anvil
__all__ = ["manual_devnet"]

PROJECT = """
[[submitters]]
name = "desk"
chain_id = 31337
signers = ["main"]

[[signers]]
name = "alice"
keystore = "keys/alice.json"
password_file = "keys/alice.password"

[[safes]]
name = "vault"
chain_id = 31337
address = "{safe}"
signer = "main"
any_target = true
modules = ["{module}"]
rule_changes = true
"""
STRANGER = TRADERS[0]
MODULE = TRADERS[1]
LIAR = Address(b"\x66" * 20)
UNLIMITED = 2**256 - 1
APPROVAL = event_topic("Approval(address,address,uint256)")


@dataclass(slots=True)
class Desk:
    folder: KernelFolder
    safe: Address

    def run(self, *arguments: str) -> tuple[int, Any]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main([*arguments, "--config", str(self.folder.configuration), "--json"])
        text = out.getvalue() or error.getvalue()
        return code, json.loads(text) if text else None

    def grants(self) -> list[dict[str, Any]]:
        """All but the roles on the devnet's executor, whose owner is somebody else."""
        code, answer = self.run("approvals", "list")
        assert code == 0, answer
        return [one for one in answer["grants"] if one["kind"] != "role"]

    def approve_by_plan(self, key: str) -> None:
        data = encode_call("approve(address,uint256)", (STRANGER, ETHER))
        plan = {
            "idempotency_key": key,
            "deadline_s": int(time.time()) + 900,
            "target": "@weth",
            "body": {"kind": "direct", "data": hex_text(data)},
        }
        file = self.folder.directory / "plan.json"
        file.write_text(json.dumps(plan))
        code, answer = self.run("plans", "submit", str(file))
        assert code == 0, answer

    def send(self, sender: Address, target: Address, signature: str, *values: AbiValue) -> None:
        """From an account whose key nobody here has."""
        rpc = self.folder.devnet.rpc
        rpc.call("anvil_impersonateAccount", hex_text(sender))
        try:
            rpc.settle([rpc.send(sender, target, encode_call(signature, values))], mine=True)
        finally:
            rpc.call("anvil_stopImpersonatingAccount", hex_text(sender))


@pytest.fixture(scope="module")
def desk(manual_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = KernelFolder(tmp_path_factory.mktemp("approvals") / "k", manual_devnet)
    password = Password.generate()
    password.write_file(folder.directory / "keys" / "alice.password")
    alice = create_keystore(folder.directory / "keys" / "alice.json", password, THROWAWAY_COST)
    safe = create_safe(manual_devnet, [alice], 1, ETHER)
    folder.strategies.append(PROJECT.format(safe=address_text(safe), module=address_text(MODULE)))
    folder.write()
    made = Desk(folder, safe)
    give(made)
    with folder.run() as kernel:
        kernel.wait_ready()
        yield made


def give(desk: Desk) -> None:
    book, key, safe = desk.folder.devnet.book, desk.folder.key, desk.safe
    desk.send(key, book.address("usdx"), "approve(address,uint256)", STRANGER, UNLIMITED)
    desk.send(key, book.address("weth"), "approve(address,uint256)", STRANGER, ETHER)
    desk.send(key, book.address("weth"), "approve(address,uint256)", STRANGER, 0)
    desk.send(key, book.address("uniswap_v3_positions"), "setApprovalForAll(address,bool)", STRANGER, True)
    desk.send(key, book.address("aave_debt_usdx"), "approveDelegation(address,uint256)", STRANGER, 5 * 10**6)
    desk.send(safe, book.address("weth"), "approve(address,uint256)", STRANGER, 3 * ETHER)
    desk.send(safe, safe, "enableModule(address)", MODULE)
    lie(desk)


def lie(desk: Desk) -> None:
    """A token of nobody's book that names our key as an owner, and stands by it when asked."""
    words = (STRANGER, desk.folder.key, APPROVAL)
    log = "".join(f"7f{word.hex():0>64}" for word in words) + "60205fa300"  # LOG3 of one empty word, STOP
    only_without_calldata = f"3660{4 + len(log) // 2:02x}57"
    answer_one = "5b60015f5260205ff3"
    rpc = desk.folder.devnet.rpc
    rpc.call("anvil_setCode", hex_text(LIAR), f"0x{only_without_calldata}{log}{answer_one}")
    rpc.settle([rpc.send(STRANGER, LIAR, b"")], mine=True)


def test_everything_outstanding_is_listed_with_names_and_nothing_that_was_taken_back(desk: Desk) -> None:
    found = desk.grants()
    shown = ("kind", "holder", "contract", "limit")
    assert {tuple(one[name] for name in shown) for one in found if one["known"]} == {
        ("allowance", "main", "@usdx", "unlimited"),
        ("operator", "main", "@uniswap_v3_positions", "everything"),
        ("credit_delegation", "main", "@aave_debt_usdx", "5 variableDebtUSDX"),
        ("allowance", "vault", "@weth", "3 WETH"),
        ("safe_module", "vault", "vault", "everything"),
    }
    assert [one["contract_address"] for one in found if not one["known"]] == [address_text(LIAR)]


def test_revoking_everything_goes_by_plans_and_proposals_until_nothing_is_left(desk: Desk) -> None:
    code, answer = desk.run("approvals", "revoke", "--all", "--no-wait")
    assert code == 0, answer
    assert len(answer["plans"]) == 3
    assert [(one["safe"], one["calls"]) for one in answer["proposals"]] == [("vault", 2)]
    # The devnet's executor is owned by somebody else: said, and left alone.
    assert {one["why"] for one in answer["left"]} == {"no key or Safe of ours can take it back"}
    rows = desk.folder.settle(3)
    assert {row.state for row in rows} == {IntentState.LANDED}
    assert all(desk.folder.books.verdicts(row.number)[-1].verdict.admitted for row in rows)
    number = str(answer["proposals"][0]["proposal"])
    for step in (("sign", number, "--signer", "alice"), ("execute", number)):
        code, said = desk.run("safe", *step)
        assert code == 0, said
    desk.folder.settle(4)
    (lie,) = desk.grants()
    assert lie["contract_address"] == address_text(LIAR)
    assert LIAR not in {one.target for one in desk.folder.on_chain()}


def keys_weth(desk: Desk) -> list[dict[str, Any]]:
    """The key's own: the Safe's stands until another test takes it back, which may run elsewhere."""
    return [one for one in desk.grants() if (one["holder"], one["contract"]) == ("main", "@weth")]


def test_right_that_was_given_again_is_revoked_again(desk: Desk) -> None:
    for turn in range(2):
        count = len(desk.folder.books.intents())
        desk.approve_by_plan(f"again-{turn}")
        desk.folder.settle(count + 1)
        ids = [one["id"] for one in keys_weth(desk)]
        code, answer = desk.run("approvals", "revoke", *ids, "--no-wait")
        assert code == 0, answer
        assert len(answer["plans"]) == 1
        rows = desk.folder.settle(count + 2)
        assert [(row.state, row.reason) for row in rows[count:]] == [(IntentState.LANDED, "")] * 2
        assert keys_weth(desk) == []


def test_refusals_say_what_to_do(desk: Desk) -> None:
    assert "once" in desk.run("approvals", "revoke")[1]["error"]["what"]
    code, answer = desk.run("approvals", "revoke", "00000000")
    assert (code, "gone already" in answer["error"]["fix"]) == (2, True)
