"""One chain's loop: follow the head, confirm, tend what is open, let strategies see it, dispatch.

The order within a head is fixed: confirmation (so that the ledger is at the head), recovery (so that what is
committed comes first), then observations and lanes. Kernel, dry run and the world simulator run this same
class.

A lane that was gained, at the start or from another kernel, takes one path: the chain must know no nonce
beyond finality that we do not (else it is quarantined), what is committed on it is read from the ledger and
compared with the chain, then tended, and only then is anything new dispatched. On a lane that was lost this
kernel stops at once; on its other lanes it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from seawall.chain.heads import HeadChange, HeadFollower
from seawall.chain.subscriptions import HeadWake
from seawall.ledger.rows import EventData
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import (
    ChainError,
    FenceLostError,
    IntegrityAlarm,
    LedgerError,
    SignerError,
    StaleError,
    nothing_was_stored,
)
from seawall.primitives.identifiers import Lane
from seawall.runtime.leases import LeaseKeeper
from seawall.telemetry.logs import get_logger
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.neighbours import Neighbours, unknown_nonces
from seawall.transactions.private import recall_rates
from seawall.transactions.recovery import tend
from seawall.transactions.writing import Outbox

__all__ = ["ChainLoop", "HeadListener", "merged"]

# What passes, or waits until a person corrects it: the loop tries again, and health says what it is.
_TROUBLE: Final = (ChainError, StaleError, SignerError)
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
    leases: LeaseKeeper
    listeners: list[HeadListener]
    head_wake: HeadWake
    on_integrity_alarm: Callable[[IntegrityAlarm], None]
    trouble: str = "the chain was not looked at yet"  # of the last turn, for health; empty when it went well
    _dispatch_due: asyncio.Event = field(default_factory=asyncio.Event)
    _retry: HeadChange | None = None
    _unseen: list[HeadChange] = field(default_factory=list)  # handled, and not yet told to the listeners
    _pin_due: bool = True
    _tend_due: bool = True
    _is_arriving: bool = False  # lanes were gained and not tended yet
    _neighbours: Neighbours = field(init=False)

    def __post_init__(self) -> None:
        self._neighbours = Neighbours(self.desk)

    async def start(self) -> None:
        """Take what leases there are and load what is not settled. Start-up and crash recovery are this same
        path."""
        await self.leases.start(self)
        if self.leases.is_shared:
            await self._neighbours.start()
            self.dispatcher.committer.learn = self._neighbours.learn
        await self._learn_final()
        await recall_rates(self.desk)
        await self.confirmer.load()

    def wake_lanes(self) -> None:
        """Intents were accepted or cancelled, a signer was unlocked, or authority was raised."""
        self._dispatch_due.set()
        self.dispatcher.stir()

    def tend_soon(self) -> None:
        """Authority was raised, or a write was not made: look after open slots at the next turn."""
        self._tend_due = True
        self.head_wake.ring()

    async def run(self) -> None:
        """For ever: heads, lanes, writes. Ends only by cancellation or a failure that nothing here can
        mend."""
        self.dispatcher.remote.wake = self.wake_lanes
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.outbox.run(self._write_failed))
            tasks.create_task(self._dispatch())
            tasks.create_task(self.dispatcher.remote.run())
            tasks.create_task(self._run_heads())
            tasks.create_task(self.leases.run())

    async def _run_heads(self) -> None:
        while True:
            await self.turn()
            await self.head_wake.wait()

    async def turn(self) -> None:
        """One look at the chain."""
        try:
            gained = self._gained()
            if gained:
                await self._learn_final()
            self._retry = merged(self._retry, await self.follower.poll())
            change = await self._arrive(gained, self._retry)
            if self.leases.is_shared:
                async with self.desk.turn:
                    self._pin_due = await self._neighbours.learn() or self._pin_due
            if change is not None:
                await self.confirmer.handle(change)
                news, self._retry = self._retry, None
                self._tend_due = self._pin_due = True
                if news is not None:
                    self._unseen.append(news)
            if self._pin_due and self.desk.head is not None:
                await self.desk.prepare_head()
                async with self.desk.turn:
                    await self.desk.stand_on_head()
                self._pin_due = False
            await self.confirmer.finish()
            if self._tend_due and self.desk.head is not None:
                self._tend_due = False
                await self._tend()
                self._is_arriving = False
            for seen in self._unseen:
                for listener in self.listeners:
                    listener.on_head(seen)
            self._unseen.clear()
            self.trouble = ""
            self.wake_lanes()
        except FenceLostError:
            await self._look_at_leases()
        except _TROUBLE as trouble:
            self._turn_failed(trouble)
        except LedgerError as trouble:
            if not nothing_was_stored(trouble):
                if not self.leases.is_shared:
                    raise
                # Whether something was stored is not known: what stands here is read anew once it can be.
                self.desk.reload_due = self._tend_due = self._pin_due = True
            self._turn_failed(trouble)
        except IntegrityAlarm as alarm:
            self.trouble = str(alarm)
            _log.critical("integrity_alarm", what=str(alarm))
            self.on_integrity_alarm(alarm)

    async def _tend(self) -> None:
        for runner in self.runners:
            if runner.fence == 0 or runner.lane in self.desk.quarantined:
                continue
            try:
                await tend(runner)
            except FenceLostError:
                self.leases.forget(runner.lane)
            except _TROUBLE as trouble:
                self._tend_due = True
                self._trouble(trouble)

    # ------------------------------------------------------------------ leases

    def on_leases(self) -> None:
        """A lane was gained, or its quarantine changed."""
        self.desk.quarantined = dict(self.leases.quarantined)
        self.tend_soon()

    def on_lease_lost(self, lane: Lane) -> None:
        """What was committed stays in the overlay; it is another kernel's to look after."""
        for runner in self.runners:
            if runner.lane == lane:
                runner.lose()
        self.head_wake.ring()

    async def let_go(self, lane: Lane) -> bool:
        """Give the lane up if it is idle, and nobody is at work on the desk."""
        if self.desk.turn.locked() or lane not in self.desk.fences:
            return False
        async with self.desk.turn:
            if any(row.lane == lane for row in self.desk.unlanded()):
                return False
            self.on_lease_lost(lane)
            return True

    def _gained(self) -> dict[Lane, int]:
        """Fences of the lanes that are ours and not made ready yet."""
        return {
            lane: fence for lane, fence in self.leases.held.items() if self.desk.fences.get(lane) != fence
        }

    async def _learn_final(self) -> None:
        """What the ledger holds as final, before the chain is asked: endpoints that lag may agree on a branch
        without it."""
        chain_id = self.desk.parts.network.chain_id
        self.follower.settle(await self.desk.parts.ledger.read(lambda tx: tx.heads.latest_final(chain_id)))

    async def _arrive(self, gained: Mapping[Lane, int], change: HeadChange | None) -> HeadChange | None:
        """Begin with the lanes that were gained. Answers the change to be handled: one that says nothing, if
        there was none, so that what is committed on them is looked at now."""
        if change is None and self.desk.head is None:
            return None
        if not gained and (change is not None or not self.desk.reload_due):
            return change
        nothing = HeadChange((), (), self.desk.safe_number, self.desk.final_number)
        if not gained:
            return nothing  # so that what stands here is read anew now
        final_number = self.desk.final_number if change is None else change.final_number
        sound = [lane for lane in gained if lane not in self.leases.quarantined]
        for lane, nonces in (await unknown_nonces(self.desk, sound, final_number)).items():
            await self._quarantine(
                lane,
                gained[lane],
                f"the chain has used nonces {nonces[0]} to {nonces[-1]}, which the ledger does not know",
            )
        async with self.desk.turn:
            for runner in self.runners:
                if runner.lane in gained and self.leases.held.get(runner.lane) == gained[runner.lane]:
                    runner.hold(gained[runner.lane])
            self.desk.reload_due = self._is_arriving = True
        return change or nothing

    async def _quarantine(self, lane: Lane, fence: int, why: str) -> None:
        now_s, chain_id = self.desk.parts.clock.now_s(), self.desk.parts.network.chain_id
        data: EventData = {"why": why}

        def commit(tx: Transaction) -> None:
            tx.lanes.require(lane, fence)
            tx.lanes.quarantine(lane, why)
            tx.events.append("lane.quarantined", chain_id, str(lane), None, data, now_s)

        await self.desk.parts.ledger.write(commit)
        self.desk.quarantined[lane] = self.leases.quarantined[lane] = why
        _log.critical("lane_quarantined", lane=str(lane), why=why)

    async def _look_at_leases(self) -> None:
        """A commit met a fence that is not ours any more: find out which lanes are lost, and go on."""
        try:
            await self.leases.tick()
        except LedgerError as trouble:
            if not self.leases.is_shared and not nothing_was_stored(trouble):
                raise
            self._turn_failed(trouble)

    async def _dispatch(self) -> None:
        while True:
            await self._dispatch_due.wait()
            self._dispatch_due.clear()
            if self._is_arriving:
                continue  # the turn that tends them wakes us
            try:
                while await self.dispatcher.step():
                    pass
            except FenceLostError:
                await self._look_at_leases()
            except _TROUBLE as trouble:
                self._trouble(trouble)
            except LedgerError as trouble:
                if not self.leases.is_shared and not nothing_was_stored(trouble):
                    raise
                self._trouble(trouble)

    def _turn_failed(self, trouble: Exception) -> None:
        self._trouble(trouble, is_news=str(trouble) != self.trouble)
        self.trouble = str(trouble)

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
