"""One endpoint's sender thread: it alone calls `send`, and looks at latch, permit and validity before each.

The thread connects and finishes TLS first, builds one request of the writes that the latch admits, and sends
it in pieces. Before every single `send()` of a request with signed bytes it looks at the latch (flag and
file), at the fleet's permit and at the validity of every write in the request; look and call happen inside
`Latch.passage`, with no await, no connect, no handshake and no buffer of ours between them (invariant 12). If
a write in the request is no longer admitted, the connection is closed unfinished and what still is admitted
goes in a new request.

How a request looks and what an answer means is the form's (`chain.writes`, `chain.relays`); a form gets no
socket. Notices hold no signed bytes (the cancellation of a bundle): no latch stands before them.

Identical bytes are harmless to repeat, so a kept-alive connection that proves dead is replaced and the same
request written once more, under the same looks."""

from __future__ import annotations

import queue
import ssl
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, TypeVar

import orjson

from seawall.chain.endpoints import Endpoint
from seawall.chain.node_errors import NodeError, judge
from seawall.chain.sockets import Connection, NoAnswerError
from seawall.chain.writes import Request, SignedWrite, WireForm, WriteAnswer, WriteResult
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.primitives.errors import EndpointError
from seawall.primitives.ports import Clock
from seawall.telemetry.failpoints import declare

__all__ = ["ANSWER_TIMEOUT_S", "Sender"]

T = TypeVar("T")

# Larger requests leave in pieces of this size, each after its own look at the latch.
PIECE_BYTES_MAX: Final = 16 * 1024
JOBS_QUEUED_MAX: Final = 256
# A kept-alive connection that proves dead is replaced this often for one request.
RECONNECTS_MAX: Final = 1
WRITE_TIMEOUT_S: Final = 5.0
ANSWER_TIMEOUT_S: Final = 10.0
CLOSE_WAIT_S: Final = 2.0

_before_write = declare("broadcast.before_write")


@dataclass(slots=True)
class _Entry:
    """One write on its way: whether any byte of it was written, and its result once known."""

    write: SignedWrite
    touched: bool = False
    result: WriteResult | None = None
    start: int = 0  # offset of its signed bytes in the request being sent

    def settle(self, answer: WriteAnswer, message: str) -> None:
        self.result = WriteResult(self.write.hash, answer, message)

    def give_up(self, untouched: WriteAnswer, message: str) -> None:
        self.settle(WriteAnswer.UNKNOWN if self.touched else untouched, message)


class Sender:
    """One endpoint's thread and connection."""

    def __init__(
        self,
        endpoint: Endpoint,
        form: WireForm,
        latch: Latch,
        clock: Clock,
        tls: ssl.SSLContext | None,
        permit: SendPermit | None,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
    ) -> None:
        self._endpoint = endpoint
        self._form = form
        self._latch = latch
        self._permit = permit
        self._clock = clock
        self._tls = tls
        self._answer_timeout_s = answer_timeout_s
        self._jobs: queue.Queue[Callable[[], None] | None] = queue.Queue(JOBS_QUEUED_MAX)
        self._ending = threading.Event()
        self._connection: Connection | None = None
        self._takes_batches = form.takes_batches
        self._thread = threading.Thread(target=self._run, name=f"broadcast {endpoint.host}", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> Endpoint:
        return self._endpoint

    def submit(self, writes: Sequence[SignedWrite]) -> Future[list[WriteResult]]:
        """Write these; results in their order."""

        def unsent(message: str) -> list[WriteResult]:
            return [WriteResult(write.hash, WriteAnswer.UNSENT, message) for write in writes]

        return self._put(lambda: self._deliver(writes), unsent)

    def tell(self, notice: Request) -> Future[tuple[int, bytes] | str]:
        """Send a request without signed bytes; status and body of the answer, or why there is none."""
        return self._put(lambda: self._tell(notice), lambda message: message)

    def end(self) -> None:
        self._ending.set()
        try:
            self._jobs.put_nowait(None)
        except queue.Full:
            return  # the thread sees the event after the job it is at

    def join(self) -> None:
        self._thread.join(CLOSE_WAIT_S)

    def _put(self, work: Callable[[], T], otherwise: Callable[[str], T]) -> Future[T]:
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001  (whoever waits must learn of a bug; the thread lives on)
                self._discard(unfinished=True)
                future.set_exception(error)

        try:
            if self._ending.is_set():
                raise queue.Full
            self._jobs.put_nowait(run)
        except queue.Full:
            message = "the port is closed" if self._ending.is_set() else "too many writes are queued"
            future.set_result(otherwise(message))
        return future

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
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
        writes = [entry.write for entry in entries]
        request = self._form.request(self._endpoint, writes)
        for entry, start in zip(entries, request.starts, strict=True):
            entry.start = start
        _before_write.hit()
        try:
            if not self._send_pieces(connection, request.content, entries):
                return
            status, body = connection.read_answer(self._clock.monotonic_s() + self._answer_timeout_s)
        except NoAnswerError as error:
            if reused:
                raise
            raise EndpointError(error.what, error.where, error.fix) from None
        if not connection.reusable:
            self._discard()
        if len(entries) > 1 and _is_batch_refused(body):
            self._takes_batches = False
            return
        for entry, result in zip(
            entries, self._form.results(self._endpoint, writes, status, body), strict=True
        ):
            entry.result = result

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

    def _tell(self, notice: Request) -> tuple[int, bytes] | str:
        assert not notice.starts, "signed bytes are written under the latch"
        trouble = ""
        for _ in range(RECONNECTS_MAX + 1):
            try:
                return self._tell_once(notice)
            except EndpointError as error:
                self._discard(unfinished=True)
                trouble = f"{error.what} ({error.where})"
                if not isinstance(error, NoAnswerError):
                    return trouble
        return trouble

    def _tell_once(self, notice: Request) -> tuple[int, bytes]:
        connection, _ = self._connected()
        deadline_s = self._clock.monotonic_s() + WRITE_TIMEOUT_S
        sent = 0
        while sent < len(notice.content):
            connection.wait_writable(deadline_s)
            sent += connection.send(notice.content[sent : sent + PIECE_BYTES_MAX])
        answer = connection.read_answer(self._clock.monotonic_s() + self._answer_timeout_s)
        if not connection.reusable:
            self._discard()
        return answer

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
