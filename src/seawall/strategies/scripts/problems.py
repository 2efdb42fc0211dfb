"""What is wrong with a strategy file, and where: file, line, column, key, and what to write instead.

A loader notes every problem that it meets and goes on, so that a person sees all of them at once;
`ScriptError` carries them. `ExpressionError` knows only its offset in an expression; whoever holds the
expression's place turns it into a `Problem`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from typing_extensions import override

from seawall.primitives.errors import InputError

__all__ = ["PROBLEMS_MAX", "ExpressionError", "Place", "Problem", "ScriptError", "nearest", "shown"]

# Further ones mostly follow from the first.
PROBLEMS_MAX: Final = 50
_SHOWN_CHARS: Final = 60
_NAMED_MAX: Final = 12


@dataclass(frozen=True, slots=True)
class Place:
    """A spot in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int
    key: str = ""  # `steps[1].swap.amount`; empty: the file itself

    @override
    def __str__(self) -> str:
        spot = f"{self.file}:{self.line}:{self.column}"
        return f"{spot}, key {self.key}" if self.key else spot


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake."""

    what: str
    place: Place
    fix: str

    @override
    def __str__(self) -> str:
        return f"{self.place}: {self.what}; {self.fix}"


class ScriptError(InputError):
    """A strategy file is unusable, or cannot be acted on now; `problems` are in the order of the file."""

    problems: tuple[Problem, ...]

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda one: (one.place.line, one.place.column)))
        first = self.problems[0]
        more = len(self.problems) - 1
        super().__init__(
            f"{first.what} (and {more} more)" if more else first.what, str(first.place), first.fix
        )


class ExpressionError(InputError):
    """An expression is malformed, of the wrong kind, or has no value now. `at` is an offset in its text."""

    at: int

    def __init__(self, what: str, fix: str, at: int) -> None:
        super().__init__(what, "", fix)
        self.at = at


def nearest(name: str, known: Iterable[str]) -> str:
    """What to write in place of a name that nobody knows."""
    names = sorted({str(one) for one in known})
    close = difflib.get_close_matches(name, names, 1)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return "there are none here: leave it out"
    listed = ", ".join(names[:_NAMED_MAX])
    return f"use one of {listed}" + (" ..." if len(names) > _NAMED_MAX else "")


def shown(value: object) -> str:
    """A value in a message: never longer than a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
