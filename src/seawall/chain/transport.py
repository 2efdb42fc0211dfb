"""One endpoint: the transport protocol and its implementation over HTTP.

A batch of requests becomes one HTTP request, and its answers come back in order, each the decoded JSON value
or an `RpcError`. Every connection has told its chain before an answer that it carried is handed out.
Reads only. Timeouts are named here, per kind of method.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Final, Protocol

import aiohttp
import orjson

from seawall.chain.endpoints import MESSAGE_CHARS_MAX, Endpoint
from seawall.primitives.errors import EndpointError

__all__ = ["BATCH_REQUESTS_MAX", "CHAIN_ID_REQUEST", "HttpTransport", "Request", "RpcError", "RpcTransport"]

BATCH_REQUESTS_MAX: Final = 99  # and one for the chain id
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
        self._channels: list[_Channel] = []
        self._idle: list[_Channel] = []
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
            channel = self._take()
            try:
                return await self._send_over(channel, requests)
            finally:
                if channel in self._channels:
                    self._idle.append(channel)

    async def close(self) -> None:
        channels, self._channels, self._idle = self._channels, [], []
        self._forget()
        for channel in channels:
            await channel.close()

    def _take(self) -> _Channel:
        if self._idle:
            return self._idle.pop()
        channel = _Channel(self._endpoint)
        self._channels.append(channel)
        return channel

    async def _send_over(self, channel: _Channel, requests: Sequence[Request]) -> list[object | RpcError]:
        told = channel.told
        answers, opened = await self._round(channel, requests, asks=not told)
        if told and opened:
            # The connection was replaced: what came over the new one may be of another chain. Only reads.
            channel.told = False
            answers, _ = await self._round(channel, requests, asks=True)
        return answers

    async def _round(
        self, channel: _Channel, requests: Sequence[Request], *, asks: bool
    ) -> tuple[list[object | RpcError], bool]:
        """Answers, and whether a connection was opened for them; with `asks`, it has told its chain."""
        itself = requests[-1] == CHAIN_ID_REQUEST
        sent = [*requests, CHAIN_ID_REQUEST] if asks and not itself else requests
        first_id = self._next_id
        self._next_id += len(sent)
        calls = [
            {"jsonrpc": "2.0", "id": first_id + i, "method": request.method, "params": request.params}
            for i, request in enumerate(sent)
        ]
        slow = any(request.method in _SLOW_METHODS for request in sent)
        connects = self._connects
        body, opened = await channel.post(
            orjson.dumps(calls if len(calls) > 1 else calls[0]), SLOW_TIMEOUT_S if slow else READ_TIMEOUT_S
        )
        answers = _answers(body, first_id, len(sent), self._endpoint)
        if asks and connects == self._connects:
            self._hear(answers[-1])
            channel.told = True
        return answers[: len(requests)], opened

    def _hear(self, told: object | RpcError) -> None:
        """What a new connection told as its chain."""
        if isinstance(told, RpcError):
            raise self._endpoint_error(f"eth_chainId: {told.message}")
        if self._served is not None and told != self._served:
            self._forget()
            raise self._endpoint_error("a new connection serves another chain than the others")
        self._served = told

    def _forget(self) -> None:
        self._served = None
        self._connects += 1
        for channel in self._channels:
            channel.told = False

    def _endpoint_error(self, what: str) -> EndpointError:
        return EndpointError(self._endpoint.scrub(what), self._endpoint.label, "another endpoint is asked")


class _Channel:
    """One connection at a time, of one endpoint, used by one request at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._session: aiohttp.ClientSession | None = None
        self.told = False  # the connection has told its chain

    async def post(self, body: bytes, timeout_s: float) -> tuple[bytes, bool]:
        """The answer, and whether a new connection was opened for it."""
        if self._session is None:
            self._session = _session()
        request = _Opened()
        try:
            async with self._session.post(
                self._endpoint.url,
                data=body,
                headers={"Content-Type": "application/json"},
                timeout=aiohttp.ClientTimeout(total=timeout_s, connect=CONNECT_TIMEOUT_S),
                allow_redirects=False,
                trace_request_ctx=request,
            ) as response:
                received = bytearray()
                async for chunk in response.content.iter_any():
                    received += chunk
                    if len(received) > RESPONSE_BYTES_MAX:
                        raise self._failure(f"an answer over {RESPONSE_BYTES_MAX} bytes")
                if response.status != 200:
                    said = received[:MESSAGE_CHARS_MAX].decode(errors="replace")
                    raise self._failure(f"HTTP status {response.status}: {said}")
                return bytes(received), request.opened
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise self._failure(f"{type(error).__name__}: {error}") from None
        finally:
            self.told = self.told and not request.opened

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _failure(self, what: str) -> EndpointError:
        return EndpointError(
            self._endpoint.scrub(what),
            self._endpoint.label,
            "another endpoint is asked; check this one if it lasts",
        )


@dataclass(slots=True)
class _Opened:
    """Whether a connection was opened for one request."""

    opened: bool = False


def _session() -> aiohttp.ClientSession:
    trace = aiohttp.TraceConfig()
    trace.on_connection_create_start.append(_note_opened)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1), trace_configs=[trace])


async def _note_opened(_session: object, context: SimpleNamespace, _parameters: object) -> None:
    context.trace_request_ctx.opened = True


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
