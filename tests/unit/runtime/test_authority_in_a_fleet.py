"""Several kernels, each with a latch of its own, on one ledger: a stop reaches all, raising takes hands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.control.latch import Latch
from seawall.control.permit import PERMIT_S, SendPermit
from seawall.ledger import Ledger, LedgerSettings
from seawall.primitives.levels import Authority
from seawall.primitives.ports import Clock, SystemEntropy
from seawall.runtime.authority import AuthorityKeeper, Membership
from seawall.runtime.fleet import lower_fleet
from seawall.telemetry.metrics import Metrics
from seawall.transactions.desk import Desk, DeskParts


@dataclass(slots=True)
class HandClock:
    at_s: float = 1_000.0

    def now_s(self) -> int:
        return 1_800_000_000 + int(self.at_s)

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep_s(self, duration_s: float) -> None:
        self.at_s += duration_s
        await asyncio.sleep(0)


@dataclass(slots=True)
class Member:
    name: str
    latch: Latch
    ledger: Ledger
    clock: HandClock
    desk: Desk = field(init=False)
    permit: SendPermit = field(init=False)
    keeper: AuthorityKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.desk = Desk(cast(DeskParts, SimpleNamespace(metrics=Metrics(), latch=self.latch)))
        self.permit = SendPermit(cast(Clock, self.clock))
        self.keeper = AuthorityKeeper(
            self.latch,
            self.ledger,
            cast(Clock, self.clock),
            [self.desk],
            lambda: None,
            Membership(self.name, self.permit),
        )

    async def beat(self) -> None:
        """One turn of its timer."""
        await self.keeper.start()

    @property
    def authority(self) -> Authority:
        return self.latch.authority


@dataclass(slots=True)
class Fleet:
    folder: Path
    ledger: Ledger
    clock: HandClock = field(default_factory=HandClock)

    async def member(self, name: str) -> Member:
        made = Member(name, Latch(self.folder / name), self.ledger, self.clock)
        await made.beat()
        return made

    async def said(self) -> list[Authority]:
        """By the ledger, oldest first."""
        rows = await self.ledger.read(lambda tx: tx.controls.history(100))
        return [row.authority for row in reversed(rows)]


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    clock = HandClock()
    settings = LedgerSettings("sqlite://")
    ledger = Ledger.open(settings, clock=cast(Clock, clock), entropy=SystemEntropy(), inline=True)
    yield Fleet(tmp_path, ledger, clock)
    await ledger.close()


async def test_beat_renews_the_permit_and_says_what_was_obeyed(fleet: Fleet) -> None:
    one = await fleet.member("one")
    assert one.permit.valid()
    fleet.clock.at_s += PERMIT_S
    assert not one.permit.valid()
    await one.beat()
    assert one.permit.valid()
    (row,) = await fleet.ledger.read(lambda tx: tx.kernels.all())
    assert (row.holder, row.epoch_seen, row.authority) == ("one", 1, Authority.RUN)


async def test_stop_by_one_hand_lowers_every_latch_with_its_next_beat(fleet: Fleet) -> None:
    one, two = await fleet.member("one"), await fleet.member("two")
    one.latch.lower(Authority.HALT, "smoke", "me")
    await one.beat()
    await two.beat()
    assert two.authority is Authority.HALT
    assert "smoke" in two.latch.reason
    assert two.desk.epoch == one.desk.epoch == 2
    rows = await fleet.ledger.read(lambda tx: tx.kernels.all())
    assert [row.epoch_seen for row in rows] == [2, 2]
    assert await fleet.said() == [Authority.RUN, Authority.HALT]  # obeying it is no news


async def test_raising_takes_a_hand_on_each_machine(fleet: Fleet) -> None:
    one, two = await fleet.member("one"), await fleet.member("two")
    one.latch.lower(Authority.HALT, "smoke", "me")
    await one.beat()
    await two.beat()
    one.latch.raise_to(Authority.RUN, "no fire", "me")
    await one.beat()
    await two.beat()
    await one.beat()
    assert (one.authority, two.authority) == (Authority.RUN, Authority.HALT)
    two.latch.raise_to(Authority.RUN, "no fire here", "me")
    await two.beat()
    assert two.authority is Authority.RUN
    assert await fleet.said() == [Authority.RUN, Authority.HALT, Authority.RUN]


async def test_who_resumes_does_not_undo_a_stop_that_came_meanwhile(fleet: Fleet) -> None:
    one, two = await fleet.member("one"), await fleet.member("two")
    one.latch.lower(Authority.REDUCE_ONLY, "smoke", "me")
    await one.beat()
    two.latch.lower(Authority.HALT, "fire", "you")
    await two.beat()
    one.latch.raise_to(Authority.RUN, "no smoke", "me")
    await one.beat()
    assert one.authority is Authority.HALT
    assert await fleet.said() == [Authority.RUN, Authority.REDUCE_ONLY, Authority.HALT]


async def test_kernel_that_joins_a_halted_fleet_is_halted(fleet: Fleet) -> None:
    one = await fleet.member("one")
    one.latch.lower(Authority.HALT, "smoke", "me")
    await one.beat()
    assert (await fleet.member("late")).authority is Authority.HALT


async def test_halt_by_hand_before_a_start_is_the_fleets_and_one_of_the_fleet_is_not_said_again(
    fleet: Fleet,
) -> None:
    one, two = await fleet.member("one"), await fleet.member("two")
    Latch(fleet.folder / "three").lower(Authority.HALT, "while nobody ran here", "me")
    await fleet.member("three")
    await one.beat()
    await two.beat()
    assert (one.authority, two.authority) == (Authority.HALT, Authority.HALT)
    one.latch.raise_to(Authority.RUN, "over", "me")
    await one.beat()
    again = await fleet.member("two")  # started again; its latch still says what the fleet said
    await one.beat()
    assert (one.authority, again.authority) == (Authority.RUN, Authority.HALT)


async def test_kernel_whose_row_was_taken_away_joins_again(fleet: Fleet) -> None:
    one = await fleet.member("one")
    await fleet.ledger.write(lambda tx: tx.kernels.leave("one"))
    await one.beat()
    assert [row.holder for row in await fleet.ledger.read(lambda tx: tx.kernels.all())] == ["one"]


async def test_who_leaves_sends_nothing_more_and_is_waited_for_by_nobody(fleet: Fleet) -> None:
    one = await fleet.member("one")
    await one.keeper.leave()
    assert not one.permit.valid()
    assert await fleet.ledger.read(lambda tx: tx.kernels.all()) == []


async def test_lowering_without_the_database_says_that_nothing_is_known(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    stop = await lower_fleet(url, Authority.HALT, "smoke", "me", cast(Clock, HandClock()))
    assert (stop.epoch, stop.kernels) == (0, ())
    assert "no ledger" in stop.trouble
