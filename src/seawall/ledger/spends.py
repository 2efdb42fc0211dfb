"""Spends: what leaves a lane, with its time, so that limits per hour and per day can be judged.

A spend is written with the attempt that may take it, as the most that it may take, and corrected when the
attempt is settled: to what it took, or to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import uint256_text
from seawall.ledger.bulk import Batch
from seawall.ledger.rows import SpendRow
from seawall.ledger.schema import spends
from seawall.ledger.session import DuplicateError, Prepared, Session
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import AttemptNumber, Lane
from seawall.primitives.units import Address, address_text

__all__ = ["Spends"]

_INSERT: Final = Prepared(sa.insert(spends), [c.name for c in spends.c])
_CORRECT: Final = Prepared(
    sa.update(spends)
    .where(spends.c.attempt == bindparam("of"), spends.c.token == bindparam("in_token"))
    .values(amount=bindparam("taken"))
)
_CLEAR_MANY: Final = Batch(
    sa.update(spends)
    .where(spends.c.attempt == bindparam("of"))
    .values(amount=sa.literal_column(f"'{uint256_text(0)}'")),
    ["of"],
)
_CORRECT_MANY: Final = Batch(
    sa.update(spends)
    .where(spends.c.attempt == bindparam("of"), spends.c.token == bindparam("in_token"))
    .values(amount=bindparam("taken")),
    ["taken", "of", "in_token"],
)
_SETTLE_ONE: Final = Batch(
    sa.update(spends)
    .where(spends.c.attempt == bindparam("of"))
    .values(
        amount=sa.case(
            (spends.c.token == bindparam("in_token"), bindparam("taken", type_=spends.c.amount.type)),
            else_=sa.literal_column(f"'{uint256_text(0)}'"),
        )
    ),
    ["in_token", "taken", "of"],
)
_SINCE: Final = Prepared(
    sa.select(spends.c.attempt, spends.c.token, spends.c.amount, spends.c.at_s)
    .where(
        spends.c.chain_id == bindparam("chain"),
        spends.c.key == bindparam("lane_key"),
        spends.c.at_s >= bindparam("from_s"),
    )
    .order_by(spends.c.at_s, spends.c.attempt, spends.c.token)
)


class Spends:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, lane: Lane, attempt: AttemptNumber, token: Address, amount: int, at_s: int) -> None:
        """The attempt may take this much. [smallest unit of token]"""
        values = {
            "attempt": attempt,
            "token": token,
            "chain_id": lane.chain_id,
            "key": lane.key,
            "at_s": at_s,
            "amount": amount,
        }
        try:
            self._session.run(_INSERT, values)
        except DuplicateError:
            raise LedgerError(
                f"attempt {attempt} has a spend of {address_text(token)} already",
                "spends",
                "add once a token, then correct it",
            ) from None

    def correct(self, attempt: AttemptNumber, token: Address, amount: int) -> None:
        """What the attempt took in the end; where nothing was added, nothing is corrected."""
        self._session.run(_CORRECT, {"of": attempt, "in_token": token, "taken": amount})

    def settle_many(self, settled: Sequence[tuple[AttemptNumber, Mapping[Address, int]]]) -> None:
        """What these attempts took in the end; of a token that is not named, nothing."""
        single = [
            (token, uint256_text(amount), attempt)
            for attempt, taken in settled
            if len(taken) == 1
            for token, amount in taken.items()
        ]
        others = [(attempt, taken) for attempt, taken in settled if len(taken) != 1]
        self._session.load(_SETTLE_ONE, single)
        self._session.load(_CLEAR_MANY, [(attempt,) for attempt, _ in others])
        rows = [
            (uint256_text(amount), attempt, token)
            for attempt, taken in others
            for token, amount in taken.items()
        ]
        self._session.load(_CORRECT_MANY, rows)

    def since(self, lane: Lane, at_s: int) -> list[SpendRow]:
        """From `at_s` on, oldest first."""
        named = {"chain": lane.chain_id, "lane_key": lane.key, "from_s": at_s}
        return [SpendRow(attempt, lane, *rest) for attempt, *rest in self._session.rows(_SINCE, named)]
