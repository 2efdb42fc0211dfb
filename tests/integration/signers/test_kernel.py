"""One true kernel whose lanes sign by every kind of key at once: each lands on a true node, and what one of
them suffers is no concern of the others.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seawall.native.wire import LocalKey, Password
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address, address_text, hex_text
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import fund, mine
from seawall.signers.local import THROWAWAY_COST
from tests.fixtures.aws import AWS_ENVIRONMENT, REGION, running_kms
from tests.fixtures.clef import KEY_PASSWORD, SEED_PASSWORD, running_clef
from tests.fixtures.kernel import DEPOSIT, ETHER, KernelFolder
from tests.fixtures.signing_services import (
    NAME,
    GoogleService,
    VaultService,
    Web3SignerService,
    served,
)
from tests.fixtures.softhsm import PIN, SoftHsm

CHAIN_ID = 31_337
WRONG_PIN = "wrong-pin-2342"
VAULT_TOKEN = "hvs.token-of-the-kernel"
SIGNER_TOKEN = "token-for-web3signer"
STORED_PASSWORD = "password-kept-in-a-variable"
SECRETS = (PIN, WRONG_PIN, VAULT_TOKEN, SIGNER_TOKEN, STORED_PASSWORD, KEY_PASSWORD, SEED_PASSWORD)
DEADLINE_S = int(time.time()) + 86_400  # this file may be read long before its tests run
POLICY = """
[[signers.policies]]
chain_id = 31337
fee_max = "1"
value_max = "50"
any_target = true
[[signers.policies.spend]]
token = "native"
per_hour = "1000"
per_day = "1000"
"""


@dataclass(slots=True)
class Keys:
    """Signers of a configuration, their addresses by name, and what they run on."""

    folder: Path
    hsm: SoftHsm
    stack: ExitStack
    monkeypatch: pytest.MonkeyPatch
    addresses: dict[str, Address] = field(default_factory=dict)
    tables: list[str] = field(default_factory=list)

    def add(self, name: str, kind: str, address: Address, **keys: str | float) -> None:
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        own = [] if kind == "keystore" else [f'address = "{address_text(address)}"']
        table = "\n".join(["[[signers]]", f'name = "{name}"', f'kind = "{kind}"', *own, *lines])
        self.tables.append(table + POLICY)
        self.addresses[name] = address

    def secret(self, name: str, text: str) -> str:
        """The place of a secret in the kernel's environment."""
        self.monkeypatch.setenv(name, text)
        return f"environment:{name}"

    def configuration(self) -> str:
        names = json.dumps(list(self.addresses))
        submitter = f'[[submitters]]\nname = "treasury"\nchain_id = {CHAIN_ID}\nsigners = {names}\n'
        return "\n".join(["", *self.tables, submitter])


@pytest.fixture
def keys(tmp_path: Path, softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keys]:
    with ExitStack() as stack:
        yield Keys(tmp_path, softhsm, stack, monkeypatch)


def add_token(keys: Keys) -> None:
    address = keys.hsm.generate("main")
    pin = keys.secret("TOKEN_PIN_OF_TEST", PIN)
    module = str(keys.hsm.library)
    keys.add("token", "pkcs11", address, module=module, token_label="seawall", key_label="main", pin=pin)


def add_aws(keys: Keys) -> None:
    kms = keys.stack.enter_context(running_kms())
    for name, value in AWS_ENVIRONMENT.items():
        keys.monkeypatch.setenv(name, value)
    key_id = kms.new_key()
    keys.add("aws", "aws-kms", kms.address(key_id), key_id=key_id, region=REGION, endpoint=kms.endpoint)


def add_google(keys: Keys) -> None:
    service = keys.stack.enter_context(served(GoogleService()))
    file = keys.folder / "google.json"
    file.write_text(service.account_file())
    keys.add(
        "google", "gcp-kms", service.address,
        key_version=NAME, endpoint=service.url, credentials_file=str(file),
    )  # fmt: skip


def add_vault(keys: Keys) -> None:
    service = keys.stack.enter_context(served(VaultService(tokens={VAULT_TOKEN: 10_000})))
    token = keys.secret("VAULT_TOKEN_OF_TEST", VAULT_TOKEN)
    keys.add("vault", "vault", service.address, url=service.url, mount="quorum", key_id="main", token=token)


def add_web3signer(keys: Keys) -> None:
    service = keys.stack.enter_context(served(Web3SignerService(token=SIGNER_TOKEN)))
    token = keys.secret("SIGNER_TOKEN_OF_TEST", SIGNER_TOKEN)
    keys.add("web3signer", "web3signer", service.address, url=service.url, token=token)


def add_clef(keys: Keys) -> None:
    clef = keys.stack.enter_context(running_clef(keys.folder / "clef", CHAIN_ID))
    keys.add("clef", "clef", clef.address, url=clef.url)


def add_stored(keys: Keys) -> None:
    """A keystore's file whose password comes from a place of secrets."""
    key = LocalKey.generate()
    cost = THROWAWAY_COST
    text = key.to_keystore(Password.from_text(STORED_PASSWORD), n=cost.n, r=cost.r, p=cost.p)
    (keys.folder / "stored.json").write_text(text)
    password = keys.secret("STORED_PASSWORD_OF_TEST", STORED_PASSWORD)
    keys.add(
        "stored", "keystore", Address(key.address),
        keystore=str(keys.folder / "stored.json"), password=password,
    )  # fmt: skip


def plan_of(signer: str) -> dict[str, object]:
    body = {"kind": "direct", "data": hex_text(DEPOSIT), "value_wei": str(ETHER // 100)}
    return {
        "idempotency_key": f"by {signer}",
        "deadline_s": DEADLINE_S,
        "target": "@weth",
        "signer": signer,
        "body": body,
        "accounting_token": "@weth",
    }


def founded(keys: Keys, devnet: Devnet) -> KernelFolder:
    """A kernel's folder with these signers, each of which has money."""
    folder = KernelFolder(keys.folder / "k", devnet)
    folder.strategies.append(keys.configuration())
    folder.write()
    for address in keys.addresses.values():
        fund(devnet, address, 5 * ETHER)
    mine(devnet)
    return folder


def submit(folder: KernelFolder, *signers: str) -> None:
    file = folder.directory / "plans.json"
    file.write_text(json.dumps([plan_of(name) for name in signers]))
    done = folder.seawall("plans", "submit", str(file), "--json")
    assert done.returncode == 0, done.stderr


def landed(folder: KernelFolder) -> set[Address]:
    """Keys whose plan is on the chain, by the ledger."""
    return {row.lane.key for row in folder.books.intents() if row.state is IntentState.LANDED}


def assert_nothing_leaked(folder: KernelFolder) -> None:
    kept = [
        folder.log.read_bytes(),
        *(file.read_bytes() for file in folder.data.rglob("*") if file.is_file()),
    ]
    for secret in (*SECRETS, AWS_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"], "BEGIN PRIVATE KEY"):
        assert all(secret.encode() not in content for content in kept), secret[:3]


def test_every_kind_of_key_lands_a_transaction(keys: Keys, manual_devnet: Devnet) -> None:
    for add in (add_token, add_aws, add_google, add_vault, add_web3signer, add_clef, add_stored):
        add(keys)
    folder = founded(keys, manual_devnet)
    checked = folder.seawall("config", "check")
    assert checked.returncode == 0, checked.stderr
    with folder.run() as kernel:
        kernel.wait_ready()
        submit(folder, *keys.addresses)
        folder.pump(lambda: landed(folder) == set(keys.addresses.values()), "every key has landed its plan")
    senders = {row.lane.key for row in folder.books.intents()}
    assert senders == set(keys.addresses.values())
    for address in senders:
        rpc = manual_devnet.rpc
        assert rpc.integer("eth_getTransactionCount", hex_text(address), "latest") == 1
    assert_nothing_leaked(folder)


def test_what_ails_one_signer_leaves_the_others_alone(keys: Keys, manual_devnet: Devnet) -> None:
    add_token(keys)
    add_web3signer(keys)
    hung = keys.stack.enter_context(served(Web3SignerService()))
    keys.add("hung", "web3signer", hung.address, url=hung.url, timeout_s=0.5)
    other = keys.hsm.generate("other")
    pin = keys.secret("WRONG_PIN_OF_TEST", WRONG_PIN)
    module = str(keys.hsm.library)
    keys.add("locked", "pkcs11", other, module=module, token_label="seawall", key_label="other", pin=pin)
    sealed = keys.stack.enter_context(served(VaultService(tokens={VAULT_TOKEN: 10_000}, is_sealed=True)))
    token = keys.secret("VAULT_TOKEN_OF_TEST", VAULT_TOKEN)
    keys.add("sealed", "vault", sealed.address, url=sealed.url, mount="quorum", key_id="main", token=token)
    folder = founded(keys, manual_devnet)
    well = {keys.addresses["token"], keys.addresses["web3signer"]}
    with folder.run() as kernel:
        folder.pump(lambda: "the token refused the PIN" in kernel.reasons(), "the PIN was refused")
        folder.pump(lambda: "is sealed" in kernel.reasons(), "Vault was found sealed")
        assert WRONG_PIN not in str(kernel.health())
        hung.hangs_s = 5.0
        submit(folder, *keys.addresses)
        folder.pump(lambda: well <= landed(folder), "the keys that are well have landed")
        assert landed(folder) == well
        # What passes by itself needs nobody: the hanging service answers again, and Vault is unsealed.
        hung.hangs_s = 0.0
        sealed.is_sealed = False
        recovered = well | {keys.addresses["hung"], keys.addresses["sealed"]}
        folder.pump(lambda: recovered <= landed(folder), "those that were away have landed")
    waiting = [row for row in folder.books.intents() if row.lane.key == keys.addresses["locked"]]
    assert not any(row.state is IntentState.LANDED for row in waiting)
    assert_nothing_leaked(folder)
