"""Settling: finality consumes slots, and consumed slots give intents their outcomes.

A slot is consumed by one of its own hashes, or by a transaction that is not ours. Its reservations go with
it, and its spends become what was truly taken. An intent is

    landed      once a success of it is final
    failed      once no slot of it is open, none succeeded, and one reverted
    cancelled   once no slot of it is open and none of its own bytes are on chain: a filler or somebody else
                used the nonce

An intent has one slot, save where its executor tells copies apart and it was given a second one
(`transactions.reslotting`); until the last of them is consumed, a revert decides nothing.

Everything is read and written in bulk: one statement a kind, whatever the number of slots. Nothing here looks
at a chain."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import AttemptRow, Ending, InclusionRow, IntentRow, NewEvent, PostingRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.units import NATIVE, Address
from seawall.transactions.accounting import realised_of

__all__ = ["FOREIGN", "Consumed", "Ended", "holders_of", "settle"]

FOREIGN: Final = "its nonce was used, beyond finality, by a transaction that is not ours"
_FILLED: Final = "its nonce was filled"
_REVERTED: Final = "it reverted on chain"


@dataclass(frozen=True, slots=True)
class Consumed:
    """A slot whose nonce is used beyond finality."""

    lane: Lane
    nonce: int
    attempts: tuple[AttemptRow, ...]  # all that were ever signed for it, in commit order
    winner: InclusionRow | None  # None: the transaction was not ours

    @property
    def own(self) -> frozenset[IntentNumber]:
        """The intents whose bytes used the nonce."""
        if self.winner is None:
            return frozenset()
        mined = self.winner.attempt_hash
        return frozenset(number for row in self.attempts if row.hash == mined for number, _ in row.intents)


@dataclass(frozen=True, slots=True)
class Ended:
    """An outcome: the intent as it was before, and how it ended."""

    intent: IntentRow
    state: IntentState
    reason: str
    realised_wei: int | None


def settle(
    tx: Transaction,
    consumed: Sequence[Consumed],
    open_elsewhere: Callable[[], AbstractSet[IntentNumber]],
    wrapped_native: Address | None,
    now_s: int,
) -> list[Ended]:
    """Settle these slots and answer the intents that ended by it. `open_elsewhere` says which intents have a
    slot that stays open; it is asked only if something did not land."""
    if not consumed:
        return []
    tx.slots.settle_many(
        [(one.lane, one.nonce, one.winner.attempt_hash if one.winner else None) for one in consumed]
    )
    numbers = list(dict.fromkeys(n for one in consumed for row in one.attempts for n, _ in row.intents))
    rows = {row.number: row for row in tx.intents.get_many(numbers)}
    own = [number for one in consumed for number in one.own]
    postings = tx.postings.of_intents(own)
    ended = _outcomes(tx, consumed, rows, postings, open_elsewhere, wrapped_native)
    _write(tx, ended, now_s)
    _release(tx, consumed, postings)
    return ended


def _outcomes(
    tx: Transaction,
    consumed: Sequence[Consumed],
    rows: Mapping[IntentNumber, IntentRow],
    postings: Mapping[IntentNumber, Sequence[PostingRow]],
    open_elsewhere: Callable[[], AbstractSet[IntentNumber]],
    wrapped_native: Address | None,
) -> list[Ended]:
    statuses = {number: one.winner.status for one in consumed if one.winner for number in one.own}
    foreign = {n for one in consumed if one.winner is None for row in one.attempts for n, _ in row.intents}
    unlanded = [number for number in rows if not statuses.get(number)]
    still_open = open_elsewhere() if unlanded else frozenset()
    ended = []
    for number, row in rows.items():
        if row.state.is_outcome:
            _add_to_profit(tx, row, wrapped_native)  # a copy that landed later, and reverted
            continue
        status = statuses.get(number)
        if not status and number in still_open:
            continue
        if not status and row.plan.is_executor_plan:
            status = _reverted_before(tx, number, status)
        if status is None:
            reason = FOREIGN if number in foreign else row.reason or _FILLED
            ended.append(Ended(row, IntentState.CANCELLED, reason, None))
        else:
            own = postings.get(number) or tx.postings.of_intent(number)
            realised_wei = realised(row, own, wrapped_native)
            state = IntentState.LANDED if status else IntentState.FAILED
            ended.append(Ended(row, state, "" if status else _REVERTED, realised_wei))
    return ended


def _reverted_before(tx: Transaction, number: IntentNumber, status: bool | None) -> bool | None:
    """False too if bytes of another slot of this intent, settled earlier, reverted."""
    if status is not None:
        return status
    tried = tx.attempts.of_intent(number)
    known = [row for attempt in tried for row in tx.inclusions.of_attempt(attempt.number) if row.canonical]
    return False if any(row.finality is Finality.FINAL for row in known) else None


def _add_to_profit(tx: Transaction, row: IntentRow, wrapped_native: Address | None) -> None:
    realised_wei = realised(row, tx.postings.of_intent(row.number), wrapped_native)
    if row.state in (IntentState.LANDED, IntentState.FAILED) and realised_wei != row.realised_wei:
        tx.intents.set_profit(row.number, None, realised_wei)


def realised(row: IntentRow, postings: Sequence[PostingRow], wrapped_native: Address | None) -> int:
    """What the intent's canonical postings say in its accounting token, native and wrapped native 1:1."""
    token = row.plan.accounting_token
    native_like = token in (NATIVE, wrapped_native)
    tokens = frozenset({NATIVE, wrapped_native or NATIVE}) if native_like else frozenset({token})
    legs = [leg for posting in postings if posting.canonical for leg in posting.entry.legs]
    return realised_of(legs, holders_of(row), tokens)


def _write(tx: Transaction, ended: Sequence[Ended], now_s: int) -> None:
    tx.intents.end_many(
        [Ending(one.intent.number, one.state, one.reason, Finality.FINAL, one.realised_wei) for one in ended],
        now_s,
    )
    tx.events.append_many(
        [
            NewEvent(
                f"intent.{one.state}",
                one.intent.lane.chain_id,
                one.intent.strategy,
                one.intent.number,
                {"reason": one.reason},
            )
            for one in ended
        ],
        now_s,
    )


def _release(
    tx: Transaction,
    consumed: Sequence[Consumed],
    postings: Mapping[IntentNumber, Sequence[PostingRow]],
) -> None:
    """Reservations end with the slot, and of what was counted as spent only what was taken stays."""
    attempts = [row for one in consumed for row in one.attempts]
    tx.reservations.release_many([row.number for row in attempts])
    for one in consumed:
        for token, amount in _taken(one, postings):
            # The first attempt of a slot holds its spend, whichever of them landed.
            tx.spends.correct(one.attempts[0].number, token, amount)


def _taken(one: Consumed, postings: Mapping[IntentNumber, Sequence[PostingRow]]) -> list[tuple[Address, int]]:
    """What the use of this slot took out of its key, per token."""
    if not one.attempts:
        return []
    if one.winner is None:
        return [(NATIVE, 0)]
    mined = next(row for row in one.attempts if row.hash == one.winner.attempt_hash)
    value_wei = mined.payload.value_wei if one.winner.status else 0
    out = {NATIVE: one.winner.fee_wei + value_wei}
    for posting in (p for number, _ in mined.intents for p in postings.get(number, ())):
        if posting.entry.inclusion != one.winner.number:
            continue
        for leg in posting.entry.legs:
            if leg.account == one.lane.key and leg.token != NATIVE and leg.delta < 0:
                out[leg.token] = -leg.delta
    return list(out.items())


def holders_of(intent: IntentRow) -> frozenset[Address]:
    """Addresses of ours that the plan pays from or to."""
    body = intent.plan.body
    if isinstance(body, ExecutorBody):
        return frozenset({intent.lane.key, body.beneficiary, body.executor})
    return frozenset({intent.lane.key})
