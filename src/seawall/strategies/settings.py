"""Strict settings: a JSON object becomes a frozen dataclass, or a `ConfigError` names the key that is wrong.

Fields may be str, bool, int, `Address`, a tuple of these, or another settings dataclass. Amounts often
exceed what configuration formats carry as integers, so an int may also be written as digits in a string
(`"10_000"`).
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Mapping
from typing import TypeVar

from seawall.primitives.errors import ConfigError, InputError, NativeError
from seawall.primitives.units import Address, address_from_text

__all__ = ["parse_settings"]

T = TypeVar("T")

_DIGITS = re.compile(r"-?[0-9]+(_[0-9]+)*")


def parse_settings(kind: type[T], settings: Mapping[str, object], where: str) -> T:
    """Build the settings dataclass `kind`; `where` is the key under which `settings` stands.

    A `kind` whose `__post_init__` raises `ConfigError` has the last word on values.
    """
    assert dataclasses.is_dataclass(kind)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    unknown = sorted(set(settings) - set(fields))
    if unknown:
        known = ", ".join(sorted(fields))
        raise ConfigError(f"unknown setting {unknown[0]!r}", where, f"known are: {known}")
    values: dict[str, object] = {}
    for name, field in fields.items():
        if name in settings:
            values[name] = _value(hints[name], settings[name], f"{where}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError("a required setting is missing", f"{where}.{name}", "add it")
    return kind(**values)


def _value(kind: object, raw: object, where: str) -> object:
    if kind is Address:
        return _address(raw, where)
    if kind is int:
        return _integer(raw, where)
    if kind is bool or kind is str:
        if type(raw) is not kind:
            raise _misfit("true or false" if kind is bool else "a text", raw, where)
        return raw
    if typing.get_origin(kind) is tuple:
        if not isinstance(raw, list | tuple):
            raise _misfit("a list", raw, where)
        item_kind = typing.get_args(kind)[0]
        return tuple(_value(item_kind, item, f"{where}[{place}]") for place, item in enumerate(raw))
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(raw, Mapping):
            raise _misfit("a table", raw, where)
        return parse_settings(kind, raw, where)
    raise AssertionError(f"settings cannot have a field of type {kind!r}")


def _integer(raw: object, where: str) -> int:
    if isinstance(raw, str) and _DIGITS.fullmatch(raw) and len(raw) <= 100:
        return int(raw)
    if isinstance(raw, bool) or not isinstance(raw, int):
        raise _misfit("a whole number", raw, where)
    return raw


def _address(raw: object, where: str) -> Address:
    if not isinstance(raw, str):
        raise _misfit("an address", raw, where)
    try:
        return address_from_text(raw)
    except (InputError, NativeError) as error:
        raise ConfigError(error.what, where, error.fix or "give 0x and 40 hex digits") from None


def _misfit(expected: str, raw: object, where: str) -> ConfigError:
    return ConfigError(f"{type(raw).__name__} {str(raw)[:40]!r} is not {expected}", where, f"give {expected}")
