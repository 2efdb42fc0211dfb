"""`[[signers]]`: every kind with all its keys, and every wrong setting by its exact key."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.primitives.errors import ConfigError
from seawall.primitives.units import address_text
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.settings import SignerSettings
from seawall.signers.checked import CALL_TIMEOUT_S
from seawall.signers.kinds import (
    GOOGLE_KMS_URL,
    AwsKmsKey,
    ClefKey,
    GcpKmsKey,
    HttpAccess,
    KeystoreKey,
    RemoteKey,
    TokenKey,
    VaultKey,
    Web3SignerKey,
    Web3SignerMethod,
)
from seawall.signers.opening import key_address

ADDRESS = b"\x22" * 20
SECRET = "the-secret-itself-4711"
HEAD = """
[[chains]]
chain_id = 31337
rpc = ["http://127.0.0.1:8545"]

[[signers]]
name = "main"
"""
WHERE = f'address = "{address_text(ADDRESS)}"\n'
VERSION = "projects/p/locations/eu/keyRings/r/cryptoKeys/k/cryptoKeyVersions/3"
PKCS11 = f'kind = "pkcs11"\n{WHERE}module = "/lib/hsm.so"\npin = "environment:PIN"\n'
VAULT = f'kind = "vault"\n{WHERE}url = "https://vault:8200/"\nmount = "team/quorum"\nkey_id = "main"\n'
WEB3SIGNER = f'kind = "web3signer"\n{WHERE}url = "http://127.0.0.1:9000"\n'
AWS = f'kind = "aws-kms"\n{WHERE}key_id = "alias/main"\n'
GCP = f'kind = "gcp-kms"\n{WHERE}key_version = "{VERSION}"\n'
CLEF = f'kind = "clef"\n{WHERE}url = "http://localhost:8550"\n'


def read(folder: Path, table: str) -> SignerSettings:
    path = folder / "seawall.toml"
    path.write_text(HEAD + table)
    (signer,) = load_configuration(path, {"PIN": SECRET, "TOKEN": SECRET}).signers
    return signer


def remote(folder: Path, table: str) -> RemoteKey:
    signer = read(folder, table)
    assert isinstance(signer.key, RemoteKey)
    assert signer.address() == key_address("main", signer.key) == ADDRESS
    return signer.key


def test_token_is_read(tmp_path: Path) -> None:
    key = remote(tmp_path, PKCS11 + 'token_label = "t"\nkey_label = "k"\nkey_id = "0aFF"\ntimeout_s = 3\n')
    token = key.reached
    assert isinstance(token, TokenKey)
    assert (token.module, token.token_label, token.slot) == (Path("/lib/hsm.so"), "t", None)
    assert (token.key_label, token.key_id, key.timeout_s) == ("k", "0aFF", 3.0)
    assert token.pin.read().reveal() == SECRET
    assert SECRET not in repr(key)
    by_slot = remote(tmp_path, PKCS11 + 'slot = 7\nkey_id = "01"\n').reached
    assert isinstance(by_slot, TokenKey)
    assert (by_slot.slot, by_slot.token_label) == (7, None)


def test_keys_of_clouds_are_read(tmp_path: Path) -> None:
    aws = remote(tmp_path, AWS + 'region = "eu-central-1"\nendpoint = "https://vpce.amazonaws.com"\n')
    assert aws.reached == AwsKmsKey("alias/main", "eu-central-1", "https://vpce.amazonaws.com")
    assert aws.timeout_s == CALL_TIMEOUT_S
    assert remote(tmp_path, AWS).reached == AwsKmsKey("alias/main")
    google = remote(tmp_path, GCP + 'credentials_file = "google.json"\n').reached
    assert google == GcpKmsKey(VERSION, HttpAccess(GOOGLE_KMS_URL), tmp_path / "google.json")


def test_vault_is_read(tmp_path: Path) -> None:
    key = remote(
        tmp_path, VAULT + 'token = "environment:TOKEN"\nnamespace = "n"\nca_file = "ca.pem"\n'
    ).reached
    assert isinstance(key, VaultKey)
    assert key.access == HttpAccess("https://vault:8200", tmp_path / "ca.pem")
    assert (key.mount, key.key_id, key.namespace) == ("team/quorum", "main", "n")
    assert key.login.token is not None
    assert key.login.token.read().reveal() == SECRET
    role = 'role_id = "environment:PIN"\nsecret_id = "file:secret-id"\n'
    by_role = remote(tmp_path, VAULT + role).reached
    assert isinstance(by_role, VaultKey)
    assert by_role.login.role_id is not None


def test_programs_are_read(tmp_path: Path) -> None:
    certificate = 'certificate_file = "c.pem"\nkey_file = "k.pem"\n'
    key = remote(tmp_path, WEB3SIGNER + certificate).reached
    assert isinstance(key, Web3SignerKey)
    assert key.access == HttpAccess("http://127.0.0.1:9000", None, tmp_path / "c.pem", tmp_path / "k.pem")
    assert key.method is Web3SignerMethod.SIGN
    other = remote(tmp_path, WEB3SIGNER + 'method = "eth_signTransaction"\n').reached
    assert isinstance(other, Web3SignerKey)
    assert other.method is Web3SignerMethod.SIGN_TRANSACTION
    assert remote(tmp_path, CLEF).reached == ClefKey(HttpAccess("http://localhost:8550"))


def test_keystore_may_be_kept_in_a_store_of_secrets(tmp_path: Path) -> None:
    stores = '[secrets.vault]\naddress = "https://vault:8200"\ntoken = "environment:TOKEN"\n'
    kept = f'keystore = "vault:secret/keys/main#keystore"\npassword = "aws:main#password"\n{WHERE}'
    key = read(tmp_path, kept + stores).key
    assert isinstance(key, KeystoreKey)
    assert key.address == ADDRESS
    assert key_address("main", key) == ADDRESS


PLACE = "not the place of a secret"


@pytest.mark.parametrize(
    ("table", "where", "told"),
    [
        ('kind = "ledger-nano"\n', "kind", "use keystore or pkcs11 or aws-kms"),
        (PKCS11 + 'token_label = "t"\nslot = 1\nkey_label = "k"\n', "", "named in exactly one way"),
        (PKCS11 + 'key_label = "k"\n', "", "name either token_label or slot"),
        (PKCS11 + 'token_label = "t"\n', "", "name key_label, key_id or both"),
        (PKCS11 + 'token_label = "t"\nkey_id = "xyz"\n', "key_id", "write hex digits in pairs"),
        (PKCS11 + 'slot = -1\nkey_id = "01"\n', "slot", "out of range"),
        (PKCS11 + 'slot = 1\nkey_id = "01"\nurl = "x"\n', "url", "a signer of kind pkcs11 has no such key"),
        (PKCS11.replace("environment:PIN", SECRET) + 'slot = 1\nkey_id = "01"\n', "pin", PLACE),
        (PKCS11.replace(WHERE, "") + 'slot = 1\nkey_id = "01"\n', "address", "a required key is missing"),
        (AWS.replace("key_id", "key"), "key", "did you mean 'key_id'?"),
        (AWS + 'endpoint = "http://kms.example"\n', "endpoint", "http only to this machine"),
        (AWS + "timeout_s = 0\n", "timeout_s", "give 0.1 to 600.0"),
        (GCP.replace("/3", ""), "key_version", "has the wrong form"),
        (VAULT, "", "name token, or role_id and secret_id"),
        (VAULT + 'role_id = "file:r"\n', "", "name token, or role_id and secret_id"),
        (
            VAULT + 'role_id = "file:r"\nsecret_id = "file:s"\ntoken = "file:t"\n',
            "",
            "by a token or by a role",
        ),
        (VAULT + f'token = "{SECRET}"\n', "token", PLACE),
        (VAULT.replace("https", "http") + 'token = "file:t"\n', "url", "not the address of a service"),
        (VAULT.replace("//", f"//u:{SECRET}@") + 'token = "file:t"\n', "url", "not the address of a service"),
        (VAULT.replace(":8200/", ":8200/?") + 'token = "file:t"\n', "url", "not the address of a service"),
        (VAULT.replace(":8200/", ":8200/a b") + 'token = "file:t"\n', "url", "not the address of a service"),
        (VAULT.replace("team/", "../") + 'token = "file:t"\n', "mount", "the path of the engine"),
        (WEB3SIGNER + 'method = "personal_sign"\n', "method", "use sign or eth_signTransaction"),
        (WEB3SIGNER + 'key_file = "k"\n', "", "belong together"),
        (CLEF + 'token = "file:t"\n', "token", "a signer of kind clef has no such key"),
        ('keystore = "k"\n', "", "a password has exactly one source"),
        ('keystore = "k"\npassword = "file:a"\npassword_file = "b"\n', "", "exactly one source"),
        (f'keystore = "k"\npassword = "{SECRET}"\n', "password", PLACE),
        (f'keystore = "k"\npassword = "file:p"\n{WHERE}', "address", "leave it out"),
        ('keystore = "vault:secret/main#k"\npassword = "file:p"\n', "address", "a required key is missing"),
    ],
)
def test_wrong_setting_names_its_exact_key_and_shows_no_secret(
    tmp_path: Path, table: str, where: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, table)
    assert caught.value.where == f"signers[0].{where}".rstrip(".")
    assert told in str(caught.value)
    assert SECRET not in str(caught.value)
