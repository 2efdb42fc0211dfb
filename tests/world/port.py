"""The model's broadcast port: the latch is read before each write, and the network does what networks do."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seawall.chain.broadcast import SignedWrite, WriteAnswer, WriteResult
from seawall.control.latch import Latch
from tests.world.loop import Machine, VirtualLoop
from tests.world.node import NodeModel

__all__ = ["ModelPort"]


@dataclass(slots=True)
class ModelPort:
    """Fulfils `BroadcastPort`.

    `on_write` sees each write at the moment at which it goes out, so that no planted bug in the kernel can
    change what the checker sees.
    """

    node: NodeModel
    loop: VirtualLoop
    machine: Machine
    latch: Latch
    rng: random.Random
    before_await: Callable[[str], None]
    on_write: Callable[[SignedWrite], None]

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        self.before_await("world.port")
        await self.machine.delay(self.node.faults.latency_s_max)
        results = []
        for write in writes:
            results.append(self._write(write))
            self.before_await("world.port")
        await self.machine.delay(self.node.faults.latency_s_max)
        return results

    async def close(self) -> None:
        return

    def _write(self, write: SignedWrite) -> WriteResult:
        with self.latch.passage():
            if not self.latch.admits(write.kind):
                return WriteResult(write.hash, WriteAnswer.LATCHED)
            if self.machine.now_s() > write.valid_until_s:
                return WriteResult(write.hash, WriteAnswer.UNSENT)
            self.on_write(write)
            return self._deliver(write)

    def _deliver(self, write: SignedWrite) -> WriteResult:
        faults, fate = self.node.faults, self.rng.random()
        fate -= faults.answer_lost
        if fate < -faults.answer_lost / 2:
            return WriteResult(write.hash, WriteAnswer.UNKNOWN, "connection reset")
        if 0 <= fate < faults.delayed:
            self._deliver_later(write)
            return WriteResult(write.hash, WriteAnswer.UNKNOWN, "timed out")
        problem = self.node.receive(write.raw)
        if self.rng.random() < faults.duplicated:
            self._deliver_later(write)
        if fate < 0:
            return WriteResult(write.hash, WriteAnswer.UNKNOWN, "timed out")
        if problem is None:
            return WriteResult(write.hash, WriteAnswer.ACCEPTED)
        if problem == "already known":
            return WriteResult(write.hash, WriteAnswer.KNOWN)
        return WriteResult(write.hash, WriteAnswer.REJECTED, problem)

    def _deliver_later(self, write: SignedWrite) -> None:
        """Whatever becomes of the kernel meanwhile."""
        delay_s = self.rng.random() * self.node.faults.delay_s_max
        self.loop.call_later(delay_s, self.node.receive, write.raw)
