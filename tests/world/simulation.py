"""One seed: chaos for a while, then calm, with the checker looking after every block and once more at rest."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from eth_account import Account

from seawall.control.latch import Latch
from seawall.ledger.migrate import create
from seawall.native import LocalKey, Password
from seawall.primitives.levels import Authority
from seawall.primitives.units import Address
from seawall.telemetry import failpoints
from tests.world.checker import Checker, Violation
from tests.world.kernel import Kernel, WorldSigner
from tests.world.loop import VirtualClock, VirtualEntropy, VirtualLoop
from tests.world.node import BLOCK_S, Faults, NodeModel
from tests.world.port import ModelPort
from tests.world.strategy import Asker
from tests.world.transport import ModelTransport

__all__ = ["Report", "simulate"]

CHAOS_S = 150
CALM_S_MAX = 400
KEYS = 2
START_WEI = 20 * 10**18
_RAM = Path("/dev/shm")  # noqa: S108  (where there is one, commits cost nothing)


@dataclass(slots=True)
class Report:
    """What happened under one seed."""

    seed: int
    violation: str | None = None
    crashes: Counter[str] = field(default_factory=Counter)
    failpoints_met: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    reorgs: int = 0
    halts: int = 0
    digest: str = ""  # of the final chain and the ledger's outcomes: equal for equal seeds


def simulate(seed: int, bug: Callable[[], contextlib.AbstractContextManager[object]] | None = None) -> Report:
    """Run one seed to its end. With a planted `bug`, the kernel is built while the bug is in force."""
    report = Report(seed)
    with tempfile.TemporaryDirectory(dir=_RAM if _RAM.is_dir() else None) as directory:
        loop = VirtualLoop()
        try:
            with contextlib.ExitStack() as stack:
                if bug is not None:
                    stack.enter_context(bug())
                world = _World(seed, Path(directory), loop, report)
                try:
                    loop.run_until_complete(world.run())
                except Violation as violation:
                    report.violation = str(violation)
        finally:
            failpoints.install(None)
            _close(loop)
    return report


def _close(loop: VirtualLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
    loop.close()


@cache
def _keys() -> tuple[LocalKey, ...]:
    """Keys known to everybody, so that a seed gives the same signatures on every machine."""
    keys = []
    with tempfile.TemporaryDirectory() as directory:
        password = Path(directory) / "password"
        password.write_text("world")
        for number in range(1, KEYS + 1):
            keystore = Account.encrypt(number.to_bytes(32, "big"), "world", kdf="scrypt", iterations=2)
            keys.append(LocalKey.from_keystore(json.dumps(keystore).encode(), Password.from_file(password)))
    return tuple(keys)


@cache
def _empty_ledger() -> bytes:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "ledger.db"
        create(f"sqlite:///{path}")
        return path.read_bytes()


class _World:
    def __init__(self, seed: int, directory: Path, loop: VirtualLoop, report: Report) -> None:
        self.rng = random.Random(seed)
        self.directory, self.loop, self.report = directory, loop, report
        self.clock = VirtualClock(loop)
        self.node = NodeModel(loop, random.Random(f"{seed}:node"), self._faults())
        signers = [WorldSigner(key) for key in _keys()]
        self.signers = {signer.address: signer for signer in signers}
        keys = tuple(self.signers)
        self.askers = [Asker(f"asker{i}", seed, keys) for i in range(2)]
        self.crash_chance = self.rng.choice((0.0, 0.002, 0.01))
        self.halt_chance = self.rng.choice((0.0, 0.02, 0.06))
        self.chaos = True
        self.kernel: Kernel | None = None
        self.ports: list[ModelPort] = []
        ledger = directory / "ledger.db"
        ledger.write_bytes(_empty_ledger())
        self.checker = Checker(ledger, self.node, frozenset(bytes(key) for key in keys))

    def _faults(self) -> Faults:
        rng = self.rng
        return Faults(
            answer_lost=rng.choice((0.0, 0.02, 0.1)),
            drop=rng.choice((0.0, 0.02, 0.1)),
            reorg=rng.choice((0.0, 0.05, 0.15)),
            reorg_forgets=rng.random(),
            empty_block=rng.choice((0.0, 0.1, 0.3)),
            latency_s_max=rng.choice((0.01, 0.2, 1.0)),
        )

    async def run(self) -> None:
        self.node.start(dict.fromkeys((bytes(key) for key in self.signers), START_WEI))
        failpoints.install(self._meet)
        life = asyncio.create_task(self._lives())
        try:
            await self._blocks(life)
        finally:
            self.chaos = False
            life.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await life
        self._finish()

    async def _blocks(self, life: asyncio.Task[None]) -> None:
        end_of_chaos_s = CHAOS_S
        while self.loop.time() < end_of_chaos_s + CALM_S_MAX:
            await asyncio.sleep(BLOCK_S)
            if life.done():
                life.result()
            if self.chaos and self.loop.time() >= end_of_chaos_s:
                self._calm_down()
            if self.chaos:
                self.node.misbehave()
                self._maybe_halt()
            self.node.mine()
            self.checker.every_step(self.ports[-1] if self.ports else None)
            if not self.chaos and self._is_at_rest():
                break
        self.checker.at_rest()

    def _is_at_rest(self) -> bool:
        try:
            self.checker.at_rest()
        except Violation:
            return False
        return True

    def _calm_down(self) -> None:
        self.chaos = False
        self.node.faults = Faults.calm()
        for asker in self.askers:
            asker.asking = False
        latch = self.kernel.latch if self.kernel is not None else None
        if latch is not None and latch.authority is not Authority.RUN:
            latch.raise_to(Authority.RUN, "the storm is over", "world")
        elif latch is None:
            Latch(self.directory / "latch.json", clock=self.clock).raise_to(Authority.RUN, "the storm is over", "world")

    def _maybe_halt(self) -> None:
        latch = self.kernel.latch if self.kernel is not None else None
        if latch is None:
            return
        if latch.authority is Authority.RUN and self.rng.random() < self.halt_chance:
            self.report.halts += 1
            latch.lower(self.rng.choice((Authority.HALT, Authority.HALT, Authority.REDUCE_ONLY)), "a drill", "world")
        elif latch.authority is not Authority.RUN and self.rng.random() < 0.25:
            latch.raise_to(Authority.RUN, "the drill is over", "world")

    def _meet(self, name: str) -> None:
        self.report.failpoints_met[name] += 1
        if self.chaos and self.rng.random() < self.crash_chance:
            self.report.crashes[name] += 1
            raise failpoints.Crash(name)

    async def _lives(self) -> None:
        """Start the kernel again after every crash."""
        number = 0
        while True:
            number += 1
            self.kernel = Kernel(
                directory=self.directory,
                clock=self.clock,
                entropy=VirtualEntropy(random.Random(f"{self.report.seed}:entropy:{number}")),
                transport=ModelTransport(self.node, random.Random(f"{self.report.seed}:rpc:{number}")),
                make_port=self._make_port,
                signers=self.signers,
                askers=self.askers,
                holder="world",
            )
            try:
                await self.kernel.run()
            except BaseExceptionGroup as group:
                if not _has_crash(group):
                    raise
            except failpoints.Crash:
                pass
            self.kernel = None
            await asyncio.sleep(self.rng.random() * 8)

    def _make_port(self, latch: Latch) -> ModelPort:
        number = len(self.ports)
        port = ModelPort(self.node, latch, self.clock, random.Random(f"{self.report.seed}:port:{number}"))
        self.ports.append(port)
        return port

    def _finish(self) -> None:
        import hashlib
        import sqlite3

        self.report.reorgs = self.node.reorgs
        with sqlite3.connect(f"file:{self.directory / 'ledger.db'}?mode=ro", uri=True) as db:
            rows = db.execute("SELECT number, idempotency_key, state, candidates, reason FROM intents ORDER BY number").fetchall()
        self.report.outcomes.update(row[2] for row in rows)
        self.report.digest = hashlib.sha256(self.node.head.hash + repr(rows).encode()).hexdigest()


def _has_crash(group: BaseExceptionGroup[BaseException]) -> bool:
    """A crash takes its neighbours down with it; whatever they say on the way is part of it."""
    return any(
        _has_crash(error) if isinstance(error, BaseExceptionGroup) else isinstance(error, failpoints.Crash)
        for error in group.exceptions
    )
