"""The model's broadcast port: the latch is read before each write, and the network does what networks do."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seawall.chain.broadcast import SignedWrite, WriteAnswer, WriteResult
from seawall.control.latch import Latch
from seawall.primitives.ports import Clock
from tests.world.node import NodeModel

__all__ = ["ModelPort", "Written"]


@dataclass(frozen=True, slots=True)
class Written:
    """A write that went out, as an observer beside the kernel saw it."""

    at_s: float
    write: SignedWrite
    latch_admitted: bool


@dataclass(slots=True)
class ModelPort:
    """Fulfils `BroadcastPort`. `log` is the checker's, so it cannot be changed by a planted bug in the kernel."""

    node: NodeModel
    latch: Latch
    clock: Clock
    rng: random.Random
    log: list[Written] = field(default_factory=list)
    before_write: Callable[[SignedWrite], None] = lambda _write: None
    reads_latch: bool = True

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        await asyncio.sleep(self.rng.random() * self.node.faults.latency_s_max)
        results = [await self._write(write) for write in writes]
        await asyncio.sleep(self.rng.random() * self.node.faults.latency_s_max)
        return results

    async def close(self) -> None:
        return

    async def _write(self, write: SignedWrite) -> WriteResult:
        admitted = self.latch.admits(write.kind)
        if self.reads_latch and not admitted:
            return WriteResult(write.hash, WriteAnswer.LATCHED)
        if self.clock.now_s() > write.valid_until_s:
            return WriteResult(write.hash, WriteAnswer.UNSENT)
        self.before_write(write)
        self.log.append(Written(self.clock.monotonic_s(), write, admitted))
        fate = self.rng.random()
        lost = self.node.faults.answer_lost
        if fate < lost / 2:  # never arrived
            return WriteResult(write.hash, WriteAnswer.UNKNOWN, "connection reset")
        problem = self.node.receive(write.raw)
        if fate < lost:  # arrived, the answer did not
            return WriteResult(write.hash, WriteAnswer.UNKNOWN, "timed out")
        if problem is None:
            return WriteResult(write.hash, WriteAnswer.ACCEPTED)
        if problem == "already known":
            return WriteResult(write.hash, WriteAnswer.KNOWN)
        return WriteResult(write.hash, WriteAnswer.REJECTED, problem)
