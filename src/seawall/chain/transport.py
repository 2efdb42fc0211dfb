"""One endpoint: the transport protocol and its implementation over HTTP.

A batch of requests becomes one HTTP request, and its answers come back in order, each the decoded JSON value
or an `RpcError`. Reads only. Timeouts are named here, per kind of method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import orjson

from seawall.chain.endpoints import MESSAGE_CHARS_MAX, Endpoint
from seawall.primitives.errors import EndpointError

__all__ = ["BATCH_REQUESTS_MAX", "HttpTransport", "Request", "RpcError", "RpcTransport"]

BATCH_REQUESTS_MAX: Final = 100
RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
CONNECTIONS_PER_ENDPOINT_MAX: Final = 8
CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 5.0
SLOW_TIMEOUT_S: Final = 30.0
_SLOW_METHODS: Final = frozenset(
    {"eth_getLogs", "eth_feeHistory", "eth_getBlockReceipts", "debug_traceTransaction"}
)


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


class RpcTransport(Protocol):
    """One endpoint. `connects` counts connections made: a change of it asks for a new chain-id check."""

    @property
    def label(self) -> str: ...

    @property
    def connects(self) -> int: ...

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        """Answers in the order of `requests`, all of them, or `EndpointError`."""
        ...

    async def close(self) -> None: ...


class HttpTransport:
    """JSON-RPC over pooled keep-alive HTTP connections."""

    def __init__(self, url: str) -> None:
        self._endpoint = Endpoint.parse(url)
        self._session: aiohttp.ClientSession | None = None
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
        first_id = self._next_id
        self._next_id += len(requests)
        calls = [
            {"jsonrpc": "2.0", "id": first_id + i, "method": request.method, "params": request.params}
            for i, request in enumerate(requests)
        ]
        slow = any(request.method in _SLOW_METHODS for request in requests)
        body = await self._post(
            orjson.dumps(calls if len(calls) > 1 else calls[0]), SLOW_TIMEOUT_S if slow else READ_TIMEOUT_S
        )
        return _answers(body, first_id, len(requests), self._endpoint)

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _post(self, body: bytes, timeout_s: float) -> bytes:
        if self._session is None:
            self._session = self._open()
        timeout = aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S)
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(
                self._endpoint.url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                received = bytearray()
                async for chunk in response.content.iter_any():
                    received += chunk
                    if len(received) > RESPONSE_BYTES_MAX:
                        raise self._failure(f"an answer over {RESPONSE_BYTES_MAX} bytes")
                if response.status != 200:
                    said = received[:MESSAGE_CHARS_MAX].decode(errors="replace")
                    raise self._failure(f"HTTP status {response.status}: {said}")
                return bytes(received)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._failure(f"{type(error).__name__}: {error}") from None

    def _open(self) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(self._count_connect)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS_PER_ENDPOINT_MAX), trace_configs=[trace]
        )

    async def _count_connect(self, *_: object) -> None:
        self._connects += 1

    def _failure(self, what: str) -> EndpointError:
        return EndpointError(
            self._endpoint.scrub(what),
            self._endpoint.label,
            "another endpoint is asked; check this one if it lasts",
        )


def _answers(body: bytes, first_id: int, count: int, endpoint: Endpoint) -> list[object | RpcError]:
    where = endpoint.label
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise EndpointError(
            f"an answer of {len(body)} bytes that is not JSON", where, "another endpoint is asked"
        ) from None
    items = tree if isinstance(tree, list) else [tree]
    found: dict[int, object | RpcError] = {}
    for item in items:
        if not isinstance(item, dict):
            raise EndpointError("an answer that is not a JSON-RPC object", where, "another endpoint is asked")
        number = item.get("id")
        error: object = item.get("error")
        if error is not None:
            answer: object | RpcError = _error_of(error, endpoint)
            if number is None and isinstance(answer, RpcError):
                raise EndpointError(f"refused: {answer.message}", where, "another endpoint is asked")
        elif "result" in item:
            answer = item["result"]
        else:
            raise EndpointError("an answer with neither result nor error", where, "another endpoint is asked")
        if type(number) is not int or not first_id <= number < first_id + count or number in found:
            raise EndpointError("an answer with an id that was not asked", where, "another endpoint is asked")
        found[number] = answer
    if len(found) != count:
        raise EndpointError(f"{len(found)} answers to {count} requests", where, "another endpoint is asked")
    return [found[first_id + i] for i in range(count)]


def _error_of(error: object, endpoint: Endpoint) -> RpcError:
    if not isinstance(error, dict):
        return RpcError(0, endpoint.scrub(str(error)))
    code: object = error.get("code")
    return RpcError(
        code if isinstance(code, int) else 0, endpoint.scrub(str(error.get("message", ""))), error.get("data")
    )
