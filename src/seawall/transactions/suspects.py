"""Suspects: committed intents whose dependency is no longer where they need it (TX-6).

A plan may depend on others that must have reached a finality. While it is queued it waits. Once it is
committed its bytes may be anywhere; so when a reorg takes the dependency's inclusion away, the dependent is
*suspect*: it is said in the transaction that flips the inclusion, its verdict is dropped, and it is judged
anew before anything more is written (`transactions.recovery`). Admitted, it is kept; refused, cancelled.

Dependencies may cross chains and kernels. The event is appended by whoever sees the reorg; whoever holds the
dependent's lane finds from the ledger that its dependency is missing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from seawall.ledger.rows import InclusionRow, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import Finality, IntentState

__all__ = ["dependencies_met", "is_included", "mark_suspects"]


def mark_suspects(
    tx: Transaction, flipped: Sequence[InclusionRow], intents: Collection[IntentNumber], now_s: int
) -> frozenset[IntentNumber]:
    """Committed intents that stood on these, whose inclusions a reorg took away. One event each."""
    if not flipped or not intents:
        return frozenset()
    lost = {(row.strategy, row.plan.idempotency_key): row for row in tx.intents.get_many(list(intents))}
    suspects: dict[IntentNumber, NewEvent] = {}
    for lane in tx.lanes.all():
        for row in tx.intents.in_state(lane.lane, IntentState.COMMITTED):
            for key in row.plan.depends_on:
                if (row.strategy, key) in lost and row.number not in suspects:
                    suspects[row.number] = NewEvent(
                        "intent.suspect",
                        row.lane.chain_id,
                        row.strategy,
                        row.number,
                        {"depends_on": key, "intent": lost[row.strategy, key].number},
                    )
    tx.events.append_many(list(suspects.values()), now_s)
    return frozenset(suspects)


def dependencies_met(tx: Transaction, row: IntentRow) -> bool:
    """Every dependency is on chain, successfully, at the finality that the plan asks for."""
    return all(_is_met(tx, row, key) for key in row.plan.depends_on)


def _is_met(tx: Transaction, row: IntentRow, key: str) -> bool:
    needed = tx.intents.find(row.strategy, key)
    if needed is None:
        return False
    if needed.state is IntentState.LANDED:
        return True
    return is_included(tx, needed.number, row.plan.depends_finality)


def is_included(tx: Transaction, number: IntentNumber, finality: Finality) -> bool:
    """Whether the plan itself succeeded in a block of this finality, alone or as a segment."""
    inclusion = tx.inclusions.of_intent(number)
    if inclusion is None or not inclusion.status or inclusion.finality < finality:
        return False
    return not tx.segments.has_failed(inclusion.number, number)
