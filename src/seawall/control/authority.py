"""The rule of the three authorities: which kinds of writes each one admits, and how each is spelled.

RUN admits every kind. REDUCE_ONLY admits what the gate judged to reduce, and housekeeping. HALT admits
nothing, until an explicit quiesce admits housekeeping alone. Whether a plan *reduces* is judged on its
simulated result by the gate (`seawall.risk`); here only the resulting kind counts.
"""

from __future__ import annotations

from typing import Final

from seawall.primitives.errors import InputError
from seawall.primitives.levels import Authority, WriteKind

__all__ = ["admits", "authority_from_text"]

_ADMITTED: Final[dict[Authority, frozenset[WriteKind]]] = {
    Authority.RUN: frozenset(WriteKind),
    Authority.REDUCE_ONLY: frozenset({WriteKind.REDUCING, WriteKind.HOUSEKEEPING}),
    Authority.HALT: frozenset(),
}


def admits(authority: Authority, kind: WriteKind, *, quiescing: bool = False) -> bool:
    """True if a write of `kind` may leave under `authority`."""
    if quiescing and authority is Authority.HALT:
        return kind is WriteKind.HOUSEKEEPING
    return kind in _ADMITTED[authority]


def authority_from_text(text: str) -> Authority:
    """Parse RUN, REDUCE_ONLY or HALT exactly as written."""
    try:
        return Authority[text]
    except KeyError:
        names = ", ".join(a.name for a in Authority)
        raise InputError(f"{text[:40]!r} is not an authority", "authority", f"give one of {names}") from None
