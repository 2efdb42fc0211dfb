"""leverage_up.yaml, written in Python: the same steps, and the same plan to the last byte."""

from __future__ import annotations

from positions import PositionStrategy
from typing_extensions import override

from seawall.primitives.observations import Observation
from seawall.primitives.plans import GuardSpec, Plan
from seawall.primitives.units import BPS, ceil_div, mul_div_down, mul_div_up
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.base import RAY, PositionKind
from seawall.protocols.executor.checks import FeedFresh, HealthFloor
from seawall.strategies.plans import oracle_staleness_guard
from seawall.strategies.scripts.world import World

__all__ = ["LeverageUp"]

EXCHANGE = "uniswap_v3:weth-usdx-500"
ETHER = 10**18
DOLLAR = 10**6
HOUR_S = 3_600
STAKE = 10 * ETHER
MORE_BPS = 10_000
DEAREST_BPS = 600
FLOOR_WAD = 15 * 10**17


class LeverageUp(PositionStrategy):
    note = "leverage_up"
    protocols = ("aave_v3", EXCHANGE)
    balances = ("weth",)
    feeds = {"weth": ("feed_eth_usd", HOUR_S), "usdx": ("feed_usdx_usd", HOUR_S)}  # noqa: RUF012

    @override
    def plans(self, observation: Observation, world: World) -> tuple[Plan, ...]:
        weth, usdx, account = self.of["weth"], self.of["usdx"], self.s.account
        aave, exchange = self.adapters["aave_v3"], self.adapters[EXCHANGE]
        added = mul_div_down(STAKE, MORE_BPS, BPS)
        value = mul_div_down(added, world.price("weth"), ETHER)
        owed = mul_div_up(mul_div_up(DOLLAR, value, world.price("usdx")), 10_025, BPS)
        if world.position("aave_v3", PositionKind.COLLATERAL, weth) or world.balance(weth, account) < STAKE:
            return ()
        rate_ray = world.rates("aave_v3", usdx, -owed).borrow_ray
        got = world.quote(EXCHANGE, Swap(usdx, weth, owed)).gives[0].amount
        if rate_ray is None or ceil_div(rate_ray * BPS, RAY) > DEAREST_BPS or got < added:
            return ()
        steps = self.steps(world, tolerance_bps=30)
        with steps.flash(self.of["balancer_vault"], {weth: added}):
            steps.supply(aave, weth, STAKE + added)
            steps.borrow(aave, usdx, owed)
            steps.swap(exchange, usdx, weth, owed, least=added)
        expected = (
            self.change("weth", got - added - STAKE, 1),
            self.change("a_weth", STAKE + added, 1),
            self.change("aave_debt_usdx", owed, 1),
        )
        pool, feed = self.of["aave_pool"], self.of["feed_eth_usd"]
        guards = (
            GuardSpec("health_factor", (("min_wad", FLOOR_WAD), ("pool", pool))),
            GuardSpec("price_impact", (("limit_bps", 50), ("pool", self.of["uniswap_v3_weth_usdx_500"]))),
            oracle_staleness_guard(feed, HOUR_S),
            GuardSpec("position_loss", (("max_loss", 200 * ETHER),)),
        )
        checks = (HealthFloor(pool, FLOOR_WAD), FeedFresh(feed, HOUR_S))
        return (self.plan(observation, steps, "weth", expected, guards, checks),)
