"""Buys in one pool and sells in the other, a Uniswap V2 pair and a V3 pool, with a Balancer V2 flash loan.

Flow: each head's reads become a `Snapshot` of both pools; `weigh` finds the best size or the reason to leave
it; a prospect becomes one executor plan: borrow, swap, swap what came out, repay, and the rest goes to the
beneficiary.

One plan at a time. A gap stays visible until the plan that closes it has landed, so while an own intent
lives, or shortly after one failed, nothing new is wanted. Not done here: judging the plan (the gate does),
bidding for a place in the block, an L1 data fee, and more than two pools.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Self

from seawall.markets.two_venue import CycleQuote, Leg
from seawall.markets.uniswap_v3 import V3Pool
from seawall.primitives.blocks import Read
from seawall.primitives.errors import MarketError, ProtocolError
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import GuardSpec, Plan, TokenDelta
from seawall.primitives.units import BPS, ZERO_ADDRESS, mul_div_down
from seawall.protocols.executor.operations import Amount, Flash, Loan, Measure, Measured, SwapV2, SwapV3
from seawall.strategies.arbitrage.prospect import Drop, Filters, weigh
from seawall.strategies.arbitrage.settings import TwoVenueSettings
from seawall.strategies.arbitrage.view import TwoVenueView
from seawall.strategies.base import decision
from seawall.strategies.own_intents import OwnIntents
from seawall.strategies.plans import (
    PlanDesk,
    Terms,
    gas_use_guard,
    min_profit_guard,
    oracle_staleness_guard,
    slippage_guard,
)
from seawall.strategies.settings import parse_settings

__all__ = ["TwoVenueArbitrage"]

_MIDDLE = "middle"


class TwoVenueArbitrage:
    """The strategy. `drops` counts why heads brought no plan, since this instance started."""

    def __init__(self, name: str, settings: TwoVenueSettings) -> None:
        self.name = name
        self.drops: Counter[Drop] = Counter()
        self._settings = settings
        self._desk = PlanDesk(settings.key, settings.executor, settings.beneficiary)
        self._filters = Filters(
            settings.token,
            settings.amount_in_max_wei,
            settings.reserve_min,
            settings.profit_max_bps,
            settings.min_profit_wei,
        )
        self._view = TwoVenueView(settings.v2_market, settings.v3_market, settings.vault, settings.token)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(TwoVenueSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (Subscription(self._settings.chain_id, reads=self._view.reads()),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        before = OwnIntents.from_state(state)
        own = before.after(observation, self._settings.cooldown_blocks)
        asked_before = self._view.reads()
        plans: tuple[Plan, ...] = ()
        if observation.reads:
            found = self._prospect(observation, own)
            if isinstance(found, Drop):
                self.drops[found] += 1
            else:
                plans = (self._plan(observation, found),)
                own = own.with_plans(plans)
        return decision(
            observation,
            plans,
            state=own.to_state() if own != before else None,
            subscriptions=self._new_subscriptions(observation, asked_before),
        )

    def _new_subscriptions(
        self, observation: Observation, asked_before: tuple[Read, ...]
    ) -> tuple[Subscription, ...] | None:
        wanted = self._view.reads()
        # A decision that was not committed took its subscriptions along: then they are told again.
        lacks = bool(observation.reads) and any(read.label not in observation.reads for read in wanted)
        return self.subscriptions() if lacks or wanted != asked_before else None

    def _prospect(self, observation: Observation, own: OwnIntents) -> CycleQuote | Drop:
        try:
            # The view takes in every head, whether or not a plan is wanted of it.
            snapshot = self._view.observe(observation.reads)
            if snapshot is None:
                return Drop.INCOMPLETE
            if not own.is_quiet(observation.block.number):
                return Drop.UNDER_WAY
            return weigh(snapshot, self._filters, self._gas_cost_wei(observation))
        except (ProtocolError, MarketError):
            return Drop.UNREADABLE

    def _gas_cost_wei(self, observation: Observation) -> int:
        """At the most that the base fee can be in the next block (EIP-1559: an eighth more)."""
        base_fee_wei = observation.block.base_fee_wei * 9 // 8
        return self._settings.gas_estimate * (base_fee_wei + self._settings.priority_fee_per_gas_wei)

    def _plan(self, observation: Observation, quote: CycleQuote) -> Plan:
        s = self._settings
        least_mid = mul_div_down(quote.amount_mid, BPS - s.slippage_bps, BPS)
        middle = Measure(_MIDDLE, quote.first.token_out)
        swaps = (
            self._swap(quote.first, quote.amount_in, least_mid, (middle,)),
            self._swap(quote.second, Measured(_MIDDLE), quote.repay),
        )
        loan = Loan(s.token, quote.amount_in, max_fee=quote.repay - quote.amount_in)
        terms = Terms(
            accounting_token=s.token,
            ttl_s=s.ttl_s,
            guards=self._guards(),
            expected=(TokenDelta(s.beneficiary, s.token, quote.profit, s.slippage_bps),),
            note=(
                f"{_venue(quote.first)} to {_venue(quote.second)}: borrow {quote.amount_in},"
                f" earn {quote.profit} before gas"
            ),
        )
        operations = (Flash(s.vault, (loan,), swaps),)
        return self._desk.through_executor(observation, 0, operations, terms, min_profit_wei=s.min_profit_wei)

    def _swap(
        self, leg: Leg, amount_in: Amount, min_out: int, measure: tuple[Measure, ...] = ()
    ) -> SwapV2 | SwapV3:
        s = self._settings
        if isinstance(leg.pool, V3Pool):
            fee_ppm = leg.pool.fee_pips
            tokens = (leg.token_in, leg.token_out)
            return SwapV3(s.v3_factory, *tokens, fee_ppm, amount_in, min_out, measure=measure)
        return SwapV2(s.v2_factory, leg.token_in, leg.token_out, amount_in, min_out, measure=measure)

    def _guards(self) -> tuple[GuardSpec, ...]:
        s = self._settings
        guards = (slippage_guard(s.slippage_bps), min_profit_guard(s.min_profit_wei), gas_use_guard())
        if s.oracle_feed == ZERO_ADDRESS:
            return guards
        return (*guards, oracle_staleness_guard(s.oracle_feed, s.oracle_age_max_s))


def _venue(leg: Leg) -> str:
    return "V3" if isinstance(leg.pool, V3Pool) else "V2"
