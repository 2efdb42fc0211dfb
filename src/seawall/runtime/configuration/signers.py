"""`[[signers]]` of the configuration: one table a key, of one kind, becomes settings of `signers`.

A table may hold the keys of its own kind and those of every kind; another kind's are refused by name, because
a key that is silently ignored may be the one that was meant. Addresses of services are https, or http to this
machine: what signs is not asked in the clear. PINs, tokens and passwords are places of secrets, never texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import ConfigError
from seawall.primitives.secrets import SecretPlace
from seawall.runtime.configuration.names import secure_address
from seawall.runtime.configuration.policies import read_policies
from seawall.runtime.configuration.secrets import SecretReader
from seawall.runtime.configuration.settings import ROTATION_DAYS, SignerSettings
from seawall.runtime.configuration.tables import Table
from seawall.signers.checked import CALL_TIMEOUT_S
from seawall.signers.kinds import (
    GOOGLE_KMS_URL,
    AwsKmsKey,
    ClefKey,
    GcpKmsKey,
    HttpAccess,
    KeyKind,
    KeystoreKey,
    RemoteKey,
    SignerKind,
    TokenKey,
    VaultKey,
    VaultLogin,
    Web3SignerKey,
    Web3SignerMethod,
)
from seawall.signers.local import PasswordSource

__all__ = ["SIGNER_KEYS", "TIMEOUT_S_MAX", "read_signer"]

TIMEOUT_S_MAX: Final = 600.0
_TIMEOUT_S_MIN: Final = 0.1
_SLOT_MAX: Final = 2**64 - 1

_COMMON: Final = ("name", "kind", "policies", "since", "rotation_days")
_ROTATION_DAYS_MAX: Final = 36_500
_REMOTE: Final = ("address", "timeout_s")
_TLS: Final = ("ca_file", "certificate_file", "key_file")
_OWN: Final[Mapping[SignerKind, tuple[str, ...]]] = {
    SignerKind.KEYSTORE: ("keystore", "password_file", "password_environment", "password", "address"),
    SignerKind.PKCS11: (*_REMOTE, "module", "token_label", "slot", "key_label", "key_id", "pin"),
    SignerKind.AWS_KMS: (*_REMOTE, "key_id", "region", "endpoint"),
    SignerKind.GCP_KMS: (*_REMOTE, "key_version", "credentials_file", "endpoint", "ca_file"),
    SignerKind.VAULT: (
        *_REMOTE, *_TLS, "url", "mount", "key_id", "token", "role_id", "secret_id", "namespace",
    ),
    SignerKind.WEB3SIGNER: (*_REMOTE, *_TLS, "url", "method", "token"),
    SignerKind.CLEF: (*_REMOTE, *_TLS, "url"),
}  # fmt: skip
SIGNER_KEYS: Final = tuple(dict.fromkeys([*_COMMON, *(key for own in _OWN.values() for key in own)]))
# Parts of paths that a service is asked under.
_PATH: Final = re.compile(r"\w[\w.\-]*(?:/\w[\w.\-]*)*", re.ASCII)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){1,64}")
_GOOGLE_VERSION: Final = re.compile(
    r"projects/[\w.:\-]+/locations/[\w\-]+/keyRings/[\w\-]+/cryptoKeys/[\w\-]+/cryptoKeyVersions/[0-9]+"
)


def read_signer(
    table: Table, folder: Path, books: Mapping[int, AddressBook], secrets: SecretReader
) -> SignerSettings:
    kind = table.choice("kind", SignerKind, SignerKind.KEYSTORE)
    allowed = (*_COMMON, *_OWN[kind])
    for key in SIGNER_KEYS:
        if key in table and key not in allowed:
            raise ConfigError(
                f"a signer of kind {kind} has no such key",
                table.key(key),
                f"known here: {', '.join(sorted(_OWN[kind]))}",
            )
    name = table.name("name")
    return SignerSettings(
        name,
        _READERS[kind](table, folder, secrets),
        read_policies(table, name, books),
        table.day("since") if "since" in table else None,
        table.integer("rotation_days", ROTATION_DAYS, minimum=0, maximum=_ROTATION_DAYS_MAX),
    )


def _keystore(table: Table, folder: Path, secrets: SecretReader) -> KeystoreKey:
    sources = [key for key in ("password_file", "password_environment", "password") if key in table]
    if len(sources) != 1:
        raise ConfigError(
            "a password has exactly one source",
            table.where,
            "name one of password_file, password_environment and password (a place of a secret)",
        )
    password: PasswordSource | SecretPlace
    if sources[0] == "password_file":
        password = PasswordSource(file=folder / table.text("password_file"))
    elif sources[0] == "password_environment":
        password = PasswordSource(environment=table.text("password_environment"))
    else:
        password = _place(table, "password", secrets)
    named = table.text("keystore")
    if not named.startswith(("vault:", "aws:")):
        if "address" in table:
            raise ConfigError(
                "a keystore's file says its address itself", table.key("address"), "leave it out"
            )
        return KeystoreKey(folder / named, password)
    return KeystoreKey(_place(table, "keystore", secrets), password, table.address("address"))


def _remote(
    table: Table, reached: TokenKey | AwsKmsKey | GcpKmsKey | VaultKey | Web3SignerKey | ClefKey
) -> RemoteKey:
    timeout_s = table.seconds("timeout_s", CALL_TIMEOUT_S, minimum=_TIMEOUT_S_MIN, maximum=TIMEOUT_S_MAX)
    return RemoteKey(table.address("address"), timeout_s, reached)


def _pkcs11(table: Table, folder: Path, secrets: SecretReader) -> RemoteKey:
    if ("token_label" in table) == ("slot" in table):
        raise ConfigError(
            "a token is named in exactly one way", table.where, "name either token_label or slot"
        )
    if "key_label" not in table and "key_id" not in table:
        raise ConfigError("the key in the token is not named", table.where, "name key_label, key_id or both")
    return _remote(
        table,
        TokenKey(
            module=folder / table.text("module"),
            token_label=_optional(table, "token_label"),
            slot=table.integer("slot", minimum=0, maximum=_SLOT_MAX) if "slot" in table else None,
            key_label=_optional(table, "key_label"),
            key_id=_matching(table, "key_id", _HEX, "hex digits in pairs") if "key_id" in table else None,
            pin=_place(table, "pin", secrets),
        ),
    )


def _aws(table: Table, folder: Path, secrets: SecretReader) -> RemoteKey:
    endpoint = _service(table, "endpoint") if "endpoint" in table else None
    return _remote(table, AwsKmsKey(table.text("key_id"), _optional(table, "region"), endpoint))


def _gcp(table: Table, folder: Path, secrets: SecretReader) -> RemoteKey:
    version = _matching(
        table,
        "key_version",
        _GOOGLE_VERSION,
        "projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/1",
    )
    url = _service(table, "endpoint") if "endpoint" in table else GOOGLE_KMS_URL
    access = HttpAccess(url, _file(table, "ca_file", folder))
    return _remote(table, GcpKmsKey(version, access, _file(table, "credentials_file", folder)))


def _vault(table: Table, folder: Path, secrets: SecretReader) -> RemoteKey:
    login = VaultLogin(*(_place_or_none(table, name, secrets) for name in ("token", "role_id", "secret_id")))
    by_role = (login.role_id is not None, login.secret_id is not None)
    if by_role not in ((False, False), (True, True)) or by_role[0] == (login.token is not None):
        raise ConfigError(
            "Vault is entered either by a token or by a role",
            table.where,
            "name token, or role_id and secret_id",
        )
    return _remote(
        table,
        VaultKey(
            access=_access(table, folder),
            mount=_matching(table, "mount", _PATH, "the path of the engine, such as quorum"),
            key_id=_matching(table, "key_id", _PATH, "the key's id within the engine"),
            login=login,
            namespace=table.text("namespace") if "namespace" in table else "",
        ),
    )


def _web3signer(table: Table, folder: Path, secrets: SecretReader) -> RemoteKey:
    method = table.choice("method", Web3SignerMethod, Web3SignerMethod.SIGN)
    token = _place_or_none(table, "token", secrets)
    return _remote(table, Web3SignerKey(_access(table, folder), method, token))


def _clef(table: Table, folder: Path, secrets: SecretReader) -> RemoteKey:
    return _remote(table, ClefKey(_access(table, folder)))


_READERS: Final[Mapping[SignerKind, Callable[[Table, Path, SecretReader], KeyKind]]] = {
    SignerKind.KEYSTORE: _keystore,
    SignerKind.PKCS11: _pkcs11,
    SignerKind.AWS_KMS: _aws,
    SignerKind.GCP_KMS: _gcp,
    SignerKind.VAULT: _vault,
    SignerKind.WEB3SIGNER: _web3signer,
    SignerKind.CLEF: _clef,
}


def _access(table: Table, folder: Path) -> HttpAccess:
    if ("certificate_file" in table) != ("key_file" in table):
        raise ConfigError(
            "our certificate and its key belong together", table.where, "name certificate_file and key_file"
        )
    files = (_file(table, name, folder) for name in _TLS)
    return HttpAccess(_service(table, "url"), *files)


def _service(table: Table, name: str) -> str:
    """An address without a slash at its end."""
    return secure_address(table, name, "a service that signs").rstrip("/")


def _matching(table: Table, name: str, form: re.Pattern[str], wanted: str) -> str:
    text = table.text(name)
    if not form.fullmatch(text):
        raise ConfigError(f"{text[:60]!r} has the wrong form", table.key(name), f"write {wanted}")
    return text


def _optional(table: Table, name: str) -> str | None:
    return table.text(name) if name in table else None


def _file(table: Table, name: str, folder: Path) -> Path | None:
    return folder / table.text(name) if name in table else None


def _place(table: Table, name: str, secrets: SecretReader) -> SecretPlace:
    """Never a bare name, which elsewhere means a variable: here it may be the secret itself by mistake."""
    if ":" not in table.text(name):
        raise ConfigError(
            "this is not the place of a secret (not shown)",
            table.key(name),
            "write environment:NAME, file:PATH, vault:MOUNT/PATH#FIELD, aws:NAME or aws:NAME#FIELD",
        )
    return secrets.place(table.text(name), table.key(name))


def _place_or_none(table: Table, name: str, secrets: SecretReader) -> SecretPlace | None:
    return _place(table, name, secrets) if name in table else None
