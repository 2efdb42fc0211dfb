"""What an expression becomes and what its names mean; `compiling` has operators, `functions` the functions.

Evaluation can fail only as `ExpressionError` (overflow, division by zero) or as the protocol, market or price
that was asked refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from seawall.primitives.units import Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.strategies.scripts.kinds import Kind, Unit
from seawall.strategies.scripts.problems import ExpressionError, nearest, shown
from seawall.strategies.scripts.syntax import Name, Node, Text
from seawall.strategies.scripts.world import Feed, Needs, World

__all__ = ["Frame", "Run", "Scope", "Term", "constant", "folded", "require"]


@dataclass(slots=True)
class Frame:
    """One evaluation: a world, and values that were computed already."""

    world: World
    definitions: Mapping[str, Term]
    known: dict[str, int] = field(default_factory=dict)
    outer: Frame | None = None  # of a search: what does not depend on its variable is evaluated there, once

    def value(self, name: str) -> int:
        if name in self.known:
            return self.known[name]
        if self.outer is not None:
            return self.outer.value(name)
        try:
            self.known[name] = self.definitions[name].run(self)
        except RecursionError:
            raise ExpressionError(
                f"{name!r} and what it is made of build on each other too deeply", "use fewer `values`", 0
            ) from None
        return self.known[name]


Run = Callable[[Frame], int]


@dataclass(frozen=True, slots=True)
class Term:
    kind: Kind
    run: Run
    at: int
    constant: int | None = None  # what it is worth, where that is known without a block
    failure: ExpressionError | None = None  # why it can never have a value, where that is known already


@dataclass(slots=True)
class Scope:
    """What names mean, and how what they stand in becomes a term."""

    compile: Callable[[Node, Scope], Term]
    units: Mapping[str, Unit]
    adapters: Mapping[str, AnyAdapter]  # by the file's own short names too
    holders: Mapping[str, Address]  # `account`, `key`, and contracts of the address book
    feeds: Mapping[str, Feed]
    needs: Needs
    definitions: dict[str, Term] = field(default_factory=dict)  # variables and values
    outputs: dict[str, Unit] = field(default_factory=dict)  # known on chain only
    own_reads: dict[str, Kind] = field(default_factory=dict)
    is_searching: bool = False  # within an argmax

    def frame(self, world: World) -> Frame:
        return Frame(world, self.definitions)

    def term(self, node: Node) -> Term:
        """An argument, ready to be evaluated."""
        return self.compile(node, self)

    def unit(self, node: Node) -> Unit:
        """The token that an argument names."""
        if isinstance(node, Name):
            found = self.units.get(node.text)
            if found is not None:
                return found
            raise ExpressionError(
                f"there is no token {shown(node.text)}", nearest(node.text, self.units), node.at
            )
        raise ExpressionError("a token is expected here", "write its name in the address book", node.at)

    def adapter(self, node: Node) -> AnyAdapter:
        """The protocol that an argument names; it is read from now on."""
        name = node.text if isinstance(node, Name) else node.value if isinstance(node, Text) else None
        if name is None:
            raise ExpressionError("a protocol is expected here", "write its name", node.at)
        adapter = self.adapters.get(name)
        if adapter is None:
            raise ExpressionError(
                f"there is no protocol {shown(name)} on this chain", nearest(name, self.adapters), node.at
            )
        self.needs.adapters[adapter.name] = adapter
        return adapter

    def holder(self, node: Node) -> Address:
        name = node.text if isinstance(node, Name) else ""
        if name not in self.holders:
            raise ExpressionError(f"{shown(name)} is no address here", nearest(name, self.holders), node.at)
        return self.holders[name]


def constant(kind: Kind, value: int, at: int) -> Term:
    return Term(kind, lambda _: value, at, value)


def require(term: Term, kind: Kind, by: str) -> None:
    if term.kind != kind:
        raise ExpressionError(f"`{by}` needs {kind}, and this is {term.kind}", f"give {kind}", term.at)


def folded(kind: Kind, run: Run, at: int, *parts: Term) -> Term:
    """A term whose value is computed now where all its parts are known now."""
    failed = next((part.failure for part in parts if part.failure is not None), None)
    if failed is not None:
        return Term(kind, run, at, failure=failed)
    if any(part.constant is None for part in parts):
        return Term(kind, run, at)
    try:
        return constant(kind, run(_NOWHERE), at)
    except ExpressionError as error:
        return Term(kind, run, at, failure=error)


# What is known already looks at no frame.
_NOWHERE: Final = Frame.__new__(Frame)
