"""Strict reading of configuration tables: every refusal names the exact key, what stands there, and what
should.

A `Table` is told all its keys when it is made, so that a mistyped key is reported with the likeliest one
meant, before anything is reported missing. Defaults are texts of the format, so that a default goes through
the same checks.

Knows nothing of what the settings mean; that is `configuration`'s part.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Final, TypeVar

from seawall.primitives.errors import ConfigError, InputError, NativeError
from seawall.primitives.units import Address, address_from_text, token_amount

__all__ = ["ITEMS_MAX", "TEXT_CHARS_MAX", "Table", "is_name"]

TEXT_CHARS_MAX: Final = 4_096
ITEMS_MAX: Final = 1_000
_SHOWN_CHARS: Final = 60
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

E = TypeVar("E", bound=StrEnum)
T = TypeVar("T")


class Table:
    """One table of the configuration. A method's default of None means that the key is required."""

    def __init__(self, content: Mapping[str, object], where: str, known: Sequence[str]) -> None:
        self._content = content
        self.where = where
        for key in content:
            if key not in known:
                raise ConfigError("this key is not known", self.key(key), _suggestion(key, known))

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def key(self, name: str) -> str:
        """The full path of a key of this table."""
        return f"{self.where}.{name}" if self.where else name

    def text(self, name: str, default: str | None = None) -> str:
        return _text(self._value(name, default), self.key(name))

    def name(self, name: str) -> str:
        """A name that may stand in labels, lanes and file names."""
        value = self.text(name)
        if not is_name(value):
            raise ConfigError(
                f"{_shown(value)} is not a name",
                self.key(name),
                "use up to 64 of a-z, 0-9, - and _, starting with a letter or digit",
            )
        return value

    def texts(self, name: str, *, at_least: int = 0) -> list[tuple[str, str]]:
        """Pairs of (text, its full key)."""
        value = self._value(name, None if at_least else [])
        if not isinstance(value, list) or not at_least <= len(value) <= ITEMS_MAX:
            raise ConfigError(
                f"{_shown(value)} is not a list of texts",
                self.key(name),
                f'write ["...", "..."], {at_least} or more',
            )
        places = [f"{self.key(name)}[{place}]" for place in range(len(value))]
        return [(_text(item, place), place) for item, place in zip(value, places, strict=True)]

    def day(self, name: str) -> date:
        """A day of the calendar."""
        value = self._value(name, None)
        if isinstance(value, date) and not isinstance(value, datetime):
            return value
        try:
            return date.fromisoformat(value if isinstance(value, str) else "")
        except ValueError:
            raise ConfigError(
                f"{_shown(value)} is not a day", self.key(name), 'write it as "2026-01-31"'
            ) from None

    def integer(self, name: str, default: int | None = None, *, minimum: int, maximum: int) -> int:
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ConfigError(
                f"{_shown(value)} is not a whole number", self.key(name), "write digits, no quotes"
            )
        return self._within(name, value, minimum, maximum)

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._value(name, default)
        if not isinstance(value, bool):
            raise ConfigError(
                f"{_shown(value)} is neither true nor false", self.key(name), "write true or false"
            )
        return value

    def seconds(self, name: str, default: float | None = None, *, minimum: float, maximum: float) -> float:
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
            raise ConfigError(
                f"{_shown(value)} is not a number of seconds", self.key(name), "write for example 0.5"
            )
        return float(self._within(name, value, minimum, maximum))

    def amount(self, name: str, decimals: int, default: str | None = None) -> int:
        """A decimal amount, as text so that no digit is lost, in its smallest unit."""
        value = self._value(name, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str):
            raise ConfigError(
                f"{_shown(value)} is not an amount", self.key(name), 'write it in quotes, such as "1.5"'
            )
        return self._parsed(name, value, lambda text: token_amount(text, decimals))

    def address(self, name: str) -> Address:
        return self._parsed(name, self.text(name), address_from_text)

    def choice(self, name: str, options: type[E], default: E | None = None) -> E:
        value = self._value(name, default.value if default is not None else None)
        for option in options:
            if option.value == value:
                return option
        raise ConfigError(
            f"{_shown(value)} is not one of the choices", self.key(name), f"use {' or '.join(options)}"
        )

    def table(self, name: str, known: Sequence[str]) -> Table:
        """A table inside this one; empty where it is absent."""
        return Table(_mapping(self._value(name, {}), self.key(name)), self.key(name), known)

    def tables(self, name: str, known: Sequence[str]) -> list[Table]:
        """The tables of a list, written `[[name]]`."""
        value = self._value(name, [])
        if not isinstance(value, list) or len(value) > ITEMS_MAX:
            raise ConfigError(
                f"{_shown(value)} is not a list of tables",
                self.key(name),
                f"write [[{self.key(name)}]] for each",
            )
        places = [f"{self.key(name)}[{place}]" for place in range(len(value))]
        return [Table(_mapping(item, place), place, known) for item, place in zip(value, places, strict=True)]

    def mapping(self, name: str) -> Mapping[str, object]:
        """A table whose keys somebody else knows."""
        return _mapping(self._value(name, {}), self.key(name))

    def _value(self, name: str, default: object) -> object:
        value = self._content.get(name, default)
        if value is None:
            raise ConfigError("a required key is missing", self.key(name), "add it")
        return value

    def _within(self, name: str, value: T, minimum: float, maximum: float) -> T:
        if not minimum <= value <= maximum:  # type: ignore[operator]
            raise ConfigError(
                f"{_shown(value)} is out of range", self.key(name), f"give {minimum:,} to {maximum:,}"
            )
        return value

    def _parsed(self, name: str, text: str, parse: Callable[[str], T]) -> T:
        try:
            return parse(text)
        except (InputError, NativeError) as error:
            raise ConfigError(error.what, self.key(name), error.fix) from None


def is_name(text: str) -> bool:
    """Whether it may stand in labels, lanes and file names."""
    return _NAME.fullmatch(text) is not None


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value or len(value) > TEXT_CHARS_MAX:
        raise ConfigError(f"{_shown(value)} is not a text", where, 'write it in quotes, such as "..."')
    return value


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ConfigError(f"{_shown(value)} is not a table", where, f"write [{where}] and its keys below")
    return value


def _suggestion(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(sorted(known))}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "..."
