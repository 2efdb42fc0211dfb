"""What the ledger remembers of spends, as the spend book counts it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from seawall.ledger.rows import AttemptRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address
from seawall.risk.spending import DAY_S, Past

__all__ = ["SlotSpend", "past_spends", "spends_of"]

SlotSpend = tuple[Lane, int, dict[Address, int], int]
"""A lane, a nonce, the most that it may take by token, and when it was committed."""


def past_spends(
    tx: Transaction, lanes: Collection[Lane], unsettled: Sequence[AttemptRow], now_s: int
) -> list[Past]:
    """Of these lanes, what a book is loaded from: the last day, and all that is not settled, however old."""
    nonces = {row.number: row.nonce for row in unsettled}
    oldest_s = min((row.committed_at_s for row in unsettled), default=now_s)
    from_s = min(now_s - DAY_S, oldest_s)
    return [
        Past(lane, row.token, row.amount, row.at_s, nonces.get(row.attempt))
        for lane in lanes
        for row in tx.spends.since(lane, from_s)
    ]


def spends_of(tx: Transaction, attempts: Sequence[AttemptRow]) -> list[SlotSpend]:
    """What slots that others committed may take."""
    nonces = {row.number: row.nonce for row in attempts}
    from_s: dict[Lane, int] = {}
    for row in attempts:
        from_s[row.lane] = min(row.committed_at_s, from_s.get(row.lane, row.committed_at_s))
    found: dict[tuple[Lane, int], tuple[dict[Address, int], int]] = {}
    for lane, since_s in from_s.items():
        for spend in tx.spends.since(lane, since_s):
            if spend.attempt in nonces:
                amounts, _ = found.setdefault((lane, nonces[spend.attempt]), ({}, spend.at_s))
                amounts[spend.token] = spend.amount
    return [(lane, nonce, amounts, at_s) for (lane, nonce), (amounts, at_s) in found.items()]
