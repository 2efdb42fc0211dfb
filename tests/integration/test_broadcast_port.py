"""The broadcast port on real sockets: no signed byte is written after a stop has returned."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import random
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteAnswer, WriteResult
from seawall.chain.sockets import ANSWER_BYTES_MAX, Connection
from seawall.control.latch import Latch
from seawall.native import keccak256
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash
from seawall.telemetry import failpoints
from tests.fixtures.anvil import Anvil, anvil, transaction
from tests.fixtures.loopback_tls import client_context, server_context
from tests.fixtures.raw_server import Peer, RawServer, accept_all, answers_to, raw_server

__all__ = ["anvil"]

TARGET = Address(b"\x11" * 20)
FOREVER_S = 2**40
WAIT_S = 60.0
RACES = 150
BUSY_RACES = 40


def write_of(
    number: int, *, kind: WriteKind = WriteKind.PLAN, size: int = 180, valid_until_s: int = FOREVER_S
) -> SignedWrite:
    raw = b"\x02" + number.to_bytes(4, "big") + random.Random(number).randbytes(size)
    return SignedWrite(kind, Hash(keccak256(raw)), raw, valid_until_s)


def answers(results: list[WriteResult]) -> list[str]:
    return [result.answer.value for result in results]


@pytest.fixture
def latch(tmp_path: Path) -> Latch:
    return Latch(tmp_path / "latch")


@contextlib.asynccontextmanager
async def port_to(latch: Latch, *urls: str, secure: bool = False) -> AsyncIterator[SocketBroadcastPort]:
    port = SocketBroadcastPort(urls, latch, clock=SystemClock(), tls=client_context() if secure else None)
    try:
        yield port
    finally:
        await port.close()


@dataclass(slots=True)
class Sent:
    """Bytes that `send` calls took, counted inside the passage."""

    count: int = 0
    calls: list[int] = field(default_factory=list)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    spy = Sent()
    plain_send = Connection.send

    def counted(connection: Connection, piece: memoryview) -> int:
        taken = plain_send(connection, piece)
        spy.count += taken
        spy.calls.append(taken)
        return taken

    monkeypatch.setattr(Connection, "send", counted)
    return spy


# On a true node


async def test_true_transactions_are_accepted_then_known(anvil: Anvil, latch: Latch) -> None:
    key = anvil.funded_key()
    signed = key.sign_transactions([transaction(nonce, TARGET, value_wei=1) for nonce in range(120)])
    writes = [SignedWrite(WriteKind.PLAN, Hash(s.hash), s.raw, FOREVER_S) for s in signed]
    async with port_to(latch, anvil.url) as port:
        assert set(answers(await port.write(writes))) == {"accepted"}
        assert set(answers(await port.write(writes[:3]))) == {"known"}
        anvil.mine()
        (again,) = await port.write(writes[:1])
        assert again.answer is WriteAnswer.UNKNOWN, (
            "the nonce is used, perhaps by these bytes: only the chain can tell"
        )
    assert anvil.number("eth_getTransactionCount", "0x" + key.address.hex(), "latest") == 120


async def test_refusal_of_the_node_is_rejected_with_its_words(anvil: Anvil, latch: Latch) -> None:
    (signed,) = anvil.funded_key(balance_wei=1).sign_transactions([transaction(0, TARGET)])
    async with port_to(latch, anvil.url) as port:
        (result,) = await port.write([SignedWrite(WriteKind.PLAN, Hash(signed.hash), signed.raw, FOREVER_S)])
    assert result.answer is WriteAnswer.REJECTED
    assert "fund" in result.message.lower()


# What the latch and validity admit


async def test_halted_port_writes_nothing(latch: Latch) -> None:
    latch.lower(Authority.HALT, "test", "tester")
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            (result,) = await port.write([write_of(1)])
        assert result.answer is WriteAnswer.LATCHED
        assert "test" in result.message
        assert server.everything == b""


async def test_reduce_only_splits_a_mixed_batch(latch: Latch) -> None:
    latch.lower(Authority.REDUCE_ONLY, "test", "tester")
    kinds = [WriteKind.PLAN, WriteKind.REDUCING, WriteKind.PLAN, WriteKind.HOUSEKEEPING]
    writes = [write_of(number, kind=kind) for number, kind in enumerate(kinds)]
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            results = await port.write(writes)
        assert answers(results) == ["latched", "accepted", "latched", "accepted"]
        assert [write.raw.hex().encode() in server.everything for write in writes] == [
            False,
            True,
            False,
            True,
        ]


async def test_quiesce_admits_housekeeping_alone(latch: Latch) -> None:
    latch.lower(Authority.HALT, "test", "tester")
    latch.begin_quiesce()
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            results = await port.write([write_of(1, kind=kind) for kind in WriteKind])
    assert answers(results) == ["latched", "latched", "accepted"]


async def test_write_past_its_validity_stays_unsent(latch: Latch) -> None:
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            results = await port.write([write_of(1, valid_until_s=1_000_000_000), write_of(2)])
    assert answers(results) == ["unsent", "accepted"]


async def test_file_of_another_process_latches_before_any_flag(latch: Latch, tmp_path: Path) -> None:
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            assert answers(await port.write([write_of(1)])) == ["accepted"]
            Latch(tmp_path / "latch").lower(Authority.HALT, "written next door", "other")
            before = len(server.everything)
            (result,) = await port.write([write_of(2)])
        assert (result.answer, len(server.everything)) == (WriteAnswer.LATCHED, before)
        assert "written next door" in result.message


async def test_restart_while_halted_reads_the_file(latch: Latch, tmp_path: Path) -> None:
    latch.lower(Authority.HALT, "before the crash", "tester")
    reborn = Latch(tmp_path / "latch")
    with raw_server(accept_all) as server:
        async with port_to(reborn, server.url) as port:
            assert answers(await port.write([write_of(1)])) == ["latched"]
        assert server.everything == b""
    reborn.raise_to(Authority.RUN, "looked, and it is safe", "tester")
    assert Latch(tmp_path / "latch").authority is Authority.RUN


# Stops in the middle


async def test_halt_between_the_commit_and_the_first_write_writes_nothing(latch: Latch) -> None:
    def halt(name: str) -> None:
        assert name == "broadcast.before_write"
        latch.lower(Authority.HALT, "held at the point", "tester")

    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            assert answers(await port.write([write_of(1)])) == ["accepted"]
            before = len(server.everything)
            failpoints.install(halt)
            try:
                assert answers(await port.write([write_of(2)])) == ["latched"]
            finally:
                failpoints.install(None)
        assert len(server.everything) == before


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_halt_while_a_connection_is_opened_writes_nothing(
    latch: Latch, tmp_path: Path, secure: bool
) -> None:
    handshake = threading.Event()

    def late(peer: Peer) -> None:
        handshake.wait(WAIT_S)
        peer.drain()

    with raw_server(late, tls=server_context(tmp_path) if secure else None) as server:
        async with port_to(latch, server.url, secure=secure) as port:
            if not secure:
                # A plain connect is over in microseconds: the stop comes from inside it.
                opened = Connection.open

                def interrupted(*arguments: Any) -> Connection:
                    connection = opened(*arguments)
                    latch.lower(Authority.HALT, "while opening", "tester")
                    return connection

                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(Connection, "open", staticmethod(interrupted))
                    (result,) = await port.write([write_of(1)])
            else:
                writing = asyncio.create_task(port.write([write_of(1)]))
                await asyncio.to_thread(server.accepted.wait, WAIT_S)
                latch.lower(Authority.HALT, "while opening", "tester")
                handshake.set()
                (result,) = await writing
            handshake.set()
            assert result.answer is WriteAnswer.LATCHED
        server.settle()
        assert server.everything == b""


async def until_full(sent: Sent) -> None:
    """Something is written, and then nothing more: nobody reads, and the buffers are full."""
    last = -1
    while sent.count == 0 or sent.count != last:
        last = sent.count
        await asyncio.sleep(0.05)


async def test_halt_in_a_half_written_request_ends_it_unfinished(latch: Latch, sent: Sent) -> None:
    reading = threading.Event()

    def slow(peer: Peer) -> None:
        peer.receive(1024)
        reading.wait(WAIT_S)
        peer.drain()

    writes = [write_of(number, size=120_000) for number in range(60)]
    with raw_server(slow, buffer_bytes=4096) as server:
        async with port_to(latch, server.url) as port:
            writing = asyncio.create_task(port.write(writes))
            await asyncio.to_thread(server.accepted.wait, WAIT_S)
            await until_full(sent)
            latch.lower(Authority.HALT, "half-way", "tester")
            at_stop = sent.count
            reading.set()
            results = await writing
        server.settle()
        assert sent.count == at_stop
        assert len(server.everything) <= at_stop < sum(2 * len(write.raw) for write in writes)
        split = answers(results).count("unknown")
        assert answers(results) == ["unknown"] * split + ["latched"] * (60 - split)
        assert 0 < split < 60
        assert not any(write.raw.hex().encode()[:200] in server.everything for write in writes[split:])


async def test_reduce_only_in_a_half_written_request_sends_the_rest_again(latch: Latch, sent: Sent) -> None:
    reading = threading.Event()

    def slow_at_first(peer: Peer) -> None:
        if not reading.is_set():
            peer.receive(1024)
            reading.wait(WAIT_S)
        accept_all(peer)

    kinds = [WriteKind.PLAN, WriteKind.HOUSEKEEPING] * 30
    writes = [write_of(number, kind=kind, size=120_000) for number, kind in enumerate(kinds)]
    with raw_server(slow_at_first, buffer_bytes=4096) as server:
        async with port_to(latch, server.url) as port:
            writing = asyncio.create_task(port.write(writes))
            await asyncio.to_thread(server.accepted.wait, WAIT_S)
            await until_full(sent)
            latch.lower(Authority.REDUCE_ONLY, "half-way", "tester")
            reading.set()
            results = await writing
    assert set(answers(results)[1::2]) == {"accepted"}
    assert set(answers(results)[0::2]) == {"unknown", "latched"}


def race_once(latch_path: Path, number: int, server: RawServer, sent: Sent, lead_s: float) -> WriteResult:
    """One write on a fresh connection against one stop, which must be the end of writing when it returned.

    `lead_s` is how much earlier than the stop the write begins.
    """
    latch = Latch(latch_path)

    async def write() -> WriteResult:
        async with port_to(latch, server.url) as port:
            if lead_s == -math.inf:
                await asyncio.to_thread(stopping.join)
            elif lead_s < 0:
                await asyncio.sleep(-lead_s)
            (result,) = await port.write([write_of(number)])
            return result

    at_stop: list[int] = []
    begin, written = threading.Barrier(2), threading.Event()

    def stop() -> None:
        begin.wait()
        if lead_s == math.inf:
            written.wait(WAIT_S)
        elif lead_s > 0:
            time.sleep(lead_s)
        latch.lower(Authority.HALT, "race", "tester")
        at_stop.append(sent.count)

    stopping = threading.Thread(target=stop)
    stopping.start()
    begin.wait()
    result = asyncio.run(write())
    written.set()
    stopping.join()
    assert sent.count == at_stop[0], "bytes were written after the stop returned"
    if result.answer in (WriteAnswer.LATCHED, WriteAnswer.UNSENT):
        assert write_of(number).raw.hex().encode() not in server.everything
    return result


def run_races(tmp_path: Path, sent: Sent, count: int) -> dict[str, int]:
    rng = random.Random(count)
    seen: dict[str, int] = {}
    with raw_server(accept_all) as server:
        for number in range(count):
            # Mostly about as long as a write takes; now and then one waits for the other to end.
            lead_s = rng.choice((-1, 1)) * (rng.random() * 0.004 if number % 10 else math.inf)
            result = race_once(tmp_path / f"latch{number}", number, server, sent, lead_s)
            seen[result.answer.value] = seen.get(result.answer.value, 0) + 1
        server.settle()
        assert len(server.everything) == sent.count, "nothing lingers in a buffer"
    return seen


def test_halt_racing_with_writes_on_fresh_connections_never_leaks(tmp_path: Path, sent: Sent) -> None:
    seen = run_races(tmp_path, sent, RACES)
    assert sum(seen.values()) == RACES
    assert seen.get("latched", 0) > 0, f"the race was never won by the stop: {seen}"
    assert seen.get("accepted", 0) > 0, f"the race was never won by the write: {seen}"


async def test_stop_returns_after_the_send_that_it_met(latch: Latch, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, order = threading.Event(), []
    plain_send = Connection.send

    def slow_send(connection: Connection, piece: memoryview) -> int:
        inside.set()
        time.sleep(0.05)
        order.append("sent")
        return plain_send(connection, piece)

    monkeypatch.setattr(Connection, "send", slow_send)

    def stop() -> None:
        inside.wait(WAIT_S)
        latch.lower(Authority.HALT, "in the middle of a call", "tester")
        order.append("stopped")

    stopping = threading.Thread(target=stop)
    stopping.start()
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            assert answers(await port.write([write_of(1)])) == ["accepted"]
    stopping.join()
    assert order == ["sent", "stopped"]


@pytest.fixture
def busy_loop() -> Iterator[None]:
    """A thread that keeps the interpreter busy."""
    ending = threading.Event()

    def spin() -> None:
        total = 0
        while not ending.is_set():
            for value in range(10_000):
                total += value * value

    thread = threading.Thread(target=spin)
    thread.start()
    yield
    ending.set()
    thread.join()


@pytest.mark.usefixtures("busy_loop")
def test_halt_racing_under_a_busy_interpreter_never_leaks(tmp_path: Path, sent: Sent) -> None:
    assert sum(run_races(tmp_path, sent, BUSY_RACES).values()) == BUSY_RACES


# Answers and connections that go wrong


async def result_from(
    latch: Latch, behaviour: Callable[[Peer], None], *writes: SignedWrite
) -> list[WriteResult]:
    with raw_server(behaviour) as server:
        async with port_to(latch, server.url) as port:
            return await port.write(list(writes) or [write_of(1)])


async def test_chunked_answer_is_understood(latch: Latch) -> None:
    def chunked(peer: Peer) -> None:
        body = json.dumps(answers_to(peer.request() or b"")).encode()
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for start in range(0, len(body), 7):
            piece = body[start : start + 7]
            peer.send(f"{len(piece):x};note=1\r\n".encode() + piece + b"\r\n")
        peer.send(b"0\r\nTrailer: yes\r\n\r\n")
        peer.drain()

    assert answers(await result_from(latch, chunked)) == ["accepted"]


async def test_answer_without_length_ends_with_the_connection(latch: Latch) -> None:
    def closing(peer: Peer) -> None:
        body = json.dumps(answers_to(peer.request() or b"")).encode()
        peer.send(b"HTTP/1.0 200 OK\r\n\r\n" + body)

    assert answers(await result_from(latch, closing)) == ["accepted"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (ANSWER_BYTES_MAX + 1),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
        b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"jsonrpc":"2.0","id":7,"result":"0x01"}',
        b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"jsonrpc":"2.0","id":0,"result":"0x01"}',
        b"SSH-2.0-nonsense\r\n\r\n",
        b"",
    ],
    ids=[
        "giant", "giant-chunk", "negative-chunk", "negative", "endless-head", "truncated", "not-json",
        "unavailable", "other-id", "other-hash", "not-http", "closed",
    ],
)  # fmt: skip
async def test_unusable_answer_is_unknown_never_an_exception(latch: Latch, answer: bytes) -> None:
    def broken(peer: Peer) -> None:
        peer.request()
        peer.send(answer)

    assert answers(await result_from(latch, broken)) == ["unknown"]


async def test_endless_answer_is_cut_off(latch: Latch) -> None:
    def endless(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(ANSWER_BYTES_MAX // 65536 + 64):
            peer.send(b" " * 65536)

    assert answers(await result_from(latch, endless)) == ["unknown"]


async def test_nobody_listening_is_unsent(latch: Latch) -> None:
    with raw_server(accept_all) as server:
        url = server.url
    async with port_to(latch, url) as port:
        (result,) = await port.write([write_of(1)])
    assert result.answer is WriteAnswer.UNSENT


async def test_kept_connection_that_died_in_silence_is_replaced(latch: Latch) -> None:
    def once(peer: Peer) -> None:
        peer.answer(answers_to(peer.request() or b""))

    with raw_server(once) as server:
        async with port_to(latch, server.url) as port:
            for number in range(5):
                assert answers(await port.write([write_of(number)])) == ["accepted"]
        assert len(server.received) == 5


async def test_kept_connection_that_dies_under_a_request_is_written_again(latch: Latch) -> None:
    def drops_the_second(peer: Peer) -> None:
        peer.answer(answers_to(peer.request() or b""))
        peer.request()

    with raw_server(drops_the_second) as server:
        async with port_to(latch, server.url) as port:
            assert [answers(await port.write([write_of(n)])) for n in range(3)] == [["accepted"]] * 3
        assert len(server.received) == 3


async def test_one_connection_serves_many_requests(latch: Latch) -> None:
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            for number in range(20):
                assert answers(await port.write([write_of(number)])) == ["accepted"]
        assert len(server.received) == 1


async def test_tls_carries_large_batches(latch: Latch, tmp_path: Path) -> None:
    with raw_server(accept_all, tls=server_context(tmp_path)) as server:
        async with port_to(latch, server.url, secure=True) as port:
            results = await port.write([write_of(number, size=20_000) for number in range(30)])
    assert set(answers(results)) == {"accepted"}


async def test_fan_out_is_accepted_if_one_endpoint_accepts(latch: Latch) -> None:
    def rejects(peer: Peer) -> None:
        while peer.request() is not None:
            peer.answer(
                {"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": "transaction underpriced"}}
            )

    with raw_server(accept_all) as good, raw_server(rejects) as bad, raw_server(accept_all) as gone:
        gone.close()
        async with port_to(latch, bad.url, gone.url, good.url) as port:
            assert answers(await port.write([write_of(1)])) == ["accepted"]
        async with port_to(latch, bad.url, gone.url) as port:
            (result,) = await port.write([write_of(2)])
    assert (result.answer, result.message) == (WriteAnswer.REJECTED, "transaction underpriced")


async def test_secrets_of_the_address_do_not_come_back(latch: Latch) -> None:
    def echoes(peer: Peer) -> None:
        peer.request()
        message = "bad key SECRETKEY123 for user"
        peer.answer({"jsonrpc": "2.0", "id": 0, "error": {"code": 1, "message": message}})

    with raw_server(echoes) as server:
        async with port_to(latch, f"{server.url}/v3/SECRETKEY123") as port:
            (result,) = await port.write([write_of(1)])
    assert "SECRETKEY123" not in repr(result)
    assert "***" in result.message


async def test_closed_port_answers_unsent(latch: Latch) -> None:
    with raw_server(accept_all) as server:
        async with port_to(latch, server.url) as port:
            await port.write([write_of(1)])
        assert answers(await port.write([write_of(2)])) == ["unsent"]
