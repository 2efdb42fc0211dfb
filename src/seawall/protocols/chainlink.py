"""Chainlink price feeds (AggregatorV3Interface): the latest round, with what is needed to judge it.

Judging is done by whoever acts on it (`protocols.oracles`); a decoder only refuses what is not a price at
all. A proxy names the aggregator that answers for it now; that one holds the bounds within which it answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text
from seawall.protocols.answers import Answers, integer_answer, integer_answers

__all__ = [
    "AnswerBounds",
    "Round",
    "answer_bounds",
    "answer_bounds_reads",
    "decimals",
    "decimals_read",
    "latest_round",
    "latest_round_read",
]


@dataclass(frozen=True, slots=True)
class Round:
    """One answer of a feed."""

    round_id: int
    answer: int
    """Positive, in the feed's decimals."""
    started_at_s: int
    updated_at_s: int
    answered_in_round: int

    @property
    def is_complete(self) -> bool:
        """The answer was computed in its own round, and is not carried over from an earlier one."""
        return self.answered_in_round >= self.round_id


@dataclass(frozen=True, slots=True)
class AnswerBounds:
    """An aggregator answers nothing outside of these: at a bound the true price may be anywhere beyond it."""

    minimum: int
    maximum: int


def latest_round_read(feed: Address) -> Read:
    return Read(_label(feed, "round"), feed, encode_call("latestRoundData()", ()))


def latest_round(feed: Address, answers: Answers) -> Round:
    kinds = ("uint80", "int256", "uint256", "uint256", "uint80")
    latest = Round(*integer_answers(answers, _label(feed, "round"), kinds))
    if latest.answer <= 0 or latest.updated_at_s == 0:
        raise ProtocolError(
            what=f"the feed answers {latest.answer}, updated at {latest.updated_at_s}",
            where=f"feed {address_text(feed)}",
            fix="use another feed: this one has no price now",
        )
    return latest


def decimals_read(feed: Address) -> Read:
    return Read(_label(feed, "decimals"), feed, encode_call("decimals()", ()))


def decimals(feed: Address, answers: Answers) -> int:
    return integer_answer(answers, _label(feed, "decimals"), "uint8")


def answer_bounds_reads(aggregator: Address) -> tuple[Read, ...]:
    """Of the aggregator behind the feed, not of the feed's proxy."""
    return (
        Read(_label(aggregator, "minimum"), aggregator, encode_call("minAnswer()", ())),
        Read(_label(aggregator, "maximum"), aggregator, encode_call("maxAnswer()", ())),
    )


def answer_bounds(aggregator: Address, answers: Answers) -> AnswerBounds:
    minimum, maximum = (
        integer_answer(answers, _label(aggregator, what), "int192") for what in ("minimum", "maximum")
    )
    if minimum >= maximum:
        raise ProtocolError(
            what=f"the aggregator answers between {minimum} and {maximum}",
            where=f"aggregator {address_text(aggregator)}",
            fix="check that the address is an aggregator with bounds, or leave it out",
        )
    return AnswerBounds(minimum, maximum)


def _label(feed: Address, what: str) -> str:
    return f"chainlink:{feed.hex()}:{what}"
