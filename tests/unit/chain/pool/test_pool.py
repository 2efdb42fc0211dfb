"""The pool over scripted endpoints: who is asked, who is asked beside them, and who is left out for what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from seawall.chain.endpoints import Endpoint
from seawall.chain.pool.asking import BUDGET_WAIT_S_MAX
from seawall.chain.pool.looks import IDLE_LOOK_S, LAG_LOOK_S
from seawall.chain.pool.members import DISSENTS_MAX, LAG_BLOCKS_MAX, LATES_MAX, METHOD_FAILURES_MAX
from seawall.chain.pool.pace import SILENCE_S, SILENCE_S_MIN
from seawall.chain.pool.settings import EndpointSettings
from seawall.chain.pool.waiting import SILENCE_BURST_CALLS
from seawall.chain.rpc import HEDGE_BURST_CALLS, Request, RpcError, RpcPool
from seawall.primitives.errors import (
    ConnectionLostError,
    EndpointError,
    MalformedAnswerError,
    RateLimitedError,
    TimedOutError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.telemetry.endpoints import EndpointCollector, EndpointState
from tests.builders.idle_clock import IdleClock as Clock

ASK = [Request("eth_gasPrice")]
PINNED = [Request("eth_getBalance", ("0x11", {"blockHash": "0x22", "requireCanonical": True}))]
DEAD = ConnectionLostError("dead", "there", "")
GONE = RpcError(-32000, "header not found")
HANGS = object()


@dataclass(slots=True)
class One:
    """An endpoint that answers with `answer`, raises it, or hangs; `head` is its newest block."""

    label: str
    answer: object = "0x1"
    head: int = 100
    chain_id: str = "0x1"
    connects: int = 1
    asked: list[str] = field(default_factory=list)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.asked += [request.method for request in requests]
        Clock.stir()
        if self.answer is HANGS:
            await asyncio.Event().wait()
        if isinstance(self.answer, EndpointError):
            raise self.answer
        own = {"eth_chainId": self.chain_id, "eth_blockNumber": hex(self.head)}
        return [own.get(request.method, self.answer) for request in requests]

    async def close(self) -> None:
        return


def pool_of(*members: One, agreement: int = 1, **limits: int) -> tuple[RpcPool, Clock]:
    clock = Clock()
    own = [
        EndpointSettings(Endpoint.parse(f"http://{member.label}"), **limits)  # type: ignore[arg-type]
        for member in members
    ]
    return RpcPool(members, chain_id=1, clock=clock, agreement=agreement, settings=own), clock


def first(answers: Sequence[object | RpcError]) -> object:
    if answers[0] == GONE:
        raise UnknownBlockError("gone", "there", "")
    return answers[0]


def states(pool: RpcPool) -> list[EndpointState]:
    return [one.state for one in pool.health()]


async def settled() -> None:
    """Until looks in the background are over."""
    for _ in range(30):
        Clock.stir()
        await asyncio.sleep(0)


# Hedges and silence


async def known_pace(pool: RpcPool) -> None:
    """So many reads that it is known how long they take."""
    for _ in range(40):
        await pool.read(ASK, first)


async def test_read_that_takes_too_long_is_asked_of_another_whose_answer_is_taken() -> None:
    slow, quick = One("slow", "0x1"), One("quick", "0x2")
    pool, _ = pool_of(slow, quick)
    await known_pace(pool)
    slow.answer = HANGS
    assert await pool.read(ASK, first) == "0x2"
    assert pool.health()[1].hedges == 1
    assert states(pool)[0] is EndpointState.SERVING, "once is no reason"


async def test_endpoint_that_others_answer_before_again_and_again_is_left() -> None:
    slow, quick = One("slow", "0x1"), One("quick", "0x2")
    pool, clock = pool_of(slow, quick)
    await known_pace(pool)
    slow.answer = HANGS
    pool.takes_head_of(0)
    assert await asyncio.gather(*(pool.read(ASK, first) for _ in range(LATES_MAX))) == ["0x2"] * LATES_MAX
    assert clock.time_s < SILENCE_S_MIN
    assert states(pool)[0] is EndpointState.RESTING


async def test_hedges_end_with_their_budget_and_silence_is_left_all_the_same() -> None:
    slow, quick = One("slow"), One("quick", "0x2")
    pool, _ = pool_of(slow, quick)
    await pool.read(ASK, first)
    slow.answer = HANGS
    many = ASK * (HEDGE_BURST_CALLS + 20)
    assert await pool.read(many, len) == len(many)
    assert pool.health()[1].hedges == 0
    assert states(pool)[0] is EndpointState.RESTING


async def test_what_is_asked_elsewhere_because_of_silence_is_bounded() -> None:
    """Where every endpoint is slow, each question would else be asked of all of them."""
    one, two = One("one", HANGS), One("two")
    pool, clock = pool_of(one, two)
    many = ASK * SILENCE_BURST_CALLS
    assert await pool.read(many, len) == len(many)
    one.answer, two.answer = "0x1", HANGS
    asked, began_s = one.asked.count(ASK[0].method), clock.time_s
    asking = asyncio.ensure_future(pool.read(ASK, first))
    await clock.sleep_s(4 * SILENCE_S)
    assert clock.time_s > began_s + SILENCE_S
    assert not asking.done()
    assert one.asked.count(ASK[0].method) == asked
    asking.cancel()
    await pool.close()


async def test_vote_that_keeps_silent_is_replaced_and_enough_agree() -> None:
    members = [One("one"), One("two", HANGS), One("three")]
    members[1].connects = 1
    pool, _ = pool_of(*members, agreement=2)
    assert await pool.agreed(ASK, first) == "0x1"


# Failures, by kind


@pytest.mark.parametrize(
    "error",
    [DEAD, TimedOutError("late"), MalformedAnswerError("not JSON"), EndpointError("HTTP status 500")],
    ids=lambda error: type(error).__name__,
)
async def test_endpoint_that_fails_is_left_at_once_and_looked_at_in_the_background(
    error: EndpointError,
) -> None:
    bad, good = One("bad", error), One("good", "0x2")
    pool, clock = pool_of(bad, good)
    assert await pool.read(ASK, first) == "0x2"
    assert states(pool)[0] is EndpointState.RESTING
    bad.answer = "0x1"
    clock.time_s += 1
    asked = len(bad.asked)
    assert await pool.read(ASK, first) == "0x2"
    await settled()
    assert bad.asked[asked:] == ["eth_chainId", "eth_blockNumber"]
    assert states(pool)[0] is EndpointState.SERVING
    assert any("endpoint_back" in event for event in pool.events())


async def test_answer_of_the_wrong_shape_is_a_fault_of_the_endpoint_and_another_is_asked() -> None:
    def strict(answers: Sequence[object | RpcError]) -> object:
        if not isinstance(answers[0], str):
            raise MalformedAnswerError("not a text", "there", "")
        return answers[0]

    pool, _ = pool_of(One("bad", [1]), One("good", "0x2"))
    assert await pool.read(ASK, strict) == "0x2"
    assert states(pool)[0] is EndpointState.RESTING


async def test_method_that_times_out_rests_by_itself_while_others_are_served() -> None:
    one, two = One("one"), One("two", "0x2")
    pool, clock = pool_of(one, two)
    logs = [Request("eth_getLogs")]
    for _ in range(METHOD_FAILURES_MAX):
        two.answer, one.answer = DEAD, TimedOutError("late")
        with pytest.raises(UnavailableError):
            await pool.read(logs, first)
        two.answer, one.answer = "0x2", "0x1"
        clock.time_s += 1
        for _ in range(2):
            await pool.read(ASK, first)
            await settled()
    assert states(pool) == [EndpointState.SERVING] * 2
    asked = one.asked.count("eth_getLogs")
    assert await pool.read(logs, first) == "0x2"
    assert one.asked.count("eth_getLogs") == asked


async def test_method_that_one_lacks_is_asked_of_another_and_of_all_before_it_is_said() -> None:
    lacking, having = One("lacking", RpcError(-32601, "the method x does not exist")), One("having", "0x2")
    pool, _ = pool_of(lacking, having)
    assert await pool.batch([Request("eth_x")]) == ["0x2"]
    assert await pool.batch([Request("eth_x")]) == ["0x2"]
    assert lacking.asked.count("eth_x") == 1
    having.answer = lacking.answer
    assert await pool.batch([Request("eth_y")]) == [lacking.answer]


# Limits


async def test_endpoint_that_says_when_to_come_again_is_not_asked_before() -> None:
    busy, other = One("busy", RateLimitedError("429", "there", "", retry_after_s=7)), One("other", "0x2")
    pool, clock = pool_of(busy, other)
    assert await pool.read(ASK, first) == "0x2"
    assert states(pool)[0] is EndpointState.LIMITED
    asked = len(busy.asked)
    for _ in range(3):
        clock.time_s += 2
        assert await pool.read(ASK, first) == "0x2"
        await settled()
    assert len(busy.asked) == asked
    busy.answer, other.answer = "0x1", DEAD
    clock.time_s += 1.5
    assert await pool.read(ASK, first) == "0x1"


async def test_lone_endpoint_that_limits_is_not_hammered() -> None:
    busy = One("busy", RateLimitedError("429", "there", "", retry_after_s=60))
    pool, _ = pool_of(busy)
    for _ in range(3):
        with pytest.raises(UnavailableError, match=r"asked again in|429"):
            await pool.read(ASK, first)
    assert busy.asked == ["eth_chainId"]


async def test_provider_that_says_in_json_when_to_come_again_is_heard() -> None:
    said = RpcError(-32005, "daily request count exceeded", {"rate": {"backoff_seconds": 30}})
    busy, other = One("busy", said), One("other", "0x2")
    pool, clock = pool_of(busy, other)
    assert await pool.read(ASK, first) == "0x2"
    clock.time_s += 20
    assert states(pool)[0] is EndpointState.LIMITED


@pytest.mark.parametrize("limits", [{"requests_per_s": 10}, {"units_per_s": 200}])
async def test_reads_beyond_a_budget_go_to_the_next_endpoint(limits: dict[str, int]) -> None:
    one, two = One("one"), One("two", "0x2")
    pool, clock = pool_of(one, two, **limits)
    answers = [await pool.read(ASK, first) for _ in range(15)]
    assert answers == ["0x1"] * 10 + ["0x2"] * 5
    clock.time_s += 0.5
    assert await pool.read(ASK, first) == "0x1"


async def test_reads_beyond_every_budget_wait_and_fail_only_when_the_wait_is_too_long() -> None:
    pool, clock = pool_of(One("one"), requests_per_s=10)
    begun_s = clock.time_s
    for _ in range(25):
        await pool.read(ASK, first)
    assert clock.time_s - begun_s == pytest.approx(1.5)
    await pool.read(ASK * 30, first)
    with pytest.raises(UnavailableError, match="asked too often"):
        await pool.read(ASK * 10, first)
    clock.time_s += BUDGET_WAIT_S_MAX
    assert await pool.read(ASK, first) == "0x1"


async def test_heads_are_asked_for_by_weight() -> None:
    members = [One("one"), One("two"), One("three")]
    pool = RpcPool(
        members,
        chain_id=1,
        clock=Clock(),
        settings=[
            EndpointSettings(Endpoint.parse(f"http://{m.label}"), weight=w)
            for m, w in zip(members, (3, 2, 1), strict=True)
        ],
    )
    for _ in range(60):
        await pool.votes(ASK, first, lambda votes, late: bool(votes), in_turn=True)
    assert [member.asked.count("eth_gasPrice") for member in members] == [30, 20, 10]


# Stale ones and liars


async def test_endpoint_behind_the_others_is_asked_last_until_its_head_is_near_again() -> None:
    late, other = One("late", "0x1", head=90), One("other", "0x2")
    pool, clock = pool_of(late, other)
    pool.tip_number = 100
    pool.show_heads({0: 100 - LAG_BLOCKS_MAX, 1: 100})
    assert states(pool) == [EndpointState.LAGGING, EndpointState.SERVING]
    assert await pool.read(ASK, first) == "0x2"
    clock.time_s += LAG_LOOK_S
    await pool.read(ASK, first)
    await settled()
    assert states(pool)[0] is EndpointState.LAGGING
    late.head = 100
    clock.time_s += LAG_LOOK_S
    await pool.read(ASK, first)
    await settled()
    assert states(pool)[0] is EndpointState.SERVING
    other.answer = DEAD
    assert await pool.read(ASK, first) == "0x1"


async def test_endpoint_without_the_blocks_that_others_have_is_asked_last() -> None:
    late, other = One("late", GONE), One("other", "0x2")
    pool, _ = pool_of(late, other)
    for _ in range(2):
        assert await pool.read(PINNED, first) == "0x2"
    assert states(pool)[0] is EndpointState.LAGGING


async def test_stale_endpoint_is_found_though_nobody_asks_it() -> None:
    members = [One("one"), One("two"), One("stale", head=10)]
    pool, clock = pool_of(*members, agreement=2)
    pool.tip_number = 100
    pool.show_heads({0: 100, 1: 100})
    clock.time_s += IDLE_LOOK_S
    await pool.agreed(ASK, first)
    await settled()
    assert states(pool) == [EndpointState.SERVING, EndpointState.SERVING, EndpointState.LAGGING]


async def test_liar_about_a_fixed_block_is_outvoted_and_left_out_for_longer_each_time() -> None:
    liar, *honest = One("liar", "0x9"), One("two"), One("three")
    pool, clock = pool_of(liar, *honest, agreement=2)
    assert await pool.agreed(PINNED, first) == "0x1"
    await settled()
    assert states(pool)[0] is EndpointState.OUTVOTED
    assert pool.health()[0].quarantines == 1
    assert any("it says '0x9' where others say '0x1'" in event for event in pool.events())
    asked = liar.asked.count("eth_getBalance")
    clock.time_s += 29
    await pool.agreed(PINNED, first)
    assert liar.asked.count("eth_getBalance") == asked
    clock.time_s += 2
    assert states(pool)[0] is EndpointState.SERVING


async def test_node_that_says_something_else_once_and_not_again_is_forgiven() -> None:
    hasty, *others = One("hasty", "0x9"), One("two"), One("three")
    pool, _ = pool_of(hasty, *others, agreement=2)
    assert await pool.agreed(PINNED, first) == "0x1"
    hasty.answer = "0x1"
    await settled()
    assert hasty.asked.count("eth_getBalance") == 2
    assert states(pool)[0] is EndpointState.SERVING


async def test_liar_is_believed_by_nobody_even_where_it_must_be_asked() -> None:
    liar, one, two = One("liar", "0x9"), One("one"), One("two")
    pool, _ = pool_of(liar, one, two, agreement=2)
    await pool.agreed(PINNED, first)
    await settled()
    two.answer = DEAD
    with pytest.raises(UnavailableError):
        await pool.agreed(PINNED, first)
    liar.answer = "0x1"
    assert await pool.agreed(PINNED, first) == "0x1"


async def test_difference_about_what_moves_is_forgiven_for_a_while() -> None:
    differs, *others = One("differs", "0x9"), One("two"), One("three")
    pool, _ = pool_of(differs, *others, agreement=2)
    for _ in range(DISSENTS_MAX - 1):
        assert await pool.agreed(ASK, first) == "0x1"
    assert states(pool)[0] is EndpointState.SERVING
    await pool.agreed(ASK, first)
    assert states(pool)[0] is EndpointState.OUTVOTED


async def test_endpoint_that_changes_its_chain_is_left_and_taken_back_when_it_serves_ours() -> None:
    other, right = One("other"), One("right", "0x2")
    pool, clock = pool_of(other, right)
    await pool.read(ASK, first)
    other.connects, other.chain_id = 2, "0x5"
    assert await pool.read(ASK, first) == "0x2"
    assert states(pool)[0] is EndpointState.OTHER_CHAIN
    other.chain_id = "0x1"
    clock.time_s += 2 * IDLE_LOOK_S
    await pool.read(ASK, first)
    await settled()
    assert states(pool)[0] is EndpointState.SERVING


# What is shown


async def test_scrape_shows_each_endpoint_by_a_name_of_its_own() -> None:
    pool, _ = pool_of(One("same", DEAD), One("same", "0x2"))
    await pool.read(ASK, first)
    collector = EndpointCollector()
    collector.watch("devnet", pool.health)
    found = {
        (metric.name, sample.labels["endpoint"]): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }
    assert found["seawall_endpoint_serving", "same#1"] == 0
    assert found["seawall_endpoint_serving", "same#2"] == 1
    assert found["seawall_endpoint_failures", "same#1"] == 1
    assert found["seawall_endpoint_requests", "same#2"] == 2, "its chain, and the question"


async def test_bug_met_in_a_look_is_raised_by_the_next_question() -> None:
    @dataclass(slots=True)
    class Broken(One):
        @override
        async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
            if self.answer == "bug":
                raise ZeroDivisionError
            return await One.send(self, requests)

    broken, other = Broken("broken", DEAD), One("other", "0x2")
    pool, clock = pool_of(broken, other)
    await pool.read(ASK, first)
    clock.time_s += 1
    broken.answer = "bug"
    await pool.read(ASK, first)
    await settled()
    with pytest.raises(ZeroDivisionError):
        await pool.read(ASK, first)
    await pool.close()
