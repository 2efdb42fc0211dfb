"""Feeds: what each strategy gets to see, one observation at a time.

While an observation is out, heads coalesce (only the newest matters), logs and intent events gather.
Everything in an observation is of one block hash. A decision is committed by intake before the next
observation is built, so that a strategy never sees a state that its last decision did not survive.

Logs are fetched block by block, by hash, before the observation that carries them; those of blocks that were
skipped are replayed by range (`chain.logs.replay`). Logs that could not be had, that are too many, or that
went out with an observation whose decision was lost become a `LogGap`: the strategy reads again what they
would have told. Intent events and timers are never lost: they stand in the ledger until a decision that saw
them is committed.

A strategy that names kept logs is told their history after each load (`runtime.histories`), whole blocks at a
time, before any live log; until it has all of it, observations say so.

Sightings (what comes before a block) wake a strategy that subscribed to them, at most every
`SIGHTINGS_APART_S`. They wait, bounded, and are never told again: an old one is worth nothing. While the
block stays the same, its reads are answered once.

In a fleet a strategy is loaded in every kernel, and asked only in the one that holds its lane. A kernel that
gained it goes on where the last one's commits stand; what it did not see itself is told as a gap."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from seawall.chain.heads import HeadChange
from seawall.chain.logs.planner import Span
from seawall.chain.pending import Heard, Waiting
from seawall.ledger import Ledger
from seawall.ledger.rows import EventRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block, Log, LogFilter, Read
from seawall.primitives.bounds import EVENT_BATCH_MAX, HEADS_KEPT, LOGS_PENDING_MAX
from seawall.primitives.errors import (
    BackPressureError,
    ChainError,
    FenceLostError,
    LedgerError,
    PlanError,
    SeawallError,
    StateVersionError,
    StrategyError,
    nothing_was_stored,
)
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import Cause, Decision, IntentEvent, LogGap, Observation, Subscription
from seawall.primitives.units import Hash, hash_from_text
from seawall.runtime.configuration.logs import source_name
from seawall.runtime.histories import Chapter, History
from seawall.runtime.hosts.errors import StrategyNotRunningError
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.desk import Desk
from seawall.transactions.intake import Intake

__all__ = ["SIGHTINGS_APART_S", "SKIPPED_BLOCKS_MAX", "Feed", "Replay", "StrategyPort"]

# A strategy is asked about sightings alone no more often than this.
SIGHTINGS_APART_S: Final = 0.02
# Skipped blocks whose logs are replayed; what is more is a gap.
SKIPPED_BLOCKS_MAX: Final = 20_000

_INTENT_EVENTS: Final = (
    "intent.refused",
    "intent.expired",
    "intent.cancelled",
    "intent.landed",
    "intent.failed",
    "intent.committed",
    "inclusion.added",
    "inclusion.removed",
    "inclusion.safe",
)
_log = get_logger(__name__)


Replay = Callable[[Sequence[LogFilter], Span, int], Awaitable[list[Log] | None]]
"""Logs of skipped blocks, up to so many; None if there are more."""


class StrategyPort(Protocol):
    """A strategy, wherever it runs."""

    async def decide(self, observation: Observation, state: bytes, state_version: int) -> Decision:
        """Raises `StrategyError` if the strategy failed, hung, or is stopped."""
        ...


@dataclass(slots=True)
class _Gathered:
    """What waits for the next observation and stands in no ledger."""

    logs: list[Log] = field(default_factory=list)
    dropped: int = 0  # logs, or blocks of them, that must be read again
    removed: list[Hash] = field(default_factory=list)
    is_head_due: bool = False

    def forget_blocks(self, hashes: set[Hash]) -> None:
        """A log of a block that is gone is no news any more."""
        self.logs = [log for log in self.logs if log.block_hash not in hashes]

    def add_removed(self, hashes: list[Hash]) -> None:
        """Of a strategy that has not answered for long, the newest; the others' logs must be read again."""
        self.removed += hashes
        over = max(0, len(self.removed) - HEADS_KEPT)
        del self.removed[:over]
        self.dropped += over

    def add_logs(self, logs: list[Log]) -> None:
        room = LOGS_PENDING_MAX - len(self.logs)
        self.logs += logs[:room]
        self.dropped += max(0, len(logs) - room)

    def put_before(self, later: _Gathered) -> None:
        """Take up what gathered after it, as if this had never been taken out."""
        self.forget_blocks(set(later.removed))
        self.add_removed(later.removed)
        self.dropped += later.dropped
        self.add_logs(later.logs)
        self.is_head_due = self.is_head_due or later.is_head_due


@dataclass(slots=True)
class Feed:
    """One strategy on one chain."""

    strategy: str
    port: StrategyPort
    desk: Desk
    intake: Intake
    ledger: Ledger
    on_accepted: Callable[[], None]
    declared: Callable[[str], tuple[Subscription, ...]]  # what the strategy asked for when it was last loaded
    lane: Lane | None = None  # where its plans go: without it the strategy is not asked; None: always asked
    is_shared: bool = False  # a database that vanishes is waited for, since other kernels go on meanwhile
    replay: Replay | None = None  # without it skipped blocks are a gap
    kept: frozenset[str] = frozenset()  # names of the logs that are kept on this chain
    kept_in: Ledger | None = None  # None: in `ledger`
    seq: int = 0
    failures: int = 0
    note: str = ""  # why the strategy's last look brought no plan, with its block
    _replaced: tuple[Subscription, ...] | None = None  # by a decision
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _gathered: _Gathered = field(default_factory=_Gathered)
    _log_blocks: list[Block] = field(default_factory=list)  # whose logs are still to be fetched
    _heads: int = 0
    _commands: list[str] = field(default_factory=list)
    _events_passed: int = 0  # events up to here were looked at, and none of them is ours
    _fence: int = 0  # under which it was asked last
    _doubted: Observation | None = None  # its decision may be stored or not
    _skipped: Span | None = None  # blocks whose logs are still to be replayed
    _waiting: Waiting = field(default_factory=Waiting)
    _is_pressed: bool = False  # something else than a sighting is due
    _turned_s: float = -SIGHTINGS_APART_S
    _history: History | None = None
    _chapter: Chapter | None = None  # of the history, in the observation that is out
    _read: tuple[Block, tuple[Read, ...], dict[str, bytes | None]] | None = None  # the last answers

    def on_head(self, change: HeadChange) -> None:
        """Called with the desk at the new head."""
        wanted, gone = self._subscription(), {block.hash for block in change.removed}
        self._gathered.add_removed([block.hash for block in change.removed])
        self._gathered.forget_blocks(gone)
        self._log_blocks = [block for block in self._log_blocks if block.hash not in gone]
        if wanted.logs:
            self._log_blocks += change.added
            self._skip(change)
        if len(self._log_blocks) > HEADS_KEPT:
            self._gathered.dropped += len(self._log_blocks)
            self._log_blocks.clear()
        if self._history is not None and change.added:
            self._history.ends_before(change.added[0].number)
        self._heads += len(change.added)
        if change.removed or self._heads >= wanted.every_heads:
            self._heads, self._gathered.is_head_due = 0, True
        self._press()

    def on_sighting(self, heard: Heard) -> None:
        """Called for everything that is heard before a block on this chain."""
        if any(one.admits(heard.sighting) for one in self._subscription().sightings):
            self._waiting.add(heard)
            self._due.set()

    def on_loaded(self) -> None:
        """The strategy was loaded, first or again: it knows nothing, and wants what it declared."""
        self._replaced = None
        self._gathered.is_head_due = True
        self._begin_history()
        if self._subscription().logs and self._history is None:
            self._gathered.dropped += 1
        self._press()

    def command(self, text: str) -> None:
        self._commands.append(text)
        self._press()

    async def start(self) -> None:
        """Go on counting where the ledger's last known observation was."""
        name = self._cursor("seq")
        self.seq = await self.ledger.read(lambda tx: tx.events.cursor(name))

    async def run(self) -> None:
        while True:
            await self._due.wait()
            clock = self.desk.parts.clock
            early_s = self._turned_s + SIGHTINGS_APART_S - clock.monotonic_s()
            if early_s > 0 and not self._is_pressed:
                await clock.sleep_s(early_s)
            self._due.clear()
            self._is_pressed = False
            await self.turn()
            self._turned_s = clock.monotonic_s()

    async def turn(self) -> None:
        """Build the observation that is due, if any, let the strategy decide, and commit the decision."""
        observation = None
        try:
            await self._resolve_doubt()
            if not await self._is_ours():
                return
            observation, (version, state), cursor = await self._observation()
            if observation is None:
                return
            with self.desk.parts.metrics.timing(Stage.DECIDE):
                decision = await self.port.decide(observation, state, version)
            self._pass_chapter()
            correlation_id = f"{self.strategy}-{observation.seq}"
            with correlated(correlation_id):
                await self._commit(decision, correlation_id, observation, cursor)
            self.failures = 0
        except ChainError as trouble:
            _log.warning("observation_put_off", strategy=self.strategy, cause=str(trouble))
        except BackPressureError as trouble:
            self._not_stored(observation, trouble)
        except FenceLostError:
            # Nothing of it was stored: whoever holds the lane now asks its own host.
            if observation is not None:
                self._lose(observation)
            _log.warning("lane_lost", strategy=self.strategy)
        except StrategyNotRunningError as waiting:
            # Health tells of it; a head is no news about it.
            assert observation is not None
            self._lose(observation)
            _log.debug("strategy_waits", strategy=self.strategy, cause=str(waiting))
        except (StrategyError, PlanError, StateVersionError) as error:
            self.failures += 1
            if isinstance(error, StrategyError):
                self._replaced = None
            if observation is not None:
                self._lose(observation)
            self.desk.parts.metrics.strategy_failed(self.strategy)
            _log.error("decision_rejected", strategy=self.strategy, cause=str(error))
        except LedgerError as trouble:
            if nothing_was_stored(trouble):
                self._not_stored(observation, trouble)
            elif not self.is_shared:
                raise
            elif observation is None:
                _log.warning("observation_put_off", strategy=self.strategy, cause=str(trouble))
            else:
                self._doubted = observation
                _log.error("decision_in_doubt", strategy=self.strategy, cause=str(trouble))

    def _not_stored(self, observation: Observation | None, trouble: SeawallError) -> None:
        """Nothing of it was stored: the strategy decides anew at the next head, when there may be room."""
        if observation is not None:
            self._lose(observation)
        _log.warning("decision_not_stored", strategy=self.strategy, cause=str(trouble))

    async def _resolve_doubt(self) -> None:
        """A commit whose answer was lost either took place or did not: the ledger knows."""
        if self._doubted is None:
            return
        name = self._cursor("seq")
        if await self.ledger.read(lambda tx: tx.events.cursor(name)) < self._doubted.seq:
            self._lose(self._doubted)
        else:
            self.on_accepted()
        self._doubted = None

    async def _is_ours(self) -> bool:
        """Whether this kernel holds the strategy's lane. Newly gained, the ledger says how far another
        kernel's decisions went."""
        if self.lane is None:
            return True
        fence = self.desk.fences.get(self.lane, 0)
        if fence != self._fence and fence:
            await self.start()
            if self._fence:
                self.on_loaded()
            self._events_passed = 0
        if fence:
            self._fence = fence
        return fence > 0

    def _lose(self, observation: Observation) -> None:
        """Nobody knows how much of it the strategy took in: reorgs are told again, logs must be read
        again."""
        # What was told of the history is told again if it was not taken in.
        dropped = 0 if observation.is_history else len(observation.logs)
        dropped += sum(gap.dropped for gap in observation.gaps)
        self._waiting.dropped += len(observation.sightings) + observation.sightings_dropped
        lost = _Gathered(dropped=dropped)
        lost.add_removed(list(observation.removed))
        lost.put_before(self._gathered)
        self._gathered = lost

    async def _observation(self) -> tuple[Observation | None, tuple[int, bytes], int]:
        await self._fetch_logs()
        # Nothing is awaited between these two: what gathered is what led to this block.
        block = self.desk.base()
        gathered, self._gathered = self._gathered, _Gathered()
        try:
            with self.desk.parts.metrics.timing(Stage.OBSERVE):
                return await self._observation_of(block, gathered)
        except BaseException:
            gathered.put_before(self._gathered)
            self._gathered = gathered
            raise

    async def _observation_of(
        self, block: Block, gathered: _Gathered
    ) -> tuple[Observation | None, tuple[int, bytes], int]:
        now_s = self.desk.parts.clock.now_s()
        events, timers, state, cursor = await self.ledger.read(lambda tx: self._due_in_ledger(tx, now_s))
        if len(events) == EVENT_BATCH_MAX:
            self._press()
        own = [event for event in events if event.subject == self.strategy]
        logs, is_history = await self._logs(gathered)
        cause = self._cause(gathered, bool(own), bool(timers), bool(logs))
        if cause is None:
            self._gathered.dropped += gathered.dropped
            self._events_passed = cursor
            self._pass_chapter()
            return None, state, cursor
        reads = await self._reads(block)
        intents = await self._intent_events(own)
        if not own:
            self._events_passed = cursor
        self.seq += 1
        sightings, sightings_dropped = self._waiting.take(self.desk.parts.clock)
        observation = Observation(
            self.strategy,
            self.seq,
            cause,
            now_s,
            block,
            reads,
            logs,
            (LogGap(block.chain_id, gathered.dropped),) if gathered.dropped else (),
            intents,
            tuple(timers),
            tuple(gathered.removed),
            self._commands.pop(0) if self._commands else "",
            sightings,
            sightings_dropped,
            is_history,
        )
        return observation, state, cursor

    def _due_in_ledger(
        self, tx: Transaction, now_s: int
    ) -> tuple[list[EventRow], list[str], tuple[int, bytes], int]:
        """New events of intents, timers of ours that are due, our state, and how far the events were read."""
        after = max(tx.events.cursor(self._cursor("events")), self._events_passed)
        events = tx.events.after(after, EVENT_BATCH_MAX, _INTENT_EVENTS)
        timers = [t.name for t in tx.timers.due(now_s) if t.strategy == self.strategy]
        return events, timers, tx.states.get(self.strategy), events[-1].seq if events else after

    async def _logs(self, gathered: _Gathered) -> tuple[tuple[Log, ...], bool]:
        """The logs of the next observation, and whether they are history. While there is some, live logs are
        held back."""
        self._chapter = None
        if self._history is None:
            return tuple(gathered.logs), False
        held = _Gathered(gathered.logs)
        gathered.logs = []
        held.put_before(self._gathered)
        self._gathered = held
        self._chapter = await self._history.next_chapter(self.kept_in or self.ledger)
        return (() if self._chapter is None else self._chapter.logs), True

    def _begin_history(self) -> None:
        """The strategy knows nothing: it is told what is kept up to the present head, then what is newer."""
        self._history, self._chapter = None, None
        network, names = self.desk.parts.network, self._subscription().history
        unknown = [name for name in names if name not in self.kept]
        if unknown:
            _log.error("history_not_kept", strategy=self.strategy, logs=unknown, chain=network.name)
            self._gathered.dropped += len(unknown)
        known = [source_name(network.chain_id, name) for name in names if name in self.kept]
        if known:
            head = self.desk.head
            self._history = History(known, None if head is None else head.number)
            self._log_blocks.clear()
            self._gathered.logs.clear()

    def _pass_chapter(self) -> None:
        """The strategy took it in, or there was nothing in it to tell."""
        if self._history is None or self._chapter is None:
            return
        self._history.passed(self._chapter)
        self._chapter = None
        if self._history.is_told:
            self._history, self._gathered.is_head_due = None, True
        self._press()

    def _cause(
        self, gathered: _Gathered, has_intents: bool, has_timers: bool, has_logs: bool
    ) -> Cause | None:
        if gathered.removed:
            return Cause.ROLLBACK
        if self._commands:
            return Cause.COMMAND
        if has_intents:
            return Cause.INTENT
        if has_timers:
            return Cause.TIMER
        if has_logs:
            return Cause.LOGS
        if gathered.is_head_due:
            return Cause.HEAD
        return Cause.SIGHTING if len(self._waiting) else None

    def _press(self) -> None:
        """Something is due that waits for nothing."""
        self._is_pressed = True
        self._due.set()

    def _skip(self, change: HeadChange) -> None:
        """Blocks that the heads do not tell: their logs are replayed, unless they are too many."""
        if not change.skipped:
            return
        last = change.added[0].number - 1
        first = last - change.skipped + 1
        if self._skipped is not None:
            first = min(first, self._skipped.first)
        if self.replay is None or last - first >= SKIPPED_BLOCKS_MAX:
            self._gathered.dropped += last - first + 1
            self._skipped = None
        else:
            self._skipped = Span(first, last)

    async def _replay_skipped(self) -> None:
        span, filters = self._skipped, self._subscription().logs
        if span is None or self.replay is None:
            return
        logs: list[Log] | None = None
        try:
            logs = await self.replay(filters, span, LOGS_PENDING_MAX) if filters else []
        except ChainError as trouble:
            _log.warning("logs_missed", strategy=self.strategy, block=span.first, cause=str(trouble))
        if self._skipped is not span:
            return  # more was skipped meanwhile: all of it is replayed at the next turn
        self._skipped = None
        if logs is None:
            self._gathered.dropped += span.blocks
        else:
            self._gathered.add_logs(logs)

    async def _fetch_logs(self) -> None:
        """Logs of every block since the last look. What cannot be had is told as a gap."""
        await self._replay_skipped()
        while self._log_blocks:
            block, filters = self._log_blocks[0], self._subscription().logs
            try:
                found = await self.desk.parts.client.logs_of(filters, block.hash) if filters else []
            except ChainError as trouble:
                _log.warning("logs_missed", strategy=self.strategy, block=block.number, cause=str(trouble))
                self._gathered.dropped += len(self._log_blocks)
                self._log_blocks.clear()
                return
            if self._log_blocks and self._log_blocks[0] is block:  # else a reorg took it away meanwhile
                del self._log_blocks[0]
                by_index = {log.log_index: log for logs in found for log in logs}
                self._gathered.add_logs([by_index[index] for index in sorted(by_index)])

    async def _reads(self, block: Block) -> dict[str, bytes | None]:
        reads: tuple[Read, ...] = self._subscription().reads
        if not reads:
            return {}
        if self._read is None or self._read[:2] != (block, reads):
            self._read = (block, reads, await self.desk.parts.client.call_at(reads, block))
        return dict(self._read[2])

    async def _intent_events(self, events: list[EventRow]) -> tuple[IntentEvent, ...]:
        numbers = [event.intent for event in events if event.intent is not None]
        rows = await self.ledger.read(lambda tx: {number: tx.intents.get(number) for number in numbers})
        found = []
        for event in events:
            if event.intent is None:
                continue
            row = rows[event.intent]
            found.append(
                IntentEvent(
                    row.plan.idempotency_key,
                    _state_of(event),
                    _finality_of(event.kind),
                    hash_from_text(str(event.data["block_hash"])) if "block_hash" in event.data else None,
                    str(event.data.get("reason") or event.kind),
                    row.realised_wei,
                )
            )
        return tuple(found)

    async def _commit(
        self, decision: Decision, correlation_id: str, observation: Observation, cursor: int
    ) -> None:
        if decision.strategy != self.strategy or decision.seq != observation.seq:
            what = (
                f"answered observation {decision.seq} of {decision.strategy!r} instead of {observation.seq}"
            )
            raise StrategyError(what, self.strategy, "a decision must name the observation that it answers")

        def advance(tx: Transaction) -> None:
            if self.lane is None:
                self.desk.require_leases(tx)
            else:
                tx.lanes.require(self.lane, self._fence)
            tx.events.advance(self._cursor("events"), cursor)
            tx.events.advance(self._cursor("seq"), observation.seq)
            tx.timers.remove(self.strategy, observation.timers)

        says_something = decision.plans or decision.state is not None or decision.timers is not None
        # A decision that says nothing about nothing costs no commit: its number may be used again after a
        # restart.
        if says_something or observation.intents or observation.timers:
            await self.intake.accept(decision, correlation_id, advance)
        if decision.subscriptions is not None:
            self._replaced = decision.subscriptions
        if decision.plans:
            self.note = ""
            _log.info("plans_accepted", strategy=self.strategy, plans=len(decision.plans))
            self.on_accepted()
        elif decision.note is not None:
            self.note = f"no plan at block {observation.block.number}: {decision.note}"
            self.desk.parts.metrics.strategy_passed(self.strategy)

    def _subscription(self) -> Subscription:
        """What is wanted of this chain now: the last decision's word, or what was declared at loading."""
        chain_id = self.desk.parts.network.chain_id
        wanted = self.declared(self.strategy) if self._replaced is None else self._replaced
        return next((one for one in wanted if one.chain_id == chain_id), Subscription(chain_id))

    def _cursor(self, what: str) -> str:
        return f"feed:{self.strategy}:{what}"


def _state_of(event: EventRow) -> IntentState:
    """Landed or failed as soon as a block says so; `finality` tells how firmly. A reorg takes it back."""
    if event.kind.startswith("intent."):
        return IntentState(event.kind.removeprefix("intent."))
    if event.kind == "inclusion.removed":
        return IntentState.COMMITTED
    return IntentState.LANDED if event.data["status"] else IntentState.FAILED


def _finality_of(kind: str) -> Finality | None:
    return {
        "inclusion.added": Finality.INCLUDED,
        "inclusion.safe": Finality.SAFE,
        "intent.landed": Finality.FINAL,
        "intent.failed": Finality.FINAL,
    }.get(kind)
