"""Names of things that are counted: lanes, slots, intents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, NewType

from typing_extensions import override

from seawall.primitives.units import Address, address_text

__all__ = ["AttemptNumber", "IntentNumber", "Lane", "Slot", "intent_id_of"]

IntentNumber = NewType("IntentNumber", int)
"""Row of an intent in this ledger: what people see as `#17`. Not the on-chain `intent_id`."""
AttemptNumber = NewType("AttemptNumber", int)
"""Row of an attempt in this ledger."""


class Lane(NamedTuple):
    """Where order exists: one key on one chain. A tuple, because lanes are looked up dozens of times an
    intent and a dataclass takes as many calls into Python for that."""

    chain_id: int
    key: Address

    @override
    def __str__(self) -> str:
        return f"{self.chain_id}:{address_text(self.key)}"


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """One nonce of a lane."""

    lane: Lane
    nonce: int

    @override
    def __str__(self) -> str:
        return f"{self.lane}/{self.nonce}"


def intent_id_of(epoch: int, sequence: int) -> int:
    """The uint256 that the executor records: a random 128-bit epoch of the ledger, then a 128-bit
    sequence."""
    assert 0 <= epoch < 2**128
    assert 0 <= sequence < 2**128
    return (epoch << 128) | sequence
