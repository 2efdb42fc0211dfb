"""A Safe transaction: what its owners sign, and the call that executes it.

The digest is EIP-712's: `keccak(0x19 01 || domain || struct)`, the domain naming chain and Safe, so that one
signature holds for one Safe on one chain at one nonce. `typed_data` says the same from the field list alone,
for whoever wants to check without trusting this file.

Refund parameters are fields here because a file from elsewhere may hold them; nothing that we make sets them
(`refund_of` names what is set: it pays whoever executes, out of the Safe).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from seawall.native import abi_decode, abi_encode, encode_call, keccak256, selector
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import EncodingError, InputError
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, address_text

__all__ = [
    "DATA_BYTES_MAX",
    "NONCE_MAX",
    "Operation",
    "SafeTransaction",
    "approve_call",
    "executed_call",
    "execution_call",
    "hash_call",
    "refund_of",
    "safe_hash",
    "signed_bytes",
]

# As much as a direct plan may call with, less what goes around it.
DATA_BYTES_MAX: Final = 96 * 1024
NONCE_MAX: Final = 2**63 - 1

_DOMAIN_TYPE: Final = keccak256(b"EIP712Domain(uint256 chainId,address verifyingContract)")
_TRANSACTION_TYPE: Final = keccak256(
    b"SafeTx(address to,uint256 value,bytes data,uint8 operation,uint256 safeTxGas,uint256 baseGas,"
    b"uint256 gasPrice,address gasToken,address refundReceiver,uint256 nonce)"
)
_EXECUTION: Final = (
    "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
)
_EXECUTION_SELECTOR: Final = selector(_EXECUTION)
_EXECUTION_KINDS: Final = _EXECUTION.partition("(")[2].removesuffix(")").split(",")
_HASH: Final = (
    "getTransactionHash(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,uint256)"
)


class Operation(IntEnum):
    """How the Safe reaches the target: as itself, or by running the target's code in its own storage."""

    CALL = 0
    DELEGATECALL = 1


@dataclass(frozen=True, slots=True)
class SafeTransaction:
    """One transaction of one Safe at one of its nonces."""

    chain_id: int
    safe: Address
    nonce: int
    to: Address
    value_wei: int = 0
    data: bytes = b""
    operation: Operation = Operation.CALL
    safe_tx_gas: int = 0
    base_gas: int = 0
    gas_price_wei: int = 0
    gas_token: Address = ZERO_ADDRESS
    refund_receiver: Address = ZERO_ADDRESS

    def __post_init__(self) -> None:
        problem = _problem_of(self)
        if problem is not None:
            raise InputError(problem, "Safe transaction", "correct the proposal")


def _problem_of(transaction: SafeTransaction) -> str | None:
    one = transaction
    for address in (one.safe, one.to, one.gas_token, one.refund_receiver):
        if len(address) != 20:
            return f"an address has {len(address)} bytes instead of 20"
    if not 0 < one.chain_id <= NONCE_MAX or not 0 <= one.nonce <= NONCE_MAX:
        return f"chain id must be in 1..{NONCE_MAX}, and the nonce in 0..{NONCE_MAX}"
    amounts = (one.value_wei, one.safe_tx_gas, one.base_gas, one.gas_price_wei)
    if any(not 0 <= amount <= UINT256_MAX for amount in amounts):
        return "an amount is outside 0..2^256-1"
    if len(one.data) > DATA_BYTES_MAX:
        return f"data of {len(one.data)} bytes exceeds {DATA_BYTES_MAX}"
    return None


def signed_bytes(transaction: SafeTransaction) -> bytes:
    """What the digest is of: 0x19 01, domain and struct. Contract owners are asked about these bytes."""
    one = transaction
    domain = keccak256(_DOMAIN_TYPE + abi_encode(["uint256", "address"], (one.chain_id, one.safe)))
    fields = abi_encode(
        ["address", "uint256", "bytes32", "uint8", *["uint256"] * 3, "address", "address", "uint256"],
        (
            one.to,
            one.value_wei,
            keccak256(one.data),
            int(one.operation),
            one.safe_tx_gas,
            one.base_gas,
            one.gas_price_wei,
            one.gas_token,
            one.refund_receiver,
            one.nonce,
        ),
    )
    return b"\x19\x01" + domain + keccak256(_TRANSACTION_TYPE + fields)


def safe_hash(transaction: SafeTransaction) -> Hash:
    """The digest that owners sign, which also names the transaction."""
    return Hash(keccak256(signed_bytes(transaction)))


def hash_call(transaction: SafeTransaction) -> bytes:
    """Ask the Safe itself for the digest."""
    return encode_call(_HASH, (*_arguments(transaction), transaction.nonce))


def execution_call(transaction: SafeTransaction, signatures: bytes) -> bytes:
    """The call of the outer transaction; the nonce is the Safe's own at that time."""
    return encode_call(_EXECUTION, (*_arguments(transaction), signatures))


def executed_call(calldata: bytes) -> tuple[Address, int, bytes, Operation] | None:
    """Target, value, data and operation of an `execTransaction`; None for any other call."""
    if calldata[:4] != _EXECUTION_SELECTOR:
        return None
    try:
        to, value_wei, data, operation, *_ = abi_decode(_EXECUTION_KINDS, calldata[4:])
        assert isinstance(to, bytes)
        assert isinstance(value_wei, int)
        assert isinstance(data, bytes)
        assert isinstance(operation, int)
        return Address(to), value_wei, data, Operation(operation)
    except (EncodingError, ValueError):
        return None


def approve_call(digest: Hash) -> bytes:
    """An owner's approval on chain, in place of a signature."""
    return encode_call("approveHash(bytes32)", (digest,))


def refund_of(transaction: SafeTransaction) -> str:
    """What of the refund is set, in words; empty where nobody is refunded."""
    one, found = transaction, []
    for name, amount in (("baseGas", one.base_gas), ("gasPrice", one.gas_price_wei)):
        if amount:
            found.append(f"{name} {amount}")
    for name, address in (("gasToken", one.gas_token), ("refundReceiver", one.refund_receiver)):
        if address != ZERO_ADDRESS:
            found.append(f"{name} {address_text(address)}")
    return ", ".join(found)


def _arguments(one: SafeTransaction) -> tuple[Address, int, bytes, int, int, int, int, Address, Address]:
    return (
        one.to,
        one.value_wei,
        one.data,
        int(one.operation),
        one.safe_tx_gas,
        one.base_gas,
        one.gas_price_wei,
        one.gas_token,
        one.refund_receiver,
    )
