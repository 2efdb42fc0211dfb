"""Every block is asked for until it is answered once, whatever is refused, by how many workers ever."""

from __future__ import annotations

import bisect
from itertools import accumulate

from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.chain.logs.caps import Cap, Refusal
from seawall.chain.logs.planner import Lessons, Plan, Span, tail_of

COUNTS = st.lists(st.integers(0, 40), min_size=1, max_size=400)


class Rules:
    """A provider with caps; `tells` says how much its refusals tell."""

    def __init__(self, counts: list[int], block_cap: int, log_cap: int, tells: int) -> None:
        self.before = [0, *accumulate(counts)]
        self.block_cap, self.log_cap, self.tells = block_cap, max(log_cap, *counts), tells
        self.calls = 0

    def logs(self, span: Span) -> int:
        return self.before[span.last + 1] - self.before[span.first]

    def refusal(self, span: Span) -> Refusal | None:
        self.calls += 1
        if span.blocks > self.block_cap:
            return Refusal(Cap.BLOCKS, self.block_cap if self.tells else None)
        if self.logs(span) <= self.log_cap:
            return None
        if self.tells == 0:
            return Refusal(Cap.UNKNOWN)
        works_to = bisect.bisect_right(self.before, self.before[span.first] + self.log_cap) - 2
        return Refusal(Cap.LOGS, self.log_cap, works_to if self.tells == 2 else None)


@given(
    COUNTS,
    st.integers(1, 100),
    st.integers(40, 400),
    st.integers(0, 2),
    st.integers(1, 5),
    st.randoms(use_true_random=False),
)
@settings(max_examples=150, deadline=None)
def test_every_block_is_answered_exactly_once(
    counts: list[int], block_cap: int, log_cap: int, tells: int, workers: int, chance: object
) -> None:
    rules = Rules(counts, block_cap, log_cap, tells)
    plan = Plan([Span(0, len(counts) - 1)], workers)
    answered: list[Span] = []
    under_way: dict[int, Span] = {}
    order = list(range(workers))
    for _ in range(60 * len(counts) + 60):
        for worker in order:
            if worker not in under_way and (span := plan.take(worker)) is not None:
                under_way[worker] = span
        if not under_way:
            break
        chance.shuffle(order)  # type: ignore[attr-defined]
        worker = next(one for one in order if one in under_way)
        span = under_way.pop(worker)
        refusal = rules.refusal(span)
        if refusal is None:
            plan.done(worker, span, rules.logs(span), rules.logs(Span(tail_of(span), span.last)))
            answered.append(span)
        else:
            plan.refused(worker, span, refusal)
    assert plan.is_empty
    assert sorted(block for span in answered for block in range(span.first, span.last + 1)) == list(
        range(len(counts))
    )


@given(st.integers(1, 3_000), st.integers(1, 300), st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_where_logs_are_few_and_the_cap_is_told_one_call_is_wasted(
    blocks: int, block_cap: int, workers: int
) -> None:
    rules = Rules([0] * blocks, block_cap, 1, tells=2)
    plan = Plan([Span(0, blocks - 1)], workers)
    under_way: dict[int, Span] = {}
    while True:
        for worker in range(workers):
            if worker not in under_way and (span := plan.take(worker)) is not None:
                under_way[worker] = span
        if not under_way:
            break
        worker = min(under_way)
        span = under_way.pop(worker)
        refusal = rules.refusal(span)
        if refusal is None:
            plan.done(worker, span, 0, 0)
        else:
            plan.refused(worker, span, refusal)
    fewest = -(-blocks // block_cap)
    assert rules.calls <= fewest + (1 if blocks > block_cap else 0)


def test_known_caps_waste_no_call() -> None:
    plan = Plan([Span(0, 9_999)], 1, Lessons(block_cap=2_000))
    spans = []
    while (span := plan.take(0)) is not None:
        plan.done(0, span, 0, 0)
        spans.append(span.blocks)
    assert spans == [2_000] * 5


def test_until_the_first_answer_only_one_worker_asks() -> None:
    plan = Plan([Span(0, 9_999)], 2)
    whole = plan.take(0)
    assert whole == Span(0, 9_999)
    plan.refused(0, whole, Refusal(Cap.BLOCKS, 1_000))
    first = plan.take(0)
    assert first == Span(0, 999)
    assert plan.take(1) is None
    plan.done(0, first, 3, 1)
    assert plan.take(1) is not None
