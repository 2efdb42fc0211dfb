"""Secrets kept elsewhere: HashiCorp Vault (key-value engine, by its HTTP contract) and AWS Secrets Manager.

Asked once, at start, and waited for at most `timeout_s`: a kernel does not start on a guess. Nothing that a
store answers stands in an error, because an answer may hold the secret or the token.

Sources: Vault's HTTP interface (`/v1/MOUNT/data/PATH`, `/v1/auth/approle/login`); AWS `GetSecretValue`.
"""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final
from urllib.parse import urlsplit

from typing_extensions import override

from seawall.primitives.errors import ConfigError
from seawall.primitives.secrets import Secret, SecretPlace

__all__ = ["ANSWER_BYTES_MAX", "STORE_TIMEOUT_S", "AwsAccess", "SecretStores", "VaultAccess"]

STORE_TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class VaultAccess:
    """How Vault is reached: by a token, or by an AppRole that is given one."""

    address: str
    where: str
    token: SecretPlace | None = None
    role_id: SecretPlace | None = None
    secret_id: SecretPlace | None = None
    namespace: str | None = None
    kv_version: int = 2
    ca_file: Path | None = None
    timeout_s: float = STORE_TIMEOUT_S


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """Which Secrets Manager; who asks is what the machine's AWS set-up says (role, profile, variables)."""

    region: str
    endpoint: str | None = None
    timeout_s: float = STORE_TIMEOUT_S


@final
class SecretStores:
    """The configured stores; one that is not configured refuses by name."""

    __slots__ = ("_aws", "_vault")

    def __init__(self, vault: VaultAccess | None = None, aws: AwsAccess | None = None) -> None:
        self._vault = None if vault is None else _Vault(vault)
        self._aws = aws

    def vault(self, mount: str, path: str, name: str, where: str) -> Secret:
        """One field of one entry of a key-value engine."""
        if self._vault is None:
            raise ConfigError(
                "this secret is in Vault, and no Vault is configured",
                where,
                "add [secrets.vault] with address",
            )
        return _field(self._vault.entry(mount, path, where), name, f"{mount}/{path} in Vault", where)

    def aws(self, secret: str, name: str | None, where: str) -> Secret:
        """A secret as it is, or one field of its JSON object."""
        if self._aws is None:
            raise ConfigError(
                "this secret is in AWS Secrets Manager, which is not configured",
                where,
                "add [secrets.aws] with region",
            )
        text = _aws_text(self._aws, secret, where)
        if name is None:
            return Secret(text)
        return _field(_object(text.encode()), name, f"{secret} in AWS Secrets Manager", where)


class _RefusalError(Exception):
    """A store answered with a status other than success."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the token to whoever it names."""

    @override
    def redirect_request(self, *_: object) -> None:
        return None


@final
class _Vault:
    __slots__ = ("_access", "_open", "_token")

    def __init__(self, access: VaultAccess) -> None:
        self._access = access
        self._token: Secret | None = None
        self._open: urllib.request.OpenerDirector | None = None

    def entry(self, mount: str, path: str, where: str) -> Mapping[str, object] | None:
        """The fields of an entry; None where the answer has no such shape."""
        access = self._access
        is_versioned = access.kv_version == 2
        target = f"{mount}/data/{path}" if is_versioned else f"{mount}/{path}"
        try:
            data = _mapping((self._ask(target, None, self._authorised()) or {}).get("data"))
            return _mapping(data.get("data")) if is_versioned and data is not None else data
        except _RefusalError as refusal:
            what, fix = _VAULT_REFUSALS.get(
                refusal.status, (f"Vault answered {refusal.status}", "look at its log")
            )
            raise ConfigError(f"{what} ({mount}/{path})", where, fix) from None
        except (OSError, http.client.HTTPException) as error:
            raise ConfigError(
                f"Vault at {_shown(access.address)} does not answer ({_reason(error)})",
                where,
                f"see that it runs and {access.where}.address is right, then start again",
            ) from None

    def _authorised(self) -> Secret:
        """The token given, or a new one for the role."""
        access = self._access
        if self._token is None and access.token is not None:
            self._token = access.token.read()
        if self._token is None:
            assert access.role_id is not None
            assert access.secret_id is not None
            body = {"role_id": access.role_id.read().reveal(), "secret_id": access.secret_id.read().reveal()}
            given = _mapping((self._ask("auth/approle/login", body, None) or {}).get("auth"))
            token = None if given is None else given.get("client_token")
            if not isinstance(token, str):
                raise _RefusalError(_NO_TOKEN)
            self._token = Secret(token)
        return self._token

    def _ask(
        self, target: str, body: Mapping[str, str] | None, token: Secret | None
    ) -> Mapping[str, object] | None:
        access = self._access
        request = urllib.request.Request(  # noqa: S310  (the configuration takes https and loopback only)
            f"{access.address.rstrip('/')}/v1/{target}", None if body is None else json.dumps(body).encode()
        )
        request.add_header("X-Vault-Request", "true")
        if token is not None:
            request.add_header("X-Vault-Token", _header(token.reveal(), f"{access.where}.token"))
        if access.namespace is not None:
            request.add_header("X-Vault-Namespace", _header(access.namespace, f"{access.where}.namespace"))
        try:
            with self._opener().open(request, timeout=access.timeout_s) as answer:
                content: bytes = answer.read(ANSWER_BYTES_MAX + 1)
        except urllib.error.HTTPError as error:
            error.close()
            raise _RefusalError(error.code) from None
        return _object(content) if len(content) <= ANSWER_BYTES_MAX else None

    def _opener(self) -> urllib.request.OpenerDirector:
        if self._open is None:
            tls = self._tls()
            # No proxy of the environment: the token goes to Vault only.
            self._open = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=tls), _NoRedirect()
            )
        return self._open

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self._access.ca_file)
        except OSError as error:  # of which those of ssl are a kind
            raise ConfigError(
                f"{self._access.ca_file} cannot be used ({_reason(error)})",
                f"{self._access.where}.ca_file",
                "give a readable file of certificates in PEM form",
            ) from None


# What a login without a token in its answer is told as; no HTTP status.
_NO_TOKEN: Final = 0
_VAULT_REFUSALS: Final[Mapping[int, tuple[str, str]]] = {
    _NO_TOKEN: ("Vault gave the role no token", "check the AppRole's login"),
    307: ("this Vault is a standby", "point address at the active one"),
    400: ("Vault refused the request or the role's login", "check role_id, secret_id and kv_version"),
    403: ("Vault refuses this token or role", "renew it, and allow it to read this path"),
    404: ("Vault has no such entry", "check mount, path and kv_version"),
    429: ("Vault is a standby or limits requests", "point address at the active one"),
    472: ("this Vault is a disaster-recovery standby", "point address at the active one"),
    503: ("Vault is sealed", "unseal it, then start again"),
}


def _aws_text(access: AwsAccess, secret: str, where: str) -> str:
    # Only who uses AWS pays for its library.
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError:
        raise ConfigError(
            "the AWS library is not installed", where, "install seawall with its extra: seawall[aws]"
        ) from None
    config = Config(
        connect_timeout=access.timeout_s,
        read_timeout=access.timeout_s,
        retries={"total_max_attempts": 2, "mode": "standard"},
    )
    try:
        client = boto3.client(
            "secretsmanager", region_name=access.region, endpoint_url=access.endpoint, config=config
        )
        text: object = client.get_secret_value(SecretId=secret).get("SecretString")
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "unknown"))
        raise ConfigError(
            f"AWS Secrets Manager refused {secret}: {code}",
            where,
            "check the name, the region and what this machine's role may read",
        ) from None
    except BotoCoreError as error:
        raise ConfigError(
            f"AWS Secrets Manager cannot be asked ({type(error).__name__})",
            where,
            "check the network, the region and the machine's AWS credentials",
        ) from None
    if not isinstance(text, str) or not text:
        raise ConfigError(f"{secret} in AWS Secrets Manager is not a text", where, "store it as a text")
    return text


def _field(entry: Mapping[str, object] | None, name: str, shown: str, where: str) -> Secret:
    value = None if entry is None else entry.get(name)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{shown} has no text under {name!r}", where, "check the field's name after the #")
    return Secret(value)


def _header(text: str, where: str) -> str:
    """Checked here: the library's own refusal shows the text."""
    if not (text.isascii() and text.isprintable()):
        raise ConfigError(
            "this cannot be sent in a header (not shown)", where, "see that it is one line of plain text"
        )
    return text


def _object(content: bytes) -> Mapping[str, object] | None:
    try:
        value: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return _mapping(value)


def _mapping(value: object) -> Mapping[str, object] | None:
    return value if isinstance(value, dict) else None


def _shown(address: str) -> str:
    parts = urlsplit(address)
    return (
        f"{parts.scheme}://{parts.hostname}:{parts.port}"
        if parts.port
        else f"{parts.scheme}://{parts.hostname}"
    )


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return type(inner).__name__
