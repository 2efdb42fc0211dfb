"""A lane of this kernel: whose key it is, and under which lease it may act.

What a lane dispatches is decided for all lanes of a chain together (`dispatch`), because they share one
overlay and one commit. A lane without a signer is a dry-run lane: its intents end at their verdicts.
"""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.identifiers import Lane
from seawall.signers.base import Signer
from seawall.transactions.desk import Desk
from seawall.transactions.writing import Outbox

__all__ = ["LaneRunner"]


@dataclass(slots=True)
class LaneRunner:
    """One lane of one desk. `fence` comes from the lease; 0 while it is not held."""

    desk: Desk
    lane: Lane
    signer: Signer | None
    outbox: Outbox
    fence: int = 0

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
