"""The latch leads, ledger and desks follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast

import pytest

from seawall.control.latch import Latch
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import LedgerLockedError
from seawall.primitives.levels import Authority
from seawall.primitives.ports import SystemEntropy
from seawall.runtime.authority import AuthorityKeeper
from seawall.telemetry.metrics import Metrics
from seawall.transactions.desk import Desk, DeskParts

T = TypeVar("T")
NOW_S = 1_800_000_000
LOOKS_MAX = 5_000


@dataclass(slots=True)
class QuickClock:
    """Pauses take no time, and are counted."""

    pauses: int = 0

    def now_s(self) -> int:
        return NOW_S

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        self.pauses += 1
        await asyncio.sleep(0)


@dataclass(slots=True)
class LockedLedger:
    """A true ledger that refuses so many writes."""

    ledger: Ledger
    refusals: int = 0

    async def read(self, work: Callable[[Transaction], T]) -> T:
        return await self.ledger.read(work)

    async def write(self, work: Callable[[Transaction], T]) -> T:
        if self.refusals:
            self.refusals -= 1
            raise LedgerLockedError("the database is locked by another process", "ledger", "wait")
        return await self.ledger.write(work)


@dataclass(slots=True)
class Rig:
    latch: Latch
    ledger: LockedLedger
    clock: QuickClock = field(default_factory=QuickClock)
    raised: int = 0
    desk: Desk = field(init=False)
    keeper: AuthorityKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk(cast(DeskParts, SimpleNamespace(metrics=Metrics(), latch=self.latch)))
        ledger = cast(Ledger, self.ledger)
        self.keeper = AuthorityKeeper(self.latch, ledger, self.clock, [self.desk], self._on_raised)

    def _on_raised(self) -> None:
        self.raised += 1

    async def recorded(self) -> list[Authority]:
        """Oldest first."""
        rows = await self.ledger.read(lambda tx: tx.controls.history(10))
        return [row.authority for row in reversed(rows)]

    async def follow_until(self, holds: Callable[[], bool]) -> None:
        task = asyncio.create_task(self.keeper.run())
        try:
            for _ in range(LOOKS_MAX):
                if holds():
                    return
                await asyncio.sleep(0.001)
            raise AssertionError("it did not come to it")
        finally:
            task.cancel()


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    clock = QuickClock()
    ledger = Ledger.open(LedgerSettings("sqlite://"), clock=clock, entropy=SystemEntropy(), inline=True)
    yield Rig(Latch(tmp_path / "latch.json"), LockedLedger(ledger))
    await ledger.close()


async def test_start_records_what_the_latch_says(rig: Rig) -> None:
    rig.latch.lower(Authority.HALT, "before the start", "me")
    await rig.keeper.start()
    assert await rig.recorded() == [Authority.HALT]
    assert rig.desk.epoch == 1
    assert rig.raised == 0
    (event,) = await rig.ledger.read(lambda tx: tx.events.after(0))
    assert event.data == {"authority": "HALT", "reason": "before the start", "who": "me"}


async def test_start_with_nothing_new_moves_no_epoch(rig: Rig) -> None:
    await rig.keeper.start()
    await rig.keeper.start()
    assert await rig.recorded() == [Authority.RUN]
    assert rig.desk.epoch == 1


async def test_halt_and_resume_each_move_the_epoch_and_resume_wakes_the_lanes(rig: Rig) -> None:
    await rig.keeper.start()
    rig.keeper.attach(asyncio.get_running_loop())
    rig.latch.lower(Authority.HALT, "a test", "me")
    await rig.follow_until(lambda: rig.desk.epoch == 2)
    woken = rig.raised
    rig.latch.raise_to(Authority.RUN, "over", "me")
    await rig.follow_until(lambda: rig.desk.epoch == 3)
    assert await rig.recorded() == [Authority.RUN, Authority.HALT, Authority.RUN]
    assert rig.raised == woken + 1


async def test_halt_is_recorded_once_a_locked_ledger_is_free(rig: Rig) -> None:
    await rig.keeper.start()
    rig.keeper.attach(asyncio.get_running_loop())
    rig.ledger.refusals = 3
    rig.latch.lower(Authority.HALT, "a test", "me")
    await rig.follow_until(lambda: rig.desk.epoch == 2)
    assert await rig.recorded() == [Authority.RUN, Authority.HALT]
    assert rig.clock.pauses == 3
