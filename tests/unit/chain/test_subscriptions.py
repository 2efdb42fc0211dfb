"""The socket of heads only wakes; losing it costs latency and nothing else."""

from __future__ import annotations

import asyncio

import pytest

from seawall.chain.subscriptions import RECONNECT_PAUSE_MAX_S, WAKES_APART_S, HeadSocket, HeadWake
from seawall.primitives.errors import ConfigError
from tests.fixtures.raw_server import Peer, raw_server


class EnoughError(Exception):
    """The test has seen enough pauses."""


class PausingClock:
    """Fulfils the port; pauses take no time and are remembered."""

    def __init__(self, pauses: int) -> None:
        self.pauses_s: list[float] = []
        self._left = pauses

    def now_s(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        self.pauses_s.append(duration_s)
        self._left -= 1
        if not self._left:
            raise EnoughError


def refuses(peer: Peer) -> None:
    peer.receive()
    peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")


async def test_socket_that_is_refused_is_tried_again_with_growing_bounded_pauses() -> None:
    clock = PausingClock(9)
    with raw_server(refuses) as server:
        socket = HeadSocket(server.url.replace("http", "ws"), HeadWake(clock, 1.0), clock)
        with pytest.raises(EnoughError):
            await socket.run()
    assert not socket.connected
    assert clock.pauses_s == sorted(clock.pauses_s)
    assert clock.pauses_s[-1] == RECONNECT_PAUSE_MAX_S


async def test_socket_that_rings_without_end_is_heard_a_bounded_number_of_times() -> None:
    clock = PausingClock(100)
    wake = HeadWake(clock, 60.0)
    for _ in range(3):
        wake.ring()
        await asyncio.wait_for(wake.wait(), 5)
    assert [pause_s for pause_s in clock.pauses_s if pause_s < 60.0] == [WAKES_APART_S] * 2


async def test_rings_before_the_wait_are_not_lost_and_count_once() -> None:
    wake = HeadWake(PausingClock(100), 60.0)
    wake.ring()
    wake.ring()
    await asyncio.wait_for(wake.wait(), 5)


def test_address_of_another_scheme_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="ws"):
        HeadSocket("http://127.0.0.1:1", HeadWake(PausingClock(1), 1.0), PausingClock(1))
