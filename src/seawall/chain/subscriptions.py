"""Wakes the poll of heads: a WebSocket's `newHeads` rings, and a clock rings where the socket is silent.

What a socket says is not believed: it only wakes `HeadFollower.poll`, which reads over the pool. A socket
that dies is opened again after a pause; meanwhile polling goes on by the clock, so that losing it costs
latency and nothing else.
"""

from __future__ import annotations

import asyncio
from typing import Final

import aiohttp
import orjson

from seawall.chain.endpoints import Endpoint
from seawall.primitives.ports import Clock

__all__ = ["HeadSocket", "HeadWake"]

MESSAGE_BYTES_MAX: Final = 1024 * 1024
CONNECT_TIMEOUT_S: Final = 5.0
HEARTBEAT_S: Final = 15.0
WAKES_APART_S: Final = 0.01
RECONNECT_PAUSE_FIRST_S: Final = 0.5
RECONNECT_PAUSE_MAX_S: Final = 30.0


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


class HeadSocket:
    """Subscribes to `newHeads` at one endpoint and rings for each."""

    def __init__(self, url: str, wake: HeadWake, clock: Clock) -> None:
        self._endpoint = Endpoint.parse(url, schemes=("ws", "wss"))
        self._wake = wake
        self._clock = clock
        self.connected = False

    async def run(self) -> None:
        """Until cancelled: connect, subscribe, ring; after a failure pause and begin again."""
        pause_s = RECONNECT_PAUSE_FIRST_S
        while True:
            try:
                await self._listen()
            except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
                pass
            finally:
                heard, self.connected = self.connected, False
            pause_s = RECONNECT_PAUSE_FIRST_S if heard else min(pause_s * 2, RECONNECT_PAUSE_MAX_S)
            await self._clock.sleep_s(pause_s)

    async def _listen(self) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.ws_connect(
                self._endpoint.url, heartbeat=HEARTBEAT_S, max_msg_size=MESSAGE_BYTES_MAX
            ) as socket,
        ):
            call = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newHeads"]}
            await socket.send_bytes(orjson.dumps(call))
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                content: object = orjson.loads(message.data)
                if not isinstance(content, dict) or "error" in content:
                    return
                self.connected = True
                if content.get("method") == "eth_subscription":
                    self._wake.ring()
