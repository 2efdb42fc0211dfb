"""Signing programs that speak Ethereum's JSON-RPC: how a transaction is written there, and how they answer.

An error object is the program's no: its words are shown, shortened, because they say which rule or permission
is missing. Whatever else is not an answer to exactly this request is a wrong answer.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from seawall.native.wire import DynamicFeeTransaction
from seawall.primitives.errors import SignerAnswerError, SignerRefusedError
from seawall.primitives.units import Address, address_text, hex_text
from seawall.signers.http import HttpPlace, mapping_of, shown_text

__all__ = ["JsonRpc", "bytes_of", "transaction_object"]

_OK: Final = 200


@dataclass(slots=True)
class JsonRpc:
    """One endpoint; requests are numbered."""

    http: HttpPlace
    headers: dict[str, str] = field(repr=False, default_factory=dict)
    _numbers: Iterator[int] = field(repr=False, default_factory=lambda: itertools.count(1))

    async def call(self, method: str, *params: object) -> object:
        number, name = next(self._numbers), self.http.name
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        answer = await self.http.ask("POST", "/", body, self.headers)
        if answer.status in {401, 403}:
            raise self.http.refused(answer, f"does not admit {method}", "look at its allowed callers")
        if answer.status != _OK:
            raise self.http.unexpected(answer)
        told = mapping_of(answer.json(name), name)
        if told.get("id") != number:
            raise SignerAnswerError(f"{name} answered another request", "", "do not share it without care")
        error = told.get("error")
        if error is not None:
            said = shown_text(error.get("message") if isinstance(error, dict) else error)
            raise SignerRefusedError(
                f"{name} refuses {method}: {said!r}", "", "look at its rules and its own log"
            )
        if "result" not in told:
            raise SignerAnswerError(f"{name} answered without a result", "", "look at its url")
        return told["result"]

    async def accounts(self, method: str) -> list[Address]:
        """The addresses that it lists."""
        listed = await self.call(method)
        if not isinstance(listed, list):
            raise SignerAnswerError(f"{self.http.name} lists no accounts", "", "look at its url")
        return [Address(bytes_of(one, self.http.name)) for one in listed]


def transaction_object(transaction: DynamicFeeTransaction, sender: Address) -> dict[str, object]:
    """The fields as `eth_signTransaction` and clef take them."""
    written: dict[str, object] = {
        "from": address_text(sender),
        "chainId": hex(transaction.chain_id),
        "nonce": hex(transaction.nonce),
        "gas": hex(transaction.gas_limit),
        "maxFeePerGas": hex(transaction.max_fee_per_gas_wei),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas_wei),
        "value": hex(transaction.value_wei),
        "data": hex_text(transaction.data),
    }
    if transaction.to is not None:
        written["to"] = address_text(transaction.to)
    if transaction.access_list:
        written["accessList"] = [
            {"address": address_text(address), "storageKeys": [hex_text(slot) for slot in slots]}
            for address, slots in transaction.access_list
        ]
    return written


def bytes_of(value: object, place: str) -> bytes:
    """Bytes from hex with `0x`."""
    if isinstance(value, str) and value.startswith("0x"):
        with contextlib.suppress(ValueError):
            return bytes.fromhex(value[2:])
    raise SignerAnswerError(f"{place} answered something that is not hex", "", "look at its url")
