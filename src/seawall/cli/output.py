"""How commands speak: tables and sentences for people, one JSON document for programs, errors in three parts.

Results go to standard output; errors, progress and remarks to standard error. Exit codes: 0 done, 1 the
operation failed, 2 the input is unusable. With `--json`, amounts in wei are strings (a double cannot hold
them), addresses have their checksum, bytes are 0x hex.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from seawall.native.errors import NativeError, SeawallError
from seawall.primitives.errors import InputError

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = [
    "EXIT_FAILED",
    "EXIT_INPUT",
    "Json",
    "JsonOption",
    "exit_code_of",
    "print_error",
    "print_facts",
    "print_json",
    "print_line",
    "print_table",
    "progress",
]

EXIT_FAILED: Final = 1
EXIT_INPUT: Final = 2
_WIDTH_UNBOUNDED: Final = 4_096

# What a JSON document is made of here: no floats, so nothing is rounded.
Json: TypeAlias = "bool | int | str | Sequence[Json] | Mapping[str, Json] | None"
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def print_json(document: Json) -> None:
    import orjson

    option = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    sys.stdout.write(orjson.dumps(document, option=option).decode())
    sys.stdout.flush()


def print_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def print_facts(facts: Mapping[str, object]) -> None:
    """Names and values below each other."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        print_line(f"{name:<{width}}  {value}")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
    """Rows under their columns; the sentence `empty` where there are none."""
    if not rows:
        print_line(empty)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    _print_rich(table)


def print_error(error: SeawallError, *, as_json: bool) -> None:
    """What was wrong, where, and what to do."""
    if as_json:
        import orjson

        content = {"what": error.what, "where": error.where, "fix": error.fix}
        sys.stderr.write(orjson.dumps({"error": content}, option=orjson.OPT_APPEND_NEWLINE).decode())
        return
    sys.stderr.write(f"error: {error.what}\n")
    if error.where:
        sys.stderr.write(f"   at: {error.where}\n")
    if error.fix:
        sys.stderr.write(f"  fix: {error.fix}\n")


def exit_code_of(error: SeawallError) -> int:
    return EXIT_INPUT if isinstance(error, InputError | NativeError) else EXIT_FAILED


@contextlib.contextmanager
def progress(text: str, *, quiet: bool) -> Iterator[None]:
    """Show that something long goes on, to a person at a terminal."""
    if quiet or not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def _print_rich(renderable: RenderableType) -> None:
    from rich.console import Console

    # A reader that is not a terminal has no width to fit into: nothing may be cut for it.
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else _WIDTH_UNBOUNDED).print(renderable)
