"""A key that stays in HashiCorp Vault, by the contract of a secp256k1 engine.

Vault's own transit engine does not know secp256k1. The contract here is that of Consensys' plugin for Vault
(quorum-hashicorp-vault-plugin): GET {mount}/keys/{id} tells the public key, POST {mount}/keys/{id}/sign takes
32 bytes in URL-safe base64 and answers r and s the same way. An engine that speaks otherwise is refused at
`open` or by the first signature, never trusted.

A token that was given expires when Vault says; with a role (AppRole) a new one is asked for when the old one
is refused. Without such an engine keep an encrypted keystore in Vault's key-value store instead: then the key
signs here, from native memory (`local`).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.primitives.errors import SignerAnswerError, SignerRefusedError, SignerUnavailableError
from seawall.primitives.secrets import Secret
from seawall.primitives.units import Address
from seawall.signers.checked import Answer, PlainSignature, SigningRequest, read_secret
from seawall.signers.der import address_of_point
from seawall.signers.http import HttpAnswer, HttpPlace, mapping_of, text_of
from seawall.signers.kinds import VaultLogin

__all__ = ["CALLS_AT_ONCE_MAX", "Vault"]

CALLS_AT_ONCE_MAX: Final = 8
_OK: Final = 200
_DENIED: Final = 403
_SEALED: Final = 503
_COMPACT_BYTES: Final = 64


@dataclass(slots=True)
class Vault:
    """Fulfils `Remote`."""

    http: HttpPlace
    mount: str
    key_id: str
    login: VaultLogin = field(repr=False)
    namespace: str = ""
    _token: Secret | None = field(repr=False, default=None)

    @property
    def place(self) -> str:
        return f"Vault key {self.mount}/keys/{self.key_id}"

    @property
    def per_call_max(self) -> int:
        return 1

    @property
    def calls_at_once_max(self) -> int:
        return CALLS_AT_ONCE_MAX

    async def open(self) -> Sequence[Address]:
        told = await self._asked("GET", f"/v1/{self.mount}/keys/{self.key_id}")
        if told.get("curve") != "secp256k1":
            raise SignerRefusedError(f"{self.place} is not on secp256k1", "", "name an ECDSA secp256k1 key")
        return [address_of_point(self._decoded(text_of(told, "publicKey", self.place)))]

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        return [await self._signed(request) for request in requests]

    async def close(self) -> None:
        self._token = None
        await self.http.close()

    async def _signed(self, request: SigningRequest) -> Answer:
        body = {"data": base64.urlsafe_b64encode(request.digest).decode()}
        told = await self._asked("POST", f"/v1/{self.mount}/keys/{self.key_id}/sign", body)
        compact = self._decoded(text_of(told, "signature", self.place))
        if len(compact) != _COMPACT_BYTES:
            raise SignerAnswerError(
                f"{self.place} answered {len(compact)} bytes, not r and s", "", "look at the engine's version"
            )
        return PlainSignature(compact)

    def _decoded(self, text: str) -> bytes:
        try:
            return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
        except binascii.Error:
            raise SignerAnswerError(
                f"{self.place} answered something that is not base64", "", "look at the engine's version"
            ) from None

    async def _asked(self, method: str, path: str, body: object = None) -> Mapping[str, object]:
        answer = await self.http.ask(method, path, body, await self._headers())
        if answer.status == _DENIED and self.login.token is None:
            self._token = None
            answer = await self.http.ask(method, path, body, await self._headers())
        if answer.status != _OK:
            raise self._refused(answer)
        return mapping_of(mapping_of(answer.json(self.place), self.place).get("data"), self.place)

    def _refused(self, answer: HttpAnswer) -> SignerRefusedError | SignerUnavailableError:
        if answer.status == _SEALED:
            return SignerUnavailableError(
                f"{self.http.name} is sealed or in maintenance", "", "unseal it, or wait"
            )
        if answer.status >= 500:
            return self.http.unexpected(answer)
        if answer.status == _DENIED:
            return SignerRefusedError(
                f"{self.http.name} denies {self.place}",
                "",
                "its token is expired, or its policy lacks read on the key and update on its sign path",
            )
        return SignerRefusedError(
            f"{self.http.name} refuses {self.place} (status {answer.status})", "", "correct mount and key_id"
        )

    async def _headers(self) -> Mapping[str, str]:
        if self._token is None:
            self._token = await self._logged_in()
        return {"X-Vault-Token": self._token.reveal(), **self._spaced()}

    def _spaced(self) -> Mapping[str, str]:
        return {"X-Vault-Namespace": self.namespace} if self.namespace else {}

    async def _logged_in(self) -> Secret:
        if self.login.token is not None:
            return await read_secret(self.login.token)
        assert self.login.role_id is not None
        assert self.login.secret_id is not None
        body = {
            "role_id": (await read_secret(self.login.role_id)).reveal(),
            "secret_id": (await read_secret(self.login.secret_id)).reveal(),
        }
        answer = await self.http.ask("POST", "/v1/auth/approle/login", body, self._spaced())
        if answer.status == 400:
            raise SignerRefusedError(
                f"{self.http.name} does not know this role", "", "correct role_id, or make a new secret_id"
            )
        if answer.status != _OK:
            raise self._refused(answer)
        told = mapping_of(mapping_of(answer.json(self.place), self.place).get("auth"), self.place)
        return Secret(text_of(told, "client_token", self.place))
