"""A key of Google Cloud KMS: algorithm EC_SIGN_SECP256K1_SHA256, one version of it.

Flow: `GET .../publicKey` says whose key it is; `POST ...:asymmetricSign` is given our digest in the field
`digest.sha256`. Google's service cannot see which function made a digest and signs its 32 bytes as they are;
`data` is never used, because that would be hashed by SHA-256. DER comes back, whose s may be high.

Both ways are protected by CRC-32C as Google asks of its callers: ours must be said to be verified, its own is
checked. Access tokens come from Google's library: a service account's file, or what the machine has.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seawall.primitives.errors import (
    SignerAnswerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.units import Address
from seawall.signers.checked import Answer, PlainSignature, SigningRequest
from seawall.signers.crc32c import crc32c
from seawall.signers.der import address_of_point, compact_from_der, der_from_pem, point_from_spki
from seawall.signers.http import HttpAnswer, HttpPlace, mapping_of, text_of
from seawall.signers.threads import OwnThreads

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

__all__ = ["CALLS_AT_ONCE_MAX", "TOKEN_TIMEOUT_S", "GcpKms"]

CALLS_AT_ONCE_MAX: Final = 8
TOKEN_TIMEOUT_S: Final = 10.0
_ALGORITHM: Final = "EC_SIGN_SECP256K1_SHA256"
_SCOPE: Final = "https://www.googleapis.com/auth/cloudkms"
_OK: Final = 200
_UNAUTHENTICATED: Final = 401
_FIXES: Final = {
    "PERMISSION_DENIED": "grant roles/cloudkms.signerVerifier on this key to the kernel's account",
    "UNAUTHENTICATED": "look at the account's credentials",
    "FAILED_PRECONDITION": "enable the key version",
    "NOT_FOUND": "correct key_version",
}


@dataclass(slots=True)
class GcpKms:
    """Fulfils `Remote`. `key_version` is the full name of a version; without `credentials`, the machine's."""

    http: HttpPlace
    key_version: str
    credentials: Path | None = None
    _account: Credentials | None = field(repr=False, default=None)
    _threads: OwnThreads = field(repr=False, default_factory=lambda: OwnThreads("gcp-kms"))

    @property
    def place(self) -> str:
        return f"Google KMS key {self.key_version}"

    @property
    def per_call_max(self) -> int:
        return 1

    @property
    def calls_at_once_max(self) -> int:
        return CALLS_AT_ONCE_MAX

    async def open(self) -> Sequence[Address]:
        told = await self._asked("GET", f"/v1/{self.key_version}/publicKey")
        if told.get("algorithm") != _ALGORITHM:
            raise SignerRefusedError(
                f"{self.place} is of algorithm {told.get('algorithm')}", "", f"make a key of {_ALGORITHM}"
            )
        pem = text_of(told, "pem", self.place)
        self._require_intact(told, "pemCrc32c", pem.encode())
        return [address_of_point(point_from_spki(der_from_pem(pem)))]

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        return [await self._signed(request) for request in requests]

    async def close(self) -> None:
        self._account = None
        await self.http.close()

    async def _signed(self, request: SigningRequest) -> Answer:
        body = {
            "digest": {"sha256": base64.b64encode(request.digest).decode()},
            "digestCrc32c": str(crc32c(request.digest)),
        }
        told = await self._asked("POST", f"/v1/{self.key_version}:asymmetricSign", body)
        if told.get("verifiedDigestCrc32c") is not True or told.get("name") != self.key_version:
            raise SignerAnswerError(
                f"{self.place} does not say that it signed our digest with this version",
                "",
                "look at what stands between this machine and Google",
            )
        try:
            signature = base64.b64decode(text_of(told, "signature", self.place), validate=True)
        except binascii.Error:
            signature = b""
        self._require_intact(told, "signatureCrc32c", signature)
        return PlainSignature(compact_from_der(signature))

    def _require_intact(self, told: Mapping[str, object], key: str, content: bytes) -> None:
        if told.get(key) != str(crc32c(content)):
            raise SignerAnswerError(
                f"{key} of {self.place} does not fit what it answered",
                "",
                "look at what stands between this machine and Google",
            )

    async def _asked(self, method: str, path: str, body: object = None) -> Mapping[str, object]:
        answer = await self.http.ask(method, path, body, await self._headers())
        if answer.status == _UNAUTHENTICATED:
            # A token may be revoked before its time: once with a new one.
            self._account = None
            answer = await self.http.ask(method, path, body, await self._headers())
        if answer.status == _OK:
            return mapping_of(answer.json(self.place), self.place)
        raise self._refused(answer)

    def _refused(self, answer: HttpAnswer) -> SignerRefusedError | SignerUnavailableError:
        if answer.status >= 500:
            return self.http.unexpected(answer)
        told = mapping_of(answer.json(self.place), self.place).get("error")
        status = str(told.get("status")) if isinstance(told, dict) else ""
        fix = _FIXES.get(status, "look the status up in Google's manual")
        return SignerRefusedError(f"{self.place} refuses ({answer.status} {status})", "", fix)

    # ------------------------------------------------------------------ tokens

    async def _headers(self) -> Mapping[str, str]:
        account = self._account
        if account is None or not account.valid:
            account = self._account = await self._threads.run(self._fresh)
        return {"Authorization": f"Bearer {account.token}"}

    def _fresh(self) -> Credentials:
        try:
            import google.auth
            import requests
            from google.auth import exceptions
            from google.auth.transport.requests import Request
            from google.oauth2.service_account import Credentials as ServiceAccount
        except ImportError:
            raise SignerRefusedError(
                "Google's library is not installed", "", "pip install 'seawall[gcp]'"
            ) from None
        try:
            if self.credentials is None:
                account, _ = google.auth.default(scopes=[_SCOPE])
            else:
                # Of this type only: others name addresses that a token would be fetched from.
                account = ServiceAccount.from_service_account_file(  # type: ignore[no-untyped-call]
                    str(self.credentials), scopes=[_SCOPE]
                )
            with requests.Session() as session:
                asking = partial(Request(session), timeout=TOKEN_TIMEOUT_S)
                account.refresh(asking)  # type: ignore[no-untyped-call]
        except exceptions.TransportError:
            raise SignerUnavailableError(
                "Google's token service cannot be reached", "", "look at the network"
            ) from None
        except (exceptions.GoogleAuthError, OSError, ValueError) as error:
            raise SignerRefusedError(
                f"no access token for {self.place} ({type(error).__name__})",
                "",
                "give a service account's credentials_file, or run where the machine has an account",
            ) from None
        return account
