"""When a transaction that does not land is written again, made dearer, or given up: one policy a priority;
and how often an intent whose nonce somebody else used may have another one.

Blocks are counted from the moment at which the transaction could have been in one: it is committed, and
every nonce before it is used. Not here: how much dearer (`chain.replacement`), how dear at most (verdict)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import ConfigError
from seawall.primitives.levels import Priority

__all__ = [
    "HOUSEKEEPING",
    "MOVES_MAX",
    "WAIT_BLOCKS_MAX",
    "MovePolicy",
    "StuckPolicies",
    "StuckPolicy",
]

WAIT_BLOCKS_MAX: Final = 100_000
MOVES_MAX: Final = 16


@dataclass(frozen=True, slots=True)
class MovePolicy:
    """Of an intent whose nonce a transaction that is not ours used (`transactions.moving`)."""

    moves_max: int = 3  # nonces after its first; 0: it ends cancelled when that use is final
    at_once: bool = True  # plans of the executor do not wait for finality
    unrecorded: bool = True  # other plans may move at all: never on the word of one endpoint

    def __post_init__(self) -> None:
        if not 0 <= self.moves_max <= MOVES_MAX:
            raise ConfigError(f"{self.moves_max} moves", "moves", f"give 0 to {MOVES_MAX}")


@dataclass(frozen=True, slots=True)
class StuckPolicy:
    """What is done about one transaction that waits."""

    rebroadcast_blocks: int  # the same bytes are written again after so many blocks
    replace_blocks: int  # it is made dearer after so many
    cancel_refused: bool  # judged anew and refused (it would revert, say): cancel, though it may still land

    def __post_init__(self) -> None:
        if not 0 < self.rebroadcast_blocks <= self.replace_blocks <= WAIT_BLOCKS_MAX:
            raise ConfigError(
                f"{self.rebroadcast_blocks} blocks to the next write, {self.replace_blocks} to a dearer one",
                "stuck",
                f"give 1 to {WAIT_BLOCKS_MAX}, and no fewer to replace than to write again",
            )


# Fillers and cancels clear the way for others.
HOUSEKEEPING: Final = StuckPolicy(2, 4, cancel_refused=False)


@dataclass(frozen=True, slots=True)
class StuckPolicies:
    critical: StuckPolicy = StuckPolicy(1, 2, cancel_refused=False)
    high: StuckPolicy = StuckPolicy(2, 4, cancel_refused=False)
    normal: StuckPolicy = StuckPolicy(3, 6, cancel_refused=True)
    low: StuckPolicy = StuckPolicy(6, 12, cancel_refused=True)

    def of(self, priority: Priority) -> StuckPolicy:
        return {
            Priority.CRITICAL: self.critical,
            Priority.HIGH: self.high,
            Priority.NORMAL: self.normal,
            Priority.LOW: self.low,
        }[priority]
