"""What a retired key moves to its successor next (KEY-2): decided from what it holds and what was tried.

Tokens go first and the native token last, because it pays for them. Each thing has tries of its own, so a
token that is paused or refuses the key holds nothing else up: after `NATIVE_WAITS_TRIES` in vain it does not
keep the native token back any more, and after `TRIES_MAX`, which is longer than a day's caps last, it is left
where it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import IntentRow
from seawall.primitives.identifiers import Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Address
from seawall.runtime.configuration.settings import Configuration

__all__ = [
    "NATIVE_WAITS_TRIES",
    "NO_TRIES",
    "RETRY_S",
    "RETRY_S_MAX",
    "TRIES_MAX",
    "KeyBounds",
    "Move",
    "Tries",
    "bounds_of",
    "movable_of",
    "next_move",
    "tries_of",
]

# After a move that did not land, this long passes before the same is tried again; doubled each time.
RETRY_S: Final = 120
RETRY_S_MAX: Final = 3_600
# The hour between tries makes these some thirty hours: what a day's cap refuses is free again by then.
TRIES_MAX: Final = 36
NATIVE_WAITS_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class KeyBounds:
    """What the limits let a key send of the native token."""

    kept_wei: int  # that the key must keep
    value_max_wei: int  # of one transaction
    hour_max_wei: int | None = None  # with its fee; None: nothing counts the hour


def bounds_of(configuration: Configuration, keys: Mapping[str, Address]) -> dict[Lane, KeyBounds]:
    """Of every lane that has a policy. `keys` are the addresses behind the signers' names."""
    found: dict[Lane, KeyBounds] = {}
    for signer in configuration.signers:
        for chain_id, settings in signer.policies.items():
            shared = (one for one in configuration.budgets if one.chain_id == chain_id)
            caps = [
                *settings.caps,
                *(cap for one in shared if signer.name in one.signers for cap in one.caps),
            ]
            policy, limits = settings.policy, configuration.limits[chain_id]
            found[Lane(chain_id, keys[signer.name])] = KeyBounds(
                max(policy.balance_min_wei, limits.key_balance_min_wei),
                policy.value_max_wei,
                min((cap.per_hour for cap in caps if cap.token == NATIVE), default=None),
            )
    return found


@dataclass(frozen=True, slots=True)
class Tries:
    """Moves of one thing since the last that landed."""

    in_vain: int
    last_at_s: int

    @property
    def due_s(self) -> int:
        """From when on it may be tried again [UTC s]."""
        if self.in_vain == 0:
            return 0
        return self.last_at_s + min(RETRY_S << min(self.in_vain - 1, TRIES_MAX), RETRY_S_MAX)


NO_TRIES: Final = Tries(0, 0)


@dataclass(frozen=True, slots=True)
class Move:
    token: Address
    amount: int  # [smallest unit]


def tries_of(rows: Iterable[IntentRow]) -> dict[Address, Tries]:
    """By what was to be moved, from a retirement's plans in their order."""
    found: dict[Address, Tries] = {}
    for row in rows:
        token = row.plan.accounting_token
        has_landed = row.state is IntentState.LANDED
        in_vain = 0 if has_landed else found.get(token, NO_TRIES).in_vain + 1
        found[token] = Tries(in_vain, row.accepted_at_s)
    return found


def movable_of(held: Mapping[Address, int | None], fee_wei: int, bounds: KeyBounds) -> dict[Address, int]:
    """Of each thing what can go at once; nothing of what could not be read."""
    found = {token: amount for token, amount in held.items() if amount is not None and amount > 0}
    rest_wei = found.pop(NATIVE, 0) - fee_wei - bounds.kept_wei
    at_once_wei = bounds.value_max_wei
    if bounds.hour_max_wei is not None:
        at_once_wei = min(at_once_wei, bounds.hour_max_wei - fee_wei)
    # Less than a fee is what the last move left, and not worth another.
    if rest_wei > fee_wei and at_once_wei > 0:
        found[NATIVE] = min(rest_wei, at_once_wei)
    return found


def next_move(
    movable: Mapping[Address, int], tries: Mapping[Address, Tries], now_s: int
) -> tuple[Move | None, bool]:
    """What to move now, and whether something is still to come. What was tried least goes first."""
    left = {token: found for token in movable if (found := tries.get(token, NO_TRIES)).in_vain < TRIES_MAX}
    keeps_native = any(t != NATIVE and found.in_vain < NATIVE_WAITS_TRIES for t, found in left.items())
    due = [
        token
        for token, found in left.items()
        if now_s >= found.due_s and not (token == NATIVE and keeps_native)
    ]
    if not due:
        return None, bool(left)
    token = min(due, key=lambda one: left[one].in_vain)
    return Move(token, movable[token]), True
