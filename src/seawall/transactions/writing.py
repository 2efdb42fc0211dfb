"""Writing: committed bytes go to the port, in commit order, under a verdict in force.

A write that the port did not make (latched, unsent, unknown, rejected) is nobody's loss: the attempt is
committed, and recovery takes it up at the next head, at resume, or after a restart."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from seawall.chain.broadcast import STREAMS, SignedWrite, WriteAnswer, WriteResult
from seawall.chain.node_errors import JUDGEMENTS, Action
from seawall.ledger.rows import AttemptRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import SeawallError
from seawall.primitives.levels import WriteKind
from seawall.primitives.units import Hash, hex_text
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.desk import Desk
from seawall.transactions.routes import is_private, relay_of
from seawall.transactions.terms import private_write, withdrawal_of

__all__ = ["Outbox"]

_BATCH_MAX: Final = 100
# A batch of more than this is logged as one line, and singly only what was not to be expected.
LOGGED_SINGLY_MAX: Final = 8
_EXPECTED: Final = (WriteAnswer.ACCEPTED, WriteAnswer.KNOWN)
_HOUSEKEEPING_VALID_S: Final = 30
# How long answers are gathered before they are stored together: nothing waits for them, and intents on their
# way need the ledger's writer.
STORE_PAUSE_S: Final = 0.01
# Withdrawals that may wait for their relays.
UNWANTED_MAX: Final = 1_024
_BEFORE_FIRST_WRITE = failpoints.declare("transactions.before_first_write")
_AFTER_WRITE = failpoints.declare("transactions.after_write")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Answered:
    """A request's attempts, and of those what the port made, with its answers."""

    stream: asyncio.Queue[AttemptRow]
    batch: Sequence[AttemptRow]
    made: Sequence[tuple[AttemptRow, str]]


@dataclass(slots=True)
class Outbox:
    """Waiting writes of one chain, and the task that makes them."""

    desk: Desk
    _streams: tuple[asyncio.Queue[AttemptRow], ...] = field(init=False)
    _held: set[Hash] = field(default_factory=set)
    _answered: asyncio.Queue[_Answered] = field(default_factory=asyncio.Queue)
    _unwanted: asyncio.Queue[AttemptRow] = field(default_factory=lambda: asyncio.Queue(UNWANTED_MAX))

    def __post_init__(self) -> None:
        relays = len(self.desk.parts.routes.names)
        self._streams = tuple(asyncio.Queue() for _ in range(STREAMS + relays))

    def put(self, attempt: AttemptRow) -> None:
        """Take a committed attempt. Its queue is bounded by the lanes' bound on unlanded attempts."""
        if attempt.hash not in self._held:
            self._held.add(attempt.hash)
            self._streams[self._stream_of(attempt)].put_nowait(attempt)

    def withdraw(self, attempts: Sequence[AttemptRow]) -> None:
        """Ask the relays that were given these to forget them. Nothing depends on it: what is too much is
        left out."""
        for attempt in attempts:
            if is_private(attempt.route) and not self._unwanted.full():
                self._unwanted.put_nowait(attempt)

    def holds(self, attempt_hash: Hash) -> bool:
        """Whether the attempt is on its way, so that recovery leaves it alone."""
        return attempt_hash in self._held

    async def idle(self) -> None:
        for stream in self._streams:
            await stream.join()

    async def run(self, on_failure: Callable[[BaseException], None]) -> None:
        """Write for ever. A failure of the ledger is reported, never swallowed."""
        async with asyncio.TaskGroup() as tasks:
            for stream in self._streams:
                tasks.create_task(self._serve(stream))
            tasks.create_task(self._store_answers(on_failure))
            tasks.create_task(self._serve_withdrawals())

    async def _serve(self, stream: asyncio.Queue[AttemptRow]) -> None:
        """One stream: the next request leaves when the one before it was answered."""
        while True:
            batch = [await stream.get()]
            while len(batch) < _BATCH_MAX and not stream.empty():
                batch.append(stream.get_nowait())
            results = await self._write(batch)
            answered = _Answered(stream, batch, self._made(batch, results))
            if answered.made:
                self._answered.put_nowait(answered)
            else:  # nothing of it left: whoever looks after it need not wait for the ledger
                self._let_go(answered)

    async def _store_answers(self, on_failure: Callable[[BaseException], None]) -> None:
        """What was answered, of all streams together, a little later."""
        parts = self.desk.parts
        while True:
            answered = [await self._answered.get()]
            await parts.clock.sleep_s(STORE_PAUSE_S)
            while not self._answered.empty():
                answered.append(self._answered.get_nowait())
            made, now_s = [one for each in answered for one in each.made], parts.clock.now_s()
            try:
                await parts.ledger.write(partial(_mark, made, now_s))
            except SeawallError as error:
                on_failure(error)
            finally:
                for each in answered:
                    self._let_go(each)

    def _let_go(self, answered: _Answered) -> None:
        for attempt in answered.batch:
            self._held.discard(attempt.hash)
            answered.stream.task_done()

    async def _serve_withdrawals(self) -> None:
        while True:
            attempt = await self._unwanted.get()
            relays = self.desk.parts.relays
            if relays is not None:
                done = await relays.withdraw(withdrawal_of(attempt))
                _log.info("withdrawal_asked", hash=hex_text(attempt.hash), route=attempt.route, answer=done)

    async def _write(self, batch: list[AttemptRow]) -> list[WriteResult]:
        await _BEFORE_FIRST_WRITE.reach()
        writes = [write for attempt in batch if (write := self._admitted(attempt)) is not None]
        if not writes:
            return []
        with self.desk.parts.metrics.timing(Stage.WRITE):
            results = await self.desk.parts.port.write(writes)
        await _AFTER_WRITE.reach()
        return results

    def _admitted(self, attempt: AttemptRow) -> SignedWrite | None:
        parts = self.desk.parts
        if attempt.lane not in self.desk.fences:
            return None  # another kernel's, who looks after it
        if attempt.kind is WriteKind.HOUSEKEEPING:
            valid_until_s = parts.clock.now_s() + _HOUSEKEEPING_VALID_S
            stream = self._stream_of(attempt)
            return SignedWrite(attempt.kind, attempt.hash, attempt.raw, valid_until_s, stream)
        verdict = self.desk.verdicts.get(attempt.number)
        if verdict is None or not self.desk.in_force(verdict):
            _log.info("write_withheld", hash=hex_text(attempt.hash), authority=self.desk.authority.name)
            return None
        stream = self._stream_of(attempt)
        write = SignedWrite(verdict.kind, attempt.hash, attempt.raw, verdict.valid_until_s, stream)
        return private_write(self.desk, attempt, verdict, write) if is_private(attempt.route) else write

    def _made(
        self, batch: Sequence[AttemptRow], results: Sequence[WriteResult]
    ) -> list[tuple[AttemptRow, str]]:
        """Tell of the answers; which of these attempts the port wrote."""
        answers = {result.hash: result for result in results}
        numbers = {attempt.hash: attempt.number for attempt in batch}
        for each in results:
            self.desk.parts.metrics.written(each.answer)
        if len(results) > LOGGED_SINGLY_MAX:
            _log.info("batch_written", answers=dict(Counter(str(each.answer) for each in results)))
        for each in results:
            if len(results) <= LOGGED_SINGLY_MAX or each.answer not in _EXPECTED:
                with correlated(self.desk.correlations.get(numbers[each.hash], "")):
                    _log.info("written", hash=hex_text(each.hash), answer=each.answer, message=each.message)
        self._note_prices(results)
        return [
            (attempt, str(result.answer))
            for attempt in batch
            if (result := answers.get(attempt.hash)) is not None
            and result.answer not in (WriteAnswer.LATCHED, WriteAnswer.UNSENT)
        ]

    def _note_prices(self, results: Sequence[WriteResult]) -> None:
        """Whose bytes were refused for what they pay; recovery asks for it."""
        underpriced, unsettled = self.desk.underpriced, self.desk.unsettled
        for each in results:
            if each.error is not None and JUDGEMENTS[each.error].action is Action.BUMP:
                if each.answer is WriteAnswer.REJECTED and each.hash in unsettled:
                    underpriced.add(each.hash)
            elif each.answer in _EXPECTED:
                underpriced.discard(each.hash)

    def _stream_of(self, attempt: AttemptRow) -> int:
        """A lane's writes keep their order: not every node takes a nonce before the one below it. Each relay
        has a stream of its own, so that a slow one holds up itself alone."""
        if is_private(attempt.route):
            names = self.desk.parts.routes.names
            if relay_of(attempt.route) in names:
                return STREAMS + names.index(relay_of(attempt.route))
        return attempt.lane.key[-1] % STREAMS


def _mark(made: Sequence[tuple[AttemptRow, str]], now_s: int, tx: Transaction) -> None:
    tx.attempts.mark_written_many(made, now_s)
