"""A lane of this kernel: whose key it is, and under which lease it may act.

What a lane dispatches is decided for all lanes of a chain together (`dispatch`), because they share one
overlay and one commit. A lane without a signer is a dry-run lane: its intents end at their verdicts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.native.wire import DynamicFeeTransaction, SignedTransaction
from seawall.primitives.errors import SignerUnavailableError
from seawall.primitives.identifiers import Lane
from seawall.signers.base import Signer
from seawall.transactions.desk import Desk
from seawall.transactions.writing import Outbox

__all__ = ["IN_TURN_REST_S", "IN_TURN_S", "LaneRunner"]

# How long one lane's signer may hold up all lanes of its chain, and for how long it is not asked again then.
IN_TURN_S: Final = 2.0
IN_TURN_REST_S: Final = 60.0


@dataclass(slots=True)
class LaneRunner:
    """One lane of one desk. `fence` comes from the lease; 0 while it is not held."""

    desk: Desk
    lane: Lane
    signer: Signer | None
    outbox: Outbox
    fence: int = 0
    _rests_until_s: float = float("-inf")

    async def sign_in_turn(self, transactions: Sequence[DynamicFeeTransaction]) -> list[SignedTransaction]:
        """For what cannot wait for another turn: fillers and replacements of what is committed.

        `SignerUnavailableError` where the signer does not answer soon enough: others wait behind it."""
        assert self.signer is not None
        if self.signer.is_local:
            return await self.signer.sign_transactions(transactions)
        clock, fix = self.desk.parts.clock, "look at the signer"
        if clock.monotonic_s() < self._rests_until_s:
            raise SignerUnavailableError("the signer did not answer a moment ago", str(self.lane), fix)
        try:
            async with asyncio.timeout(IN_TURN_S):
                return await self.signer.sign_transactions(transactions)
        except TimeoutError:
            self._rests_until_s = clock.monotonic_s() + IN_TURN_REST_S
            what = (
                f"the signer did not answer within {IN_TURN_S:g} s, and all lanes of the chain waited for it"
            )
            raise SignerUnavailableError(what, str(self.lane), fix) from None

    @property
    def is_local(self) -> bool:
        """Whether its signatures take microseconds; a lane without a signer waits for none."""
        return self.signer is None or self.signer.is_local

    @property
    def may_dispatch(self) -> bool:
        """Whether new candidates may be built: held, not quarantined, and its key is open."""
        return (
            self.fence > 0
            and self.lane not in self.desk.quarantined
            and (self.signer is None or self.signer.ready)
        )

    def hold(self, fence: int) -> None:
        """The lane is ours, under this fence."""
        self.fence = fence
        self.desk.fences = {**self.desk.fences, self.lane: fence}

    def lose(self) -> None:
        """Another kernel holds the lane now: nothing more is said or sent for it. What its heir committed
        before we noticed is not known here."""
        if self.lane in self.desk.fences:
            self.desk.reload_due = True
        self.fence = 0
        self.desk.fences = {lane: fence for lane, fence in self.desk.fences.items() if lane != self.lane}
