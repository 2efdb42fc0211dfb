"""The wire: hashing, ABI, local keys, and EIP-1559 transactions.

Flow: `encode_call` makes calldata; `DynamicFeeTransaction` holds the fields; `LocalKey.sign_transactions`
encodes, signs and hashes a batch without the GIL; `decode_transaction` reads raw bytes back and recovers the
sender. What signs elsewhere is given `signing_digest` or `signing_payload`, and its r and s become a
transaction by `seal_transaction`, which checks whose they are. `MasterKey` derives keys, hardened at every
step.

Assumptions: addresses are `bytes` of 20, hashes `bytes` of 32, amounts `int` in wei. Texts become
addresses once, at the edge, by `parse_address`. Only type-2 transactions exist here.

Absent on purpose: a key or a password as Python bytes or text; nonces, fees and sending.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from seawall._native import (
    LocalKey,
    MasterKey,
    Password,
    SignedTransaction,
    abi_decode,
    abi_encode,
    aggregate3_calldata,
    aggregate3_results,
    complete_signature,
    decode_dynamic_fee,
    encode_call,
    event_topic,
    hex_text,
    keccak256,
    ordered_root,
    parse_address,
    plain_data,
    plain_quantities,
    plain_results,
    recover,
    seal_transaction,
    selector,
    sign_together,
    signature_of,
    signing_digest,
    signing_payload,
    to_checksum,
    transfers_root,
)

__all__ = [
    "AbiValue",
    "AccessList",
    "DecodedTransaction",
    "DynamicFeeTransaction",
    "LocalKey",
    "MasterKey",
    "Password",
    "SignedTransaction",
    "abi_decode",
    "abi_encode",
    "aggregate3_calldata",
    "aggregate3_results",
    "complete_signature",
    "decode_transaction",
    "encode_call",
    "event_topic",
    "hex_text",
    "keccak256",
    "ordered_root",
    "parse_address",
    "plain_data",
    "plain_quantities",
    "plain_results",
    "recover",
    "seal_transaction",
    "selector",
    "sign_together",
    "signature_of",
    "signing_digest",
    "signing_payload",
    "to_checksum",
    "transfers_root",
]

AbiValue: TypeAlias = "int | bool | bytes | str | Sequence[AbiValue]"
"""What ABI types are made from: addresses are bytes of 20, arrays and tuples are lists or tuples."""

AccessList: TypeAlias = tuple[tuple[bytes, tuple[bytes, ...]], ...]
"""Pairs of (address, slots)."""


class DynamicFeeTransaction(NamedTuple):
    """The fields of an EIP-1559 transaction. `to` of None creates a contract."""

    chain_id: int
    nonce: int
    max_priority_fee_per_gas_wei: int
    max_fee_per_gas_wei: int
    gas_limit: int
    to: bytes | None
    value_wei: int
    data: bytes
    access_list: AccessList = ()


@dataclass(frozen=True, slots=True)
class DecodedTransaction:
    """A raw transaction read back."""

    fields: DynamicFeeTransaction
    sender: bytes
    hash: bytes


def decode_transaction(raw: bytes) -> DecodedTransaction:
    """Reads the raw bytes of one signed EIP-1559 transaction.

    Raises EncodingError for anything else, SignatureError if no sender recovers.
    """
    values, sender, digest = decode_dynamic_fee(raw)
    return DecodedTransaction(DynamicFeeTransaction(*values), sender, digest)
