"""Canonical bytes of messages: msgpack arrays in field order, with integers of any size.

One encoding serves frames, stored state and digests, so that what was hashed is what was sent. Integers that do not
fit 63 bits are msgpack extension 1 (sign byte, then big-endian magnitude). Dataclasses are extension-free arrays of
their fields; the reader knows the type it expects, so a frame cannot choose what is built.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum, IntEnum, StrEnum
from functools import lru_cache
from typing import Final, TypeVar, cast

import msgpack

from seawall.native import keccak256
from seawall.primitives.errors import WireError
from seawall.primitives.plans import Plan
from seawall.primitives.units import Hash
from seawall.primitives.verdicts import Payload

__all__ = ["pack", "payload_digest", "plan_digest", "unpack"]

T = TypeVar("T")

_BIG_INT: Final = 1
_SMALL_MAX: Final = 2**63 - 1
_BIG_INT_BYTES_MAX: Final = 33


def pack(message: object) -> bytes:
    """Canonical bytes of a message dataclass (or of the scalars and tuples inside one)."""
    return cast(bytes, msgpack.packb(_plain(message), use_bin_type=True, strict_types=True))


def unpack(expected: type[T], data: bytes) -> T:
    """Build a message of exactly the `expected` type, or raise `WireError` naming the field that does not fit."""
    try:
        tree: object = msgpack.unpackb(data, use_list=False, strict_map_key=False, ext_hook=_extension, raw=False)
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError, TypeError) as error:
        raise WireError(f"not valid msgpack: {type(error).__name__}", expected.__name__, "the peer must send canonical frames") from None
    return cast(T, _build(expected, tree, expected.__name__))


def plan_digest(plan: Plan) -> Hash:
    """Identity of what a plan wants; the idempotency key is not part of it."""
    return Hash(keccak256(b"seawall.plan.1" + pack(dataclasses.replace(plan, idempotency_key="-"))))


def payload_digest(payload: Payload) -> Hash:
    """Identity of chain, sender, target, data, value and gas limit."""
    return Hash(keccak256(b"seawall.payload.1" + pack(payload)))


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, int):
        return value if -_SMALL_MAX <= value <= _SMALL_MAX else _big(value)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in sorted(value.items())}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [_plain(getattr(value, field)) for field in _tagged_fields(type(value))]
    raise WireError(f"{type(value).__name__} has no canonical form", "codec", "send only messages of seawall.primitives")


def _big(value: int) -> msgpack.ExtType:
    magnitude = abs(value).to_bytes((abs(value).bit_length() + 7) // 8, "big")
    if len(magnitude) + 1 > _BIG_INT_BYTES_MAX:
        raise WireError("an integer of more than 256 bits", "codec", "no quantity on chain is that large")
    return msgpack.ExtType(_BIG_INT, (b"\x01" if value < 0 else b"\x00") + magnitude)


def _extension(code: int, data: bytes) -> int:
    if code != _BIG_INT or not 2 <= len(data) <= _BIG_INT_BYTES_MAX or data[0] > 1:
        raise WireError(f"unknown extension {code}", "codec", "the peer must send canonical frames")
    value = int.from_bytes(data[1:], "big")
    return -value if data[0] else value


@lru_cache(maxsize=128)
def _tagged_fields(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@lru_cache(maxsize=128)
def _field_types(kind: type) -> tuple[tuple[str, object], ...]:
    hints = typing.get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in dataclasses.fields(kind))


def _build(expected: object, tree: object, where: str) -> object:
    origin = typing.get_origin(expected)
    if origin in (types.UnionType, typing.Union):
        return _build_union(typing.get_args(expected), tree, where)
    if origin is tuple:
        return _build_tuple(typing.get_args(expected), tree, where)
    if origin is dict:
        return _build_dict(typing.get_args(expected), tree, where)
    supertype = getattr(expected, "__supertype__", None)
    if supertype is not None:
        return _build_sized(expected, _build(supertype, tree, where), where)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return _build_dataclass(expected, tree, where)
    if isinstance(expected, type) and issubclass(expected, Enum):
        try:
            return expected(tree)
        except ValueError:
            raise _misfit(expected.__name__, tree, where) from None
    if expected in (int, bool, bytes, str) and type(tree) is expected:
        return tree
    raise _misfit(getattr(expected, "__name__", str(expected)), tree, where)


def _build_sized(expected: object, value: object, where: str) -> object:
    size = {"Address": 20, "Hash": 32}.get(getattr(expected, "__name__", ""))
    if size is not None and isinstance(value, bytes) and len(value) != size:
        raise WireError(f"{len(value)} bytes instead of {size}", where, "the peer must send canonical frames")
    return value


def _build_union(options: tuple[object, ...], tree: object, where: str) -> object:
    if tree is None and type(None) in options:
        return None
    failure: WireError | None = None
    # Dataclasses of a union differ in shape (number or types of fields), so the first that fits is the only one.
    for option in options:
        if option is type(None):
            continue
        try:
            return _build(option, tree, where)
        except WireError as error:
            failure = error
    assert failure is not None
    raise failure


def _build_tuple(arguments: tuple[object, ...], tree: object, where: str) -> tuple[object, ...]:
    if not isinstance(tree, tuple):
        raise _misfit("tuple", tree, where)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(_build(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(tree))
    if len(arguments) != len(tree):
        raise _misfit(f"tuple of {len(arguments)}", tree, where)
    return tuple(_build(kind, item, f"{where}[{i}]") for i, (kind, item) in enumerate(zip(arguments, tree, strict=True)))


def _build_dict(arguments: tuple[object, ...], tree: object, where: str) -> dict[object, object]:
    if not isinstance(tree, dict):
        raise _misfit("dict", tree, where)
    key_kind, value_kind = arguments
    return {_build(key_kind, k, f"{where} key"): _build(value_kind, v, f"{where}[{k!r}]") for k, v in tree.items()}


def _build_dataclass(expected: type, tree: object, where: str) -> object:
    fields = _field_types(expected)
    if not isinstance(tree, tuple) or len(tree) != len(fields):
        raise _misfit(f"{expected.__name__} of {len(fields)} fields", tree, where)
    values = [_build(kind, item, f"{where}.{name}") for (name, kind), item in zip(fields, tree, strict=True)]
    return expected(*values)


def _misfit(expected: str, tree: object, where: str) -> WireError:
    size = f" of {len(tree)}" if isinstance(tree, tuple | dict | bytes | str) else ""
    return WireError(f"{type(tree).__name__}{size} where {expected} is due", where, "kernel and host must run the same version")
