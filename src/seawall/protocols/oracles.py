"""Prices of oracles as observations: a value with its block, its age, its source, and what speaks against it.

Flow: `reads(terms)` go into a subscription; `observe(terms, answers, block)` decodes what came back, all of
one block, and judges it by the terms that the feed's publisher states: the heartbeat (it updates at least so
often), the round (an answer that was carried over is none), the decimals, and the bounds between which the
aggregator answers at all. `compare` holds two prices against each other: a feed updates when the price has
moved by its deviation threshold, so that further off than that, and a tolerance, one of them is wrong.

An observation is never corrected and never refused for being bad: it says what is wrong (`problems`), and
whoever acts on it refuses. Ages are counted from the block's own time, not from a clock. What is not the
shape of a feed is a `ProtocolError`. Whether the chain's sequencer was up is `protocols.sequencer`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import BPS, Address, Hash, address_text
from seawall.protocols import chainlink
from seawall.protocols.answers import Answers

__all__ = [
    "AHEAD_S_MAX",
    "FeedTerms",
    "PriceObservation",
    "Problem",
    "compare",
    "deviation_bps",
    "observe",
    "reads",
]

DECIMALS_MAX: Final = 36
# A round may be dated by a clock that is a little ahead of the block's.
AHEAD_S_MAX: Final = 30


class Problem(StrEnum):
    """Why a price should not be acted on."""

    STALE = "stale"  # older than the heartbeat and its grace
    AHEAD = "ahead"  # dated after the block that it was read at
    INCOMPLETE = "incomplete"  # carried over from an earlier round
    AT_BOUND = "at_bound"  # the aggregator answers no price beyond this one
    DEVIATES = "deviates"  # too far from another source
    SHORT_HISTORY = "short_history"  # an average over less than was asked for


@dataclass(frozen=True, slots=True)
class FeedTerms:
    """What the publisher of a feed states of it."""

    feed: Address
    decimals: int
    heartbeat_s: int  # it updates at least so often
    deviation_bps: int  # and when the price has moved by so much
    grace_s: int = 120  # an update may be so late
    aggregator: Address | None = None  # with minAnswer and maxAnswer; None: not looked at

    def __post_init__(self) -> None:
        where = f"feed {address_text(self.feed)}"
        if not 0 <= self.decimals <= DECIMALS_MAX:
            raise InputError(f"{self.decimals} decimals", where, f"give 0 to {DECIMALS_MAX}")
        if self.heartbeat_s <= 0 or self.grace_s < 0:
            raise InputError("a heartbeat or grace below zero", where, "give the publisher's heartbeat")
        if not 0 < self.deviation_bps <= BPS:
            raise InputError(f"a deviation of {self.deviation_bps} bps", where, f"give 1 to {BPS}")


@dataclass(frozen=True, slots=True)
class PriceObservation:
    """A price at one block. `price` is in units of 10**-decimals."""

    source: str
    price: int
    decimals: int
    block_number: int
    block_hash: Hash
    age_s: int  # from the update to the block; 0 for an average that ends at the block
    problems: tuple[Problem, ...] = ()

    @property
    def is_sound(self) -> bool:
        return not self.problems


def reads(terms: FeedTerms) -> tuple[Read, ...]:
    bounds = () if terms.aggregator is None else chainlink.answer_bounds_reads(terms.aggregator)
    return (chainlink.latest_round_read(terms.feed), chainlink.decimals_read(terms.feed), *bounds)


def observe(terms: FeedTerms, answers: Answers, block: Block) -> PriceObservation:
    """The feed's price at `block`, of which `answers` are."""
    source = f"feed {address_text(terms.feed)}"
    decimals = chainlink.decimals(terms.feed, answers)
    if decimals != terms.decimals:
        raise ProtocolError(
            what=f"the feed has {decimals} decimals instead of {terms.decimals}",
            where=source,
            fix="check which feed this is: its price would be taken for another by powers of ten",
        )
    latest = chainlink.latest_round(terms.feed, answers)
    age_s = block.timestamp_s - latest.updated_at_s
    problems = []
    if age_s > terms.heartbeat_s + terms.grace_s:
        problems.append(Problem.STALE)
    if age_s < -AHEAD_S_MAX:
        problems.append(Problem.AHEAD)
    if not latest.is_complete:
        problems.append(Problem.INCOMPLETE)
    if terms.aggregator is not None:
        bounds = chainlink.answer_bounds(terms.aggregator, answers)
        if not bounds.minimum < latest.answer < bounds.maximum:
            problems.append(Problem.AT_BOUND)
    return PriceObservation(
        source, latest.answer, decimals, block.number, block.hash, max(age_s, 0), tuple(problems)
    )


def deviation_bps(one: PriceObservation, other: PriceObservation) -> int:
    """How far apart they are, of the lower one, rounded up [bps]."""
    scale = max(one.decimals, other.decimals)
    low, high = sorted(_scaled(price, scale) for price in (one, other))
    if low <= 0:
        raise ProtocolError(
            what="a price that is not positive cannot be compared",
            where=f"{one.source}, {other.source}",
            fix="leave out the source that has no price",
        )
    return -(-(high - low) * BPS // low)


def compare(price: PriceObservation, reference: PriceObservation, limit_bps: int) -> PriceObservation:
    """`price`, marked if it is further than `limit_bps` from `reference`.

    Both must be of one block. A fair limit is the feed's deviation threshold and what the reference may lag.
    """
    if price.block_hash != reference.block_hash:
        raise InputError(
            "prices of two blocks cannot be compared",
            f"{price.source}, {reference.source}",
            "read both at one block",
        )
    if deviation_bps(price, reference) <= limit_bps or Problem.DEVIATES in price.problems:
        return price
    return replace(price, problems=(*price.problems, Problem.DEVIATES))


def _scaled(price: PriceObservation, decimals: int) -> int:
    return price.price * int(10 ** (decimals - price.decimals))
