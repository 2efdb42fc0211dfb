"""A backfill that is cut at any moment, any number of times, ends with each log once and without a gap."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.chain.logs import backfill
from seawall.chain.logs.backfill import Backfill, LogQuestion
from seawall.chain.logs.caps import Cap, Refusal
from seawall.chain.logs.planner import Lessons, Span
from seawall.chain.logs.reads import Answer
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.logs import LogSource
from seawall.primitives.blocks import Log, LogFilter
from seawall.primitives.errors import UnavailableError
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.units import Address, Hash

ADDRESS = Address(b"\x11" * 20)
QUESTION = LogQuestion("transfers", 31_337, LogFilter((ADDRESS,)), 5)


class CutError(Exception):
    """The process is gone."""


class Instant:
    """A clock whose pauses pass at once."""

    def now_s(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.sleep(0)


def hash_of(number: int) -> Hash:
    return Hash(number.to_bytes(32, "big"))


def logs_of(number: int, count: int) -> list[Log]:
    return [Log(ADDRESS, (), b"", hash_of(number), number, hash_of(10**9 + i), i) for i in range(count)]


class World:
    """A chain whose provider has caps, and which cuts whoever asks once so many answers were given."""

    def __init__(self, counts: list[int], block_cap: int, log_cap: int, seed: int) -> None:
        self.counts, self.block_cap, self.log_cap = counts, block_cap, max(log_cap, *counts)
        self.chance = random.Random(seed)
        self.answers_left = 0
        self.asked: list[Span] = []

    def truth(self) -> list[Log]:
        return [log for number in range(5, len(self.counts)) for log in logs_of(number, self.counts[number])]

    async def ask(self, span: Span) -> Answer | Refusal:
        for _ in range(self.chance.randint(0, 3)):
            await asyncio.sleep(0)
        if self.answers_left <= 0:
            raise CutError
        self.answers_left -= 1
        fate = self.chance.random()
        if fate < 0.05:
            raise UnavailableError("nobody answered", "world", "wait")
        if span.blocks > self.block_cap:
            return Refusal(Cap.BLOCKS)
        logs = [
            log for number in range(span.first, span.last + 1) for log in logs_of(number, self.counts[number])
        ]
        if len(logs) > self.log_cap:
            return Refusal(Cap.LOGS, self.log_cap)
        self.asked.append(span)
        return Answer(span, tuple(logs), hash_of(span.last))


def opened() -> Ledger:
    return Ledger.open(LedgerSettings("sqlite://"), clock=Instant(), entropy=SystemEntropy(), inline=True)


async def gathered(world: World, ledger: Ledger, workers: int, cuts: Callable[[], int]) -> LogSource:
    lessons: Lessons | None = None
    while True:
        world.answers_left = cuts()
        job = Backfill(world, ledger, QUESTION, Instant(), workers=workers, lessons=lessons)
        try:
            return await job.run(len(world.counts) - 1)
        except CutError:
            lessons = None  # a new process knows nothing
        except UnavailableError:
            lessons = job.lessons


@given(
    st.lists(st.integers(0, 12), min_size=6, max_size=150),
    st.integers(1, 40),
    st.integers(12, 90),
    st.integers(1, 4),
    st.integers(0, 2**32),
)
@settings(max_examples=30, deadline=None)
def test_backfill_cut_at_any_moment_ends_complete_and_without_duplicates(
    counts: list[int], block_cap: int, log_cap: int, workers: int, seed: int
) -> None:
    world = World(counts, block_cap, log_cap, seed)
    ledger = opened()
    attempts = iter(range(10**6))

    def cuts() -> int:
        # Later lives last longer, so that a world of many refusals comes to its end.
        return world.chance.randint(0, 6) + next(attempts) // 2

    source = asyncio.run(gathered(world, ledger, workers, cuts))
    assert source.next_block == len(counts)
    stored = asyncio.run(ledger.read(lambda tx: tx.logs.between(source, 0, 10**9, 10**9)))
    assert stored == world.truth()
    assert asyncio.run(ledger.read(lambda tx: tx.logs.pieces(source))) == []


@given(st.integers(0, 2**32), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_what_was_stored_before_a_cut_is_not_asked_again(seed: int, workers: int) -> None:
    world = World([1] * 400, 10, 1_000, seed)
    ledger = opened()

    async def twice() -> set[int]:
        world.answers_left = 25
        with pytest.raises(CutError):
            await Backfill(world, ledger, QUESTION, Instant(), workers=workers).run(399)
        source = await ledger.read(lambda tx: tx.logs.find(QUESTION.name))
        assert source is not None
        pieces = await ledger.read(lambda tx: tx.logs.pieces(source))
        kept = set(range(5, source.next_block))
        for piece in pieces:
            kept |= set(range(piece.first, piece.last + 1))
        world.asked.clear()
        world.answers_left = 10**6
        done = await Backfill(world, ledger, QUESTION, Instant(), workers=workers).run(399)
        assert done.next_block == 400
        return kept

    kept = asyncio.run(twice())
    assert kept
    assert kept.isdisjoint(block for span in world.asked for block in range(span.first, span.last + 1))


def test_many_rows_go_in_commits_that_end_with_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "ROWS_PER_COMMIT_MAX", 7)
    world = World([3, 3, 3, 3, 3, 4, 20, 0, 5, 1, 6, 0, 2], 100, 1_000, 1)
    ledger = opened()
    source = asyncio.run(gathered(world, ledger, 2, lambda: 100))
    assert asyncio.run(ledger.read(lambda tx: tx.logs.between(source, 0, 99, 999))) == world.truth()
    marks = asyncio.run(ledger.read(lambda tx: tx.logs.marks(source.number, 99)))
    assert len(marks) > 2
