"""Refuels the keys of a chain from one capped tank (TX-11).

Flow: each head reads the native balances of the tank and of the keys it serves. A key under its `low_wei` is
filled towards its `target_wei`, the neediest first, with no more than `day_wei_max` in any 24 hours: a key
that burns its fuel cannot drain the tank. The tank keeps `keep_wei` and the fees of what it sends. Plans of
one decision are one round; the next waits until none of them lives, and for a while after one that failed.

Every refuel is a plain transfer from the tank's own key, judged like any other plan. The tank's policy should
name the keys as its `recipients` and bound its `spend`: that holds even if this program is wrong.

Not done here: filling the tank itself (`seawall status` shows what it holds), or judging the gas price, which
guards do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Self

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import ConfigError, StrategyError, WireError
from seawall.primitives.levels import Finality, IntentState, Priority
from seawall.primitives.observations import Decision, Observation, Subscription
from seawall.primitives.plans import DirectBody, GuardSpec, Plan, TokenDelta
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols.answers import integer_answer
from seawall.strategies.base import decision, default_key
from seawall.strategies.own_intents import OwnIntents
from seawall.strategies.plans import PlanDesk, Terms, balance_guard, gas_price_guard, gas_use_guard
from seawall.strategies.settings import parse_settings

__all__ = ["DAY_S", "KEYS_MAX", "TRANSFER_GAS", "GasTank", "GasTankSettings", "ServedKey"]

DAY_S: Final = 86_400
KEYS_MAX: Final = 100
TRANSFER_GAS: Final = 21_000
# Remembered for the day's caps; beyond, no key is refuelled until the oldest is a day old.
_REFUELS_MAX: Final = 1_000
_TANK_LABEL: Final = "native balance of the tank"


@dataclass(frozen=True, slots=True)
class ServedKey:
    """A key that the tank fills."""

    address: Address
    low_wei: int
    target_wei: int
    day_wei_max: int  # in any 24 hours

    @property
    def label(self) -> str:
        return f"native balance of {address_text(self.address)}"


@dataclass(frozen=True, slots=True)
class GasTankSettings:
    chain_id: int
    key: Address  # the tank
    multicall: Address  # Multicall3, which answers for native balances
    keys: tuple[ServedKey, ...]
    max_fee_per_gas_wei: int  # a refuel above this waits
    keep_wei: int = 0
    ttl_s: int = 120
    cooldown_blocks: int = 5

    def __post_init__(self) -> None:
        addresses = [served.address for served in self.keys]
        if (
            not 1 <= len(addresses) <= KEYS_MAX
            or len(set(addresses)) != len(addresses)
            or self.key in addresses
        ):
            raise ConfigError(
                "the keys are none, too many, twice there, or the tank itself",
                "gas tank",
                f"give 1 to {KEYS_MAX} different keys",
            )
        for served in self.keys:
            if not 0 < served.low_wei < served.target_wei or served.day_wei_max < served.target_wei:
                raise ConfigError(
                    f"{served.low_wei} < {served.target_wei} <= {served.day_wei_max} does not hold",
                    f"gas tank, {address_text(served.address)}",
                    "give 0 < low_wei < target_wei <= day_wei_max",
                )
        if min(self.max_fee_per_gas_wei, self.ttl_s) <= 0 or min(self.keep_wei, self.cooldown_blocks) < 0:
            raise ConfigError("a negative duration, fee or balance", "gas tank", "give positive numbers")


@dataclass(frozen=True, slots=True)
class Refuel:
    """One transfer that was wanted and is not known to have failed."""

    intent_key: str
    address: Address
    amount_wei: int
    at_s: int


@dataclass(frozen=True, slots=True)
class _Memory:
    own: OwnIntents = field(default_factory=OwnIntents)
    refuels: tuple[Refuel, ...] = ()

    @classmethod
    def of(cls, state: bytes) -> Self:
        try:
            return unpack(cls, state) if state else cls()
        except WireError as error:
            what = f"the stored state is not a gas tank's: {error.what}"
            raise StrategyError(what, "strategy state", "give the strategy another name") from None

    def after(self, observation: Observation, cooldown_blocks: int) -> _Memory:
        """Without what is a day old, and without what did not land and cannot any more: a reorg revives what
        failed in a block that is not final."""
        failed = {
            event.idempotency_key
            for event in observation.intents
            if event.state.is_outcome
            and event.state is not IntentState.LANDED
            and event.finality in (None, Finality.FINAL)
        }
        oldest_s = observation.now_s - DAY_S
        refuels = tuple(r for r in self.refuels if r.at_s > oldest_s and r.intent_key not in failed)
        return _Memory(self.own.after(observation, cooldown_blocks), refuels)

    def given_wei(self, address: Address) -> int:
        return sum(refuel.amount_wei for refuel in self.refuels if refuel.address == address)


class GasTank:
    """The strategy; it has no view."""

    def __init__(self, name: str, settings: GasTankSettings) -> None:
        self.name = name
        self._settings = settings
        self._desk = PlanDesk(settings.key)

    @classmethod
    def configured(cls, name: str, settings: Mapping[str, object]) -> Self:
        return cls(name, parse_settings(GasTankSettings, settings, f"strategies.{name}"))

    def subscriptions(self) -> tuple[Subscription, ...]:
        s = self._settings
        asked = [(_TANK_LABEL, s.key), *((served.label, served.address) for served in s.keys)]
        reads = (
            Read(label, s.multicall, encode_call("getEthBalance(address)", (address,)))
            for label, address in asked
        )
        return (Subscription(s.chain_id, reads=tuple(reads)),)

    def decide(self, observation: Observation, state: bytes) -> Decision:
        before = _Memory.of(state)
        memory = before.after(observation, self._settings.cooldown_blocks)
        plans: tuple[Plan, ...] = ()
        if observation.reads and memory.own.is_quiet(observation.block.number):
            refuels = self._refuels(observation, memory)
            plans = tuple(self._plan(observation, place, refuel) for place, refuel in enumerate(refuels))
            memory = _Memory(memory.own.with_plans(plans), memory.refuels + refuels)
        return decision(observation, plans, state=pack(memory) if memory != before else None)

    def _refuels(self, observation: Observation, memory: _Memory) -> tuple[Refuel, ...]:
        """The neediest first, while the tank lasts."""
        s = self._settings
        balances = {k: integer_answer(observation.reads, k.label, "uint256") for k in s.keys}
        left_wei = integer_answer(observation.reads, _TANK_LABEL, "uint256") - s.keep_wei
        fee_wei = TRANSFER_GAS * s.max_fee_per_gas_wei
        needy = sorted(
            (served for served, wei in balances.items() if wei < served.low_wei),
            key=lambda served: (Fraction(balances[served], served.low_wei), served.address),
        )
        refuels: list[Refuel] = []
        for served in needy[: max(0, _REFUELS_MAX - len(memory.refuels))]:
            allowed_wei = served.day_wei_max - memory.given_wei(served.address)
            amount_wei = min(served.target_wei - balances[served], allowed_wei, left_wei - fee_wei)
            # What leaves a key low still would be asked for again at once.
            if balances[served] + amount_wei < served.low_wei:
                continue
            key = default_key(observation, len(refuels))
            refuels.append(Refuel(key, served.address, amount_wei, observation.now_s))
            left_wei -= amount_wei + fee_wei
        return tuple(refuels)

    def _plan(self, observation: Observation, place: int, refuel: Refuel) -> Plan:
        s = self._settings
        guards: tuple[GuardSpec, ...] = (
            gas_use_guard(),
            gas_price_guard(s.max_fee_per_gas_wei),
            balance_guard(s.keep_wei),
        )
        expected = (TokenDelta(refuel.address, NATIVE, refuel.amount_wei, tolerance_bps=0),)
        note = f"refuel {address_text(refuel.address)} with {refuel.amount_wei} wei"
        terms = Terms(NATIVE, s.ttl_s, guards, expected, Priority.HIGH, note=note)
        call = DirectBody(refuel.address, b"", refuel.amount_wei)
        # The refuel remembers the key that the desk gives by default.
        return self._desk.direct(observation, place, call, terms)
