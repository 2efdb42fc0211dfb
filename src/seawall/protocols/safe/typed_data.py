"""EIP-712 from the type list alone: a second way to a Safe transaction's digest.

`typed_data` is the document that a wallet shows and signs. `typed_data_hash` hashes any such document of flat
structs by the rules of EIP-712, knowing nothing of Safes: where it and `transaction.safe_hash` agree, a slip
in either is ruled out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, TypedDict

from seawall.native import keccak256
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Hash, address_from_text, address_text, hex_text
from seawall.protocols.safe.transaction import SafeTransaction

__all__ = ["Fields", "TypedData", "TypedField", "typed_data", "typed_data_hash", "typed_data_parts"]

Fields: TypeAlias = "Sequence[tuple[str, str]]"
"""Pairs of (type, name), in their order."""


class TypedField(TypedDict):
    name: str
    type: str


class TypedData(TypedDict):
    """The names are the standard's."""

    types: dict[str, list[TypedField]]
    primaryType: str
    domain: dict[str, str]
    message: dict[str, str | int]


_DOMAIN_NAME: Final = "EIP712Domain"
_DOMAIN: Final = (("uint256", "chainId"), ("address", "verifyingContract"))
_STRUCT_NAME: Final = "SafeTx"
_STRUCT: Final = (
    ("address", "to"),
    ("uint256", "value"),
    ("bytes", "data"),
    ("uint8", "operation"),
    ("uint256", "safeTxGas"),
    ("uint256", "baseGas"),
    ("uint256", "gasPrice"),
    ("address", "gasToken"),
    ("address", "refundReceiver"),
    ("uint256", "nonce"),
)


def typed_data(transaction: SafeTransaction) -> TypedData:
    """The document for `eth_signTypedData_v4`; amounts are decimal texts."""
    return {
        "types": {
            name: [{"name": field, "type": kind} for kind, field in fields]
            for name, fields in ((_DOMAIN_NAME, _DOMAIN), (_STRUCT_NAME, _STRUCT))
        },
        "primaryType": _STRUCT_NAME,
        "domain": {
            "chainId": str(transaction.chain_id),
            "verifyingContract": address_text(transaction.safe),
        },
        "message": {
            "to": address_text(transaction.to),
            "value": str(transaction.value_wei),
            "data": hex_text(transaction.data),
            "operation": int(transaction.operation),
            "safeTxGas": str(transaction.safe_tx_gas),
            "baseGas": str(transaction.base_gas),
            "gasPrice": str(transaction.gas_price_wei),
            "gasToken": address_text(transaction.gas_token),
            "refundReceiver": address_text(transaction.refund_receiver),
            "nonce": str(transaction.nonce),
        },
    }


def typed_data_parts(document: TypedData) -> tuple[bytes, bytes]:
    """Hashes of domain and message: what a hardware wallet shows where it cannot show the fields."""
    hashes = []
    for name, values in ((_DOMAIN_NAME, document["domain"]), (document["primaryType"], document["message"])):
        fields = [(one["type"], one["name"]) for one in document["types"][name]]
        hashes.append(_struct_hash(name, fields, values))
    domain, message = hashes
    return domain, message


def typed_data_hash(document: TypedData) -> Hash:
    """The digest of a document whose structs have fields of address, uint and bytes only."""
    return Hash(keccak256(b"\x19\x01" + b"".join(typed_data_parts(document))))


def _struct_hash(name: str, fields: Fields, values: Mapping[str, object]) -> bytes:
    text = f"{name}({','.join(f'{kind} {field}' for kind, field in fields)})"
    words = [keccak256(text.encode())]
    words += [_word(kind, values[field]) for kind, field in fields]
    return keccak256(b"".join(words))


def _word(kind: str, value: object) -> bytes:
    if kind == "address" and isinstance(value, str):
        return bytes(address_from_text(value)).rjust(32, b"\0")
    if kind == "bytes" and isinstance(value, str):
        return keccak256(bytes.fromhex(value.removeprefix("0x")))
    if kind.startswith("uint") and isinstance(value, int | str):
        return int(value).to_bytes(32)
    raise ProtocolError(f"a field of type {kind[:40]!r} is not hashed here", "typed data", "use flat structs")
