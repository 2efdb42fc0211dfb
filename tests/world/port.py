"""The model's broadcast port: the latch is read before each write, and endpoints do what endpoints do.

A write goes to every send endpoint. Each may take the bytes, lose them before or after the pool has them,
hold them back, deliver them twice, say that it took them and forget them, or refuse what could have been
taken. What endpoints say is judged by the true port's own words.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce

from seawall.chain.broadcast import SignedWrite, WriteAnswer, WriteResult
from seawall.chain.endpoints import Endpoint
from seawall.chain.writes import judged, stronger
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from tests.world.loop import Machine, VirtualLoop
from tests.world.node import NodeModel

__all__ = ["ModelPort"]

_FALSE_REFUSALS = ("already known", "nonce too low", "txpool is full", "transaction underpriced")
_PLACE = Endpoint.parse("http://model")


@dataclass(slots=True)
class ModelPort:
    """Fulfils `BroadcastPort`.

    `on_write` sees each write at the moment at which it goes out, so that no planted bug in the kernel can
    change what the checker sees. Beside the latch, a fleet's `permit` must hold.
    """

    node: NodeModel
    loop: VirtualLoop
    machine: Machine
    latch: Latch
    rng: random.Random
    before_await: Callable[[str], None]
    on_write: Callable[[SignedWrite], None]
    endpoints: int = 1
    permit: SendPermit | None = None

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
            if self.permit is not None and not self.permit.valid():
                return WriteResult(write.hash, WriteAnswer.UNSENT, "no permit")
            if self.machine.now_s() > write.valid_until_s:
                return WriteResult(write.hash, WriteAnswer.UNSENT)
            self.on_write(write)
            return reduce(stronger, [self._deliver(write) for _ in range(self.endpoints)])

    def _deliver(self, write: SignedWrite) -> WriteResult:
        """To one endpoint."""
        faults, fate = self.node.faults, self.rng.random()
        for chance, deliver in (
            (faults.answer_lost / 2, self._lose),
            (faults.answer_lost / 2, self._lose_the_answer),
            (faults.delayed, self._hold_back),
            (faults.swallowed, self._swallow),
            (faults.refused_falsely, self._refuse_falsely),
        ):
            if fate < chance:
                return deliver(write)
            fate -= chance
        problem = self.node.receive(write.raw)
        if self.rng.random() < faults.duplicated:
            self._deliver_later(write)
        return WriteResult(write.hash, WriteAnswer.ACCEPTED) if problem is None else _judged(write, problem)

    def _lose(self, write: SignedWrite) -> WriteResult:
        return WriteResult(write.hash, WriteAnswer.UNKNOWN, "connection reset")

    def _lose_the_answer(self, write: SignedWrite) -> WriteResult:
        self.node.receive(write.raw)
        return WriteResult(write.hash, WriteAnswer.UNKNOWN, "timed out")

    def _hold_back(self, write: SignedWrite) -> WriteResult:
        self._deliver_later(write)
        return WriteResult(write.hash, WriteAnswer.UNKNOWN, "timed out")

    def _swallow(self, write: SignedWrite) -> WriteResult:
        if self.rng.random() < 0.5:
            self._deliver_later(write)  # it finds them again
        return WriteResult(write.hash, WriteAnswer.ACCEPTED)

    def _refuse_falsely(self, write: SignedWrite) -> WriteResult:
        return _judged(write, self.rng.choice(_FALSE_REFUSALS))

    def _deliver_later(self, write: SignedWrite) -> None:
        """Whatever becomes of the kernel meanwhile."""
        delay_s = self.rng.random() * self.node.faults.delay_s_max
        self.loop.call_later(delay_s, self.node.receive, write.raw)


def _judged(write: SignedWrite, problem: str) -> WriteResult:
    """As the true port judges the same words."""
    return judged(write.hash, {"code": -32000, "message": problem}, _PLACE)
