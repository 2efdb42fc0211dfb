"""The broadcast port: the only place from which signed bytes leave, under the latch, by sockets of its own.

Flow: `write` hands a batch to one sender thread per endpoint (all of them: fan-out) of its stream. The thread
connects and finishes TLS first, builds one JSON-RPC request of the writes that the latch admits, and sends it
in pieces. Before every single `send()` it looks at the latch (flag and file), at the fleet's permit and at
the validity of every write in the request; look and call happen inside `Latch.passage`, with no await, no
connect, no handshake and no buffer of ours between them. If a write in the request is no longer admitted, the
connection is closed unfinished and what still is admitted goes in a new request.

Results say what is known: `latched` and `unsent` mean that not one byte of the signed transaction was
written here; `unknown` means that some were and no answer came that speaks for or against them, so its hash
must be looked up.
Network trouble is a result, never an exception. Identical bytes are harmless to repeat, so a kept-alive
connection that proves dead is replaced and the same request written once more, under the same looks.

Holds no nonce, verdict or ledger: whoever calls has committed these bytes already.
"""

from __future__ import annotations

import asyncio
import queue
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from typing import Final, Protocol

import orjson

from seawall.chain.endpoints import Endpoint
from seawall.chain.node_errors import Action, NodeError, judge
from seawall.chain.reverts import decode_revert, revert_bytes
from seawall.chain.sockets import Connection, NoAnswerError, request_head
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.primitives.errors import ConfigError, EndpointError
from seawall.primitives.levels import WriteKind
from seawall.primitives.ports import Clock
from seawall.primitives.units import Hash, hex_text
from seawall.telemetry.failpoints import declare

__all__ = ["STREAMS", "BroadcastPort", "SignedWrite", "SocketBroadcastPort", "WriteAnswer", "WriteResult"]

WRITES_PER_REQUEST_MAX: Final = 100
# Connections to each endpoint: while one request is answered, the next of another stream is on its way.
STREAMS: Final = 2
# Larger requests leave in pieces of this size, each after its own look at the latch.
PIECE_BYTES_MAX: Final = 16 * 1024
JOBS_QUEUED_MAX: Final = 256
URLS_MAX: Final = 8
# A kept-alive connection that proves dead is replaced this often for one request.
RECONNECTS_MAX: Final = 1
WRITE_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 10.0
CLOSE_WAIT_S: Final = 2.0

_before_write = declare("broadcast.before_write")


class WriteAnswer(StrEnum):
    ACCEPTED = "accepted"
    KNOWN = "known"
    UNKNOWN = "unknown"
    REJECTED = "rejected"
    LATCHED = "latched"
    UNSENT = "unsent"


# Of several endpoints' answers the one that binds most.
_STRENGTH: Final = {answer: strength for strength, answer in enumerate(WriteAnswer)}
_SETTLED: Final = frozenset({WriteAnswer.ACCEPTED, WriteAnswer.KNOWN})


@dataclass(frozen=True, slots=True)
class SignedWrite:
    """Signed bytes under a verdict in force until `valid_until_s` (UTC, included)."""

    kind: WriteKind
    hash: Hash
    raw: bytes
    valid_until_s: int
    stream: int = 0  # writes of one stream keep their order; of several, one does not wait for the other


@dataclass(frozen=True, slots=True)
class WriteResult:
    hash: Hash
    answer: WriteAnswer
    message: str = ""
    error: NodeError | None = None  # what the endpoint's refusal means, where one refused


class BroadcastPort(Protocol):
    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        """Results in the order of `writes`, which are of one stream."""
        ...

    async def close(self) -> None: ...


class SocketBroadcastPort:
    """Writes to every endpoint given; a write is accepted if any of them accepts it."""

    def __init__(
        self,
        urls: Sequence[str],
        latch: Latch,
        *,
        clock: Clock,
        tls: ssl.SSLContext | None = None,
        permit: SendPermit | None = None,
    ) -> None:
        """`permit` is the fleet's, and looked at with the latch; None where there is no fleet."""
        endpoints = [Endpoint.parse(url) for url in urls]
        if not 0 < len(endpoints) <= URLS_MAX:
            raise ConfigError(
                f"{len(endpoints)} send endpoints", "broadcast", f"give 1 to {URLS_MAX} addresses"
            )
        if tls is None and any(endpoint.scheme == "https" for endpoint in endpoints):
            tls = ssl.create_default_context()
        self._senders = [
            [_Sender(endpoint, latch, clock, tls, permit) for endpoint in endpoints] for _ in range(STREAMS)
        ]

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        results: list[WriteResult] = []
        for start in range(0, len(writes), WRITES_PER_REQUEST_MAX):
            results += await self._write(writes[start : start + WRITES_PER_REQUEST_MAX])
        return results

    async def close(self) -> None:
        """End the sender threads; writes still queued come back unsent."""
        for sender in chain.from_iterable(self._senders):
            sender.end()
        await asyncio.to_thread(self._join)

    async def _write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        senders = self._senders[writes[0].stream % STREAMS]
        waiting = {asyncio.wrap_future(sender.submit(writes)) for sender in senders}
        best: list[WriteResult] | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                best = future.result() if best is None else list(map(_stronger, best, future.result()))
            if best is not None and all(result.answer in _SETTLED for result in best):
                break
        assert best is not None
        return best

    def _join(self) -> None:
        for sender in chain.from_iterable(self._senders):
            sender.join()


@dataclass(slots=True)
class _Entry:
    """One write on its way: whether any byte of it was written, and its result once known."""

    write: SignedWrite
    touched: bool = False
    result: WriteResult | None = None
    start: int = 0  # offset of its raw bytes in the request being sent

    def settle(self, answer: WriteAnswer, message: str) -> None:
        self.result = WriteResult(self.write.hash, answer, message)

    def refuse(self, error: object, endpoint: Endpoint) -> None:
        self.result = _judged(self.write.hash, error, endpoint)

    def give_up(self, untouched: WriteAnswer, message: str) -> None:
        self.settle(WriteAnswer.UNKNOWN if self.touched else untouched, message)


_Job = tuple[Sequence[SignedWrite], "Future[list[WriteResult]]"]


class _Sender:
    """One endpoint's thread and connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        latch: Latch,
        clock: Clock,
        tls: ssl.SSLContext | None,
        permit: SendPermit | None,
    ) -> None:
        self._endpoint = endpoint
        self._latch = latch
        self._permit = permit
        self._clock = clock
        self._tls = tls
        self._jobs: queue.Queue[_Job | None] = queue.Queue(JOBS_QUEUED_MAX)
        self._ending = threading.Event()
        self._connection: Connection | None = None
        self._takes_batches = True
        self._thread = threading.Thread(target=self._run, name=f"broadcast {endpoint.host}", daemon=True)
        self._thread.start()

    def submit(self, writes: Sequence[SignedWrite]) -> Future[list[WriteResult]]:
        future: Future[list[WriteResult]] = Future()
        try:
            if self._ending.is_set():
                raise queue.Full
            self._jobs.put_nowait((writes, future))
        except queue.Full:
            message = "the port is closed" if self._ending.is_set() else "too many writes are queued"
            future.set_result([WriteResult(write.hash, WriteAnswer.UNSENT, message) for write in writes])
        return future

    def end(self) -> None:
        self._ending.set()
        try:
            self._jobs.put_nowait(None)
        except queue.Full:
            return  # the thread sees the event after the job it is at

    def join(self) -> None:
        self._thread.join(CLOSE_WAIT_S)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            writes, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(self._deliver(writes))
            except BaseException as error:  # noqa: BLE001  (whoever waits must learn of a bug; the thread lives on)
                self._discard(unfinished=True)
                future.set_exception(error)
            if self._ending.is_set() and self._jobs.empty():
                break
        self._discard()

    def _deliver(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        entries = [_Entry(write) for write in writes]
        reconnects = 0
        # Every round settles an entry, spends a reconnect, or learns that batches are refused.
        for _ in range(len(entries) + RECONNECTS_MAX + 2):
            for entry in entries:
                refusal = self._refusal(entry.write) if entry.result is None else None
                if refusal is not None:
                    entry.give_up(*refusal)
            open_entries = [entry for entry in entries if entry.result is None]
            if not open_entries:
                break
            if not self._takes_batches:
                del open_entries[1:]
            try:
                self._send_request(open_entries)
            except EndpointError as error:
                self._discard(unfinished=True)
                reconnects += 1
                if not isinstance(error, NoAnswerError) or reconnects > RECONNECTS_MAX:
                    _give_up(open_entries, f"{error.what} ({error.where})")
        _give_up(entries, "the latch moved to and fro")
        return [entry.result for entry in entries if entry.result is not None]

    def _refusal(self, write: SignedWrite) -> tuple[WriteAnswer, str] | None:
        """Why `write` must not leave now, by flag, permit, validity, closing; cheap enough for every look."""
        if not self._latch.admits(write.kind):
            return WriteAnswer.LATCHED, f"{self._latch.authority.name}: {self._latch.reason}"
        if self._permit is not None and not self._permit.valid():
            return WriteAnswer.UNSENT, "no permit: the fleet's database was not heard in time"
        if self._clock.now_s() > write.valid_until_s:
            return WriteAnswer.UNSENT, "its verdict is over"
        if self._ending.is_set():
            return WriteAnswer.UNSENT, "the port is closed"
        return None

    def _send_request(self, entries: list[_Entry]) -> None:
        """Write one request and take in its answers. Entries stay open if a look refused one of them."""
        connection, reused = self._connected()
        request = _request_of(self._endpoint, entries)
        _before_write.hit()
        try:
            if not self._send_pieces(connection, request, entries):
                return
            status, body = connection.read_answer(self._clock.monotonic_s() + ANSWER_TIMEOUT_S)
        except NoAnswerError as error:
            if reused:
                raise
            raise EndpointError(error.what, error.where, error.fix) from None
        if not connection.reusable:
            self._discard()
        if len(entries) > 1 and _is_batch_refused(body):
            self._takes_batches = False
            return
        _take_in(entries, status, body, self._endpoint)

    def _send_pieces(self, connection: Connection, request: memoryview, entries: list[_Entry]) -> bool:
        """Send all of `request`. False if a look refused an entry; a request begun is then cut off."""
        deadline_s = self._clock.monotonic_s() + WRITE_TIMEOUT_S
        sent = 0
        while sent < len(request):
            connection.wait_writable(deadline_s)
            piece = request[sent : sent + PIECE_BYTES_MAX]
            with self._latch.passage():
                refused = any(self._refusal(entry.write) is not None for entry in entries)
                taken = 0 if refused else connection.send(piece)
            if refused:
                if sent:
                    self._discard(unfinished=True)
                return False
            sent += taken
            offered = sent - taken + len(piece) if connection.sealed else sent
            for entry in entries:
                entry.touched = entry.touched or offered > entry.start
        return True

    def _connected(self) -> tuple[Connection, bool]:
        connection = self._connection
        if connection is not None and not connection.is_dead():
            return connection, True
        self._discard()
        self._connection = Connection.open(self._endpoint, self._clock, self._tls)
        return self._connection, False

    def _discard(self, *, unfinished: bool = False) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and unfinished:
            connection.abort()
        elif connection is not None:
            connection.close()


def _give_up(entries: list[_Entry], message: str) -> None:
    for entry in entries:
        if entry.result is None:
            entry.give_up(WriteAnswer.UNSENT, message)


def _request_of(endpoint: Endpoint, entries: list[_Entry]) -> memoryview:
    """Head and body in one buffer; each entry learns where its signed bytes begin."""
    single = len(entries) == 1
    body = bytearray() if single else bytearray(b"[")
    for number, entry in enumerate(entries):
        if number:
            body += b","
        body += b'{"jsonrpc":"2.0","id":%d,"method":"eth_sendRawTransaction","params":["' % number
        entry.start = len(body)
        body += b"0x" + entry.write.raw.hex().encode("ascii") + b'"]}'
    if not single:
        body += b"]"
    head = request_head(endpoint, len(body))
    for entry in entries:
        entry.start += len(head)
    return memoryview(head + body)


def _is_batch_refused(body: bytes) -> bool:
    """One error for a batch of many, that is not about the moment: this endpoint takes them one by one."""
    try:
        tree: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    error = tree.get("error") if isinstance(tree, dict) and type(tree.get("id")) is not int else None
    if not isinstance(error, dict):
        return False
    code: object = error.get("code")
    judgement = judge(code if isinstance(code, int) else 0, str(error.get("message", "")))
    return judgement.error not in (NodeError.RATE_LIMITED, NodeError.BUSY, NodeError.TIMEOUT)


def _take_in(entries: list[_Entry], status: int, body: bytes, endpoint: Endpoint) -> None:
    answers = _answers_of(body)
    for number, entry in enumerate(entries):
        answer = answers.get(number)
        if answer is None:
            entry.settle(WriteAnswer.UNKNOWN, f"no usable answer (HTTP status {status}, {len(body)} bytes)")
            continue
        error: object = answer.get("error")
        if error is not None:
            entry.refuse(error, endpoint)
        elif answer.get("result") == hex_text(entry.write.hash):
            entry.settle(WriteAnswer.ACCEPTED, "")
        else:
            entry.settle(WriteAnswer.UNKNOWN, "the endpoint answered something else than our hash")


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


def _judged(write_hash: Hash, error: object, endpoint: Endpoint) -> WriteResult:
    """What an endpoint's refusal says about the bytes, by its meaning. What says nothing against them leaves
    them unknown: only a true rejection may count towards giving them up."""
    code, data = 0, None
    message = str(error)
    if isinstance(error, dict):
        code = error["code"] if isinstance(error.get("code"), int) else 0
        message, data = str(error.get("message", "")), error.get("data")
    judgement = judge(code, message, data)
    if judgement.action is Action.SUCCESS:
        answer = WriteAnswer.KNOWN
    else:
        answer = WriteAnswer.REJECTED if judgement.rejects else WriteAnswer.UNKNOWN
    raw = revert_bytes(data) if judgement.error is NodeError.REVERTED else None
    reason = decode_revert(raw) if raw else None
    if reason is not None:
        message = f"{message} ({reason.text})"
    return WriteResult(write_hash, answer, endpoint.scrub(message), judgement.error)


def _stronger(one: WriteResult, other: WriteResult) -> WriteResult:
    return one if _STRENGTH[one.answer] <= _STRENGTH[other.answer] else other
