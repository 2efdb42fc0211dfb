"""Keeps the native balance of a key inside a range, by wrapping what is too much and unwrapping what lacks.

Flow: each head reads the key's native and wrapped balance. Above `high_wei` it deposits, below `low_wei` it
withdraws as much as there is, both towards `target_wei`. One plan at a time; after one that did not land it
waits.

Both are direct plans from the key itself. Not done here: moving funds between keys, or judging the gas price,
which the guards do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ConfigError
from seawall.primitives.levels import Priority
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.units import NATIVE, Address
from seawall.protocols import erc20, weth
from seawall.protocols.answers import integer_answer
from seawall.strategies.own_intents import decided_in_rounds
from seawall.strategies.plans import PlanDesk, Terms, gas_price_guard, gas_use_guard
from seawall.strategies.settings import parse_settings

__all__ = ["NativeRange", "NativeRangeSettings"]

_NATIVE_LABEL: Final = "native balance"


@dataclass(frozen=True, slots=True)
class NativeRangeSettings:
    chain_id: int
    key: Address
    wrapped_native: Address
    multicall: Address  # Multicall3, which answers for native balances
    low_wei: int
    target_wei: int
    high_wei: int
    max_fee_per_gas_wei: int = 0  # asked of the gas price guard; 0 leaves it to the operator's limit
    ttl_s: int = 120
    cooldown_blocks: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.low_wei < self.target_wei < self.high_wei:
            raise ConfigError(
                f"{self.low_wei} < {self.target_wei} < {self.high_wei} does not hold",
                "native range",
                "give 0 < low_wei < target_wei < high_wei",
            )
        if self.ttl_s <= 0 or self.cooldown_blocks < 0 or self.max_fee_per_gas_wei < 0:
            raise ConfigError("a negative duration or fee", "native range", "give positive numbers")


class NativeRange:
    """The strategy; it has no view."""

    def __init__(self, name: str, settings: NativeRangeSettings) -> None:
        self.name = name
        self._settings = settings
        self._desk = PlanDesk(settings.key)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(NativeRangeSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        s = self._settings
        native = Read(_NATIVE_LABEL, s.multicall, encode_call("getEthBalance(address)", (s.key,)))
        return (Subscription(s.chain_id, reads=(native, erc20.balance_read(s.wrapped_native, s.key))),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        return decided_in_rounds(observation, state, self._settings.cooldown_blocks, self._plans)

    def _plans(self, observation: Observation) -> tuple[Plan, ...]:
        s = self._settings
        native_wei = integer_answer(observation.reads, _NATIVE_LABEL, "uint256")
        if native_wei > s.high_wei:
            return (self._deposit(observation, native_wei),)
        wrapped_wei = erc20.balance(s.wrapped_native, s.key, observation.reads)
        if native_wei < s.low_wei and wrapped_wei > 0:
            return (self._withdraw(observation, native_wei, wrapped_wei),)
        return ()

    def _deposit(self, observation: Observation, native_wei: int) -> Plan:
        s = self._settings
        amount_wei = native_wei - s.target_wei
        note = f"native balance {native_wei} wei is above {s.high_wei}: wrap {amount_wei}"
        call = DirectBody(s.wrapped_native, weth.deposit_call(), amount_wei)
        return self._desk.direct(observation, 0, call, self._terms(s.wrapped_native, amount_wei, note))

    def _withdraw(self, observation: Observation, native_wei: int, wrapped_wei: int) -> Plan:
        s = self._settings
        amount_wei = min(s.target_wei - native_wei, wrapped_wei)
        note = f"native balance {native_wei} wei is below {s.low_wei}: unwrap {amount_wei}"
        call = DirectBody(s.wrapped_native, weth.withdraw_call(amount_wei))
        return self._desk.direct(observation, 0, call, self._terms(NATIVE, amount_wei, note))

    def _terms(self, token: Address, amount_wei: int, note: str) -> Terms:
        s = self._settings
        guards: tuple[GuardSpec, ...] = (gas_use_guard(),)
        if s.max_fee_per_gas_wei:
            guards += (gas_price_guard(s.max_fee_per_gas_wei),)
        expected = (TokenDelta(s.key, token, amount_wei),)
        priority = Priority.HIGH if token == NATIVE else Priority.LOW
        return Terms(s.wrapped_native, s.ttl_s, guards, expected, priority, note=note)
