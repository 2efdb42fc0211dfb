"""Functions and events written as `name(type,type)`, and their types as trees.

parameters_of("f(uint256,(address,bool)[2])") -> ("uint256", "(address,bool)[2]")
type_of("(address,bool)[2]")                  -> Several(Group((Single("address"), Single("bool"))), 2)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["AbiType", "Group", "Several", "Single", "depth_of", "parameters_of", "type_of"]

_SIGNATURE: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}\(([A-Za-z0-9_,()\[\]]{0,500})\)")
_PARAMETERS_MAX: Final = 32
_LENGTH: Final = re.compile(r"(.+)\[([1-9][0-9]{0,2})?\]")
_ELEMENTARY: Final = frozenset(
    [
        *("address", "bool", "bytes", "string"),
        *(f"{sign}int{bits}" for sign in ("", "u") for bits in range(8, 257, 8)),
        *(f"bytes{size}" for size in range(1, 33)),
    ]
)


@dataclass(frozen=True, slots=True)
class Single:
    """One value."""

    name: str  # `uint256`


@dataclass(frozen=True, slots=True)
class Several:
    """An array: of `length`, or of any."""

    inner: AbiType
    length: int | None


@dataclass(frozen=True, slots=True)
class Group:
    """A tuple."""

    parts: tuple[AbiType, ...]


AbiType = Single | Several | Group


def parameters_of(signature: str) -> tuple[str, ...] | None:
    """The types at the outermost level; None for what is no signature."""
    match = _SIGNATURE.fullmatch(signature)
    return None if match is None else _parts(match.group(1))


def type_of(text: str) -> AbiType | None:
    """None for what no ABI names."""
    if text in _ELEMENTARY:
        return Single(text)
    match = _LENGTH.fullmatch(text)
    if match is not None:
        inner = type_of(match.group(1))
        return None if inner is None else Several(inner, int(match.group(2)) if match.group(2) else None)
    if not (text.startswith("(") and text.endswith(")")):
        return None
    parts = [type_of(part) for part in _parts(text[1:-1]) or ()]
    known = tuple(part for part in parts if part is not None)
    return Group(known) if known and len(known) == len(parts) else None


def depth_of(kind: AbiType) -> int:
    """How many lists stand in each other where its value is written out."""
    match kind:
        case Single():
            return 0
        case Several():
            return 1 + depth_of(kind.inner)
        case Group():
            return 1 + max(map(depth_of, kind.parts))


def _parts(inner: str) -> tuple[str, ...] | None:
    """What stands between commas outside of brackets."""
    depth, parts, start = 0, [], 0
    for place, character in enumerate(inner):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return None
        if character == "," and depth == 0:
            parts.append(inner[start:place])
            start = place + 1
    if inner:
        parts.append(inner[start:])
    if depth or not all(parts) or len(parts) > _PARAMETERS_MAX:
        return None
    return tuple(parts)
