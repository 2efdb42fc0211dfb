"""Authority inside a kernel: the latch decides, the ledger remembers, everybody is told.

The latch (file, then flag) is what guards writes and needs nothing else. This module carries its changes
into the ledger's controls, whose epoch fences commits: a candidate judged under another authority cannot
commit.

In a fleet (`Membership`) the ledger also carries them to the other kernels. Each one beats several times a
second: says which epoch it has obeyed, learns of a newer one, lowers its own latch if that is lower, and has
its send permit renewed by the same answer. A stop by any hand on any machine so reaches all of them; raising
takes a hand on each machine that was lowered, and is recorded only over the epoch that was obeyed there: who
resumes does not undo a stop that they have not seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.chain.subscriptions import HeadWake
from seawall.control.latch import Latch
from seawall.control.permit import PERMIT_RENEWAL_S, SendPermit
from seawall.ledger import Ledger
from seawall.ledger.rows import ControlRow, EventData
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import AuthorityError, LedgerError, nothing_was_stored
from seawall.primitives.levels import Authority
from seawall.primitives.ports import Clock
from seawall.telemetry.logs import get_logger
from seawall.transactions.desk import Desk

__all__ = ["FLEET", "AuthorityKeeper", "Membership"]

_SCOPE = "global"
# Who lowered a latch because the fleet was lowered: no hand on this machine, so nothing to tell the others.
FLEET: Final = "the fleet"
# How long a ledger that somebody else has locked is left alone.
RETRY_S: Final = 0.5
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Membership:
    """This kernel's standing in a fleet."""

    holder: str
    permit: SendPermit


@dataclass(slots=True)
class AuthorityKeeper:
    """Keeps ledger and desks at the latch's authority, and in a fleet the latch below the fleet's."""

    latch: Latch
    ledger: Ledger
    clock: Clock
    desks: Sequence[Desk]
    on_raised: Callable[[], None]
    membership: Membership | None = None
    trouble: str = ""  # why the fleet cannot be reached
    _epoch: int = 0  # of the controls: obeyed
    _changes: int = -1  # of the latch: recorded
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _wake: HeadWake = field(init=False)

    def __post_init__(self) -> None:
        self._wake = HeadWake(self.clock, PERMIT_RENEWAL_S)

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Follow the latch. Its callback comes from any thread and only sets a flag here."""

        def ring() -> None:
            self._changed.set()
            self._wake.ring()

        def wake() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ring)

        self.latch.subscribe(wake)

    async def start(self) -> None:
        """The latch was read from its file first of all; bring the ledger to it, and obey what a fleet
        says."""
        if self.membership is None:
            await self._record()
        else:
            await self._beat(self.membership)

    async def run(self) -> None:
        if self.membership is not None:
            await self._beat_for_ever(self.membership)
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._record()
            except LedgerError as trouble:
                if not nothing_was_stored(trouble):
                    raise
                # The latch is in force without it; commits are fenced by the latch too.
                _log.warning("authority_not_recorded", cause=str(trouble))
                await self.clock.sleep_s(RETRY_S)
                self._changed.set()

    async def leave(self) -> None:
        """An orderly stop: nobody need wait for this kernel's answer any more."""
        membership = self.membership
        if membership is not None:
            membership.permit.revoke()
            await self.ledger.write(lambda tx: tx.kernels.leave(membership.holder))

    # ------------------------------------------------------------------ alone

    async def _record(self) -> None:
        def record(tx: Transaction) -> tuple[int, Authority, bool]:
            # Read here: what was lowered may have been raised while the ledger was waited for.
            authority, current = self.latch.authority, tx.controls.current(_SCOPE)
            if current.authority is authority and current.epoch:
                return current.epoch, authority, False
            return self._set(tx, authority, self.latch.reason, self.latch.who), authority, True

        epoch, authority, is_new = await self.ledger.write(record)
        if is_new:
            _log.warning("authority", authority=authority.name, reason=self.latch.reason, who=self.latch.who)
        self._tell(epoch, authority)

    def _set(self, tx: Transaction, authority: Authority, reason: str, who: str) -> int:
        now_s = self.clock.now_s()
        data: EventData = {"authority": authority.name, "reason": reason, "who": who}
        tx.events.append("authority", 0, _SCOPE, None, data, now_s)
        return tx.controls.set(_SCOPE, authority, reason or "start", who or "seawall", now_s)

    def _tell(self, epoch: int, authority: Authority) -> None:
        for desk in self.desks:
            desk.epoch = epoch
            desk.parts.metrics.authority(authority)
        if authority is not Authority.HALT:
            self.on_raised()

    # ------------------------------------------------------------------ in a fleet

    async def _beat_for_ever(self, membership: Membership) -> None:
        while True:
            await self._wake.wait()
            try:
                await self._beat(membership)
            except LedgerError as trouble:
                # The latch holds without the database, and the permit runs out by itself.
                if not self.trouble:
                    _log.warning("fleet_not_reached", cause=str(trouble))
                self.trouble = str(trouble)

    async def _beat(self, membership: Membership) -> None:
        """Exchange with the fleet, and at once again where that brought something to obey."""
        while not await self._exchanged(membership):
            pass

    async def _exchanged(self, membership: Membership) -> bool:
        """One exchange. False: what was obeyed is still to be said."""
        asked_at_s, changes = self.clock.monotonic_s(), self.latch.changes
        hand = (self.latch.authority, self.latch.reason, self.latch.who)
        stands, control = await self.ledger.write(lambda tx: self._exchange(tx, membership, changes, hand))
        is_news = control.epoch != self._epoch
        self._changes = changes
        if is_news and self.latch.authority > control.authority:
            self._obey(control)
        self._epoch = control.epoch
        if is_news:
            _log.warning("authority", authority=self.latch.authority.name, epoch=control.epoch)
            # Only now: a commit under this epoch finds the latch where it belongs.
            self._tell(control.epoch, self.latch.authority)
        if stands:
            membership.permit.renew(asked_at_s)
        self.trouble = ""
        return stands and (not is_news or hand[0] <= control.authority)

    def _exchange(
        self, tx: Transaction, membership: Membership, changes: int, hand: tuple[Authority, str, str]
    ) -> tuple[bool, ControlRow]:
        """Say what a hand here did and what was obeyed; learn what is in force. False: our row was gone."""
        control = tx.controls.current(_SCOPE)
        authority, reason, who = hand
        by_hand = changes != self._changes and who != FLEET
        is_lower = authority < control.authority
        is_raised = authority > control.authority and control.epoch == self._epoch
        if control.epoch == 0 or (by_hand and (is_lower or is_raised)):
            self._set(tx, authority, reason, who)
            control = tx.controls.current(_SCOPE)
        obeyed = control.epoch if authority <= control.authority else self._epoch
        stands = tx.kernels.beat(membership.holder, obeyed, authority)
        if not stands:
            tx.kernels.join(membership.holder, obeyed, authority, self.clock.now_s())
        return stands, control

    def _obey(self, control: ControlRow) -> None:
        changes = self.latch.changes
        reason = f"epoch {control.epoch} of the fleet, by {control.who}: {control.reason}"
        try:
            self.latch.lower(control.authority, reason, FLEET)
        except AuthorityError as trouble:
            # The flag is set all the same; only the next start would not know of it, and asks the fleet.
            _log.critical("latch_not_stored", cause=str(trouble))
        self._changes = changes + 1
