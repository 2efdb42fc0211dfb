"""How plans come in, and how strategies are told."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from unittest.mock import patch

from seawall.ledger.intents import Intents
from seawall.ledger.rows import Accepted, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.observations import Decision, Observation
from seawall.primitives.plans import Plan
from seawall.primitives.units import Hash
from seawall.runtime.feeds import Feed
from seawall.transactions.intake import Intake
from tests.world.bugs.planting import Planted

__all__ = ["BUGS"]


@contextlib.contextmanager
def idempotency_not_looked_up() -> Iterator[None]:
    """A plan that was accepted before is accepted again."""
    true_accept = Intents.accept_many

    def accept(
        self: Intents, plans: Sequence[tuple[Plan, Hash]], correlation_id: str, now_s: int
    ) -> list[Accepted]:
        anew = []
        for plan, digest in plans:
            key = plan.idempotency_key
            while self.find(plan.strategy, key) is not None:
                key += "'"
            anew.append((replace(plan, idempotency_key=key), digest))
        return true_accept(self, anew, correlation_id, now_s)

    with patch.object(Intents, "accept_many", accept):
        yield


@contextlib.contextmanager
def state_before_plans() -> Iterator[None]:
    """A decision's state is committed first, its plans after it."""
    true_accept = Intake.accept

    async def accept(
        self: Intake,
        decision: Decision,
        correlation_id: str = "",
        also: Callable[[Transaction], None] | None = None,
    ) -> list[IntentRow]:
        await true_accept(self, replace(decision, plans=()), correlation_id, None)
        return await true_accept(self, replace(decision, state=None), correlation_id, also)

    with patch.object(Intake, "accept", accept):
        yield


@contextlib.contextmanager
def cursor_before_decision() -> Iterator[None]:
    """Events count as told once an observation is built, whatever becomes of it."""
    true_observation = Feed._observation

    async def observation(self: Feed) -> tuple[Observation | None, tuple[int, bytes], int]:
        built, state, cursor = await true_observation(self)
        if built is not None:
            name = self._cursor("events")
            await self.ledger.write(lambda tx: tx.events.advance(name, cursor))
        return built, state, cursor

    with patch.object(Feed, "_observation", observation):
        yield


BUGS: tuple[Callable[[], Planted], ...] = (
    idempotency_not_looked_up,
    state_before_plans,
    cursor_before_decision,
)
