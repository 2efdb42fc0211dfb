"""`seawall keys try`, as a person runs it, on keys whose secrets are kept in Vault."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.native.wire import LocalKey, Password
from seawall.primitives.units import address_text
from seawall.signers.local import THROWAWAY_COST
from tests.fixtures.signing_services import VaultService, served
from tests.fixtures.softhsm import PIN, SoftHsm

TOKEN = "hvs.token-of-the-operator"
PASSWORD = "password-kept-in-vault"
COMMAND_TIMEOUT_S = 120.0
HEAD = """\
[secrets.vault]
address = "{url}"
token = "environment:VAULT_TOKEN_OF_TEST"

[[chains]]
chain_id = 31337
rpc = ["http://127.0.0.1:1"]

[[signers]]
name = "main"
"""


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[VaultService]:
    monkeypatch.setenv("VAULT_TOKEN_OF_TEST", TOKEN)
    with served(VaultService(tokens={TOKEN: 100})) as service:
        yield service


def tried(folder: Path, vault: VaultService, table: str) -> tuple[int, dict[str, object]]:
    """(exit code, what was said); the node is never asked."""
    path = folder / "seawall.toml"
    path.write_text(HEAD.format(url=vault.url) + table)
    command = (sys.executable, "-m", "seawall.cli", "keys", "try", "main", "--config", str(path), "--json")
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, check=False, env=dict(os.environ)
    )
    for secret in (TOKEN, PASSWORD, PIN):
        assert secret not in done.stdout + done.stderr
    said: dict[str, object] = json.loads(done.stdout or done.stderr)
    return done.returncode, said


def test_keystore_in_vault_is_opened_into_native_memory(tmp_path: Path, vault: VaultService) -> None:
    key, cost = LocalKey.generate(), THROWAWAY_COST
    text = key.to_keystore(Password.from_text(PASSWORD), n=cost.n, r=cost.r, p=cost.p)
    vault.kept["keys/main"] = {"keystore": text, "password": PASSWORD}
    table = (
        f'address = "{address_text(key.address)}"\n'
        'keystore = "vault:secret/keys/main#keystore"\n'
        'password = "vault:secret/keys/main#password"\n'
    )
    code, said = tried(tmp_path, vault, table)
    assert (code, said.get("address"), said.get("local")) == (0, address_text(key.address), True), said
    vault.is_sealed = True
    code, said = tried(tmp_path, vault, table)
    assert code == 1
    assert "seal" in str(said["error"]).lower()


def test_pin_of_a_token_comes_from_vault(tmp_path: Path, vault: VaultService, softhsm: SoftHsm) -> None:
    address = address_text(softhsm.generate("main"))
    vault.kept["hsm"] = {"pin": PIN}
    table = (
        f'kind = "pkcs11"\naddress = "{address}"\nmodule = "{softhsm.library}"\n'
        'token_label = "seawall"\nkey_label = "main"\npin = "vault:secret/hsm#pin"\n'
    )
    code, said = tried(tmp_path, vault, table)
    assert (code, said.get("address"), said.get("local")) == (0, address, False), said
    code, said = tried(tmp_path, vault, table.replace(address, address_text(b"\x01" * 20)))
    assert code == 1
    # The way to learn a key's address: name any, and read which one is there.
    assert f"holds {address}" in str(said["error"])
