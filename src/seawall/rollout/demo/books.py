"""The kernel's ledger, read from outside while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.rows import AttemptRow, InclusionRow, IntentRow, VerdictRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.ports import SystemClock, SystemEntropy
from seawall.primitives.units import Hash

__all__ = ["Books"]

T = TypeVar("T")
_PLANS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Books:
    """Each read opens the ledger read-only and closes it again, as `seawall plans list` does."""

    url: str

    def read(self, work: Callable[[Transaction], T]) -> T:
        async def once() -> T:
            ledger = Ledger.open(
                LedgerSettings(self.url, kernel=False), clock=SystemClock(), entropy=SystemEntropy()
            )
            try:
                return await ledger.read(work)
            finally:
                await ledger.close()

        return asyncio.run(once())

    def intents(self) -> list[IntentRow]:
        """All of them, oldest first."""
        return sorted(self.read(lambda tx: tx.intents.listing(_PLANS_MAX)), key=lambda row: row.number)

    def of(self, strategy: str) -> list[IntentRow]:
        return [row for row in self.intents() if row.strategy == strategy]

    def attempts(self, number: IntentNumber) -> list[AttemptRow]:
        return self.read(lambda tx: tx.attempts.of_intent(number))

    def inclusion(self, number: IntentNumber) -> InclusionRow | None:
        return self.read(lambda tx: tx.inclusions.of_intent(number))

    def canonical(self, tx_hash: Hash) -> InclusionRow | None:
        return self.read(lambda tx: tx.inclusions.canonical_of(tx_hash))

    def verdicts(self, number: IntentNumber) -> list[VerdictRow]:
        """Oldest first."""
        return self.read(lambda tx: tx.verdicts.of_intent(number))
