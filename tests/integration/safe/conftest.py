"""A kernel with a Safe: two of its three owners are signers of the kernel, the third is somebody else."""

from __future__ import annotations

import contextlib
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from seawall.cli.main import main
from seawall.ledger.rows import IntentRow
from seawall.ledger.safes import ProposalNumber, ProposalRow, ProposalState
from seawall.native.wire import LocalKey, Password
from seawall.primitives.units import Address, Hash, address_text, hex_text
from seawall.protocols.safe.signatures import OwnerSignature, SignatureKind, pack_signatures, signed_by
from seawall.protocols.safe.transaction import SafeTransaction, execution_call, safe_hash
from seawall.rollout.devnet import OWNER, Devnet
from seawall.rollout.devnet.steering import create_safe, mine
from seawall.signers.local import THROWAWAY_COST, create_keystore
from seawall.transactions.safes.desk import transaction_of
from tests.fixtures.kernel import ETHER, KernelFolder, manual_devnet, wait_until

SAFES = 15
ROWS_MAX = 200
HTTP_WAIT_S = 60
__all__ = ["SafeScene", "manual_devnet", "scene"]

_SIGNER = """
[[signers]]
name = "{name}"
keystore = "keys/{name}.json"
password_file = "keys/{name}.password"
"""
_SAFE = """
[[safes]]
name = "{name}"
chain_id = 31337
address = "{safe}"
signer = "main"
threshold_min = 2
rule_changes = true
recipients = ["{recipient}", "{key}"]
[[safes.targets]]
target = "@weth"
calls = ["deposit()", "transfer(address,uint256)"]
[[safes.positions]]
token = "native"
cap = "3"
[[safes.positions]]
token = "@weth"
cap = "3"
"""
RECIPIENT = Address(bytes.fromhex("00000000000000000000000000000000000Fee01"))


@dataclass(slots=True)
class SafeScene:
    folder: KernelFolder
    name: str
    safe: Address
    outsider: LocalKey  # the third owner, whose key the kernel does not have
    owners: dict[str, Address]  # the kernel's own, by signer

    def cli(self, *arguments: str) -> tuple[int, Any]:
        """A command of `seawall safe` that answers with JSON: exit code and document. It runs in this
        process, which costs a tenth of one of its own."""
        return self.run("safe", *arguments, "--config", str(self.folder.configuration))

    def run(self, *arguments: str) -> tuple[int, Any]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main([*arguments, "--json"])
        text = out.getvalue() or error.getvalue()
        return code, json.loads(text) if text else None

    def done(self, *arguments: str) -> Any:
        code, answer = self.cli(*arguments)
        assert code == 0, answer
        return answer

    def refused(self, *arguments: str) -> str:
        """What the error says."""
        code, answer = self.cli(*arguments)
        assert code != 0, answer
        return f"{answer['error']['what']}: {answer['error']['fix']}"

    def pay(self, value: str = "1", *extra: str) -> int:
        """A payment, proposed; its number."""
        arguments = ("--to", address_text(RECIPIENT), "--value", value, *extra)
        number = self.done("propose", self.name, *arguments)["number"]
        assert isinstance(number, int)
        return number

    def file_of(self, number: int) -> dict[str, Any]:
        document = self.done("show", str(number))["file"]
        assert isinstance(document, dict)
        return document

    def write(self, document: object, name: str = "proposal.json") -> str:
        path = self.folder.directory / name
        path.write_text(json.dumps(document))
        return str(path)

    def row(self, number: int) -> ProposalRow:
        return self.folder.books.read(lambda tx: tx.safes.get(ProposalNumber(number)))

    def transaction(self, number: int) -> SafeTransaction:
        return transaction_of(self.row(number))

    def sign_outside(self, transaction: SafeTransaction) -> OwnerSignature:
        digest = safe_hash(transaction)
        return signed_by(Address(self.outsider.address), digest, self.outsider.sign_digest(digest))

    def with_outside_signature(self, number: int) -> dict[str, Any]:
        """The proposal's file as the third owner sends it back."""
        document = self.file_of(number)
        signature = self.sign_outside(self.transaction(number))
        document["confirmations"] = [confirmation(signature.owner, signature.data)]
        return document

    def settle(self, number: int, state: ProposalState) -> ProposalRow:
        self.folder.pump(lambda: self.row(number).state is state, f"proposal {number} is {state}")
        return self.row(number)

    def wait(self, number: int, state: ProposalState) -> ProposalRow:
        """As `settle`, without a new block."""
        wait_until(lambda: self.row(number).state is state, f"proposal {number} is {state}")
        return self.row(number)

    def rows(self) -> list[ProposalRow]:
        rows = self.folder.books.read(lambda tx: tx.safes.listing(ROWS_MAX))
        return [row for row in rows if row.safe == self.safe]

    def intents(self) -> list[IntentRow]:
        """Of this Safe's transactions."""
        return [row for row in self.folder.books.intents() if row.strategy == self.name]

    def payment(self, nonce: int, value_wei: int) -> SafeTransaction:
        return SafeTransaction(31337, self.safe, nonce, RECIPIENT, value_wei)

    def http(self, path: str, content: bytes | None = None, kind: str = "") -> tuple[int, Any]:
        """Status and document of the kernel's own server."""
        asked = urllib.request.Request(
            f"http://127.0.0.1:{self.folder.port}{path}", content, {"Content-Type": kind}
        )
        try:
            with urllib.request.urlopen(asked, timeout=HTTP_WAIT_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def execute_elsewhere(self, number: int) -> None:
        """Whoever has the signatures may send them."""
        stored = self.folder.books.read(lambda tx: tx.safes.signatures(ProposalNumber(number)))
        signatures = [OwnerSignature(one.owner, SignatureKind(one.kind), one.data) for one in stored]
        call = execution_call(self.transaction(number), pack_signatures(signatures))
        rpc = self.folder.devnet.rpc
        rpc.settle([rpc.send(OWNER, self.safe, call)], mine=True)

    def balance(self, holder: Address) -> int:
        return self.folder.devnet.rpc.integer("eth_getBalance", hex_text(holder), "latest")


def confirmation(owner: Address, raw: bytes) -> dict[str, str]:
    return {"owner": address_text(owner), "signature": hex_text(raw), "signatureType": "EOA"}


def executed_hash(devnet: Devnet, safe: Address) -> Hash:
    """The digest of the Safe's last execution, out of its own event."""
    logs = devnet.rpc.call("eth_getLogs", {"address": hex_text(safe), "fromBlock": "0x0"})
    assert isinstance(logs, list)
    last = logs[-1]
    assert isinstance(last, dict)
    topics = last["topics"]
    assert isinstance(topics, list)
    return Hash(bytes.fromhex(str(topics[1])[2:]))


@dataclass(slots=True)
class SafeKernel:
    """One kernel for the tests of a module, with a Safe for each of them."""

    folder: KernelFolder
    outsider: LocalKey
    owners: dict[str, Address]
    unused: list[tuple[str, Address]]

    def scene(self) -> SafeScene:
        name, safe = self.unused.pop()
        return SafeScene(self.folder, name, safe, self.outsider, self.owners)


@pytest.fixture(scope="module")
def safe_kernel(manual_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SafeKernel]:
    folder = KernelFolder(tmp_path_factory.mktemp("safes") / "k", manual_devnet)
    outsider, owners = LocalKey.generate(), {}
    keys = folder.directory / "keys"
    for name in ("alice", "bob"):
        password = Password.generate()
        password.write_file(keys / f"{name}.password")
        owners[name] = create_keystore(keys / f"{name}.json", password, THROWAWAY_COST)
        folder.strategies.append(_SIGNER.format(name=name))
    made = []
    for place in range(SAFES):
        safe = create_safe(manual_devnet, [*owners.values(), Address(outsider.address)], 2, 10 * ETHER)
        name = f"vault-{place}"
        made.append((name, safe))
        folder.strategies.append(
            _SAFE.format(
                name=name,
                safe=address_text(safe),
                recipient=address_text(RECIPIENT),
                key=address_text(folder.key),
            )
        )
        mine(manual_devnet)
    folder.write()
    with folder.run() as kernel:
        kernel.wait_ready()
        yield SafeKernel(folder, outsider, owners, made)


@pytest.fixture
def scene(safe_kernel: SafeKernel) -> SafeScene:
    return safe_kernel.scene()
