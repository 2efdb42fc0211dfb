"""One chain's loop: follow the head, confirm, tend what is open, let strategies see it, dispatch.

The order within a head is fixed: confirmation (so that the ledger is at the head), recovery (so that what is
committed comes first), then observations and lanes. Kernel, dry run and the world simulator run this same
class."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from seawall.chain.heads import HeadChange, HeadFollower
from seawall.chain.subscriptions import HeadWake
from seawall.primitives.errors import (
    ChainError,
    IntegrityAlarm,
    LedgerLockedError,
    StaleError,
)
from seawall.telemetry.logs import get_logger
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.recovery import tend
from seawall.transactions.writing import Outbox

__all__ = ["ChainLoop", "HeadListener", "merged"]

# What passes, or waits until a person corrects it: the loop tries again, and health says what it is.
_TROUBLE: Final = (ChainError, StaleError, LedgerLockedError)
_LEASE_RENEWALS_PER_TTL: Final = 3
_log = get_logger(__name__)


class HeadListener(Protocol):
    """Wants to know when the desk stands at a new head."""

    def on_head(self, change: HeadChange) -> None: ...


@dataclass(slots=True)
class ChainLoop:
    """`head_wake` rings for a new head, and at the latest after its interval."""

    desk: Desk
    follower: HeadFollower
    confirmer: Confirmer
    outbox: Outbox
    runners: Sequence[LaneRunner]
    dispatcher: Dispatcher
    listeners: list[HeadListener]
    head_wake: HeadWake
    on_integrity_alarm: Callable[[IntegrityAlarm], None]
    trouble: str = "the chain was not looked at yet"  # of the last turn, for health; empty when it went well
    _dispatch_due: asyncio.Event = field(default_factory=asyncio.Event)
    _retry: HeadChange | None = None
    _unseen: list[HeadChange] = field(default_factory=list)  # handled, and not yet told to the listeners
    _pin_due: bool = True
    _tend_due: bool = True
    _renewed_s: float = 0.0

    async def start(self) -> None:
        """Take the leases and load what is not settled. Start-up and crash recovery are this same path."""
        for runner in self.runners:
            await runner.acquire()
        await self.confirmer.load()
        self._renewed_s = self.desk.parts.clock.monotonic_s()

    def wake_lanes(self) -> None:
        """Intents were accepted or cancelled, a signer was unlocked, or authority was raised."""
        self._dispatch_due.set()

    def tend_soon(self) -> None:
        """Authority was raised, or a write was not made: look after open slots at the next turn."""
        self._tend_due = True
        self.head_wake.ring()

    async def run(self) -> None:
        """For ever: heads, lanes, writes. Ends only by cancellation or a failure that nothing here can
        mend."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.outbox.run(self._write_failed))
            tasks.create_task(self._dispatch())
            tasks.create_task(self._run_heads())

    async def _run_heads(self) -> None:
        while True:
            await self.turn()
            await self.head_wake.wait()

    async def turn(self) -> None:
        """One look at the chain."""
        try:
            change = merged(self._retry, await self.follower.poll())
            if change is not None:
                self._retry = change
                await self.confirmer.handle(change)
                self._retry, self._tend_due, self._pin_due = None, True, True
                self._unseen.append(change)
            if self._pin_due and self.desk.head is not None:
                async with self.desk.turn:
                    await self.desk.stand_on_head()
                self._pin_due = False
            if self._tend_due and self.desk.head is not None:
                self._tend_due = False
                await self._tend()
            for seen in self._unseen:
                for listener in self.listeners:
                    listener.on_head(seen)
            self._unseen.clear()
            self.trouble = ""
            self.wake_lanes()
        except _TROUBLE as trouble:
            self._trouble(trouble, is_news=str(trouble) != self.trouble)
            self.trouble = str(trouble)
        except IntegrityAlarm as alarm:
            self.trouble = str(alarm)
            _log.critical("integrity_alarm", what=str(alarm))
            self.on_integrity_alarm(alarm)

    async def _tend(self) -> None:
        await self._renew_leases()
        for runner in self.runners:
            try:
                await tend(runner)
            except _TROUBLE as trouble:
                self._tend_due = True
                self._trouble(trouble)

    async def _renew_leases(self) -> None:
        now_s = self.desk.parts.clock.monotonic_s()
        for runner in self.runners:
            if now_s - self._renewed_s >= runner.lease_ttl_s / _LEASE_RENEWALS_PER_TTL:
                await runner.renew_lease()
        if self.runners and now_s - self._renewed_s >= self.runners[0].lease_ttl_s / _LEASE_RENEWALS_PER_TTL:
            self._renewed_s = now_s

    async def _dispatch(self) -> None:
        while True:
            await self._dispatch_due.wait()
            self._dispatch_due.clear()
            try:
                while await self.dispatcher.step():
                    pass
            except _TROUBLE as trouble:
                self._trouble(trouble)

    def _trouble(self, trouble: Exception, *, is_news: bool = True) -> None:
        if is_news:
            _log.warning("chain_trouble", chain=self.desk.parts.network.name, cause=str(trouble))
        self.desk.parts.metrics.chain_trouble(self.desk.parts.network.name)

    def _write_failed(self, error: BaseException) -> None:
        _log.error("write_failed", cause=str(error))
        self.tend_soon()


def merged(earlier: HeadChange | None, later: HeadChange | None) -> HeadChange | None:
    """Two changes as one. A block that the later one takes away again was never there to be handled: without
    this, a head whose receipts a reorg removed would be tried for ever."""
    if earlier is None or later is None:
        return later or earlier
    gone = {block.hash for block in later.removed}
    come = {block.hash for block in earlier.added}
    return replace(
        later,
        added=tuple(block for block in earlier.added if block.hash not in gone) + later.added,
        removed=earlier.removed + tuple(block for block in later.removed if block.hash not in come),
        skipped=earlier.skipped + later.skipped,
    )
