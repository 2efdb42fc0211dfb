"""What crosses the socket between kernel and host: observations one way, decisions the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from seawall.primitives.blocks import Block, Log, LogFilter, Read
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.plans import Plan
from seawall.primitives.sightings import Sighting, SightingFilter
from seawall.primitives.units import Hash

__all__ = ["Cause", "Decision", "IntentEvent", "LogGap", "Observation", "Subscription", "Timer"]


class Cause(StrEnum):
    HEAD = "head"
    LOGS = "logs"
    TIMER = "timer"
    INTENT = "intent"
    ROLLBACK = "rollback"
    COMMAND = "command"
    SIGHTING = "sighting"  # something was seen before its block


@dataclass(frozen=True, slots=True)
class Timer:
    """Wake the strategy at `at_s` (UTC) with `name`; a timer of the same name replaces the older."""

    name: str
    at_s: int


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a strategy wants to see of one chain."""

    chain_id: int
    every_heads: int = 1
    reads: tuple[Read, ...] = ()
    logs: tuple[LogFilter, ...] = ()
    sightings: tuple[SightingFilter, ...] = ()
    history: tuple[str, ...] = ()  # names of kept logs, told after each load before anything newer


@dataclass(frozen=True, slots=True)
class IntentEvent:
    """Something happened to an intent of this strategy."""

    idempotency_key: str
    state: IntentState
    finality: Finality | None  # of the inclusion, where there is one
    block_hash: Hash | None
    reason: str
    realised_wei: int | None  # profit in the plan's accounting token, once accounted


@dataclass(frozen=True, slots=True)
class LogGap:
    """More logs gathered than the bound allows: what they would have told must be read again."""

    chain_id: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Observation:
    """What a strategy sees. Everything in it is of the one block named, save sightings, which have none.

    `reads` maps labels to returned bytes, None where the call reverted. `removed` are block hashes that a
    reorg took away since the last observation: views undo what they learned from them."""

    strategy: str
    seq: int
    cause: Cause
    now_s: int  # UTC [s]
    block: Block
    reads: dict[str, bytes | None] = field(default_factory=dict)
    logs: tuple[Log, ...] = ()
    gaps: tuple[LogGap, ...] = ()
    intents: tuple[IntentEvent, ...] = ()
    timers: tuple[str, ...] = ()
    removed: tuple[Hash, ...] = ()
    command: str = ""
    sightings: tuple[Sighting, ...] = ()
    sightings_dropped: int = 0  # more came than wait for one observation
    is_history: bool = False  # `logs` are of the history, and more of it follows: too early to act on a view


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer to one observation: plans and the new state are committed together, or not at all.

    `state` of None leaves it as it is. `state_version` is the version the decision stands on
    (compare-and-set). `timers` and `subscriptions` of None leave them as they are; a tuple replaces all of
    them. `note` tells the operator why there is no plan, where the strategy looked for one."""

    strategy: str
    seq: int
    state_version: int
    plans: tuple[Plan, ...] = ()
    state: bytes | None = None
    timers: tuple[Timer, ...] | None = None
    subscriptions: tuple[Subscription, ...] | None = None
    note: str | None = field(default=None, metadata={"tail": True})
