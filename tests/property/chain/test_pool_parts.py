"""The pool's parts against what they promise: breakers, budgets, hedges, pace, and the race for an answer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from seawall.chain.agreement import Vote, canvass
from seawall.chain.endpoints import Endpoint
from seawall.chain.pool.breakers import Breaker, BreakerState
from seawall.chain.pool.budgets import BURST_S, Budget, ShareBucket, TokenBucket
from seawall.chain.pool.members import LATES_MAX, STRIKE_FIRST_S, STRIKE_MAX_S, Member, Standing
from seawall.chain.pool.pace import HEDGE_S_MAX, SILENCE_S_MIN, Usual
from seawall.chain.pool.settings import EndpointSettings
from seawall.chain.pool.timeouts import Kind
from seawall.chain.transport import Request, RpcError
from seawall.primitives.errors import ConnectionLostError, RateLimitedError, TimedOutError

FIRST_S, MAX_S = 0.5, 8.0
steps_s = st.floats(0.0, 4.0)


class BreakerMachine(RuleBasedStateMachine):
    """Against a model that knows only the last failures and their times."""

    @initialize(threshold=st.integers(1, 4))
    def begin(self, threshold: int) -> None:
        self.breaker = Breaker(threshold=threshold, first_s=FIRST_S, max_s=MAX_S)
        self.threshold = threshold
        self.now_s = 0.0
        self.failures = 0
        self.is_open = False
        self.until_s = 0.0
        self.trial = False

    @rule(step_s=steps_s)
    def time_passes(self, step_s: float) -> None:
        self.now_s += step_s

    @rule()
    def succeeds(self) -> None:
        assert self.breaker.succeeded() is self.is_open
        self.failures, self.is_open, self.trial = 0, False, False

    @rule()
    def fails(self) -> None:
        if self.is_open and self.now_s < self.until_s:
            assert not self.breaker.failed(self.now_s), "it was asked before that was known"
            return
        self.failures += 1
        opens = not self.is_open and self.failures >= self.threshold
        assert self.breaker.failed(self.now_s) is opens
        if self.is_open or opens:
            beyond = max(self.failures - self.threshold, 0)
            self.until_s = max(self.until_s, self.now_s + min(FIRST_S * 2**beyond, MAX_S))
        self.is_open = self.is_open or opens
        self.trial = False

    @precondition(lambda self: self.is_open)
    @rule()
    def is_tried(self) -> None:
        may = self.now_s >= self.until_s and not self.trial
        assert self.breaker.admits(self.now_s) is may
        assert self.breaker.begin(self.now_s) is may
        self.trial = self.trial or may

    @rule()
    def trial_is_given_up(self) -> None:
        self.breaker.end()
        self.trial = False

    @invariant()
    def state_is_that_of_the_model(self) -> None:
        if not hasattr(self, "breaker"):
            return
        if not self.is_open:
            expected = BreakerState.CLOSED
        else:
            expected = BreakerState.OPEN if self.now_s < self.until_s else BreakerState.HALF_OPEN
        assert self.breaker.state(self.now_s) is expected
        assert self.breaker.rests_s(self.now_s) <= MAX_S + 1e-6
        if expected is BreakerState.CLOSED:
            assert self.breaker.admits(self.now_s)


TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


@given(
    rate=st.integers(1, 1_000),
    asked=st.lists(st.tuples(steps_s, st.integers(1, 300)), min_size=1, max_size=60),
)
@settings(max_examples=40, deadline=None)
def test_bucket_never_gives_more_than_its_rate_and_one_burst(
    rate: int, asked: Sequence[tuple[float, int]]
) -> None:
    now_s, taken = 0.0, 0
    bucket = TokenBucket(rate, rate * BURST_S, now_s)
    for step_s, amount in asked:
        now_s += step_s
        wait_s = bucket.wait_s(amount, now_s)
        now_s += wait_s
        assert bucket.wait_s(amount, now_s) < 1e-6, "after the wait it is there"
        bucket.take(amount, now_s)
        taken += amount
        # What is taken beyond a full bucket is owed, and at most one request's.
        assert taken <= rate * (now_s + BURST_S) + max(amount - rate * BURST_S, 0) + 1e-6


@given(share=st.floats(0.01, 0.2), spent=st.lists(st.integers(1, 99), max_size=200))
@settings(max_examples=40, deadline=None)
def test_hedges_never_pass_their_share_and_one_burst(share: float, spent: Sequence[int]) -> None:
    burst = 100
    bucket = ShareBucket(share, burst)
    hedged = total = 0
    for amount in spent:
        total += amount
        bucket.earn(amount)
        hedged += amount * bucket.take(amount)
        assert hedged <= share * total + burst


@given(methods=st.lists(st.sampled_from(["eth_call", "eth_chainId", "eth_other"]), min_size=1, max_size=50))
@settings(max_examples=50, deadline=None)
def test_budget_waits_for_the_scarcer_of_calls_and_units(methods: Sequence[str]) -> None:
    requests = [Request(method) for method in methods]
    own = EndpointSettings(
        Endpoint.parse("http://h"), requests_per_s=10, units_per_s=100, units={"eth_call": 30}
    )
    units = sum({"eth_call": 30, "eth_chainId": 0}.get(method, 20) for method in methods)
    budget = Budget(own, 0.0)
    assert budget.wait_s(requests, 0.0) == 0, "a full budget admits anything"
    budget.take(requests, 0.0)
    expected_s = max((len(methods) + 1 - 10) / 10, (units + 30 - 100) / 100, 0.0)
    assert abs(budget.wait_s([Request("eth_call")], 0.0) - expected_s) < 1e-6


@given(times_s=st.lists(st.floats(1e-4, 2.0), min_size=1, max_size=200), kind=st.sampled_from(Kind))
@settings(max_examples=20, deadline=None)
def test_patience_follows_what_is_usual_within_its_bounds(times_s: Sequence[float], kind: Kind) -> None:
    usual = Usual(kind)
    for time_s in times_s:
        usual.observe(time_s)
        assert 0 < usual.hedge_after_s() <= max(HEDGE_S_MAX, 5.0 if kind >= Kind.SLOW else 0)
        assert usual.silent_after_s() >= max(SILENCE_S_MIN, usual.hedge_after_s())
    if usual.usual_max_s is not None:
        assert min(times_s) <= usual.usual_max_s <= max(times_s)


class MemberMachine(RuleBasedStateMachine):
    """Whatever an endpoint does, what is true of it decides its standing, and every rest ends."""

    @initialize()
    def begin(self) -> None:
        self.member = Member(_Silent(), 0, "one")
        self.now_s = 0.0
        self.strikes = 0
        self.request = (Request("eth_call"),)

    @rule(step_s=st.floats(0.0, 100.0))
    def time_passes(self, step_s: float) -> None:
        self.now_s += step_s

    @rule()
    def answers(self) -> None:
        self.member.has_answered(self.request, self.now_s)
        assert self.member.breaker.is_closed

    @rule(
        error=st.sampled_from(
            [ConnectionLostError("x"), TimedOutError("x"), RateLimitedError("x", retry_after_s=7.0)]
        )
    )
    def fails(self, error: ConnectionLostError | TimedOutError | RateLimitedError) -> None:
        self.member.has_failed(error, self.request, self.now_s)
        assert self.member.standing(self.now_s, self.request) is not Standing.SERVING

    @rule()
    def is_proved_wrong(self) -> None:
        self.member.strike("x", self.now_s)
        self.strikes += 1
        out_s = self.member.struck_until_s - self.now_s
        assert abs(out_s - min(STRIKE_FIRST_S * 2 ** (self.strikes - 1), STRIKE_MAX_S)) < 1e-3
        assert self.member.standing(self.now_s, self.request) is Standing.STRUCK_OUT

    @rule(behind=st.integers(0, 6))
    def shows_its_head(self, behind: int) -> None:
        self.member.shows_head(100 - behind, 100)
        assert self.member.is_lagging is (behind >= 3)

    @invariant()
    def health_can_always_be_shown(self) -> None:
        if hasattr(self, "member"):
            assert self.member.health(self.now_s).name == "one"

    @rule()
    def everything_that_it_did_is_forgiven_in_time(self) -> None:
        later_s = self.now_s + 2 * STRIKE_MAX_S
        standing = self.member.standing(later_s, self.request)
        assert standing in (Standing.SERVING, Standing.RESTING, Standing.LAGGING)
        if standing is Standing.RESTING:
            assert self.member.breaker.admits(later_s)


TestMember = MemberMachine.TestCase
TestMember.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@dataclass(slots=True)
class _Silent:
    label: str = "one"
    connects: int = 0

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        raise AssertionError

    async def close(self) -> None:
        return


@dataclass(slots=True)
class _Steps:
    """A clock whose sleeps end when the test lets time go on."""

    time_s: float = 0.0
    waiting: list[tuple[float, asyncio.Future[None]]] = field(default_factory=list)

    def now_s(self) -> int:
        return int(self.time_s)

    def monotonic_s(self) -> float:
        return self.time_s

    async def sleep_s(self, duration_s: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append((self.time_s + duration_s, future))
        await future

    async def until_done(self, work: asyncio.Future[list[Vote[int]]]) -> list[Vote[int]]:
        """Let time jump from one sleep's end to the next until `work` is done."""
        while True:
            for _ in range(8):
                await asyncio.sleep(0)
            self.waiting = [(due_s, future) for due_s, future in self.waiting if not future.done()]
            if work.done() or not self.waiting:
                return await work
            due_s, future = min(self.waiting, key=lambda entry: entry[0])
            self.time_s = due_s
            future.set_result(None)


@dataclass(slots=True)
class _Patience:
    """Replaces whoever was asked `silent_s` ago."""

    clock: _Steps
    hedge_after_s: float
    silent_s: float
    hedges: bool
    late: deque[int]
    silence: dict[object, asyncio.Future[None]] = field(default_factory=dict)

    def may_hedge(self, member: int) -> bool:
        return self.hedges

    def begins(
        self, member: int, asking: asyncio.Future[Vote[int] | None], replace: Callable[[], None]
    ) -> None:
        async def wait() -> None:
            await self.clock.sleep_s(self.silent_s)
            self.late.append(member)
            replace()

        self.silence[asking] = asyncio.ensure_future(wait())

    def ends(self, member: int, asking: asyncio.Future[Vote[int] | None]) -> None:
        self.silence.pop(asking).cancel()

    def is_beaten(self, member: int, asking: asyncio.Future[Vote[int] | None]) -> bool:
        self.late.append(member)
        self.ends(member, asking)
        return False


@given(
    answers_s=st.lists(st.one_of(st.none(), st.floats(0.0, 3.0)), min_size=1, max_size=6),
    need=st.integers(1, 3),
    may_hedge=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_question_is_answered_as_soon_as_enough_can_and_asks_nobody_without_a_reason(
    answers_s: list[float | None], need: int, may_hedge: bool
) -> None:
    """None fails at once; others answer after a while. Hedge after 0.1 s, silent after 0.25 s."""
    hedge_s, silent_s = 0.1, 0.25
    asked: list[tuple[float, int]] = []
    late: deque[int] = deque()

    async def scenario() -> tuple[list[Vote[int]], float]:
        clock = _Steps()

        async def ask(place: int) -> Vote[int] | None:
            asked.append((clock.time_s, place))
            takes_s = answers_s[place]
            if takes_s is None:
                return None
            await clock.sleep_s(takes_s)
            return Vote(place, str(place), 1)

        patience = _Patience(clock, hedge_s, silent_s, may_hedge, late)
        work = asyncio.ensure_future(
            canvass(range(len(answers_s)), ask, need, lambda votes, _: len(votes) >= need, clock, patience)
        )
        return await clock.until_done(work), clock.time_s

    votes, took_s = asyncio.run(scenario())
    able = sorted(time_s for time_s in answers_s if time_s is not None)
    assert len(votes) == min(need, len(able))
    assert [place for _, place in asked] == list(range(len(asked))), "in their order, each once"
    first = [place for when_s, place in asked if when_s < hedge_s]
    failures = sum(answers_s[place] is None for place in first)
    assert len(first) <= need + failures, "nobody is asked early but in the place of who failed"
    if not may_hedge and not failures and need <= len(answers_s):
        assert not [when_s for when_s, _ in asked if 0 < when_s < silent_s - 1e-9], "no budget"
    if len(able) >= need:
        # Each further endpoint is asked within one time of silence.
        assert took_s <= able[-1] + silent_s * len(answers_s) + 1e-6
    assert all((answers_s[place] or 0) > hedge_s for place in late), "nobody is called late who was not"
    assert LATES_MAX > 1
