"""Which ranges of blocks to ask for next, so that a provider's caps are met seldom and few calls are needed.

    Plan.take(worker) -> a span to ask for        Plan.done | refused | unanswered(worker, span, ...)

Blocks are divided among workers, and each goes through its own part in order, one call at a time: what it
learned of the last span fits the next, and what was refused is joined again with what follows, so that no
small remainder costs a call. A worker that has finished takes half of what another has left. Until the first
answer only one worker asks, so that a cap is not found out several times.

What a refusal teaches of caps (`Lessons`) is shared. One that names its number teaches it at once; one that
does not is tried against the numbers that providers use. The cap on logs is not visible before it is met: a
span is cut so that the logs expected in it, by the density just before, fill the cap up to `aim`, which falls
with each overflow and creeps up again. Where logs end or begin within a span, its last quarter says more than
its whole. A cap on logs without a number is taken to be a little above what was answered. Caps on time are
not sharp: the ceiling on blocks halves, and doubles again after calls that went well.

Pure: no clock, no network. Every block is handed out, and after a refusal again, until it is done once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.chain.logs.caps import Cap, Refusal

__all__ = ["USUAL_BLOCK_CAPS", "Lessons", "Plan", "Span", "tail_of"]

# Caps on blocks that providers have, tried where a refusal names none.
USUAL_BLOCK_CAPS: Final = (
    1_000_000, 100_000, 50_000, 30_000, 20_000, 10_000, 5_000, 3_000, 2_048, 2_000, 1_024, 1_000, 800, 500,
    256, 128, 100, 64, 50, 32, 20, 10, 5, 2, 1,
)  # fmt: skip
AIM_FIRST: Final = 0.88
AIM_MIN: Final = 0.6
AIM_MAX: Final = 0.96
_AIM_UP: Final = 0.002
_AIM_DOWN: Final = 0.08
# An overflow tells a density of at least the cap; most often it is this much above.
_OVERFLOW_GUESS: Final = 1.3
_NEWEST_SHARE: Final = 0.5
_GOOD_BEFORE_GROWING: Final = 2
# The last quarter of a span is believed before the whole where it differs by this factor.
TAIL_PART: Final = 4
_TAIL_FACTOR: Final = 2.0
# What is tried above the most that was answered, where no number is known; less after each refusal.
_REACH_FIRST: Final = 0.25


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Blocks, both ends included."""

    first: int
    last: int

    def __post_init__(self) -> None:
        assert 0 <= self.first <= self.last, f"{self.first} to {self.last} is no span"

    @property
    def blocks(self) -> int:
        return self.last - self.first + 1


def tail_of(span: Span) -> int:
    """The first block of the last quarter of the span."""
    return span.last - max(1, span.blocks // TAIL_PART) + 1


@dataclass(slots=True)
class Lessons:
    """What is known of a provider's caps; given ones are believed from the start."""

    block_cap: int | None = None
    log_cap: int | None = None
    aim: float = AIM_FIRST
    _ceiling: int | None = None  # on blocks, for what was too large in time or nobody knows what
    _good: int = 0
    _answered_max: int = 0
    _reach: float = _REACH_FIRST
    _is_log_cap_told: bool = field(init=False)

    def __post_init__(self) -> None:
        self._is_log_cap_told = self.log_cap is not None

    def blocks_max(self, wanted: int, density: float | None) -> int:
        """As many of `wanted` blocks as may be asked for where each holds `density` logs."""
        most = wanted
        for bound in (self.block_cap, self._ceiling):
            if bound is not None:
                most = min(most, bound)
        if self.log_cap is not None and density:
            most = min(most, int(self.aim * self.log_cap / density))
        return max(most, 1)

    def answered(self, span: Span, logs: int) -> None:
        self._answered_max = max(self._answered_max, logs)
        if self.log_cap is not None:
            if not self._is_log_cap_told and logs > self.aim * self.log_cap:
                self.log_cap = int(self._answered_max * (1 + self._reach))
            self.log_cap = max(self.log_cap, logs)  # what was said of it may be wrong
            self.aim = min(self.aim + _AIM_UP, AIM_MAX)
        if self._ceiling is not None and span.blocks * 2 > self._ceiling:
            self._good += 1
            if self._good >= _GOOD_BEFORE_GROWING:
                self._ceiling, self._good = self._ceiling * 2, 0

    def refused(self, span: Span, refusal: Refusal) -> float | None:
        """Learn from it; the density that it tells of the span's first blocks, if it is about logs."""
        if refusal.cap is Cap.BLOCKS:
            self._learn_block_cap(span, refusal.limit)
            return None
        if refusal.cap not in (Cap.LOGS, Cap.BYTES) or not self._learn_log_cap(refusal):
            self.too_much(span)
            return None
        assert self.log_cap is not None
        self.aim = max(self.aim - _AIM_DOWN, AIM_MIN)
        if refusal.works_to is not None and span.first <= refusal.works_to:
            return self.log_cap / (refusal.works_to - span.first + 1)  # up to there it is all but full
        return _OVERFLOW_GUESS * self.log_cap / span.blocks

    def too_much(self, span: Span) -> None:
        self._ceiling, self._good = max(1, span.blocks // 2), 0

    def _learn_block_cap(self, span: Span, limit: int | None) -> None:
        if limit is None:
            limit = next((cap for cap in USUAL_BLOCK_CAPS if cap < span.blocks), 1)
        # Some count from zero: they refuse what they say they take.
        limit = min(limit, max(span.blocks - 1, 1))
        self.block_cap = limit if self.block_cap is None else min(self.block_cap, limit)

    def _learn_log_cap(self, refusal: Refusal) -> bool:
        """Whether the cap is known now, at least roughly."""
        if refusal.cap is Cap.LOGS and refusal.limit is not None:
            known = self.log_cap if self._is_log_cap_told and self.log_cap is not None else refusal.limit
            self.log_cap = min(known, refusal.limit)
            self._is_log_cap_told = True
        elif not self._is_log_cap_told and self._answered_max:
            self.log_cap = max(1, int(self._answered_max * (1 + self._reach / 2)))
            self._reach /= 2
        return self.log_cap is not None


@dataclass(slots=True)
class _Part:
    """The spans that one worker still has to go through, ascending and apart."""

    pending: list[Span] = field(default_factory=list)
    density: float | None = None  # logs a block, just before what is pending
    works_to: dict[int, int] = field(default_factory=dict)

    @property
    def blocks(self) -> int:
        return sum(span.blocks for span in self.pending)

    def cut(self, lessons: Lessons) -> Span:
        lowest = self.pending[0]
        told = self.works_to.pop(lowest.first, None)
        if told is None:
            most = lessons.blocks_max(lowest.blocks, self.density)
            parts = -(-lowest.blocks // most)
            size = -(-lowest.blocks // parts)  # equal parts: the last one is no small remainder
        else:
            size = lessons.blocks_max(min(told, lowest.last) - lowest.first + 1, None)
        span = Span(lowest.first, lowest.first + size - 1)
        self.pending[:1] = [] if span.last == lowest.last else [Span(span.last + 1, lowest.last)]
        return span

    def put_back(self, span: Span) -> None:
        """It was cut from here: what is pending follows it."""
        if self.pending and self.pending[0].first == span.last + 1:
            self.pending[0] = Span(span.first, self.pending[0].last)
        else:
            self.pending.insert(0, span)

    def see(self, span: Span, logs: int, tail: int) -> None:
        density = logs / span.blocks
        before = density if self.density is None else self.density
        self.density = _NEWEST_SHARE * density + (1 - _NEWEST_SHARE) * before
        at_end = (tail + 1) / (span.last - tail_of(span) + 1)
        if not density / _TAIL_FACTOR < at_end < density * _TAIL_FACTOR:
            self.density = at_end


class Plan:
    """What is left to ask, for `workers` that work beside each other."""

    def __init__(self, spans: Sequence[Span], workers: int, lessons: Lessons | None = None) -> None:
        """`spans` ascending and apart."""
        assert workers > 0
        self.lessons = lessons or Lessons()
        self._parts = [_Part() for _ in range(workers)]
        self._parts[0].pending = list(spans)
        self._has_answer = False

    @property
    def is_empty(self) -> bool:
        """Nothing is left to be taken; what was taken may be unanswered."""
        return not any(part.pending for part in self._parts)

    def take(self, worker: int) -> Span | None:
        """The next span for this worker; None if there is none for it now."""
        if worker and not self._has_answer:
            return None
        part = self._parts[worker]
        if not part.pending:
            self._share(part)
        return part.cut(self.lessons) if part.pending else None

    def done(self, worker: int, span: Span, logs: int, tail: int) -> None:
        """`tail`: how many of the logs are in the last quarter of the blocks (`tail_of`)."""
        self._has_answer = True
        self._parts[worker].see(span, logs, tail)
        self.lessons.answered(span, logs)

    def refused(self, worker: int, span: Span, refusal: Refusal) -> None:
        """The span is asked again, in less at once. A span of one block cannot be."""
        assert span.blocks > 1, "nothing is less than one block"
        part = self._parts[worker]
        if refusal.works_to is not None and span.first <= refusal.works_to < span.last:
            part.works_to = {span.first: refusal.works_to}
        density = self.lessons.refused(span, refusal)
        if density is not None:
            part.density = max(part.density or 0.0, density)
        part.put_back(span)

    def unanswered(self, worker: int, span: Span, *, is_too_much: bool) -> None:
        """Nobody answered, perhaps because it was too much: it is asked again."""
        if is_too_much and span.blocks > 1:
            self.lessons.too_much(span)
        self._parts[worker].put_back(span)

    def _share(self, idle: _Part) -> None:
        """Half of what the busiest has left, its later blocks, in whole calls."""
        busiest = max(self._parts, key=lambda part: part.blocks)
        call = self.lessons.blocks_max(busiest.blocks, busiest.density) if busiest.pending else 1
        calls = busiest.blocks // call
        if calls < 2:
            return
        kept = (calls - calls // 2) * call
        stays: list[Span] = []
        for span in busiest.pending:
            room = kept - sum(one.blocks for one in stays)
            if room >= span.blocks:
                stays.append(span)
            elif room > 0:
                stays.append(Span(span.first, span.first + room - 1))
                idle.pending.append(Span(span.first + room, span.last))
            else:
                idle.pending.append(span)
        busiest.pending, idle.density = stays, busiest.density
