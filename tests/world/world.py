"""The world of one seed: chain, endpoints, kernel lives, askers, and what goes wrong between blocks.

Chaos lasts `CHAOS_S`; then faults end, the askers stop asking, and everything must come to rest within
`CALM_S_MAX`. All randomness is of the seed, one stream a purpose, so that what one part draws does not move
the others.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seawall.control.latch import Latch
from seawall.native import DynamicFeeTransaction, LocalKey
from seawall.primitives.errors import LedgerDoubtError
from seawall.primitives.levels import Authority
from seawall.telemetry import failpoints
from tests.world.checker import Checker
from tests.world.endpoints import Endpoints
from tests.world.faults import Faults
from tests.world.kernel import Kernel, acting_kernel
from tests.world.lives import Lives, Member
from tests.world.loop import Machine, VirtualLoop, Wall
from tests.world.node import BLOCK_S, CHAIN_ID, COIN, RECORDER, Contract, NodeModel
from tests.world.storage import StorageTrouble
from tests.world.strategy import Inhabitant
from tests.world.views import ReadAnswer
from tests.world.violations import Violation

__all__ = ["CALM_S_MAX", "CHAOS_S", "Place", "World"]

CHAOS_S = 120
CALM_S_MAX = 260
_START_WEI = 12 * 10**18
_FROZEN_S_MAX = 12
_DISK_FULL_S_MAX = 15
_CRASH_ON_PURPOSE, _CRASHES_ON_PURPOSE = 0.5, 3
# A crash at what happens seldom must not be seldom twice over.
_CRASH_WEIGHTS = {
    "confirmation.before_commit": 3,
    "confirmation.after_commit": 3,
    "transactions.after_fill_commit": 20,
    "transactions.after_renewal": 20,
    "world.rpc": 0.1,
    "world.port": 0.5,
}


@dataclass(frozen=True, slots=True)
class Place:
    """What a world contains beside kernels, and how long its chaos lasts."""

    contracts: Mapping[bytes, Contract] = field(
        default_factory=lambda: {COIN: Contract.REJECTS_IN_ODD_BLOCKS, RECORDER: Contract.RECORDS}
    )
    reads: Mapping[tuple[bytes, bytes], ReadAnswer] = field(default_factory=dict)
    balance_wei: int = _START_WEI
    chaos_s: int = CHAOS_S
    faults: Mapping[str, float] = field(default_factory=dict)  # in the place of what a seed draws
    crash_at: str = ""  # a failpoint at which kernels crash a few times, whatever the seed draws


class World:
    def __init__(
        self,
        seed: int,
        directory: Path,
        loop: VirtualLoop,
        keys: Sequence[LocalKey],
        askers: Sequence[Inhabitant],
        place: Place,
        trace: Callable[[str], None],
    ) -> None:
        self.seed, self.directory, self.loop, self.keys, self.place = seed, directory, loop, keys, place
        self.reached: Counter[str] = Counter()
        self.crashes: Counter[str] = Counter()
        self.faults_seen: Counter[str] = Counter()
        self.chaos = True
        self._trace = trace
        self._rng = self._randomness("events")
        self.faults = Faults.drawn(self._randomness("faults")).but(place.faults)
        self.wall = Wall(loop)
        self.node = NodeModel(loop, self._randomness("node"), self.faults, place.contracts)
        self.endpoints = Endpoints(self.node, self._randomness("endpoints"), place.reads)
        self.storage = StorageTrouble(self._randomness("storage"), self.faults)
        self.askers = askers
        self.checker = Checker(
            directory,
            self.node,
            tuple(key.address for key in keys),
            all(asker.is_known_on_chain for asker in askers),
        )
        skew_s = self.faults.skew_s_max
        members = [Member(n, self._rng.randint(-skew_s, skew_s)) for n in range(self.faults.kernels)]
        self.lives = Lives(self._kernel, self._randomness("lives"), members)
        self._send_endpoints = self.faults.send_endpoints
        self._violation: Violation | None = None
        self._freezes_at = ""  # a failpoint at which the next kernel that meets it stops
        self._crash_rng = self._randomness("crashes")
        trace(f"seed {seed}: {self.faults}")

    def close(self) -> None:
        self.checker.close()

    async def run(self) -> None:
        """Raises `Violation`."""
        self.node.start(dict.fromkeys((key.address for key in self.keys), self.place.balance_wei))
        self.lives.start()
        chaos_s = self.place.chaos_s
        while self.loop.time() < chaos_s + CALM_S_MAX:
            await asyncio.sleep(BLOCK_S)
            if self._violation is not None:
                raise self._violation
            self.lives.reap()
            self.checker.at_block(self.lives.kernels)
            if self.chaos:
                self._go_wrong() if self.loop.time() < chaos_s else self._calm_down()
            else:
                self._let_everybody_work()
                if self._is_at_rest():
                    break
            self.node.mine()
            self._say(f"block {self.node.head.number}, {len(self.node.head.transactions)} transactions")
        self.checker.at_rest(self.askers)

    def meet(self, name: str) -> None:
        """A failpoint, or an await of the model, was reached by some kernel."""
        kernel = acting_kernel()
        self.reached[name] += 1
        if name == "ledger.after_commit":
            self._look(lambda: self.checker.at_commit(kernel))
        if name == "transactions.after_verdict" and kernel is not None:
            kernel.note_verdict()
        if name == self._freezes_at and kernel is not None:
            self._stop_for_a_while(kernel)
        if self.chaos and self._crash_rng.random() < self._crash_chance(name):
            self.crashes[name] += 1
            self._say(f"crash at {name}")
            if kernel is not None:
                kernel.has_crashed = True
            raise failpoints.Crash(name)
        if kernel is not None and kernel.has_started:
            self._spoil_storage(kernel, name)

    def _crash_chance(self, name: str) -> float:
        if name == self.place.crash_at:
            return _CRASH_ON_PURPOSE if self.crashes[name] < _CRASHES_ON_PURPOSE else 0.0
        return self.faults.crash * _CRASH_WEIGHTS.get(name, 1)

    def _spoil_storage(self, kernel: Kernel, name: str) -> None:
        try:
            self.storage.meet(name)
        except Exception as error:
            kernel.is_in_doubt = kernel.is_in_doubt or isinstance(error, LedgerDoubtError)
            self._note(type(error).__name__)
            raise

    def _look(self, check: Callable[[], None]) -> None:
        """Inside a kernel, whose code may swallow what is raised: a violation is kept too."""
        try:
            check()
        except Violation as violation:
            self._violation = self._violation or violation
            raise

    # ------------------------------------------------------------------ between blocks

    def _go_wrong(self) -> None:
        self.node.misbehave()
        self.endpoints.misbehave()
        for happened in (self.node.happened, self.endpoints.happened):
            for what in happened:
                self._note(what)
            happened.clear()
        for chance, fault in (
            (self.faults.foreign, self._use_a_key_elsewhere),
            (self.faults.clock, self._upset_the_clock),
            (self.faults.kill, self._kill),
            (self.faults.freeze, self._freeze),
            (self.faults.halt, self._halt),
            (self.faults.disk_full, self._fill_the_disk),
            (self.faults.cancel, self._cancel),
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
        life = self.lives.anyone().life
        if life is not None:
            self.loop.call_later(self._rng.random() * BLOCK_S, life.task.cancel)
            self._note("kill")

    def _freeze(self) -> None:
        """A kernel stops, others may take its lanes, and it goes on, unsuspecting. At best it was about to
        commit."""
        if self._rng.random() < 0.5:
            is_confirming = self.faults.freeze_confirming > 0.0
            self._freezes_at = "confirmation.before_commit" if is_confirming else "transactions.after_verdict"
            return
        life = self.lives.anyone().life
        if life is not None:
            self.loop.call_later(self._rng.random() * BLOCK_S, self._stop_for_a_while, life.kernel)

    def _stop_for_a_while(self, kernel: Kernel) -> None:
        if not self.chaos or kernel.machine.is_frozen:
            return
        self._freezes_at = ""
        kernel.machine.freeze()
        self.loop.call_later(self._rng.random() * _FROZEN_S_MAX, kernel.machine.thaw)
        self._note("freeze")

    def _halt(self) -> None:
        """On one machine; in a fleet, the others hear of it."""
        latch = self._latch(self.lives.anyone())
        if latch.authority is Authority.RUN:
            to = self._rng.choice((Authority.HALT, Authority.HALT, Authority.REDUCE_ONLY))
            latch.lower(to, "a drill", "world")
            self._note(f"authority {to.name}")
            if self._rng.random() < 0.3:  # a short one: over before the next block
                self.loop.call_later(self._rng.random() * BLOCK_S, self._resume)

    def _perhaps_resume(self) -> None:
        if self._rng.random() < 0.25:
            self._resume()

    def _resume(self) -> None:
        """By a hand on each machine."""
        for member in self.lives.members:
            latch = self._latch(member)
            if latch.authority is not Authority.RUN:
                latch.raise_to(Authority.RUN, "the drill is over", "world")
                member.raised_s = self.loop.time()
                self._say(f"authority RUN on machine {member.number}")

    def _latch(self, member: Member) -> Latch:
        """The running kernel's, or one on the same file."""
        latch = None if member.life is None else member.life.kernel.latch
        return latch or Latch(self._latch_path(member), clock=self._machine("world", 0))

    def _latch_path(self, member: Member) -> Path:
        return self.directory / f"latch{member.number}.json"

    def _cancel(self) -> None:
        life, alive = self.lives.anyone().life, self.checker.alive()
        if life is not None and alive and life.kernel.ask_cancel(self._rng.choice(alive)):
            self._note("cancel")

    def _fill_the_disk(self) -> None:
        if not self.storage.is_disk_full:
            self.storage.is_disk_full = True
            self.loop.call_later(self._rng.random() * _DISK_FULL_S_MAX, self._free_the_disk)
            self._note("disk full")

    def _free_the_disk(self) -> None:
        self.storage.is_disk_full = False

    def _calm_down(self) -> None:
        self.chaos = False
        self.faults.calm_down()
        self.node.calm_since_s = self.loop.time()
        self.endpoints.calm_down()
        self.storage.is_disk_full = False
        self.wall.skew_s, self.wall.stands_at_s = 0, None
        for asker in self.askers:
            asker.asking = False
        for kernel in self.lives.kernels:
            kernel.machine.thaw()
        self._say("calm")
        self._let_everybody_work()

    def _let_everybody_work(self) -> None:
        """People look after what waits for people."""
        self._resume()
        for kernel in self.lives.kernels:
            kernel.release_quarantines()

    def _is_at_rest(self) -> bool:
        try:
            self.checker.at_rest(self.askers)
        except Violation:
            return False
        return True

    # ------------------------------------------------------------------ kernels

    def _kernel(self, member: Member) -> Kernel:
        name = f"kernel{member.number}.{member.lives}"
        has_company = len(self.lives.members) > 1
        return Kernel(
            name=name,
            directory=self.directory,
            loop=self.loop,
            machine=self._machine(name, member.ahead_s),
            node=self.node,
            endpoints=self.endpoints,
            keys=self.keys,
            askers=self.askers,
            # Alone, a new process is the same holder; in a fleet it must wait for the lease to run out.
            holder=name if has_company else "world",
            randomness=lambda purpose: self._randomness(f"{name}:{purpose}"),
            before_await=self.meet,
            on_write=lambda kernel, write: self._look(lambda: self.checker.at_write(kernel, write)),
            latch_path=self._latch_path(member),
            send_endpoints=self._send_endpoints,
            raised_s=lambda: member.raised_s,
            has_company=has_company,
        )

    def _machine(self, name: str, ahead_s: int) -> Machine:
        return Machine(self.loop, self.wall, self._randomness(f"{name}:machine"), ahead_s)

    def _randomness(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}:{purpose}")

    def _note(self, fault: str) -> None:
        self.faults_seen[fault] += 1
        self._say(fault)

    def _say(self, text: str) -> None:
        self._trace(f"{self.loop.time():8.3f} {text}")
