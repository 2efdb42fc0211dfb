"""The HTTP transport against misbehaving servers, and the pool over scripted endpoints."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from seawall.chain.pool.members import COOL_DOWN_FIRST_S, COOL_DOWN_MAX_S, STRIKE_FIRST_S, STRIKE_MAX_S
from seawall.chain.rpc import (
    HttpTransport,
    Request,
    RpcError,
    RpcPool,
    is_block_unknown,
    is_execution_failure,
)
from seawall.primitives.errors import (
    ChainIdMismatchError,
    ConfigError,
    DisprovedError,
    EndpointError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import SystemClock
from tests.builders.idle_clock import IdleClock as Clock
from tests.fixtures.raw_server import Peer, raw_server

TWO = [Request("eth_blockNumber"), Request("eth_gasPrice")]
BUSY = RpcError(-32005, "too many requests")
GONE = RpcError(-32000, "header not found")


# The transport


async def sent_to(
    behaviour: Callable[[Peer], None], requests: Sequence[Request] = TWO
) -> list[object | RpcError]:
    with raw_server(behaviour) as server:
        transport = HttpTransport(f"{server.url}/v3/SECRETKEY123")
        try:
            return await transport.send(requests)
        finally:
            await transport.close()


def answering(
    make: Callable[[list[int]], object], chain: Callable[[int], str] = lambda connection: "0x1"
) -> Callable[[Peer], None]:
    """A server whose answer is made from the ids asked; beside it, what a new connection tells as its
    chain."""
    connections = itertools.count()

    def behave(peer: Peer) -> None:
        connection = next(connections)
        while (body := peer.request()) is not None:
            calls = json.loads(body)
            calls = calls if isinstance(calls, list) else [calls]
            told = [
                {"id": call["id"], "result": chain(connection)}
                for call in calls
                if call["method"] == "eth_chainId"
            ]
            ids = [call["id"] for call in calls if call["method"] != "eth_chainId"]
            answer = make(ids) if ids else []
            peer.answer([*(answer if isinstance(answer, list) else [answer]), *told] if told else answer)

    return behave


async def test_batch_answered_in_another_order_is_put_right() -> None:
    answers = await sent_to(answering(lambda ids: [{"id": i, "result": f"0x{i}"} for i in reversed(ids)]))
    assert answers == ["0x1", "0x2"]


async def test_single_request_goes_alone_and_an_error_is_an_answer() -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x08c379a0"}
    answers = await sent_to(answering(lambda ids: {"id": ids[0], "error": error}), TWO[:1])
    assert answers == [RpcError(3, "execution reverted", "0x08c379a0")]


async def test_null_result_is_an_answer() -> None:
    assert await sent_to(answering(lambda ids: {"id": ids[0], "result": None}), TWO[:1]) == [None]


@pytest.mark.parametrize(
    "make",
    [
        lambda ids: [{"id": ids[0], "result": "0x1"}],
        lambda ids: [{"id": ids[0], "result": "0x1"}, {"id": ids[0], "result": "0x1"}],
        lambda ids: [{"id": ids[0], "result": "0x1"}, {"id": 99, "result": "0x1"}],
        lambda ids: [{"id": ids[0], "result": "0x1"}, {"id": str(ids[1]), "result": "0x1"}],
        lambda ids: [{"id": ids[0], "result": "0x1"}, {"id": True, "result": "0x1"}],
        lambda ids: [{"id": ids[0], "result": "0x1"}, {"id": ids[1]}],
        lambda ids: [{"id": ids[0], "result": "0x1"}, None],
        lambda ids: {"id": None, "error": {"code": -32600, "message": "batches are not allowed"}},
        lambda ids: [],
        lambda ids: "null",
        lambda ids: None,
    ],
    ids=[
        "short",
        "twice",
        "other-id",
        "text-id",
        "bool-id",
        "empty",
        "null-item",
        "refused",
        "none",
        "text",
        "null",
    ],
)
async def test_answer_that_does_not_fit_the_batch_is_an_endpoint_error(
    make: Callable[[list[int]], object],
) -> None:
    with pytest.raises(EndpointError):
        await sent_to(answering(make))


@pytest.mark.parametrize(
    "raw",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"id":',
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n<html/> ",
        b"HTTP/1.1 429 Slow Down\r\nContent-Length: 12\r\n\r\nSECRETKEY123",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"",
        b"nonsense\r\n\r\n",
    ],
    ids=["truncated", "not-json", "status", "redirect", "closed", "not-http"],
)
async def test_broken_http_is_an_endpoint_error_without_secrets(raw: bytes) -> None:
    def behave(peer: Peer) -> None:
        peer.request()
        peer.send(raw)

    with pytest.raises(EndpointError) as caught:
        await sent_to(behave)
    assert "SECRETKEY123" not in str(caught.value)
    assert "127.0.0.1" in caught.value.where


async def test_huge_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seawall.chain.transport.RESPONSE_BYTES_MAX", 1_000)
    with pytest.raises(EndpointError, match="over 1000 bytes"):
        await sent_to(answering(lambda ids: {"id": ids[0], "result": "x" * 5_000}), TWO[:1])


async def test_answer_is_handed_out_only_if_its_own_connection_told_the_chain() -> None:
    """Many connections at once, and one of them leads to another chain: nothing of it comes through."""

    def chain(connection: int) -> str:
        return "0x1" if connection != 2 else "0x5"

    with raw_server(answering(lambda ids: [{"id": i, "result": "0x0"} for i in ids], chain)) as server:
        transport = HttpTransport(server.url)
        pool = RpcPool([transport], chain_id=1, clock=SystemClock())
        await pool.check()
        before = transport.connects
        asked = await asyncio.gather(*(transport.send(TWO) for _ in range(6)), return_exceptions=True)
        assert [type(answer) for answer in asked].count(EndpointError) == 1
        assert transport.connects == before + 1, "the pool checks again"
        assert await pool.call("eth_gasPrice") == "0x0"
        await transport.close()


async def test_connection_that_a_server_replaced_tells_its_chain_before_its_answer_counts() -> None:
    """The second connection leads elsewhere; the request that opened it is not answered from there."""
    served: list[str] = []

    def behave(peer: Peer) -> None:
        chain = "0x1" if not served else "0x5"
        served.append(chain)
        for _ in range(2 if chain == "0x1" else 100):
            body = peer.request()
            if body is None:
                return
            calls = json.loads(body)
            many = calls if isinstance(calls, list) else [calls]
            answers = [{"id": c["id"], "result": chain} for c in many]
            peer.answer(answers if isinstance(calls, list) else answers[0])

    with raw_server(behave) as server:
        pool = RpcPool([HttpTransport(server.url)], chain_id=1, clock=SystemClock())
        assert await pool.call("eth_gasPrice") == "0x1"
        for _ in range(3):
            with pytest.raises((ChainIdMismatchError, UnavailableError)):
                await pool.call("eth_gasPrice")
        assert served[:2] == ["0x1", "0x5"]
        await pool.close()


# The pool


@dataclass(slots=True)
class Scripted:
    """An endpoint that answers every request with `answer`, or fails with it."""

    label: str
    answer: object = "0x1"
    chain_id: str = "0x1"
    connects: int = 1
    asked: list[str] = field(default_factory=list)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.asked += [request.method for request in requests]
        Clock.stir()
        if isinstance(self.answer, EndpointError):
            raise self.answer
        own = {"eth_chainId": self.chain_id, "eth_blockNumber": "0x64"}
        return [own.get(request.method, self.answer) for request in requests]

    async def close(self) -> None:
        return


DEAD = EndpointError("dead", "there", "")


async def settled() -> None:
    """Until looks in the background are over."""
    for _ in range(20):
        Clock.stir()
        await asyncio.sleep(0)


async def test_failing_endpoint_is_left_for_the_next_and_rests() -> None:
    clock, one, two = Clock(), Scripted("one", DEAD), Scripted("two", "0x2")
    pool = RpcPool([one, two], chain_id=1, clock=clock)
    assert await pool.call("eth_gasPrice") == "0x2"
    asked = len(one.asked)
    assert await pool.call("eth_gasPrice") == "0x2"
    assert len(one.asked) == asked, "it rests"
    one.answer = "0x1"
    clock.time_s += COOL_DOWN_FIRST_S
    assert await pool.call("eth_gasPrice") == "0x2", "no question pays for the look at it"
    await settled()
    two.answer = DEAD
    assert await pool.call("eth_gasPrice") == "0x1"


async def test_rest_doubles_up_to_its_bound() -> None:
    clock, one, two = Clock(), Scripted("one", DEAD), Scripted("two", "0x2")
    pool = RpcPool([one, two], chain_id=1, clock=clock)
    for _ in range(12):
        await pool.call("eth_gasPrice")
        await settled()
        asked = len(one.asked)
        clock.time_s += COOL_DOWN_MAX_S
        await pool.call("eth_gasPrice")
        await settled()
        assert len(one.asked) > asked


async def test_all_endpoints_failing_is_unavailable() -> None:
    pool = RpcPool([Scripted("one", DEAD), Scripted("two", DEAD)], chain_id=1, clock=Clock())
    with pytest.raises(UnavailableError, match="dead"):
        await pool.call("eth_gasPrice")


async def test_busy_endpoint_is_left_for_the_next() -> None:
    pool = RpcPool([Scripted("one", BUSY), Scripted("two", "0x2")], chain_id=1, clock=Clock())
    assert await pool.call("eth_gasPrice") == "0x2"


async def test_block_unknown_to_one_is_asked_of_another() -> None:
    pool = RpcPool([Scripted("one", GONE), Scripted("two", "0x2")], chain_id=1, clock=Clock())
    assert await pool.batch([Request("eth_getBalance")], pinned=True) == ["0x2"]


async def test_block_unknown_to_all_is_an_unknown_block_and_no_fault_of_theirs() -> None:
    one = Scripted("one", GONE)
    pool = RpcPool([one], chain_id=1, clock=Clock())
    with pytest.raises(UnknownBlockError):
        await pool.batch([Request("eth_getBalance")], pinned=True)
    assert await pool.batch([Request("eth_getBalance")]) == [GONE]


async def test_other_chain_is_never_asked_anything_else() -> None:
    other, right = Scripted("other", chain_id="0x5"), Scripted("right", "0x2")
    pool = RpcPool([other, right], chain_id=1, clock=Clock())
    with pytest.raises(ChainIdMismatchError, match="chain 5"):
        await pool.check()
    assert await pool.call("eth_gasPrice") == "0x2"
    assert set(other.asked) == {"eth_chainId"}


async def test_chain_id_is_checked_once_a_connection() -> None:
    one = Scripted("one")
    pool = RpcPool([one], chain_id=1, clock=Clock())
    for _ in range(3):
        await pool.call("eth_gasPrice")
    assert one.asked.count("eth_chainId") == 1
    one.connects += 1
    one.chain_id = "0x5"
    with pytest.raises(ChainIdMismatchError):
        await pool.call("eth_gasPrice")
    assert one.asked[-1] == "eth_chainId"


def disproved(answers: Sequence[object | RpcError]) -> object:
    if answers[0] == "lie":
        raise DisprovedError("a lie", "there", "")
    return answers[0]


async def test_endpoint_proved_wrong_is_not_asked_for_a_bounded_and_growing_time() -> None:
    clock, liar, honest = Clock(), Scripted("liar", "lie"), Scripted("honest", "0x2")
    pool = RpcPool([liar, honest], chain_id=1, clock=clock)
    for strikes in range(3):
        honest.answer = DEAD
        with pytest.raises(UnavailableError):
            await pool.read(TWO[1:], disproved)
        honest.answer = "0x2"
        asked = len(liar.asked)
        clock.time_s += STRIKE_FIRST_S * 2**strikes - 1
        assert await pool.read(TWO[1:], disproved) == "0x2"
        await settled()
        assert len(liar.asked) == asked
        clock.time_s += 1
    clock.time_s += STRIKE_MAX_S
    honest.answer, liar.answer = DEAD, "0x3"
    assert await pool.read(TWO[1:], disproved) == "0x3"


async def test_pool_whose_endpoints_are_all_struck_out_says_so() -> None:
    pool = RpcPool([Scripted("liar", "lie")], chain_id=1, clock=Clock())
    for _ in range(2):
        with pytest.raises(UnavailableError, match="1 struck out"):
            await pool.read(TWO[1:], disproved)


async def test_more_endpoints_than_tries_can_all_be_needed_to_agree() -> None:
    members = [Scripted(f"{number}", "0x2") for number in range(9)]
    pool = RpcPool(members, chain_id=1, clock=Clock(), agreement=9)
    assert await pool.agreed(TWO[1:], disproved) == "0x2"


@pytest.mark.parametrize("need", [0, 3])
def test_agreement_of_none_or_more_than_there_are_is_a_config_error(need: int) -> None:
    with pytest.raises(ConfigError, match="among 2 endpoints"):
        RpcPool([Scripted("one"), Scripted("two")], chain_id=1, clock=Clock(), agreement=need)


async def test_error_answer_of_a_call_is_an_endpoint_error_with_its_words() -> None:
    pool = RpcPool([Scripted("one", RpcError(-32601, "no such method"))], chain_id=1, clock=Clock())
    with pytest.raises(EndpointError, match="no such method"):
        await pool.call("eth_nonsense")


def test_pool_without_endpoints_is_a_config_error() -> None:
    with pytest.raises(ConfigError):
        RpcPool([], chain_id=1, clock=Clock())


@pytest.mark.parametrize(
    "text", ["header not found", "Unknown block", "missing trie node abc", "BlockNotFound"]
)
def test_missing_block_is_recognised(text: str) -> None:
    assert is_block_unknown(RpcError(-32000, text))
    assert not is_execution_failure(RpcError(-32000, text))


@pytest.mark.parametrize(
    "text", ["execution reverted: no", "out of gas", "EVM error InvalidJump", "invalid opcode: PUSH0"]
)
def test_failed_execution_is_recognised(text: str) -> None:
    assert is_execution_failure(RpcError(-32000, text))
    assert not is_block_unknown(RpcError(-32000, text))
