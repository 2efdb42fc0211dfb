"""Open slots of a lane as recovery sees them at a head: which to look at, and how long they wait.

A lane under load has many slots that were written a moment ago and will be in the next block. Looking at each
of them at each head costs a request and several rows for nothing. So a slot is left alone while it is
*fresh*: its verdict is in force, and it was committed less than `FRESH_BLOCKS` ago, or less than one where
it is the one that all others of its lane wait for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import AttemptRow, IntentRow, SlotRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.levels import WriteKind
from seawall.transactions.desk import Desk
from seawall.transactions.routes import is_private
from seawall.transactions.suspects import dependencies_met

__all__ = ["FRESH_BLOCKS", "OpenSlot", "blocks_since", "due_attempts", "read_slots", "waited_blocks"]

FRESH_BLOCKS: Final = 2


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot that is not final: its attempts in commit order, and the intent it was made for."""

    slot: SlotRow
    attempts: tuple[AttemptRow, ...]
    intent: IntentRow | None
    is_suspect: bool = False  # something that the intent depends on is not where it needs it

    @property
    def newest(self) -> AttemptRow:
        return self.attempts[-1]

    @property
    def is_filled(self) -> bool:
        return self.newest.kind is WriteKind.HOUSEKEEPING


def due_attempts(desk: Desk, waiting: Sequence[AttemptRow], at_head: int) -> list[AttemptRow]:
    """Of what waits on a lane (`Desk.waiting`), what to look at now. What the chain has passed is foreign
    use, which confirmation sees to."""
    passed = {at_s: blocks_since(desk, at_s) for at_s in {row.committed_at_s for row in waiting}}
    are_in_force = desk.all_in_force([desk.verdicts.get(row.number) for row in waiting])
    return [
        row
        for row in waiting
        if row.nonce >= at_head
        and (
            passed[row.committed_at_s] >= (1 if row.nonce == at_head else FRESH_BLOCKS)
            or is_private(row.route)  # a bundle is for one block: it is handed over at every head
            or not (are_in_force or desk.in_force(desk.verdicts.get(row.number)))
        )
    ]


def read_slots(tx: Transaction, rows: list[AttemptRow]) -> list[OpenSlot]:
    """The slots of these attempts as the ledger has them."""
    tried = tx.attempts.of_slots([(row.lane, row.nonce) for row in rows])
    found = []
    for row in rows:
        slot = tx.slots.get(row.lane, row.nonce)
        assert slot is not None, "an attempt stands on its slot"
        intent = None if slot.intent is None else tx.intents.get(slot.intent)
        several = [intent] if intent is not None else []
        if len(row.intents) > 1:
            # Its bytes end for all of them when they end for the first that wants to.
            several = [tx.intents.get(number) for number, _ in row.intents]
            intent = min(several, key=lambda one: (one.cancel_reason is None, one.plan.deadline_s))
        suspect = any(one.plan.depends_on and not dependencies_met(tx, one) for one in several)
        found.append(OpenSlot(slot, tuple(tried[(row.lane, row.nonce)]), intent, suspect))
    return found


def waited_blocks(desk: Desk, attempt: AttemptRow) -> int:
    """Blocks in which the attempt could have been, and was not, if it is its lane's turn. By the time of
    the blocks, since a restart forgets when it was first seen; never more than since its predecessor was
    included."""
    waited = blocks_since(desk, attempt.committed_at_s)
    since = desk.used_in(attempt.lane, attempt.nonce - 1)
    return waited if since is None else min(waited, desk.base().number - since)


def blocks_since(desk: Desk, at_s: int) -> int:
    """Blocks that came since that moment [UTC s]: counted where we watched, else by their time."""
    by_time = max(0, desk.base().timestamp_s - at_s) // desk.parts.network.block_time_s
    counted = desk.heads_since(at_s)
    return by_time if counted is None else min(by_time, counted)
