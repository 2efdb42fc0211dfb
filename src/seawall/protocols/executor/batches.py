"""Several executions in one call of the executor: its calldata, and what it says of each.

    executeBatch(bool atomic, Segment[] segments)
    Segment := (uint256 minGas, bytes execution), the latter being the whole calldata of `execute`

Every segment is a whole plan with snapshots, bounds and an intent bit of its own. Where the batch is not
atomic, one that fails leaves nothing behind but its `SegmentEnded`, and the others go on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast

from seawall.native import AbiValue, abi_decode, encode_call, event_topic, selector
from seawall.primitives.blocks import Log
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols.executor.encoding import Execution
from seawall.protocols.executor.events import decode_revert

__all__ = [
    "EXECUTE_BATCH_SELECTOR",
    "SEGMENT_ENDED_TOPIC",
    "SegmentCall",
    "SegmentEnded",
    "batch_calldata",
    "batch_fees",
    "segment_ended",
]

_SEGMENTS: Final = "(uint256,bytes)[]"
_SIGNATURE: Final = f"executeBatch(bool,{_SEGMENTS})"
EXECUTE_BATCH_SELECTOR: Final = selector(_SIGNATURE)
SEGMENT_ENDED_TOPIC: Final = Hash(event_topic("SegmentEnded(uint256,bytes32,bool,uint256,bytes)"))
_MAX_FEE_BYTES: Final = slice(4 + 3 * 32, 4 + 4 * 32)  # of a segment's calldata: word 3 of its header
_REASON_BYTES_SHOWN_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class SegmentCall:
    """One plan of a batch."""

    execution: Execution
    intent_id: int
    plan_digest: bytes
    max_fee_wei: int
    min_gas: int  # that must be left when it begins


@dataclass(frozen=True, slots=True)
class SegmentEnded:
    """How one plan of a batch ended."""

    intent_id: int
    plan_digest: Hash
    landed: bool
    gas_used: int
    reason: bytes  # revert data of one that failed

    @property
    def reason_text(self) -> str:
        """Why it failed, for people; nothing of one that landed."""
        if self.landed:
            return ""
        revert = decode_revert(self.reason)
        if revert is not None:
            return revert.text
        return f"it reverted with 0x{self.reason[:_REASON_BYTES_SHOWN_MAX].hex()}"


def batch_calldata(segments: Sequence[SegmentCall], *, atomic: bool = False) -> bytes:
    """The whole calldata. The transaction's own fee fields are what bounds the gas price."""
    return encode_call(_SIGNATURE, (atomic, tuple(map(_values, segments))))


def batch_fees(calldata: bytes) -> list[int]:
    """The maximum fee that each segment promises [wei]; `ProtocolError` for other calldata."""
    if calldata[:4] != EXECUTE_BATCH_SELECTOR:
        raise ProtocolError("these bytes are no batch", "executor", "none needed")
    try:
        _, segments = abi_decode(("bool", _SEGMENTS), calldata[4:])
    except EncodingError as error:
        raise ProtocolError(f"a batch does not decode: {error.what}", "executor", "none needed") from error
    rows = cast(Sequence[tuple[int, bytes]], segments)
    return [int.from_bytes(execution[_MAX_FEE_BYTES]) for _, execution in rows]


def segment_ended(log: Log, executor: Address) -> SegmentEnded | None:
    """The event in a log of `executor`, None for any other; `ProtocolError` where its shape is wrong."""
    if log.address != executor or not log.topics or log.topics[0] != SEGMENT_ENDED_TOPIC:
        return None
    try:
        landed, gas_used, reason = abi_decode(("bool", "uint256", "bytes"), log.data)
    except EncodingError as error:
        raise ProtocolError(error.what, address_text(executor), "check the address") from error
    if len(log.topics) != 3:
        raise ProtocolError(
            "a log has our topic and another shape", address_text(executor), "check the address"
        )
    return SegmentEnded(
        int.from_bytes(log.topics[1], "big"),
        log.topics[2],
        bool(landed),
        cast(int, gas_used),
        cast(bytes, reason),
    )


def _values(one: SegmentCall) -> Sequence[AbiValue]:
    execution = one.execution.calldata(
        intent_id=one.intent_id, plan_digest=one.plan_digest, max_fee_wei=one.max_fee_wei
    )
    return one.min_gas, execution
