"""Breaks things, by a schedule that the seed decides: which fault, where, for how long. No code of Seawall.

Bounds that are the node's, not ours: anvil 1.7.1 stops answering after about 200 reorganised blocks in one
process, so a run reorganises fewer; and what it reorganises away it forgets, instead of putting it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.chaos.driver import Driver
from tests.chaos.history import Broke, Foreign
from tests.chaos.operator import Operator
from tests.chaos.stage import KernelProcess, Stage
from tests.fixtures.fault_proxy import FaultProxy

__all__ = ["Nemesis"]

PAUSE_S = (0.1, 1.0)
FAULT_S = (0.3, 2.5)
DOWN_S = (0.0, 2.0)
HALTED_S = (0.5, 2.0)
REORG_DEPTH_MAX = 3
REORGED_BLOCKS_MAX = 150
BASE_FEE_GWEI = (1, 60)
GWEI = 10**9
NODE_WAIT_S = 20.0
FOREIGN_FEE_GWEI = 400

Deed = Callable[[], Awaitable[str]]


@dataclass(slots=True)
class Nemesis:
    stage: Stage
    driver: Driver
    rng: random.Random
    operator: Operator
    foreign_sender: str
    counts: Counter[str] = field(default_factory=Counter)
    reorged: int = 0
    has_done_all: asyncio.Event = field(default_factory=asyncio.Event)  # each deed at least once
    _busy: set[asyncio.Task[None]] = field(default_factory=set)

    async def rage(self) -> None:
        """Until cancelled. What it started is ended by `calm`."""
        await self._rpc("anvil_impersonateAccount", self.foreign_sender)
        deeds: dict[str, tuple[int, Deed]] = {
            "kill": (len(self.stage.kernels), self._kill),
            "endpoint": (5, self._endpoint),
            "reorg": (2, self._reorg),
            "drop": (4, self._drop),
            "base fee": (1, self._base_fee),
            "foreign": (1, self._foreign),
            "halt": (1, self._halt),
        }
        if self.stage.postgresql is not None:
            deeds["database"] = (1, self._database)
        # Dealt like cards, so that a short run sees each of them too.
        deck: list[str] = []
        while True:
            await asyncio.sleep(self.rng.uniform(*PAUSE_S))
            self._raise_the_dead()
            if not deck:
                deck = [name for name, (times, _) in deeds.items() for _ in range(times)]
                self.rng.shuffle(deck)
            name = deck.pop()
            try:
                detail = await deeds[name][1]()
            except (AssertionError, OSError) as refusal:
                # The node would not, or is too busy to answer: nothing of ours is the worse for it.
                self.counts["not done"] += 1
                self.driver.history.add(Broke(self.driver.now_s(), "not done", f"{name}: {refusal}"[:300]))
                detail = ""
            if detail:
                self.counts[name] += 1
                self.driver.history.add(Broke(self.driver.now_s(), name, detail))
            if not deck:
                self.has_done_all.set()

    async def calm(self) -> None:
        """Everything runs again, and nothing is broken any more."""
        for task in list(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)
        self.stage.heal()
        if self.stage.postgresql is not None:
            await asyncio.to_thread(self.stage.postgresql.start)
        for kernel in self.stage.kernels:
            if kernel.is_down:
                kernel.kill()  # should the deed have been cut short
                kernel.start()
                kernel.is_down = False
        self._raise_the_dead()
        await asyncio.gather(*(self._resumed(kernel) for kernel in self.stage.kernels))
        self.driver.history.add(Broke(self.driver.now_s(), "calm", ""))

    # ------------------------------------------------------------------ deeds

    async def _kill(self) -> str:
        kernel = self.rng.choice(self.stage.kernels)
        if not kernel.is_running:
            return ""
        kernel.is_down = True
        await asyncio.to_thread(kernel.kill)
        down_s = self.rng.uniform(*DOWN_S)

        async def again() -> None:
            await asyncio.sleep(down_s)
            kernel.start()
            kernel.is_down = False

        self._later(again())
        return f"kernel {kernel.number}, down for {down_s:.1f} s"

    async def _endpoint(self) -> str:
        kernel = self.rng.choice(self.stage.kernels)
        place = self.rng.randrange(len(kernel.proxies))
        proxy, lasting_s = kernel.proxies[place], self.rng.uniform(*FAULT_S)
        name = self.rng.choice(("slow", "late answers", "lost requests", "lost answers", "black hole", "cut"))
        _break(proxy, name, self.rng)

        async def heal() -> None:
            await asyncio.sleep(lasting_s)
            proxy.heal()

        self._later(heal())
        self.counts[name] += 1
        return f"kernel {kernel.number}, endpoint {place}: {name} for {lasting_s:.1f} s"

    async def _reorg(self) -> str:
        depth = self.rng.randint(1, REORG_DEPTH_MAX)
        if self.reorged + depth > REORGED_BLOCKS_MAX or await self._number() < 10:
            return ""
        await asyncio.to_thread(self.stage.node.reorg, depth)
        self.reorged += depth
        return f"{depth} blocks"

    async def _drop(self) -> str:
        pool = await self._rpc("txpool_content")
        assert isinstance(pool, dict)
        hashes = sorted(
            str(one["hash"])
            for part in ("pending", "queued")
            for slots in pool[part].values()
            for one in slots.values()
        )
        if not hashes:
            return ""
        victim = self.rng.choice(hashes)
        await self._rpc("anvil_dropTransaction", victim)
        return victim

    async def _base_fee(self) -> str:
        gwei = self.rng.randint(*BASE_FEE_GWEI)
        await self._rpc("anvil_setNextBlockBaseFeePerGas", hex(gwei * GWEI))
        return f"{gwei} gwei"

    async def _foreign(self) -> str:
        """Somebody else uses a key: at the next nonce of the chain, whatever we have there."""
        sender = self.foreign_sender
        nonce = await self._rpc("eth_getTransactionCount", sender, "latest")
        transaction = {
            "from": sender,
            "to": self.stage.scene.sink,
            "value": "0x1",
            "data": "0xf0" + f"{self.rng.getrandbits(64):016x}",
            "gas": hex(50_000),
            "nonce": nonce,
            "maxFeePerGas": hex(FOREIGN_FEE_GWEI * GWEI),
            "maxPriorityFeePerGas": hex(FOREIGN_FEE_GWEI * GWEI),
        }
        try:
            sent = await self._rpc("eth_sendTransaction", transaction)
        except AssertionError as refusal:
            return f"refused: {str(refusal)[:100]}"
        self.driver.history.add(Foreign(str(sent), sender))
        return f"{sent} at nonce {int(str(nonce), 16)}"

    async def _halt(self) -> str:
        kernel = self.rng.choice(self.stage.kernels)
        if not kernel.halt():
            return ""
        lasting_s = self.rng.uniform(*HALTED_S)

        async def resume() -> None:
            await asyncio.sleep(lasting_s)
            await self._resumed(kernel)

        self._later(resume())
        return f"kernel {kernel.number} for {lasting_s:.1f} s"

    async def _database(self) -> str:
        database = self.stage.postgresql
        assert database is not None
        await asyncio.to_thread(database.crash)
        down_s = self.rng.uniform(0.0, DOWN_S[1])
        await asyncio.sleep(down_s)
        await asyncio.to_thread(database.start)
        return f"down for {down_s:.1f} s"

    # ------------------------------------------------------------------ within

    def _raise_the_dead(self) -> None:
        """What a service manager does for a kernel that ended by itself; it is told in the history."""
        for kernel in self.stage.kernels:
            if not kernel.is_running and not kernel.is_down:
                code = None if kernel.process is None else kernel.process.returncode
                self.counts["ended by itself"] += 1
                self.driver.history.add(
                    Broke(self.driver.now_s(), "ended by itself", f"kernel {kernel.number} with {code}")
                )
                kernel.start()

    async def _resumed(self, kernel: KernelProcess) -> None:
        until_s = time.monotonic() + NODE_WAIT_S
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, ValueError):
                if await self.operator.resume(kernel):
                    return
            await asyncio.sleep(0.1)

    def _later(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._busy.add(task)
        task.add_done_callback(self._busy.discard)

    async def _number(self) -> int:
        return await asyncio.to_thread(self.stage.node.block_number)

    async def _rpc(self, method: str, *params: object) -> object:
        return await asyncio.to_thread(self.stage.node.rpc, method, *params)


def _break(proxy: FaultProxy, name: str, rng: random.Random) -> None:
    match name:
        case "slow":
            proxy.request_delay_s = proxy.answer_delay_s = rng.uniform(0.02, 0.4)
        case "late answers":
            proxy.answer_delay_s = rng.uniform(0.2, 1.5)
        case "lost requests":
            proxy.request_reset = rng.uniform(0.1, 0.6)
        case "lost answers":
            proxy.answer_reset = rng.uniform(0.1, 0.6)
        case "black hole":
            proxy.is_black_hole = True
        case _:
            proxy.cut()
