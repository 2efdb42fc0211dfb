"""What a strategy gets to see: nothing twice, nothing of a dead branch, a gap where something is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import cast

import pytest

from seawall.chain.heads import HeadChange
from seawall.chain.logs.planner import Span
from seawall.chain.networks import network_of
from seawall.chain.pending import SIGHTINGS_WAITING_MAX, Heard
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.logs import LogPiece
from seawall.ledger.rows import EventData
from seawall.primitives.blocks import Block, Log, LogFilter, Read
from seawall.primitives.bounds import EVENT_BATCH_MAX, HEADS_KEPT, LOGS_PENDING_MAX
from seawall.primitives.errors import EndpointError, LedgerLockedError, StrategyError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import (
    Cause,
    Decision,
    IntentEvent,
    LogGap,
    Observation,
    Subscription,
    Timer,
)
from seawall.primitives.ports import SystemEntropy
from seawall.primitives.sightings import Sighting, SightingFilter, SightingKind
from seawall.primitives.units import Address, Hash, hex_text
from seawall.runtime import histories
from seawall.runtime.feeds import SIGHTINGS_APART_S, SKIPPED_BLOCKS_MAX, Feed
from seawall.runtime.hosts.errors import StrategyNotRunningError
from seawall.strategies.own_intents import OwnIntents
from seawall.telemetry.metrics import Metrics
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.intake import Intake
from tests.builders.messages import CHAIN_ID, GWEI, KEY, NOW_S, direct_plan

NAME = "keeper"
FILTER = LogFilter((Address(b"\x0c" * 20),))
WATCHING = (Subscription(CHAIN_ID, logs=(FILTER,)),)
BROKEN = EndpointError("no answer", "node", "wait")

Answer = Callable[[Observation], Decision]


def block(number: int, branch: int = 0) -> Block:
    return Block(
        CHAIN_ID,
        number,
        Hash(bytes([branch]) + number.to_bytes(31, "big")),
        Hash(bytes([branch]) + (number - 1).to_bytes(31, "big")),
        NOW_S,
        GWEI,
        30_000_000,
        Address(bytes(20)),
        Hash(bytes(32)),
    )


def log(of: Block, index: int = 0) -> Log:
    return Log(FILTER.addresses[0], (), b"", of.hash, of.number, Hash(bytes(32)), index)


def nothing(observation: Observation) -> Decision:
    return Decision(observation.strategy, observation.seq, 0)


@dataclass(slots=True)
class Node:
    """Fulfils what feeds ask of a `ChainClient`."""

    logs: dict[Hash, list[Log]] = field(default_factory=dict)
    fault: Exception | None = None
    asked: list[Hash] = field(default_factory=list)
    called: int = 0

    async def call_at(self, reads: Sequence[Read], of: Block) -> dict[str, bytes | None]:
        if self.fault is not None:
            raise self.fault
        self.called += 1
        return {read.label: of.hash for read in reads}

    async def logs_of(self, wanted: Sequence[LogFilter], block_hash: Hash) -> list[list[Log]]:
        if self.fault is not None:
            raise self.fault
        self.asked.append(block_hash)
        return [self.logs.get(block_hash, []) for _ in wanted]


@dataclass(slots=True)
class Rig:
    """A feed with a true ledger and intake; node and strategy are stand-ins."""

    ledger: Ledger
    node: Node = field(default_factory=Node)
    declared: tuple[Subscription, ...] = (Subscription(CHAIN_ID),)
    answer: Answer = nothing
    seen: list[Observation] = field(default_factory=list)
    now_s: int = NOW_S
    monotonic_s: float = 100.0
    feed: Feed = field(init=False)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        clock = SimpleNamespace(
            now_s=lambda: self.now_s, monotonic_s=lambda: self.monotonic_s, sleep_s=self.sleep_s
        )
        parts = SimpleNamespace(
            client=self.node, clock=clock, metrics=Metrics(), network=network_of(CHAIN_ID)
        )
        self.desk = Desk(cast(DeskParts, parts))
        intake = Intake(self.ledger, clock, SystemEntropy(), frozenset({Lane(CHAIN_ID, KEY)}))
        self.feed = Feed(
            NAME, self, self.desk, intake, self.ledger, lambda: None, lambda _name: self.declared
        )

    async def decide(self, observation: Observation, state: bytes, state_version: int) -> Decision:
        self.seen.append(observation)
        return self.answer(observation)

    async def sleep_s(self, duration_s: float) -> None:
        self.monotonic_s += duration_s
        await asyncio.sleep(0)

    def head(self, *added: Block, removed: tuple[Block, ...] = (), skipped: int = 0) -> None:
        self.desk.head = added[-1]
        self.feed.on_head(HeadChange(added, removed, -1, -1, skipped))

    async def observe(self, *added: Block, removed: tuple[Block, ...] = ()) -> Observation:
        self.head(*added, removed=removed)
        before = len(self.seen)
        await self.feed.turn()
        assert len(self.seen) == before + 1
        return self.seen[-1]

    async def accept(self) -> IntentNumber:
        """An intent of the strategy, through a decision of its own."""
        self.answer = lambda seen: Decision(NAME, seen.seq, 0, (direct_plan(),))
        await self.observe(block(1))
        self.answer = nothing
        (row,) = await self.ledger.read(lambda tx: tx.intents.listing(2))
        return row.number

    async def happen(self, kind: str, number: IntentNumber | None, **data: str | int | bool | None) -> None:
        content: EventData = {"block_hash": hex_text(block(2).hash), **data}
        subject = NAME if number is not None else "somebody"
        await self.ledger.write(lambda tx: tx.events.append(kind, CHAIN_ID, subject, number, content, NOW_S))


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    clock = SimpleNamespace(now_s=lambda: NOW_S)
    ledger = Ledger.open(
        LedgerSettings("sqlite://"),
        clock=clock,
        entropy=SystemEntropy(),
        inline=True,
    )
    yield Rig(ledger)
    await ledger.close()


def raising(error: Exception) -> Answer:
    def answer(_: Observation) -> Decision:
        raise error

    return answer


# --------------------------------------------------------------------- heads, reads, timers


async def test_heads_coalesce_while_nothing_is_due(rig: Rig) -> None:
    rig.declared = (Subscription(CHAIN_ID, every_heads=3),)
    rig.head(block(1), block(2))
    await rig.feed.turn()
    assert rig.seen == []
    observed = await rig.observe(block(3))
    assert (observed.cause, observed.block) == (Cause.HEAD, block(3))


async def test_observation_that_cannot_be_read_is_made_at_the_next_turn_with_all_that_gathered(
    rig: Rig,
) -> None:
    rig.declared = (Subscription(CHAIN_ID, reads=(Read("r", KEY, b""),), logs=(FILTER,)),)
    rig.node.logs[block(1).hash] = [log(block(1))]
    rig.head(block(1))
    await rig.feed._fetch_logs()
    rig.node.fault = BROKEN
    await rig.feed.turn()
    assert rig.seen == []
    rig.node.fault = None
    observed = await rig.observe(block(2), removed=())
    assert observed.logs == (log(block(1)),)
    assert observed.gaps == ()
    assert observed.reads == {"r": block(2).hash}


async def test_timer_that_is_due_is_told_until_a_decision_stands(rig: Rig) -> None:
    rig.answer = lambda seen: Decision(NAME, seen.seq, 0, timers=(Timer("t", NOW_S + 5),))
    await rig.observe(block(1))
    rig.now_s += 10
    rig.answer = raising(StrategyError("no idea", NAME, "think"))
    assert (await rig.observe(block(2))).timers == ("t",)
    rig.answer = nothing
    observed = await rig.observe(block(3))
    assert (observed.cause, observed.timers) == (Cause.TIMER, ("t",))
    assert (await rig.observe(block(4))).timers == ()


# --------------------------------------------------------------------- intents


@pytest.mark.parametrize(
    ("kind", "status", "state", "finality"),
    [
        ("inclusion.added", True, IntentState.LANDED, Finality.INCLUDED),
        ("inclusion.added", False, IntentState.FAILED, Finality.INCLUDED),
        ("inclusion.safe", True, IntentState.LANDED, Finality.SAFE),
        ("inclusion.removed", True, IntentState.COMMITTED, None),
        ("intent.landed", None, IntentState.LANDED, Finality.FINAL),
        ("intent.refused", None, IntentState.REFUSED, None),
    ],
)
async def test_what_happened_to_an_intent_is_told_by_its_fate_and_firmness(
    rig: Rig, kind: str, status: bool | None, state: IntentState, finality: Finality | None
) -> None:
    number = await rig.accept()
    await rig.happen(kind, number, status=status)
    observed = await rig.observe(block(2))
    assert observed.cause is Cause.INTENT
    assert observed.intents == (IntentEvent("k", state, finality, block(2).hash, kind, None),)


async def test_included_intent_is_alive_again_when_a_reorg_takes_it_away(rig: Rig) -> None:
    number = await rig.accept()
    own = OwnIntents(("k",))
    await rig.happen("inclusion.added", number, status=True)
    own = own.after(await rig.observe(block(2)), 5)
    assert own.is_quiet(2)
    await rig.happen("inclusion.removed", number, status=True)
    own = own.after(await rig.observe(block(2, 1), removed=(block(2),)), 5)
    assert own.alive == ("k",)


async def test_intent_events_are_told_until_a_decision_stands_and_then_no_more(rig: Rig) -> None:
    number = await rig.accept()
    await rig.happen("intent.refused", number)
    rig.answer = raising(StrategyError("no idea", NAME, "think"))
    assert len((await rig.observe(block(2))).intents) == 1
    rig.answer = nothing
    assert len((await rig.observe(block(3))).intents) == 1
    assert (await rig.observe(block(4))).intents == ()


async def test_events_of_others_never_hide_ones_own(rig: Rig) -> None:
    number = await rig.accept()
    for _ in range(EVENT_BATCH_MAX + 1):
        await rig.happen("inclusion.added", None, status=True)
    await rig.happen("intent.refused", number)
    assert (await rig.observe(block(2))).intents == ()
    await rig.feed.turn()
    assert [event.state for event in rig.seen[-1].intents] == [IntentState.REFUSED]


# --------------------------------------------------------------------- logs


async def test_logs_of_every_added_block_come_once_and_in_order(rig: Rig) -> None:
    rig.declared = (Subscription(CHAIN_ID, every_heads=9, logs=(FILTER, FILTER)),)
    rig.node.logs = {
        block(1).hash: [log(block(1), 4), log(block(1), 2)],
        block(2).hash: [log(block(2), 0)],
    }
    observed = await rig.observe(block(1), block(2))
    assert observed.cause is Cause.LOGS
    assert [(one.block_number, one.log_index) for one in observed.logs] == [(1, 2), (1, 4), (2, 0)]
    assert observed.gaps == ()
    rig.head(block(3))
    await rig.feed.turn()
    assert rig.node.asked == [block(1).hash, block(2).hash, block(3).hash]
    assert len(rig.seen) == 1


async def test_nobody_asks_for_logs_that_nobody_wants(rig: Rig) -> None:
    await rig.observe(block(1))
    assert rig.node.asked == []


async def test_logs_that_cannot_be_had_are_a_gap(rig: Rig) -> None:
    rig.declared = WATCHING
    rig.node.fault = BROKEN
    observed = await rig.observe(block(1), block(2))
    assert observed.gaps == (LogGap(CHAIN_ID, 2),)
    rig.node.fault = None
    assert (await rig.observe(block(3))).gaps == ()


async def test_blocks_that_the_follower_skipped_are_a_gap(rig: Rig) -> None:
    rig.declared = WATCHING
    rig.head(block(500), skipped=7)
    await rig.feed.turn()
    assert rig.seen[-1].gaps == (LogGap(CHAIN_ID, 7),)


async def test_more_logs_than_the_bound_are_a_gap(rig: Rig) -> None:
    rig.declared = WATCHING
    rig.node.logs[block(1).hash] = [log(block(1), index) for index in range(LOGS_PENDING_MAX + 3)]
    observed = await rig.observe(block(1))
    assert len(observed.logs) == LOGS_PENDING_MAX
    assert observed.gaps == (LogGap(CHAIN_ID, 3),)


async def test_more_blocks_than_are_kept_are_a_gap(rig: Rig) -> None:
    rig.declared = WATCHING
    observed = await rig.observe(*(block(number) for number in range(1, HEADS_KEPT + 2)))
    assert observed.gaps == (LogGap(CHAIN_ID, HEADS_KEPT + 1),)
    assert rig.node.asked == []


async def test_logs_of_a_block_that_is_gone_are_not_told_and_its_hash_is(rig: Rig) -> None:
    rig.declared = (Subscription(CHAIN_ID, every_heads=9, logs=(FILTER,)),)
    rig.node.logs = {block(2).hash: [log(block(2))], block(2, 1).hash: [log(block(2, 1))]}
    rig.head(block(1), block(2))
    await rig.feed._fetch_logs()
    observed = await rig.observe(block(2, 1), removed=(block(2),))
    assert observed.cause is Cause.ROLLBACK
    assert observed.removed == (block(2).hash,)
    assert observed.logs == (log(block(2, 1)),)


# --------------------------------------------------------------------- what a failure costs


@pytest.mark.parametrize(
    "error", [StrategyError("no idea", NAME, "think"), LedgerLockedError("locked", "ledger", "wait")]
)
async def test_lost_logs_are_a_gap_and_lost_reorgs_are_told_again(rig: Rig, error: Exception) -> None:
    rig.declared = WATCHING
    rig.node.logs[block(2, 1).hash] = [log(block(2, 1))]
    await rig.observe(block(1), block(2))
    rig.answer = raising(error)
    await rig.observe(block(2, 1), removed=(block(2),))
    rig.answer = nothing
    observed = await rig.observe(block(3, 1))
    assert observed.logs == ()
    assert observed.gaps == (LogGap(CHAIN_ID, 1),)
    assert observed.removed == (block(2).hash,)
    after = await rig.observe(block(4, 1))
    assert (after.gaps, after.removed) == ((), ())


async def test_reorgs_that_a_dead_strategy_misses_are_bounded(rig: Rig) -> None:
    rig.answer = raising(StrategyError("no idea", NAME, "think"))
    for number in range(1, HEADS_KEPT + 11):
        await rig.observe(block(number, 1), removed=(block(number),))
    rig.answer = nothing
    observed = await rig.observe(block(HEADS_KEPT + 11))
    assert len(observed.removed) == HEADS_KEPT
    assert observed.removed[-1] == block(HEADS_KEPT + 10).hash
    assert observed.gaps == (LogGap(CHAIN_ID, 10),)


async def test_decision_replaces_subscriptions_and_a_failure_restores_the_declared(rig: Rig) -> None:
    rig.answer = lambda seen: Decision(NAME, seen.seq, 0, subscriptions=WATCHING)
    await rig.observe(block(1))
    rig.answer = nothing
    await rig.observe(block(2))
    assert rig.node.asked == [block(2).hash]
    rig.answer = raising(StrategyError("no idea", NAME, "think"))
    await rig.observe(block(3))
    rig.answer = nothing
    await rig.observe(block(4))
    assert rig.node.asked == [block(2).hash, block(3).hash]


async def test_decision_that_is_refused_replaces_no_subscriptions(rig: Rig) -> None:
    rig.answer = lambda seen: Decision(NAME, seen.seq, 7, state=b"s", subscriptions=WATCHING)
    await rig.observe(block(1))
    assert rig.feed.failures == 1
    rig.answer = nothing
    await rig.observe(block(2))
    assert rig.node.asked == []


async def test_strategy_that_is_not_running_is_no_failure_and_loses_nothing(rig: Rig) -> None:
    rig.declared = WATCHING
    rig.node.logs[block(1).hash] = [log(block(1))]
    rig.answer = raising(StrategyNotRunningError("it is starting", NAME, "observe again later"))
    await rig.observe(block(1))
    assert rig.feed.failures == 0
    rig.answer = nothing
    assert (await rig.observe(block(2))).gaps == (LogGap(CHAIN_ID, 1),)


async def test_loaded_strategy_reads_at_once(rig: Rig) -> None:
    rig.declared = (Subscription(CHAIN_ID, every_heads=9, logs=(FILTER,)),)
    rig.head(block(1))
    await rig.feed.turn()
    assert rig.seen == []
    rig.feed.on_loaded()
    await rig.feed.turn()
    (observed,) = rig.seen
    assert (observed.cause, observed.gaps) == (Cause.HEAD, (LogGap(CHAIN_ID, 1),))


async def test_decision_of_another_observation_is_refused(rig: Rig) -> None:
    rig.answer = lambda seen: Decision(NAME, seen.seq + 1, 0, (direct_plan(),))
    await rig.observe(block(1))
    assert rig.feed.failures == 1
    assert await rig.ledger.read(lambda tx: tx.intents.listing(1)) == []


# --------------------------------------------------------------------- skipped blocks


async def test_logs_of_skipped_blocks_are_replayed_before_those_of_the_new_ones(rig: Rig) -> None:
    rig.declared = WATCHING
    missed, new = block(50), block(301)
    rig.node.logs[new.hash] = [log(new)]
    asked: list[tuple[Span, int]] = []

    async def replay(wanted: Sequence[LogFilter], span: Span, logs_max: int) -> list[Log] | None:
        assert wanted == (FILTER,)
        asked.append((span, logs_max))
        return [log(missed)]

    rig.feed.replay = replay
    rig.head(new, skipped=298)
    await rig.feed.turn()
    (observed,) = rig.seen
    assert asked == [(Span(3, 300), LOGS_PENDING_MAX)]
    assert (observed.logs, observed.gaps) == ((log(missed), log(new)), ())


@pytest.mark.parametrize("answer", [None, BROKEN], ids=["too many", "not to be had"])
async def test_skipped_logs_that_cannot_be_replayed_are_a_gap(rig: Rig, answer: Exception | None) -> None:
    rig.declared = WATCHING

    async def replay(wanted: Sequence[LogFilter], span: Span, logs_max: int) -> list[Log] | None:
        if answer is not None:
            raise answer
        return None

    rig.feed.replay = replay
    rig.head(block(301), skipped=298)
    await rig.feed.turn()
    assert rig.seen[-1].gaps == (LogGap(CHAIN_ID, 298),)
    rig.head(block(40_000), skipped=SKIPPED_BLOCKS_MAX + 1)
    await rig.feed.turn()
    assert rig.seen[-1].gaps == (LogGap(CHAIN_ID, SKIPPED_BLOCKS_MAX + 1),)


# --------------------------------------------------------------------- sightings


SEEN_BEFORE = Sighting(
    CHAIN_ID, SightingKind.POOL, "pool", 0, Hash(bytes(32)), target=KEY, calldata=b"\xa9\x05\x9c\xbb"
)


def subscribed(*wanted: SightingFilter) -> tuple[Subscription, ...]:
    return (Subscription(CHAIN_ID, reads=(Read("r", KEY, b""),), sightings=wanted),)


@pytest.mark.parametrize(
    ("wanted", "is_told"),
    [
        (SightingFilter(), True),
        (SightingFilter(("pool",), (KEY,), (b"\xa9\x05\x9c\xbb",)), True),
        (SightingFilter(("flow",)), False),
        (SightingFilter((), (Address(b"\x99" * 20),)), False),
        (SightingFilter((), (), (b"\x12\x34\x56\x78",)), False),
    ],
)
async def test_sighting_that_is_subscribed_to_wakes_with_its_age_on_the_present_block(
    rig: Rig, wanted: SightingFilter, is_told: bool
) -> None:
    rig.declared = subscribed(wanted)
    await rig.observe(block(1))
    rig.feed.on_sighting(Heard(SEEN_BEFORE, rig.monotonic_s))
    rig.monotonic_s += 0.25
    await rig.feed.turn()
    if not is_told:
        assert len(rig.seen) == 1
        return
    observed = rig.seen[-1]
    assert (observed.cause, observed.block) == (Cause.SIGHTING, block(1))
    assert [(one.source, one.age_ms) for one in observed.sightings] == [("pool", 250)]
    assert observed.reads == {"r": block(1).hash}
    assert rig.node.called == 1  # of this block once


async def test_without_a_subscription_nothing_is_woken_by_sightings(rig: Rig) -> None:
    await rig.observe(block(1))
    rig.feed.on_sighting(Heard(SEEN_BEFORE, 0.0))
    await rig.feed.turn()
    assert len(rig.seen) == 1


async def test_more_sightings_than_wait_are_counted_and_lost_ones_too(rig: Rig) -> None:
    rig.declared = subscribed(SightingFilter())
    await rig.observe(block(1))
    for _ in range(SIGHTINGS_WAITING_MAX + 3):
        rig.feed.on_sighting(Heard(SEEN_BEFORE, 0.0))
    rig.answer = raising(StrategyError("no idea", NAME, "think"))
    await rig.feed.turn()
    assert (len(rig.seen[-1].sightings), rig.seen[-1].sightings_dropped) == (SIGHTINGS_WAITING_MAX, 3)
    rig.answer = nothing
    observed = await rig.observe(block(2))
    assert (observed.sightings, observed.sightings_dropped) == ((), SIGHTINGS_WAITING_MAX + 3)


async def test_stream_of_sightings_asks_a_strategy_a_bounded_number_of_times(rig: Rig) -> None:
    rig.declared = subscribed(SightingFilter())
    await rig.observe(block(1))
    begin_s = rig.monotonic_s

    def another(observation: Observation) -> Decision:
        rig.feed.on_sighting(Heard(SEEN_BEFORE, rig.monotonic_s))
        return nothing(observation)

    rig.answer = another
    rig.feed.on_sighting(Heard(SEEN_BEFORE, begin_s))
    running = asyncio.create_task(rig.feed.run())
    while rig.monotonic_s < begin_s + 10 * SIGHTINGS_APART_S:  # noqa: ASYNC110  (a clock of the test)
        await asyncio.sleep(0)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running
    assert 9 <= len(rig.seen) - 1 <= 12


# --------------------------------------------------------------------- history


KEPT = "transfers"


async def keep(rig: Rig, to_block: int, *numbers: int) -> None:
    """The kept logs go on to `to_block`, with one log in each of the blocks named."""
    name = f"{CHAIN_ID}:{KEPT}"
    source = await rig.ledger.write(lambda tx: tx.logs.open(name, CHAIN_ID, bytes(32), 1))
    logs = tuple(log(block(number)) for number in numbers)
    piece = LogPiece(source.next_block, to_block, block(to_block).hash, logs)
    await rig.ledger.write(lambda tx: tx.logs.append(source, piece, -1))


def with_history(rig: Rig) -> None:
    rig.declared = (Subscription(CHAIN_ID, logs=(FILTER,), history=(KEPT,)),)
    rig.feed.kept = frozenset({KEPT})


async def test_history_is_told_in_whole_blocks_before_live_logs_and_says_when_it_ends(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histories, "HISTORY_LOGS_MAX", 3)
    with_history(rig)
    await keep(rig, 6, 1, 2, 3, 4, 6)
    rig.desk.head = block(6)
    rig.feed.on_loaded()
    rig.node.logs[block(7).hash] = [log(block(7))]
    rig.head(block(7))
    while not rig.seen or rig.seen[-1].is_history:
        await rig.feed.turn()
    told = [([one.block_number for one in seen.logs], seen.is_history) for seen in rig.seen]
    assert told == [([1, 2], True), ([3, 4], True), ([6], True), ([7], False)]
    assert all(seen.gaps == () for seen in rig.seen)


async def test_history_waits_for_what_is_not_gathered_yet(rig: Rig) -> None:
    with_history(rig)
    await keep(rig, 3, 2)
    rig.desk.head = block(5)
    rig.feed.on_loaded()
    await rig.feed.turn()
    await rig.feed.turn()
    assert [[one.block_number for one in seen.logs] for seen in rig.seen] == [[2]]
    await keep(rig, 5, 4)
    observed = await rig.observe(block(6))
    assert ([one.block_number for one in observed.logs], observed.is_history) == ([4], True)
    await rig.feed.turn()
    assert not rig.seen[-1].is_history


async def test_history_ends_before_what_a_reorg_replaced(rig: Rig) -> None:
    with_history(rig)
    await keep(rig, 6, 2, 5)
    rig.desk.head = block(6)
    rig.feed.on_loaded()
    again = [block(5, 1), block(6, 1), block(7, 1)]
    rig.node.logs[again[0].hash] = [log(again[0])]
    rig.head(*again, removed=(block(6), block(5)))
    while not rig.seen or rig.seen[-1].is_history:
        await rig.feed.turn()
    assert [one.block_number for seen in rig.seen for one in seen.logs if seen.is_history] == [2]
    assert rig.seen[-1].logs == (log(again[0]),)


async def test_chapter_that_the_strategy_did_not_take_in_is_told_again_and_is_no_gap(rig: Rig) -> None:
    with_history(rig)
    await keep(rig, 6, 2)
    rig.desk.head = block(6)
    rig.feed.on_loaded()
    rig.answer = raising(StrategyNotRunningError("it starts", NAME, "wait"))
    await rig.feed.turn()
    rig.answer = nothing
    await rig.feed.turn()
    assert [one.block_number for one in rig.seen[1].logs] == [2]
    assert rig.seen[1].gaps == ()


async def test_name_that_nobody_keeps_is_a_gap_and_no_history(rig: Rig) -> None:
    rig.declared = (Subscription(CHAIN_ID, history=("unheard",)),)
    rig.desk.head = block(6)
    rig.feed.on_loaded()
    await rig.feed.turn()
    assert (rig.seen[0].is_history, rig.seen[0].gaps) == (False, (LogGap(CHAIN_ID, 1),))
