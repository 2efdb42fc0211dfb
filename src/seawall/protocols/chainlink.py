"""Chainlink price feeds (AggregatorV3Interface): the latest round, with what is needed to judge its age.

Judging is done by whoever acts on it; a decoder only refuses what is not a price at all.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import Address, address_text
from seawall.protocols.answers import Answers, integer_answer, integer_answers

__all__ = ["Round", "decimals", "decimals_read", "latest_round", "latest_round_read"]


@dataclass(frozen=True, slots=True)
class Round:
    """One answer of a feed."""

    round_id: int
    answer: int
    """Positive, in the feed's decimals."""
    started_at_s: int
    updated_at_s: int
    answered_in_round: int


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


def _label(feed: Address, what: str) -> str:
    return f"chainlink:{feed.hex()}:{what}"
