"""The set-up client against a server that answers badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from typing_extensions import override

from seawall.primitives.errors import ChainIdMismatchError, EndpointError, RolloutError
from seawall.primitives.units import Hash
from seawall.rollout.devnet import rpc as subject
from seawall.rollout.devnet.rpc import DevnetRpc, NodeRefusedError

Answer = Callable[[list[dict[str, object]]], bytes]


class Server:
    """A loopback HTTP server whose answer a test chooses."""

    def __init__(self) -> None:
        self.answer: Answer = lambda _: b"[]"
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                requests = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = outer.answer(requests)
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def always(self, result: object) -> None:
        self.answer = lambda requests: json.dumps(
            [{"id": r["id"], "result": result} for r in requests]
        ).encode()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    started = Server()
    yield started
    started.close()


@pytest.fixture
def rpc(server: Server) -> Iterator[DevnetRpc]:
    with DevnetRpc(server.url) as client:
        yield client


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1:8545", "https://127.0.0.1:8545", "http://127.0.0.1", "ws://127.0.0.1:1", "nonsense"],
)
def test_only_a_node_on_this_machine_is_spoken_to(url: str) -> None:
    with pytest.raises(RolloutError, match="not a node on this machine"):
        DevnetRpc(url)


def test_answers_are_matched_by_id_not_by_place(server: Server, rpc: DevnetRpc) -> None:
    server.answer = lambda requests: json.dumps(
        [{"id": request["id"], "result": request["method"]} for request in reversed(requests)]
    ).encode()
    assert rpc.batch([("a", []), ("b", []), ("c", [])]) == ["a", "b", "c"]


def test_a_long_batch_is_split(server: Server, rpc: DevnetRpc) -> None:
    sizes: list[int] = []

    def answer(requests: list[dict[str, object]]) -> bytes:
        sizes.append(len(requests))
        return json.dumps([{"id": request["id"], "result": None} for request in requests]).encode()

    server.answer = answer
    assert len(rpc.batch([("a", [])] * (subject.BATCH_MAX + 1))) == subject.BATCH_MAX + 1
    assert sizes == [subject.BATCH_MAX, 1]


def test_another_chain_is_refused(server: Server, rpc: DevnetRpc) -> None:
    server.always("0x1")
    with pytest.raises(ChainIdMismatchError, match="chain 1, not 31337"):
        rpc.require_devnet()


def test_the_nodes_error_is_told_in_its_words(server: Server, rpc: DevnetRpc) -> None:
    server.answer = lambda requests: json.dumps(
        [{"id": requests[0]["id"], "error": {"code": 3, "message": "execution reverted: no"}}]
    ).encode()
    with pytest.raises(NodeRefusedError, match="eth_call: execution reverted: no"):
        rpc.call("eth_call")


@pytest.mark.parametrize("body", [b"not json", b"{}", b"[]", b"[1, 2]", b'[{"id": 99}]'])
def test_a_nonsense_body_is_a_typed_error(server: Server, rpc: DevnetRpc, body: bytes) -> None:
    server.answer = lambda _: body
    with pytest.raises(EndpointError):
        rpc.call("eth_chainId")


@pytest.mark.parametrize("result", [None, 7, "31337", [], {}])
def test_a_quantity_must_be_hex(server: Server, rpc: DevnetRpc, result: object) -> None:
    server.always(result)
    with pytest.raises(EndpointError, match="instead of a quantity"):
        rpc.integer("eth_blockNumber")


def test_no_listener_says_how_to_start_the_devnet(server: Server) -> None:
    silent = Server()
    silent.close()
    with DevnetRpc(silent.url) as rpc, pytest.raises(EndpointError, match="seawall devnet up"):
        rpc.call("eth_chainId")


def test_a_reverted_transaction_is_an_error(server: Server, rpc: DevnetRpc) -> None:
    server.always({"status": "0x0", "transactionHash": "0xabc"})
    with pytest.raises(RolloutError, match="0xabc reverted"):
        rpc.settle([Hash(bytes(32))], mine=False)


def test_waiting_for_a_receipt_ends(server: Server, rpc: DevnetRpc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "RECEIPT_WAIT_S", 0.01)
    server.always(None)
    with pytest.raises(RolloutError, match="1 transactions were not mined"):
        rpc.settle([Hash(bytes(32))], mine=False)
