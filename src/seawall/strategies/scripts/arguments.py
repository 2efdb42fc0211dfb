"""Arguments of a raw call, checked against its signature: words, arrays and tuples.

Flow: the types of the signature -> the list in the file is taken apart along them -> values of a `Frame`, and
the words of the call data that measured amounts are written over. Where those are follows from
the lengths of the lists alone, so it is found at load: the call is encoded with nothing, and once with a one
in each measured place.

Not done: `bytes`, `string` and `bytesN`, which no expression makes; lists within lists within lists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from seawall.native import AbiValue, encode_call
from seawall.primitives.errors import EncodingError, NativeError
from seawall.primitives.units import ZERO_ADDRESS
from seawall.protocols.executor.encoding import HEAD_WORDS_MAX
from seawall.protocols.executor.operations import Measured, Splice
from seawall.strategies.composing import Outcome
from seawall.strategies.scripts.documents import Listed, Scalar, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.kinds import Base
from seawall.strategies.scripts.problems import ExpressionError, shown
from seawall.strategies.scripts.signatures import (
    AbiType,
    Several,
    Single,
    depth_of,
    parameters_of,
    type_of,
)
from seawall.strategies.scripts.syntax import Name
from seawall.strategies.scripts.terms import Frame, Scope

__all__ = ["ITEMS_MAX", "NESTING_MAX", "Arguments", "read_arguments"]

# Items of one array.
ITEMS_MAX: Final = 64
# Lists in each other: an array of arrays, an array of tuples, a tuple with arrays.
NESTING_MAX: Final = 2
_SELECTOR_BYTES: Final = 4
_WORD_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class _Leaf:
    """One value. `nothing` stands for it where only the layout matters."""

    run: Callable[[Frame], AbiValue]
    nothing: AbiValue
    measured: Scalar | None = None  # names the step's outcome that is written over it on chain


_Node = _Leaf | tuple["_Node", ...]


@dataclass(frozen=True, slots=True)
class Arguments:
    """Of one call: its data but for what is measured, and where that goes."""

    signature: str
    values: tuple[_Node, ...]
    words: tuple[tuple[int, str], ...]  # behind the selector, and what is written there

    def data(self, frame: Frame) -> bytes:
        return encode_call(self.signature, _made(self.values, lambda leaf: leaf.run(frame)))

    def splices(self, outcomes: Mapping[str, Outcome]) -> tuple[Splice, ...]:
        return tuple(Splice(word, Measured(outcomes[name].name)) for word, name in self.words)


def read_arguments(section: Section, scope: Scope, notes: Notes) -> Arguments | None:
    """What `function` and `arguments` of a step say; None where a problem was noted."""
    signature = section.text("function", "deposit()")
    items = section.items("arguments")
    names = None if signature is None else parameters_of(signature)
    kinds = [type_of(name) for name in names or ()]
    known = [kind for kind in kinds if kind is not None]
    if signature is None:
        return None
    if names is None or len(known) != len(kinds):
        wrong = next((name for name, kind in zip(names or (), kinds, strict=False) if kind is None), "")
        what = f"{shown(wrong)} is no type of the ABI" if wrong else f"{shown(signature)} is no function"
        notes.add(section.place_of("function"), what, "write name(type,type), with uint256 and not uint")
        return None
    if any(depth_of(kind) > NESTING_MAX for kind in known):
        notes.add(
            section.place_of("function"),
            f"lists are nested deeper than {NESTING_MAX}",
            "use an adapter, or write the strategy in Python",
        )
        return None
    if len(items) != len(known):
        notes.add(
            section.place_of("arguments"),
            f"the function takes {len(known)} arguments, and {len(items)} are given",
            "give one for each type",
        )
        return None
    values = _Reader(scope, notes).together(items, known)
    if values is None:
        return None
    try:
        return Arguments(signature, values, tuple(_words(signature, values, notes)))
    except (EncodingError, NativeError) as error:
        notes.add_error(section.place_of("function"), error)
        return None


class _Reader:
    """Reads values along their types; what is wrong is noted with its place."""

    def __init__(self, scope: Scope, notes: Notes) -> None:
        self._scope = scope
        self._notes = notes

    def together(self, trees: Sequence[Tree], kinds: Sequence[AbiType]) -> tuple[_Node, ...] | None:
        nodes = [self._value(tree, kind) for tree, kind in zip(trees, kinds, strict=True)]
        found = tuple(node for node in nodes if node is not None)
        return found if len(found) == len(nodes) else None

    def _value(self, tree: Tree, kind: AbiType) -> _Node | None:
        if isinstance(kind, Single):
            return self._single(tree, kind.name)
        what = "an array" if isinstance(kind, Several) else "a tuple"
        if not isinstance(tree, Listed):
            self._notes.add(tree.place, f"{what} is expected here", "write a list: [a, b]")
            return None
        length = kind.length if isinstance(kind, Several) else len(kind.parts)
        if length is not None and len(tree.items) != length:
            told = f"{what} of {length} is expected here, and {len(tree.items)} are given"
            self._notes.add(tree.place, told, "give exactly that many")
            return None
        if len(tree.items) > ITEMS_MAX:
            self._notes.add(tree.place, f"more than {ITEMS_MAX} items", "make several calls")
            return None
        inner = [kind.inner] * len(tree.items) if isinstance(kind, Several) else kind.parts
        return self.together(tree.items, inner)

    def _single(self, tree: Tree, kind: str) -> _Leaf | None:
        if not isinstance(tree, Scalar):
            self._notes.add(tree.place, f"one value is expected here, of type {kind}", "give no list")
            return None
        if kind == "address":
            return self._address(tree)
        is_number = kind.startswith(("uint", "int"))
        if is_number and tree.text in self._scope.outputs:
            return _Leaf(lambda _: 0, 0, tree)
        if not is_number and kind != "bool":
            self._notes.add(
                tree.place, f"arguments of type {kind} cannot be written here", "use an adapter, or Python"
            )
            return None
        return self._expression(tree, kind)

    def _address(self, tree: Scalar) -> _Leaf | None:
        try:
            address = self._scope.holder(Name(tree.text, 0))
        except ExpressionError as error:
            self._notes.add(tree.place, error.what, error.fix)
            return None
        return _Leaf(lambda _: address, ZERO_ADDRESS)

    def _expression(self, tree: Scalar, kind: str) -> _Leaf | None:
        term = self._notes.term(tree, self._scope)
        if term is None:
            return None
        if (kind == "bool") != (term.kind.base is Base.BOOL):
            self._notes.add(tree.place, f"this is {term.kind}, not {kind}", f"give {kind}")
            return None
        if kind == "bool":
            return _Leaf(lambda frame: bool(term.run(frame)), False)
        if term.constant is not None and not _fits(term.constant, kind):
            self._notes.add(tree.place, f"{term.constant} does not fit {kind}", "check its sign and size")
            return None
        return _Leaf(term.run, 0)


def _fits(number: int, kind: str) -> bool:
    bits = int(kind.removeprefix("u").removeprefix("int"))
    low, high = (0, 1 << bits) if kind.startswith("u") else (-(1 << bits - 1), 1 << bits - 1)
    return low <= number < high


def _words(signature: str, values: tuple[_Node, ...], notes: Notes) -> Iterator[tuple[int, str]]:
    """Where the data changes when a measured value does."""
    plain = encode_call(signature, _made(values, lambda leaf: leaf.nothing))
    for leaf in _leaves(values):
        if leaf.measured is None:
            continue
        marked = encode_call(signature, _made(values, partial(_marked, leaf)))
        at = next(place for place, (a, b) in enumerate(zip(plain, marked, strict=True)) if a != b)
        word = (at - _SELECTOR_BYTES) // _WORD_BYTES
        if word >= HEAD_WORDS_MAX:
            notes.add(
                leaf.measured.place,
                f"what is measured would be word {word} of the call",
                f"the executor writes to the first {HEAD_WORDS_MAX}: give fewer items before it",
            )
        yield word, leaf.measured.text


def _marked(measured: _Leaf, leaf: _Leaf) -> AbiValue:
    return 1 if leaf is measured else leaf.nothing


def _leaves(node: _Node) -> Iterator[_Leaf]:
    if isinstance(node, _Leaf):
        yield node
    else:
        for one in node:
            yield from _leaves(one)


def _made(values: tuple[_Node, ...], of: Callable[[_Leaf], AbiValue]) -> tuple[AbiValue, ...]:
    return tuple([of(value) if isinstance(value, _Leaf) else _made(value, of) for value in values])
