"""The kernel process: everything put together, started in order, and stopped in order.

Start-up, which is also crash recovery: the latch is read before anything else; signals get their thread
before any other thread exists; then ledger, keys (unlocked on their own threads meanwhile), hosts, chains,
health. A dry-run strategy gets a ledger of its own, named by mode and strategy, and a chain whose lanes have
no signer and whose port refuses to write; all else is the same code."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seawall.chain.logs.replay import replayed
from seawall.chain.pending import PendingSource
from seawall.chain.subscriptions import HeadSocket
from seawall.control.latch import Latch
from seawall.control.signals import SignalWatch
from seawall.primitives.errors import (
    ChainError,
    LedgerLockedError,
    SeawallError,
    SignerUnavailableError,
)
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Authority
from seawall.primitives.ports import SystemClock, SystemEntropy, ThreadOffload
from seawall.primitives.units import Address, address_text
from seawall.risk.guards.catalogue import GUARD_NAMES
from seawall.risk.guards.multisig import MULTISIG_GUARD_NAME
from seawall.risk.guards.signer_policy import POLICY_GUARD_NAMES
from seawall.runtime import log_keeping, pending
from seawall.runtime.books import Book, BookOpener
from seawall.runtime.commands import CommandServer
from seawall.runtime.configuration.loading import load_configuration
from seawall.runtime.configuration.names import RETIREMENT
from seawall.runtime.configuration.settings import (
    ChainSettings,
    Configuration,
    Mode,
    StrategySettings,
    SubmitterSettings,
)
from seawall.runtime.drift import DriftWatch
from seawall.runtime.feeds import Feed
from seawall.runtime.hosts.settings import HostedStrategy
from seawall.runtime.hosts.supervisor import HostEvent, HostSupervisor, Standing
from seawall.runtime.http import Check, HealthReport, HealthServer
from seawall.runtime.keys.changes import KeyAge, KeyKeeper
from seawall.runtime.keys.commands import KEY_COMMANDS, KeyCommands
from seawall.runtime.keys.retiring import bounds_of
from seawall.runtime.lane_commands import LANE_COMMANDS, LaneCommands
from seawall.runtime.log_keeping import LogKeeper
from seawall.runtime.pending import open_pending, teller
from seawall.runtime.places import SOCKET_NAME
from seawall.runtime.plan_form import PlanOrigin
from seawall.runtime.submission import COMMANDS, Submission, Submitter
from seawall.runtime.wiring import Chain
from seawall.signers.base import KernelSigner
from seawall.signers.opening import open_signer
from seawall.telemetry import logs
from seawall.telemetry.endpoints import EndpointState
from seawall.telemetry.metrics import MetricLabels, Metrics
from seawall.transactions.desk import HEAD_AGE_S_MAX

if TYPE_CHECKING:
    from seawall.runtime.safes.commands import SafeCommands

__all__ = ["Kernel", "main", "tune_interpreter"]

STOP_WAIT_S: Final = 5.0
# Until a key is looked for again whose token, service or program was away.
UNLOCK_PAUSE_S: Final = 5.0
# A thread that answers the loop (a commit, a verdict, a write) asks for the interpreter's lock, and may wait
# this long for it each time. With Python's 5 ms the waits of one intent add up to more than its own work.
SWITCH_INTERVAL_S: Final = 0.0005
# What is under way at once (thousands of intents) should not set off a collection: each stops every
# thread for milliseconds, and messages hold no cycles for it to find.
GC_THRESHOLDS: Final = (200_000, 20, 50)
_log = logs.get_logger(__name__)


def main(file: Path) -> int:
    """Run the kernel that `file` describes until it is told to stop. Returns the process's exit code."""
    configuration = load_configuration(file, os.environ)
    configuration.kernel.data.mkdir(parents=True, exist_ok=True)
    latch = Latch(configuration.kernel.latch_file)
    stop = _Stop()
    watch = SignalWatch(latch, stop.ask)
    watch.start()
    try:
        logs.configure(configuration.logs)
        tune_interpreter()
        with _pid_file(configuration.kernel.pid_file):
            asyncio.run(_run(configuration, latch, stop))
    finally:
        watch.stop()
    return 0


def tune_interpreter() -> None:
    """Settings for many short turns: the lock changes hands sooner, and what was made so far is
    left out of garbage collection, which then runs less often, since messages hold no cycles."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


async def _run(configuration: Configuration, latch: Latch, stop: _Stop) -> None:
    stopping = stop.attach(asyncio.get_running_loop())
    kernel = Kernel(configuration, latch)
    work = asyncio.create_task(kernel.run())
    waiter = asyncio.create_task(stopping.wait())
    await asyncio.wait({work, waiter}, return_when=asyncio.FIRST_COMPLETED)
    waiter.cancel()
    if not work.done():
        _log.info("stopping")
        await _cancel(work)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await work
    except BaseExceptionGroup as group:
        error = _first_of(group)
        _log.critical("kernel_failed", cause=str(error), exc_info=error)
        raise error from None


async def _cancel(work: asyncio.Task[None]) -> None:
    """Cancel, and after `STOP_WAIT_S` whatever is still there: a task may have lost its cancellation to a
    `finally` that awaits, and a group cancels each of its tasks once only."""
    work.cancel()
    while not work.done():
        await asyncio.wait({work}, timeout=STOP_WAIT_S)
        if not work.done():
            left = asyncio.all_tasks() - {asyncio.current_task()}
            _log.error("stop_is_slow", tasks=sorted(str(task.get_coro()) for task in left))
            for task in left:
                task.cancel()


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What broke first; its neighbours were only cancelled."""
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


class _Stop:
    """An orderly stop, asked for from the signal thread, maybe before there is a loop."""

    def __init__(self) -> None:
        self._asked = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._event: asyncio.Event | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> asyncio.Event:
        self._event, self._loop = asyncio.Event(), loop
        if self._asked:
            self._event.set()
        return self._event

    def ask(self) -> None:
        self._asked = True
        if self._loop is not None and self._event is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._event.set)


@contextlib.contextmanager
def _pid_file(path: Path) -> Iterator[None]:
    """Own the data directory: its latch, socket and process id are one kernel's. The system lets the lock go
    with the process; the file stays, since removing what others may be opening would let two of them in."""
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            what = f"a kernel (process {file.read(20).strip()}) runs in this data directory"
            raise LedgerLockedError(
                what, str(path.parent), "stop it first, or give this one a data directory of its own"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


@dataclass(slots=True)
class Kernel:
    """One life of the process. `run` ends by cancellation, or by a failure that nothing here can mend."""

    configuration: Configuration
    latch: Latch
    clock: SystemClock = field(default_factory=SystemClock)
    _signers: dict[str, KernelSigner] = field(default_factory=dict)
    _books: list[Book] = field(default_factory=list)
    _pending: list[PendingSource] = field(default_factory=list)
    _keepers: list[LogKeeper] = field(default_factory=list)
    _watches: list[DriftWatch] = field(default_factory=list)
    _executors: dict[int, str] = field(default_factory=dict)  # by chain, what is wrong with it, or nothing
    _safes: SafeCommands | None = None  # where Safes are configured
    _hosts: HostSupervisor | None = None
    _started: bool = False

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            metrics = Metrics(self._labels(), clock=self.clock)
            self._open_signers(stack)
            server = HealthServer(
                self.configuration.kernel.listen_host,
                self.configuration.kernel.listen_port,
                self.report,
                metrics,
                takes_signatures=bool(self.configuration.safes),
            )
            await server.start()
            stack.push_async_callback(server.stop)
            socket = self.configuration.kernel.data / SOCKET_NAME
            commands = CommandServer(socket, self.latch, self.report, self._promised())
            await commands.start()
            stack.push_async_callback(commands.stop)
            await self._open_books(stack, metrics)
            live = self._books[0]
            keys = self._keep_keys(live, commands)
            await keys.learn()  # before anything is taken in for a key that is retired
            hosts = self._place_strategies(stack)
            self._admit_submitters(commands)
            LaneCommands(live.ledger, live.chains, self.clock).offer_on(commands)
            self._admit_safes(commands, server)
            # What the ledger and the fleet say of authority comes before anybody raises it.
            for book in self._books:
                book.authority.attach(asyncio.get_running_loop())
                await book.authority.start()
            self._started = True
            _log.info("started", health_port=server.port, authority=self.latch.authority.name)
            try:
                await self._work(hosts, keys)
            finally:
                await self._books[0].leave()

    # ------------------------------------------------------------------ start-up

    def _labels(self) -> MetricLabels:
        config = self.configuration
        lanes = tuple(
            Lane(chain.network.chain_id, signer.address())
            for chain in config.chains
            for signer in config.signers
        )
        return MetricLabels(
            chains={chain.network.chain_id: chain.network.name for chain in config.chains},
            lanes=lanes,
            strategies=(
                RETIREMENT,
                *(one.name for one in config.strategies),
                *(one.name for one in config.submitters),
                *(one.policy.name for one in config.safes),
            ),
            guards=("simulation", *GUARD_NAMES, *POLICY_GUARD_NAMES, MULTISIG_GUARD_NAME),
            relays=tuple({each.relay.name: None for chain in config.chains for each in chain.relays}),
        )

    def _open_signers(self, stack: AsyncExitStack) -> None:
        for settings in self.configuration.signers:
            signer = open_signer(settings.name, settings.key)
            self._signers[settings.name] = signer
            stack.push_async_callback(signer.close)

    async def _open_books(self, stack: AsyncExitStack, metrics: Metrics) -> None:
        opener = BookOpener(
            self.configuration, self.latch, self.clock, self._signers, metrics, self._on_integrity_alarm,
            self._on_raised, stack,
        )  # fmt: skip
        self._books.append(await opener.open_live())
        for strategy in self.configuration.strategies:
            if strategy.mode is Mode.DRY_RUN:
                self._books.append(await opener.open_dry_run(strategy, self._books[0].ledger))

    def _place_strategies(self, stack: AsyncExitStack) -> HostSupervisor:
        """They are loaded while recovery goes on already: what is committed does not wait for their code."""
        config = self.configuration
        hosted = [
            HostedStrategy(s.name, s.path, s.settings_json(self._signers[s.signer].address), s.host)
            for s in config.strategies
        ]
        self._hosts = hosts = HostSupervisor(hosted, config.hosts, self.clock, self._on_host_event)
        stack.push_async_callback(hosts.close)
        dry_runs = iter(self._books[1:])
        for strategy in config.strategies:
            book = self._books[0] if strategy.mode is Mode.LIVE else next(dry_runs)
            chain = book.chains[strategy.chain_id]
            feed = Feed(
                strategy.name,
                hosts,
                chain.desk,
                replace(chain.intake, lanes=frozenset({self._lane(strategy)})),
                book.ledger,
                chain.loop.wake_lanes,
                hosts.subscriptions,
                lane=self._lane(strategy),
                is_shared=book.membership is not None,
                replay=partial(replayed, chain.desk.parts.client),
                kept=self._kept_on(strategy.chain_id),
                kept_in=self._books[0].ledger,
            )
            book.feeds.append(feed)
            chain.loop.listeners.append(feed)
        return hosts

    def _admit_submitters(self, commands: CommandServer) -> None:
        """Plans may come over the socket from now on; their lanes move once the chains are started."""
        live, keys = self._books[0], {name: signer.address for name, signer in self._signers.items()}

        def admitted(settings: SubmitterSettings) -> Submitter:
            chain = live.chains[settings.chain_id]
            own = {name: keys[name] for name in settings.signers}
            book = next(c.book for c in self.configuration.chains if c.network.chain_id == settings.chain_id)
            lanes = frozenset(Lane(settings.chain_id, key) for key in own.values())
            origin = PlanOrigin(settings.name, settings.chain_id, own, book)
            return Submitter(origin, replace(chain.intake, lanes=lanes), chain.loop.wake_lanes)

        def look(chain_id: int) -> None:
            if chain_id in live.chains:
                live.chains[chain_id].loop.tend_soon()
                live.chains[chain_id].loop.wake_lanes()

        submitters = {one.name: admitted(one) for one in self.configuration.submitters}
        Submission(submitters, live.ledger, self.clock, SystemEntropy(), look).offer_on(commands)

    def _promised(self) -> tuple[str, ...]:
        """Commands that are offered once everything is built. Who has no Safe pays nothing for them."""
        if not self.configuration.safes:
            return (*COMMANDS, *KEY_COMMANDS, *LANE_COMMANDS)
        from seawall.runtime.safes.commands import SAFE_COMMANDS

        return (*COMMANDS, *KEY_COMMANDS, *LANE_COMMANDS, *SAFE_COMMANDS)

    def _admit_safes(self, commands: CommandServer, server: HealthServer) -> None:
        if not self.configuration.safes:
            return
        from seawall.runtime.safes.commands import SafeCommands, safe_desks

        desks = safe_desks(self.configuration, self._books[0].chains, self._signers, ThreadOffload())
        books = {chain.network.chain_id: chain.book for chain in self.configuration.chains}
        self._safes = SafeCommands(desks, books)
        self._safes.offer_on(commands)
        server.door = self._safes

    def _keep_keys(self, live: Book, commands: CommandServer) -> KeyKeeper:
        """Keys are retired and taken over by command, and their age is told."""
        config = self.configuration
        books = {chain.network.chain_id: chain.book for chain in config.chains}
        ages = [KeyAge(s.name, s.since, s.rotation_days, tuple(s.policies)) for s in config.signers]
        bounds = bounds_of(config, {name: signer.address for name, signer in self._signers.items()})
        keeper = KeyKeeper(live.ledger, live.chains, books, self.clock, bounds, ages)
        KeyCommands(live.ledger, keeper, bounds.keys(), self.clock).offer_on(commands)
        return keeper

    def _lane(self, strategy: StrategySettings) -> Lane:
        """The one lane that the strategy's plans may use: its own signer's."""
        return Lane(strategy.chain_id, self._signers[strategy.signer].address)

    def _on_host_event(self, event: HostEvent) -> None:
        log = _log.warning if event.standing in (Standing.WAITING, Standing.STOPPED) else _log.info
        log("strategy", strategy=event.strategy, standing=str(event.standing), reason=event.reason)
        if event.standing is Standing.RUNNING:
            for feed in (feed for book in self._books for feed in book.feeds):
                if feed.strategy == event.strategy:
                    feed.on_loaded()

    # ------------------------------------------------------------------ work

    async def _work(self, hosts: HostSupervisor, keys: KeyKeeper) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(hosts.start())
            tasks.create_task(keys.run())
            for signer in self._signers.values():
                tasks.create_task(self._unlock(signer))
            for book in self._books:
                tasks.create_task(book.authority.run())
                for chain in book.chains.values():
                    await chain.loop.start()
                    tasks.create_task(chain.loop.run())
                for feed in book.feeds:
                    await feed.start()
                    tasks.create_task(feed.run())
            if self._safes is not None:
                tasks.create_task(self._safes.watch())
            for settings in self.configuration.chains:
                if settings.executor is not None:
                    chain = self._books[0].chains[settings.network.chain_id]
                    tasks.create_task(
                        self._look_for_executor(chain, settings.executor, settings.poll_interval_s)
                    )
                for source in self._open_pending(settings):
                    tasks.create_task(source.run())
                for keeper in self._open_keepers(settings):
                    tasks.create_task(keeper.run())
                if settings.book:
                    tasks.create_task(self._open_watch(settings).run())
                if settings.websocket is not None:
                    wake = self._books[0].chains[settings.network.chain_id].loop.head_wake
                    tasks.create_task(HeadSocket(settings.websocket.url, wake, self.clock).run())

    def _open_pending(self, settings: ChainSettings) -> list[PendingSource]:
        """Feeds of what comes before a block, for the strategies of all books on this chain."""
        chain_id = settings.network.chain_id
        tell = teller([feed for book in self._books for feed in book.feeds], chain_id)
        pool = self._books[0].chains[chain_id].pool
        opened = open_pending(settings.pending, chain_id, pool, tell, self.clock)
        self._pending += opened
        return opened

    def _kept_on(self, chain_id: int) -> frozenset[str]:
        """Names of the logs that the live ledger keeps of this chain."""
        chains = self.configuration.chains
        return frozenset(kept.name for c in chains if c.network.chain_id == chain_id for kept in c.logs)

    def _open_keepers(self, settings: ChainSettings) -> list[LogKeeper]:
        live = self._books[0]
        chain = live.chains[settings.network.chain_id]
        websocket = None if settings.websocket is None else settings.websocket.url
        opened = [
            LogKeeper.of(
                kept, chain.desk.parts.client, live.ledger, self.clock, websocket, chain.loop.head_wake
            )
            for kept in settings.logs
        ]
        chain.loop.listeners.extend(opened)
        self._keepers += opened
        return opened

    def _open_watch(self, settings: ChainSettings) -> DriftWatch:
        live = self._books[0]
        parts = live.chains[settings.network.chain_id].desk.parts
        watch = DriftWatch(parts.client, settings.book, live.ledger, self.clock, parts.metrics)
        self._watches.append(watch)
        return watch

    async def _look_for_executor(self, chain: Chain, executor: Address, pause_s: float) -> None:
        """A configured executor without code means the wrong chain, or a devnet that was made anew."""
        chain_id = chain.desk.parts.network.chain_id
        self._executors[chain_id] = f"{address_text(executor)} was not looked at yet"
        while True:
            head = chain.desk.head
            if head is not None:
                try:
                    code = await chain.desk.parts.client.code_at(executor, head.hash)
                except ChainError as trouble:
                    _log.warning("executor_not_read", cause=str(trouble))
                else:
                    self._executors[chain_id] = (
                        "" if code else f"{address_text(executor)} has no code at block {head.number}"
                    )
                    if code:
                        return
            await self.clock.sleep_s(pause_s)

    async def _unlock(self, signer: KernelSigner) -> None:
        """Open a key; where what holds it is away, again until it is back."""
        while not signer.ready:
            try:
                await signer.unlock()
            except SignerUnavailableError as error:
                _log.warning("signer_away", signer=signer.name, cause=str(error))
                await self.clock.sleep_s(UNLOCK_PAUSE_S)
            except SeawallError as error:
                _log.error("signer_locked", signer=signer.name, cause=str(error))
                return
        _log.info("signer_unlocked", signer=signer.name, address=address_text(signer.address))
        self._on_raised()

    def _on_raised(self) -> None:
        """Authority was raised or a key opened: look after open slots, and let the lanes go on."""
        for book in self._books:
            for chain in book.chains.values():
                chain.loop.tend_soon()
                chain.loop.wake_lanes()

    def _on_integrity_alarm(self, alarm: SeawallError) -> None:
        try:
            self.latch.lower(Authority.HALT, f"integrity alarm: {alarm}", "seawall")
        except SeawallError as error:
            # The flag is set all the same; only the next start would not know of it.
            _log.critical("latch_not_stored", cause=str(error))

    # ------------------------------------------------------------------ health

    def report(self) -> HealthReport:
        """How the kernel stands; called for each probe, never blocks."""
        checks = [self._authority_check()]
        for name, signer in self._signers.items():
            finding = signer.trouble or ("unlocked" if signer.ready else "the key is being unlocked")
            checks.append(Check(f"signer:{name}", signer.ready, finding))
        for book in self._books[:1]:
            failure = book.ledger.failure
            checks.append(Check("database", failure is None, "writes" if failure is None else str(failure)))
            checks += self._fleet_checks(book)
            checks += [self._head_check(chain) for chain in book.chains.values()]
            checks += [check for chain in book.chains.values() for check in _endpoint_checks(chain)]
            checks += pending.checks_of(self._pending)
            checks += log_keeping.checks_of(self._keepers)
            checks += [watch.check() for watch in self._watches]
            checks += [
                Check(f"executor:{chain_id}", not finding, finding or "it has code")
                for chain_id, finding in self._executors.items()
            ]
        notes = {feed.strategy: feed.note for book in self._books for feed in book.feeds if feed.note}
        if self._hosts is not None:
            for status in self._hosts.status():
                running = status.standing is Standing.RUNNING
                told = status.reason or (notes.get(status.name, "") if running else "")
                finding = str(status.standing) + (f": {told}" if told else "")
                checks.append(Check(f"strategy:{status.name}", running, finding, is_needed=False))
        facts: dict[str, str | int | None] = {"authority": self.latch.authority.name, **self._lane_facts()}
        for chain in (chain for book in self._books[:1] for chain in book.chains.values()):
            facts |= _endpoint_facts(chain)
        facts |= {f"strategy {name}": note for name, note in notes.items()}
        return HealthReport(self._started, tuple(checks), facts)

    def _fleet_checks(self, book: Book) -> list[Check]:
        """A kernel that the fleet does not hear sends nothing; a lane in quarantine waits for a person."""
        checks = []
        if book.membership is not None:
            trouble = book.authority.trouble or ("" if book.membership.permit.valid() else "no send permit")
            checks.append(Check("fleet", not trouble, trouble or "the send permit is renewed"))
        for chain in book.chains.values():
            for lane, why in sorted(chain.desk.quarantined.items()):
                if lane in chain.desk.fences:
                    checks.append(Check(f"lane:{lane}", False, f"quarantined: {why}", is_needed=False))
        return checks

    def _lane_facts(self) -> dict[str, str]:
        """In a fleet, how many of the lanes that it could serve this kernel holds."""
        if not self._books or self._books[0].membership is None:
            return {}
        chains = self._books[0].chains.values()
        held, all_lanes = (
            sum(len(of) for of in several)
            for several in (
                [chain.desk.fences for chain in chains],
                [chain.loop.leases.lanes for chain in chains],
            )
        )
        return {"kernel": self._books[0].membership.holder, "lanes": f"{held} of {all_lanes}"}

    def _authority_check(self) -> Check:
        authority = self.latch.authority
        finding = authority.name + (f": {self.latch.reason}" if self.latch.reason else "")
        # Under REDUCE_ONLY plans are carried, if they reduce: worth an alarm, no reason to be taken out of
        # service.
        return Check("authority", authority is Authority.RUN, finding, is_needed=authority is Authority.HALT)

    def _head_check(self, chain: Chain) -> Check:
        name, head, trouble = f"rpc:{chain.desk.parts.network.name}", chain.desk.head, chain.loop.trouble
        if head is None or trouble:
            return Check(name, False, trouble or "no head is known yet")
        age_s = self.clock.now_s() - head.timestamp_s
        return Check(name, age_s <= HEAD_AGE_S_MAX, f"head {head.number} is {age_s} s old")


def _endpoint_checks(chain: Chain) -> list[Check]:
    """Each endpoint that is read. That one rests is no news; that one says what others contradict is worth an
    alarm, and no reason to be taken out of service."""
    passing = (EndpointState.SERVING, EndpointState.LIMITED, EndpointState.RESTING)
    name = chain.desk.parts.network.name
    return [
        Check(f"endpoint:{name}:{one.name}", one.state in passing, one.shown, is_needed=False)
        for one in chain.pool.health()
    ]


def _endpoint_facts(chain: Chain) -> dict[str, str]:
    name = chain.desk.parts.network.name
    return {f"endpoint {name} {one.name}": one.shown for one in chain.pool.health()}
