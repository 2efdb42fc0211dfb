"""JSON-RPC to the model, with latency and lost answers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

from seawall.chain.rpc import Request, RpcError
from seawall.primitives.errors import EndpointError
from tests.world.node import NodeModel

__all__ = ["ModelTransport"]

_NOT_FOUND = -32000


@dataclass(slots=True)
class ModelTransport:
    """Fulfils `RpcTransport`."""

    node: NodeModel
    rng: random.Random
    label: str = "model"
    connects: int = 1

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        await asyncio.sleep(self.rng.random() * self.node.faults.latency_s_max)
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
