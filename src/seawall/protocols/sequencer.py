"""Uptime feeds of sequencers (Chainlink's, on roll-ups): whether the chain's sequencer is up, and since when.

While a sequencer is down, prices stand still and only those who can reach the chain through the layer below
can act; when it comes back, everybody acts at once on prices that are not yet fresh. So for a grace period
after it came back the state is `GRACE`, and whoever acts on prices treats it like `DOWN`.

The feed answers 0 for up and 1 for down, and dates the change by `startedAt`. A feed that was never written
(`startedAt` of 0) tells nothing: its state is `UNKNOWN`, never up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols.answers import Answers, integer_answers

__all__ = ["GRACE_S", "Sequencer", "SequencerObservation", "UptimeTerms", "observe", "reads"]

GRACE_S: Final = 3_600
_KINDS: Final = ("uint80", "int256", "uint256", "uint256", "uint80")
_UP: Final = 0
_DOWN: Final = 1


class Sequencer(StrEnum):
    UP = "up"
    GRACE = "grace"  # up again, and not for long enough
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class UptimeTerms:
    feed: Address
    grace_s: int = GRACE_S

    def __post_init__(self) -> None:
        if self.grace_s < 0:
            raise InputError(
                f"a grace of {self.grace_s} s", f"feed {address_text(self.feed)}", "give 0 or more"
            )


@dataclass(frozen=True, slots=True)
class SequencerObservation:
    """The sequencer as one block tells it."""

    source: str
    state: Sequencer
    since_s: int  # UTC [s], when it went up or down; 0 if unknown
    age_s: int  # for how long, at the block
    block_number: int
    block_hash: Hash

    @property
    def admits(self) -> bool:
        """Prices of this block may be acted on."""
        return self.state is Sequencer.UP


def reads(terms: UptimeTerms) -> tuple[Read, ...]:
    return (Read(_label(terms.feed), terms.feed, encode_call("latestRoundData()", ())),)


def observe(terms: UptimeTerms, answers: Answers, block: Block) -> SequencerObservation:
    """The state at `block`, of which `answers` are."""
    source = f"uptime feed {address_text(terms.feed)}"
    _, answer, started_at_s, _, _ = integer_answers(answers, _label(terms.feed), _KINDS)
    if answer not in (_UP, _DOWN):
        raise ProtocolError(
            what=f"it answers {answer}, which is neither up (0) nor down (1)",
            where=source,
            fix="check that the address is an uptime feed",
        )
    age_s = block.timestamp_s - started_at_s
    if started_at_s == 0 or age_s < 0:
        state, started_at_s, age_s = Sequencer.UNKNOWN, 0, 0
    elif answer == _DOWN:
        state = Sequencer.DOWN
    else:
        state = Sequencer.UP if age_s >= terms.grace_s else Sequencer.GRACE
    return SequencerObservation(source, state, started_at_s, age_s, block.number, block.hash)


def _label(feed: Address) -> str:
    return f"sequencer:{feed.hex()}:round"
