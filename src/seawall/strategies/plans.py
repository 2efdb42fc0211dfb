"""Building plans: what an observation told, what the strategy wants, and the guards that shall judge it.

`PlanDesk` is what all plans of one strategy on one chain share: its key and, for plans through the executor,
the contract (or the account that holds positions) and its beneficiary. A plan's deadline and its default
idempotency key come from the observation that it answers, so that the same observation gives the same plan.

Guards are asked for by name; what they measure is written in `seawall.risk.guards`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.primitives.errors import PlanError
from seawall.primitives.levels import Priority
from seawall.primitives.observations import Observation
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, Plan, TokenBound, TokenDelta
from seawall.primitives.routes import Routing
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Operation
from seawall.strategies.base import default_key

__all__ = [
    "PlanDesk",
    "Terms",
    "balance_guard",
    "gas_price_guard",
    "gas_use_guard",
    "min_profit_guard",
    "oracle_staleness_guard",
    "position_size_guard",
    "slippage_guard",
]


@dataclass(frozen=True, slots=True)
class Terms:
    """Under what conditions a plan shall land, whatever it does."""

    accounting_token: Address  # profit is counted in it
    ttl_s: int  # from the observation's time to the deadline
    guards: tuple[GuardSpec, ...] = ()
    expected: tuple[TokenDelta, ...] = ()
    priority: Priority = Priority.NORMAL
    gas_limit: int | None = None  # None: measured by simulation
    note: str = ""  # why, in one line, for people
    routing: Routing | None = None  # how it wants to reach the chain; None: as the operator says


@dataclass(frozen=True, slots=True)
class PlanDesk:
    """Where the plans of one strategy come from."""

    key: Address
    executor: Address = ZERO_ADDRESS
    beneficiary: Address = ZERO_ADDRESS

    def direct(
        self, observation: Observation, index: int, call: DirectBody, terms: Terms, key: str | None = None
    ) -> Plan:
        """One call from the key. `index` counts the decision's plans; `key` replaces the default key."""
        return self._plan(observation, index, call, terms, key)

    def through_executor(
        self,
        observation: Observation,
        index: int,
        operations: Sequence[Operation],
        terms: Terms,
        *,
        min_profit_wei: int,
        bounds: tuple[TokenBound, ...] = (),
        checks: bytes = b"",
        key: str | None = None,
    ) -> Plan:
        """One execution of the executor, all or nothing.

        `min_profit_wei` is what the beneficiary must gain over the maximum fee [accounting token]; `bounds`
        are further one-sided checks on chain, `checks` what else must hold at the end, packed.
        """
        body = ExecutorBody(
            *self._contract(observation), encode_operations(operations), bounds, min_profit_wei, checks
        )
        return self._plan(observation, index, body, terms, key)

    def through_account(
        self,
        observation: Observation,
        index: int,
        operations: Sequence[Operation],
        terms: Terms,
        *,
        bounds: tuple[TokenBound, ...],
        checks: bytes = b"",
        key: str | None = None,
    ) -> Plan:
        """One execution of an account that holds positions: its result stays there, and no profit is asked.

        `bounds` name everything that may leave and every debt that may rise.
        """
        body = ExecutorBody(
            *self._contract(observation), encode_operations(operations), bounds, 0, checks, position=True
        )
        return self._plan(observation, index, body, terms, key)

    def _contract(self, observation: Observation) -> tuple[Address, Address]:
        if ZERO_ADDRESS in (self.executor, self.beneficiary):
            raise PlanError("there is no executor", f"strategy {observation.strategy!r}", "configure it")
        return self.executor, self.beneficiary

    def _plan(
        self,
        observation: Observation,
        index: int,
        body: DirectBody | ExecutorBody,
        terms: Terms,
        key: str | None,
    ) -> Plan:
        return Plan(
            strategy=observation.strategy,
            chain_id=observation.block.chain_id,
            key=self.key,
            body=body,
            accounting_token=terms.accounting_token,
            idempotency_key=default_key(observation, index) if key is None else key,
            deadline_s=observation.now_s + terms.ttl_s,
            guards=terms.guards,
            expected=terms.expected,
            priority=terms.priority,
            gas_limit=terms.gas_limit,
            note=terms.note,
            routing=terms.routing,
        )


def slippage_guard(limit_bps: int) -> GuardSpec:
    """No expected change may fall further short than this."""
    return GuardSpec("slippage", (("limit_bps", limit_bps),))


def min_profit_guard(min_wei: int) -> GuardSpec:
    """Profit at the maximum fee [accounting token]."""
    return GuardSpec("min_profit", (("min_wei", min_wei),))


def oracle_staleness_guard(feed: Address, max_age_s: int) -> GuardSpec:
    """The feed's answer is not older than this."""
    return GuardSpec("oracle_staleness", (("feed", feed), ("max_age_s", max_age_s)))


def gas_price_guard(max_fee_per_gas_wei: int) -> GuardSpec:
    """The fee ceiling is not above this."""
    return GuardSpec("gas_price", (("max_fee_per_gas_wei", max_fee_per_gas_wei),))


def gas_use_guard() -> GuardSpec:
    """The gas limit leaves room in block and transaction limit."""
    return GuardSpec("gas_use")


def position_size_guard(token: Address, cap: int) -> GuardSpec:
    """No more of `token` leaves our addresses [smallest unit]."""
    return GuardSpec("position_size", (("token", token), ("cap", cap)))


def balance_guard(min_wei: int) -> GuardSpec:
    """The key keeps this much native token after the maximum fee."""
    return GuardSpec("balance", (("min_wei", min_wei),))
