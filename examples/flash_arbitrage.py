"""flash_arbitrage.yaml, written in Python: the same steps, and the same plan to the last byte."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from seawall.primitives.errors import MarketError, ProtocolError
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import Plan, TokenDelta
from seawall.primitives.units import Address
from seawall.protocols.surroundings import surroundings_of
from seawall.strategies.base import decision
from seawall.strategies.composing import Steps, bounds_of
from seawall.strategies.own_intents import OwnIntents
from seawall.strategies.plans import PlanDesk, Terms, gas_use_guard, min_profit_guard, slippage_guard
from seawall.strategies.scripts.arithmetic import argmax
from seawall.strategies.scripts.world import Needs, World
from seawall.strategies.settings import parse_settings

__all__ = ["FlashArbitrage"]

SMALLEST = 10**15
COOLDOWN_BLOCKS = 2


@dataclass(frozen=True)
class FlashArbitrageSettings:
    chain_id: int
    key: Address
    book: str  # `book = "@book"`: the chain's address book
    executor: Address
    beneficiary: Address
    least: int = 10**15
    largest: int = 100 * 10**18


class FlashArbitrage:
    def __init__(self, name: str, settings: FlashArbitrageSettings) -> None:
        self.name, self.s = name, settings
        known = surroundings_of(settings.book)
        self.weth, self.usdx, self.vault = (known.contracts[n] for n in ("weth", "usdx", "balancer_vault"))
        self.v2, self.v3 = known.adapters["uniswap_v2:weth-usdx"], known.adapters["uniswap_v3:weth-usdx-500"]
        self.needs = Needs(settings.executor, adapters={self.v2.name: self.v2, self.v3.name: self.v3})
        self.needs.balances.add((self.weth, self.vault))
        self.desk = PlanDesk(settings.key, settings.executor, settings.beneficiary)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(FlashArbitrageSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (Subscription(self.s.chain_id, reads=self.needs.reads({})),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        own = OwnIntents.from_state(state).after(observation, COOLDOWN_BLOCKS)
        plans: tuple[Plan, ...] = ()
        if observation.reads and own.is_quiet(observation.block.number):
            try:
                plans = self.plans(observation)
            except (MarketError, ProtocolError):  # a market cannot be quoted now
                plans = ()
        wanted = self.needs.reads(observation.reads)
        is_news = {read.label for read in wanted} != set(observation.reads)
        return decision(
            observation,
            plans,
            state=own.with_plans(plans).to_state(),
            subscriptions=(Subscription(self.s.chain_id, reads=wanted),) if is_news else None,
        )

    def plans(self, observation: Observation) -> tuple[Plan, ...]:
        world = World(observation.block, observation.now_s, observation.reads, self.needs, {})

        def gained(first: str, second: str, size: int) -> int:
            middle = world.sold(first, self.weth, self.usdx, size)
            return world.sold(second, self.usdx, self.weth, middle) - size

        ways = [(self.v2, self.v3), (self.v3, self.v2)]
        sizes = [
            argmax(SMALLEST, self.s.largest, lambda x, a=a.name, b=b.name: gained(a, b, x), 0)  # type: ignore[misc]
            for a, b in ways
        ]
        profits = [gained(a.name, b.name, size) for (a, b), size in zip(ways, sizes, strict=True)]
        best = 0 if profits[0] >= profits[1] else 1
        (first, second), size, profit = ways[best], sizes[best], profits[best]
        worth = self.s.least + 450_000 * observation.block.base_fee_wei
        if not worth < profit < size or size > world.balance(self.weth, self.vault):
            return ()
        steps = Steps(self.s.executor, lambda adapter: world.snapshot(adapter.name), tolerance_bps=50)
        with steps.flash(self.vault, {self.weth: size}):
            name = "dollars" if best == 0 else "cash"
            middle = steps.swap(first, self.weth, self.usdx, size, name=name)
            steps.swap(second, self.usdx, self.weth, middle, least=size)
        expected = (TokenDelta(self.s.beneficiary, self.weth, profit),)
        terms = Terms(
            self.weth,
            ttl_s=60,
            guards=(slippage_guard(50), gas_use_guard(), min_profit_guard(self.s.least)),
            expected=expected,
            note="flash_arbitrage",
        )
        bounds = bounds_of(expected, frozenset({self.s.beneficiary}), frozenset())
        return (
            self.desk.through_executor(
                observation, 0, steps.operations, terms, min_profit_wei=self.s.least, bounds=bounds
            ),
        )
