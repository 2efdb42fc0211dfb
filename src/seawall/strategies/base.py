"""What a strategy is, and the one way in which it is asked.

`decide` is a function of the observation, the stored state, and the strategy's *views*. A view is a large
derived structure (pools, a book of borrowers) that the instance builds from the observations so far: it is
undone by `observation.removed`, told to read again by `observation.gaps`, gone after a restart, and never
stored. What cannot be rebuilt belongs into `state`, which the kernel commits together with the plans.

Every strategy class has a `configured` constructor, so that an import path and a settings object make an
instance.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Protocol, Self

from seawall.primitives.bounds import NOTE_CHARS_MAX
from seawall.primitives.errors import StrategyError
from seawall.primitives.frames import Turn, check_decision
from seawall.primitives.observations import Decision, Observation, Subscription, Timer
from seawall.primitives.plans import Plan

__all__ = ["Strategy", "answer", "decision", "default_key"]


class Strategy(Protocol):
    """A pure decider. One observation is outstanding at a time, and `seq` counts up."""

    @property
    def name(self) -> str:
        """As configured; plans and decisions carry it."""
        ...

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        """An instance from a JSON object; unknown or unusable settings are a `ConfigError`."""
        ...

    def subscriptions(self) -> tuple[Subscription, ...]:
        """What it wants to see, from the start; a decision may replace it."""
        ...

    def decide(self, observation: Observation, state: bytes) -> Decision:
        """Build the answer with `decision`. The state is empty until a decision has set it."""
        ...


def default_key(observation: Observation, index: int) -> str:
    """The default idempotency key: the n-th plan of one observation is accepted once."""
    return f"{observation.strategy}:{observation.seq}:{index}"


def decision(
    observation: Observation,
    plans: tuple[Plan, ...] = (),
    *,
    state: bytes | None = None,
    timers: tuple[Timer, ...] | None = None,
    subscriptions: tuple[Subscription, ...] | None = None,
    note: str | None = None,
) -> Decision:
    """The answer to `observation`; what is left out stays as it is. `answer` enters the state's version.

    `note` says why there is no plan, for the operator; what is too long of it is cut."""
    told = None if note is None else note[:NOTE_CHARS_MAX]
    return Decision(observation.strategy, observation.seq, 0, plans, state, timers, subscriptions, told)


def answer(strategy: Strategy, turn: Turn) -> Decision:
    """Ask `strategy` and check its answer: `WireError` if it breaks a bound.

    Whatever `decide` raises comes through. Hosts and in-process runs (tests, replay) all ask through this.
    """
    decided: object = strategy.decide(turn.observation, turn.state)
    if not isinstance(decided, Decision):
        raise StrategyError(
            f"decide returned {type(decided).__name__}", strategy.name, "return a Decision, see `decision`"
        )
    check_decision(decided, strategy.name, turn.observation.seq)
    return dataclasses.replace(decided, state_version=turn.state_version)
