"""Who shows nothing is left in time, by the clock that is given; what waits for it is asked elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from seawall.chain.pool.pace import HEDGE_S_MAX, SILENCE_S, SILENCE_S_MIN
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.chain.tips import newest_blocks
from seawall.telemetry.endpoints import EndpointState
from tests.unit.ledger.samples import block

ASK = [Request("eth_gasPrice")]
LOGS = [Request("eth_getLogs")]
USUAL_S = 0.002
NEVER_S = 1e9


@dataclass(slots=True)
class Clock:
    """Time goes on when the test lets it."""

    time_s: float = 0.0
    sleepers: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)

    def now_s(self) -> int:
        return int(self.time_s)

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep_s(self, duration_s: float) -> None:
        due: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.time_s + duration_s, due))
        await due

    async def until_s(self, end_s: float) -> None:
        """From one sleep's end to the next, and on to `end_s`."""
        while True:
            for _ in range(12):
                await asyncio.sleep(0)
            self.sleepers = [sleeper for sleeper in self.sleepers if not sleeper[1].done()]
            next_s = min((due_s for due_s, _ in self.sleepers), default=NEVER_S)
            if next_s > end_s:
                break
            self.time_s = max(next_s, self.time_s)
            for due_s, due in self.sleepers:
                if due_s <= self.time_s and not due.done():
                    due.set_result(None)
        self.time_s = end_s


@dataclass(slots=True)
class One:
    """An endpoint that answers with its label after `takes_s`, by method or in general."""

    label: str
    clock: Clock
    takes_s: dict[str, float] = field(default_factory=dict)
    connects: int = 1
    asked: list[str] = field(default_factory=list)
    bug: Exception | None = None

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        method = requests[0].method
        if method == "eth_chainId":
            return ["0x1"]
        self.asked.append(method)
        await self.clock.sleep_s(self.takes_s.get(method, self.takes_s.get("", USUAL_S)))
        if self.bug is not None:
            raise self.bug
        return [self.label] * len(requests)

    async def close(self) -> None:
        return


def first(answers: Sequence[object | RpcError]) -> object:
    return answers[0]


@dataclass(slots=True)
class Stage:
    """A pool whose endpoints are known to answer in `USUAL_S`; the first one is asked first."""

    clock: Clock
    members: list[One]
    pool: RpcPool
    begun_s: float = 0.0

    def state(self, place: int = 0) -> EndpointState:
        return self.pool.health()[place].state

    async def after_s(self, duration_s: float) -> None:
        await self.clock.until_s(self.begun_s + duration_s)

    def ask(self, requests: Sequence[Request] = ASK) -> asyncio.Future[object]:
        return asyncio.ensure_future(self.pool.read(requests, first))


@asynccontextmanager
async def staged(count: int = 3) -> AsyncIterator[Stage]:
    clock = Clock()
    members = [One(f"http://{place}", clock) for place in range(count)]
    pool = RpcPool(members, chain_id=1, clock=clock)
    pool.takes_head_of(0)
    stage = Stage(clock, members, pool)
    for _ in range(40):
        read = stage.ask()
        await clock.until_s(clock.time_s + 2 * USUAL_S)
        assert await read == "http://0"
    stage.begun_s = clock.time_s
    yield stage
    await pool.close()


async def done(read: Awaitable[object]) -> object:
    async with asyncio.timeout(1):
        return await read


async def test_stalled_endpoint_is_left_in_time_although_every_read_was_answered_by_another() -> None:
    async with staged() as stage:
        stage.members[0].takes_s[""] = NEVER_S
        read = stage.ask()
        await stage.after_s(2.5 * USUAL_S)
        assert await done(read) == "http://1", "hedged"
        await stage.after_s(SILENCE_S_MIN - 0.001)
        assert stage.state() is EndpointState.SERVING
        await stage.after_s(SILENCE_S_MIN)
        assert stage.state() is EndpointState.RESTING
        assert stage.members[0].asked[40:] == ["eth_gasPrice"]


async def test_all_that_waits_for_a_stalled_endpoint_is_asked_elsewhere_at_that_moment() -> None:
    async with staged() as stage:
        many = ASK * 99  # more than the budget of hedges has
        await warm(stage, many)
        stage.members[0].takes_s[""] = NEVER_S
        reads = [stage.ask(many) for _ in range(6)]
        slow = stage.ask(LOGS)
        await stage.after_s(SILENCE_S_MIN - 0.001)
        waiting = [read for read in reads if not read.done()]
        assert len(waiting) > 3
        await stage.after_s(SILENCE_S_MIN + 2 * USUAL_S)
        assert {await done(read) for read in [*waiting, slow]} <= {"http://1", "http://2"}
        assert stage.state() is EndpointState.RESTING


async def warm(stage: Stage, requests: Sequence[Request]) -> None:
    for _ in range(40):
        read = stage.ask(requests)
        await stage.clock.until_s(stage.clock.time_s + 2 * USUAL_S)
        await done(read)
    stage.begun_s = stage.clock.time_s


async def test_endpoint_that_answers_others_meanwhile_is_not_silent_for_one_lost_race() -> None:
    async with staged() as stage:
        stage.members[0].takes_s["eth_gasPrice"] = NEVER_S
        stage.members[0].takes_s["eth_getCode"] = 2 * USUAL_S
        lost, other = stage.ask(), stage.ask([Request("eth_getCode")])
        await stage.after_s(SILENCE_S_MIN + 0.01)
        assert (await done(lost), stage.members[0].asked[-2:]) == (
            "http://1",
            ["eth_gasPrice", "eth_getCode"],
        )
        await done(other)
        assert stage.state() is EndpointState.SERVING


async def test_stalled_endpoint_is_left_in_time_while_it_works_on_something_that_takes_long() -> None:
    async with staged() as stage:
        stage.members[0].takes_s[""] = NEVER_S
        long = stage.ask(LOGS)
        await stage.after_s(0.2)
        read = stage.ask()
        await stage.after_s(0.2 + SILENCE_S_MIN)
        assert await done(read) == "http://1"
        assert stage.state() is EndpointState.RESTING
        await stage.after_s(0.2 + SILENCE_S_MIN + 2 * USUAL_S)
        assert await done(long) == "http://1"


async def test_beaten_endpoint_is_asked_after_the_others_until_it_shows_something() -> None:
    async with staged() as stage:
        stage.members[0].takes_s[""] = 0.02
        read = stage.ask()
        await stage.after_s(0.01)
        assert await done(read) == "http://1"
        read = stage.ask()
        await stage.after_s(0.015)
        assert await done(read) == "http://1"
        assert len(stage.members[0].asked) == 41
        await stage.after_s(0.03)
        assert stage.pool.health()[0].latency_s > USUAL_S, "it was heard out, and its time counts"
        stage.members[0].takes_s[""] = USUAL_S
        read = stage.ask()
        await stage.after_s(0.04)
        assert await done(read) == "http://0"
        assert stage.state() is EndpointState.SERVING


async def test_question_that_takes_long_by_its_kind_says_nothing_of_silence() -> None:
    async with staged() as stage:
        stage.members[0].takes_s["eth_getLogs"] = 3.0
        read = stage.ask(LOGS)
        for step in range(1, 10):
            other = stage.ask()
            await stage.after_s(0.3 * step)
            assert await done(other) == "http://0"
        assert stage.state() is EndpointState.SERVING
        await stage.after_s(3.1)
        assert await done(read) == "http://0"


async def test_call_that_runs_longer_than_plain_reads_is_given_the_time_of_calls() -> None:
    async with staged() as stage:
        call = [Request("eth_call")]
        await warm(stage, call)
        stage.members[0].takes_s["eth_call"] = SILENCE_S - 0.01
        read = stage.ask(call)
        await stage.after_s(SILENCE_S - 0.001)
        assert await done(read) == "http://1"
        assert stage.state() is EndpointState.SERVING


async def test_bug_met_by_a_question_that_nobody_waits_for_is_raised_by_the_next() -> None:
    async with staged() as stage:
        stage.members[0].takes_s[""] = 0.05
        read = stage.ask()
        await stage.after_s(0.01)
        assert await done(read) == "http://1"
        stage.members[0].bug = ZeroDivisionError("a bug")
        await stage.after_s(0.06)
        with pytest.raises(ZeroDivisionError):
            await done(stage.ask())


async def test_nothing_is_left_running_when_the_pool_is_closed() -> None:
    async with staged() as stage:
        stage.members[0].takes_s[""] = NEVER_S
        read = stage.ask()
        await stage.after_s(0.01)
        await done(read)
    for _ in range(3):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_heads_that_all_come_late_are_waited_for_until_enough_are_there() -> None:
    clock = Clock()
    members = [One(f"http://{place}", clock, {"": 1.5 * HEDGE_S_MAX}) for place in range(3)]
    pool = RpcPool(members, chain_id=1, clock=clock, agreement=2)
    pool.tip_number = 10  # what they say goes back, so that everybody is asked
    found = asyncio.ensure_future(newest_blocks(pool, ["latest"], lambda answer, tag: block(9)))
    await clock.until_s(10 * HEDGE_S_MAX)
    assert await done(found) == [block(9)]
    await pool.close()
