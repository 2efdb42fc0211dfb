"""Intents: accepted plans, their idempotency, their on-chain ids and their states.

States move like this, and no other way; every change is checked in the statement that makes it:

    queued ──▶ committed ──▶ landed | failed | cancelled      (with the finality of the block behind it)
       ▲───────────┘  ▲──────────┘ while provisional, a reorg takes them back
       └──▶ refused | expired | cancelled

An outcome without finality, or at FINAL, is settled: nothing changes it. A committed intent is never refused
or expired, because its bytes count as possibly sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList, insert_batch, int256_text, take_numbers, uint256_text
from seawall.ledger.bulk import Batch
from seawall.ledger.rows import Accepted, Ending, IntentRow
from seawall.ledger.schema import intents, sequences
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.bounds import INTENT_ID_BLOCK
from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import IdempotencyConflictError, LedgerError
from seawall.primitives.identifiers import IntentNumber, Lane, intent_id_of
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.plans import Plan
from seawall.primitives.units import ZERO_ADDRESS, Address, Hash, hex_text

__all__ = ["IntentIds", "Intents"]

_PLANS_CACHED: Final = 2048  # decoded plans kept, so that a queue read at every head is decoded once

_COLUMNS: Final = (
    intents.c.number,
    intents.c.strategy,
    intents.c.chain_id,
    intents.c.key,
    intents.c.plan,
    intents.c.plan_digest,
    intents.c.intent_id,
    intents.c.state,
    intents.c.reason,
    intents.c.finality,
    intents.c.correlation_id,
    intents.c.accepted_at_s,
    intents.c.ended_at_s,
    intents.c.candidates,
    intents.c.predicted_wei,
    intents.c.realised_wei,
    intents.c.cancel_reason,
)
_ALIVE: Final = sa.text("state IN ('queued', 'committed')")
_IN_LANE: Final = (intents.c.chain_id == bindparam("chain_id"), intents.c.key == bindparam("key"))
_ONE: Final[sa.ColumnElement[int]] = sa.literal_column("1")
_WITH_NUMBER: Final = intents.c.number == bindparam("row")

_UNTIL_ENDED: Final = ("finality", "ended_at_s", "predicted_wei", "realised_wei", "cancel_reason")
_NEW_ROW: Final = [c.name for c in intents.c if c.name not in _UNTIL_ENDED]
_INSERT: Final = Prepared(
    sa.insert(intents).returning(intents.c.number),
    _NEW_ROW[1:],
)
_INSERT_NEW: Final = insert_batch(intents, *_UNTIL_ENDED, unless_exists=("strategy", "idempotency_key"))
_FIND: Final = Prepared(
    sa.select(*_COLUMNS).where(
        intents.c.strategy == bindparam("strategy"), intents.c.idempotency_key == bindparam("idempotency_key")
    )
)
_GET: Final = Prepared(sa.select(*_COLUMNS).where(_WITH_NUMBER))
_QUEUED: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(_ALIVE, *_IN_LANE, intents.c.state == "queued")
    .order_by(intents.c.priority, intents.c.number)
    .limit(bindparam("count"))
)
_GET_MANY: Final = InList(lambda numbers: sa.select(*_COLUMNS).where(intents.c.number.in_(numbers)))
_CANDIDATES: Final = InList(
    lambda numbers: sa.select(intents.c.number, intents.c.candidates).where(intents.c.number.in_(numbers))
)
_CANCELLED_AMONG: Final = InList(
    lambda numbers: sa.select(intents.c.number).where(
        intents.c.number.in_(numbers), intents.c.cancel_reason.is_not(None)
    )
)
_COUNT_CANDIDATES: Final = Batch(
    sa.update(intents).where(_WITH_NUMBER, _ALIVE).values(candidates=intents.c.candidates + _ONE), ["row"]
)
_QUEUED_COUNTS: Final = Prepared(
    sa.select(intents.c.key, sa.func.count())
    .where(_ALIVE, intents.c.chain_id == bindparam("chain_id"), intents.c.state == "queued")
    .group_by(intents.c.key)
)
_CANCEL_ASKED: Final = Prepared(
    sa.select(intents.c.key)
    .where(
        _ALIVE,
        intents.c.chain_id == bindparam("chain_id"),
        intents.c.state == "queued",
        intents.c.cancel_reason.is_not(None),
    )
    .distinct()
)
_IN_STATE: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(_ALIVE, *_IN_LANE, intents.c.state == bindparam("wanted"))
    .order_by(intents.c.number)
)
# The sum keeps SQLite from walking all intents by number, instead of those in the partial index.
_ALL_ALIVE: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(_ALIVE)
    .order_by(intents.c.number + sa.literal_column("0"))
    .limit(bindparam("count"))
)
_LISTING: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(intents.c.number < bindparam("before"))
    .order_by(intents.c.number.desc())
    .limit(bindparam("count"))
)
_LISTING_OF: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(intents.c.strategy == bindparam("of"), intents.c.number < bindparam("before"))
    .order_by(intents.c.number.desc())
    .limit(bindparam("count"))
)
_COUNT_CANDIDATE: Final = Prepared(
    sa.update(intents)
    .where(_WITH_NUMBER, _ALIVE)
    .values(candidates=intents.c.candidates + 1)
    .returning(intents.c.candidates)
)
_EXPLAIN: Final = Prepared(
    sa.update(intents).where(_WITH_NUMBER, _ALIVE).values(reason=bindparam("new_reason"))
)
_ASK_CANCEL: Final = Prepared(
    sa.update(intents)
    .where(_WITH_NUMBER)
    .values(cancel_reason=sa.case((_ALIVE, bindparam("wish", type_=sa.Text)), else_=intents.c.cancel_reason))
    .returning(*_COLUMNS)
)
_SET_PROFIT: Final = Prepared(
    sa.update(intents)
    .where(_WITH_NUMBER)
    .values(
        predicted_wei=sa.func.coalesce(
            bindparam("predicted", type_=intents.c.predicted_wei.type), intents.c.predicted_wei
        ),
        realised_wei=bindparam("realised", type_=intents.c.realised_wei.type),
    )
)
_TAKE_BLOCK: Final = Prepared(
    sa.update(sequences)
    .where(sequences.c.chain_id == bindparam("chain"), sequences.c.executor == bindparam("target"))
    .values(next_sequence=sequences.c.next_sequence + INTENT_ID_BLOCK)
    .returning(sequences.c.next_sequence)
)
_FIRST_BLOCK: Final = Prepared(sa.insert(sequences), [c.name for c in sequences.c])

_NUMBER_MAX: Final = 2**63 - 1
_PROVISIONAL: Final = "(state IN ('landed', 'failed', 'cancelled') AND finality < 2)"
_BEFORE: Final = {
    IntentState.QUEUED: "state = 'committed'",
    IntentState.COMMITTED: f"(state IN ('queued', 'committed') OR {_PROVISIONAL})",
    IntentState.LANDED: f"(state = 'committed' OR {_PROVISIONAL})",
    IntentState.FAILED: f"(state = 'committed' OR {_PROVISIONAL})",
    IntentState.CANCELLED: f"(state IN ('queued', 'committed') OR {_PROVISIONAL})",
    IntentState.REFUSED: "state = 'queued'",
    IntentState.EXPIRED: "state = 'queued'",
}
_SET_STATE: Final = {
    state: Prepared(
        sa.update(intents)
        .where(_WITH_NUMBER, sa.text(before))
        .values(
            state=state.value,
            reason=bindparam("new_reason"),
            finality=bindparam("new_finality"),
            ended_at_s=bindparam("ended"),
        )
    )
    for state, before in _BEFORE.items()
}
_END: Final = {
    state: Batch(
        sa.update(intents)
        .where(_WITH_NUMBER, sa.text(before))
        .values(
            state=sa.literal_column(f"'{state.value}'"),
            reason=bindparam("new_reason"),
            finality=bindparam("new_finality"),
            ended_at_s=bindparam("ended"),
            realised_wei=bindparam("realised"),
        ),
        ["new_reason", "new_finality", "ended", "realised", "row"],
    )
    for state, before in _BEFORE.items()
    if state.is_outcome
}


class IntentIds:
    """Blocks of on-chain ids taken by this kernel; a block is used from memory and never given back.

    `mark` and `restore` bracket a piece of work: if its savepoint is rolled back, the block that it took
    is forgotten too.
    """

    __slots__ = ("_blocks", "epoch")

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self._blocks: dict[tuple[int, Address], tuple[int, int]] = {}  # (next, end)

    def mark(self) -> dict[tuple[int, Address], tuple[int, int]]:
        return dict(self._blocks)

    def restore(self, mark: dict[tuple[int, Address], tuple[int, int]]) -> None:
        self._blocks = mark

    def forget(self) -> None:
        """Leave the blocks unused: nobody knows which of their ids a commit in doubt has stored."""
        self._blocks = {}

    def take(self, session: Session, chain_id: int, executor: Address) -> int:
        following, end = self._blocks.get((chain_id, executor), (0, 0))
        if following == end:
            following, end = _fresh_block(session, chain_id, executor)
        self._blocks[(chain_id, executor)] = (following + 1, end)
        return intent_id_of(self.epoch, following)


class Intents:
    __slots__ = ("_ids", "_session")

    def __init__(self, session: Session, ids: IntentIds) -> None:
        self._session = session
        self._ids = ids

    def accept(self, plan: Plan, digest: Hash, correlation_id: str, now_s: int) -> Accepted:
        """Store a plan once.

        The same key with the same digest gives the first intent back; with another digest it raises.
        """
        named = {"strategy": plan.strategy, "idempotency_key": plan.idempotency_key}
        found = self._session.first(_FIND, named)
        if found is not None:
            return _accepted_before(_row_of(found), plan, digest)
        executor = _executor_of(plan)
        intent_id = self._ids.take(self._session, plan.chain_id, executor)
        values: dict[str, object] = {
            **named,
            "chain_id": plan.chain_id,
            "key": plan.key,
            "executor": executor,
            "intent_id": intent_id,
            "plan": pack(plan),
            "plan_digest": digest,
            "priority": int(plan.priority),
            "deadline_s": plan.deadline_s,
            "state": IntentState.QUEUED.value,
            "reason": "",
            "correlation_id": correlation_id,
            "accepted_at_s": now_s,
            "candidates": 0,
        }
        created = self._session.first(_INSERT, values)
        assert created is not None
        lane = Lane(plan.chain_id, plan.key)
        row = IntentRow(
            IntentNumber(created[0]), plan.strategy, lane, plan, digest, intent_id, IntentState.QUEUED, "",
            None, correlation_id, now_s, None, 0, None, None,
        )  # fmt: skip
        return Accepted(row, created=True)

    def accept_many(
        self, plans: Sequence[tuple[Plan, Hash]], correlation_id: str, now_s: int
    ) -> list[Accepted]:
        """Store plans (with their digests) once each, as `accept` does; one that raises undoes all."""
        if not plans:
            return []
        numbers = take_numbers(self._session, intents.c.number, len(plans))
        rows = [
            self._fresh(IntentNumber(number), plan, digest, correlation_id, now_s)
            for number, (plan, digest) in zip(numbers, plans, strict=True)
        ]
        if self._session.load(_INSERT_NEW, [_record_of(row) for row in rows]) == len(rows):
            return [Accepted(row, created=True) for row in rows]
        # Some keys were used before, in the ledger or earlier in this batch.
        return [self._as_stored(row) for row in rows]

    def get(self, number: IntentNumber) -> IntentRow:
        found = self._session.first(_GET, {"row": number})
        if found is None:
            raise LedgerError(
                f"there is no intent #{number}", "intents", "list the intents to see their numbers"
            )
        return _row_of(found)

    def get_many(self, numbers: Sequence[IntentNumber]) -> list[IntentRow]:
        """In the order of `numbers`."""
        found = {record[0]: record for record in _GET_MANY.rows(self._session, numbers)}
        return [_row_of(found[number]) if number in found else self.get(number) for number in numbers]

    def find(self, strategy: str, key: str) -> IntentRow | None:
        found = self._session.first(_FIND, {"strategy": strategy, "idempotency_key": key})
        return None if found is None else _row_of(found)

    def queued(self, lane: Lane, limit: int) -> list[IntentRow]:
        """Ready to be built, the most urgent first, then in order of acceptance."""
        return self._list(_QUEUED, {"chain_id": lane.chain_id, "key": lane.key, "count": limit})

    def queued_counts(self, chain_id: int) -> dict[Lane, int]:
        """How many are queued in each lane of the chain that has any."""
        records = self._session.rows(_QUEUED_COUNTS, {"chain_id": chain_id})
        return {Lane(chain_id, Address(key)): count for key, count in records}

    def cancel_asked(self, chain_id: int) -> set[Lane]:
        """Lanes of the chain with a queued intent whose cancellation was asked for."""
        return {
            Lane(chain_id, Address(key))
            for (key,) in self._session.rows(_CANCEL_ASKED, {"chain_id": chain_id})
        }

    def cancelled_among(self, numbers: Sequence[IntentNumber]) -> list[IntentNumber]:
        """Those of them whose cancellation was asked for."""
        return sorted(IntentNumber(number) for (number,) in _CANCELLED_AMONG.rows(self._session, numbers))

    def in_state(self, lane: Lane, state: IntentState) -> list[IntentRow]:
        """Queued or committed ones of the lane, oldest first. Outcomes are too many: use `listing`."""
        assert not state.is_outcome, f"intents that are {state} are listed, not collected"
        return self._list(_IN_STATE, {"chain_id": lane.chain_id, "key": lane.key, "wanted": state.value})

    def alive(self, limit: int) -> list[IntentRow]:
        """Queued or committed, oldest first."""
        return self._list(_ALL_ALIVE, {"count": limit})

    def listing(
        self, limit: int, before: IntentNumber | None = None, strategy: str | None = None
    ) -> list[IntentRow]:
        """Newest first, for people; `before` pages on."""
        page: dict[str, object] = {"count": limit, "before": _NUMBER_MAX if before is None else before}
        if strategy is None:
            return self._list(_LISTING, page)
        return self._list(_LISTING_OF, page | {"of": strategy})

    def set_state(
        self, number: IntentNumber, state: IntentState, reason: str, finality: Finality | None, at_s: int
    ) -> None:
        """Move an intent along the arrows of the module's picture; saying the same again changes nothing."""
        _require_fitting(number, state, finality)
        changed = self._session.run(
            _SET_STATE[state],
            {
                "row": number,
                "new_reason": reason,
                "new_finality": None if finality is None else int(finality),
                "ended": at_s if state.is_outcome else None,
            },
        )
        if changed == 0:
            present = self.get(number)
            if (present.state, present.finality) == (state, finality):
                return
            raise _immovable(present, state, finality)

    def ask_cancel(self, number: IntentNumber, reason: str) -> IntentRow:
        """Note that cancellation is wanted, by whom and why; whoever has the lane acts on it.

        An outcome is past cancelling and stays as it is: the answer shows which.
        """
        found = self._session.first(_ASK_CANCEL, {"row": number, "wish": reason})
        return self.get(number) if found is None else _row_of(found)

    def end_many(self, endings: Sequence[Ending], at_s: int) -> int:
        """Outcomes, with what they realised; moved as `set_state` says, and one that cannot undoes all.
        Answers of how many this outcome stood there already."""
        stood = 0
        by_state: dict[IntentState, list[Ending]] = {}
        for ending in endings:
            _require_fitting(ending.number, ending.state, ending.finality)
            by_state.setdefault(ending.state, []).append(ending)
        for state, group in by_state.items():
            rows = [
                (
                    ending.reason,
                    None if ending.finality is None else int(ending.finality),
                    at_s,
                    None if ending.realised_wei is None else int256_text(ending.realised_wei),
                    ending.number,
                )
                for ending in group
            ]
            if (changed := self._session.load(_END[state], rows)) != len(rows):
                self._require_ended(group)
                stood += len(rows) - changed
        return stood

    def explain(self, number: IntentNumber, reason: str) -> None:
        """Say why an intent that is alive goes the way it goes; its state stays."""
        if self._session.run(_EXPLAIN, {"row": number, "new_reason": reason}) == 0:
            state = self.get(number).state
            raise LedgerError(
                f"intent #{number} is {state} already", "intents", "its reason was given with its outcome"
            )

    def count_candidate(self, number: IntentNumber) -> int:
        """One more candidate is built; answers its number, counting from 1."""
        counted = self._session.first(_COUNT_CANDIDATE, {"row": number})
        if counted is None:
            _require_alive(self.get(number))
        assert counted is not None
        return int(counted[0])

    def counted_many(self, numbers: Sequence[IntentNumber]) -> list[int]:
        """One more candidate is built for each; answers their numbers, as `count_candidate` does."""
        if self._session.load(_COUNT_CANDIDATES, [(number,) for number in numbers]) != len(numbers):
            for row in self.get_many(numbers):
                _require_alive(row)
        counted = {record[0]: int(record[1]) for record in _CANDIDATES.rows(self._session, numbers)}
        return [counted[number] for number in numbers]

    def set_profit(self, number: IntentNumber, predicted_wei: int | None, realised_wei: int | None) -> None:
        """`predicted_wei` of None leaves the prediction.

        `realised_wei` is stored as given (None: a reorg took it back).
        """
        if (
            self._session.run(
                _SET_PROFIT, {"row": number, "predicted": predicted_wei, "realised": realised_wei}
            )
            == 0
        ):
            self.get(number)

    def _fresh(
        self, number: IntentNumber, plan: Plan, digest: Hash, correlation_id: str, now_s: int
    ) -> IntentRow:
        intent_id = self._ids.take(self._session, plan.chain_id, _executor_of(plan))
        return IntentRow(
            number, plan.strategy, Lane(plan.chain_id, plan.key), plan, digest, intent_id,
            IntentState.QUEUED, "", None, correlation_id, now_s, None, 0, None, None,
        )  # fmt: skip

    def _as_stored(self, row: IntentRow) -> Accepted:
        present = self.find(row.strategy, row.plan.idempotency_key)
        assert present is not None, "it was inserted, or its key was there before"
        if present.number == row.number:
            return Accepted(row, created=True)
        return _accepted_before(present, row.plan, row.plan_digest)

    def _require_ended(self, endings: Sequence[Ending]) -> None:
        """Not every row moved: what did not must have stood there before."""
        for ending, present in zip(endings, self.get_many([e.number for e in endings]), strict=True):
            if (present.state, present.finality) != (ending.state, ending.finality):
                raise _immovable(present, ending.state, ending.finality)

    def _list(self, statement: Prepared, parameters: dict[str, object]) -> list[IntentRow]:
        return [_row_of(record) for record in self._session.rows(statement, parameters)]


def _fresh_block(session: Session, chain_id: int, executor: Address) -> tuple[int, int]:
    taken = session.first(_TAKE_BLOCK, {"chain": chain_id, "target": executor})
    if taken is not None:
        end = int(taken[0])
        return end - INTENT_ID_BLOCK, end
    try:
        session.run(
            _FIRST_BLOCK, {"chain_id": chain_id, "executor": executor, "next_sequence": INTENT_ID_BLOCK}
        )
    except DuplicateError:
        raise LedgerError(
            "another kernel took the first ids of this executor at the same moment",
            "intents",
            "submit the plan again",
        ) from None
    return 0, INTENT_ID_BLOCK


def _accepted_before(present: IntentRow, plan: Plan, digest: Hash) -> Accepted:
    if present.plan_digest == digest:
        return Accepted(present, created=False)
    raise IdempotencyConflictError(
        f"key {plan.idempotency_key!r} was used for plan {hex_text(present.plan_digest)}"
        f" (intent #{present.number}), not for {hex_text(digest)}",
        f"strategy {plan.strategy!r}",
        "one key names one desired effect, for ever: give the new plan a new key",
    )


def _immovable(present: IntentRow, state: IntentState, finality: Finality | None) -> LedgerError:
    return LedgerError(
        f"intent #{present.number} is {_described(present.state, present.finality)}"
        f" and cannot become {_described(state, finality)}",
        "intents",
        "an outcome stays, and a committed intent ends by what the chain shows",
    )


def _require_alive(row: IntentRow) -> None:
    if row.state.is_outcome:
        raise LedgerError(
            f"intent #{row.number} is {row.state} and takes no candidate",
            "intents",
            "build only what is alive",
        )


def _require_fitting(number: IntentNumber, state: IntentState, finality: Finality | None) -> None:
    needs = state in (IntentState.LANDED, IntentState.FAILED)
    allows = needs or state in (IntentState.COMMITTED, IntentState.CANCELLED)
    if (finality is None and needs) or (finality is not None and not allows):
        raise LedgerError(
            f"intent #{number} cannot be {_described(state, finality)}",
            "intents",
            "landed and failed carry the finality of their block; queued, refused and expired have none",
        )


def _described(state: IntentState, finality: Finality | None) -> str:
    return state.value if finality is None else f"{state.value} ({finality.name.lower()})"


def _executor_of(plan: Plan) -> Address:
    return plan.target if plan.is_executor_plan else ZERO_ADDRESS


def _record_of(row: IntentRow) -> tuple[object, ...]:
    """A new intent in the order of `_NEW_ROW`."""
    plan = row.plan
    return (
        row.number, plan.strategy, plan.idempotency_key, plan.chain_id, plan.key, _executor_of(plan),
        uint256_text(row.intent_id), pack(plan), row.plan_digest, int(plan.priority), plan.deadline_s,
        "queued", "", row.correlation_id, row.accepted_at_s, 0,
    )  # fmt: skip


@lru_cache(maxsize=_PLANS_CACHED)
def _plan_of(data: bytes) -> Plan:
    return unpack(Plan, data)


def _row_of(record: Record) -> IntentRow:
    (number, strategy, chain_id, key, plan, digest, intent_id, state, reason, finality, correlation_id,
     accepted_at_s, ended_at_s, candidates, predicted_wei, realised_wei, cancel_reason) = record  # fmt: skip
    return IntentRow(
        number, strategy, Lane(chain_id, key), _plan_of(plan), digest, intent_id, IntentState(state), reason,
        None if finality is None else Finality(finality), correlation_id, accepted_at_s, ended_at_s,
        candidates, predicted_wei, realised_wei, cancel_reason,
    )  # fmt: skip
