"""Moves what a key holds beyond its need to a cold address (TX-11).

Flow: each head reads the key's native balance and its balances of the listed tokens. What exceeds `keep` is
moved once it is at least `least`, one plan for each token. Plans of one decision are one round; the next
waits until none of them lives, and for a while after one that failed.

What the limits let leave at once (a cap of `[limits]`, the policy's `value_max` and spend of an hour) belongs
into `most` and `native_most_wei`: a surplus above such a limit is refused as a whole, again and again.

A token whose balance cannot be read is left out of a round; the others go. One that takes a fee on transfer,
or lies about its balances, makes the cold address receive less than the plan promises, and the slippage guard
refuses it. The key's policy should name the cold address as its only recipient of transfers.

The native token pays the sweep's own fee: `native_keep_wei` is what stays after the maximum fee.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ConfigError, ProtocolError
from seawall.primitives.levels import Priority
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address, address_text
from seawall.protocols import erc20
from seawall.protocols.answers import integer_answer
from seawall.strategies.own_intents import decided_in_rounds
from seawall.strategies.plans import PlanDesk, Terms, balance_guard, gas_price_guard, gas_use_guard
from seawall.strategies.settings import parse_settings

__all__ = ["TOKENS_MAX", "TRANSFER_GAS_MAX", "ProfitSweep", "ProfitSweepSettings", "SweptToken"]

TOKENS_MAX: Final = 15
# The cold address may be a Safe: its `receive` takes more than a plain account's 21,000.
TRANSFER_GAS_MAX: Final = 60_000
_NATIVE_LABEL: Final = "native balance"


@dataclass(frozen=True, slots=True)
class SweptToken:
    token: Address
    keep: int  # [smallest unit]
    least: int  # a smaller surplus stays [smallest unit]
    most: int = 0  # at once; 0: all of it [smallest unit]


@dataclass(frozen=True, slots=True)
class ProfitSweepSettings:
    chain_id: int
    key: Address
    cold: Address
    multicall: Address  # Multicall3, which answers for native balances
    max_fee_per_gas_wei: int  # a sweep above this waits
    tokens: tuple[SweptToken, ...] = ()
    native_keep_wei: int = 0
    native_least_wei: int = 0  # 0: the native token is not swept
    native_most_wei: int = 0  # at once; 0: all of it
    ttl_s: int = 600
    cooldown_blocks: int = 20

    def __post_init__(self) -> None:
        if self.cold in (self.key, ZERO_ADDRESS, NATIVE):
            raise ConfigError("this cannot be the cold address", "profit sweep", "give another address")
        tokens = [swept.token for swept in self.tokens]
        is_wrong = len(tokens) > TOKENS_MAX or len(set(tokens)) != len(tokens) or NATIVE in tokens
        if is_wrong or (not tokens and not self.native_least_wei):
            raise ConfigError(
                "the tokens are none, too many or twice there",
                "profit sweep",
                f"give up to {TOKENS_MAX} different tokens, or native_least_wei",
            )
        if any(swept.keep < 0 or swept.least <= 0 for swept in self.tokens):
            raise ConfigError("a negative keep, or no least", "profit sweep", "give keep >= 0 and least > 0")
        bounds = [(swept.least, swept.most) for swept in self.tokens]
        if any(
            most and most < least for least, most in (*bounds, (self.native_least_wei, self.native_most_wei))
        ):
            raise ConfigError(
                "less would go at once than must be there",
                "profit sweep",
                "give a most of at least the least",
            )
        if (
            min(self.max_fee_per_gas_wei, self.ttl_s) <= 0
            or min(self.native_keep_wei, self.native_least_wei, self.cooldown_blocks) < 0
        ):
            raise ConfigError("a negative duration, fee or balance", "profit sweep", "give positive numbers")


class ProfitSweep:
    """The strategy; it has no view."""

    def __init__(self, name: str, settings: ProfitSweepSettings) -> None:
        self.name = name
        self._settings = settings
        self._desk = PlanDesk(settings.key)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(ProfitSweepSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        s = self._settings
        native = Read(_NATIVE_LABEL, s.multicall, encode_call("getEthBalance(address)", (s.key,)))
        tokens = (erc20.balance_read(swept.token, s.key) for swept in s.tokens)
        return (Subscription(s.chain_id, reads=(native, *tokens)),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        return decided_in_rounds(observation, state, self._settings.cooldown_blocks, self._plans)

    def _plans(self, observation: Observation) -> tuple[Plan, ...]:
        s = self._settings
        plans: list[Plan] = []
        for swept in s.tokens:
            try:
                surplus = erc20.balance(swept.token, s.key, observation.reads) - swept.keep
            except ProtocolError:
                continue
            if surplus >= swept.least:
                amount = min(surplus, swept.most or surplus)
                call = DirectBody(swept.token, erc20.transfer_call(s.cold, amount))
                plans.append(self._plan(observation, len(plans), swept.token, amount, call))
        surplus_wei = self._native_surplus_wei(observation, len(plans))
        if s.native_least_wei and surplus_wei >= s.native_least_wei:
            amount_wei = min(surplus_wei, s.native_most_wei or surplus_wei)
            call = DirectBody(s.cold, b"", amount_wei)
            plans.append(self._plan(observation, len(plans), NATIVE, amount_wei, call))
        return tuple(plans)

    def _native_surplus_wei(self, observation: Observation, other_plans: int) -> int:
        """After the fees of this round: tokens go first, and everything goes at its dearest."""
        s = self._settings
        fees_wei = (other_plans + 1) * TRANSFER_GAS_MAX * s.max_fee_per_gas_wei
        return integer_answer(observation.reads, _NATIVE_LABEL, "uint256") - s.native_keep_wei - fees_wei

    def _plan(
        self, observation: Observation, place: int, token: Address, amount: int, call: DirectBody
    ) -> Plan:
        s = self._settings
        guards: tuple[GuardSpec, ...] = (gas_use_guard(), gas_price_guard(s.max_fee_per_gas_wei))
        if token == NATIVE:
            guards += (balance_guard(s.native_keep_wei),)
        expected = (TokenDelta(s.cold, token, amount, tolerance_bps=0),)
        named = "native tokens [wei]" if token == NATIVE else address_text(token)
        note = f"sweep {amount} of {named} to {address_text(s.cold)}"
        terms = Terms(token, s.ttl_s, guards, expected, Priority.LOW, note=note)
        return self._desk.direct(observation, place, call, terms)
