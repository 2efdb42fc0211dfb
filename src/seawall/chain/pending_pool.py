"""Transactions in a node's public pool, over its WebSocket.

Asks for whole transactions (`newPendingTransactions` with true); a node that refuses that is asked for
hashes, and each is looked up over the pool of endpoints, as many at once as wait, up to
`LOOK_UPS_WAITING_MAX`: beyond it hashes are dropped and counted. Each transaction is told once. One that
cannot be decoded is dropped.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Protocol

from seawall.chain import decoding
from seawall.chain.pending import CALLDATA_BYTES_MAX, Heard, Listener, Remembered, Standing
from seawall.chain.subscriptions import NodeSocket
from seawall.chain.transport import Request, RpcError
from seawall.primitives.errors import ChainError, EndpointError
from seawall.primitives.ports import Clock
from seawall.primitives.sightings import Sighting, SightingKind
from seawall.primitives.units import Hash, hex_text

__all__ = ["LOOK_UPS_WAITING_MAX", "PoolTransactions"]

LOOK_UPS_WAITING_MAX: Final = 512
LOOK_UPS_AT_ONCE_MAX: Final = 64
# A pool that is silent for so long is an endpoint that lost the subscription.
SILENCE_S_MAX: Final = 120.0
_NUMBER_MAX: Final = 2**64 - 1
_WHOLE: Final = ("newPendingTransactions", True)
_HASHES: Final = ("newPendingTransactions",)


class LookUps(Protocol):
    """The pool of endpoints, as far as hashes are looked up there."""

    async def batch(self, requests: Sequence[Request]) -> Sequence[object | RpcError]: ...


class PoolTransactions:
    """One node's pool."""

    def __init__(
        self, name: str, url: str, chain_id: int, look_ups: LookUps, tell: Listener, clock: Clock
    ) -> None:
        self._name = name
        self._chain_id = chain_id
        self._look_ups = look_ups
        self._tell = tell
        self._clock = clock
        self._known = Remembered()
        self._hashes: asyncio.Queue[tuple[Hash, float]] = asyncio.Queue(LOOK_UPS_WAITING_MAX)
        self._standing = Standing()
        self._wanted: list[Sequence[object]] = [_WHOLE]
        self._socket = NodeSocket(
            url,
            self._wanted,
            self._hear,
            clock,
            chain_id=chain_id,
            refused=self._want_hashes,
            silence_s_max=SILENCE_S_MAX,
        )

    @property
    def name(self) -> str:
        return self._name

    @property
    def standing(self) -> Standing:
        known, socket = self._standing, self._socket
        known.is_connected, known.opens, known.trouble = socket.connected, socket.opens, socket.trouble
        known.gaps = max(0, socket.opens - 1)
        return known

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._socket.run())
            tasks.create_task(self._look_up())

    def _want_hashes(self) -> None:
        self._wanted[0] = _HASHES

    def _hear(self, _place: int, content: object) -> None:
        at_s = self._clock.monotonic_s()
        try:
            if isinstance(content, str):
                known = decoding.digest(content, "pending")
                if self._known.is_new(known):
                    self._hashes.put_nowait((known, at_s))
            else:
                sighting = self._sighting(content)
                if self._known.is_new(sighting.hash):
                    self._say(sighting, at_s)
        except (EndpointError, asyncio.QueueFull):
            self._standing.dropped += 1

    def _say(self, sighting: Sighting, at_s: float) -> None:
        self._standing.heard += 1
        self._tell(Heard(sighting, at_s))

    async def _look_up(self) -> None:
        while True:
            waiting = [await self._hashes.get()]
            while len(waiting) < LOOK_UPS_AT_ONCE_MAX and not self._hashes.empty():
                waiting.append(self._hashes.get_nowait())
            requests = [Request("eth_getTransactionByHash", (hex_text(known),)) for known, _ in waiting]
            try:
                answers = await self._look_ups.batch(requests)
            except ChainError:
                self._standing.dropped += len(waiting)
                continue
            for (known, at_s), answer in zip(waiting, answers, strict=True):
                self._take(known, at_s, answer)

    def _take(self, known: Hash, at_s: float, answer: object | RpcError) -> None:
        """What was looked up; nothing is left of one that landed or went meanwhile."""
        if answer is None:
            return
        try:
            if isinstance(answer, dict) and answer.get("blockHash") is not None:
                return
            sighting = self._sighting(answer)
            if sighting.hash == known:
                self._say(sighting, at_s)
                return
        except EndpointError:
            pass
        self._standing.dropped += 1

    def _sighting(self, content: object) -> Sighting:
        fields = decoding.mapping(content, "pending")
        to = fields.get("to")
        price = fields.get("maxFeePerGas", fields.get("gasPrice"))
        tip = fields.get("maxPriorityFeePerGas", fields.get("gasPrice"))
        calldata = decoding.data(fields.get("input", fields.get("data")), "pending.input")
        return Sighting(
            chain_id=self._chain_id,
            kind=SightingKind.POOL,
            source=self._name,
            age_ms=0,
            hash=decoding.digest(fields.get("hash"), "pending.hash"),
            sender=decoding.address(fields.get("from"), "pending.from"),
            target=None if to is None else decoding.address(to, "pending.to"),
            calldata=calldata[:CALLDATA_BYTES_MAX],
            value_wei=decoding.quantity(fields.get("value"), "pending.value"),
            nonce=decoding.quantity(fields.get("nonce"), "pending.nonce", limit=_NUMBER_MAX),
            gas_limit=decoding.quantity(fields.get("gas"), "pending.gas", limit=_NUMBER_MAX),
            max_fee_per_gas_wei=decoding.optional_quantity(price, "pending.maxFeePerGas"),
            max_priority_fee_per_gas_wei=decoding.optional_quantity(tip, "pending.maxPriorityFeePerGas"),
        )
