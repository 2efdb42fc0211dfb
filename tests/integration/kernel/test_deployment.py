"""Our contracts, deployed through a true kernel and handed to a true Safe of three of five."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook
from seawall.cli.main import main
from seawall.native import encode_call
from seawall.native.wire import Password
from seawall.primitives.units import Address, address_from_text, address_text, hex_text
from seawall.protocols.executor.artifacts import load_artifact
from seawall.rollout.devnet import TRADERS, Devnet, DevnetSettings, running
from seawall.rollout.devnet.accounts import GUARDIAN, PAUSER
from seawall.rollout.devnet.build import BuiltState
from seawall.rollout.devnet.steering import create_safe
from seawall.rollout.devnet.uniswap import V2_INIT_CODE_HASH, V3_INIT_CODE_HASH
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.fixtures.kernel import ETHER, KernelFolder

pytestmark = pytest.mark.anvil

OWNERS = ("ann", "bob", "cay", "dan", "eve")
OPERATOR = TRADERS[2]
PROJECT = """
[[submitters]]
name = "deployment"
chain_id = 31337
signers = ["main"]

[[safes]]
name = "council"
chain_id = 31337
address = "{safe}"
signer = "main"
threshold_min = 3
any_target = true
"""
SIGNER = """
[[signers]]
name = "{name}"
keystore = "keys/{name}.json"
password_file = "keys/{name}.password"
"""
FILE = """\
name = "desk"
chain_id = 31337
deployer = "main"
owner = "council"
wrapped_native = "@weth"
beneficiary = "council"
backup = true
operators = ["{operator}"]
pausers = ["{pauser}"]
guardians = ["{guardian}"]

[[tokens]]
token = "@weth"
allowance = true
[[tokens]]
token = "@usdx"
allowance = true
[[tokens]]
token = "@debt_usdx"
class = "debt"

[[lenders]]
lender = "@balancer_vault"
kind = "balancer_v2"

[[factories]]
factory = "@uniswap_v2_factory"
kind = "uniswap_v2"
init_code_hash = "{v2}"
fee_ppm = 3000
reduce = true
[[factories]]
factory = "@uniswap_v3_factory"
kind = "uniswap_v3"
init_code_hash = "{v3}"

[[calls]]
target = "@weth"
function = "deposit()"
max_native = "100"
reduce = true
[[calls]]
target = "@debt_desk"
function = "repay(uint256,address)"
rules = ["any", "self"]
reduce = true

[[caps]]
token = "@weth"
feed = "@feed_eth_usd"
heartbeat_s = 86400
capacity = "10"
refill_per_hour = "1"

[losses]
per_execution = "500"
capacity = "2000"
refill_per_hour = "100"
"""


@dataclass(slots=True)
class Desk:
    folder: KernelFolder
    safe: Address
    plan: Path

    def run(self, *arguments: str) -> tuple[int, Any]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main([*arguments, "--config", str(self.folder.configuration), "--json"])
        text = out.getvalue() or error.getvalue()
        return code, json.loads(text) if text else None

    def deploy(self, *arguments: str) -> tuple[int, Any]:
        return self.run("deploy", "executor", "--plan", str(self.plan), *arguments)

    def view(self, target: str, signature: str, *values: Address) -> bytes:
        data = encode_call(signature, values)
        return self.folder.devnet.rpc.view(address_from_text(target), data)


@pytest.fixture(scope="module")
def desk(built_devnet: BuiltState, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = DevnetSettings(tmp_path_factory.mktemp("devnet"), block_time_s=0.2)
    with running(settings) as devnet:
        yield from _desk(devnet, tmp_path_factory.mktemp("deployment") / "k")


def _desk(devnet: Devnet, directory: Path) -> Iterator[Desk]:
    folder = KernelFolder(directory, devnet)
    keys = directory / "keys"
    owners = []
    for name in OWNERS:
        password = Password.generate()
        password.write_file(keys / f"{name}.password")
        owners.append(create_keystore(keys / f"{name}.json", password, THROWAWAY_COST))
        folder.strategies.append(SIGNER.format(name=name))
    safe = create_safe(devnet, owners, 3, ETHER)
    folder.strategies.append(PROJECT.format(safe=address_text(safe)))
    folder.write()
    plan = directory / "desk.toml"
    plan.write_text(
        FILE.format(
            operator=address_text(OPERATOR),
            pauser=address_text(PAUSER),
            guardian=address_text(GUARDIAN),
            v2=hex_text(V2_INIT_CODE_HASH),
            v3=hex_text(V3_INIT_CODE_HASH),
        )
    )
    with folder.run() as kernel:
        kernel.wait_ready()
        yield Desk(folder, safe, plan)


def test_deployment_goes_from_a_file_to_the_hands_of_three_of_five(desk: Desk) -> None:
    code, shown = desk.deploy()
    assert (code, shown["done"]) == (1, False)
    assert desk.folder.books.intents() == []  # shown, and nothing sent
    assert shown["missing"][0]["stage"] == "contracts"

    code, answer = desk.deploy("--yes")
    assert (code, answer["done"]) == (1, False), answer
    assert answer["contracts"] == shown["contracts"]
    assert [one["stage"] for one in answer["missing"]] == ["taking of ownership by council"]
    proposal = str(answer["proposal"])
    assert desk.deploy("--yes")[1]["proposal"] == answer["proposal"]  # the same again, not another

    for name in OWNERS[:3]:
        assert "error" not in desk.run("safe", "sign", proposal, "--signer", name)[1]
    assert desk.run("safe", "execute", proposal)[0] == 0
    desk.folder.pump(lambda: desk.deploy()[0] == 0, "the deployment is done")
    code, done = desk.deploy("--yes")
    assert (code, done["done"], done["missing"], done["problems"]) == (0, True, [], [])
    assert_recorded(desk, done)
    assert_in_the_owners_hands(desk, done["contracts"])
    before = len(desk.folder.books.intents())
    assert desk.deploy("--yes")[0] == 0
    assert len(desk.folder.books.intents()) == before  # nothing is done twice


def assert_recorded(desk: Desk, done: dict[str, Any]) -> None:
    """In the project's book, and as the artifacts say."""
    book = AddressBook.from_json(desk.folder.devnet.info.addresses.read_bytes())
    assert {book[f"desk_{role}"].address for role in done["contracts"]} == {
        address_from_text(text) for text in done["contracts"].values()
    }
    assert done["recorded"] == [f"desk_{role}" for role in done["contracts"]]
    for role in ("executor", "executor_backup"):
        (code,) = desk.folder.devnet.rpc.codes([book.address(f"desk_{role}")])
        assert load_artifact("AtomicExecutor").is_code_of(code)
    assert desk.run("addresses", "verify")[0] == 0


def assert_in_the_owners_hands(desk: Desk, contracts: dict[str, str]) -> None:
    for role, target in contracts.items():
        if role != "plan_checks":
            assert desk.view(target, "owner()")[12:] == desk.safe
            assert not any(desk.view(target, "pendingOwner()"))
    for role in ("executor", "executor_backup"):
        assert not any(desk.view(contracts[role], "rolesOf(address)", desk.folder.key))
        assert int.from_bytes(desk.view(contracts[role], "rolesOf(address)", OPERATOR)) == 1
        for book in ("registry", "risk_book"):
            assert any(desk.view(contracts[book], "isSealed(address)", address_from_text(contracts[role])))
