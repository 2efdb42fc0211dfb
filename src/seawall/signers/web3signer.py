"""Web3Signer (Consensys), and whatever speaks its interface.

Two forms of asking. `sign`, the default: POST /api/v1/eth1/sign/{public key}; it hashes what it is given by
Keccak itself, so it is given the unsigned transaction with its type byte, whose Keccak is the digest, and
answers r, s and v of 27 or 28. `eth_signTransaction`: its JSON-RPC, which answers the whole signed
transaction, for setups that let only that through.

It signs no bare digest: nobody can tell what it would be the hash of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.native.wire import DynamicFeeTransaction, signing_payload
from seawall.primitives.errors import SignerAnswerError, SignerRefusedError
from seawall.primitives.secrets import SecretPlace
from seawall.primitives.units import Address, address_text, hex_text
from seawall.signers.checked import (
    Answer,
    EthereumSignature,
    RawAnswer,
    SigningRequest,
    read_secret,
)
from seawall.signers.der import address_of_point
from seawall.signers.http import HttpPlace
from seawall.signers.json_rpc import JsonRpc, bytes_of, transaction_object
from seawall.signers.kinds import Web3SignerMethod

__all__ = ["CALLS_AT_ONCE_MAX", "Web3Signer"]

CALLS_AT_ONCE_MAX: Final = 8
_PUBLIC_KEYS: Final = "/api/v1/eth1/publicKeys"
_SIGN: Final = "/api/v1/eth1/sign/"
_V_BASE: Final = 27
_OK: Final = 200


@dataclass(slots=True)
class Web3Signer:
    """Fulfils `Remote`."""

    http: HttpPlace
    address: Address
    method: Web3SignerMethod = Web3SignerMethod.SIGN
    token: SecretPlace | None = field(repr=False, default=None)
    _rpc: JsonRpc = field(init=False, repr=False)
    _identifier: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self._rpc = JsonRpc(self.http)

    @property
    def place(self) -> str:
        return self.http.name

    @property
    def per_call_max(self) -> int:
        return 1

    @property
    def calls_at_once_max(self) -> int:
        return CALLS_AT_ONCE_MAX

    async def open(self) -> Sequence[Address]:
        if self.token is not None:
            self._rpc.headers["Authorization"] = f"Bearer {(await read_secret(self.token)).reveal()}"
        if self.method is Web3SignerMethod.SIGN_TRANSACTION:
            return await self._rpc.accounts("eth_accounts")
        answer = await self.http.ask("GET", _PUBLIC_KEYS, headers=self._rpc.headers)
        if answer.status in {401, 403}:
            raise self.http.refused(answer, "does not admit us", "look at its token or allowed callers")
        listed = answer.json(self.place)
        if answer.status != _OK or not isinstance(listed, list):
            raise self.http.unexpected(answer)
        held: list[Address] = []
        for identifier in listed:
            point = bytes_of(identifier, self.place)
            held.append(address_of_point(point if len(point) % 2 else b"\x04" + point))
            if held[-1] == self.address:
                self._identifier = hex_text(point)
        return held

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        return [await self._signed(request) for request in requests]

    async def close(self) -> None:
        self._rpc.headers.clear()
        await self.http.close()

    async def _signed(self, request: SigningRequest) -> Answer:
        if request.transaction is None:
            raise SignerRefusedError(
                "Web3Signer hashes what it signs, and so signs no bare digest", "", "use another kind of key"
            )
        if self.method is Web3SignerMethod.SIGN_TRANSACTION:
            written = transaction_object(request.transaction, self.address)
            return RawAnswer(bytes_of(await self._rpc.call(str(self.method), written), self.place))
        return await self._signed_payload(request.transaction)

    async def _signed_payload(self, transaction: DynamicFeeTransaction) -> Answer:
        body = {"data": hex_text(signing_payload(transaction))}
        answer = await self.http.ask("POST", _SIGN + self._identifier, body, self._rpc.headers)
        if answer.status == 404:
            raise self.http.refused(
                answer, f"has no key {address_text(self.address)} any more", "load the key, then start again"
            )
        if answer.status in {400, 401, 403}:
            raise self.http.refused(answer, "refuses to sign", "look at its log")
        if answer.status != _OK:
            raise self.http.unexpected(answer)
        signature = bytes_of(answer.body.decode(errors="replace").strip().strip('"'), self.place)
        if len(signature) != 65 or signature[64] not in {_V_BASE, _V_BASE + 1}:
            raise SignerAnswerError(
                f"{self.place} answered no signature of r, s and v", "", "look at its version"
            )
        return EthereumSignature(signature[:64] + bytes([signature[64] - _V_BASE]))
