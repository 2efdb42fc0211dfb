"""Prices for guards: a feed's round read on the state after, values with a rounding direction, and exact
ratios.

A value is an amount times a feed's price, in units of the feed times `VALUE_SCALE`. Where there is no fresh,
complete and positive price there is no value, and whoever needs one refuses. Ratios are pairs of integers
(numerator, denominator), both positive: nothing is rounded before the one division at the end.
"""

from __future__ import annotations

from typing import Final

from seawall.native import abi_decode, encode_call
from seawall.primitives.errors import EncodingError
from seawall.primitives.simulations import Probe
from seawall.primitives.units import BPS, Address, ceil_div
from seawall.protocols.oracles import AHEAD_S_MAX
from seawall.risk.evidence import Evidence
from seawall.risk.limits import ChainFacts, PriceFeed

__all__ = [
    "VALUE_SCALE",
    "Ratio",
    "age_s_of",
    "apart_bps_up",
    "price_probe",
    "value_of",
    "value_probes",
    "value_up",
    "valued",
]

VALUE_SCALE: Final = 10**18
Ratio = tuple[int, int]
_ROUND_KINDS: Final = ("uint80", "int256", "uint256", "uint256", "uint80")
_ROUND_CALL: Final = encode_call("latestRoundData()", ())


def price_probe(feed: PriceFeed) -> Probe:
    return Probe(feed.label, feed.feed, _ROUND_CALL)


def value_of(evidence: Evidence, feed: PriceFeed | None, amount: int) -> int | None:
    """Rounded down; None where there is no fresh positive price."""
    price = _price_of(evidence, feed)
    return None if price is None or feed is None else amount * price * VALUE_SCALE // _scale_of(feed)


def value_up(evidence: Evidence, feed: PriceFeed | None, amount: int) -> int | None:
    """Rounded up; None where there is no fresh positive price."""
    price = _price_of(evidence, feed)
    return None if price is None or feed is None else ceil_div(amount * price * VALUE_SCALE, _scale_of(feed))


def value_probes(facts: ChainFacts) -> tuple[Probe, ...]:
    """Everything that `valued` reads."""
    shares = [Probe(r.label, r.target, r.calldata) for share in facts.shares for r in share.reads()]
    return (*map(price_probe, facts.prices), *shares)


def valued(evidence: Evidence, facts: ChainFacts, token: Address, amount: int, *, up: bool) -> int | None:
    """The value of an amount, by its feed or by what it stands for; 0 for nothing, priced or not. None where
    there is no fresh price, `ProtocolError` where a rate is unfit."""
    if amount == 0:
        return 0

    def by_feed(one: Address, much: int, rounds_up: bool) -> int | None:
        feed = facts.feed_of(one)
        return value_up(evidence, feed, much) if rounds_up else value_of(evidence, feed, much)

    share = facts.share_of(token)
    if share is None:
        return by_feed(token, amount, up)
    return share.value(evidence.simulation.probes, amount, by_feed, up=up)


def age_s_of(evidence: Evidence, updated_at_s: int) -> int | None:
    """How old an answer is, at least 0; None for one of the future, which would be fresh until then."""
    age_s = max(evidence.candidate.base.timestamp_s, evidence.now_s) - updated_at_s
    return None if age_s < -AHEAD_S_MAX else max(0, age_s)


def apart_bps_up(one: Ratio, other: Ratio) -> int:
    """How far apart two positive ratios are, of the lower one, rounded up [bps]."""
    left, right = one[0] * other[1], other[0] * one[1]
    low, high = min(left, right), max(left, right)
    return ceil_div((high - low) * BPS, low)


def _price_of(evidence: Evidence, feed: PriceFeed | None) -> int | None:
    raw = None if feed is None else evidence.simulation.probes.get(feed.label)
    if not raw:
        return None
    try:
        values: tuple[object, ...] = tuple(abi_decode(_ROUND_KINDS, raw))
    except EncodingError:
        return None
    round_id, answer, _, updated_at, answered_in = values
    assert isinstance(answer, int)
    assert isinstance(updated_at, int)
    age_s = age_s_of(evidence, updated_at)
    is_fresh = age_s is not None and age_s <= evidence.limits.oracle_age_s_max
    return answer if answer > 0 and is_fresh and round_id == answered_in else None


def _scale_of(feed: PriceFeed) -> int:
    return int(10 ** (feed.token_decimals + feed.feed_decimals))
