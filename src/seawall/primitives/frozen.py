"""Frozen messages that are made as quickly as mutable ones.

A frozen dataclass sets each of its fields through `object.__setattr__`, some 80 ns each, where an assignment
to a slot takes 5: with hundreds of fields an intent, that is a fair part of what an intent costs. Here an
instance is made as a mutable twin of the class, with the same slots, whose fields are plainly assigned; then
it becomes what it is, by `__class__`, and is frozen from there on. Nobody ever sees the twin.

    @made_quickly
    @dataclass(frozen=True, slots=True)
    class Message: ...

Everything else stays as the dataclass has it: equality, hash, order, `replace`, `__post_init__`, pattern
matching, copies. It is for classes with slots, without bases, whose fields are arguments by position, or
follow from these and are set by `__post_init__`. What is made rarely does not need it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Final, TypeVar

__all__ = ["made_quickly"]

T = TypeVar("T")

_DEFAULT: Final = "default_of_"
_MISSING: Final = dataclasses.MISSING


def made_quickly(kind: type[T]) -> type[T]:
    """Give a frozen dataclass with slots a constructor that assigns its fields before it is frozen."""
    slots = dataclasses.fields(kind)  # type: ignore[arg-type]
    fields = [field for field in slots if field.init]
    _require_simple(kind, fields)
    names = [field.name for field in fields]
    slot_names = tuple(field.name for field in slots)
    twin = type(kind.__name__, (), {"__slots__": slot_names, "__module__": kind.__module__})
    known: dict[str, Any] = {"make": object.__new__, "twin": twin, "missing": _MISSING}
    lines = []
    for field in fields:
        value = field.name
        if field.default is not _MISSING:
            known[f"{_DEFAULT}{field.name}"] = field.default
        if field.default_factory is not _MISSING:
            known[f"{_DEFAULT}{field.name}"] = _MISSING
            known[f"make_{field.name}"] = field.default_factory
            value = f"make_{value}() if {value} is missing else {value}"
        lines.append(f"self.{field.name} = {value}")
    given = [f"{n}={_DEFAULT}{n}" if f"{_DEFAULT}{n}" in known else n for n in names]
    lines.append("self.__class__ = cls")
    if hasattr(kind, "__post_init__"):
        lines.append("self.__post_init__()")
    source = [f"def __new__(cls, {', '.join(given)}):", "    self = make(twin)"]
    exec("\n".join((*source, *(f"    {line}" for line in lines), "    return self")), known)  # noqa: S102  (names of our own fields)
    constructor: Callable[..., T] = known["__new__"]
    constructor.__qualname__ = f"{kind.__qualname__}.__new__"
    changed: Any = kind
    changed.__new__ = constructor
    changed.__getnewargs__ = _values_of(names)
    del changed.__init__
    return kind


def _require_simple(kind: type, fields: list[dataclasses.Field[Any]]) -> None:
    assert kind.__bases__ == (object,), f"{kind.__name__} has bases"
    assert "__slots__" in vars(kind), f"{kind.__name__} has no slots"
    assert "__setattr__" in vars(kind), f"{kind.__name__} is not frozen"
    for field in fields:
        assert not field.kw_only, f"{kind.__name__}.{field.name} is given by name only"
    assert len(fields) == len(kind.__match_args__), f"{kind.__name__} has arguments that are no fields"  # type: ignore[attr-defined]


def _values_of(names: list[str]) -> Callable[[object], tuple[object, ...]]:
    """For copies, which call `__new__` before they set the state."""

    def values(self: object) -> tuple[object, ...]:
        return tuple([getattr(self, name) for name in names])

    return values
