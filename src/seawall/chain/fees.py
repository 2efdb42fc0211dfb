"""Fees of the next blocks: an estimate from the node's fee history, under the operator's ceilings.

`base_fee_next_wei` is what the node computes for the block after `block` by EIP-1559, used only if its
history is of our block; otherwise the most that one block can add. `max_fee_per_gas_wei` lets the base fee
rise by that most for `validity_blocks` blocks, plus the priority fee. The priority fee is the median of
what recent blocks paid at the configured percentile, within its bounds. No figure ever passes a ceiling;
`capped` says that one would have.

Does not bump or replace: those are decided in `transactions`, under the verdict's maximum total fee.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import Final

from seawall.chain.client import ChainClient
from seawall.primitives.blocks import Block
from seawall.primitives.errors import ConfigError, EndpointError, UnavailableError
from seawall.primitives.units import ceil_div

__all__ = ["FeeEstimator", "FeeQuote", "FeeSettings", "highest_base_fee_after"]

HISTORY_BLOCKS: Final = 10
VALIDITY_BLOCKS_MAX: Final = 64
# EIP-1559: a full block raises the base fee by at most an eighth.
_CHANGE_DENOMINATOR: Final = 8
_GWEI: Final = 10**9


@dataclass(frozen=True, slots=True)
class FeeSettings:
    """Ceilings are the operator's; the defaults suit Ethereum."""

    max_fee_per_gas_ceiling_wei: int = 300 * _GWEI
    priority_fee_floor_wei: int = _GWEI // 100
    priority_fee_ceiling_wei: int = 5 * _GWEI
    priority_percentile: int = 50
    validity_blocks: int = 5

    def __post_init__(self) -> None:
        if (
            not 0
            <= self.priority_fee_floor_wei
            <= self.priority_fee_ceiling_wei
            <= self.max_fee_per_gas_ceiling_wei
        ):
            raise ConfigError(
                "floor and ceilings are not ascending", "fees", "order: floor, priority ceiling, fee ceiling"
            )
        if not 0 <= self.priority_percentile <= 100:
            raise ConfigError(
                f"percentile {self.priority_percentile}", "fees.priority_percentile", "give 0 to 100"
            )
        if not 1 <= self.validity_blocks <= VALIDITY_BLOCKS_MAX:
            raise ConfigError(
                f"{self.validity_blocks} blocks", "fees.validity_blocks", f"give 1 to {VALIDITY_BLOCKS_MAX}"
            )


@dataclass(frozen=True, slots=True)
class FeeQuote:
    """Fees per gas for the block after the one quoted [wei]."""

    base_fee_next_wei: int
    max_priority_fee_per_gas_wei: int
    max_fee_per_gas_wei: int
    expected_fee_per_gas_wei: int
    ceiling_fee_per_gas_wei: int  # what replacements may reach; the verdict judges by it
    capped: bool = False  # a ceiling cut the maximum: the transaction may wait


class FeeEstimator:
    def __init__(self, client: ChainClient, settings: FeeSettings) -> None:
        self._client = client
        self._settings = settings

    async def quote(self, block: Block) -> FeeQuote:
        """Fees for the block after `block`, or `UnavailableError`."""
        settings = self._settings
        try:
            history = await self._client.fee_history(
                block.number, HISTORY_BLOCKS, settings.priority_percentile
            )
        except EndpointError as error:
            raise UnavailableError(f"no fee history: {error.what}", error.where, error.fix) from None
        newest_number = history.oldest_number + len(history.base_fees_wei) - 2
        is_ours = newest_number == block.number and history.base_fees_wei[-2] == block.base_fee_wei
        highest_next_wei = highest_base_fee_after(block.base_fee_wei, 1)
        base_next_wei = min(history.base_fees_wei[-1], highest_next_wei) if is_ours else highest_next_wei
        paid_wei = median_low(history.rewards_wei) if history.rewards_wei else 0
        priority_wei = min(max(paid_wei, settings.priority_fee_floor_wei), settings.priority_fee_ceiling_wei)
        wanted_wei = highest_base_fee_after(base_next_wei, settings.validity_blocks) + priority_wei
        max_fee_wei = min(wanted_wei, settings.max_fee_per_gas_ceiling_wei)
        return FeeQuote(
            base_fee_next_wei=base_next_wei,
            max_priority_fee_per_gas_wei=min(priority_wei, max_fee_wei),
            max_fee_per_gas_wei=max_fee_wei,
            expected_fee_per_gas_wei=min(base_next_wei + priority_wei, max_fee_wei),
            ceiling_fee_per_gas_wei=max_fee_wei,
            capped=wanted_wei > max_fee_wei,
        )


def highest_base_fee_after(base_fee_wei: int, blocks: int) -> int:
    """The most that `blocks` full blocks can make of a base fee [wei]. Source: EIP-1559, denominator 8."""
    assert base_fee_wei >= 0
    assert 0 <= blocks <= VALIDITY_BLOCKS_MAX
    for _ in range(blocks):
        base_fee_wei += max(ceil_div(base_fee_wei, _CHANGE_DENOMINATOR), 1)
    return base_fee_wei
