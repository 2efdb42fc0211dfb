"""Answers of HTTP/1.1, byte by byte and without I/O: what came in becomes a status, fields and a body.

Flow: `AnswerReader.feed` takes whatever arrived and says whether the answer is whole; `end` is for a peer
that closed. Heads and bodies are bounded, and what is not HTTP/1.1 is refused. It knows Content-Length,
chunked and read-to-the-end bodies, interim answers, and gzip. Pipelining is not known: bytes after an answer
make the connection useless, and `is_reusable` says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

__all__ = ["HEAD_BYTES_MAX", "AnswerReader", "BadAnswerError"]

HEAD_BYTES_MAX: Final = 32 * 1024
INTERIM_ANSWERS_MAX: Final = 4
_CHUNK_LINE_BYTES_MAX: Final = 1024
_LENGTH_DIGITS_MAX: Final = 12
_CHUNK_DIGITS_MAX: Final = 8
_GZIP: Final = 16 + zlib.MAX_WBITS
_UNTIL_END: Final = -1
_CHUNK_END: Final = b"\r\n"


class BadAnswerError(Exception):
    """What came is not an answer that can be used; the text says why."""


class AnswerReader:
    """One answer after another over one connection; `next` begins a new one."""

    __slots__ = (
        "_body",
        "_bytes_max",
        "_chunked",
        "_in_body",
        "_interim",
        "_left",
        "_pending",
        "_size",
        "fields",
        "is_reusable",
        "status",
    )

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._pending = b""
        self.is_reusable = True
        self.next()

    def next(self) -> None:
        """Forget the last answer."""
        self.status = 0
        self.fields: Mapping[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._left = 0
        self._chunked = False
        self._in_body = False
        self._interim = 0

    @property
    def has_begun(self) -> bool:
        """Something of an answer came."""
        return self._in_body or bool(self._pending) or self._interim > 0

    def feed(self, data: bytes) -> bool:
        """True when the answer is whole. Raises `BadAnswerError`."""
        if not self._in_body:
            data = self._pending + data if self._pending else data
            self._pending = b""
            while not self._in_body:
                end = data.find(b"\r\n\r\n")
                if end > HEAD_BYTES_MAX or (end < 0 and len(data) > HEAD_BYTES_MAX):
                    raise BadAnswerError(f"a head over {HEAD_BYTES_MAX} bytes")
                if end < 0:
                    self._pending = data
                    return False
                self._read_head(data[:end])
                data = data[end + 4 :]
        return self._feed_chunks(data) if self._chunked else self._feed_plain(data)

    def end(self) -> bool:
        """The peer closed: True if that makes the answer whole."""
        return self._in_body and not self._chunked and self._left == _UNTIL_END

    def body(self) -> bytes:
        """What the whole answer holds. Raises `BadAnswerError` if it is packed in a way not asked for."""
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        coding = self.fields.get("content-encoding", "")
        if not coding or coding == "identity":
            return body
        if coding.lower() != "gzip":
            raise BadAnswerError("a content encoding that was not asked for")
        unpacker = zlib.decompressobj(_GZIP)
        try:
            unpacked = unpacker.decompress(body, self._bytes_max + 1)
        except zlib.error:
            raise BadAnswerError("a body that does not unpack") from None
        if len(unpacked) > self._bytes_max:
            raise BadAnswerError(f"an answer over {self._bytes_max} bytes")
        if not unpacker.eof:
            raise BadAnswerError("a packed body without its end")
        return unpacked

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.decode("latin-1").split("\r\n")
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (
            len(code) == 3 and code.isascii() and code.isdigit()
        ):
            raise BadAnswerError("an answer that is not HTTP/1.1")
        fields: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadAnswerError("a malformed head")
            key = name.lower()
            value = value.strip()
            if fields.get(key, value) != value and key in ("content-length", "transfer-encoding"):
                raise BadAnswerError("a head that contradicts itself")
            fields[key] = value
        self.status = int(code)
        if self.status < 200:
            self._interim += 1
            if self._interim > INTERIM_ANSWERS_MAX or self.status == 101:
                raise BadAnswerError("only interim answers")
            return
        self.fields = fields
        if version == "HTTP/1.0" or fields.get("connection", "").lower() == "close":
            self.is_reusable = False
        self._begin_body(fields)

    def _begin_body(self, fields: Mapping[str, str]) -> None:
        self._in_body = True
        coding = fields.get("transfer-encoding", "").lower()
        length = fields.get("content-length")
        if coding:
            if coding != "chunked" or length is not None:
                raise BadAnswerError("a transfer encoding that was not asked for")
            self._chunked = True
        elif self.status in (204, 304):
            self._left = 0
        elif length is None:
            self._left = _UNTIL_END
            self.is_reusable = False
        elif not (length.isascii() and length.isdigit() and len(length) <= _LENGTH_DIGITS_MAX):
            raise BadAnswerError("a length that is not a number")
        else:
            self._left = int(length)
            if self._left > self._bytes_max:
                raise BadAnswerError(f"an answer over {self._bytes_max} bytes")

    def _feed_plain(self, data: bytes) -> bool:
        if self._left == _UNTIL_END:
            self._take(data)
            return False
        if len(data) > self._left:
            self.is_reusable = False  # more than was announced
            data = data[: self._left]
        self._take(data)
        self._left -= len(data)
        return self._left == 0

    def _feed_chunks(self, data: bytes) -> bool:
        """`_left` is what is missing of a chunk with its end; 0 where a size is due."""
        if self._pending:
            data = self._pending + data
            self._pending = b""
        place = 0
        while True:
            if self._left == _UNTIL_END:
                return self._end_chunks(data[place:])
            if self._left == 0:
                end = data.find(b"\r\n", place)
                if end < 0 and len(data) - place > _CHUNK_LINE_BYTES_MAX:
                    raise BadAnswerError("a chunk's line that does not end")
                if end < 0:
                    self._pending = data[place:]
                    return False
                size = self._chunk_size(data[place:end])
                self._left = size + len(_CHUNK_END) if size else _UNTIL_END
                place = end + 2
                continue
            if self._left > len(_CHUNK_END):
                piece = data[place : place + self._left - len(_CHUNK_END)]
                self._take(piece)
                place += len(piece)
                self._left -= len(piece)
            if len(data) - place < len(_CHUNK_END):
                self._pending = data[place:]
                return False
            if self._left == len(_CHUNK_END):
                if data[place : place + len(_CHUNK_END)] != _CHUNK_END:
                    raise BadAnswerError("a chunk without its end")
                place += len(_CHUNK_END)
                self._left = 0

    def _end_chunks(self, data: bytes) -> bool:
        """After the last chunk: trailers, which are passed over, and an empty line."""
        while True:
            end = data.find(b"\r\n")
            if end < 0 or len(data) > HEAD_BYTES_MAX:
                if len(data) > HEAD_BYTES_MAX:
                    raise BadAnswerError(f"trailers over {HEAD_BYTES_MAX} bytes")
                self._pending = data
                return False
            line, data = data[:end], data[end + 2 :]
            if not line:
                if data:
                    self.is_reusable = False
                return True

    def _chunk_size(self, line: bytes) -> int:
        text = line.partition(b";")[0].strip()
        try:
            size = int(text, 16) if text.isalnum() and len(text) <= _CHUNK_DIGITS_MAX else -1
        except ValueError:
            size = -1
        if size < 0:
            raise BadAnswerError("a malformed chunk")
        if self._size + size > self._bytes_max:
            raise BadAnswerError(f"an answer over {self._bytes_max} bytes")
        return size

    def _take(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._bytes_max:
            raise BadAnswerError(f"an answer over {self._bytes_max} bytes")
        self._body.append(data)
