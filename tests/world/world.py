"""The world of one seed: node, kernel lives, askers, and everything that goes wrong between blocks.

Chaos lasts `CHAOS_S`; then faults end, the askers stop asking, and everything must come to rest within
`CALM_S_MAX`. All randomness is of the seed, one stream a purpose, so that what one part draws does not move
the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seawall.control.latch import Latch
from seawall.native import DynamicFeeTransaction, LocalKey
from seawall.primitives.errors import FenceLostError, SeawallError
from seawall.primitives.levels import Authority
from seawall.primitives.units import Address
from seawall.telemetry import failpoints
from tests.world.checker import Checker
from tests.world.faults import Faults
from tests.world.kernel import LEASE_TTL_S, Kernel, acting_kernel
from tests.world.loop import Machine, VirtualLoop, Wall
from tests.world.node import BLOCK_S, CHAIN_ID, NodeModel
from tests.world.strategy import Asker
from tests.world.violations import Violation, require

__all__ = ["CALM_S_MAX", "CHAOS_S", "World"]

CHAOS_S = 120
CALM_S_MAX = 400
_START_WEI = 12 * 10**18
_RESTART_S_MAX = 8
_FROZEN_S_MAX = 2 * LEASE_TTL_S
# A crash at what happens seldom must not be seldom twice over.
_CRASH_WEIGHTS = {
    "confirmation.before_commit": 3,
    "confirmation.after_commit": 3,
    "transactions.after_fill_commit": 20,
    "transactions.after_renewal": 20,
    "world.rpc": 0.1,
    "world.port": 0.5,
}


@dataclass(eq=False, slots=True)
class Life:
    """A kernel and the task that it lives in."""

    kernel: Kernel
    task: asyncio.Task[None]
    deposed: asyncio.Event


class World:
    def __init__(
        self,
        seed: int,
        directory: Path,
        loop: VirtualLoop,
        keys: Sequence[LocalKey],
        make_asker: type[Asker],
        trace: Callable[[str], None],
    ) -> None:
        self.seed, self.directory, self.loop, self.keys = seed, directory, loop, keys
        self.crashes: Counter[str] = Counter()
        self.faults_seen: Counter[str] = Counter()
        self.chaos = True
        self._trace = trace
        self._rng = self._randomness("events")
        self.faults = Faults.drawn(self._randomness("faults"))
        self.wall = Wall(loop)
        self.node = NodeModel(loop, self._randomness("node"), self.faults)
        addresses = tuple(Address(key.address) for key in keys)
        self.askers = [make_asker(f"asker{i}", seed, addresses) for i in range(2)]
        self.checker = Checker(directory, self.node, addresses)
        self._life: Life | None = None
        self._deposed: list[Life] = []
        self._violation: Violation | None = None
        self._freezes_at_verdict = False
        self._crash_rng = self._randomness("crashes")
        trace(f"seed {seed}: {self.faults}")

    def close(self) -> None:
        self.checker.close()

    async def run(self) -> None:
        """Raises `Violation`."""
        self.node.start(dict.fromkeys((key.address for key in self.keys), _START_WEI))
        lives = asyncio.create_task(self._lives())
        while self.loop.time() < CHAOS_S + CALM_S_MAX:
            await asyncio.sleep(BLOCK_S)
            if self._violation is not None:
                raise self._violation
            self._reap(lives)
            self.checker.at_block(self._kernels())
            if self.chaos:
                self._go_wrong() if self.loop.time() < CHAOS_S else self._calm_down()
            elif not self._deposed and self._is_at_rest():
                break
            self.node.mine()
            self._say(f"block {self.node.head.number}, {len(self.node.head.transactions)} transactions")
        require(not self._deposed, "a kernel that had lost its lanes lives on", len(self._deposed))
        self.checker.at_rest(self.askers)

    def meet(self, name: str) -> None:
        """A failpoint, or an await of the model, was reached by some kernel."""
        kernel = acting_kernel()
        if name == "ledger.after_commit":
            self._look(lambda: self.checker.at_commit(kernel))
        if name == "transactions.after_verdict" and kernel is not None and kernel.latch is not None:
            kernel.changes_at_verdict[asyncio.current_task()] = kernel.latch.changes
            if self._freezes_at_verdict and self._life is not None and self._life.kernel is kernel:
                self._depose(self._life)
        if self.chaos and self._crash_rng.random() < self.faults.crash * _CRASH_WEIGHTS.get(name, 1):
            self.crashes[name] += 1
            self._say(f"crash at {name}")
            raise failpoints.Crash(name)

    def _look(self, check: Callable[[], None]) -> None:
        """Inside a kernel, whose code may swallow what is raised: a violation is kept too."""
        try:
            check()
        except Violation as violation:
            self._violation = self._violation or violation
            raise

    # ------------------------------------------------------------------ between blocks

    def _go_wrong(self) -> None:
        reorgs = self.node.reorgs
        self.node.misbehave()
        if self.node.reorgs > reorgs:
            self._note("reorg")
        for chance, fault in (
            (self.faults.foreign, self._use_a_key_elsewhere),
            (self.faults.clock, self._upset_the_clock),
            (self.faults.kill, self._kill),
            (self.faults.freeze, self._freeze),
            (self.faults.halt, self._halt),
        ):
            if self._rng.random() < chance:
                fault()
        self._perhaps_resume()

    def _use_a_key_elsewhere(self) -> None:
        key = self._rng.choice(self.keys)
        head = self.node.head
        price_wei = head.base_fee_wei * self._rng.randint(2, 20)
        transaction = DynamicFeeTransaction(
            chain_id=CHAIN_ID,
            nonce=head.nonces.get(key.address, 0) + self._rng.choice((0, 0, 0, 1, 2)),
            max_priority_fee_per_gas_wei=price_wei // 2,
            max_fee_per_gas_wei=price_wei,
            gas_limit=21_000,
            to=b"\xfe" * 20,
            value_wei=self._rng.randint(0, 10**15),
            data=b"",
        )
        self.node.receive_foreign(key.sign_transactions([transaction])[0].raw)
        self._note("foreign transaction")

    def _upset_the_clock(self) -> None:
        if self._rng.random() < 0.5:
            self.wall.skew_s = self._rng.randint(-3, 3)
            self._note("clock step")
        elif self.wall.stands_at_s is None:
            self.wall.stands_at_s = self.wall.now_s()
            self.loop.call_later(self._rng.random() * 6, self._start_the_clock)
            self._note("clock stop")

    def _start_the_clock(self) -> None:
        self.wall.stands_at_s = None

    def _kill(self) -> None:
        """At any moment before the next block, wherever its tasks wait then."""
        if self._life is not None:
            self.loop.call_later(self._rng.random() * BLOCK_S, self._life.task.cancel)
            self._note("kill")

    def _freeze(self) -> None:
        """Another kernel is started; later this one goes on, unsuspecting. At best it was about to commit."""
        if self._life is None or self._deposed:
            return
        if self._rng.random() < 0.5:
            self._freezes_at_verdict = True
        else:
            self.loop.call_later(self._rng.random() * BLOCK_S, self._depose, self._life)

    def _depose(self, life: Life) -> None:
        if life is not self._life or life.kernel.chain is None or not self.chaos:
            return
        self._freezes_at_verdict = False
        life.kernel.machine.freeze()
        life.kernel.is_deposed = True
        life.kernel.leave_lock()
        life.deposed.set()
        self._deposed.append(life)
        self._life = None
        self.loop.call_later(self._rng.random() * _FROZEN_S_MAX, life.kernel.machine.thaw)
        self._note("freeze")

    def _halt(self) -> None:
        latch = self._latch()
        if latch is not None and latch.authority is Authority.RUN:
            to = self._rng.choice((Authority.HALT, Authority.HALT, Authority.REDUCE_ONLY))
            latch.lower(to, "a drill", "world")
            self._note(f"authority {to.name}")
            if self._rng.random() < 0.3:  # a short one: over before the next block
                self.loop.call_later(self._rng.random() * BLOCK_S, self._resume)

    def _perhaps_resume(self) -> None:
        if self._rng.random() < 0.25:
            self._resume()

    def _resume(self) -> None:
        latch = self._latch()
        if latch is not None and latch.authority is not Authority.RUN:
            latch.raise_to(Authority.RUN, "the drill is over", "world")
            self._say("authority RUN")

    def _latch(self) -> Latch | None:
        return None if self._life is None else self._life.kernel.latch

    def _calm_down(self) -> None:
        self.chaos = False
        self.faults.calm_down()
        self.wall.skew_s, self.wall.stands_at_s = 0, None
        for asker in self.askers:
            asker.asking = False
        for life in self._deposed:
            life.kernel.machine.thaw()
        latch = self._latch() or Latch(self.directory / "latch.json", clock=self._machine("world"))
        if latch.authority is not Authority.RUN:
            latch.raise_to(Authority.RUN, "the storm is over", "world")
        self._say("calm")

    def _is_at_rest(self) -> bool:
        try:
            self.checker.at_rest(self.askers)
        except Violation:
            return False
        return True

    # ------------------------------------------------------------------ lives of kernels

    async def _lives(self) -> None:
        """Start a kernel again after every end of the one before."""
        number = 0
        while True:
            number += 1
            kernel = self._kernel(number)
            self._life = life = Life(kernel, asyncio.create_task(kernel.run()), asyncio.Event())
            deposed = asyncio.create_task(life.deposed.wait())
            await asyncio.wait((life.task, deposed), return_when=asyncio.FIRST_COMPLETED)
            deposed.cancel()
            self._life = None
            if not life.deposed.is_set():
                _require_natural_end(life)
            await asyncio.sleep(self._rng.random() * _RESTART_S_MAX)

    def _kernel(self, number: int) -> Kernel:
        name = f"kernel{number}"
        # On one machine a new process is the same holder; on another it must wait for the lease to run out.
        elsewhere = bool(self._deposed) and number % 2 == 0
        return Kernel(
            name=name,
            directory=self.directory,
            loop=self.loop,
            machine=self._machine(name),
            node=self.node,
            keys=self.keys,
            askers=self.askers,
            holder=name if elsewhere else "world",
            randomness=lambda purpose: self._randomness(f"{name}:{purpose}"),
            before_await=self.meet,
            on_write=lambda kernel, write: self._look(lambda: self.checker.at_write(kernel, write)),
        )

    def _machine(self, name: str) -> Machine:
        return Machine(self.loop, self.wall, self._randomness(f"{name}:machine"))

    def _kernels(self) -> list[Kernel]:
        lives = self._deposed if self._life is None else [*self._deposed, self._life]
        return [life.kernel for life in lives]

    def _reap(self, lives: asyncio.Task[None]) -> None:
        if lives.done():
            lives.result()
        for life in [life for life in self._deposed if life.task.done()]:
            self._deposed.remove(life)
            _require_natural_end(life)
            self._note("deposed kernel ended")

    def _randomness(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}:{purpose}")

    def _note(self, fault: str) -> None:
        self.faults_seen[fault] += 1
        self._say(fault)

    def _say(self, text: str) -> None:
        self._trace(f"{self.loop.time():8.3f} {text}")


def _require_natural_end(life: Life) -> None:
    """By a crash or a kill; deposed, by finding that out; new, because it must wait for a lease."""
    try:
        with contextlib.suppress(asyncio.CancelledError, failpoints.Crash):
            life.task.result()
    except BaseException as error:
        causes = list(_leaves(error))
        for cause in causes:
            if isinstance(cause, Violation):
                raise cause from None
        waits = not life.kernel.has_lanes and all(isinstance(cause, FenceLostError) for cause in causes)
        crashed = any(isinstance(cause, failpoints.Crash) for cause in causes)
        deposed = life.kernel.is_deposed and all(isinstance(cause, SeawallError) for cause in causes)
        require(crashed or deposed or waits, f"{life.kernel.name} died", [repr(cause) for cause in causes])


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
