"""What a strategy file's strategy keeps between decisions: its living plans, its schedule, what it has spent.

Stored as `state`, committed with the plans. It changes only when something happened, because a decision that
changes nothing costs no commit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import StrategyError, WireError
from seawall.strategies.own_intents import OwnIntents

__all__ = ["Memory", "Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """One plan that a keeper job made, with the most that it may have cost."""

    key: str
    at_s: int
    fee_max_wei: int


@dataclass(frozen=True, slots=True)
class Memory:
    own: OwnIntents = field(default_factory=OwnIntents)
    due: tuple[tuple[str, int], ...] = ()  # (trigger, how many runs it asks for)
    schedule: tuple[tuple[str, int], ...] = ()  # (trigger, when next [UTC s])
    above: tuple[tuple[str, bool], ...] = ()  # (trigger, on which side of its threshold it was)
    runs: tuple[Run, ...] = ()
    rivals: int = 0  # times in a row that somebody else did the job
    rests_until_block: int = 0

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """What `to_state` gave; empty bytes are the beginning."""
        try:
            return unpack(cls, state) if state else cls()
        except WireError as error:
            what = f"the stored state is not this strategy's: {error.what}"
            raise StrategyError(what, "strategy state", "give the strategy another name") from None

    def to_state(self) -> bytes:
        return pack(self)
