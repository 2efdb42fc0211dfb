"""The endpoints that are read: each has its own view of the one chain, and its own conduct.

An `Endpoint` is somewhere in the network, whatever kernels ask it; a `ModelTransport` is one kernel's line to
it. Episodes (lag, stall, a kind of lie) begin between blocks and last a while.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from seawall.chain.agreement import default_agreement
from seawall.chain.rpc import Request, RpcError
from seawall.primitives.errors import EndpointError
from tests.world.faults import KINDS_OF_LIES
from tests.world.lies import Liar, of_another_chain
from tests.world.loop import Machine
from tests.world.node import NodeModel
from tests.world.views import ReadAnswer, View

__all__ = ["Endpoint", "Endpoints", "ModelTransport"]

_NOT_FOUND = -32000
_LAG_S_MAX = 16.0
_EPISODE_S_MAX = 30.0
_STALLED_S = 5.0  # then the line gives up
_TURNS = 0.05  # chance per request that an impostor changes sides
# It does not change twice within this, so that a check of its chain speaks of the answer checked.
_STAYS_S = 5.0


@dataclass(slots=True, eq=False)
class Endpoint:
    """One endpoint, shared by all who ask it."""

    name: str
    view: View
    is_impostor: bool = False
    resets: int = 0  # connections that were made anew, on every line
    serves_other: bool = False
    is_stalled: bool = False
    lie: str = ""
    _turned_s: float = 0.0

    @property
    def is_current(self) -> bool:
        return not (self.view.lag_s or self.is_stalled or self.lie or self.serves_other)

    def answer(self, request: Request) -> object | RpcError:
        try:
            if self.serves_other:
                return of_another_chain(request, self.view.answer(request.method, request.params))
            if self.lie:
                return Liar(self.lie, self.view).answer(request)
            return self.view.answer(request.method, request.params)
        except LookupError as error:
            return RpcError(_NOT_FOUND, str(error), None)

    def perhaps_turn(self, rng: random.Random, may_serve_other: bool) -> None:
        now_s = self.view.node.loop.time()
        if self.is_impostor and rng.random() < _TURNS and now_s - self._turned_s >= _STAYS_S:
            self.resets += 1
            self._turned_s = now_s
            self.serves_other = may_serve_other and not self.serves_other

    def behave(self) -> None:
        """The episode is over."""
        self.view.lag_s, self.is_stalled, self.lie = 0.0, False, ""


@dataclass(slots=True)
class Endpoints:
    """All of them, and what they do between blocks. `lies` are the kinds that may be told."""

    node: NodeModel
    rng: random.Random
    reads: Mapping[tuple[bytes, bytes], ReadAnswer] = field(default_factory=dict)
    lies: Sequence[str] = KINDS_OF_LIES
    all: list[Endpoint] = field(init=False)
    agreement: int = field(init=False)
    happened: list[str] = field(default_factory=list)  # since somebody looked
    ever_lied: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        faults = self.node.faults
        count = max(faults.endpoints, 2) if faults.impostor else faults.endpoints
        self.all = [
            Endpoint(f"endpoint{number}", View(self.node, reads=self.reads), faults.impostor and number == 0)
            for number in range(count)
        ]
        self.agreement = faults.agreement or default_agreement(count)

    def misbehave(self) -> None:
        faults, rng = self.node.faults, self.rng
        for endpoint in self.all:
            if rng.random() < faults.lag and endpoint.is_current and not self._somebody_lies():
                endpoint.view.lag_s = rng.random() * _LAG_S_MAX
                self._begin(endpoint, "lag")
            if rng.random() < faults.stall and endpoint.is_current:
                endpoint.is_stalled = True
                self._begin(endpoint, "stall")
        if rng.random() < faults.lie and len(self.all) > 1 and all(one.is_current for one in self.all):
            liar = rng.choice(self.all)
            if self.lies and not liar.is_impostor:
                liar.lie = rng.choice(self.lies)
                self.ever_lied.add(liar.lie)
                self._begin(liar, f"lie: {liar.lie}")

    def calm_down(self) -> None:
        for endpoint in self.all:
            endpoint.behave()

    def _begin(self, endpoint: Endpoint, what: str) -> None:
        self.happened.append(what)
        self.node.loop.call_later(self.rng.random() * _EPISODE_S_MAX, endpoint.behave)

    def _somebody_lies(self) -> bool:
        return any(endpoint.lie for endpoint in self.all)


@dataclass(slots=True)
class ModelTransport:
    """Fulfils `RpcTransport`. `before_await` is where the world may crash the kernel."""

    endpoint: Endpoint
    machine: Machine
    rng: random.Random
    before_await: Callable[[str], None]
    _connects: int = 1

    @property
    def label(self) -> str:
        return self.endpoint.name

    @property
    def connects(self) -> int:
        return self._connects + self.endpoint.resets

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.before_await("world.rpc")
        faults = self.endpoint.view.node.faults
        if self.rng.random() < faults.reset:
            self._connects += 1
        self.endpoint.perhaps_turn(self.rng, faults.impostor)
        await self.machine.delay(faults.latency_s_max)
        if self.endpoint.is_stalled:
            await self.machine.sleep_s(_STALLED_S)
            raise EndpointError("no answer in time", self.label, "ask another")
        if self.rng.random() < faults.answer_lost:
            raise EndpointError("the answer was lost", self.label, "ask again")
        return [self.endpoint.answer(request) for request in requests]

    async def close(self) -> None:
        return
