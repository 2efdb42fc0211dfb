"""Feeds: what each strategy gets to see, one observation at a time.

While an observation is out, heads coalesce (only the newest matters), logs and intent events gather.
Everything in an observation is of one block hash. A decision is committed by intake before the next
observation is built, so that a strategy never sees a state that its last decision did not survive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from seawall.chain.heads import HeadChange
from seawall.ledger import Ledger
from seawall.ledger.rows import EventRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.blocks import Block, Log, Read
from seawall.primitives.bounds import EVENT_BATCH_MAX, LOGS_PENDING_MAX
from seawall.primitives.errors import (
    EndpointError,
    PlanError,
    StateVersionError,
    StrategyError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import Cause, Decision, IntentEvent, LogGap, Observation, Subscription
from seawall.primitives.units import Hash, hash_from_text
from seawall.telemetry.logs import correlated, get_logger
from seawall.transactions.desk import Desk
from seawall.transactions.intake import Intake

__all__ = ["Feed", "StrategyPort"]

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


class StrategyPort(Protocol):
    """A strategy, wherever it runs."""

    async def decide(self, observation: Observation, state: bytes, state_version: int) -> Decision:
        """Raises `StrategyError` if the strategy failed, hung, or is stopped."""
        ...


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
    seq: int = 0
    failures: int = 0
    _replaced: tuple[Subscription, ...] | None = None  # by a decision
    _due: asyncio.Event = field(default_factory=asyncio.Event)
    _logs: list[Log] = field(default_factory=list)
    _dropped: int = 0
    _removed: list[Hash] = field(default_factory=list)
    _heads: int = 0
    _commands: list[str] = field(default_factory=list)
    _head_due: bool = False

    def on_head(self, change: HeadChange) -> None:
        """Called with the desk at the new head."""
        self._removed += [block.hash for block in change.removed]
        self._heads += len(change.added)
        if change.removed or self._heads >= self._subscription().every_heads:
            self._heads, self._head_due = 0, True
        self._due.set()

    def command(self, text: str) -> None:
        self._commands.append(text)
        self._due.set()

    async def start(self) -> None:
        """Go on counting where the ledger's last known observation was."""
        name = self._cursor("seq")
        self.seq = await self.ledger.read(lambda tx: tx.events.cursor(name))

    async def run(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            await self.turn()

    async def turn(self) -> None:
        """Build the observation that is due, if any, let the strategy decide, and commit the decision."""
        try:
            observation, (version, state), cursor = await self._observation()
            if observation is None:
                return
            decision = await self.port.decide(observation, state, version)
            correlation_id = f"{self.strategy}-{observation.seq}"
            with correlated(correlation_id):
                await self._commit(decision, correlation_id, observation, cursor)
            self.failures = 0
        except (EndpointError, UnavailableError, UnknownBlockError) as trouble:
            _log.warning("observation_put_off", strategy=self.strategy, cause=str(trouble))
        except (StrategyError, PlanError, StateVersionError) as error:
            self.failures += 1
            self.desk.parts.metrics.strategy_failed(self.strategy)
            _log.error("decision_rejected", strategy=self.strategy, cause=str(error))

    async def _observation(self) -> tuple[Observation | None, tuple[int, bytes], int]:
        block = self.desk.base()
        cursor_name, now_s = self._cursor("events"), self.desk.parts.clock.now_s()

        def gather(tx: Transaction) -> tuple[list[EventRow], int, tuple[int, bytes], list[str]]:
            after = tx.events.cursor(cursor_name)
            events = tx.events.after(after, EVENT_BATCH_MAX, _INTENT_EVENTS)
            state = tx.states.get(self.strategy)
            due = [t.name for t in tx.timers.due(now_s) if t.strategy == self.strategy]
            return events, after, state, due

        events, cursor, state, timers = await self.ledger.read(gather)
        own = [event for event in events if event.subject == self.strategy]
        cursor = events[-1].seq if events else cursor
        cause = self._cause(bool(own), bool(timers))
        if cause is None:
            return None, state, cursor
        reads = await self._reads(block)
        intents = await self._intent_events(own)
        logs, self._logs = tuple(self._logs), []
        gaps = (LogGap(block.chain_id, self._dropped),) if self._dropped else ()
        removed, self._removed = tuple(self._removed), []
        command = self._commands.pop(0) if self._commands else ""
        self._dropped, self._head_due = 0, False
        self.seq += 1
        observation = Observation(
            self.strategy,
            self.seq,
            cause,
            now_s,
            block,
            reads,
            logs,
            gaps,
            intents,
            tuple(timers),
            removed,
            command,
        )
        return observation, state, cursor

    def _cause(self, has_intents: bool, has_timers: bool) -> Cause | None:
        if self._removed:
            return Cause.ROLLBACK
        if self._commands:
            return Cause.COMMAND
        if has_intents:
            return Cause.INTENT
        if has_timers:
            return Cause.TIMER
        if self._logs:
            return Cause.LOGS
        return Cause.HEAD if self._head_due else None

    async def _reads(self, block: Block) -> dict[str, bytes | None]:
        reads: tuple[Read, ...] = self._subscription().reads
        return await self.desk.parts.client.call_at(reads, block) if reads else {}

    async def _intent_events(self, events: list[EventRow]) -> tuple[IntentEvent, ...]:
        numbers = [event.intent for event in events if event.intent is not None]
        rows = await self.ledger.read(lambda tx: {number: tx.intents.get(number) for number in numbers})
        found = []
        for event in events:
            if event.intent is None:
                continue
            row = rows[event.intent]
            state = (
                IntentState(event.kind.removeprefix("intent."))
                if event.kind.startswith("intent.")
                else IntentState.COMMITTED
            )
            found.append(
                IntentEvent(
                    row.plan.idempotency_key,
                    state,
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
        if decision.subscriptions is not None:
            self._replaced = decision.subscriptions

        def advance(tx: Transaction) -> None:
            tx.events.advance(self._cursor("events"), cursor)
            tx.events.advance(self._cursor("seq"), observation.seq)
            tx.timers.remove(self.strategy, observation.timers)

        says_something = decision.plans or decision.state is not None or decision.timers is not None
        # A decision that says nothing about nothing costs no commit: its number may be used again after a
        # restart.
        if says_something or observation.intents or observation.timers:
            await self.intake.accept(decision, correlation_id, advance)
        if decision.plans:
            self.on_accepted()

    def _subscription(self) -> Subscription:
        """What is wanted of this chain now: the last decision's word, or what was declared at loading."""
        chain_id = self.desk.parts.network.chain_id
        wanted = self.declared(self.strategy) if self._replaced is None else self._replaced
        return next((one for one in wanted if one.chain_id == chain_id), Subscription(chain_id))

    def add_logs(self, logs: list[Log]) -> None:
        room = LOGS_PENDING_MAX - len(self._logs)
        self._logs += logs[:room]
        self._dropped += max(0, len(logs) - room)
        self._due.set()

    def _cursor(self, what: str) -> str:
        return f"feed:{self.strategy}:{what}"


def _finality_of(kind: str) -> Finality | None:
    return {
        "inclusion.added": Finality.INCLUDED,
        "inclusion.safe": Finality.SAFE,
        "intent.landed": Finality.FINAL,
        "intent.failed": Finality.FINAL,
    }.get(kind)
