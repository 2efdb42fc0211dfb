"""Raw signed transactions of any type, read as far as a sighting tells of them.

Typed by their first byte (EIP-2718: access lists 1, dynamic fees 2, blobs 3, delegations 4) or none (legacy).
The hash is that of the bytes, the sender is recovered from the signature: both hold whoever sent the bytes.
RLP is read strictly: lengths without leading zeros, nothing behind the end, lists of bounded depth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.merkle import Item, rlp, unsigned
from seawall.native import keccak256, recover
from seawall.primitives.errors import InputError, NativeError
from seawall.primitives.units import Address, Hash

__all__ = ["RAW_BYTES_MAX", "RawTransaction", "raw_transaction"]

RAW_BYTES_MAX: Final = 256 * 1024
_DEPTH_MAX: Final = 6
_LEGACY: Final = 0
_EIP155_V: Final = 35
_SIGNATURE_FIELDS: Final = 3


@dataclass(frozen=True, slots=True)
class _Shape:
    """Places of what is read, in the list of a type's fields."""

    fields: int
    nonce: int
    priority_fee: int
    fee: int
    gas_limit: int
    target: int
    value: int
    data: int


_SHAPES: Final = {
    0: _Shape(9, 0, 1, 1, 2, 3, 4, 5),
    1: _Shape(11, 1, 2, 2, 3, 4, 5, 6),
    2: _Shape(12, 1, 2, 3, 4, 5, 6, 7),
    3: _Shape(14, 1, 2, 3, 4, 5, 6, 7),
    4: _Shape(13, 1, 2, 3, 4, 5, 6, 7),
}


@dataclass(frozen=True, slots=True)
class RawTransaction:
    hash: Hash
    sender: Address | None  # None if no sender recovers
    target: Address | None
    nonce: int
    value_wei: int
    gas_limit: int
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int
    calldata: bytes


def raw_transaction(raw: bytes) -> RawTransaction:
    """Raises `InputError` for bytes that are no transaction of a known type."""
    if not raw or len(raw) > RAW_BYTES_MAX:
        raise _malformed(f"{len(raw)} bytes")
    kind = raw[0] if raw[0] < 0x80 else _LEGACY
    shape = _SHAPES.get(kind)
    if shape is None or (kind == _LEGACY and raw[0] < 0xC0):
        raise _malformed(f"type {raw[0]:#x}")
    body = raw[1:] if kind != _LEGACY else raw
    items = _whole_list(body)
    if len(items) != shape.fields:
        raise _malformed(f"{len(items)} fields of type {kind}")
    target = _bytes(items, shape.target)
    if len(target) not in (0, 20):
        raise _malformed(f"a target of {len(target)} bytes")
    return RawTransaction(
        hash=Hash(keccak256(raw)),
        sender=_sender(kind, items),
        target=Address(target) if target else None,
        nonce=_number(items, shape.nonce),
        value_wei=_number(items, shape.value),
        gas_limit=_number(items, shape.gas_limit),
        max_fee_per_gas_wei=_number(items, shape.fee),
        max_priority_fee_per_gas_wei=_number(items, shape.priority_fee),
        calldata=_bytes(items, shape.data),
    )


def _sender(kind: int, items: Sequence[Item]) -> Address | None:
    count = len(items)
    v, r, s = (_number(items, count - _SIGNATURE_FIELDS + place) for place in range(_SIGNATURE_FIELDS))
    signed: list[Item] = list(items[: count - _SIGNATURE_FIELDS])
    parity = v
    if kind == _LEGACY:
        parity = (v - _EIP155_V) % 2 if v >= _EIP155_V else v - 27
        if v >= _EIP155_V:
            signed += [unsigned((v - _EIP155_V) // 2), b"", b""]
    prefix = b"" if kind == _LEGACY else bytes((kind,))
    if parity not in (0, 1) or not 0 < r < 2**256 or not 0 < s < 2**256:
        return None
    try:
        signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((parity,))
        return Address(recover(keccak256(prefix + rlp(signed)), signature))
    except NativeError:
        return None


def _whole_list(data: bytes) -> list[Item]:
    item, end = _item(data, 0, 0)
    if isinstance(item, bytes) or end != len(data):
        raise _malformed("no list, or bytes behind it")
    return list(item)


def _item(data: bytes, at: int, depth: int) -> tuple[Item, int]:
    """One item and where the next one begins."""
    if at >= len(data) or depth > _DEPTH_MAX:
        raise _malformed("its end is missing, or lists are nested too deep")
    first = data[at]
    if first < 0x80:
        return data[at : at + 1], at + 1
    is_list = first >= 0xC0
    size, begin = _length(data, at, first - (0xC0 if is_list else 0x80))
    end = begin + size
    if end > len(data):
        raise _malformed("its end is missing")
    if not is_list:
        return data[begin:end], end
    items: list[Item] = []
    while begin < end:
        item, begin = _item(data[:end], begin, depth + 1)
        items.append(item)
    return items, end


def _length(data: bytes, at: int, code: int) -> tuple[int, int]:
    """Size of the payload, and where it begins."""
    if code <= 55:
        return code, at + 1
    width = code - 55
    raw = data[at + 1 : at + 1 + width]
    if len(raw) != width or raw[0] == 0 or width > 4:
        raise _malformed("a length that is not minimal")
    return int.from_bytes(raw, "big"), at + 1 + width


def _bytes(items: Sequence[Item], place: int) -> bytes:
    item = items[place]
    if not isinstance(item, bytes):
        raise _malformed(f"a list as field {place}")
    return item


def _number(items: Sequence[Item], place: int) -> int:
    raw = _bytes(items, place)
    if len(raw) > 32 or raw[:1] == b"\0":
        raise _malformed(f"field {place} is no number")
    return int.from_bytes(raw, "big")


def _malformed(what: str) -> InputError:
    return InputError(f"these bytes are no transaction: {what}", "raw transaction", "pass it over")
