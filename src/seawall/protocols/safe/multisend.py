"""MultiSend: several calls in one Safe transaction, all of them or none.

The Safe runs MultiSend's code in its own storage (a delegatecall), and that makes the calls. Each is packed
as operation (1 byte), target (20), value (32), length (32), data. Calls inside may not be delegatecalls here:
what would run in the Safe's storage then is no longer two known contracts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.native import abi_decode, encode_call, selector
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.errors import EncodingError, InputError, ProtocolError
from seawall.primitives.units import Address
from seawall.protocols.safe.known import MULTI_SEND_CALL_ONLY, MULTI_SEND_CODE_HASHES
from seawall.protocols.safe.transaction import Operation, SafeTransaction, executed_call

__all__ = ["CALLS_MAX", "InnerCall", "batch_of", "calls_of", "coins_moved", "decode_batch", "encode_batch"]

CALLS_MAX: Final = 128
_MULTI_SEND: Final = "multiSend(bytes)"
_SELECTOR: Final = selector(_MULTI_SEND)
_FIXED_BYTES: Final = 1 + 20 + 32 + 32


@dataclass(frozen=True, slots=True)
class InnerCall:
    """One call that the Safe makes as itself."""

    to: Address
    value_wei: int
    data: bytes


def encode_batch(calls: Sequence[InnerCall]) -> bytes:
    """Calldata for either MultiSend."""
    if not 0 < len(calls) <= CALLS_MAX:
        raise InputError(f"{len(calls)} calls in one batch", "MultiSend", f"give 1 to {CALLS_MAX}")
    packed = bytearray()
    for call in calls:
        assert 0 <= call.value_wei <= UINT256_MAX
        packed += bytes((Operation.CALL,)) + call.to + call.value_wei.to_bytes(32)
        packed += len(call.data).to_bytes(32) + call.data
    return encode_call(_MULTI_SEND, (bytes(packed),))


def decode_batch(calldata: bytes) -> tuple[InnerCall, ...]:
    """The calls of a batch. `ProtocolError` for anything that is not exactly one, and for delegatecalls."""
    if calldata[:4] != _SELECTOR:
        raise _malformed("the call is not multiSend(bytes)")
    try:
        (packed,) = abi_decode(["bytes"], calldata[4:])
    except EncodingError as error:
        raise _malformed(f"the batch does not decode: {error.what}") from None
    assert isinstance(packed, bytes)
    if encode_call(_MULTI_SEND, (packed,)) != calldata:
        raise _malformed("the batch is not encoded in the one canonical way")
    calls: list[InnerCall] = []
    at = 0
    while at < len(packed):
        fixed = packed[at : at + _FIXED_BYTES]
        size = int.from_bytes(fixed[53:])
        at += _FIXED_BYTES
        if len(fixed) < _FIXED_BYTES or at + size > len(packed):
            raise _malformed(f"call {len(calls)} ends in the middle")
        if fixed[0] != Operation.CALL:
            raise _malformed(f"call {len(calls)} is a delegatecall")
        calls.append(InnerCall(Address(fixed[1:21]), int.from_bytes(fixed[21:53]), packed[at : at + size]))
        at += size
        if len(calls) > CALLS_MAX:
            raise _malformed(f"more than {CALLS_MAX} calls")
    if not calls:
        raise _malformed("the batch is empty")
    return tuple(calls)


def batch_of(chain_id: int, safe: Address, nonce: int, calls: Sequence[InnerCall]) -> SafeTransaction:
    """One transaction that makes these calls: a single one directly, several by MultiSendCallOnly."""
    if len(calls) == 1:
        return SafeTransaction(chain_id, safe, nonce, calls[0].to, calls[0].value_wei, calls[0].data)
    return SafeTransaction(
        chain_id,
        safe,
        nonce,
        MULTI_SEND_CALL_ONLY,
        data=encode_batch(calls),
        operation=Operation.DELEGATECALL,
    )


def calls_of(transaction: SafeTransaction) -> tuple[InnerCall, ...]:
    """Every call that the Safe would make as itself. `ProtocolError` for a delegatecall to anything but the
    two known MultiSends, since that may do whatever it likes with the Safe.
    """
    if transaction.operation is Operation.CALL:
        return (InnerCall(transaction.to, transaction.value_wei, transaction.data),)
    if transaction.to not in MULTI_SEND_CODE_HASHES:
        raise ProtocolError(
            f"a delegatecall to 0x{transaction.to.hex()}, which is neither MultiSend nor MultiSendCallOnly",
            "Safe transaction",
            "propose the calls themselves; several are batched",
        )
    if transaction.value_wei:
        raise _malformed("a delegatecall sends no value")
    return decode_batch(transaction.data)


def coins_moved(calldata: bytes) -> list[tuple[Address, int]]:
    """Whom an `execTransaction` of this calldata sent coins of the Safe, and how much, if it succeeded: no
    log tells that. Empty for any other call."""
    executed = executed_call(calldata)
    if executed is None:
        return []
    to, value_wei, data, operation = executed
    if operation is Operation.CALL:
        return [(to, value_wei)] if value_wei else []
    try:
        calls = decode_batch(data) if to in MULTI_SEND_CODE_HASHES else ()
    except ProtocolError:
        return []
    return [(call.to, call.value_wei) for call in calls if call.value_wei]


def _malformed(what: str) -> ProtocolError:
    return ProtocolError(what, "MultiSend", "encode the batch with protocols.safe.multisend")
