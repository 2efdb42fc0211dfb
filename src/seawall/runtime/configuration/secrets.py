"""Where the configuration's secrets come from: it names places, and this reads them when they are needed.

A place is `NAME` or `environment:NAME` (a variable), `file:PATH` (relative to the configuration's folder; the
last line break belongs to the editor), `vault:MOUNT/PATH#FIELD` (HashiCorp Vault, key-value engine) or
`aws:NAME` and `aws:NAME#FIELD` (AWS Secrets Manager; a field of a JSON object). Inside an address it is
written `${PLACE}`.

Every refusal is a `ConfigError` with the key that named the place; it never holds what was read. A place is
read once and kept for as long as the reader lives, which is the loading of one configuration.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, final

from seawall.primitives.errors import ConfigError
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.runtime.configuration.names import secure_address
from seawall.runtime.configuration.secret_stores import STORE_TIMEOUT_S, AwsAccess, SecretStores, VaultAccess
from seawall.runtime.configuration.tables import Table

__all__ = ["SECRETS_KEYS", "SECRET_BYTES_MAX", "SecretReader", "read_secrets"]

SECRET_BYTES_MAX: Final = 64 * 1024
_IN_TEXT: Final = re.compile(r"\$\{([^{}]*)\}")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Another name may be a secret that was written in place of its name.
_USUAL: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
_VAULT: Final = re.compile(r"([\w.\-]+)/([\w.\-]+(?:/[\w.\-]+)*)#([\w.\-]+)")
_AWS: Final = re.compile(r"([\w/+=.@:\-]+)(?:#([\w.\-]+))?")
_FORMS: Final = (
    "write environment:NAME, file:PATH, vault:MOUNT/PATH#FIELD, aws:NAME or aws:NAME#FIELD, never the secret"
)


@final
class SecretReader:
    """Reads the places of one configuration."""

    __slots__ = ("_environment", "_folder", "_known", "_stores")

    def __init__(
        self, folder: Path, environment: Mapping[str, str], stores: SecretStores | None = None
    ) -> None:
        self._folder = folder
        self._environment = environment
        self._stores = stores or SecretStores()
        self._known: dict[str, Secret] = {}

    def place(self, text: str, where: str) -> SecretPlace:
        """`ConfigError` for what is no place. The text may be a secret by mistake, so it is not shown."""
        scheme, separator, rest = text.partition(":")
        if not separator and _NAME.fullmatch(text):
            scheme, rest = "environment", text
        read = self._reading(scheme, rest, where)
        if read is None:
            raise ConfigError("this is not the place of a secret (not shown)", where, _FORMS)
        return SecretPlace(where, lambda: self._remembered(text, read))

    def expanded(self, text: str, where: str) -> str:
        """`text` with every `${PLACE}` replaced by what is there."""
        return _IN_TEXT.sub(lambda match: self.place(match.group(1), where).read().reveal(), text)

    def _reading(self, scheme: str, rest: str, where: str) -> Callable[[], Secret] | None:
        if scheme == "environment" and _NAME.fullmatch(rest):
            return lambda: self._from_environment(rest, where)
        if scheme == "file" and rest:
            return lambda: self._from_file(rest, where)
        if scheme == "vault" and (parts := _VAULT.fullmatch(rest)):
            mount, path, name = parts.groups()
            return lambda: self._stores.vault(mount, path, name, where)
        if scheme == "aws" and (parts := _AWS.fullmatch(rest)):
            secret, name = parts.groups()
            return lambda: self._stores.aws(secret, name, where)
        return None

    def _remembered(self, text: str, read: Callable[[], Secret]) -> Secret:
        if text not in self._known:
            self._known[text] = read()
        return self._known[text]

    def _from_environment(self, name: str, where: str) -> Secret:
        value = self._environment.get(name)
        if not value:
            shown = f"variable {name}" if _USUAL.fullmatch(name) else "variable of this name (not shown)"
            raise ConfigError(f"the environment {shown} is not set", where, "export it, then start again")
        return Secret(value)

    def _from_file(self, name: str, where: str) -> Secret:
        path = self._folder / name
        try:
            with path.open("rb") as file:
                content = file.read(SECRET_BYTES_MAX + 1)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else "it cannot be opened"
            raise ConfigError(
                f"the secret's file {path} cannot be read: {reason}",
                where,
                "give a file that this user may read",
            ) from None
        return Secret(_text_of(content, path, where))


def _text_of(content: bytes, path: Path, where: str) -> str:
    if len(content) > SECRET_BYTES_MAX:
        raise ConfigError(
            f"{path} is larger than {SECRET_BYTES_MAX} bytes", where, "name the secret's own file"
        )
    try:
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise ConfigError(f"{path} holds no text", where, "write the secret into it")
    return text


SECRETS_KEYS: Final = ("vault", "aws")
_VAULT_KEYS: Final = (
    "address",
    "token",
    "role_id",
    "secret_id",
    "namespace",
    "kv_version",
    "ca_file",
    "timeout_s",
)
_AWS_KEYS: Final = ("region", "endpoint", "timeout_s")
_TIMEOUT_S_MAX: Final = 60.0


def read_secrets(table: Table, folder: Path, environment: Mapping[str, str]) -> SecretReader:
    """The reader of a configuration. The stores' own tokens come from variables and files only."""
    nearby = SecretReader(folder, environment)
    vault = _vault(table.table("vault", _VAULT_KEYS), folder, nearby) if "vault" in table else None
    aws = _aws(table.table("aws", _AWS_KEYS)) if "aws" in table else None
    return SecretReader(folder, environment, SecretStores(vault, aws))


def _vault(table: Table, folder: Path, nearby: SecretReader) -> VaultAccess:
    def place(name: str) -> SecretPlace | None:
        return nearby.place(table.text(name), table.key(name)) if name in table else None

    token, role_id, secret_id = place("token"), place("role_id"), place("secret_id")
    if (token is None) == (role_id is None) or (role_id is None) != (secret_id is None):
        raise ConfigError(
            "Vault is entered either by a token or by a role",
            table.where,
            "name token, or role_id and secret_id",
        )
    return VaultAccess(
        address=secure_address(table, "address", "a store"),
        where=table.where,
        token=token,
        role_id=role_id,
        secret_id=secret_id,
        namespace=table.text("namespace") if "namespace" in table else None,
        kv_version=table.integer("kv_version", 2, minimum=1, maximum=2),
        ca_file=folder / table.text("ca_file") if "ca_file" in table else None,
        timeout_s=_timeout_s(table),
    )


def _aws(table: Table) -> AwsAccess:
    endpoint = secure_address(table, "endpoint", "a store") if "endpoint" in table else None
    return AwsAccess(table.text("region"), endpoint, _timeout_s(table))


def _timeout_s(table: Table) -> float:
    return table.seconds("timeout_s", STORE_TIMEOUT_S, minimum=0.1, maximum=_TIMEOUT_S_MAX)
