"""Leases: which lanes of a chain are this kernel's, kept by a timer of its own.

Flow of a `tick`: look at lanes and kernels in the ledger; what another kernel holds and has not renewed for
the lease's time, by our own monotonic clock, is taken over (only time in which we looked counts); what is
free is taken up to our share; what is ours is renewed, three times in the lease's time. `held` says what the
ledger gave us; the chain's loop makes each gained lane ready before anything is dispatched on it, and stops
on a lost one at once.

Shares: a kernel takes free lanes up to ceil(lanes / live kernels) and gives up one idle lane a tick while it
has more, so that a kernel that joins gets some, and strategies move as seldom as that allows. Lanes of a
dead kernel go to whoever notices first, whatever its share: time counts there. A lane that was given up and
that nobody took (another kernel may not have its key) is taken back after the lease's time, and kept until a
kernel comes or goes.

No threads and no clock but the injected one. The lease protects nothing by itself: the fence in each commit
does, and the send permit beside the latch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Generic, Protocol, TypeVar

from seawall.ledger import Ledger
from seawall.ledger.rows import KernelRow, LaneRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import FenceLostError, LedgerError, nothing_was_stored
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Clock
from seawall.telemetry.logs import get_logger

__all__ = ["KERNEL_FORGOTTEN_S", "LeaseKeeper", "LeaseUser"]

RENEWALS_PER_TTL: Final = 3
LOOKS_PER_RENEWAL: Final = 2
# The row of a kernel that has not moved for this long is taken away; one that only slept joins anew.
KERNEL_FORGOTTEN_S: Final = 60.0
_log = get_logger(__name__)

K = TypeVar("K")


class LeaseUser(Protocol):
    """Who acts on the lanes."""

    def on_leases(self) -> None:
        """`held` or `quarantined` changed; a gained lane is to be made ready."""
        ...

    def on_lease_lost(self, lane: Lane) -> None:
        """Stop on this lane now."""
        ...

    async def let_go(self, lane: Lane) -> bool:
        """Stop on this lane if nothing of it is in flight; False: something is."""
        ...


@dataclass(slots=True)
class _Stillness(Generic[K]):
    """Since when each thing looks as it does, by our own clock."""

    _since: dict[K, tuple[object, float]] = field(default_factory=dict)

    def still_s(self, of: K, look: object, now_s: float) -> float:
        seen = self._since.get(of)
        if seen is None or seen[0] != look:
            self._since[of] = (look, now_s)
            return 0.0
        return now_s - seen[1]

    def begin_anew(self) -> None:
        self._since.clear()

    def keep_only(self, those: set[K]) -> None:
        self._since = {of: seen for of, seen in self._since.items() if of in those}


@dataclass(slots=True)
class LeaseKeeper:
    """The leases of one chain's lanes. `is_shared`: other kernels may stand beside this one."""

    ledger: Ledger
    clock: Clock
    lanes: Sequence[Lane]
    holder: str
    ttl_s: int
    is_shared: bool
    held: dict[Lane, int] = field(default_factory=dict)  # fences
    quarantined: dict[Lane, str] = field(default_factory=dict)
    trouble: str = ""  # why the last look failed
    _user: LeaseUser | None = None
    _rows: dict[Lane, LaneRow] = field(default_factory=dict)
    _still: dict[Lane, float] = field(default_factory=dict)
    _lanes_seen: _Stillness[Lane] = field(default_factory=_Stillness)
    _kernels_seen: _Stillness[str] = field(default_factory=_Stillness)
    _live: frozenset[str] = frozenset()
    _offered: set[Lane] = field(default_factory=set)  # given up for others to take
    _unwanted: set[Lane] = field(default_factory=set)  # and nobody took it
    _renewed_s: float | None = None
    _looked_s: float | None = None

    async def start(self, user: LeaseUser) -> None:
        """Take what can be taken at once."""
        self._user = user
        await self.tick()

    async def run(self) -> None:
        """Keep the leases for ever, independent of heads and strategies."""
        while True:
            await self.clock.sleep_s(self.ttl_s / RENEWALS_PER_TTL / LOOKS_PER_RENEWAL)
            try:
                await self.tick()
            except LedgerError as trouble:
                if not self.is_shared and not nothing_was_stored(trouble):
                    raise
                self._note_trouble(trouble)

    async def tick(self) -> None:
        """One look, and what follows from it."""
        now_s = self.clock.monotonic_s()
        rows, kernels = await self.ledger.read(lambda tx: (tx.lanes.all(), tx.kernels.all()))
        dead = self._see(rows, kernels, now_s)
        await self._give_up_surplus()
        wanted = self._takeable()
        if wanted or dead or self._is_renewal_due(now_s):
            gained, lost = await self.ledger.write(lambda tx: self._keep(tx, wanted, dead))
            self._renewed_s = now_s
            for lane in lost:
                self.forget(lane)
            self._take_note(gained)
        self.trouble = ""

    def forget(self, lane: Lane) -> None:
        """A commit said that the fence is no longer ours."""
        if self.held.pop(lane, None) is not None:
            _log.warning("lane_lost", lane=str(lane))
            if self._user is not None:
                self._user.on_lease_lost(lane)

    async def close(self) -> None:
        """An orderly stop: others need not wait for the leases to end."""
        held, self.held = self.held, {}
        if held and self.is_shared:
            await self.ledger.write(lambda tx: _release(tx, held))

    # ------------------------------------------------------------------ looking

    def _see(self, rows: Sequence[LaneRow], kernels: Sequence[KernelRow], now_s: float) -> list[KernelRow]:
        """Take in how lanes and kernels stand; answers the kernels that have not moved for long."""
        if self._looked_s is not None and now_s - self._looked_s > self.ttl_s / RENEWALS_PER_TTL:
            # We were away ourselves (frozen, or without the database, as the others may have been too):
            # that nothing moved while nobody looked says nothing.
            self._lanes_seen.begin_anew()
            self._kernels_seen.begin_anew()
        self._looked_s = now_s
        self._rows = {row.lane: row for row in rows if row.lane in self.lanes}
        self._still = {
            lane: self._lanes_seen.still_s(lane, (row.holder, row.fence, row.renewals), now_s)
            for lane, row in self._rows.items()
        }
        for lane, fence in list(self.held.items()):
            row = self._rows.get(lane)
            if row is None or row.fence != fence or row.holder is None:
                self.forget(lane)
        quarantined = {lane: row.quarantine for lane, row in self._rows.items() if row.quarantine is not None}
        if quarantined != self.quarantined:
            self.quarantined = quarantined
            if self._user is not None:
                self._user.on_leases()
        still = {row.holder: self._kernels_seen.still_s(row.holder, row.beats, now_s) for row in kernels}
        self._kernels_seen.keep_only(set(still))
        live = frozenset({self.holder, *(name for name, still_s in still.items() if still_s < self.ttl_s)})
        if live != self._live:
            self._live = live
            self._unwanted.clear()
        return [row for row in kernels if still[row.holder] >= KERNEL_FORGOTTEN_S]

    def _takeable(self) -> dict[Lane, LaneRow | None]:
        """Lanes to take now, as they were seen."""
        found: dict[Lane, LaneRow | None] = {}
        for lane in self.lanes:
            row, still_s = self._rows.get(lane), self._still.get(lane, 0.0)
            if lane in self.held:
                continue
            if row is None or row.holder is None:
                if len(self.held) + len(found) < self._share or still_s >= self.ttl_s:
                    found[lane] = row
            elif row.holder == self.holder or still_s >= self.ttl_s:
                found[lane] = row
        return found

    @property
    def _share(self) -> int:
        """How many lanes we take while they are free. Alone, all of them."""
        return -(-len(self.lanes) // len(self._live)) if self.is_shared else len(self.lanes)

    def _is_renewal_due(self, now_s: float) -> bool:
        return bool(self.held) and (
            self._renewed_s is None
            # A look that comes a moment early must not put the renewal off to the next one.
            or now_s - self._renewed_s >= self.ttl_s / RENEWALS_PER_TTL * 0.9
        )

    # ------------------------------------------------------------------ acting

    async def _give_up_surplus(self) -> None:
        """One idle lane a look, to whoever has fewer."""
        if len(self.held) <= self._share or self._user is None:
            return
        for lane in reversed(self.lanes):
            if lane in self.held and lane not in self._unwanted and await self._user.let_go(lane):
                fence = self.held.pop(lane)
                await self.ledger.write(lambda tx: tx.lanes.release(lane, fence))  # noqa: B023  (run at once)
                self._offered.add(lane)
                self._rows[lane], self._still[lane] = replace(self._rows[lane], holder=None), 0.0
                _log.info("lane_given_up", lane=str(lane), kernels=len(self._live))
                return

    def _keep(
        self, tx: Transaction, wanted: dict[Lane, LaneRow | None], dead: Sequence[KernelRow]
    ) -> tuple[dict[Lane, int], list[Lane]]:
        """Renew what is ours, take what is wanted; a lane that moved meanwhile is left alone. Answers the
        fences of what was gained, and what is lost."""
        now_s = self.clock.now_s()
        lost = tx.lanes.renew_all(self.held, now_s, self.ttl_s)
        gained: dict[Lane, int] = {}
        for lane, seen in wanted.items():
            try:
                gained[lane] = tx.lanes.acquire(lane, self.holder, now_s, self.ttl_s, unmoved=seen)
            except FenceLostError:
                continue
        for row in dead:
            tx.kernels.forget(row)
        return gained, lost

    def _take_note(self, gained: dict[Lane, int]) -> None:
        for lane, fence in gained.items():
            before = self._rows.get(lane)
            self.held[lane] = fence
            if lane in self._offered:
                self._offered.discard(lane)
                self._unwanted.add(lane)
            _log.info(
                "lane_gained", lane=str(lane), fence=fence, from_holder=(before and before.holder) or "nobody"
            )
        if self._user is not None and gained:
            self._user.on_leases()

    def _note_trouble(self, trouble: LedgerError) -> None:
        if not self.trouble:
            _log.warning("leases_not_kept", cause=str(trouble))
        self.trouble = str(trouble)


def _release(tx: Transaction, held: dict[Lane, int]) -> None:
    for lane, fence in held.items():
        try:
            tx.lanes.release(lane, fence)
        except FenceLostError:
            continue
