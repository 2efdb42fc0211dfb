"""A bare HTTP/1.1 connection for the broadcast port: connect, TLS and reading answers, in plain
blocking-free calls.

Flow: `Connection.open` connects and finishes TLS; the port waits for room with `wait_writable`, looks at
the latch, and calls `send` itself, which is exactly one call of the operating system (or of TLS) and never
waits; then `read_answer` reads one bounded response. Sockets are non-blocking throughout: waiting is done
in `poll`, with a deadline, never inside `send`.

Assumes one request at a time on a connection. Knows Content-Length and chunked answers, keep-alive and its
end. It does not retry, follow redirects, compress, or decide anything about the latch.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Final

from seawall.chain.endpoints import Endpoint
from seawall.primitives.errors import EndpointError
from seawall.primitives.ports import Clock

__all__ = ["ANSWER_BYTES_MAX", "Connection", "NoAnswerError", "request_head"]

CONNECT_TIMEOUT_S: Final = 3.0
HEAD_BYTES_MAX: Final = 32 * 1024
ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
CHUNK_LINE_BYTES_MAX: Final = 1024
INTERIM_ANSWERS_MAX: Final = 4
_RECEIVE_BYTES: Final = 64 * 1024
# SO_LINGER of zero: closing throws away what the kernel has not transmitted yet, and resets the peer.
_DISCARD: Final = struct.pack("ii", 1, 0)


class NoAnswerError(EndpointError):
    """The peer closed before the first byte of an answer, as a kept-alive connection does that has died."""


def request_head(endpoint: Endpoint, body_bytes: int, headers: Mapping[str, str] | None = None) -> bytes:
    """The head of a JSON POST whose body has `body_bytes`; `headers` come on top of the usual ones."""
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    lines = [
        f"POST {endpoint.target} HTTP/1.1",
        f"Host: {host}:{endpoint.port}",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {body_bytes}",
    ]
    if endpoint.credentials:
        lines.append(f"Authorization: {endpoint.credentials}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class Connection:
    """One connection. Every method but `send` may wait, up to its deadline, or raise `EndpointError`."""

    def __init__(self, endpoint: Endpoint, stream: socket.socket, clock: Clock) -> None:
        self._endpoint = endpoint
        self._stream = stream
        self._clock = clock
        self._received = bytearray()
        self._poll = select.poll()
        self.reusable = True
        # TLS may have put a record on the wire although its `send` took nothing.
        self.sealed = isinstance(stream, ssl.SSLSocket)

    @staticmethod
    def open(endpoint: Endpoint, clock: Clock, context: ssl.SSLContext | None) -> Connection:
        """Connect, and finish TLS for https. Nothing of a request is written."""
        stream: socket.socket | None = None
        try:
            stream = socket.create_connection((endpoint.host, endpoint.port), timeout=CONNECT_TIMEOUT_S)
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if endpoint.scheme == "https":
                assert context is not None
                stream = context.wrap_socket(stream, server_hostname=endpoint.host)
            stream.setblocking(False)
        except (OSError, ValueError) as error:
            if stream is not None:
                stream.close()
            raise EndpointError(
                endpoint.scrub(f"cannot connect: {type(error).__name__}: {error}"),
                endpoint.label,
                "check the endpoint",
            ) from None
        return Connection(endpoint, stream, clock)

    def is_dead(self) -> bool:
        """True if the idle connection was closed by the peer, or holds bytes nobody asked for."""
        if not self.reusable or self._received:
            return True
        try:
            self._stream.recv(_RECEIVE_BYTES)
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        except (OSError, ValueError):
            return True
        return True

    def wait_writable(self, deadline_s: float) -> None:
        self._wait(select.POLLOUT, deadline_s)

    def send(self, piece: memoryview) -> int:
        """One call, never waiting. Bytes taken; after 0 (no room after all) the same piece is due."""
        try:
            return self._stream.send(piece)
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            return 0
        except ConnectionError as error:
            self.reusable = False
            raise NoAnswerError(type(error).__name__, self._endpoint.label, "check the endpoint") from None
        except (OSError, ValueError) as error:
            raise self._failure(f"{type(error).__name__}: {error}") from None

    def read_answer(self, deadline_s: float) -> tuple[int, bytes]:
        """Status and body of one answer."""
        for _ in range(INTERIM_ANSWERS_MAX):
            status, fields = self._read_head(deadline_s)
            if status >= 200:
                body = self._read_body(status, fields, deadline_s)
                if fields.get("connection", "").lower() == "close":
                    self.reusable = False
                return status, body
        raise self._failure("only interim answers")

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._stream.close()

    def abort(self) -> None:
        """Close unfinished: what still waits in the kernel's buffer is thrown away."""
        with contextlib.suppress(OSError):
            self._stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DISCARD)
        self.close()

    def _read_head(self, deadline_s: float) -> tuple[int, dict[str, str]]:
        while (end := self._received.find(b"\r\n\r\n")) < 0:
            if len(self._received) > HEAD_BYTES_MAX:
                raise self._failure(f"a head over {HEAD_BYTES_MAX} bytes")
            if not self._receive(deadline_s):
                if self._received:
                    raise self._failure("closed within an answer's head")
                raise NoAnswerError("closed without an answer", self._endpoint.label, "check the endpoint")
        lines = bytes(self._received[:end]).decode("latin-1").split("\r\n")
        del self._received[: end + 4]
        version, _, rest = lines[0].partition(" ")
        code = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (
            code.isascii() and code.isdigit() and len(code) == 3
        ):
            raise self._failure("an answer that is not HTTP/1.1")
        if version == "HTTP/1.0":
            self.reusable = False
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.strip().lower()] = value.strip()
        return int(code), fields

    def _read_body(self, status: int, fields: dict[str, str], deadline_s: float) -> bytes:
        if status in (204, 304):
            return b""
        coding = fields.get("transfer-encoding", "").lower()
        if coding == "chunked":
            return self._read_chunks(deadline_s)
        if coding:
            raise self._failure("a transfer encoding that was not asked for")
        length = fields.get("content-length")
        if length is None:
            return self._read_to_end(deadline_s)
        if not (length.isascii() and length.isdigit()) or len(length) > 12 or int(length) > ANSWER_BYTES_MAX:
            raise self._failure(f"an answer longer than {ANSWER_BYTES_MAX} bytes, or of unknown length")
        return self._take(int(length), deadline_s)

    def _read_chunks(self, deadline_s: float) -> bytes:
        body = bytearray()
        while True:
            size_text = self._take_line(deadline_s).partition(b";")[0].strip()
            try:
                size = int(size_text, 16) if size_text.isalnum() and len(size_text) <= 8 else -1
            except ValueError:
                size = -1
            if size < 0 or len(body) + size > ANSWER_BYTES_MAX:
                raise self._failure(f"a malformed chunk, or an answer over {ANSWER_BYTES_MAX} bytes")
            if size == 0:
                trailer_bytes = 0
                while line := self._take_line(deadline_s):
                    trailer_bytes += len(line)
                    if trailer_bytes > HEAD_BYTES_MAX:
                        raise self._failure(f"trailers over {HEAD_BYTES_MAX} bytes")
                return bytes(body)
            body += self._take(size, deadline_s)
            if self._take(2, deadline_s) != b"\r\n":
                raise self._failure("a chunk without its end")

    def _read_to_end(self, deadline_s: float) -> bytes:
        self.reusable = False
        while self._receive(deadline_s):
            if len(self._received) > ANSWER_BYTES_MAX:
                raise self._failure(f"an answer over {ANSWER_BYTES_MAX} bytes")
        body = bytes(self._received)
        self._received.clear()
        return body

    def _take_line(self, deadline_s: float) -> bytes:
        while (end := self._received.find(b"\r\n")) < 0:
            if len(self._received) > CHUNK_LINE_BYTES_MAX or not self._receive(deadline_s):
                raise self._failure("a chunk's line that does not end")
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    def _take(self, size: int, deadline_s: float) -> bytes:
        while len(self._received) < size:
            if not self._receive(deadline_s):
                raise self._failure("closed within an answer")
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken

    def _receive(self, deadline_s: float) -> bool:
        """Append what arrives; False at the peer's end."""
        while True:
            try:
                data = self._stream.recv(_RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                self._wait(select.POLLIN, deadline_s)
                continue
            except ssl.SSLWantWriteError:
                self._wait(select.POLLOUT, deadline_s)
                continue
            except ConnectionError as error:
                if self._received:
                    raise self._failure(f"{type(error).__name__} within an answer") from None
                return False
            except (OSError, ValueError) as error:
                raise self._failure(f"{type(error).__name__}: {error}") from None
            self._received += data
            return bool(data)

    def _wait(self, event: int, deadline_s: float) -> None:
        remaining_s = deadline_s - self._clock.monotonic_s()
        if remaining_s <= 0:
            raise self._failure("no progress in time")
        self._poll.register(self._stream, event)
        if not self._poll.poll(max(remaining_s * 1000, 1)):
            raise self._failure("no progress in time")

    def _failure(self, what: str) -> EndpointError:
        self.reusable = False
        return EndpointError(self._endpoint.scrub(what), self._endpoint.label, "check the endpoint")
