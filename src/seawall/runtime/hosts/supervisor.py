"""Keeps strategies running in hosts: starts, asks, blames, isolates, restarts.

Strategies of one host share a process until something goes wrong:

- one that raises or cannot be loaded is dropped by its host, which goes on with the others;
- one that hangs, dies or sends nonsense takes the process along: its neighbours start again at once in a new
  shared process, and from then on the offender has a host of its own;
- a death that nobody can be blamed for (between turns), or out of memory, gives each its own host.

Offenders wait ever longer between starts. Whoever breaks the bounds or the format of the socket, or cannot be
loaded, is stopped until `restart`: trying again would change nothing.

A strategy that starts again has lost its views. `HostEvent` and `StrategyStatus.starts` say so: the next
observation must let it read again. Nothing is asked twice: an interrupted `decide` raises, and the caller
observes anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from seawall.primitives.errors import ConfigError, StrategyError, WireError
from seawall.primitives.frames import Failure, FailureKind, Hello, StrategySpec, Turn
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.ports import Clock
from seawall.runtime.hosts.errors import StrategyNotRunningError
from seawall.runtime.hosts.process import HostEnd, HostListener, HostProcess
from seawall.runtime.hosts.settings import HostedStrategy, HostSettings

__all__ = ["HostEvent", "HostSupervisor", "Standing", "StrategyStatus"]


class Standing(StrEnum):
    """Where a strategy stands."""

    STARTING = "starting"
    RUNNING = "running"
    WAITING = "waiting"  # for its next start, after a failure
    STOPPED = "stopped"  # until `restart`


@dataclass(frozen=True, slots=True)
class StrategyStatus:
    name: str
    standing: Standing
    host: str
    pid: int | None
    starts: int  # how often it was loaded; its views are as old as the last time
    failures: int  # since its last decision
    reason: str  # of the last failure, empty if there was none
    subscriptions: tuple[Subscription, ...]
    is_deciding: bool  # an observation is outstanding
    resident_bytes: int  # of its host, neighbours included


@dataclass(frozen=True, slots=True)
class HostEvent:
    """A change of standing, for logs, metrics and the kernel's next observation."""

    strategy: str
    standing: Standing
    starts: int
    reason: str


@dataclass(slots=True)
class _Record:
    spec: StrategySpec
    host: str
    standing: Standing = Standing.STARTING
    process: HostProcess | None = None
    starts: int = 0
    failures: int = 0
    reason: str = ""
    subscriptions: tuple[Subscription, ...] = ()
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class HostSupervisor:
    """All hosts of a kernel. Use from one event loop."""

    def __init__(
        self,
        strategies: Sequence[HostedStrategy],
        settings: HostSettings,
        clock: Clock,
        on_event: Callable[[HostEvent], None] = lambda _event: None,
    ) -> None:
        names = [strategy.name for strategy in strategies]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"two strategies are named {name!r}", "strategies", "name each differently")
        self._records = {
            s.name: _Record(StrategySpec(s.name, s.path, s.settings_json), s.host) for s in strategies
        }
        self._settings = settings
        self._clock = clock
        self._on_event = on_event
        self._processes: set[HostProcess] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False

    async def start(self) -> None:
        """Start every host; returns when each strategy runs or is known not to (see `status`)."""
        for host in dict.fromkeys(record.host for record in self._records.values()):
            self._launch([record for record in self._records.values() if record.host == host])
        for record in self._records.values():
            await record.settled.wait()

    async def decide(self, observation: Observation, state: bytes = b"", state_version: int = 0) -> Decision:
        """Ask the strategy that the observation names; `state` is what the ledger holds for it.

        `StrategyError` if it raised, hung, broke a bound or is not running (then it is not at fault for this
        observation, and a later one may succeed). Always answers within the deadlines of its host.
        """
        record = self._record(observation.strategy)
        if record.standing is not Standing.RUNNING or record.process is None:
            what = (
                f"it is {record.standing}: {record.reason}" if record.reason else f"it is {record.standing}"
            )
            raise StrategyNotRunningError(what, f"strategy {record.spec.name!r}", _fix_of(record.standing))
        if record.process.owes(record.spec.name):
            raise StrategyError(
                "an observation is outstanding", f"strategy {record.spec.name!r}", "wait for its decision"
            )
        try:
            decision = await record.process.ask(Turn(observation, state_version, state))
        except WireError as error:
            self._offend(record, error.what, stop=True)
            raise StrategyError(error.what, error.where, error.fix) from error
        record.failures = 0
        return decision

    async def restart(self, name: str) -> None:
        """Start a stopped or waiting strategy now; returns when it runs or is known not to."""
        record = self._record(name)
        if record.standing in (Standing.STOPPED, Standing.WAITING):
            record.failures = 0
            self._launch([record])
        await record.settled.wait()

    def status(self) -> tuple[StrategyStatus, ...]:
        """Every strategy, in the order configured."""
        return tuple(_status_of(record) for record in self._records.values())

    def subscriptions(self, name: str) -> tuple[Subscription, ...]:
        """What the strategy asked for when it was last loaded."""
        return self._record(name).subscriptions

    async def close(self) -> None:
        """Stop every host and wait until all are gone."""
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        processes = tuple(self._processes)
        await asyncio.gather(*self._tasks, *(process.stop() for process in processes), return_exceptions=True)
        for record in self._records.values():
            record.standing, record.process = Standing.STOPPED, None
            record.settled.set()

    def _record(self, name: str) -> _Record:
        record = self._records.get(name)
        if record is None:
            raise StrategyError(f"there is no strategy {name!r}", "hosts", "name one of the configuration")
        return record

    def _launch(self, records: Sequence[_Record]) -> None:
        if self._is_closing or not records:
            return
        for record in records:
            record.settled.clear()
            record.process = None
        listener = HostListener(self._on_loaded, self._on_failed, self._on_ended)
        specs = [record.spec for record in records]
        try:
            process = HostProcess.spawn(specs, self._settings, self._clock, listener)
        except OSError as error:
            for record in records:
                self._offend(record, f"no process could be started: {error.strerror}")
            return
        self._processes.add(process)
        for record in records:
            record.process = process
            self._stand(record, Standing.STARTING)

    def _on_loaded(self, hello: Hello) -> None:
        record = self._records[hello.strategy]
        record.starts += 1
        record.subscriptions = hello.subscriptions
        self._stand(record, Standing.RUNNING)

    def _on_failed(self, failure: Failure) -> None:
        record = self._records[failure.strategy]
        process = record.process
        assert process is not None
        hopeless = failure.kind in (FailureKind.LOAD, FailureKind.BOUND)
        self._offend(record, failure.what, stop=hopeless)
        if failure.kind is FailureKind.MEMORY:
            # Whoever filled the memory need not be who ran out of it.
            process.end(f"it ran out of memory in {failure.strategy!r}")

    def _on_ended(self, process: HostProcess, end: HostEnd) -> None:
        self._spawn_task(self._forget(process))
        if self._is_closing:
            return
        neighbours: list[_Record] = []
        shared = [record for record in self._records.values() if record.process is process]
        for record in shared:
            if record.spec.name == end.blamed:
                self._offend(record, end.reason, stop=end.is_wire_offence)
            elif end.blamed is None:
                self._offend(record, end.reason)
            else:
                neighbours.append(record)
        self._launch(neighbours)

    def _offend(self, record: _Record, reason: str, *, stop: bool = False) -> None:
        """Part the strategy from its host; start it alone after a pause, unless that is hopeless."""
        process, record.process = record.process, None
        record.host = record.spec.name
        record.failures += 1
        record.reason = reason
        if process is not None and all(other.process is not process for other in self._records.values()):
            process.end("it is empty")
        if stop:
            self._stand(record, Standing.STOPPED)
            return
        self._stand(record, Standing.WAITING)
        self._spawn_task(self._start_later(record, record.starts, record.failures))

    async def _start_later(self, record: _Record, starts: int, failures: int) -> None:
        doublings = min(failures - 1, 32)
        pause_s = min(self._settings.backoff_first_s * 2**doublings, self._settings.backoff_max_s)
        await self._clock.sleep_s(pause_s)
        if record.standing is Standing.WAITING and (record.starts, record.failures) == (starts, failures):
            self._launch([record])

    async def _forget(self, process: HostProcess) -> None:
        await process.gone()
        self._processes.discard(process)

    def _stand(self, record: _Record, standing: Standing) -> None:
        record.standing = standing
        if standing is not Standing.STARTING:
            record.settled.set()
        self._on_event(HostEvent(record.spec.name, standing, record.starts, record.reason))

    def _spawn_task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _status_of(record: _Record) -> StrategyStatus:
    process = record.process
    return StrategyStatus(
        record.spec.name,
        record.standing,
        record.host,
        process.pid if process else None,
        record.starts,
        record.failures,
        record.reason,
        record.subscriptions,
        process.owes(record.spec.name) if process else False,
        process.resident_bytes if process else 0,
    )


def _fix_of(standing: Standing) -> str:
    return "correct it, then restart it" if standing is Standing.STOPPED else "observe again later"
