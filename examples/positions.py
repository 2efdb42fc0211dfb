"""What position strategies in Python have in common: look at each head, keep at most one plan alive."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from seawall.primitives.errors import MarketError, PlanError, ProtocolError
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import GuardSpec, Plan, TokenDelta
from seawall.primitives.units import Address
from seawall.protocols.executor.checks import Check, encode_checks
from seawall.protocols.surroundings import surroundings_of
from seawall.strategies.base import decision
from seawall.strategies.composing import Steps, bounds_of
from seawall.strategies.own_intents import OwnIntents
from seawall.strategies.plans import PlanDesk, Terms
from seawall.strategies.scripts.world import Feed, Needs, World
from seawall.strategies.settings import parse_settings

__all__ = ["PositionSettings", "PositionStrategy"]

COOLDOWN_BLOCKS = 2


@dataclass(frozen=True)
class PositionSettings:
    chain_id: int
    key: Address
    book: str  # `book = "@book"`: the chain's address book
    account: Address  # "@my_account"


class PositionStrategy(ABC):
    """One account, one plan at a time."""

    note = ""
    protocols: tuple[str, ...] = ()
    balances: tuple[str, ...] = ()  # tokens of the account that are looked at
    feeds: Mapping[str, tuple[str, int]] = {}  # by token: the feed, and the greatest age [s]

    def __init__(self, name: str, settings: PositionSettings) -> None:
        self.name, self.s = name, settings
        self.known = surroundings_of(settings.book)
        self.of = self.known.contracts
        adapters = {name: self.known.adapters[name] for name in self.protocols}
        prices = {token: Feed(self.of[feed], age_s) for token, (feed, age_s) in self.feeds.items()}
        self.adapters, self.prices = adapters, prices
        self.needs = Needs(settings.account, adapters=dict(adapters))
        self.needs.balances |= {(self.of[token], settings.account) for token in self.balances}
        self.needs.feeds |= {price.feed for price in prices.values()}
        self.desk = PlanDesk(settings.key, settings.account, settings.key)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(PositionSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (Subscription(self.s.chain_id, reads=self.needs.reads({})),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        own = OwnIntents.from_state(state).after(observation, COOLDOWN_BLOCKS)
        plans: tuple[Plan, ...] = ()
        if observation.reads and own.is_quiet(observation.block.number):
            world = World(observation.block, observation.now_s, observation.reads, self.needs, self.prices)
            try:
                plans = self.plans(observation, world)
            except (MarketError, PlanError, ProtocolError):  # not at this block
                plans = ()
        wanted = self.needs.reads(observation.reads)
        is_news = {read.label for read in wanted} != set(observation.reads)
        return decision(
            observation,
            plans,
            state=own.with_plans(plans).to_state(),
            subscriptions=(Subscription(self.s.chain_id, reads=wanted),) if is_news else None,
        )

    @abstractmethod
    def plans(self, observation: Observation, world: World) -> tuple[Plan, ...]:
        """What is wanted at this block."""

    # ------------------------------------------------------------------ for plans

    def steps(self, world: World, tolerance_bps: int = 50) -> Steps:
        return Steps(self.s.account, lambda adapter: world.snapshot(adapter.name), tolerance_bps)

    def change(self, token: str, change: int, tolerance_bps: int) -> TokenDelta:
        return TokenDelta(self.s.account, self.of[token], change, tolerance_bps)

    def plan(
        self,
        observation: Observation,
        steps: Steps,
        accounting: str,
        expected: tuple[TokenDelta, ...],
        guards: tuple[GuardSpec, ...],
        checks: Sequence[Check],
    ) -> Plan:
        ours = bounds_of(expected, frozenset({self.s.account}), self.known.debts)
        bounds = tuple(dict.fromkeys((*steps.bounds, *ours)))
        terms = Terms(self.of[accounting], ttl_s=60, guards=guards, expected=expected, note=self.note)
        return self.desk.through_account(
            observation, 0, steps.operations, terms, bounds=bounds, checks=encode_checks(checks)
        )
