"""What a fork's forwarder passes on, what it refuses, and how it bears an endpoint that fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from seawall.chain.transport import Request, RpcError
from seawall.primitives.errors import ConnectionLostError, MalformedAnswerError, RateLimitedError
from seawall.rollout.devnet import forwarding
from seawall.rollout.devnet.forwarding import ATTEMPTS_MAX, REQUEST_BYTES_MAX, REQUESTS_MAX, Forwarder, serve

Answer = object | Exception


class Endpoint:
    """Answers as a list says, the last of it for ever."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[Request] = []

    @property
    def label(self) -> str:
        return "http://endpoint:1"

    @property
    def connects(self) -> int:
        return 0

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        (request,) = requests
        self.asked.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return [answer]

    async def close(self) -> None:
        self.answers.clear()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "FIRST_PAUSE_S", 0.0)
    monkeypatch.setattr(forwarding, "PAUSE_S_MAX", 0.0)


def body(method: str, *params: object, number: int = 7) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode()


async def told(forwarder: Forwarder, request: bytes) -> dict[str, object]:
    answer: dict[str, object] = json.loads(await forwarder.answer(request))
    return answer


def lost() -> ConnectionLostError:
    return ConnectionLostError("refused", "http://endpoint:1", "wait")


async def test_read_is_passed_on_with_its_answer_or_the_endpoints_own_error(tmp_path: Path) -> None:
    endpoint = Endpoint("0x2a", RpcError(-32000, "missing trie node", {"a": 1}), RpcError(3, "no"))
    forwarder = Forwarder(endpoint, tmp_path / "failure")
    answers = [await told(forwarder, body("eth_getBalance", "0xaa", "0x1")) for _ in range(3)]
    assert answers[0] == {"jsonrpc": "2.0", "id": 7, "result": "0x2a"}
    assert answers[1]["error"] == {"code": -32000, "message": "missing trie node", "data": {"a": 1}}
    assert answers[2]["error"] == {"code": 3, "message": "no"}
    assert endpoint.asked == [Request("eth_getBalance", ("0xaa", "0x1"))] * 3


@pytest.mark.parametrize(
    "method", ["eth_sendRawTransaction", "eth_sendTransaction", "anvil_setBalance", "evm_mine", "debug_x", ""]
)
async def test_whatever_is_no_read_does_not_leave(method: str, tmp_path: Path) -> None:
    endpoint = Endpoint("0x1")
    answer = await told(Forwarder(endpoint, tmp_path / "failure"), body(method))
    assert "does not leave a fork" in str(answer["error"])
    assert endpoint.asked == []


@pytest.mark.parametrize(
    "request_body", [b"", b"{", b"7", b"[]", b'{"id":1,"method":1}', b'{"id":1,"method":"x","params":{}}']
)
async def test_what_is_no_request_is_refused(request_body: bytes, tmp_path: Path) -> None:
    endpoint = Endpoint("0x1")
    answer = await told(Forwarder(endpoint, tmp_path / "failure"), request_body)
    assert "wanted" in str(answer["error"])
    assert endpoint.asked == []


async def test_lists_of_requests_are_answered_in_their_order_up_to_a_bound(tmp_path: Path) -> None:
    forwarder = Forwarder(Endpoint("0x1"), tmp_path / "failure")
    one = json.loads(body("eth_chainId"))
    answers = json.loads(await forwarder.answer(json.dumps([one, {"id": 8}, one]).encode()))
    assert [answer["id"] for answer in answers] == [7, 8, 7]
    assert ["error" in answer for answer in answers] == [False, True, False]
    answer = json.loads(await forwarder.answer(json.dumps([one] * (REQUESTS_MAX + 1)).encode()))
    assert f"1 to {REQUESTS_MAX}" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("method", "place"),
    [
        ("eth_getBlockByHash", "number"),
        ("eth_getBlockByNumber", "number"),
        ("eth_getTransactionByHash", "blockNumber"),
        ("eth_getTransactionReceipt", "blockNumber"),
    ],
)
async def test_nothing_above_the_forks_block_is_shown(method: str, place: str, tmp_path: Path) -> None:
    forwarder = Forwarder(Endpoint({place: "0x65"}), tmp_path / "failure")
    assert (await told(forwarder, body(method)))["result"] == {place: "0x65"}, "before the block is known"
    forwarder.block_max = 101
    assert (await told(forwarder, body(method)))["result"] == {place: "0x65"}
    forwarder.block_max = 100
    assert (await told(forwarder, body(method)))["result"] is None


async def test_endpoint_that_fails_for_a_moment_is_asked_again(
    tmp_path: Path,
) -> None:
    busy = RateLimitedError("too many", "http://endpoint:1", "wait", retry_after_s=60.0)
    endpoint = Endpoint(*[lost()] * ATTEMPTS_MAX, busy, lost(), "0x1")
    forwarder = Forwarder(endpoint, tmp_path / "failure")
    answer = await told(forwarder, body("eth_chainId"))
    assert answer["error"] == {
        "code": -32603,
        "message": "the forked endpoint does not answer: http://endpoint:1: refused",
    }
    assert (tmp_path / "failure").read_text() == "http://endpoint:1: refused\n"
    assert (await told(forwarder, body("eth_chainId")))["result"] == "0x1"
    assert not (tmp_path / "failure").exists()
    assert len(endpoint.asked) == ATTEMPTS_MAX + 3


async def test_nonsense_is_not_asked_for_again(tmp_path: Path) -> None:
    endpoint = Endpoint(MalformedAnswerError("not JSON", "http://endpoint:1", "ask another"))
    assert "not JSON" in str(await told(Forwarder(endpoint, tmp_path / "failure"), body("eth_chainId")))
    assert len(endpoint.asked) == 1


@pytest.fixture
async def port(tmp_path: Path) -> AsyncIterator[int]:
    server = await serve(Forwarder(Endpoint("0x1"), tmp_path / "failure"))
    async with server:
        yield server.sockets[0].getsockname()[1]


async def spoken(port: int, *parts: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"".join(parts))
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()


def posted(request: bytes, *, kind: bytes = b"application/json", length: int | None = None) -> bytes:
    size = len(request) if length is None else length
    return b"POST / HTTP/1.1\r\ncontent-type: %s\r\nContent-Length: %d\r\n\r\n%s" % (kind, size, request)


async def test_connection_carries_several_requests(port: int) -> None:
    said = await spoken(port, posted(body("eth_chainId")), posted(body("eth_chainId")))
    assert said.count(b"HTTP/1.1 200 OK") == said.count(b'"result":"0x1"') == 2


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        posted(body("eth_chainId"), kind=b"text/plain"),
        posted(b"", length=REQUEST_BYTES_MAX + 1),
        b"POST / HTTP/1.1\r\ncontent-type: application/json\r\n\r\n",
    ],
)
async def test_other_http_is_refused_and_the_connection_closed(port: int, said: bytes) -> None:
    assert (await spoken(port, said)).startswith(b"HTTP/1.1 400 Bad Request")


@pytest.mark.parametrize(
    "said",
    [
        b"x" * 40_000,
        b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n",
        posted(b"{}", length=50),
        b"",
    ],
)
async def test_broken_http_ends_its_own_connection_alone(port: int, said: bytes) -> None:
    assert await spoken(port, said) == b""
    assert b"0x1" in await spoken(port, posted(body("eth_chainId")))
