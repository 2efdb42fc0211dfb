"""Moving: an intent whose nonce somebody else used is queued again, for another nonce (TX-2).

What left the process may be anywhere for ever, so a second nonce is how an effect comes twice. There are two
ways to one, and no other:

    beyond finality   the nonce was used by another transaction of the key, in a block that is final. That is
                      proved (`chain.uses`): the bytes of old can never land again. Any plan may move so
                      where several endpoints must agree. One alone could show a block that it made up,
                      around a transaction that the key's holder signed and that never landed: there only
                      plans of the executor may.
    at once           the plan runs through the executor, which records its intent id as it executes:
                      whichever copy lands second reverts. So a lie, or a reorg that brings old bytes back,
                      costs gas and no more than that.

The intent is queued again, with its own deadline, and judged anew: a new verdict, a new nonce, new bytes.
Every hash of the old slot stays watched until that slot is settled. While one of its slots is open an intent
does not end in the queue: what refuses it there leaves it committed, and its slots decide.

Not moved: what is to end anyway (cancelled, overdue, filled, refused when judged anew), what has moved as
often as the policy allows, and at once not what names alternatives, for those share their nonce."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from seawall.ledger.rows import EventData, IntentRow, NewEvent
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import IntentState
from seawall.primitives.plans import ExecutorBody, Plan
from seawall.transactions.policies import MovePolicy

__all__ = ["MOVED", "is_recorded", "movable", "queue_again", "stay_committed", "with_open_slots"]

MOVED: Final = "intent.moved"
RETURNED: Final = "intent.returned"


def is_recorded(plan: Plan) -> bool:
    """Whether the contract that it runs through records its intent id, so that a second copy reverts."""
    return isinstance(plan.body, ExecutorBody)


def movable(
    tx: Transaction, rows: Sequence[IntentRow], policy: MovePolicy, now_s: int, still_open: int | None = None
) -> list[IntentRow]:
    """Those of them that may have another nonce. `still_open` is the number of the slot that they are to
    leave before it is final: only where a second copy reverts, and where they have no later one."""
    at_once = still_open is not None
    if policy.moves_max == 0 or (at_once and not policy.at_once):
        return []
    fit = [
        row
        for row in rows
        if row.state is IntentState.COMMITTED
        and row.cancel_reason is None
        and not row.reason  # nobody decided that it is to end
        and row.plan.deadline_s > now_s
        and (is_recorded(row.plan) or (policy.unrecorded and not at_once))
        and not (at_once and _shares_its_nonce(row.plan))
    ]
    slots = tx.attempts.slots_of([row.number for row in fit]) if fit else {}
    return [
        row
        for row in fit
        if len(slots[row.number]) <= policy.moves_max
        and (still_open is None or max(slots[row.number])[0] == still_open)
    ]


def queue_again(tx: Transaction, rows: Sequence[IntentRow], from_nonce: int, why: str, now_s: int) -> None:
    """They wait for another nonce than `from_nonce`."""
    for row in rows:
        tx.intents.set_state(row.number, IntentState.QUEUED, why, None, now_s)
    data: EventData = {"nonce": from_nonce, "why": why}
    tx.events.append_many(
        [NewEvent(MOVED, row.lane.chain_id, row.strategy, row.number, data) for row in rows], now_s
    )


def with_open_slots(tx: Transaction, numbers: Collection[IntentNumber]) -> frozenset[IntentNumber]:
    """Those of them whose bytes may still land."""
    slots = tx.attempts.slots_of(list(numbers)) if numbers else {}
    return frozenset(number for number, several in slots.items() if not all(final for _, final in several))


def stay_committed(tx: Transaction, ended: Sequence[tuple[IntentRow, str]], now_s: int) -> None:
    """Queued ones that would end, while bytes of theirs may still land: their slots decide."""
    for row, why in ended:
        tx.intents.set_state(row.number, IntentState.COMMITTED, why, None, now_s)
    tx.events.append_many(
        [
            NewEvent(RETURNED, row.lane.chain_id, row.strategy, row.number, {"reason": why})
            for row, why in ended
        ],
        now_s,
    )


def _shares_its_nonce(plan: Plan) -> bool:
    return plan.routing is not None and bool(plan.routing.alternatives)
