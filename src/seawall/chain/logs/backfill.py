"""Gathers the logs of a long range into the ledger, in few calls, and goes on where it was killed.

    plan (pure) ─ span ─▶ reads (endpoints) ─ answer ─▶ ledger: logs and "complete up to here", one commit

Workers ask beside each other, each through its own part of the range (`chain.logs.planner`). What a worker
got is stored as a piece as soon as it is there, in commits of at most `ROWS_PER_COMMIT_MAX` rows so that the
ledger's other writers wait little; the source's mark moves over pieces without a hole between them. Whatever
is stored when the process dies is not asked again. Nothing is held in memory but the answers under way.

A span that nobody answers is asked again, in halves, a bounded number of times in a row; then the cause is
raised, and a later run goes on. Meant for blocks that are final, or deeper than any reorg that is followed:
`chain.logs.follow` does the rest of the way to the head.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from seawall.chain.logs.caps import Cap, Refusal
from seawall.chain.logs.planner import Lessons, Plan, Span, tail_of
from seawall.chain.logs.reads import Answer
from seawall.ledger import Ledger, Transaction
from seawall.ledger.logs import LogPiece, LogSource
from seawall.native import keccak256
from seawall.primitives.blocks import LogFilter
from seawall.primitives.codec import pack
from seawall.primitives.errors import ChainError, EndpointError
from seawall.primitives.ports import Clock

__all__ = ["FAILURES_MAX", "ROWS_PER_COMMIT_MAX", "WORKERS", "Backfill", "LogQuestion", "SpanReads"]

WORKERS: Final = 4
WORKERS_MAX: Final = 32
# A thousand rows keep the ledger's writer for some milliseconds.
ROWS_PER_COMMIT_MAX: Final = 1_000
# Spans in a row that nobody answered.
FAILURES_MAX: Final = 8
PAUSE_FIRST_S: Final = 0.25
PAUSE_MAX_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class LogQuestion:
    """Which logs, under which name they are kept, and from where on."""

    name: str
    chain_id: int
    wanted: LogFilter
    first_block: int

    @property
    def digest(self) -> bytes:
        return keccak256(pack(self.wanted))


class SpanReads(Protocol):
    """Who is asked for the logs of a span (`chain.logs.reads`)."""

    async def ask(self, span: Span) -> Answer | Refusal: ...


class Backfill:
    """One question's way through a range of blocks. `lessons` may be kept from one run to the next."""

    def __init__(
        self,
        reads: SpanReads,
        ledger: Ledger,
        question: LogQuestion,
        clock: Clock,
        *,
        workers: int = WORKERS,
        lessons: Lessons | None = None,
    ) -> None:
        assert 0 < workers <= WORKERS_MAX
        self.lessons = lessons or Lessons()
        self._reads = reads
        self._ledger = ledger
        self._question = question
        self._clock = clock
        self._workers = workers
        self._storing = asyncio.Lock()
        self._moved = asyncio.Event()
        self._busy = 0
        self._failures = 0

    async def run(self, to_block: int, final_number: int = -1) -> LogSource:
        """Everything up to `to_block`; the source as it stands then. May be called again at any time."""
        asked = self._question
        source = await self._ledger.write(
            lambda tx: tx.logs.open(asked.name, asked.chain_id, asked.digest, asked.first_block)
        )
        pieces = await self._ledger.read(lambda tx: tx.logs.pieces(source))
        spans = list(_missing(source, pieces, to_block))
        if not spans:
            return source
        run = _Run(Plan(spans, self._workers, self.lessons), source, final_number)
        self._failures = 0
        tasks = [asyncio.ensure_future(self._work(run, worker)) for worker in range(self._workers)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        return run.source

    async def _work(self, run: _Run, worker: int) -> None:
        while True:
            span = run.plan.take(worker)
            if span is None:
                if run.plan.is_empty and not self._busy:
                    return
                moved = self._moved
                await moved.wait()
                continue
            self._busy += 1
            try:
                await self._step(run, worker, span)
            finally:
                self._busy -= 1
                self._moved.set()
                self._moved = asyncio.Event()

    async def _step(self, run: _Run, worker: int, span: Span) -> None:
        try:
            found = await self._reads.ask(span)
        except ChainError:
            self._failures += 1
            if self._failures >= FAILURES_MAX:
                raise
            run.plan.unanswered(worker, span, is_too_much=self._failures > 1)
            await self._clock.sleep_s(min(PAUSE_FIRST_S * 2 ** (self._failures - 1), PAUSE_MAX_S))
            return
        if isinstance(found, Refusal):
            if span.blocks == 1:
                raise _one_block_too_large(self._question, span, found)
            run.plan.refused(worker, span, found)
            return
        self._failures = 0
        tail = tail_of(span)
        in_tail = sum(log.block_number >= tail for log in found.logs)
        run.plan.done(worker, span, len(found.logs), in_tail)
        await self._store(run, found)

    async def _store(self, run: _Run, answer: Answer) -> None:
        async with self._storing:
            for piece in _portions(answer):
                run.source = await self._ledger.write(partial(_append, run.source, piece, run.final_number))


@dataclass(slots=True)
class _Run:
    plan: Plan
    source: LogSource
    final_number: int


def _append(source: LogSource, piece: LogPiece, final_number: int, tx: Transaction) -> LogSource:
    return tx.logs.append(source, piece, final_number)


def _missing(source: LogSource, pieces: list[LogPiece], to_block: int) -> Iterator[Span]:
    """What lies between the mark, the pieces beyond it, and the end."""
    first = source.next_block
    for piece in pieces:
        if first <= min(piece.first - 1, to_block):
            yield Span(first, min(piece.first - 1, to_block))
        first = max(first, piece.last + 1)
    if first <= to_block:
        yield Span(first, to_block)


def _portions(answer: Answer) -> Iterator[LogPiece]:
    """The answer in pieces that end with a block, of so many rows as one commit takes (or one block has)."""
    first, begin = answer.span.first, 0
    logs = answer.logs
    while len(logs) - begin > ROWS_PER_COMMIT_MAX:
        end = begin + ROWS_PER_COMMIT_MAX
        block = logs[end - 1].block_number
        while end < len(logs) and logs[end].block_number == block:
            end += 1
        if block == answer.span.last:
            break
        yield LogPiece(first, block, logs[end - 1].block_hash, logs[begin:end])
        first, begin = block + 1, end
    yield LogPiece(first, answer.span.last, answer.last_hash, logs[begin:])


def _one_block_too_large(question: LogQuestion, span: Span, refusal: Refusal) -> EndpointError:
    cap = "" if refusal.cap is Cap.UNKNOWN else f" ({refusal.cap})"
    return EndpointError(
        f"the logs of the one block {span.first} are more than the endpoint gives{cap}",
        f"logs {question.name!r}",
        "ask for fewer addresses or topics under each name, or use another endpoint",
    )
