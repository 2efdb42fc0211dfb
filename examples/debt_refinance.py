"""debt_refinance.yaml, written in Python: the same steps, and the same plan to the last byte."""

from __future__ import annotations

from positions import PositionStrategy
from typing_extensions import override

from seawall.primitives.observations import Observation
from seawall.primitives.plans import GuardSpec, Plan
from seawall.primitives.units import BPS, Address, ceil_div, mul_div_up
from seawall.protocols.adapters.base import RAY, PositionKind
from seawall.protocols.executor.checks import BalanceAtMost, BookHealthFloor, FeedFresh
from seawall.strategies.composing import ALL
from seawall.strategies.plans import oracle_staleness_guard
from seawall.strategies.scripts.world import World

__all__ = ["DebtRefinance"]

NEW = "morpho_blue:weth-usdx-8600"
WAD = 10**18
HOUR_S = 3_600
SAVING_BPS = 50
FLOOR_WAD = 13 * 10**17
LIMIT_WAD = 86 * 10**16


class DebtRefinance(PositionStrategy):
    note = "debt_refinance"
    protocols = ("aave_v3", NEW)

    @override
    def plans(self, observation: Observation, world: World) -> tuple[Plan, ...]:
        weth, usdx = self.of["weth"], self.of["usdx"]
        aave, new = self.adapters["aave_v3"], self.adapters[NEW]
        debt = world.position("aave_v3", PositionKind.DEBT, usdx)
        collateral = world.position("aave_v3", PositionKind.COLLATERAL, weth)
        loan = mul_div_up(debt, 10_001, BPS)  # interest runs until the block that it lands in
        if not debt or world.liquidity(NEW, usdx) < 2 * loan:
            return ()
        rates = world.rates(NEW, usdx, -loan).borrow_ray, world.rates("aave_v3", usdx, 0).borrow_ray
        there, here = (0 if rate is None else ceil_div(rate * BPS, RAY) for rate in rates)
        if there + SAVING_BPS > here:
            return ()
        steps = self.steps(world)
        with steps.flash(self.of["balancer_vault"], {usdx: loan}):
            steps.repay(aave, usdx, ALL)
            freed = steps.withdraw(aave, weth, ALL, name="freed")
            steps.supply(new, weth, freed)
            steps.borrow(new, usdx, loan)
        expected = (
            self.change("aave_debt_usdx", -debt, 1),
            self.change("a_weth", -collateral, 1),
            self.change("weth", 0, 50),
        )
        market: tuple[tuple[str, Address | int], ...] = (
            ("morpho", self.of["morpho"]),
            ("loan", usdx),
            ("collateral", weth),
            ("oracle", self.of["morpho_oracle_weth_usdx_8600"]),
            ("irm", self.of["morpho_irm"]),
            ("lltv_wad", LIMIT_WAD),
        )
        feed = self.of["feed_eth_usd"]
        guards = (
            GuardSpec("health_factor", (("min_wad", FLOOR_WAD), *market)),
            oracle_staleness_guard(feed, HOUR_S),
            GuardSpec("position_loss", (("max_loss", 50 * WAD),)),
        )
        checks = (
            BookHealthFloor(self.of["risk_book"], FLOOR_WAD),
            FeedFresh(feed, HOUR_S),
            BalanceAtMost(self.of["aave_debt_usdx"], 0),
        )
        return (self.plan(observation, steps, "usdx", expected, guards, checks),)
