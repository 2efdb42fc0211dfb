"""Signed transactions as JSON-RPC shows them in whole blocks."""

from __future__ import annotations

from seawall.native import decode_transaction
from seawall.native.wire import signature_of

__all__ = ["shown_transaction"]


def shown_transaction(raw: bytes) -> dict[str, object]:
    """Of type 2, without an access list."""
    decoded, signature = decode_transaction(raw), signature_of(raw)
    fields = decoded.fields
    return {
        "hash": "0x" + decoded.hash.hex(),
        "type": "0x2",
        "from": "0x" + decoded.sender.hex(),
        "chainId": hex(fields.chain_id),
        "nonce": hex(fields.nonce),
        "maxPriorityFeePerGas": hex(fields.max_priority_fee_per_gas_wei),
        "maxFeePerGas": hex(fields.max_fee_per_gas_wei),
        "gas": hex(fields.gas_limit),
        "to": None if fields.to is None else "0x" + fields.to.hex(),
        "value": hex(fields.value_wei),
        "input": "0x" + fields.data.hex(),
        "accessList": [],
        "r": hex(int.from_bytes(signature[:32], "big")),
        "s": hex(int.from_bytes(signature[32:64], "big")),
        "yParity": hex(signature[64]),
    }
