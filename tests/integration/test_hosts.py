"""Hosts with real processes: whatever one strategy does, its neighbours go on and the kernel is answered."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from seawall.primitives.blocks import Block
from seawall.primitives.errors import StrategyError
from seawall.primitives.observations import Cause, Observation
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash
from seawall.runtime.hosts.errors import StrategyInterruptedError, StrategyNotRunningError
from seawall.runtime.hosts.settings import HostedStrategy, HostSettings
from seawall.runtime.hosts.supervisor import HostEvent, HostSupervisor, Standing, StrategyStatus

TRIALS = Path(__file__).parent.parent / "fixtures" / "hosted"
# No machine is so slow that a host misses these; a test that wants one missed lets the time pass itself.
DEADLINE_S = 600.0
SETTINGS = HostSettings(
    decide_deadline_s=DEADLINE_S,
    load_deadline_s=DEADLINE_S,
    heartbeat_interval_s=0.05,
    heartbeat_deadline_s=DEADLINE_S,
    backoff_first_s=0.06,
    backoff_max_s=0.4,
    memory_bytes_max=600 * 1024**2,
    python_path=(str(TRIALS),),
)
WAIT_S = 120.0
BLOCK = Block(
    31337,
    9,
    Hash(b"\x01" * 32),
    Hash(b"\x02" * 32),
    1_700_000_000,
    10**9,
    30_000_000,
    Address(bytes(20)),
    Hash(bytes(32)),
)

KERNEL = """
import asyncio, sys
from tests.integration.test_hosts import Rig, observe, trial

async def run():
    rig = Rig(trial("busy"))
    await rig.hosts.start()
    hanging = asyncio.create_task(rig.hosts.decide(observe("busy", 1, "hang")))
    await asyncio.sleep(0.2)  # or it is killed before it is busy, which must do no harm either
    print(rig.status("busy").pid, flush=True)
    await hanging

asyncio.run(run())
"""


def observe(strategy: str, seq: int = 1, command: str = "") -> Observation:
    return Observation(strategy, seq, Cause.COMMAND, 1_700_000_000, BLOCK, command=command)


def trial(name: str, settings_json: str = "{}", host: str = "shared") -> HostedStrategy:
    return HostedStrategy(name, "trials:Trial", settings_json, host)


class TrialClock:
    """The system's, which can leap ahead, and remembers the pauses between starts: they are longer than those
    of the watches."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._ahead_s = 0.0
        self.now_s = self._system.now_s
        self.pauses_s: list[float] = []

    def leap(self) -> None:
        """Whatever is owed now is overdue."""
        self._ahead_s += 2 * DEADLINE_S

    def monotonic_s(self) -> float:
        return self._system.monotonic_s() + self._ahead_s

    async def sleep_s(self, duration_s: float) -> None:
        if duration_s >= SETTINGS.backoff_first_s:
            self.pauses_s.append(duration_s)
        await self._system.sleep_s(duration_s)


class Rig:
    """A started supervisor and what it told."""

    def __init__(self, *strategies: HostedStrategy, settings: HostSettings = SETTINGS) -> None:
        self.events: list[HostEvent] = []
        self.clock = TrialClock()
        self.hosts = HostSupervisor(strategies, settings, self.clock, self.events.append)

    def status(self, name: str) -> StrategyStatus:
        return next(status for status in self.hosts.status() if status.name == name)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_S):
            while not holds():  # noqa: ASYNC110  (some conditions have no event)
                await asyncio.sleep(0.02)

    async def until_deciding(self, name: str) -> None:
        await self.until(lambda: self.status(name).is_deciding)

    async def until_running(self, name: str, starts: int = 1) -> None:
        await self.until(
            lambda: self.status(name).standing is Standing.RUNNING and self.status(name).starts >= starts
        )


@contextlib.asynccontextmanager
async def running_pair(settings: HostSettings = SETTINGS) -> AsyncIterator[Rig]:
    """`good` and `bad` in one process."""
    rig = Rig(trial("good"), trial("bad"), settings=settings)
    async with asyncio.timeout(WAIT_S):
        await rig.hosts.start()
    yield rig
    async with asyncio.timeout(WAIT_S):
        await rig.hosts.close()


@pytest.fixture
async def pair() -> AsyncIterator[Rig]:
    async with running_pair() as rig:
        yield rig


async def test_decisions_carry_plans_state_and_version(pair: Rig) -> None:
    first = await pair.hosts.decide(observe("good", 1))
    second = await pair.hosts.decide(observe("good", 2), b"\x07", 5)
    assert (first.state, first.state_version, len(first.plans)) == (b"\x01", 0, 1)
    assert (second.seq, second.state, second.state_version) == (2, b"\x07\x02", 5)
    assert second.plans[0].idempotency_key == "good:2:0"
    assert pair.hosts.subscriptions("good")[0].reads[0].label == "balance"


async def test_strategies_of_one_host_share_a_process_and_answer_concurrent_turns(pair: Rig) -> None:
    assert pair.status("good").pid == pair.status("bad").pid
    answers = await asyncio.gather(pair.hosts.decide(observe("good")), pair.hosts.decide(observe("bad")))
    assert [answer.strategy for answer in answers] == ["good", "bad"]


async def test_observation_larger_than_a_frame_crosses_in_parts(pair: Rig) -> None:
    reads: dict[str, bytes | None] = {f"read {i}": bytes(1_000_000) for i in range(10)}
    answer = await pair.hosts.decide(replace(observe("good"), reads=reads))
    assert answer.state == b"\x01"


async def test_second_observation_is_refused_while_one_is_outstanding(pair: Rig) -> None:
    first = asyncio.create_task(pair.hosts.decide(observe("good", 1)))
    await asyncio.sleep(0)
    with pytest.raises(StrategyError, match="outstanding"):
        await pair.hosts.decide(observe("good", 2))
    assert (await first).seq == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("raise", "no idea what to do"),
        ("exit", "SystemExit"),
        ("nonsense", "returned str"),
        ("network", "no network"),
    ],
)
async def test_strategy_that_raises_is_restarted_alone_and_its_neighbour_keeps_its_process(
    pair: Rig, command: str, told: str
) -> None:
    pid = pair.status("good").pid
    with pytest.raises(StrategyError, match=told):
        await pair.hosts.decide(observe("bad", 1, command))
    assert (await pair.hosts.decide(observe("good", 1))).seq == 1
    await pair.until_running("bad", starts=2)
    assert pair.status("good").pid == pid != pair.status("bad").pid
    assert (await pair.hosts.decide(observe("bad", 2))).state == b"\x01"


@pytest.mark.parametrize("command", ["hang", "hang holding the interpreter"])
async def test_hanging_strategy_is_killed_and_its_neighbour_recovers(pair: Rig, command: str) -> None:
    pid = pair.status("bad").pid
    assert pid is not None
    hanging = asyncio.create_task(pair.hosts.decide(observe("bad", 1, command)))
    await pair.until_deciding("bad")
    waiting = asyncio.create_task(pair.hosts.decide(observe("good", 1)))
    await pair.until_deciding("good")
    pair.clock.leap()
    with pytest.raises(StrategyInterruptedError):
        await waiting
    with pytest.raises(StrategyError, match=r"within|sign of life"):
        await hanging
    await pair.until_running("good", starts=2)
    assert (await pair.hosts.decide(observe("good", 2))).seq == 2
    await pair.until_running("bad", starts=2)
    assert pair.status("good").pid != pair.status("bad").pid
    assert not psutil.pid_exists(pid)


async def test_dying_process_is_blamed_on_the_strategy_that_was_deciding(pair: Rig) -> None:
    with pytest.raises(StrategyError, match="SIGKILL"):
        await pair.hosts.decide(observe("bad", 1, "die"))
    await pair.until_running("good", starts=2)
    assert pair.status("good").failures == 0
    assert pair.status("bad").failures == 1


async def test_host_killed_between_turns_leaves_each_strategy_a_host_of_its_own(pair: Rig) -> None:
    pid = pair.status("good").pid
    assert pid is not None
    os.kill(pid, 9)
    await pair.until_running("good", starts=2)
    await pair.until_running("bad", starts=2)
    assert pair.status("good").pid != pair.status("bad").pid
    assert (await pair.hosts.decide(observe("good"))).seq == 1


@pytest.mark.parametrize(
    ("command", "told"), [("flood", "65 plans exceed 64"), ("oversize", "exceeds 1048576")]
)
async def test_flooding_strategy_is_stopped_and_its_neighbour_keeps_its_process(
    pair: Rig, command: str, told: str
) -> None:
    pid = pair.status("good").pid
    with pytest.raises(StrategyError, match=told):
        await pair.hosts.decide(observe("bad", 1, command))
    with pytest.raises(StrategyNotRunningError, match="stopped"):
        await pair.hosts.decide(observe("bad", 2))
    assert (await pair.hosts.decide(observe("good", 1))).seq == 1
    assert pair.status("good").pid == pid
    await pair.hosts.restart("bad")
    assert (await pair.hosts.decide(observe("bad", 3))).seq == 3


@pytest.mark.parametrize("command", ["garbage", "oversized frame", "endless heartbeats"])
async def test_garbage_on_the_socket_stops_its_writer_and_restarts_the_neighbour(command: str) -> None:
    # Heartbeats are too many by this interval: within a short one a slow machine does not take in so many.
    async with running_pair(replace(SETTINGS, heartbeat_interval_s=10.0)) as pair:
        with pytest.raises(StrategyError, match="no host may send"):
            await pair.hosts.decide(observe("bad", 1, command))
        assert pair.status("bad").standing is Standing.STOPPED
        await pair.until_running("good", starts=2)
        assert (await pair.hosts.decide(observe("good", 1))).seq == 1


async def test_strategy_that_eats_memory_meets_its_limit_and_all_recover(pair: Rig) -> None:
    with pytest.raises(StrategyError, match=r"MemoryError|heartbeat|died|exited"):
        await pair.hosts.decide(observe("bad", 1, "eat"))
    await pair.until_running("good", starts=2)
    await pair.until_running("bad", starts=2)
    assert (await pair.hosts.decide(observe("good", 1))).seq == 1
    assert pair.status("good").resident_bytes < 200 * 1024**2


async def test_observation_over_the_bound_stops_the_strategy_that_subscribed_to_it(pair: Rig) -> None:
    reads: dict[str, bytes | None] = {f"read {i}": bytes(1_000_000) for i in range(68)}
    with pytest.raises(StrategyError, match="subscribe to fewer"):
        await pair.hosts.decide(replace(observe("bad"), reads=reads))
    assert pair.status("bad").standing is Standing.STOPPED
    assert (await pair.hosts.decide(observe("good"))).seq == 1


async def test_pauses_between_starts_double_up_to_a_limit() -> None:
    rig = Rig(trial("bad"))
    await rig.hosts.start()
    for failures in range(1, 6):
        with pytest.raises(StrategyError, match="no idea"):
            await rig.hosts.decide(observe("bad", failures, "raise"))
        await rig.until_running("bad", starts=failures + 1)
    assert rig.clock.pauses_s == [0.06, 0.12, 0.24, 0.4, 0.4]
    await rig.hosts.decide(observe("bad", 6))
    assert rig.status("bad").failures == 0
    assert [e.standing for e in rig.events[:4]] == ["starting", "running", "waiting", "starting"]
    await rig.hosts.close()


async def test_caller_that_gives_up_leaves_the_host_in_step(pair: Rig) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await pair.hosts.decide(observe("good", 1))
    await pair.until(lambda: not pair.status("good").is_deciding)
    assert (await pair.hosts.decide(observe("good", 2))).seq == 2


async def test_strategy_that_cannot_load_is_stopped_and_the_others_run() -> None:
    rig = Rig(
        trial("broken", '{"load": "raise"}'),
        HostedStrategy("missing", "no_such_module:Trial"),
        HostedStrategy("misnamed", "trials:Nothing"),
        trial("good"),
    )
    try:
        async with asyncio.timeout(WAIT_S):
            await rig.hosts.start()
        assert [s.standing for s in rig.hosts.status()] == [Standing.STOPPED] * 3 + [Standing.RUNNING]
        assert "refuses to load" in rig.status("broken").reason
        assert "no module 'no_such_module'" in rig.status("missing").reason
        assert "no strategy class" in rig.status("misnamed").reason
        assert (await rig.hosts.decide(observe("good"))).seq == 1
    finally:
        await rig.hosts.close()


async def test_strategy_that_hangs_while_loading_does_not_hold_up_the_others_for_ever() -> None:
    rig = Rig(trial("slow", '{"load": "hang"}'), trial("good"))
    try:
        async with asyncio.timeout(WAIT_S):
            starting = asyncio.create_task(rig.hosts.start())
            await rig.until(lambda: rig.status("slow").pid is not None)
            rig.clock.leap()
            await starting
            await rig.until_running("good")
        assert rig.status("slow").failures >= 1
        assert (await rig.hosts.decide(observe("good"))).seq == 1
    finally:
        await rig.hosts.close()


async def test_host_has_a_bare_environment_lean_imports_and_little_memory(pair: Rig) -> None:
    environment = await pair.hosts.decide(observe("good", 1, "environment"))
    assert (
        environment.state == b"LANG,MALLOC_ARENA_MAX"
        or environment.state == b"LANG,LC_CTYPE,MALLOC_ARENA_MAX"
    )
    modules = (await pair.hosts.decide(observe("good", 2, "modules"))).state
    assert modules is not None
    heavy = {
        "aiohttp",
        "asyncio",
        "sqlalchemy",
        "pydantic",
        "seawall.chain",
        "seawall.ledger",
        "seawall.signers",
    }
    assert not heavy.intersection(modules.decode().split("\n"))
    await pair.until(lambda: pair.status("good").resident_bytes > 0)
    assert pair.status("good").resident_bytes < 80 * 1024**2


async def test_printing_strategy_does_not_write_to_the_kernels_output(
    pair: Rig, capfd: pytest.CaptureFixture[str]
) -> None:
    await pair.hosts.decide(observe("good", 1, "print"))
    await pair.hosts.close()
    assert "must not reach" not in capfd.readouterr().out


async def test_hosts_end_with_their_kernel_even_in_a_busy_loop() -> None:
    kernel = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KERNEL, str(TRIALS), stdout=subprocess.PIPE, cwd=TRIALS.parents[2]
    )
    try:
        assert kernel.stdout is not None
        async with asyncio.timeout(WAIT_S):
            pid = int(await kernel.stdout.readline())
        host = psutil.Process(pid)
    finally:
        kernel.kill()
        await kernel.wait()
    with contextlib.suppress(psutil.NoSuchProcess):
        await asyncio.to_thread(host.wait, WAIT_S)


async def test_close_ends_every_process_even_a_busy_one() -> None:
    rig = Rig(trial("busy"), trial("alone", host="other"), settings=replace(SETTINGS, stop_grace_s=0.2))
    await rig.hosts.start()
    pids = [status.pid for status in rig.hosts.status()]
    hanging = asyncio.create_task(rig.hosts.decide(observe("busy", 1, "hang")))
    await rig.until_deciding("busy")
    async with asyncio.timeout(WAIT_S):
        await rig.hosts.close()
    with pytest.raises(StrategyError):
        await hanging
    assert not any(psutil.pid_exists(pid) for pid in pids if pid is not None)
