"""Parameters of a function or event written as `name(type,type)`."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["parameters_of"]

_SIGNATURE: Final = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]{0,127}\(([A-Za-z0-9_,()\[\]]{0,500})\)")
_PARAMETERS_MAX: Final = 32


def parameters_of(signature: str) -> tuple[str, ...] | None:
    """The types at the outermost level; None for what is no signature."""
    match = _SIGNATURE.fullmatch(signature)
    if match is None:
        return None
    inner, depth, parts, start = match.group(1), 0, [], 0
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
