"""Seeds that once broke an invariant, or nearly: what was wrong then is in their text, and they stay clean.

A seed meets what it met only as long as the kernel's awaits stay where they were; a later one may pass it by.
So each says what happened, and where the same is tested by name without the world.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NAMED", "NamedSeed"]


@dataclass(frozen=True, slots=True)
class NamedSeed:
    name: str
    seed: int
    what: str


NAMED: tuple[NamedSeed, ...] = ()
