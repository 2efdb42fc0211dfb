"""Answers of HTTP byte by byte: whatever the pieces, the same answer; whatever is wrong, a refusal."""

from __future__ import annotations

import zlib
from collections import deque

import pytest

from seawall.chain.pool.answers import HEAD_BYTES_MAX, AnswerReader, BadAnswerError

LIMIT = 1_000
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n"
)


def read(data: bytes, *, step: int = LIMIT) -> AnswerReader:
    """A reader that was fed `data` in pieces, whole at its very end."""
    reader = AnswerReader(LIMIT)
    pieces = [data[i : i + step] for i in range(0, len(data), step)]
    assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    return reader


@pytest.mark.parametrize("step", [1, 2, 3, 7, 50, LIMIT])
@pytest.mark.parametrize("data", [PLAIN, CHUNKED], ids=["plain", "chunked"])
def test_answer_is_the_same_in_whatever_pieces_it_comes(data: bytes, step: int) -> None:
    reader = read(data, step=step)
    assert (reader.status, reader.body(), reader.is_reusable) == (200, b"hello", True)
    reader.next()
    assert not reader.has_begun
    assert reader.feed(PLAIN)
    assert reader.body() == b"hello"


def test_interim_answers_come_before_the_answer() -> None:
    reader = read(b"HTTP/1.1 100 Continue\r\n\r\n" * 2 + PLAIN)
    assert (reader.status, reader.body()) == (200, b"hello")


def test_body_without_a_length_ends_with_the_connection() -> None:
    reader = AnswerReader(LIMIT)
    assert not reader.feed(b"HTTP/1.0 200 OK\r\n\r\nhel")
    assert not reader.feed(b"lo")
    assert reader.end()
    assert (reader.body(), reader.is_reusable) == (b"hello", False)


@pytest.mark.parametrize(
    "data", [b"", PLAIN[:-1], PLAIN[:20], CHUNKED[:-2]], ids=["none", "body", "head", "end"]
)
def test_answer_that_a_peer_cuts_short_is_not_whole(data: bytes) -> None:
    reader = AnswerReader(LIMIT)
    assert not reader.feed(data)
    assert not reader.end()


def test_connection_with_bytes_after_the_answer_is_not_used_again() -> None:
    assert not read(PLAIN + b"x").is_reusable
    assert not read(CHUNKED + b"x").is_reusable
    assert not read(PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).is_reusable


def packed(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    body = packer.compress(content) + packer.flush()
    return b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_packed_body_is_unpacked_up_to_the_limit() -> None:
    assert read(packed(b"x" * LIMIT)).body() == b"x" * LIMIT
    with pytest.raises(BadAnswerError, match="over 1000 bytes"):
        read(packed(b"x" * (LIMIT + 1))).body()


@pytest.mark.parametrize(
    ("coding", "body", "why"),
    [
        ("br", b"hello", "not asked for"),
        ("gzip", b"hello", "does not unpack"),
        ("gzip", packed(b"hello" * 100).partition(b"\r\n\r\n")[2][:12], "without its end"),
    ],
)
def test_body_that_does_not_unpack_is_refused(coding: str, body: bytes, why: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(body)}\r\n\r\n"
    reader = read(head.encode() + body)
    with pytest.raises(BadAnswerError, match=why):
        reader.body()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/2 200 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n", "not HTTP"),
        (b"x" * (HEAD_BYTES_MAX + 1), "a head over"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * HEAD_BYTES_MAX + b"\r\n\r\n", "a head over"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "malformed head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", "malformed head"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", "contradicts itself"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "over 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "transfer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "transfer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "malformed chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n", "over 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhelXX", "without its end"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 2_000, "does not end"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "interim"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 6, "interim"),
        (b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * (LIMIT + 1), "over 1000 bytes"),
    ],
)
@pytest.mark.parametrize("step", [1, 10**6])
def test_what_is_not_an_answer_is_refused(data: bytes, why: str, step: int) -> None:
    reader = AnswerReader(LIMIT)
    pieces = [data[place : place + step] for place in range(0, len(data), step)]
    with pytest.raises(BadAnswerError, match=why):
        deque(map(reader.feed, pieces), maxlen=0)
