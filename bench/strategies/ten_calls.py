"""ten_calls.yaml, written in Python: the same steps, and the same plan to the last byte."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from seawall.native import encode_call
from seawall.primitives.observations import Decision, Observation
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.protocols.executor.operations import Call
from seawall.protocols.surroundings import Surroundings
from seawall.strategies.base import decision
from seawall.strategies.composing import ALL, Steps
from seawall.strategies.own_intents import OwnIntents
from seawall.strategies.plans import PlanDesk, Terms, gas_use_guard, min_profit_guard, slippage_guard
from seawall.strategies.scripts.arithmetic import argmax
from seawall.strategies.scripts.world import Needs, World

__all__ = ["PROTOCOLS", "TenCalls"]

ETHER: Final = 10**18
DOLLAR: Final = 10**6
LEAST: Final = ETHER // 1000
TOLERANCE_BPS: Final = 50
PROTOCOLS: Final = (
    "uniswap_v2:weth-usdx",
    "uniswap_v3:weth-usdx-500",
    "camelot:weth-usdx",
    "sushi_v2:weth-usdx",
    "solidly:weth-usdx-volatile",
    "aave_v3",
)


class TenCalls:
    """A loan, an arbitrage whose size is searched, and a turn of a lending position."""

    def __init__(self, known: Surroundings, key: Address, executor: Address) -> None:
        self.weth, self.usdx, self.vault = (known.contracts[n] for n in ("weth", "usdx", "balancer_vault"))
        adapters: Sequence[AnyAdapter] = [known.adapters[name] for name in PROTOCOLS]
        self.v2, self.v3, self.camelot, self.sushi, self.solid, self.lender = adapters
        self.needs = Needs(executor, adapters={one.name: one for one in adapters})
        self.needs.balances.add((self.weth, self.vault))
        self.desk = PlanDesk(key, executor, known.contracts["safe_treasury"])

    def decide(self, observation: Observation, state: bytes) -> Decision:
        own = OwnIntents.from_state(state).after(observation, 2)
        plans: tuple[Plan, ...] = ()
        if observation.reads and own.is_quiet(observation.block.number):
            plans = self._plans(observation)
        self.needs.reads(observation.reads)
        return decision(observation, plans, state=own.with_plans(plans).to_state())

    def _plans(self, observation: Observation) -> tuple[Plan, ...]:
        world = World(observation.block, observation.now_s, observation.reads, self.needs, {})

        def gained(first: str, second: str, size: int) -> int:
            middle = world.sold(first, self.weth, self.usdx, size)
            return world.sold(second, self.usdx, self.weth, middle) - size

        ways = [(self.v2.name, self.v3.name), (self.v3.name, self.v2.name)]
        sizes = [argmax(LEAST, 100 * ETHER, partial(gained, *way), 0) for way in ways]
        profits = [gained(*way, size) for way, size in zip(ways, sizes, strict=True)]
        gas_wei = 2_000_000 * observation.block.base_fee_wei
        loan = sizes[0] + 10 * ETHER
        if profits[0] <= max(profits[1], LEAST + gas_wei) or loan > world.balance(self.weth, self.vault):
            return ()
        terms = Terms(
            self.weth,
            ttl_s=60,
            guards=(slippage_guard(TOLERANCE_BPS), gas_use_guard(), min_profit_guard(LEAST)),
            note="ten_calls",
        )
        steps = self._steps(world, loan, sizes[0])
        plan = self.desk.through_executor(
            observation, 0, steps.operations, terms, min_profit_wei=LEAST, bounds=tuple(steps.bounds)
        )
        return (plan,)

    def _steps(self, world: World, loan: int, size: int) -> Steps:
        weth, usdx, lender = self.weth, self.usdx, self.lender
        steps = Steps(self.desk.executor, lambda adapter: world.snapshot(adapter.name), TOLERANCE_BPS)
        with steps.flash(self.vault, {weth: loan}):
            dollars = steps.swap(self.v2, weth, usdx, size, name="dollars")
            steps.swap(self.v3, usdx, weth, dollars, least=size)
            steps.supply(lender, weth, 9 * ETHER)
            credit = steps.borrow(lender, usdx, 1_000 * DOLLAR, name="credit")
            more = steps.swap(self.sushi, usdx, weth, credit, name="more")
            steps.swap(self.solid, weth, usdx, more, least=900 * DOLLAR, name="back")
            steps.swap(self.camelot, weth, usdx, ETHER // 20, name="spare")
            steps.repay(lender, usdx, ALL)
            steps.withdraw(lender, weth, ALL, name="freed")
            steps.call(
                Call(weth, encode_call("withdraw(uint256)", (10**9,))), weth, where="withdraw(uint256)"
            )
        return steps
