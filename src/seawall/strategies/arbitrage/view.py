"""What a two-venue arbitrage knows of its pools, gathered from the reads of successive heads.

Every pool that it hands out is made of one head's answers alone, so a reorg leaves nothing to undo. What is
carried from head to head is only *what to read*: which ticks of the V3 pool, and which contract names the
loan's fee.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.markets.two_venue import FlashFee
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import V3Pool
from seawall.primitives.blocks import Read
from seawall.primitives.units import Address
from seawall.protocols import balancer_v2, erc20, uniswap_v2, uniswap_v3
from seawall.protocols.answers import Answers
from seawall.protocols.uniswap_v2 import V2Market
from seawall.protocols.uniswap_v3 import NOTHING_READ, V3Market, V3Window

__all__ = ["Snapshot", "TwoVenueView"]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Both pools and the loan at one head."""

    v2: V2Pool
    v3: V3Pool
    v3_is_complete: bool  # more of its ticks are not on the way
    flash_fee: FlashFee
    lendable: int  # what the vault holds [token]


class TwoVenueView:
    """Lives in the host; after a restart it needs three heads to know the V3 pool in full."""

    def __init__(self, v2: V2Market, v3: V3Market, vault: Address, token: Address) -> None:
        self._v2 = v2
        self._v3 = v3
        self._vault = vault
        self._token = token
        self._window: V3Window = NOTHING_READ
        self._collector: Address | None = None

    def reads(self) -> tuple[Read, ...]:
        """What to read at the next head."""
        loan = (
            balancer_v2.fees_collector_read(self._vault)
            if self._collector is None
            else balancer_v2.flash_fee_read(self._collector)
        )
        return (
            *uniswap_v2.reads(self._v2),
            *uniswap_v3.reads(self._v3, self._window),
            erc20.balance_read(self._token, self._vault),
            loan,
        )

    def observe(self, answers: Answers) -> Snapshot | None:
        """Take in one head; None while something is still to be read. `reads` may be others afterwards.

        Raises `ProtocolError` or `MarketError` where an answer is not what such a contract gives.
        """
        expected = uniswap_v3.reads(self._v3, self._window)
        # The kernel may have read this head before it heard of the latest window.
        window = self._window if all(read.label in answers for read in expected) else NOTHING_READ
        seen = uniswap_v3.observe(self._v3, window, answers)
        self._window = seen.next_window
        flash_fee = self._flash_fee(answers)
        if seen.pool is None or flash_fee is None:
            return None
        return Snapshot(
            uniswap_v2.decode_pool(self._v2, answers),
            seen.pool,
            seen.complete,
            flash_fee,
            erc20.balance(self._token, self._vault, answers),
        )

    def _flash_fee(self, answers: Answers) -> FlashFee | None:
        if self._collector is None:
            self._collector = balancer_v2.fees_collector(self._vault, answers)
        if balancer_v2.flash_fee_read(self._collector).label not in answers:
            return None
        return balancer_v2.flash_fee(self._collector, answers)
