"""One endpoint: the transport protocol and its implementation over HTTP.

A batch of requests becomes one HTTP request, and its answers come back in order, each the decoded JSON value
or an `RpcError`. Every connection has told its chain before an answer that it carried is handed out.
Reads only. How long an answer may take is in `chain.pool.timeouts`, per kind of operation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from seawall.chain.endpoints import Endpoint
from seawall.chain.pool.connection import HttpConnection, connect, request_head
from seawall.chain.pool.timeouts import timeout_s
from seawall.native.wire import plain_results
from seawall.primitives.errors import ConnectionLostError, EndpointError, MalformedAnswerError

__all__ = ["BATCH_REQUESTS_MAX", "CHAIN_ID_REQUEST", "HttpTransport", "Request", "RpcError", "RpcTransport"]

BATCH_REQUESTS_MAX: Final = 99  # and one for the chain id
RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
CONNECTIONS_PER_ENDPOINT_MAX: Final = 8
_ELSEWHERE: Final = "another endpoint is asked"


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    params: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True)
class RpcError:
    """An answer that says no."""

    code: int
    message: str
    data: object = None


CHAIN_ID_REQUEST: Final = Request("eth_chainId")


class RpcTransport(Protocol):
    """One endpoint.

    `connects` changes whenever answers may come over a connection whose chain was not told before: an answer
    counts only if it is the same before the request, after it, and at the check of the chain.
    """

    @property
    def label(self) -> str: ...

    @property
    def connects(self) -> int: ...

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        """Answers in the order of `requests`, all of them, or `EndpointError`."""
        ...

    async def close(self) -> None: ...


class HttpTransport:
    """JSON-RPC over pooled keep-alive HTTP connections.

    The first request over a new connection carries `eth_chainId` with it, in the same batch: an answer is
    handed out only if its own connection has told its chain, and told the same as the others. `connects`
    changes when one tells another, and when all are closed.
    """

    def __init__(self, url: str) -> None:
        self._endpoint = Endpoint.parse(url)
        self._head = request_head(self._endpoint)
        self._connections: set[HttpConnection] = set()
        self._idle: list[HttpConnection] = []
        self._free = asyncio.Semaphore(CONNECTIONS_PER_ENDPOINT_MAX)
        self._served: object | None = None  # what the connections told as their chain
        self._connects = 0
        self._next_id = 1

    @property
    def label(self) -> str:
        return self._endpoint.label

    @property
    def connects(self) -> int:
        return self._connects

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        assert 0 < len(requests) <= BATCH_REQUESTS_MAX
        async with self._free:
            connection = self._idle.pop() if self._idle else await self._open()
            if connection.requests == 0:
                return await self._ask(connection, requests)
            try:
                return await self._ask(connection, requests)
            except ConnectionLostError:
                if connection.was_answered:
                    raise
                # It was closed while idle, as servers do. These are reads: they are asked once more.
                return await self._ask(await self._open(), requests)

    async def close(self) -> None:
        connections, self._connections = self._connections, set()
        self._idle.clear()
        self._forget()
        for connection in connections:
            connection.close()

    async def _open(self) -> HttpConnection:
        if len(self._connections) >= CONNECTIONS_PER_ENDPOINT_MAX:
            for connection in [each for each in self._connections if each.is_abandoned][:1]:
                connection.close()
        connection = await connect(self._endpoint, self._head, RESPONSE_BYTES_MAX, self._on_free)
        self._connections.add(connection)
        return connection

    def _on_free(self, connection: HttpConnection) -> None:
        if not connection.is_open:
            self._connections.discard(connection)
            if connection in self._idle:
                self._idle.remove(connection)
        elif connection in self._connections:
            self._idle.append(connection)

    async def _ask(self, connection: HttpConnection, requests: Sequence[Request]) -> list[object | RpcError]:
        """Answers over one connection, which has told its chain when they are handed out."""
        asks = not connection.told
        sent = [*requests, CHAIN_ID_REQUEST] if asks and requests[-1] != CHAIN_ID_REQUEST else requests
        first_id = self._next_id
        self._next_id += len(sent)
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": request.method, "params": request.params}
            for number, request in enumerate(sent, first_id)
        ]
        connects = self._connects
        answer = connection.ask(orjson.dumps(calls if len(calls) > 1 else calls[0]), timeout_s(sent))
        try:
            body = await answer
        except asyncio.CancelledError:
            connection.abandon(answer)
            raise
        answers = _answers(body, first_id, len(sent), self._endpoint)
        if asks and connects == self._connects:
            self._hear(connection, answers[-1])
        return answers[: len(requests)] if sent is not requests else answers

    def _hear(self, connection: HttpConnection, told: object | RpcError) -> None:
        """What a new connection told as its chain. One that contradicts the others is not used again."""
        if isinstance(told, RpcError):
            raise self._endpoint_error(f"eth_chainId: {told.message}")
        if self._served is not None and told != self._served:
            self._forget()
            connection.close()
            raise self._endpoint_error("a new connection serves another chain than the others")
        self._served = told
        connection.told = True

    def _forget(self) -> None:
        self._served = None
        self._connects += 1
        for connection in self._connections:
            connection.told = False

    def _endpoint_error(self, what: str) -> EndpointError:
        return EndpointError(self._endpoint.scrub(what), self._endpoint.label, _ELSEWHERE)


def _answers(body: bytes, first_id: int, count: int, endpoint: Endpoint) -> list[object | RpcError]:
    """Decoded, in the order asked."""
    plain = plain_results(body, first_id, count)
    return _any_answers(body, first_id, count, endpoint) if plain is None else plain


def _any_answers(body: bytes, first_id: int, count: int, endpoint: Endpoint) -> list[object | RpcError]:
    """With errors, nulls and objects among them; or it says what is wrong."""
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _malformed(f"an answer of {len(body)} bytes that is not JSON", endpoint) from None
    items: list[object] = tree if isinstance(tree, list) else [tree]
    found: list[object | RpcError] = [_MISSING] * count
    left = count
    for item in items:
        if not isinstance(item, dict):
            raise _malformed("an answer that is not a JSON-RPC object", endpoint)
        number: object = item.get("id")
        error: object = item.get("error")
        answer: object | RpcError
        if error is not None:
            answer = _error_of(error, endpoint)
            if number is None:
                raise EndpointError(f"refused: {answer.message}", endpoint.label, _ELSEWHERE)
        else:
            answer = item.get("result", _MISSING)
            if answer is _MISSING:
                raise _malformed("an answer with neither result nor error", endpoint)
        place = number - first_id if type(number) is int else -1
        if not 0 <= place < count or found[place] is not _MISSING:
            raise _malformed("an answer with an id that was not asked", endpoint)
        found[place] = answer
        left -= 1
    if left:
        raise _malformed(f"{count - left} answers to {count} requests", endpoint)
    return found


_MISSING: Final = object()


def _malformed(what: str, endpoint: Endpoint) -> MalformedAnswerError:
    return MalformedAnswerError(what, endpoint.label, _ELSEWHERE)


def _error_of(error: object, endpoint: Endpoint) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(0, endpoint.scrub(str(error)))
    code: object = error.get("code")
    return RpcError(
        code if isinstance(code, int) else 0, endpoint.scrub(str(error.get("message", ""))), error.get("data")
    )
