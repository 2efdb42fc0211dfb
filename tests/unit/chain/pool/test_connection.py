"""One HTTP connection and misbehaving servers: what goes wrong has a type, and a lost race costs nothing."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable

import pytest

from seawall.chain.pool import connection
from seawall.chain.pool.connection import RETRY_AFTER_S_MAX, retry_after_s
from seawall.chain.rpc import HttpTransport, Request
from seawall.primitives.errors import (
    ConnectionLostError,
    EndpointError,
    MalformedAnswerError,
    RateLimitedError,
    TimedOutError,
)
from tests.fixtures.raw_server import Peer, raw_server

ASK = [Request("eth_gasPrice")]


async def sent_to(behaviour: Callable[[Peer], None]) -> list[object]:
    with raw_server(behaviour) as server:
        transport = HttpTransport(f"{server.url}/v3/SECRETKEY123")
        try:
            return await transport.send(ASK)
        finally:
            await transport.close()


async def until(is_so: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never was so")


def saying(raw: bytes) -> Callable[[Peer], None]:
    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(raw)

    return behave


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b"", ConnectionLostError),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"id":', ConnectionLostError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", MalformedAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<html/> ", MalformedAnswerError),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{"id":77,"result":"1"}', MalformedAnswerError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", MalformedAnswerError),
        (b"SSH-2.0-x\r\n\r\n", MalformedAnswerError),
        (b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n", RateLimitedError),
        (b"HTTP/1.1 503 Away\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", RateLimitedError),
        (b"HTTP/1.1 500 SECRETKEY123\r\nContent-Length: 12\r\n\r\nSECRETKEY123", EndpointError),
    ],
    ids=["closed", "cut", "huge", "html", "other-id", "none", "not-http", "429", "503", "500"],
)
async def test_each_bad_answer_has_its_type_and_no_secret(raw: bytes, kind: type[EndpointError]) -> None:
    with pytest.raises(EndpointError) as caught:
        await sent_to(saying(raw))
    assert type(caught.value) is kind
    assert "SECRETKEY123" not in str(caught.value)


async def test_refused_connection_is_a_lost_one() -> None:
    transport = HttpTransport("http://127.0.0.1:1/SECRETKEY123")
    with pytest.raises(ConnectionLostError) as caught:
        await transport.send(ASK)
    assert "SECRETKEY123" not in str(caught.value)


async def test_answer_that_does_not_come_in_time_is_a_time_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.chain.transport.timeout_s", lambda requests: 0.05)
    with pytest.raises(TimedOutError, match=r"no answer within 0\.05 s"):
        await sent_to(Peer.drain)

    def stop_within_the_head(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 2")
        peer.drain()

    with pytest.raises(TimedOutError, match="no whole answer"):
        await sent_to(stop_within_the_head)


async def test_retry_after_of_an_answer_reaches_its_error() -> None:
    with pytest.raises(RateLimitedError) as caught:
        await sent_to(saying(b"HTTP/1.1 429 Slow\r\nRetry-After: 17\r\nContent-Length: 0\r\n\r\n"))
    assert caught.value.retry_after_s == 17


@pytest.mark.parametrize(
    ("fields", "expected_s"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "999999999"}, RETRY_AFTER_S_MAX),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 30),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:28:30 GMT"}, 0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "\xb2"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_a_date(fields: dict[str, str], expected_s: float | None) -> None:
    assert retry_after_s(fields) == expected_s


def slow_then_quick(pause_s: float) -> Callable[[Peer], None]:
    """Takes its time over gas prices, and answers everything else at once."""

    def behave(peer: Peer) -> None:
        while (body := peer.request()) is not None:
            calls = json.loads(body)
            many = calls if isinstance(calls, list) else [calls]
            if any(call["method"] == "eth_gasPrice" for call in many):
                time.sleep(pause_s)
            answers = [{"id": call["id"], "result": "0x1"} for call in many]
            peer.answer(answers if isinstance(calls, list) else answers[0])

    return behave


async def test_connection_whose_answer_nobody_waits_for_is_used_again_when_it_is_in() -> None:
    with raw_server(slow_then_quick(0.1)) as server:
        transport = HttpTransport(server.url)
        await transport.send([Request("eth_blockNumber")])
        lost = asyncio.create_task(transport.send(ASK))
        await asyncio.sleep(0.02)
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        await until(lambda: not any(each.is_busy for each in transport._connections))
        assert await transport.send([Request("eth_blockNumber")]) == ["0x1"]
        assert len(server.received) == 1
        await transport.close()


async def test_whoever_leaves_as_the_answer_comes_does_not_take_it_from_who_has_the_connection_now() -> None:
    with raw_server(slow_then_quick(0.0)) as server:
        transport = HttpTransport(server.url)
        await transport.send(ASK)
        (own,) = transport._connections
        leaves = asyncio.create_task(transport.send(ASK))
        follows: list[asyncio.Future[bytes]] = []

        def is_free(free: connection.HttpConnection) -> None:
            """The answer is in, and its task has not run yet: it is cancelled, and another asks."""
            transport._idle.append(free)
            own._on_free = transport._on_free
            follows.append(free.ask(b'{"id":1,"method":"eth_x"}', 5.0))
            leaves.cancel()

        await asyncio.sleep(0)
        own._on_free = is_free
        with pytest.raises(asyncio.CancelledError):
            await leaves
        assert json.loads(await follows[0]) == {"id": 1, "result": "0x1"}
        await transport.close()


async def test_connection_whose_answer_never_comes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ABANDONED_S", 0.05)
    with raw_server(Peer.drain) as server:
        transport = HttpTransport(server.url)
        lost = asyncio.create_task(transport.send(ASK))
        await until(lambda: any(server.received))
        lost.cancel()
        await asyncio.gather(lost, return_exceptions=True)
        await until(lambda: not transport._connections)
        await transport.close()


async def test_large_answer_in_many_pieces_is_whole() -> None:
    result = "ab" * 500_000

    def behave(peer: Peer) -> None:
        while (body := peer.request()) is not None:
            calls = json.loads(body)
            many = calls if isinstance(calls, list) else [calls]
            said = json.dumps([{"id": call["id"], "result": result} for call in many]).encode()
            peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for place in range(0, len(said), 100_000):
                piece = said[place : place + 100_000]
                peer.send(b"%x\r\n%b\r\n" % (len(piece), piece))
            peer.send(b"0\r\n\r\n")

    assert await sent_to(behave) == [result]
