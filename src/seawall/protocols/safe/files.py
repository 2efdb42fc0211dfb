"""Proposals as JSON: what goes from owner to owner by file, mail or messenger.

The fields are those of the Safe transaction service, so that what it exports is read as it is: one
transaction, a list of them, or a page with `results`. Ours adds `chainId` (the service is asked per chain and
leaves it out) and `note`. What is not needed is passed over.

Nothing in a file is believed. The digest that it names is carried beside the fields, so that whoever reads it
compares; signatures are raw until they are proved against the digest of the fields.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import InputError, NativeError
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, address_from_text, address_text, hex_text
from seawall.protocols.safe.signatures import (
    CONTRACT_BYTES_MAX,
    OwnerSignature,
    SignatureKind,
    read_signature,
    signature_bytes,
)
from seawall.protocols.safe.transaction import NONCE_MAX, Operation, SafeTransaction, safe_hash

__all__ = [
    "FILE_BYTES_MAX",
    "PROPOSALS_MAX",
    "FileProposal",
    "FileSignature",
    "Json",
    "document_of",
    "proved_signatures",
    "read_proposals",
    "trimmed",
]

FILE_BYTES_MAX: Final = 8 * 1024 * 1024
PROPOSALS_MAX: Final = 256
SIGNATURES_MAX: Final = 64
NOTE_CHARS_MAX: Final = 1_000

Json: TypeAlias = "str | int | bool | Sequence[Json] | Mapping[str, Json] | None"

_DIGITS: Final = re.compile(r"[0-9]{1,78}")
_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})*")
_KIND_NAMES: Final = {
    SignatureKind.ECDSA: "EOA",
    SignatureKind.ETH_SIGN: "ETH_SIGN",
    SignatureKind.APPROVED_HASH: "APPROVED_HASH",
    SignatureKind.CONTRACT: "CONTRACT_SIGNATURE",
}


_READ: Final = frozenset(
    (
        "chainId", "safe", "nonce", "to", "value", "data", "operation", "safeTxGas", "baseGas", "gasPrice",
        "gasToken", "refundReceiver", "safeTxHash", "note", "isExecuted", "confirmations",
    )
)  # fmt: skip
_READ_OF_SIGNATURES: Final = frozenset(("owner", "signature"))


@dataclass(frozen=True, slots=True)
class FileSignature:
    """As it came: whose it is said to be, and the bytes."""

    owner: Address
    raw: bytes


@dataclass(frozen=True, slots=True)
class FileProposal:
    """One transaction as a file has it."""

    transaction: SafeTransaction
    said_hash: Hash | None  # what the file says that the digest is
    signatures: tuple[FileSignature, ...]
    note: str
    is_executed: bool  # what the file says

    @property
    def hash(self) -> Hash:
        """The digest of the fields."""
        return safe_hash(self.transaction)

    @property
    def is_honest(self) -> bool:
        """Whether the digest in the file, if there is one, is that of the fields."""
        return self.said_hash in (None, self.hash)


def document_of(
    transaction: SafeTransaction, signatures: Iterable[OwnerSignature], note: str = ""
) -> dict[str, Json]:
    """What `read_proposals` reads back."""
    one = transaction
    return {
        "chainId": str(one.chain_id),
        "safe": address_text(one.safe),
        "nonce": one.nonce,
        "to": address_text(one.to),
        "value": str(one.value_wei),
        "data": hex_text(one.data),
        "operation": int(one.operation),
        "safeTxGas": str(one.safe_tx_gas),
        "baseGas": str(one.base_gas),
        "gasPrice": str(one.gas_price_wei),
        "gasToken": address_text(one.gas_token),
        "refundReceiver": address_text(one.refund_receiver),
        "safeTxHash": hex_text(safe_hash(one)),
        "note": note,
        "confirmations": [
            {
                "owner": address_text(signature.owner),
                "signature": hex_text(signature_bytes(signature)),
                "signatureType": _KIND_NAMES[signature.kind],
            }
            for signature in sorted(signatures, key=lambda s: s.owner)
        ],
    }


def read_proposals(content: bytes, where: str, chain_id: int | None = None) -> tuple[FileProposal, ...]:
    """Every proposal of a file, in its order. `chain_id` is that of files that name none."""
    if len(content) > FILE_BYTES_MAX:
        raise InputError(f"more than {FILE_BYTES_MAX} bytes", where, "split the file")
    try:
        tree: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"this is not JSON: {str(error)[:80]}", where, "give a file of proposals") from None
    if isinstance(tree, dict) and "results" in tree:
        tree = tree["results"]
    items = tree if isinstance(tree, list) else [tree]
    if not 0 < len(items) <= PROPOSALS_MAX:
        raise InputError(f"{len(items)} proposals in one file", where, f"give 1 to {PROPOSALS_MAX}")
    return tuple(_proposal(item, f"{where}[{place}]", chain_id) for place, item in enumerate(items))


def trimmed(document: object) -> object:
    """The document without what `read_proposals` passes over. What is no document is left as it is."""
    if not isinstance(document, dict):
        return document
    kept = {name: value for name, value in document.items() if name in _READ}
    signatures = kept.get("confirmations")
    if isinstance(signatures, list):
        kept["confirmations"] = [
            {name: value for name, value in one.items() if name in _READ_OF_SIGNATURES}
            if isinstance(one, dict)
            else one
            for one in signatures
        ]
    return kept


def proved_signatures(
    proposal: FileProposal,
) -> tuple[tuple[OwnerSignature, ...], tuple[tuple[FileSignature, str], ...]]:
    """Those that are what they say, and the others with the reason. The chain is not asked here."""
    proved: dict[Address, OwnerSignature] = {}
    refused = []
    for one in proposal.signatures:
        try:
            found = read_signature(one.raw, proposal.hash)
        except InputError as error:
            refused.append((one, error.what))
            continue
        if found.owner != one.owner:
            elsewhere = f"it is {address_text(found.owner)}'s, or for another transaction or chain"
            refused.append((one, elsewhere))
        elif found.owner in proved:
            refused.append((one, "this owner's signature is there already"))
        else:
            proved[found.owner] = found
    return tuple(proved.values()), tuple(refused)


def _proposal(content: object, where: str, chain_id: int | None) -> FileProposal:
    fields = _Fields(content, where)
    if "chainId" in fields or chain_id is None:
        named = fields.number("chainId", NONCE_MAX)
        if chain_id not in (None, named):
            what = f"the proposal is for chain {named}, not {chain_id}"
            raise InputError(what, fields.place("chainId"), "take it to a Safe of that chain")
        chain_id = named
    operation = fields.number("operation", 1)
    transaction = SafeTransaction(
        chain_id=chain_id,
        safe=fields.address("safe"),
        nonce=fields.number("nonce", NONCE_MAX),
        to=fields.address("to"),
        value_wei=fields.number("value", UINT256_MAX),
        data=fields.bytes("data"),
        operation=Operation(operation),
        safe_tx_gas=fields.number("safeTxGas", UINT256_MAX, 0),
        base_gas=fields.number("baseGas", UINT256_MAX, 0),
        gas_price_wei=fields.number("gasPrice", UINT256_MAX, 0),
        gas_token=fields.address("gasToken", ZERO_ADDRESS),
        refund_receiver=fields.address("refundReceiver", ZERO_ADDRESS),
    )
    said = fields.bytes("safeTxHash")
    if len(said) not in (0, 32):
        raise InputError("the digest is not 32 bytes", fields.place("safeTxHash"), "correct the file")
    return FileProposal(
        transaction,
        Hash(said) if said else None,
        _signatures(fields),
        fields.text("note")[:NOTE_CHARS_MAX],
        fields.flag("isExecuted"),
    )


def _signatures(fields: _Fields) -> tuple[FileSignature, ...]:
    items = fields.items("confirmations")
    if len(items) > SIGNATURES_MAX:
        raise InputError(
            f"{len(items)} signatures", fields.place("confirmations"), f"give at most {SIGNATURES_MAX}"
        )
    found = []
    for item in items:
        raw = item.bytes("signature")
        if len(raw) > 2 * CONTRACT_BYTES_MAX:
            raise InputError(
                f"a signature of {len(raw)} bytes", item.place("signature"), "give the owner's signature"
            )
        if raw:  # an owner who has only approved on chain stands there without one
            found.append(FileSignature(item.address("owner"), raw))
    return tuple(found)


class _Fields:
    """One JSON object; every refusal names its place."""

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise InputError(f"{str(content)[:40]!r} is not a proposal", where, "write {...}")
        self._content: Mapping[str, object] = content
        self._where = where

    def __contains__(self, name: str) -> bool:
        return self._content.get(name) is not None

    def place(self, name: str) -> str:
        return f"{self._where}.{name}"

    def text(self, name: str) -> str:
        value = self._content.get(name)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._unusable(name, value, "a text")
        return value

    def flag(self, name: str) -> bool:
        return self._content.get(name) is True

    def number(self, name: str, most: int, default: int | None = None) -> int:
        value = self._content.get(name)
        if value is None and default is not None:
            return default
        if isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
            raise self._unusable(name, value, f"a whole number up to {most}")
        return value

    def bytes(self, name: str) -> bytes:
        text = self.text(name)
        if not text:
            return b""
        if not _HEX.fullmatch(text):
            raise self._unusable(name, text, "0x and pairs of hex digits")
        return bytes.fromhex(text[2:])

    def address(self, name: str, default: Address | None = None) -> Address:
        text = self.text(name)
        if not text and default is not None:
            return default
        try:
            return address_from_text(text)
        except NativeError as error:
            raise InputError(error.what, self.place(name), error.fix) from None

    def items(self, name: str) -> list[_Fields]:
        value = self._content.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._unusable(name, value, "a list")
        return [_Fields(item, f"{self.place(name)}[{n}]") for n, item in enumerate(value)]

    def _unusable(self, name: str, value: object, wanted: str) -> InputError:
        return InputError(f"{str(value)[:40]!r} is not {wanted}", self.place(name), "correct the file")
