"""Calls written down in the configuration, one after the other: for smoke tests, drills and demonstrations.

Each step is a direct call with what it is expected to change and the guards that shall judge it. One step is
proposed every `every_heads` heads; its idempotency key is its place in the list, so a step is wanted once in
the strategy's life, whatever restarts in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from seawall.primitives.errors import ConfigError
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.strategies.base import decision
from seawall.strategies.plans import (
    PlanDesk,
    Terms,
    balance_guard,
    gas_price_guard,
    min_profit_guard,
    oracle_staleness_guard,
    slippage_guard,
)
from seawall.strategies.settings import parse_settings

__all__ = ["Scripted", "ScriptedSettings", "Step"]

_COUNT_BYTES = 4


@dataclass(frozen=True, slots=True)
class ExpectedChange:
    """What the step shall change, at least."""

    holder: Address
    token: Address
    change: int  # signed [smallest unit of token]
    tolerance_bps: int = 50


@dataclass(frozen=True, slots=True)
class Step:
    """One call. Guards are asked for by giving their limit; left out, the operator's limits hold alone."""

    note: str
    target: Address
    calldata: str = "0x"  # hex
    value_wei: int = 0
    expected: tuple[ExpectedChange, ...] = ()
    oracle_feed: Address = ZERO_ADDRESS
    oracle_age_max_s: int = 3_600
    slippage_bps: int = -1
    min_profit_wei: int = -1
    max_fee_per_gas_wei: int = -1
    balance_min_wei: int = -1

    def guards(self) -> tuple[GuardSpec, ...]:
        asked = [
            (
                self.oracle_feed != ZERO_ADDRESS,
                oracle_staleness_guard(self.oracle_feed, self.oracle_age_max_s),
            ),
            (self.slippage_bps >= 0, slippage_guard(self.slippage_bps)),
            (self.min_profit_wei >= 0, min_profit_guard(self.min_profit_wei)),
            (self.max_fee_per_gas_wei >= 0, gas_price_guard(self.max_fee_per_gas_wei)),
            (self.balance_min_wei >= 0, balance_guard(self.balance_min_wei)),
        ]
        return tuple(guard for is_asked, guard in asked if is_asked)


@dataclass(frozen=True, slots=True)
class ScriptedSettings:
    chain_id: int
    key: Address
    accounting_token: Address
    steps: tuple[Step, ...]
    every_heads: int = 1
    ttl_s: int = 60

    def __post_init__(self) -> None:
        if self.every_heads <= 0 or self.ttl_s <= 0:
            raise ConfigError("every_heads and ttl_s must be positive", "scripted", "give one or more")
        for number, step in enumerate(self.steps):
            _calldata_of(step, number)


class Scripted:
    """The strategy. Its state is how many steps were proposed."""

    def __init__(self, name: str, settings: ScriptedSettings) -> None:
        self.name = name
        self._settings = settings
        self._desk = PlanDesk(settings.key)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(ScriptedSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        return (Subscription(self._settings.chain_id, every_heads=self._settings.every_heads),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        number = int.from_bytes(state, "big")
        if number >= len(self._settings.steps):
            return decision(observation)
        plan = self._plan(observation, number)
        return decision(observation, (plan,), state=(number + 1).to_bytes(_COUNT_BYTES, "big"))

    def _plan(self, observation: Observation, number: int) -> Plan:
        s, step = self._settings, self._settings.steps[number]
        expected = tuple(TokenDelta(e.holder, e.token, e.change, e.tolerance_bps) for e in step.expected)
        call = DirectBody(step.target, _calldata_of(step, number), step.value_wei)
        terms = Terms(s.accounting_token, s.ttl_s, step.guards(), expected, note=step.note)
        return self._desk.direct(observation, 0, call, terms, key=f"{self.name}:step-{number}")


def _calldata_of(step: Step, number: int) -> bytes:
    try:
        return bytes.fromhex(step.calldata.removeprefix("0x"))
    except ValueError:
        where = f"scripted.steps[{number}].calldata"
        raise ConfigError(
            f"{step.calldata[:40]!r} is not hex", where, "give 0x and pairs of hex digits"
        ) from None
