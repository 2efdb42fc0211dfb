"""Seeds that broke an invariant while this was written: what was wrong then, and they stay clean since.

A seed meets what it met only as long as the kernel's awaits stay where they were; a later version may pass it
by. So each says what happened in words, from which the same can be brought about without the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["NAMED", "NamedSeed"]


@dataclass(frozen=True, slots=True)
class NamedSeed:
    name: str
    seed: int
    what: str
    faults: Mapping[str, float] = field(default_factory=dict)  # in the place of what the seed draws
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
    NamedSeed(
        "batch_committed_in_another_order",
        59,
        "a batch over two lanes was judged in the order of urgency and stored lane by lane: a transfer stood"
        " on money that another lane's attempt brings, which stands after it in the ledger, so that the"
        " overlay rebuilt from the ledger is not the one that the verdict stands on (Dispatcher._sign)",
        is_open=True,
    ),
    NamedSeed(
        "old_head_of_an_abandoned_branch",
        47,
        "the only endpoint served an older head for a while, of a branch that a reorg had left: taken for a"
        " reorg beyond finality, and an integrity alarm, though its own final block was older than ours"
        " (HeadFollower._refuse_impossible)",
        faults={"lag": 0.1},
        is_open=True,
    ),
)
