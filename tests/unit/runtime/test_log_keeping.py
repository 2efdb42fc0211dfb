"""A keeper of logs makes its steps beside the chain's loop, and makes one that failed again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import cast

import pytest

from seawall.chain.heads import HeadChange
from seawall.chain.logs.follow import Followed, LogFollower
from seawall.ledger.logs import LogMark, LogSource
from seawall.primitives.errors import EndpointError, LedgerError, LedgerUnavailableError, StaleError
from seawall.runtime.log_keeping import LogKeeper, checks_of
from tests.builders.messages import block

WAIT_S = 20.0


class Clock:
    """Pauses pass at once and are remembered."""

    def __init__(self) -> None:
        self.pauses_s: list[float] = []

    def now_s(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        self.pauses_s.append(duration_s)
        await asyncio.sleep(0)


class Follower:
    """Fails as it is told, then stands at the newest block of the change."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self.steps: list[list[int]] = []

    async def step(self, change: HeadChange) -> Followed:
        self.steps.append([one.number for one in change.added])
        if self.faults:
            raise self.faults.pop(0)
        newest = change.added[-1]
        return Followed(LogSource(1, "1:x", 1, b"", 0, LogMark(newest.number, newest.hash)), False)


def added(*numbers: int) -> HeadChange:
    return HeadChange(tuple(block(number) for number in numbers), (), -1, -1)


@contextlib.asynccontextmanager
async def running(follower: Follower) -> AsyncIterator[tuple[LogKeeper, Clock, asyncio.Task[None]]]:
    clock = Clock()
    keeper = LogKeeper("1:x", clock, cast(LogFollower, follower))
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper, clock, task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, BaseExceptionGroup):
            await task


async def until_at(keeper: LogKeeper, number: int) -> None:
    async with asyncio.timeout(WAIT_S):
        while keeper.source is None or keeper.source.next_block <= number:  # noqa: ASYNC110  (no event)
            await asyncio.sleep(0)


async def test_step_that_failed_is_made_again_with_what_came_meanwhile() -> None:
    follower = Follower()
    follower.faults = [
        EndpointError("no answer", "node", "wait"),
        StaleError("moved", "logs", "again"),
        LedgerUnavailableError("away", "ledger", "wait"),
    ]
    async with running(follower) as (keeper, clock, _):
        assert not checks_of([keeper])[0].passed
        keeper.on_head(added(5))
        while not follower.steps:  # noqa: ASYNC110  (no event)
            await asyncio.sleep(0)
        keeper.on_head(added(6, 7))
        await until_at(keeper, 7)
        (check,) = checks_of([keeper])
    assert follower.steps[0] == [5]
    assert follower.steps[-1] == [5, 6, 7]
    assert clock.pauses_s == sorted(clock.pauses_s)
    assert len(clock.pauses_s) == 3
    assert (check.passed, check.is_needed, check.finding) == (True, False, "gathered to block 7")


async def test_ledger_that_nothing_can_mend_ends_the_keeper() -> None:
    follower = Follower()
    follower.faults = [LedgerError("corrupt", "ledger", "restore it")]
    async with running(follower) as (keeper, _, task):
        keeper.on_head(added(5))
        with pytest.raises(BaseExceptionGroup) as caught:
            await asyncio.wait_for(task, WAIT_S)
    assert isinstance(caught.value.exceptions[0], LedgerError)
