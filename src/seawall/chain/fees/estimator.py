"""Fees of the next blocks, by priority: from the market's rule, a forecast and the node's history, under the
operator's ceilings.

The next block's base fee is computed from the pinned block by the chain's rule; where the node says
otherwise, the higher counts, and never more than one block can add. `max_fee_per_gas_wei` lets it rise over
`validity_blocks` further blocks: as far as the forecast's bound for most, as far as the rule allows for what
is critical or where too little history is known; at least by one full block. On top comes the priority fee:
the median of what recent blocks paid at the percentile of the priority, within its floor and ceiling.
`ceiling_fee_per_gas_wei` is what replacements may reach. No figure ever passes the operator's ceiling;
`capped` says that one would have.

Does not bump or replace (`chain.replacement`), and knows no data fee of a roll-up (`chain.data_fees`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median_low

from seawall.chain.client import ChainClient
from seawall.chain.fees.forecasting import Forecast, forecast
from seawall.chain.fees.history import FeeFacts, read_fee_facts
from seawall.chain.fees.markets import (
    FeeMarket,
    FeeSettings,
    highest_base_fee_after,
    market_of,
    market_of_header,
    next_base_fee,
)
from seawall.primitives.blocks import Block
from seawall.primitives.errors import EndpointError, UnavailableError
from seawall.primitives.levels import Priority
from seawall.primitives.units import BPS, Hash, mul_div_up

__all__ = ["FeeEstimator", "FeeQuote"]


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """Fees per gas for the block after the one quoted [wei]."""

    base_fee_next_wei: int
    max_priority_fee_per_gas_wei: int
    max_fee_per_gas_wei: int
    expected_fee_per_gas_wei: int
    ceiling_fee_per_gas_wei: int  # what replacements may reach; the verdict judges by it
    capped: bool = False  # a ceiling cut the maximum: the transaction may wait
    forecast: Forecast | None = None  # of the blocks after the next one; None: too little history


class FeeEstimator:
    """Quotes of one chain. A block is asked for once, whatever is asked about it."""

    def __init__(self, client: ChainClient, settings: FeeSettings) -> None:
        self._client = client
        self._settings = settings
        self._market = market_of(client.network)
        self._newest: tuple[Hash, Mapping[Priority, FeeQuote]] | None = None

    async def quote(self, block: Block, priority: Priority = Priority.NORMAL) -> FeeQuote:
        """Fees for the block after `block`, or `UnavailableError`."""
        return (await self.quotes(block))[priority]

    async def quotes(self, block: Block) -> Mapping[Priority, FeeQuote]:
        """The same for every priority, from one request."""
        if self._newest is None or self._newest[0] != block.hash:
            try:
                facts = await read_fee_facts(self._client, block, self._settings.percentiles)
            except EndpointError as error:
                raise UnavailableError(f"no fee history: {error.what}", error.where, error.fix) from None
            self._newest = (block.hash, quotes_from(facts, block, self._market, self._settings))
        return self._newest[1]


def quotes_from(
    facts: FeeFacts, block: Block, market: FeeMarket, settings: FeeSettings
) -> Mapping[Priority, FeeQuote]:
    """Quotes for the block after `block`, from what was read about it."""
    market = market_of_header(market, facts.extra_data)
    next_wei = _next_base_fee(facts, block, market)
    further = (
        forecast((*facts.base_fees_wei, next_wei), settings.validity_blocks) if facts.base_fees_wei else None
    )
    highest_wei = highest_base_fee_after(next_wei, settings.validity_blocks, market)
    likely_wei = highest_wei
    if further is not None:
        full_block_wei = highest_base_fee_after(next_wei, 1, market)
        likely_wei = min(max(further.upper_wei[-1], full_block_wei), highest_wei)
    return {
        priority: _quote(
            settings,
            next_wei,
            highest_wei if priority is Priority.CRITICAL else likely_wei,
            _priority_fee(facts, settings, priority),
            further,
        )
        for priority in Priority
    }


def _next_base_fee(facts: FeeFacts, block: Block, market: FeeMarket) -> int:
    highest_wei = highest_base_fee_after(block.base_fee_wei, 1, market)
    known = [] if facts.following_wei is None else [facts.following_wei]
    if market.exact and facts.gas_used is not None:
        known.append(next_base_fee(market, block.base_fee_wei, facts.gas_used, block.gas_limit))
    return min(max(known), highest_wei) if known else highest_wei


def _priority_fee(facts: FeeFacts, settings: FeeSettings, priority: Priority) -> int:
    paid_wei = facts.rewards_wei.get(settings.percentile(priority), ())
    median_wei = median_low(paid_wei) if paid_wei else 0
    return min(max(median_wei, settings.priority_fee_floor_wei), settings.priority_fee_ceiling_wei)


def _quote(
    settings: FeeSettings, next_wei: int, base_fee_wei: int, priority_wei: int, further: Forecast | None
) -> FeeQuote:
    wanted_wei = base_fee_wei + priority_wei
    max_fee_wei = min(wanted_wei, settings.max_fee_per_gas_ceiling_wei)
    ceiling_wei = mul_div_up(max_fee_wei, settings.headroom_bps, BPS)
    return FeeQuote(
        base_fee_next_wei=next_wei,
        max_priority_fee_per_gas_wei=min(priority_wei, max_fee_wei),
        max_fee_per_gas_wei=max_fee_wei,
        expected_fee_per_gas_wei=min(next_wei + priority_wei, max_fee_wei),
        ceiling_fee_per_gas_wei=min(ceiling_wei, settings.max_fee_per_gas_ceiling_wei),
        capped=wanted_wei > max_fee_wei,
        forecast=further,
    )
