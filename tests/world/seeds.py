"""Seeds that broke an invariant while this was written: what was wrong then, and they stay clean since.

A seed meets what it met only as long as the kernel's awaits stay where they were; a later version may pass it
by. So each says what happened in words, from which the same can be brought about without the world.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["NAMED", "NamedSeed"]


@dataclass(frozen=True, slots=True)
class NamedSeed:
    name: str
    seed: int
    what: str
    is_open: bool = False  # not mended yet


NAMED: tuple[NamedSeed, ...] = (
    NamedSeed(
        "foreign_use_final_while_away",
        13,
        "somebody used a nonce of an open slot, and that became final before this kernel looked: the nonces"
        " from the final block's on were accounted for, and this one was below them, so its intent never"
        " ended (NonceWatch._lowest must not be above the lowest open slot)",
        is_open=True,
    ),
    NamedSeed(
        "foreign_use_final_between_two_looks",
        37,
        "the same with a kernel that was alive and slow",
        is_open=True,
    ),
)
