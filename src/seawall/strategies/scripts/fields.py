"""Reading a tree's keys strictly: unknown keys suggest the nearest, and every problem is noted, not raised.

A `Section` is told all its keys when it is made. What cannot be read is answered with None and stands in
`Notes`; whoever assembles the script raises once, at the end, with all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from seawall.primitives.errors import SeawallError
from seawall.strategies.scripts.documents import Entry, Listed, Scalar, Table, Tree
from seawall.strategies.scripts.kinds import Kind
from seawall.strategies.scripts.problems import (
    PROBLEMS_MAX,
    ExpressionError,
    Place,
    Problem,
    ScriptError,
    nearest,
    shown,
)
from seawall.strategies.scripts.syntax import KEYWORDS, parse
from seawall.strategies.scripts.terms import Scope, Term

__all__ = ["NAME", "Notes", "Section"]

NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,63}")
_DIGITS: Final = re.compile(r"[0-9](?:_?[0-9]){0,17}")

E = TypeVar("E", bound=StrEnum)


class Notes:
    """Problems so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def add(self, place: Place, what: str, fix: str) -> None:
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(Problem(what, place, fix))

    def add_error(self, place: Place, error: SeawallError) -> None:
        self.add(place, error.what, error.fix or "correct it")

    def raise_if_any(self) -> None:
        if self.problems:
            raise ScriptError(self.problems)

    # ------------------------------------------------------------------ values

    def text(self, tree: Tree, what: str = "a text") -> str | None:
        if isinstance(tree, Scalar) and tree.text:
            return tree.text
        self.add(tree.place, f"{what} is expected here", f"write {what}")
        return None

    def choice(self, tree: Tree, kind: type[E]) -> E | None:
        text = self.text(tree, "a word")
        if text is None:
            return None
        if text not in tuple(kind):
            self.add(tree.place, f"{shown(text)} is not known here", nearest(text, tuple(kind)))
            return None
        return kind(text)

    def integer(self, tree: Tree, low: int, high: int) -> int | None:
        """A whole number as it is; where an expression may stand, `term` reads it."""
        text = tree.text if isinstance(tree, Scalar) else ""
        if not _DIGITS.fullmatch(text) or not low <= int(text.replace("_", "")) <= high:
            self.add(tree.place, f"{shown(text)} is no whole number from {low} to {high}", "write digits")
            return None
        return int(text.replace("_", ""))

    def term(self, tree: Tree, scope: Scope, kind: Kind | None = None) -> Term | None:
        """The expression that stands here, of `kind` if that is given."""
        if not isinstance(tree, Scalar) or not tree.text:
            self.add(tree.place, "an expression is expected here", "write for example 10 weth")
            return None
        try:
            term = scope.term(parse(tree.text))
            if term.failure is not None:
                raise term.failure
            if kind is not None and term.kind != kind:
                raise ExpressionError(f"this is {term.kind}, not {kind}", f"give {kind}", 0)
        except ExpressionError as error:
            self.add(tree.place_at(error.at), error.what, error.fix)
            return None
        return term

    def new_name(self, name: str, place: Place, taken: Iterable[str]) -> bool:
        """Whether `name` may be given to something new."""
        if not NAME.fullmatch(name) or name in KEYWORDS:
            self.add(
                place,
                f"{shown(name)} is not a name",
                "use up to 64 of a-z, 0-9 and _, starting with a letter",
            )
        elif name in taken:
            self.add(place, f"{name!r} names something else already", "choose another name")
        else:
            return True
        return False


class Section:
    """One table of the file."""

    def __init__(self, table: Table, known: Sequence[str], notes: Notes) -> None:
        self.place = table.place
        self.notes = notes
        self._entries = table.entries
        for name, entry in table.entries.items():
            if name not in known:
                notes.add(entry.place, f"the key {shown(name)} is not known here", nearest(name, known))

    @classmethod
    def of(cls, tree: Tree | None, known: Sequence[str], notes: Notes) -> Section | None:
        """None where there is no table; that is noted, unless nothing stands there at all."""
        if isinstance(tree, Table):
            return cls(tree, known, notes)
        if tree is not None:
            notes.add(tree.place, "a table is expected here", f"write keys such as {', '.join(known[:4])}")
        return None

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def get(self, name: str) -> Tree | None:
        entry = self._entries.get(name)
        return None if entry is None else entry.value

    def require(self, name: str, example: str) -> Tree | None:
        if name not in self._entries:
            self.notes.add(self.place, f"the key {name!r} is missing", f"write {name}: {example}")
        return self.get(name)

    def place_of(self, name: str) -> Place:
        entry = self._entries.get(name)
        return self.place if entry is None else entry.place

    def text(self, name: str, example: str = "...") -> str | None:
        tree = self.require(name, example)
        return None if tree is None else self.notes.text(tree)

    def optional_text(self, name: str, default: str = "") -> str:
        tree = self.get(name)
        return default if tree is None else self.notes.text(tree) or default

    def integer(self, name: str, default: int, low: int, high: int) -> int:
        tree = self.get(name)
        found = default if tree is None else self.notes.integer(tree, low, high)
        return default if found is None else found

    def choice(self, name: str, default: E) -> E:
        tree = self.get(name)
        return default if tree is None else self.notes.choice(tree, type(default)) or default

    def term(self, name: str, scope: Scope, kind: Kind, example: str) -> Term | None:
        tree = self.require(name, example)
        return None if tree is None else self.notes.term(tree, scope, kind)

    def optional_term(self, name: str, scope: Scope, kind: Kind) -> Term | None:
        tree = self.get(name)
        return None if tree is None else self.notes.term(tree, scope, kind)

    def entries(self, name: str) -> Mapping[str, Entry]:
        """Of a table whose keys are free."""
        tree = self.get(name)
        if isinstance(tree, Table):
            return tree.entries
        if tree is not None:
            self.notes.add(tree.place, "a table is expected here", "write `name: value` lines")
        return {}

    def items(self, name: str) -> tuple[Tree, ...]:
        tree = self.get(name)
        if isinstance(tree, Listed):
            return tree.items
        if tree is not None:
            self.notes.add(tree.place, "a list is expected here", "write lines that begin with `- `")
        return ()
