"""Sockets to nodes: what a node says unasked, and the clock that goes on where it is silent.

What a socket says of heads and logs is not believed: it only wakes `HeadFollower.poll`, which reads over
the pool, and witnesses logs that the pool must then show. A socket that dies is opened again after a pause;
meanwhile polling goes on by the clock, so that losing it costs latency and nothing else: what happened while
it was away is found by the numbers of the blocks, never by counting messages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import aiohttp
import orjson

from seawall.chain.client import filter_fields
from seawall.chain.decoding import quantity
from seawall.chain.endpoints import Endpoint
from seawall.chain.receipts import log_of
from seawall.primitives.blocks import LogFilter
from seawall.primitives.errors import ChainError, ChainIdMismatchError, EndpointError
from seawall.primitives.ports import Clock
from seawall.primitives.units import Hash

__all__ = ["CLOSE_TIMEOUT_S", "HeadSocket", "HeadWake", "LogSocket", "NodeSocket"]

MESSAGE_BYTES_MAX: Final = 1024 * 1024
CONNECT_TIMEOUT_S: Final = 5.0
# Whoever is left is not waited for longer.
CLOSE_TIMEOUT_S: Final = 0.5
HEARTBEAT_S: Final = 15.0
WAKES_APART_S: Final = 0.01
RECONNECT_PAUSE_FIRST_S: Final = 0.5
RECONNECT_PAUSE_MAX_S: Final = 30.0
# Blocks whose logs a socket told of, and that are remembered.
BLOCKS_TOLD_MAX: Final = 256
_ENDS: Final = frozenset(
    {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR}
)


class HeadWake:
    """`wait()` returns when somebody rang, or after the interval; never sooner than `WAKES_APART_S` after the
    last time, so that a socket that rings without end costs no more than that."""

    def __init__(self, clock: Clock, interval_s: float) -> None:
        assert interval_s > 0
        self._clock = clock
        self._interval_s = interval_s
        self._rung = asyncio.Event()
        self._woke_s = -WAKES_APART_S

    def ring(self) -> None:
        self._rung.set()

    async def wait(self) -> None:
        early_s = self._woke_s + WAKES_APART_S - self._clock.monotonic_s()
        if early_s > 0:
            await self._clock.sleep_s(early_s)
        ringing = asyncio.ensure_future(self._rung.wait())
        sleeping = asyncio.ensure_future(self._clock.sleep_s(self._interval_s))
        try:
            await asyncio.wait((ringing, sleeping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Not awaited: a cancellation of our caller that came meanwhile would be swallowed with theirs.
            ringing.cancel()
            sleeping.cancel()
        self._rung.clear()
        self._woke_s = self._clock.monotonic_s()


class NodeSocket:
    """One WebSocket to a node with some `eth_subscribe` subscriptions, opened again whenever it ends.

    `heard(place, content)` is called for each event with the place of its subscription in `wanted`. `opened`
    is called once the node has confirmed them all, `refused` when it does not: what is wanted may be changed
    there, for the next try. With `chain_id` the node must tell that chain first, on
    each connection. With `silence_s_max` a connection that says nothing for so long is given up.
    """

    def __init__(
        self,
        url: str,
        wanted: Sequence[Sequence[object]],
        heard: Callable[[int, object], None],
        clock: Clock,
        *,
        chain_id: int | None = None,
        opened: Callable[[], None] | None = None,
        refused: Callable[[], None] | None = None,
        silence_s_max: float | None = None,
    ) -> None:
        self._endpoint = Endpoint.parse(url, schemes=("ws", "wss"))
        self._wanted = wanted
        self._heard = heard
        self._clock = clock
        self._chain_id = chain_id
        self._opened = opened
        self._refused = refused
        self._silence_s_max = silence_s_max
        self.connected = False
        self.opens = 0  # how often all was confirmed
        self.trouble = ""  # why it is not connected, of the last time

    @property
    def label(self) -> str:
        return self._endpoint.label

    async def run(self) -> None:
        """Until cancelled: connect, subscribe, listen; after a failure pause and begin again."""
        pause_s = RECONNECT_PAUSE_FIRST_S
        while True:
            self.trouble = "the socket was closed"
            try:
                await self._listen()
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ChainError) as error:
                self.trouble = self._endpoint.scrub(f"{type(error).__name__}: {error}")
            finally:
                heard, self.connected = self.connected, False
            pause_s = RECONNECT_PAUSE_FIRST_S if heard else min(pause_s * 2, RECONNECT_PAUSE_MAX_S)
            await self._clock.sleep_s(pause_s)

    async def _listen(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(
                self._endpoint.url,
                heartbeat=HEARTBEAT_S,
                max_msg_size=MESSAGE_BYTES_MAX,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            ) as socket,
        ):
            calls: list[tuple[str, Sequence[object]]] = [("eth_subscribe", params) for params in self._wanted]
            if self._chain_id is not None:
                calls.append(("eth_chainId", ()))
            for number, (method, params) in enumerate(calls):
                call = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                await socket.send_bytes(orjson.dumps(call))
            await self._take_in(socket, len(calls))

    async def _take_in(self, socket: aiohttp.ClientWebSocketResponse, calls: int) -> None:
        places: dict[object, int] = {}
        open_calls = set(range(calls))
        while True:
            message = await socket.receive(self._silence_s_max)
            if message.type in _ENDS:
                return
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            content: object = orjson.loads(message.data)
            if not isinstance(content, dict) or "error" in content:
                if self._refused is not None:
                    self._refused()
                raise EndpointError("it refuses a subscription", self.label, "use another endpoint")
            if content.get("method") == "eth_subscription":
                params = content.get("params")
                if isinstance(params, dict) and params.get("subscription") in places:
                    self._heard(places[params["subscription"]], params.get("result"))
                continue
            number: object = content.get("id")
            if type(number) is not int or number not in open_calls:
                continue
            open_calls.discard(number)
            if number < len(self._wanted):
                places[content.get("result")] = number
            else:
                self._require_chain(content.get("result"))
            if not open_calls:
                self.connected, self.opens = True, self.opens + 1
                if self._opened is not None:
                    self._opened()

    def _require_chain(self, told: object) -> None:
        served = quantity(told, f"eth_chainId of {self.label}")
        if served != self._chain_id:
            raise ChainIdMismatchError(
                f"the endpoint serves chain {served} instead of {self._chain_id}",
                self.label,
                "correct its address in the configuration",
            )


class HeadSocket(NodeSocket):
    """Subscribes to `newHeads` at one endpoint and rings for each, and when it is open."""

    def __init__(self, url: str, wake: HeadWake, clock: Clock) -> None:
        super().__init__(url, [["newHeads"]], lambda _place, _head: wake.ring(), clock, opened=wake.ring)


class LogSocket(NodeSocket):
    """Subscribes to `newHeads` and to the logs of one filter at one endpoint.

    Rings for each, and remembers which logs it was told of, as (block hash, log index): what the pool says of
    a block must hold them (`chain.logs.follow`). What was said while the socket was away is not missed, since
    nothing depends on it.
    """

    def __init__(self, url: str, wanted: LogFilter, wake: HeadWake, clock: Clock) -> None:
        shown: dict[str, object] = filter_fields(wanted)
        super().__init__(url, [["newHeads"], ["logs", shown]], self._hear, clock, opened=wake.ring)
        self._wake = wake
        self._told: OrderedDict[Hash, set[int]] = OrderedDict()

    def told(self, block_hash: Hash) -> frozenset[int]:
        """Indexes of the logs that the socket told of in this block."""
        return frozenset(self._told.get(block_hash, ()))

    def _hear(self, place: int, content: object) -> None:
        if place == 1 and isinstance(content, dict):
            try:
                log = log_of(content)
            except EndpointError:
                return  # it only hints
            if content.get("removed"):
                self._told.pop(log.block_hash, None)
            else:
                self._told.setdefault(log.block_hash, set()).add(log.log_index)
                while len(self._told) > BLOCKS_TOLD_MAX:
                    self._told.popitem(last=False)
        self._wake.ring()
