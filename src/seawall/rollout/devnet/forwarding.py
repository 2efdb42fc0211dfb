"""The loopback address that a fork reads from: requests go on to the true endpoint, and only reads do.

    anvil --fork-url http://127.0.0.1:PORT ─▶ this process ─▶ the endpoint, whose address anvil never learns

Why: an endpoint's address holds a key, and anvil takes it on its command line, shows it in its log and
repeats it in errors. This process gets the address through its standard input. It passes on what is in
`READS` and nothing else, so that a fork can send nothing anywhere; blocks, transactions and receipts above
the fork's own block are answered as unknown, since the fork is to see nothing later than that block.

Life: one line of JSON on standard input says the endpoint, and the port goes to standard output; a second
line says which node reads here, and from which block. It ends with that node, or at once when its starter
ends before the second line. An endpoint that fails for a moment is asked again within `ANSWER_WITHIN_S`;
what it said last is kept in a file, without secrets, since anvil itself ends when a read fails in a block.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import orjson

from seawall.chain.transport import HttpTransport, Request, RpcError, RpcTransport
from seawall.primitives.errors import EndpointError, MalformedAnswerError, RateLimitedError
from seawall.rollout.devnet.node import is_node_of
from seawall.rollout.devnet.rpc import LOST

__all__ = ["ANSWER_WITHIN_S", "FAILURE_FILE", "Forwarder", "main", "serve"]

READS: Final = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_createAccessList",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByHash",
        "eth_getBlockByNumber",
        "eth_getBlockReceipts",
        "eth_getBlockTransactionCountByHash",
        "eth_getBlockTransactionCountByNumber",
        "eth_getCode",
        "eth_getLogs",
        "eth_getProof",
        "eth_getStorageAt",
        "eth_getTransactionByBlockHashAndIndex",
        "eth_getTransactionByBlockNumberAndIndex",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas",
        "net_version",
    }
)
# Their answers name the block that they are of.
_OF_A_BLOCK: Final[Mapping[str, str]] = {
    "eth_getBlockByHash": "number",
    "eth_getBlockByNumber": "number",
    "eth_getTransactionByHash": "blockNumber",
    "eth_getTransactionReceipt": "blockNumber",
}
FAILURE_FILE: Final = "fork-failure.txt"

ATTEMPTS_MAX: Final = 5
ANSWER_WITHIN_S: Final = 30.0
FIRST_PAUSE_S: Final = 0.25
PAUSE_S_MAX: Final = 8.0

HEAD_BYTES_MAX: Final = 16 * 1024
REQUEST_BYTES_MAX: Final = 4 * 1024 * 1024
REQUESTS_MAX: Final = 100
REQUEST_TIMEOUT_S: Final = 30.0
# Without a request in that time a connection is closed.
IDLE_TIMEOUT_S: Final = 300.0
CONNECTIONS_MAX: Final = 256
WATCH_S: Final = 0.5
START_WAIT_S: Final = 120.0

_METHOD_UNKNOWN: Final = -32601
_INVALID: Final = -32600
_INTERNAL: Final = -32603


class Forwarder:
    """One endpoint and the highest block that may be seen of it."""

    __slots__ = ("_failed", "_failure_file", "_transport", "block_max")

    def __init__(self, transport: RpcTransport, failure_file: Path) -> None:
        self._transport = transport
        self._failure_file = failure_file
        self._failed = False
        self.block_max: int | None = None
        """None until the fork's block is known."""

    async def answer(self, body: bytes) -> bytes:
        """The JSON-RPC answer to one request, or to a list of them."""
        try:
            document: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, list):
            return orjson.dumps(await self._answer(document))
        if not 0 < len(document) <= REQUESTS_MAX:
            return orjson.dumps(_refusal(None, _INVALID, f"1 to {REQUESTS_MAX} requests are wanted"))
        return orjson.dumps(await asyncio.gather(*(self._answer(one) for one in document)))

    async def _answer(self, document: object) -> dict[str, object]:
        if not isinstance(document, dict):
            return _refusal(None, _INVALID, "a JSON-RPC request is wanted")
        number: object = document.get("id")
        method: object = document.get("method")
        params: object = document.get("params", [])
        if not isinstance(method, str) or not isinstance(params, list):
            return _refusal(number, _INVALID, "a method and a list of parameters are wanted")
        if method not in READS:
            return _refusal(number, _METHOD_UNKNOWN, f"method not found: {method[:60]} does not leave a fork")
        try:
            found = await self._ask(Request(method, tuple(params)))
        except EndpointError as error:
            self._note(f"{error.where}: {error.what}")
            return _refusal(number, _INTERNAL, f"{LOST}: {error.where}: {error.what}")
        self._note(None)
        if isinstance(found, RpcError):
            refused: dict[str, object] = {"code": found.code, "message": found.message}
            if found.data is not None:
                refused["data"] = found.data
            return _document(number, {"error": refused})
        return _document(number, {"result": None if self._is_later(method, found) else found})

    async def close(self) -> None:
        await self._transport.close()

    async def _ask(self, request: Request) -> object | RpcError:
        """Again after a pause where the endpoint gave no answer; the last failure is raised."""
        pause_s = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        until_s = loop.time() + ANSWER_WITHIN_S
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                return (await self._transport.send([request]))[0]
            except MalformedAnswerError:
                raise
            except EndpointError as error:
                asked_s = error.retry_after_s if isinstance(error, RateLimitedError) else None
                wait_s = min(max(pause_s, asked_s or 0.0), PAUSE_S_MAX)
                if attempt == ATTEMPTS_MAX or loop.time() + wait_s > until_s:
                    raise
            await asyncio.sleep(wait_s)
            pause_s *= 2
        raise AssertionError("the last attempt returns or raises")

    def _is_later(self, method: str, found: object) -> bool:
        place = _OF_A_BLOCK.get(method)
        if place is None or self.block_max is None or not isinstance(found, dict):
            return False
        number: object = found.get(place)
        return isinstance(number, str) and int(number, 16) > self.block_max

    def _note(self, failure: str | None) -> None:
        """Keep what the endpoint fails with, and forget it when it answers."""
        with contextlib.suppress(OSError):
            if failure is not None:
                self._failure_file.write_text(failure + "\n")
            elif self._failed:
                self._failure_file.unlink(missing_ok=True)
        self._failed = failure is not None


async def serve(forwarder: Forwarder) -> asyncio.Server:
    """Listen on a free port of this machine."""
    busy = asyncio.Semaphore(CONNECTIONS_MAX)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever a peer does on its connection ends that connection alone.
        with contextlib.suppress(OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError):
            async with busy:
                while await _exchange(forwarder, reader, writer):
                    pass
        writer.close()

    return await asyncio.start_server(connected, "127.0.0.1", 0, limit=HEAD_BYTES_MAX)


async def _exchange(forwarder: Forwarder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """One request and its answer; whether another may follow."""
    async with asyncio.timeout(IDLE_TIMEOUT_S):
        head = await reader.readuntil(b"\r\n\r\n")
    fields = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    length = int(fields.get(b"content-length", b"-1"))
    # A page in a browser can reach loopback, but never with this type and without being asked first.
    is_json = fields.get(b"content-type", b"").startswith(b"application/json")
    if not head.startswith(b"POST ") or not is_json or not 0 <= length <= REQUEST_BYTES_MAX:
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        return False
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        body = await reader.readexactly(length)
    answer = await forwarder.answer(body)
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(answer)
    )
    writer.write(answer)
    async with asyncio.timeout(REQUEST_TIMEOUT_S):
        await writer.drain()
    return fields.get(b"connection", b"").lower() != b"close"


def _document(number: object, members: dict[str, object]) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, **members}


def _refusal(number: object, code: int, message: str) -> dict[str, object]:
    return _document(number, {"error": {"code": code, "message": message}})


def _line() -> dict[str, object]:
    """The next line of standard input; empty when the starter is gone."""
    text = sys.stdin.readline()
    if not text:
        return {}
    document: object = json.loads(text)
    assert isinstance(document, dict), "`forking` writes an object a line"
    return document


async def _run(directory: Path) -> None:
    first = _line()
    transport = HttpTransport(str(first["url"]))
    forwarder = Forwarder(transport, directory / FAILURE_FILE)
    server = await serve(forwarder)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        async with asyncio.timeout(START_WAIT_S):
            second = await asyncio.to_thread(_line)
        if second:
            pid, block, log = int(str(second["pid"])), int(str(second["block"])), Path(str(second["log"]))
            forwarder.block_max = block
            await asyncio.to_thread(_outlive, pid, log)
    await forwarder.close()


def _outlive(pid: int, log: Path) -> None:
    while is_node_of(pid, log):
        time.sleep(WATCH_S)


def main() -> None:
    """The process that `forking` starts, with the run directory as its argument."""
    asyncio.run(_run(Path(sys.argv[1])))
