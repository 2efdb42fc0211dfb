"""What a strategy remembers of its own intents: which are alive, and until when it holds back.

Kept in `state`, because it cannot be read from the chain: a strategy that forgot a living intent would want
the same thing twice. A reorg revives what had landed, and the event that tells so counts it among the living
again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import StrategyError, WireError
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import Decision, IntentEvent, Observation
from seawall.primitives.plans import Plan
from seawall.strategies.base import decision

__all__ = ["OwnIntents", "decided_in_rounds"]


@dataclass(frozen=True, slots=True)
class OwnIntents:
    """Idempotency keys of living intents, and how long a failed attempt keeps the strategy quiet."""

    alive: tuple[str, ...] = ()
    quiet_until_block: int = 0

    @classmethod
    def from_state(cls, state: bytes) -> Self:
        """What `to_state` gave; empty bytes are the beginning."""
        try:
            return unpack(cls, state) if state else cls()
        except WireError as error:
            what = f"the stored state is not this strategy's: {error.what}"
            raise StrategyError(what, "strategy state", "give the strategy another name") from None

    def to_state(self) -> bytes:
        return pack(self)

    def after(self, observation: Observation, cooldown_blocks: int) -> OwnIntents:
        """What the observation's intent events make of it."""
        alive = dict.fromkeys(self.alive)
        quiet_until_block = self.quiet_until_block
        for event in observation.intents:
            if not event.state.is_outcome and event.finality is None:
                alive[event.idempotency_key] = None
                continue
            alive.pop(event.idempotency_key, None)
            if _counts_as_failed(event):
                quiet_until_block = max(quiet_until_block, observation.block.number + cooldown_blocks)
        return OwnIntents(tuple(alive), quiet_until_block)

    def with_plans(self, plans: tuple[Plan, ...]) -> OwnIntents:
        """The plans count as living from the decision on that carries them."""
        keys = (plan.idempotency_key for plan in plans)
        return OwnIntents(tuple(dict.fromkeys((*self.alive, *keys))), self.quiet_until_block)

    def is_quiet(self, block_number: int) -> bool:
        """Nothing is under way and no cooldown runs."""
        return not self.alive and block_number > self.quiet_until_block


def decided_in_rounds(
    observation: Observation,
    state: bytes,
    cooldown_blocks: int,
    plans_of: Callable[[Observation], tuple[Plan, ...]],
) -> Decision:
    """What a strategy decides that wants something of what it reads, and nothing while a plan of it lives."""
    before = OwnIntents.from_state(state)
    own = before.after(observation, cooldown_blocks)
    plans: tuple[Plan, ...] = ()
    if observation.reads and own.is_quiet(observation.block.number):
        plans = plans_of(observation)
        own = own.with_plans(plans)
    return decision(observation, plans, state=own.to_state() if own != before else None)


def _counts_as_failed(event: IntentEvent) -> bool:
    """It did not land, or it was just included and whether it did is not said yet."""
    if event.state is IntentState.COMMITTED:
        return event.finality is Finality.INCLUDED
    return event.state is not IntentState.LANDED
