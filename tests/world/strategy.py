"""Strategies in the world: one that asks for what the checker knows on chain, and any of a user's.

An `Asker`'s plans carry their idempotency key as calldata, so that what landed is known from the chain alone;
its state is the number of plans that it asked for, so that the checker sees whether plans and state were kept
together. A `Guest` is a strategy as a project has it: its instances live and die with the kernels.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from seawall.primitives.errors import StrategyError
from seawall.primitives.frames import Turn
from seawall.primitives.levels import Finality, Priority
from seawall.primitives.observations import Cause, Decision, Observation, Subscription
from seawall.primitives.plans import DirectBody, GuardSpec, Plan
from seawall.primitives.ports import Clock
from seawall.primitives.units import NATIVE, Address
from seawall.strategies.base import Strategy, answer
from tests.world.faults import Faults
from tests.world.node import CHAIN_ID, COIN, RECORDER

__all__ = ["Asker", "Guest", "Host", "Inhabitant"]

_VALUE_WEI = 10**15
_BIG_WEI = 10**18  # a few of these are more than a key has
_HUGE_WEI = 10**21  # more than a key ever has
_DEADLINES_S = (4, 20, 60, 120)
_ANSWER_S_MAX = 2.0
_RECORDED_FOR = Address(b"\xa7" * 20)  # who would be paid here is written down instead

Decide = Callable[[Observation, bytes, int], Decision]
"""Observation, state and its version to a decision."""


class Inhabitant(Protocol):
    """Whoever asks for plans. The world turns `asking` off when chaos is over."""

    name: str
    home: Address  # the key whose lane decides which kernel of a fleet asks it
    asking: bool
    told: set[tuple[str, str]]  # (key of a plan, state) of events that it was given

    @property
    def is_known_on_chain(self) -> bool:
        """Whether calldata on the chain is the key of its plan, and the state their number."""
        ...

    def subscriptions(self) -> tuple[Subscription, ...]: ...

    def instance(self) -> Decide:
        """A new one, for a kernel that begins to live."""
        ...


@dataclass(slots=True)
class Guest:
    """Fulfils `Inhabitant` over a strategy; `make` makes an instance."""

    name: str
    home: Address
    make: Callable[[], Strategy]
    asking: bool = True
    told: set[tuple[str, str]] = field(default_factory=set)

    @property
    def is_known_on_chain(self) -> bool:
        return False

    def subscriptions(self) -> tuple[Subscription, ...]:
        return self.make().subscriptions()

    def instance(self) -> Decide:
        strategy = self.make()

        def decide(observation: Observation, state: bytes, state_version: int) -> Decision:
            for event in observation.intents:
                self.told.add((event.idempotency_key, event.state.value))
            if not self.asking:
                return Decision(self.name, observation.seq, state_version)
            return answer(strategy, Turn(observation, state_version, state))

        return decide


@dataclass(slots=True)
class Asker:
    """Fulfils `Inhabitant`. Pure but for `asking`, and for what it remembers for the checker."""

    name: str
    seed: int
    keys: tuple[Address, ...]
    home: Address
    asking: bool = True
    told: set[tuple[str, str]] = field(default_factory=set)
    _plans: dict[str, list[Plan]] = field(default_factory=dict)  # what it ever proposed under a key

    @property
    def is_known_on_chain(self) -> bool:
        return True

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (Subscription(CHAIN_ID),)

    def instance(self) -> Decide:
        return self.decide

    def decide(self, observation: Observation, state: bytes, state_version: int) -> Decision:
        for event in observation.intents:
            self.told.add((event.idempotency_key, event.state.value))
        rng = random.Random(f"{self.seed}:{self.name}:{observation.seq}:{observation.block.hash.hex()}")
        if not self.asking or observation.cause is not Cause.HEAD or rng.random() < 0.4:
            return Decision(self.name, observation.seq, state_version)
        count = int.from_bytes(state, "big")
        plans = [self.plan(rng, observation, index, count) for index in range(rng.randint(1, 3))]
        for plan in plans:
            proposed = self._plans.setdefault(plan.idempotency_key, [])
            if plan not in proposed:
                proposed.append(plan)
        count += len(plans)
        if rng.random() < 0.15:
            plans += self._accepted_before(rng)
        return Decision(self.name, observation.seq, state_version, tuple(plans), count.to_bytes(8, "big"))

    def _accepted_before(self, rng: random.Random) -> list[Plan]:
        """A plan that is known to have been accepted, asked for again: it must not count twice."""
        known = sorted(key for key, _ in self.told if len(self._plans.get(key, ())) == 1)
        return self._plans[rng.choice(known)] if known else []

    def plan(self, rng: random.Random, observation: Observation, index: int, count: int) -> Plan:
        """The plan number `index` of this decision; `count` were asked for before it."""
        key = f"{self.name}-{observation.seq}-{index}"
        kind, sender = rng.random(), rng.choice(self.keys)
        value_wei = _VALUE_WEI * rng.randint(1, 50)
        target = Address(bytes([0xA0 + rng.randint(0, 7)]) * 20)
        guards: tuple[GuardSpec, ...] = ()
        if kind < 0.08:
            value_wei = _HUGE_WEI
        elif kind < 0.25:
            target = Address(COIN)
        elif kind < 0.3:
            guards = (GuardSpec("balance", (("min_wei", 10**30),)),)
        elif target == _RECORDED_FOR:
            target, value_wei = Address(RECORDER), 0
        elif kind < 0.5:  # between ourselves, so that the money stays and the next ones collide too
            value_wei, target = _BIG_WEI * rng.randint(3, 9), rng.choice(self.keys)
        return Plan(
            strategy=self.name,
            chain_id=CHAIN_ID,
            key=sender,
            body=DirectBody(target, key.encode(), value_wei),
            accounting_token=NATIVE,
            idempotency_key=key,
            deadline_s=observation.now_s + rng.choice(_DEADLINES_S),
            guards=guards,
            priority=rng.choice(list(Priority)),
            depends_on=(f"{self.name}-{observation.seq - 1}-0",) if kind > 0.88 and count else (),
            depends_finality=rng.choice(list(Finality)),
        )


@dataclass(frozen=True, slots=True)
class Host:
    """Fulfils `StrategyPort` for one kernel: the strategy answers after a while, or its process dies."""

    name: str
    decider: Decide
    clock: Clock
    faults: Faults
    rng: random.Random

    async def decide(self, observation: Observation, state: bytes, state_version: int) -> Decision:
        await self.clock.sleep_s(self.rng.random() * min(_ANSWER_S_MAX, 10 * self.faults.latency_s_max))
        if self.rng.random() < self.faults.strategy_fails:
            raise StrategyError("the host died", self.name, "it is started again")
        return self.decider(observation, state, state_version)
