"""Weighing a gap between two pools: the best size, and every reason not to trust or not to take it.

Others' losses teach the filters: stale or dusty state that looks like profit, profit beyond belief, and gas
left out of the sum. A dropped prospect has exactly one reason, which is counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from seawall.markets.two_venue import CycleQuote, SizeBound, best_cycle_either_way
from seawall.primitives.units import BPS, Address
from seawall.strategies.arbitrage.view import Snapshot

__all__ = ["Drop", "Filters", "weigh"]


class Drop(StrEnum):
    """Why a head brought no plan."""

    UNREADABLE = "unreadable"  # an answer is not what such a contract gives
    INCOMPLETE = "incomplete"  # pools are still being read
    UNDER_WAY = "under_way"  # an own intent is alive, or its failure is recent
    DUST = "dust"  # the pair is all but empty
    NO_GAP = "no_gap"  # no size earns anything before gas
    DEPTH = "depth"  # the best size ends where the ticks read so far end, and more are on the way
    IMPLAUSIBLE = "implausible"  # profit beyond belief
    BELOW_FLOOR = "below_floor"  # not worth the gas


@dataclass(frozen=True, slots=True)
class Filters:
    """What a prospect must pass."""

    token: Address
    amount_in_max_wei: int
    reserve_min: int
    profit_max_bps: int
    min_profit_wei: int  # after gas


def weigh(snapshot: Snapshot, filters: Filters, gas_cost_wei: int) -> CycleQuote | Drop:
    """The most profitable cycle over both pools if it passes, else the reason why not."""
    if min(snapshot.v2.reserve0, snapshot.v2.reserve1) < filters.reserve_min:
        return Drop.DUST
    amount_in_max = min(filters.amount_in_max_wei, snapshot.lendable)
    if amount_in_max <= 0:
        return Drop.NO_GAP
    quote = best_cycle_either_way(snapshot.v2, snapshot.v3, filters.token, snapshot.flash_fee, amount_in_max)
    if quote is None:
        return Drop.NO_GAP
    if quote.bound is SizeBound.DEPTH and not snapshot.v3_is_complete:
        return Drop.DEPTH
    if quote.profit * BPS > quote.amount_in * filters.profit_max_bps:
        return Drop.IMPLAUSIBLE
    if quote.profit - gas_cost_wei < filters.min_profit_wei:
        return Drop.BELOW_FLOOR
    return quote
