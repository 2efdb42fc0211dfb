"""Settling: finality consumes slots, and consumed slots give intents their outcomes.

A slot is consumed by one of its own hashes, or by a transaction that is not ours. Its reservations go with
it, and its spends become what was truly taken. Its intent has

    landed           its bytes succeeded
    failed           they reverted
    been cancelled   something else used the nonce: a filler, or somebody else
    been queued      somebody else used the nonce, which is proved, or a filler for the sake of others that
                     its bytes carried too, and it may have another (`moving`)

One that has several slots ends when one of them has landed it, or with the last of them.

Everything is read and written in bulk: one statement a kind, whatever the number of slots. Nothing here looks
at a chain."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import AttemptRow, Ending, InclusionRow, IntentRow, Leg, NewEvent, PostingRow
from seawall.ledger.transaction import Transaction
from seawall.primitives.errors import IntegrityAlarm
from seawall.primitives.identifiers import AttemptNumber, IntentNumber, Lane
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.transactions.accounting import REVERTED, realised_of
from seawall.transactions.moving import movable, queue_again, with_open_slots
from seawall.transactions.policies import MovePolicy

__all__ = ["FOREIGN", "Consumed", "Ended", "holders_of", "settle"]

FOREIGN: Final = "its nonce was used, beyond finality, by a transaction that is not ours"
_FILLED: Final = "its nonce was filled"
_BEATEN: Final = "an alternative to it used the nonce"
_NAMED_MAX: Final = 8  # intents in the text of an alarm

_Failed = Mapping[tuple[int, IntentNumber], str]


@dataclass(frozen=True, slots=True)
class Consumed:
    """A slot whose nonce is used beyond finality."""

    lane: Lane
    nonce: int
    attempts: tuple[AttemptRow, ...]  # all that were ever signed for it, in commit order
    winner: InclusionRow | None  # None: the transaction was not ours
    used_by: Hash | None = None  # then: which it was, if that is proved

    @property
    def own(self) -> frozenset[IntentNumber]:
        """The intents whose bytes used the nonce."""
        if self.winner is None:
            return frozenset()
        mined = self.winner.attempt_hash
        return frozenset([number for row in self.attempts if row.hash == mined for number, _ in row.intents])


@dataclass(frozen=True, slots=True)
class Memory:
    """What this process knows without asking the ledger. What is missing here is read."""

    intents: Mapping[IntentNumber, IntentRow]  # their plans; states may be old
    legs: Mapping[int, Sequence[Leg]]  # what inclusions moved, by number
    wrapped_native: Address | None
    moves: MovePolicy = MovePolicy()  # noqa: RUF009  (frozen)


@dataclass(frozen=True, slots=True)
class Ended:
    """An outcome: the intent as it was before, and how it ended."""

    intent: IntentRow
    state: IntentState
    reason: str
    realised_wei: int | None


def settle(
    tx: Transaction, consumed: Sequence[Consumed], memory: Memory, now_s: int
) -> tuple[list[Ended], list[dict[Address, int]]]:
    """Settle these slots; answer the intents that ended by it, and what each slot took of ours by token."""
    if not consumed:
        return [], []
    tx.slots.settle_many(
        [(one.lane, one.nonce, one.winner.attempt_hash if one.winner else None) for one in consumed]
    )
    failed = _failed_segments(tx, consumed)
    ended = _landed(tx, consumed, memory, failed)
    done = {one.intent.number for one in ended}
    left = [n for one in consumed for row in one.attempts for n, _ in row.intents if n not in done]
    if left:
        ended += _not_landed(tx, consumed, list(dict.fromkeys(left)), memory, failed, now_s)
    _write(tx, ended, now_s)
    return ended, _release(tx, consumed, memory)


def _failed_segments(tx: Transaction, consumed: Sequence[Consumed]) -> _Failed:
    """Plans that did not land though their transaction did, by inclusion and intent, with the reason."""
    shared = [one.winner.number for one in consumed if one.winner and len(one.own) > 1]
    ends = tx.segments.of_inclusions(shared) if shared else []
    return {(end.inclusion, end.intent): end.reason or REVERTED for end in ends if not end.landed}


def _landed(tx: Transaction, consumed: Sequence[Consumed], memory: Memory, failed: _Failed) -> list[Ended]:
    """Intents of which a success is final now: nearly all of them, so that they come first and cheap."""
    wins = [
        (number, one.winner)
        for one in consumed
        if one.winner and one.winner.status
        for number in one.own
        if not failed or (one.winner.number, number) not in failed
    ]
    won = dict(wins)
    if len(won) < len(wins):
        raise _landed_twice(won)
    unread = [
        number
        for number, row in won.items()
        if row.number not in memory.legs or _may_have_moved(memory.intents.get(number))
    ]
    read = tx.postings.of_intents(unread) if unread else {}
    unknown = [number for number in won if number not in memory.intents]
    rows = {row.number: row for row in tx.intents.get_many(unknown)} if unknown else {}
    ended = []
    for number, inclusion in won.items():
        intent = memory.intents.get(number) or rows[number]
        legs = _legs_of(read[number]) if number in read else memory.legs[inclusion.number]
        realised_wei = realised(intent, legs, memory.wrapped_native)
        ended.append(Ended(intent, IntentState.LANDED, "", realised_wei))
    return ended


def _not_landed(
    tx: Transaction,
    consumed: Sequence[Consumed],
    numbers: Sequence[IntentNumber],
    memory: Memory,
    failed: _Failed,
    now_s: int,
) -> list[Ended]:
    """Of intents whose nonce is used and that did not land by it: what becomes of those that have no other
    chance, and another chance for those that may have one."""
    alive = []
    for row in tx.intents.get_many(list(numbers)):
        if row.state is IntentState.LANDED:
            _count_copy(tx, row, memory)
        elif row.state is IntentState.COMMITTED:
            alive.append(row)
    waiting = with_open_slots(tx, [row.number for row in alive])
    rows = [row for row in alive if row.number not in waiting]
    moved = _move(tx, consumed, rows, memory, now_s)
    return _ended(tx, consumed, [row for row in rows if row.number not in moved], memory, failed)


def _move(
    tx: Transaction, consumed: Sequence[Consumed], rows: Sequence[IntentRow], memory: Memory, now_s: int
) -> frozenset[IntentNumber]:
    """Queue again what may have another nonce: its own is used beyond finality, by a transaction that is
    proved, or by the filler of a transaction that it shared with others, for whose sake it was filled."""
    moved: set[IntentNumber] = set()
    for one in consumed:
        if one.winner is None:
            if one.used_by is None:
                continue
            attempts, user = one.attempts, hex_text(one.used_by)
        else:
            attempts = () if one.own else tuple([row for row in one.attempts if len(row.intents) > 1])
            user = "the filler that others in its transaction needed"
        numbers = {number for attempt in attempts for number, _ in attempt.intents}
        here = [row for row in rows if row.number in numbers and tx.inclusions.of_intent(row.number) is None]
        going = movable(tx, here, memory.moves, now_s)
        why = f"its nonce {one.nonce} was used, beyond finality, by {user}"
        queue_again(tx, going, one.nonce, why, now_s)
        moved |= {row.number for row in going}
    return frozenset(moved)


def _count_copy(tx: Transaction, row: IntentRow, memory: Memory) -> None:
    """A copy of what has landed used its nonce too, and reverted or was filled: it cost gas."""
    legs = _legs_of(tx.postings.of_intent(row.number))
    tx.intents.set_profit(row.number, None, realised(row, legs, memory.wrapped_native))


def _may_have_moved(row: IntentRow | None) -> bool:
    """Whether it was built before it was committed to the slot that landed it: then other bytes of it may
    have cost something too."""
    return row is None or row.candidates > 0


def _ended(
    tx: Transaction,
    consumed: Sequence[Consumed],
    rows: Sequence[IntentRow],
    memory: Memory,
    failed: _Failed,
) -> list[Ended]:
    reasons = {number: why for (_, number), why in failed.items()}
    reverted = {
        n for one in consumed if one.winner and not one.winner.status for n in one.own
    } | reasons.keys()
    foreign = {n for one in consumed if one.winner is None for row in one.attempts for n, _ in row.intents}
    beaten = {n for one in consumed if one.own for row in one.attempts for n, _ in row.intents} - reverted
    ended = []
    for row in rows:
        if row.number in reverted or tx.inclusions.of_intent(row.number) is not None:
            legs = _legs_of(tx.postings.of_intent(row.number))
            realised_wei = realised(row, legs, memory.wrapped_native)
            reason = reasons.get(row.number, REVERTED)
            ended.append(Ended(row, IntentState.FAILED, reason, realised_wei))
        else:
            reason = FOREIGN if row.number in foreign else row.reason
            reason = reason or (_BEATEN if row.number in beaten else _FILLED)
            ended.append(Ended(row, IntentState.CANCELLED, reason, None))
    return ended


def realised(row: IntentRow, legs: Sequence[Leg], wrapped_native: Address | None) -> int:
    """What these legs moved of the intent's accounting token, native and wrapped native 1:1."""
    token = row.plan.accounting_token
    native_like = token in (NATIVE, wrapped_native)
    tokens = frozenset({NATIVE, wrapped_native or NATIVE}) if native_like else frozenset({token})
    return realised_of(legs, holders_of(row), tokens)


def _legs_of(postings: Sequence[PostingRow]) -> list[Leg]:
    return [leg for posting in postings if posting.canonical for leg in posting.entry.legs]


def _write(tx: Transaction, ended: Sequence[Ended], now_s: int) -> None:
    landed = [one for one in ended if one.state is IntentState.LANDED]
    if tx.intents.end_many(_endings(landed), now_s):
        raise _landed_twice([one.intent.number for one in landed])
    tx.intents.end_many(_endings([one for one in ended if one.state is not IntentState.LANDED]), now_s)
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


def _landed_twice(numbers: Collection[IntentNumber]) -> IntegrityAlarm:
    named = ", ".join(f"#{number}" for number in list(numbers)[:_NAMED_MAX])
    return IntegrityAlarm(
        f"an intent landed by a second transaction, beyond finality: one of {len(numbers)}, {named}",
        "settling",
        "halt, and find out how its second copy could succeed",
    )


def _endings(ended: Sequence[Ended]) -> list[Ending]:
    return [
        Ending(one.intent.number, one.state, one.reason, Finality.FINAL, one.realised_wei) for one in ended
    ]


def _release(tx: Transaction, consumed: Sequence[Consumed], memory: Memory) -> list[dict[Address, int]]:
    """Reservations end with the slot, and of what was counted as spent only what was taken stays."""
    tx.reservations.release_many([row.number for one in consumed for row in one.attempts])
    taken = [_taken(tx, one, memory) for one in consumed]
    held = [each for one, out in zip(consumed, taken, strict=True) for each in _holders(one, out)]
    tx.spends.settle_many(held)
    return taken


def _holders(one: Consumed, out: dict[Address, int]) -> list[tuple[AttemptNumber, dict[Address, int]]]:
    """Who holds what was spent: of each intent of the slot its first attempt, whichever of them landed, and
    the slot's first where nothing of its intents did. Alternatives that did not land spent nothing."""
    if len(one.attempts) == 1:
        return [(one.attempts[0].number, out)]
    firsts: dict[tuple[tuple[IntentNumber, int], ...], AttemptNumber] = {}
    for row in one.attempts:
        if row.intents or not firsts:
            firsts.setdefault(row.intents, row.number)
    winner = next((row for row in one.attempts if one.winner and row.hash == one.winner.attempt_hash), None)
    holder = next(iter(firsts.values()), None)
    if winner is not None and winner.intents in firsts:
        holder = firsts[winner.intents]
    return [(number, out if number == holder else {}) for number in firsts.values()]


def _taken(tx: Transaction, one: Consumed, memory: Memory) -> dict[Address, int]:
    """What the use of this slot took out of all that is ours, of the native token at least what its key sent:
    that is what a verdict counts as spent."""
    if not one.attempts:
        return {}
    if one.winner is None:
        return {NATIVE: 0}
    winner = one.winner
    [mined] = [row for row in one.attempts if row.hash == winner.attempt_hash]
    value_wei = mined.payload.value_wei if winner.status else 0
    legs = memory.legs.get(winner.number)
    if legs is None:
        postings = [p for number, _ in mined.intents for p in tx.postings.of_intent(number)]
        legs = _legs_of([p for p in postings if p.entry.inclusion == winner.number])
    change: dict[Address, int] = {}
    for account, token, delta in legs:
        if isinstance(account, bytes):
            change[token] = change.get(token, 0) + delta
    out = {NATIVE: max(winner.fee_wei + value_wei, -change.pop(NATIVE, 0))}
    for token, delta in change.items():
        if delta < 0:
            out[token] = -delta
    return out


def holders_of(intent: IntentRow) -> frozenset[Address]:
    """Addresses of ours that the plan pays from or to."""
    body = intent.plan.body
    if isinstance(body, ExecutorBody):
        return frozenset({intent.lane.key, body.beneficiary, body.executor})
    return frozenset({intent.lane.key})
