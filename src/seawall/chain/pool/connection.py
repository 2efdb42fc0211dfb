"""One HTTP connection of one endpoint: a request is written at once, and its answer is a future.

Flow: `connect` opens it (TLS for https); `ask` writes head and body in one call; what arrives goes through
`answers.AnswerReader`; the future gets the body, or the typed error of what went wrong. Whoever stops
waiting leaves the connection to its answer: it comes back for use when that is in, or is closed after
`ABANDONED_S`, so that a lost race of hedged reads costs no new connection.

Assumes one request at a time. Does not retry, follow redirects, or know anything of JSON-RPC. A general HTTP
client does the same at four times the processor time a request; docs/performance.md has the figures.
"""

from __future__ import annotations

import asyncio
import email.utils
import ssl
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from typing_extensions import override

from seawall.chain.endpoints import MESSAGE_CHARS_MAX, Endpoint
from seawall.chain.pool.answers import AnswerReader, BadAnswerError
from seawall.chain.pool.timeouts import CONNECT_TIMEOUT_S
from seawall.primitives.errors import (
    ConnectionLostError,
    EndpointError,
    MalformedAnswerError,
    RateLimitedError,
    TimedOutError,
)

__all__ = ["ABANDONED_S", "RETRY_AFTER_S_MAX", "HttpConnection", "connect", "request_head", "retry_after_s"]

# An answer that nobody waits for any more is waited for so long, for the sake of its connection.
ABANDONED_S: Final = 1.0
# No endpoint can send us away for longer.
RETRY_AFTER_S_MAX: Final = 300.0
_OK: Final = 200
_TOO_MANY_REQUESTS: Final = 429
_UNAVAILABLE: Final = 503


def request_head(endpoint: Endpoint) -> bytes:
    """The head of a JSON POST up to the number of its body's bytes."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    lines = [
        f"POST {endpoint.target} HTTP/1.1",
        f"Host: {host}:{endpoint.port}",
        "Content-Type: application/json",
        "Accept: application/json",
    ]
    if endpoint.scheme == "https":
        lines.append("Accept-Encoding: gzip")  # a node of one's own would only spend time on it
    if endpoint.credentials:
        lines.append(f"Authorization: {endpoint.credentials}")
    return ("\r\n".join(lines) + "\r\nContent-Length: ").encode("ascii")


def retry_after_s(fields: Mapping[str, str]) -> float | None:
    """What Retry-After says: seconds, or a date against the answer's own. None where it says nothing."""
    text = fields.get("retry-after", "")
    try:
        asked_s = (
            float(text) if text.replace(".", "", 1).isdigit() else _until_s(text, fields.get("date", ""))
        )
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(asked_s, 0.0), RETRY_AFTER_S_MAX)


def _until_s(text: str, now_text: str) -> float:
    until, now = (email.utils.parsedate_to_datetime(each) for each in (text, now_text))
    return (until - now).total_seconds()


async def connect(
    endpoint: Endpoint, head: bytes, bytes_max: int, on_free: Callable[[HttpConnection], None]
) -> HttpConnection:
    """An open connection; `on_free` is told whenever it has become idle or closed."""
    loop = asyncio.get_running_loop()
    connection = HttpConnection(endpoint, head, bytes_max, on_free)
    context = _tls() if endpoint.scheme == "https" else None
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await loop.create_connection(
                lambda: connection,
                endpoint.host,
                endpoint.port,
                ssl=context,
                server_hostname=endpoint.host if context is not None else None,
            )
    except TimeoutError:
        raise TimedOutError(
            f"no connection within {CONNECT_TIMEOUT_S:g} s", endpoint.label, "check the endpoint"
        ) from None
    except (OSError, ValueError) as error:
        raise ConnectionLostError(
            endpoint.scrub(f"cannot connect: {type(error).__name__}: {error}"),
            endpoint.label,
            "check the endpoint",
        ) from None
    return connection


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class HttpConnection(asyncio.Protocol):
    """`is_open` until closed, `is_busy` from a request to its answer. `told` belongs to its user."""

    def __init__(
        self, endpoint: Endpoint, head: bytes, bytes_max: int, on_free: Callable[[HttpConnection], None]
    ) -> None:
        self._endpoint = endpoint
        self._head = head
        self._reader = AnswerReader(bytes_max)
        self._on_free = on_free
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.requests = 0
        self.told = False

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    @property
    def is_busy(self) -> bool:
        return self._answer is not None

    @property
    def is_abandoned(self) -> bool:
        """Nobody waits for the answer that it still waits for."""
        return self._answer is not None and self._answer.done()

    @property
    def was_answered(self) -> bool:
        """Something of the present answer came."""
        return self._reader.has_begun

    def ask(self, body: bytes, timeout_s: float) -> asyncio.Future[bytes]:
        """Write one request. The future is the body of an answer of status 200, or an `EndpointError`."""
        assert self._transport is not None
        assert self._answer is None
        self.requests += 1
        self._answer = answer = self._loop.create_future()
        self._transport.write(b"%b%d\r\n\r\n%b" % (self._head, len(body), body))
        self._timer = self._loop.call_later(timeout_s, self._time_out, timeout_s)
        return answer

    def abandon(self, answer: asyncio.Future[bytes]) -> None:
        """Whoever waited for `answer` has gone. It may still come, for a while; or it has come meanwhile, and
        the connection is somebody else's already."""
        if self._answer is answer:
            answer.cancel()
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(ABANDONED_S, self._fail, None)

    def close(self) -> None:
        self._fail(ConnectionLostError("closed by us", self._endpoint.label, "ask again"))

    # ------------------------------------------------------------------ the protocol's side

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._drop()  # bytes that nobody asked for
            self._on_free(self)
            return
        try:
            if self._reader.feed(data):
                self._finish()
        except BadAnswerError as error:
            self._fail(self._malformed(str(error)))

    @override
    def eof_received(self) -> None:
        if self._answer is not None and self._reader.end():
            self._finish()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is None:
            return
        what = "the connection was lost" if exc is None else f"{type(exc).__name__}: {exc}"
        within = " within an answer" if self._reader.has_begun else ""
        self._fail(
            ConnectionLostError(
                self._endpoint.scrub(what + within), self._endpoint.label, "another endpoint is asked"
            )
        )

    # ------------------------------------------------------------------ ends

    def _finish(self) -> None:
        """The answer is whole."""
        reader, answer = self._reader, self._answer
        assert answer is not None
        if not answer.done():
            try:
                body = reader.body()
                if reader.status == _OK:
                    answer.set_result(body)
                else:
                    answer.set_exception(self._refusal(reader.status, reader.fields, body))
            except BadAnswerError as error:
                answer.set_exception(self._malformed(str(error)))
        self._settle()
        if reader.is_reusable:
            reader.next()
        else:
            self._drop()
        self._on_free(self)

    def _fail(self, error: EndpointError | None) -> None:
        answer = self._answer
        self._settle()
        self._drop()
        if answer is not None and error is not None and not answer.done():
            answer.set_exception(error)
        self._on_free(self)

    def _settle(self) -> None:
        self._answer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _drop(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    def _time_out(self, timeout_s: float) -> None:
        progress = "no whole answer" if self._reader.has_begun else "no answer"
        self._fail(
            TimedOutError(
                f"{progress} within {timeout_s:g} s",
                self._endpoint.label,
                "another endpoint is asked; check this one if it lasts",
            )
        )

    def _refusal(self, status: int, fields: Mapping[str, str], body: bytes) -> EndpointError:
        said = body[:MESSAGE_CHARS_MAX].decode(errors="replace")
        what = self._endpoint.scrub(f"HTTP status {status}: {said}")
        if status == _TOO_MANY_REQUESTS or (status == _UNAVAILABLE and "retry-after" in fields):
            return RateLimitedError(
                what,
                self._endpoint.label,
                "another endpoint is asked; give it requests_per_s if it lasts",
                retry_after_s=retry_after_s(fields),
            )
        return EndpointError(
            what, self._endpoint.label, "another endpoint is asked; check this one if it lasts"
        )

    def _malformed(self, what: str) -> MalformedAnswerError:
        return MalformedAnswerError(
            self._endpoint.scrub(what), self._endpoint.label, "another endpoint is asked"
        )
