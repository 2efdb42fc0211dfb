"""Writes of signed bytes: what is handed to the port, what is known afterwards, and how a write is put on the
wire.

A write is public, or private by its `terms`: which relay it goes to, for which blocks, and what goes with it.
Results say what is known: `latched` and `unsent` mean that not one byte of a signed transaction was written;
`unknown` means that some were and no answer came that speaks for or against them, so the hash must be looked
up. `rejected` is said by an endpoint whose words prove that it has not taken the bytes (`chain.node_errors`);
of several endpoints' answers the one that binds most counts, so bytes are rejected only where every endpoint
that answered has proved it.

No sockets here, and nothing that waits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

import orjson

from seawall.chain.endpoints import Endpoint
from seawall.chain.node_errors import Action, NodeError, judge
from seawall.chain.reverts import decode_revert, revert_bytes
from seawall.chain.sockets import request_head
from seawall.primitives.frozen import made_quickly
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash, hex_text

__all__ = [
    "PrivateTerms",
    "RawForm",
    "Request",
    "SignedWrite",
    "WireForm",
    "Withdrawal",
    "Withdrawer",
    "WriteAnswer",
    "WriteResult",
    "judged",
    "stronger",
]


class WriteAnswer(StrEnum):
    ACCEPTED = "accepted"
    KNOWN = "known"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    LATCHED = "latched"
    UNSENT = "unsent"


# Of several endpoints' answers the one that binds most.
_STRENGTH: Final = {answer: strength for strength, answer in enumerate(WriteAnswer)}


@dataclass(frozen=True, slots=True)
class PrivateTerms:
    """How a write goes to a relay instead of the public pool."""

    relay: str
    is_bundle: bool
    target_block: int  # a bundle is for this block alone
    until_block: int  # a private transaction may be kept up to here
    replacement: str  # one name for all bytes of one intent in one slot: what is newer replaces what is older
    before: tuple[bytes, ...] = ()  # signed bytes of the lane's nonces below it that are not on chain


@made_quickly
@dataclass(frozen=True, slots=True)
class SignedWrite:
    """Signed bytes under a verdict in force until `valid_until_s` (UTC, included)."""

    kind: WriteKind
    hash: Hash
    raw: bytes
    valid_until_s: int
    stream: int = 0  # writes of one stream keep their order; of several, one does not wait for the other
    terms: PrivateTerms | None = None  # None: public


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """What a relay was given and shall forget."""

    relay: str
    is_bundle: bool
    hash: Hash
    replacement: str


class Withdrawer(Protocol):
    async def withdraw(self, unwanted: Withdrawal) -> str:
        """What the relay said, in a word or two, for the log. Never raises: nothing depends on it."""
        ...


@dataclass(frozen=True, slots=True)
class WriteResult:
    hash: Hash
    answer: WriteAnswer
    message: str = ""
    error: NodeError | None = None  # what the endpoint's refusal means, where one refused


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, ready to be sent in pieces."""

    content: memoryview
    starts: tuple[int, ...]  # of each write: where its signed bytes begin


class WireForm(Protocol):
    """How one kind of endpoint is spoken to."""

    @property
    def takes_batches(self) -> bool:
        """Whether one request may carry several writes."""
        ...

    def request(self, endpoint: Endpoint, writes: Sequence[SignedWrite]) -> Request: ...

    def results(
        self, endpoint: Endpoint, writes: Sequence[SignedWrite], status: int, body: bytes
    ) -> list[WriteResult]:
        """What the answer to that request says of each write."""
        ...


class RawForm:
    """`eth_sendRawTransaction`, several in one batch."""

    takes_batches: Final = True

    def request(self, endpoint: Endpoint, writes: Sequence[SignedWrite]) -> Request:
        single = len(writes) == 1
        body = bytearray() if single else bytearray(b"[")
        starts = []
        for number, write in enumerate(writes):
            if number:
                body += b","
            body += b'{"jsonrpc":"2.0","id":%d,"method":"eth_sendRawTransaction","params":["' % number
            starts.append(len(body))
            body += b"0x" + write.raw.hex().encode("ascii") + b'"]}'
        if not single:
            body += b"]"
        head = request_head(endpoint, len(body))
        return Request(memoryview(head + body), tuple(len(head) + start for start in starts))

    def results(
        self, endpoint: Endpoint, writes: Sequence[SignedWrite], status: int, body: bytes
    ) -> list[WriteResult]:
        answers = _answers_of(body)
        return [
            _result_of(write, answers.get(number), endpoint, f"HTTP status {status}, {len(body)} bytes")
            for number, write in enumerate(writes)
        ]


def _result_of(
    write: SignedWrite, answer: dict[str, object] | None, endpoint: Endpoint, what: str
) -> WriteResult:
    if answer is None:
        return WriteResult(write.hash, WriteAnswer.UNKNOWN, f"no usable answer ({what})")
    error: object = answer.get("error")
    if error is not None:
        return judged(write.hash, error, endpoint)
    if answer.get("result") == hex_text(write.hash):
        return WriteResult(write.hash, WriteAnswer.ACCEPTED)
    return WriteResult(write.hash, WriteAnswer.UNKNOWN, "the endpoint answered something else than our hash")


def _answers_of(body: bytes) -> dict[int, dict[str, object]]:
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    found: dict[int, dict[str, object]] = {}
    for item in tree if isinstance(tree, list) else [tree]:
        if isinstance(item, dict) and type(item.get("id")) is int:
            found[item["id"]] = item
    return found


def judged(write_hash: Hash, error: object, endpoint: Endpoint) -> WriteResult:
    """What an endpoint's refusal says about the bytes, by its meaning. What does not prove that it has not
    taken them leaves them unknown: only a proof may count towards giving them up."""
    code, data = 0, None
    message = str(error)
    if isinstance(error, dict):
        code = error["code"] if isinstance(error.get("code"), int) else 0
        message, data = str(error.get("message", "")), error.get("data")
    judgement = judge(code, message, data)
    if judgement.action is Action.SUCCESS:
        answer = WriteAnswer.KNOWN
    else:
        answer = WriteAnswer.REJECTED if judgement.proves_refusal else WriteAnswer.UNKNOWN
    raw = revert_bytes(data) if judgement.error is NodeError.REVERTED else None
    reason = decode_revert(raw) if raw else None
    if reason is not None:
        message = f"{message} ({reason.text})"
    return WriteResult(write_hash, answer, endpoint.scrub(message), judgement.error)


def stronger(one: WriteResult, other: WriteResult) -> WriteResult:
    return one if _STRENGTH[one.answer] <= _STRENGTH[other.answer] else other
