"""JSON-RPC over several endpoints: one transport protocol, an HTTP transport, and the pool that fails over.

Flow: the pool ranks its endpoints, checks the chain id of each on every (re)connect, sends a bounded batch
to the best, and goes to the next when an endpoint does not answer usefully. An answer is either the decoded
JSON value or an `RpcError`; whether that error is a revert, a missing block or a fault of the endpoint is
judged here (`is_*`) so that an error's class and an endpoint's health stay separate judgements.

Reads only: signed bytes leave through `chain.broadcast`. Time comes from the clock given; only
`HttpTransport` has timeouts of its own. Scores are light (consecutive failures and a cool-down); hedging
and budgets are not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import orjson

from seawall.chain.decoding import quantity
from seawall.chain.endpoints import MESSAGE_CHARS_MAX, Endpoint
from seawall.primitives.errors import (
    ChainIdMismatchError,
    ConfigError,
    EndpointError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import Clock

__all__ = [
    "BATCH_REQUESTS_MAX",
    "HttpTransport",
    "Request",
    "RpcError",
    "RpcPool",
    "RpcTransport",
    "is_block_unknown",
    "is_execution_failure",
]

BATCH_REQUESTS_MAX: Final = 100
RESPONSE_BYTES_MAX: Final = 64 * 1024 * 1024
CONNECTIONS_PER_ENDPOINT_MAX: Final = 8
ENDPOINTS_MAX: Final = 32
# One request is tried this often over the endpoints before it counts as unavailable.
TRIES_MAX: Final = 4
# An endpoint that failed rests COOL_DOWN_FIRST_S, doubled by each further failure up to COOL_DOWN_MAX_S.
COOL_DOWN_FIRST_S: Final = 0.5
COOL_DOWN_MAX_S: Final = 30.0

CONNECT_TIMEOUT_S: Final = 3.0
READ_TIMEOUT_S: Final = 5.0
SLOW_TIMEOUT_S: Final = 30.0
_SLOW_METHODS: Final = frozenset(
    {"eth_getLogs", "eth_feeHistory", "eth_getBlockReceipts", "debug_traceTransaction"}
)

# EIP-1474's "limit exceeded" and "resource unavailable": this endpoint now, not the request.
_BUSY_CODES: Final = frozenset({-32005, -32002, 429})
_BLOCK_UNKNOWN: Final = (
    "header not found",
    "block not found",
    "unknown block",
    "blocknotfound",
    "block does not exist",
    "hash is not currently canonical",
    "missing trie node",
    "could not find block",
    "resource not found",
    "state not available",
)
_EXECUTION_FAILED: Final = (
    "revert",
    "out of gas",
    "outofgas",
    "invalid opcode",
    "invalidopcode",
    "opcodenotfound",
    "stack underflow",
    "stack overflow",
    "invalid jump",
    "invalidjump",
    "evm error",
    "write protection",
    "vm execution error",
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


def is_block_unknown(error: RpcError) -> bool:
    """The endpoint does not have (any more) the block that was named."""
    message = error.message.lower()
    return error.code == -32001 or any(text in message for text in _BLOCK_UNKNOWN)


def is_execution_failure(error: RpcError) -> bool:
    """The call ran and failed by the rules of the EVM: an answer, the same on every endpoint."""
    message = error.message.lower()
    return error.code == 3 or any(text in message for text in _EXECUTION_FAILED)


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


@dataclass(slots=True)
class _Member:
    """One endpoint of the pool with its light score."""

    transport: RpcTransport
    failures: int = 0  # consecutive
    rests_until_s: float = 0.0
    checked_at_connect: int | None = None
    serves_other: bool = False


class RpcPool:
    """Several endpoints of one chain."""

    def __init__(self, transports: Sequence[RpcTransport], *, chain_id: int, clock: Clock) -> None:
        if not 0 < len(transports) <= ENDPOINTS_MAX:
            raise ConfigError(
                f"{len(transports)} endpoints", f"rpc.{chain_id}", f"give 1 to {ENDPOINTS_MAX} addresses"
            )
        self._members = [_Member(transport) for transport in transports]
        self._chain_id = chain_id
        self._clock = clock

    @property
    def chain_id(self) -> int:
        return self._chain_id

    async def check(self) -> None:
        """At start: a wrong chain on *any* endpoint is raised; dead ones are tolerated while one is alive."""
        last: EndpointError | None = None
        alive = 0
        for member in self._members:
            try:
                await self._check_chain(member)
                alive += 1
            except EndpointError as error:
                self._note_failure(member)
                last = error
        if not alive:
            raise self._unavailable(last)

    async def call(self, method: str, *params: object) -> object:
        """One answer; an `RpcError` becomes an `EndpointError` that repeats its message."""
        (answer,) = await self.batch([Request(method, params)])
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"{method}: {answer.message[:MESSAGE_CHARS_MAX]} (code {answer.code})",
                f"chain {self._chain_id}",
                "see the endpoint's documentation",
            )
        return answer

    async def batch(self, requests: Sequence[Request], *, pinned: bool = False) -> list[object | RpcError]:
        """Answers in order. With `pinned`, a block that no endpoint knows raises `UnknownBlockError`."""
        answers: list[object | RpcError] = []
        for start in range(0, len(requests), BATCH_REQUESTS_MAX):
            answers += await self._batch(requests[start : start + BATCH_REQUESTS_MAX], pinned)
        return answers

    async def close(self) -> None:
        for member in self._members:
            await member.transport.close()

    async def _batch(self, requests: Sequence[Request], pinned: bool) -> list[object | RpcError]:
        last: EndpointError | None = None
        unknown: RpcError | None = None
        mismatch: ChainIdMismatchError | None = None
        for member in self._ranked():
            try:
                answers = await self._ask(member, requests)
            except ChainIdMismatchError as error:
                mismatch = error
                continue
            except EndpointError as error:
                self._note_failure(member)
                last = error
                continue
            member.failures = 0
            missing = next((a for a in answers if isinstance(a, RpcError) and is_block_unknown(a)), None)
            if missing is None or not pinned:
                return answers
            unknown = missing
        if unknown is not None:
            raise UnknownBlockError(
                f"the pinned block is not known: {unknown.message[:MESSAGE_CHARS_MAX]}",
                f"chain {self._chain_id}",
                "pin a newer block",
            )
        if mismatch is not None and last is None:
            raise mismatch
        raise self._unavailable(last)

    async def _ask(self, member: _Member, requests: Sequence[Request]) -> list[object | RpcError]:
        if member.checked_at_connect != member.transport.connects or member.serves_other:
            await self._check_chain(member)
        connects = member.transport.connects
        answers = await member.transport.send(requests)
        if member.transport.connects != connects:
            # The answer came over a connection that was opened for it: judge the endpoint before trusting it.
            await self._check_chain(member)
        if len(answers) != len(requests):
            raise EndpointError(
                f"{len(answers)} answers to {len(requests)} requests",
                member.transport.label,
                "another endpoint is asked",
            )
        for answer in answers:
            if isinstance(answer, RpcError) and answer.code in _BUSY_CODES:
                raise EndpointError(
                    f"busy: {answer.message[:MESSAGE_CHARS_MAX]}",
                    member.transport.label,
                    "another endpoint is asked",
                )
        return answers

    async def _check_chain(self, member: _Member) -> None:
        member.checked_at_connect = None
        (answer,) = await member.transport.send([Request("eth_chainId")])
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"eth_chainId: {answer.message[:MESSAGE_CHARS_MAX]}",
                member.transport.label,
                "check the endpoint",
            )
        served = quantity(answer, f"eth_chainId of {member.transport.label}")
        member.checked_at_connect = member.transport.connects
        member.serves_other = served != self._chain_id
        if member.serves_other:
            raise ChainIdMismatchError(
                f"the endpoint serves chain {served} instead of {self._chain_id}",
                member.transport.label,
                "correct its address in the configuration",
            )

    def _ranked(self) -> list[_Member]:
        """As given; those that rest later, soonest first; one of another chain last. One alone: twice."""
        now_s = self._clock.monotonic_s()
        ranked = sorted(
            self._members, key=lambda member: (member.serves_other, max(member.rests_until_s - now_s, 0.0))
        )
        return (ranked if len(ranked) > 1 else ranked * 2)[:TRIES_MAX]

    def _note_failure(self, member: _Member) -> None:
        member.failures += 1
        rest_s = min(COOL_DOWN_FIRST_S * 2 ** min(member.failures - 1, 16), COOL_DOWN_MAX_S)
        member.rests_until_s = self._clock.monotonic_s() + rest_s
        member.checked_at_connect = None

    def _unavailable(self, last: EndpointError | None) -> UnavailableError:
        cause = f": {last.what} ({last.where})" if last is not None else ""
        return UnavailableError(
            f"no endpoint answered{cause}", f"chain {self._chain_id}", "check the endpoints or add one"
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
