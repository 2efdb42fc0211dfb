"""Leases by a clock of one's own: what is renewed stays, what stands still is taken over, and shares are
fair. Several keepers on one true ledger, moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority
from seawall.primitives.ports import Clock, SystemClock, SystemEntropy
from seawall.primitives.units import Address
from seawall.runtime.leases import KERNEL_FORGOTTEN_S, LOOKS_PER_RENEWAL, RENEWALS_PER_TTL, LeaseKeeper

TTL_S = 3
LOOK_S = TTL_S / RENEWALS_PER_TTL / LOOKS_PER_RENEWAL
LANES = tuple(Lane(1, Address(bytes([n]) * 20)) for n in range(1, 9))


@dataclass(slots=True)
class Time:
    at_s: float = 1_000.0
    skew_s: int = 0

    def now_s(self) -> int:
        return 1_800_000_000 + self.skew_s + int(self.at_s)

    def monotonic_s(self) -> float:
        return self.at_s


@dataclass(slots=True)
class Kernel:
    """A keeper, and what its chain's loop was told."""

    name: str
    ledger: Ledger
    time: Time
    lanes: tuple[Lane, ...] = LANES
    busy: set[Lane] = field(default_factory=set)
    lost: list[Lane] = field(default_factory=list)
    told: int = 0
    keeper: LeaseKeeper = field(init=False)

    def __post_init__(self) -> None:
        self.keeper = LeaseKeeper(
            self.ledger, cast(Clock, self.time), self.lanes, self.name, TTL_S, is_shared=True
        )

    def on_leases(self) -> None:
        self.told += 1

    def on_lease_lost(self, lane: Lane) -> None:
        self.lost.append(lane)

    async def let_go(self, lane: Lane) -> bool:
        return lane not in self.busy

    async def join(self) -> Kernel:
        await self.ledger.write(lambda tx: tx.kernels.join(self.name, 0, Authority.RUN, self.time.now_s()))
        await self.keeper.start(self)
        return self

    async def look(self) -> None:
        await self.ledger.write(lambda tx: tx.kernels.beat(self.name, 0, Authority.RUN))
        await self.keeper.tick()

    @property
    def held(self) -> set[Lane]:
        return set(self.keeper.held)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    opened = Ledger.open(LedgerSettings(url), clock=SystemClock(), entropy=SystemEntropy())
    yield opened
    await opened.close()


async def looks(time: Time, duration_s: float, *kernels: Kernel) -> None:
    """Time passes; those that live look at their leases."""
    for _ in range(round(duration_s / LOOK_S)):
        time.at_s += LOOK_S
        for kernel in kernels:
            await kernel.look()


async def test_single_kernel_takes_every_lane_and_keeps_it(ledger: Ledger) -> None:
    one = await Kernel("one", ledger, time := Time()).join()
    assert one.held == set(LANES)
    fences = dict(one.keeper.held)
    await looks(time, 20 * TTL_S, one)
    assert one.keeper.held == fences
    rows = await ledger.read(lambda tx: tx.lanes.all())
    assert all(row.renewals >= 20 * (RENEWALS_PER_TTL - 1) for row in rows)


async def test_lanes_of_a_dead_kernel_are_taken_over_after_the_leases_time_and_a_look(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time).join()
    one.busy = set(LANES)
    two = await Kernel("two", ledger, time).join()
    await looks(time, TTL_S, one, two)
    assert (two.held, one.held) == (set(), set(LANES))
    await looks(time, TTL_S - LOOK_S, two)  # one is dead
    assert two.held == set()
    await looks(time, 2 * LOOK_S, two)
    assert two.held == set(LANES)
    assert all(two.keeper.held[lane] > fence for lane, fence in one.keeper.held.items())


async def test_kernel_that_slept_finds_its_lanes_lost_at_its_next_look(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time).join()
    two = await Kernel("two", ledger, time).join()
    await looks(time, 2 * TTL_S, two)
    await one.look()
    assert one.held == set()
    assert set(one.lost) == set(LANES)


async def test_time_in_which_nobody_looked_takes_no_lane_away(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time, busy=set(LANES)).join()
    two = await Kernel("two", ledger, time).join()
    await looks(time, TTL_S, one, two)
    time.at_s += 10 * TTL_S  # the database was away for both
    await two.look()
    await one.look()
    await looks(time, 3 * TTL_S, one, two)
    assert (two.held, one.held) == (set(), set(LANES))


async def test_wall_clocks_that_disagree_move_nothing(ledger: Ledger) -> None:
    one = await Kernel("one", ledger, Time()).join()
    one.busy = set(LANES)
    ahead = await Kernel("ahead", ledger, Time(skew_s=86_400)).join()
    for _ in range(40):
        one.keeper.clock.at_s += LOOK_S  # type: ignore[attr-defined]
        ahead.keeper.clock.at_s += LOOK_S  # type: ignore[attr-defined]
        await one.look()
        await ahead.look()
    assert (ahead.held, one.held) == (set(), set(LANES))


async def test_kernels_that_join_get_their_share_of_idle_lanes(ledger: Ledger) -> None:
    time = Time()
    kernels = [await Kernel(name, ledger, time).join() for name in ("one", "two", "three")]
    await looks(time, 4 * TTL_S, *kernels)
    assert sorted(len(kernel.held) for kernel in kernels) == [2, 3, 3]
    assert set().union(*(kernel.held for kernel in kernels)) == set(LANES)
    before = [kernel.held for kernel in kernels]
    await looks(time, 10 * TTL_S, *kernels)
    assert [kernel.held for kernel in kernels] == before  # and stay where they are


async def test_busy_lanes_are_not_given_up(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time, busy=set(LANES)).join()
    two = await Kernel("two", ledger, time).join()
    await looks(time, 4 * TTL_S, one, two)
    assert two.held == set()
    one.busy.discard(LANES[2])
    await looks(time, TTL_S, one, two)
    assert two.held == {LANES[2]}


async def test_lane_that_no_other_kernel_can_take_comes_back_and_stays(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time, lanes=LANES[:2]).join()
    stranger = await Kernel("stranger", ledger, time, lanes=LANES[6:]).join()
    await looks(time, 3 * TTL_S, one, stranger)
    assert one.held == set(LANES[:2])
    fences = dict(one.keeper.held)
    await looks(time, 10 * TTL_S, one, stranger)
    assert one.keeper.held == fences


async def test_orderly_stop_frees_the_lanes_at_once(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time, lanes=LANES[:1]).join()
    two = await Kernel("two", ledger, time, lanes=LANES[:1]).join()
    await one.keeper.close()
    await looks(time, LOOK_S, two)
    assert two.held == set(LANES[:1])


async def test_same_holder_takes_its_lanes_again_without_waiting(ledger: Ledger) -> None:
    time = Time()
    await Kernel("one", ledger, time).join()
    again = await Kernel("one", ledger, time).join()
    assert again.held == set(LANES)


async def test_quarantine_is_seen_with_the_next_look(ledger: Ledger) -> None:
    time = Time()
    one = await Kernel("one", ledger, time).join()
    told = one.told
    await ledger.write(lambda tx: tx.lanes.quarantine(LANES[0], "restored"))
    await looks(time, LOOK_S, one)
    assert one.keeper.quarantined == {LANES[0]: "restored"}
    assert one.told == told + 1
    await ledger.write(lambda tx: tx.lanes.quarantine(LANES[0], None))
    await looks(time, LOOK_S, one)
    assert one.keeper.quarantined == {}


async def test_row_of_a_kernel_that_is_long_dead_is_taken_away(ledger: Ledger) -> None:
    time = Time()
    await Kernel("dead", ledger, time, lanes=()).join()
    one = await Kernel("one", ledger, time, lanes=()).join()
    await looks(time, KERNEL_FORGOTTEN_S + 2 * LOOK_S, one)
    assert [row.holder for row in await ledger.read(lambda tx: tx.kernels.all())] == ["one"]
