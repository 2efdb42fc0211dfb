"""JSON-RPC to the model: latency, lost answers, and an endpoint that at times serves another chain."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seawall.chain.rpc import Request, RpcError
from seawall.primitives.errors import EndpointError
from tests.world.loop import Machine
from tests.world.node import CHAIN_ID, NodeModel

__all__ = ["Impostor", "ModelTransport"]

_NOT_FOUND = -32000
_TURNS = 0.05  # chance per request that an impostor changes sides
_STAYS_S = (
    5.0  # and it does not change twice within this, so that a check of its chain speaks of the answer checked
)


@dataclass(slots=True)
class ModelTransport:
    """Fulfils `RpcTransport`. `before_await` is where the world may crash the kernel."""

    node: NodeModel
    machine: Machine
    rng: random.Random
    before_await: Callable[[str], None]
    label: str = "model"
    connects: int = 1

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.before_await("world.rpc")
        await self.machine.delay(self.node.faults.latency_s_max)
        if self.rng.random() < self.node.faults.answer_lost:
            raise EndpointError("the answer was lost", self.label, "ask again")
        return [self._one(request) for request in requests]

    async def close(self) -> None:
        return

    def _one(self, request: Request) -> object | RpcError:
        try:
            return self.node.answer(request.method, request.params)
        except LookupError as error:
            return RpcError(_NOT_FOUND, str(error), None)


@dataclass(slots=True)
class Impostor:
    """Fulfils `RpcTransport`. On our chain it is a good endpoint; reconnected, it may be on another one."""

    honest: ModelTransport
    label: str = "impostor"
    connects: int = 1
    lies: bool = False
    _turned_s: float = 0.0

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        now_s = self.honest.machine.monotonic_s()
        if self.honest.rng.random() < _TURNS and now_s - self._turned_s >= _STAYS_S:
            self.connects += 1
            self._turned_s = now_s
            self.lies = self.honest.node.faults.impostor and not self.lies
        answers = await self.honest.send(requests)
        return [_elsewhere(r, a) for r, a in zip(requests, answers, strict=True)] if self.lies else answers

    async def close(self) -> None:
        return


def _elsewhere(request: Request, answer: object) -> object:
    """What another chain would say: of the right form, and wrong."""
    match request.method:
        case "eth_chainId":
            return hex(CHAIN_ID + 1)
        case "eth_getTransactionCount":
            return hex(7_777)
        case "eth_getBalance":
            return hex(10**30)
        case "eth_getTransactionByHash" | "eth_getTransactionReceipt":
            return None
        case "eth_getBlockByNumber" | "eth_getBlockByHash" if isinstance(answer, dict):
            block: dict[str, Any] = answer
            return block | {"hash": "0x" + "ee" * 32, "transactions": []}
    return answer
