"""Canonical bytes of messages: msgpack arrays in field order, with integers of any size.

One encoding serves frames, stored state and digests, so that what was hashed is what was sent. Integers
that do not fit 63 bits are msgpack extension 1 (sign byte, then big-endian magnitude). Dataclasses are
extension-free arrays of their fields; the reader knows the type it expects, so a frame cannot choose what is
built.

For each type a maker of its plain form and a reader are compiled once, from its annotations: an observation
of thousands of reads costs milliseconds, not tens of them. The maker looks at what each field really holds,
so an annotation decides how fast something is packed and never what is packed. Where bytes do not fit, the
path to the field is put together on the way out.
"""

from __future__ import annotations

import dataclasses
import threading
import types
import typing
from collections.abc import Callable, Iterable
from enum import Enum, IntEnum, StrEnum
from functools import partial
from typing import Final, TypeVar, cast

import msgpack

from seawall.native import keccak256
from seawall.primitives.errors import WireError
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Payload

__all__ = ["pack", "payload_digest", "plan_digest", "unpack"]

T = TypeVar("T")
_Reader = Callable[[object], object]
_Maker = Callable[[typing.Any], object]

_BIG_INT: Final = 1
_SMALL_MAX: Final = 2**63 - 1
_BIG_INT_BYTES_MAX: Final = 33
_KEY_PLACE: Final = [field.name for field in dataclasses.fields(Plan)].index("idempotency_key")
_BUFFER_BYTES: Final = 4096  # of a message, to begin with: most are smaller
_BUFFER_KEPT_BYTES: Final = 65_536  # a buffer that grew beyond it is given back
_AS_IS: Final = frozenset((bytes, str, bool, type(None)))
_SCALARS: Final = frozenset((int, bool, bytes, str, type(None)))
# Both hold one entry for each type of message that this program knows, and no more.
_MAKERS: Final[dict[type, _Maker]] = {}
_READERS: Final[dict[object, _Reader]] = {}
_SIZES: Final[dict[object, int]] = {Address: 20, Hash: 32}
_UNSAID: Final = (None, False, b"")  # what a field of a tail says while it says nothing
# Its constructor checks what is known here, at several times the cost of making it.
_extension_of: Final[Callable[[tuple[int, bytes]], object]] = partial(tuple.__new__, msgpack.ExtType)


class _Packer(threading.local):
    """One packer a thread, with its buffer: to make one costs as much as to pack a small message."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        packer = msgpack.Packer(use_bin_type=True, strict_types=True, buf_size=_BUFFER_BYTES)
        self.pack: Callable[[object], bytes] = packer.pack


_PACKER: Final = _Packer()


def _to_bytes(tree: object) -> bytes:
    data = _PACKER.pack(tree)
    if len(data) > _BUFFER_KEPT_BYTES:
        _PACKER.renew()
    return data


def pack(message: object) -> bytes:
    """Canonical bytes of a message dataclass (or of the scalars and tuples inside one)."""
    return _to_bytes(_plain(message))


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
    fields = cast("list[object]", _plain(plan))
    fields[_KEY_PLACE] = "-"
    return Hash(keccak256(b"seawall.plan.1" + _to_bytes(fields)))


def payload_digest(payload: Payload) -> Hash:
    """Identity of chain, sender, target, data, value and gas limit."""
    numbers = payload.chain_id, payload.value_wei, payload.gas_limit
    chain_id, value_wei, gas_limit = map(_plain_int, numbers)
    fields = [chain_id, payload.sender, payload.to, payload.data, value_wei, gas_limit]
    return Hash(keccak256(b"seawall.payload.1" + _to_bytes(fields)))  # as of `pack`, at half its cost


def _plain(value: object) -> object:
    """What msgpack packs as it stands: bytes, text, small integers, extensions, and lists of these."""
    kind = type(value)
    if kind in _AS_IS:
        return value
    if kind is int:
        return _plain_int(cast(int, value))
    if kind is tuple or kind is list:
        return _plain_all(cast("tuple[object, ...]", value))
    if kind is dict:
        return {key: _plain(item) for key, item in sorted(cast("dict[str, object]", value).items())}
    return _maker_of(kind)(value)


def _plain_all(values: Iterable[object]) -> list[object]:
    """Most of a message is bytes, text and small integers: those cost no call."""
    plain: list[object] = []
    for value in values:
        kind = type(value)
        if kind in _AS_IS or (kind is int and -_SMALL_MAX <= cast(int, value) <= _SMALL_MAX):
            plain.append(value)
        else:
            plain.append(_plain(value))
    return plain


def _plain_int(value: int) -> object:
    if -_SMALL_MAX <= value <= _SMALL_MAX:
        return value
    size = (value.bit_length() + 7) // 8
    if size >= _BIG_INT_BYTES_MAX:
        raise WireError("an integer of more than 256 bits", "codec", "no quantity on chain is that large")
    sign = b"\x01" if value < 0 else b"\x00"
    return _extension_of((_BIG_INT, sign + abs(value).to_bytes(size, "big")))


def _maker_of(kind: type) -> _Maker:
    """What makes the plain form of values of exactly this type; compiled at its first."""
    if kind not in _MAKERS:
        _MAKERS[kind] = _compiled_maker(kind)
    return _MAKERS[kind]


def _compiled_maker(kind: type) -> _Maker:
    if dataclasses.is_dataclass(kind):
        return _dataclass_maker(kind)
    if issubclass(kind, StrEnum | IntEnum):
        return lambda member: member._value_
    raise WireError(
        f"{kind.__name__} has no canonical form", "codec", "send only messages of seawall.primitives"
    )


def _dataclass_maker(kind: type) -> _Maker:
    """One function over all fields, as one would write it by hand. What a field holds that its annotation
    does not lead to expect goes through `_plain`."""
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    names = [field.name for field in fields]
    known: dict[str, object] = {"plain": _plain}
    forms = [_form_of(f"v{place}", hints[name], known) for place, name in enumerate(names)]
    lines = [f"    v{place} = m.{name}" for place, name in enumerate(names)]
    least = _fields_always_there(kind)
    for place in range(least, len(names)):
        unsaid = " and ".join(
            _unsaid(f"v{later}", fields[later].default) for later in range(place, len(names))
        )
        lines.append(f"    if {unsaid}: return [{', '.join(forms[:place])}]")
    source = "\n".join(("def make(m):", *lines, f"    return [{', '.join(forms)}]"))
    exec(source, known)  # noqa: S102  (made of the field names of our own classes)
    return cast(_Maker, known["make"])


def _unsaid(value: str, default: object) -> str:
    return f"{value} is None" if default is None else f"{value} == {default!r}"


def _fields_always_there(kind: type) -> int:
    """How many fields every message of this type has; those after them may be left off."""
    fields = dataclasses.fields(kind)
    tail = [field for field in fields if field.metadata.get("tail")]
    assert all(field.default in _UNSAID for field in tail), f"a tail of {kind.__name__} defaults to nothing"
    assert list(fields[len(fields) - len(tail) :]) == tail, f"a tail of {kind.__name__} is not at its end"
    return len(fields) - len(tail)


def _form_of(value: str, hint: object, known: dict[str, object]) -> str:
    """The expression for the plain form of `value`; the classes that it names are put into `known`."""
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        options = typing.get_args(hint)
        if len(options) == 2 and options[1] is type(None):
            return f"(None if {value} is None else {_form_of(value, options[0], known)})"
        return f"plain({value})"
    arguments = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        item = _form_of("i", arguments[0], known) if value != "i" else "plain(i)"
        return f"([{item} for i in {value}] if type({value}) is tuple else plain({value}))"
    kind = getattr(hint, "__supertype__", hint)
    if not isinstance(kind, type):
        return f"plain({value})"
    condition = f"type({value}) is {kind.__name__}"
    if kind is int:
        form, condition = value, f"{condition} and -{_SMALL_MAX} <= {value} <= {_SMALL_MAX}"
    elif kind in _AS_IS:
        form = value
    elif issubclass(kind, StrEnum | IntEnum):
        form = f"{value}._value_"
    elif dataclasses.is_dataclass(kind):
        form = f"make_{kind.__name__}({value})"
        known[f"make_{kind.__name__}"] = _maker_of(kind)
    else:
        return f"plain({value})"
    known[kind.__name__] = kind
    return f"({form} if {condition} else plain({value}))"


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
