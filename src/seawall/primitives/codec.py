"""Canonical bytes of messages: msgpack arrays in field order, with integers of any size.

One encoding serves frames, stored state and digests, so that what was hashed is what was sent. Integers
that do not fit 63 bits are msgpack extension 1 (sign byte, then big-endian magnitude). Dataclasses are
extension-free arrays of their fields; the reader knows the type it expects, so a frame cannot choose what is
built.

The native core writes the bytes: it is told the fields of each type once, and looks at what each of them
holds, whatever its annotation says. For each type a reader is compiled once, from its annotations: an
observation of thousands of reads costs milliseconds, not tens of them. Where bytes do not fit, the path to
the field is put together on the way out.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Iterable
from enum import Enum, IntEnum, StrEnum
from typing import Final, TypeVar, cast

import msgpack

from seawall.native.rows import CanonicalPacker
from seawall.primitives.errors import WireError
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Payload

__all__ = ["pack", "payload_digest", "plan_digest", "unpack"]

T = TypeVar("T")
_Reader = Callable[[object], object]

_BIG_INT: Final = 1
_BIG_INT_BYTES_MAX: Final = 33
_KEY_PLACE: Final = [field.name for field in dataclasses.fields(Plan)].index("idempotency_key")
_SCALARS: Final = frozenset((int, bool, bytes, str, type(None)))
# One entry for each type of message that this program knows, and no more.
_READERS: Final[dict[object, _Reader]] = {}
_SIZES: Final[dict[object, int]] = {Address: 20, Hash: 32}
_UNSAID: Final = (None, False, b"")  # what a field of a tail says while it says nothing


def pack(message: object) -> bytes:
    """Canonical bytes of a message dataclass (or of the scalars and tuples inside one)."""
    return _PACKER.pack(message)


def unpack(expected: type[T], data: bytes | memoryview) -> T:
    """Build a message of exactly the `expected` type, or raise `WireError` naming the field that is wrong.

    A message that checks itself (`Plan`) raises its own error where its values contradict each other.
    """
    try:
        tree: object = msgpack.unpackb(
            data, use_list=False, strict_map_key=False, ext_hook=_extension, raw=False
        )
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError, TypeError) as error:
        raise WireError(
            f"not valid msgpack: {type(error).__name__}",
            _name_of(expected),
            "the peer must send canonical frames",
        ) from None
    try:
        return cast(T, _reader(expected)(tree))
    except _MisfitError as misfit:
        where = _name_of(expected) + "".join(reversed(misfit.path))
        raise WireError(misfit.what, where, "kernel and host must run the same version") from None


def plan_digest(plan: Plan) -> Hash:
    """Identity of what a plan wants; the idempotency key is not part of it."""
    return Hash(_PACKER.digest(b"seawall.plan.1", plan, _KEY_PLACE, "-"))


def payload_digest(payload: Payload) -> Hash:
    """Identity of chain, sender, target, data, value and gas limit."""
    return Hash(_PACKER.digest(b"seawall.payload.1", payload))


def _shape_of(kind: type) -> tuple[tuple[str, ...], tuple[object, ...]] | None:
    """Names of the fields and what those of the tail say while they say nothing; None: it goes by its
    value."""
    if dataclasses.is_dataclass(kind):
        fields, least = dataclasses.fields(kind), _fields_always_there(kind)
        return tuple([f.name for f in fields]), tuple([f.default for f in fields[least:]])
    if issubclass(kind, StrEnum | IntEnum):
        return None
    raise WireError(
        f"{kind.__name__} has no canonical form", "codec", "send only messages of seawall.primitives"
    )


def _magnitude_of(value: int) -> bytes:
    """Sign and magnitude of what does not fit 63 bits."""
    size = (value.bit_length() + 7) // 8
    if size >= _BIG_INT_BYTES_MAX:
        raise WireError("an integer of more than 256 bits", "codec", "no quantity on chain is that large")
    return (b"\x01" if value < 0 else b"\x00") + abs(value).to_bytes(size, "big")


_PACKER: Final = CanonicalPacker(_shape_of, _magnitude_of)


def _fields_always_there(kind: type) -> int:
    """How many fields every message of this type has; those after them may be left off."""
    fields = dataclasses.fields(kind)
    tail = [field for field in fields if field.metadata.get("tail")]
    assert all(field.default in _UNSAID for field in tail), f"a tail of {kind.__name__} defaults to nothing"
    assert list(fields[len(fields) - len(tail) :]) == tail, f"a tail of {kind.__name__} is not at its end"
    return len(fields) - len(tail)


def _extension(code: int, data: bytes) -> int:
    if code != _BIG_INT or not 2 <= len(data) <= _BIG_INT_BYTES_MAX or data[0] > 1:
        raise WireError(f"unknown extension {code}", "codec", "the peer must send canonical frames")
    value = int.from_bytes(data[1:], "big")
    return -value if data[0] else value


class _MisfitError(Exception):
    """A tree that does not fit its type; `path` grows from the innermost field outwards."""

    def __init__(self, expected: str, tree: object) -> None:
        size = f" of {len(tree)}" if isinstance(tree, tuple | dict | bytes | str) else ""
        self.what = f"{type(tree).__name__}{size} where {expected} is due"
        self.path: list[str] = []


def _name_of(expected: object) -> str:
    return getattr(expected, "__name__", None) or str(expected)


def _reader(expected: object) -> _Reader:
    """The compiled reader of one annotation."""
    if expected not in _READERS:
        _READERS[expected] = _compile(expected)
    return _READERS[expected]


def _compile(expected: object) -> _Reader:
    scalars = _scalars_of(expected)
    if scalars is not None:
        return _scalar_reader(expected, scalars)
    origin = typing.get_origin(expected)
    arguments = typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return _union_reader(arguments)
    if origin is tuple:
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return _sequence_reader(arguments[0])
        places = tuple(f"[{place}]" for place in range(len(arguments)))
        return _row_reader(f"tuple of {len(arguments)}", arguments, places, tuple, len(arguments))
    if origin is dict:
        return _dict_reader(*arguments)
    supertype = getattr(expected, "__supertype__", None)
    if supertype is not None:
        return _sized_reader(expected, _SIZES[expected]) if expected in _SIZES else _reader(supertype)
    if isinstance(expected, type) and dataclasses.is_dataclass(expected):
        return _dataclass_reader(expected)
    if isinstance(expected, type) and issubclass(expected, Enum):
        return _enum_reader(expected)
    raise AssertionError(f"{expected!r} cannot cross the wire")


def _scalars_of(expected: object) -> frozenset[type] | None:
    """The exact types that fit, where the annotation is a scalar or a union of scalars."""
    if typing.get_origin(expected) in (types.UnionType, typing.Union):
        options = typing.get_args(expected)
    else:
        options = (expected,)
    return frozenset(options) if all(option in _SCALARS for option in options) else None


def _all_of(kinds: frozenset[type], values: Iterable[object]) -> bool:
    return kinds.issuperset(map(type, values))


def _scalar_reader(expected: object, kinds: frozenset[type]) -> _Reader:
    name = _name_of(expected)

    def read(tree: object) -> object:
        if type(tree) in kinds:
            return tree
        raise _MisfitError(name, tree)

    return read


def _sized_reader(expected: object, size: int) -> _Reader:
    name = f"{_name_of(expected)} of {size} bytes"

    def read(tree: object) -> object:
        if type(tree) is bytes and len(tree) == size:
            return tree
        raise _MisfitError(name, tree)

    return read


def _enum_reader(expected: type[Enum]) -> _Reader:
    members = {(type(member.value), member.value): member for member in expected}

    def read(tree: object) -> object:
        try:
            return members[type(tree), tree]
        except (KeyError, TypeError):
            raise _MisfitError(expected.__name__, tree) from None

    return read


def _union_reader(options: tuple[object, ...]) -> _Reader:
    nullable = type(None) in options
    readers = tuple(_reader(option) for option in options if option is not type(None))
    assert readers

    def read(tree: object) -> object:
        if tree is None and nullable:
            return None
        failure: _MisfitError | None = None
        # Dataclasses of a union differ in shape (number or types of fields): only one can fit.
        for option in readers:
            try:
                return option(tree)
            except _MisfitError as misfit:
                failure = misfit
        assert failure is not None
        raise failure

    return readers[0] if len(readers) == 1 and not nullable else read


def _sequence_reader(item_type: object) -> _Reader:
    read_item = _reader(item_type)
    scalars = _scalars_of(item_type)

    def read(tree: object) -> object:
        if type(tree) is not tuple:
            raise _MisfitError("tuple", tree)
        if scalars is not None and _all_of(scalars, tree):
            return tree
        items: list[object] = []
        try:
            for item in tree:
                items.append(read_item(item))  # noqa: PERF401  (its length is the place of a misfit)
        except _MisfitError as misfit:
            misfit.path.append(f"[{len(items)}]")
            raise
        return tuple(items)

    return read


def _row_reader(
    name: str,
    item_types: tuple[object, ...],
    places: tuple[str, ...],
    make: Callable[[list[object]], object],
    least: int,
) -> _Reader:
    """Items of known number and types, `least` at least; `places` name them in the path of a misfit."""
    readers = tuple(_reader(item_type) for item_type in item_types)

    def read(tree: object) -> object:
        if type(tree) is not tuple or not least <= len(tree) <= len(readers):
            raise _MisfitError(name, tree)
        items: list[object] = []
        try:
            for read_item, item in zip(readers, tree, strict=False):
                items.append(read_item(item))
        except _MisfitError as misfit:
            misfit.path.append(places[len(items)])
            raise
        return make(items)

    return read


def _dataclass_reader(kind: type) -> _Reader:
    hints = typing.get_type_hints(kind)
    names = tuple(field.name for field in dataclasses.fields(kind))
    return _row_reader(
        f"{kind.__name__} of {len(names)} fields",
        tuple(hints[name] for name in names),
        tuple(f".{name}" for name in names),
        lambda row: kind(*row),
        _fields_always_there(kind),
    )


def _dict_reader(key_type: object, value_type: object) -> _Reader:
    read_key, read_value = _reader(key_type), _reader(value_type)
    keys, values = _scalars_of(key_type), _scalars_of(value_type)

    def read(tree: object) -> object:
        if type(tree) is not dict:
            raise _MisfitError("dict", tree)
        if keys and values and _all_of(keys, tree) and _all_of(values, tree.values()):
            return tree
        built: dict[object, object] = {}
        for key, value in tree.items():
            try:
                built[read_key(key)] = read_value(value)
            except _MisfitError as misfit:
                misfit.path.append(f"[{key!r:.80}]")
                raise
        return built

    return read
