"""Changes of keys that take time: one that is retired in favour of another, one that was taken over with
transactions made elsewhere still under way.

A change belongs to a lane and is of one kind; it is open until it has an end. A retired lane stays retired:
its row is what says that nothing new is taken in for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.schema import key_changes
from seawall.ledger.session import DuplicateError, Prepared, Record, Session
from seawall.primitives.errors import InputError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address

__all__ = ["KeyChange", "KeyChangeKind", "KeyChanges"]


class KeyChangeKind(StrEnum):
    RETIRE = "retire"
    ADOPT = "adopt"


@dataclass(frozen=True, slots=True)
class KeyChange:
    lane: Lane
    kind: KeyChangeKind
    successor: Address | None  # of a retired key: who gets what it holds
    through_nonce: int | None  # of an adopted key: the last nonce that somebody else has under way
    who: str
    reason: str
    began_at_s: int  # UTC [s]
    ended_at_s: int | None = None  # UTC [s]; None: open


_COLUMNS: Final = tuple(key_changes.c)
_THE_ONE: Final = (
    key_changes.c.chain_id == bindparam("of_chain"),
    key_changes.c.key == bindparam("of_key"),
    key_changes.c.kind == bindparam("of_kind"),
)
_INSERT: Final = Prepared(sa.insert(key_changes), [c.name for c in _COLUMNS])
_ALL: Final = Prepared(
    sa.select(*_COLUMNS).order_by(key_changes.c.chain_id, key_changes.c.key, key_changes.c.kind)
)
_END: Final = Prepared(
    sa.update(key_changes)
    .where(*_THE_ONE, key_changes.c.ended_at_s.is_(None))
    .values(ended_at_s=bindparam("at_s"))
)
_FORGET: Final = Prepared(sa.delete(key_changes).where(*_THE_ONE))


class KeyChanges:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def begin(self, change: KeyChange) -> None:
        """`InputError` where the lane has a change of this kind already."""
        values = {
            "chain_id": change.lane.chain_id,
            "key": change.lane.key,
            "kind": change.kind.value,
            "successor": change.successor,
            "through_nonce": change.through_nonce,
            "who": change.who,
            "reason": change.reason,
            "began_at_s": change.began_at_s,
            "ended_at_s": change.ended_at_s,
        }
        try:
            self._session.run(_INSERT, values)
        except DuplicateError:
            raise InputError(
                f"this was begun before ({change.kind})", f"lane {change.lane}", "see `seawall keys list`"
            ) from None

    def all(self) -> list[KeyChange]:
        """Open and ended, by lane."""
        return [_change_of(record) for record in self._session.rows(_ALL, {})]

    def end(self, lane: Lane, kind: KeyChangeKind, at_s: int) -> bool:
        """False if none was open."""
        return self._session.run(_END, _named(lane, kind) | {"at_s": at_s}) == 1

    def forget(self, lane: Lane, kind: KeyChangeKind) -> bool:
        """Taken back, as if it had never begun; False if there was none."""
        return self._session.run(_FORGET, _named(lane, kind)) == 1


def _named(lane: Lane, kind: KeyChangeKind) -> dict[str, object]:
    return {"of_chain": lane.chain_id, "of_key": lane.key, "of_kind": kind.value}


def _change_of(record: Record) -> KeyChange:
    chain_id, key, kind, successor, through, who, reason, began_at_s, ended_at_s = record
    return KeyChange(
        Lane(chain_id, Address(key)),
        KeyChangeKind(kind),
        None if successor is None else Address(successor),
        through,
        who,
        reason,
        began_at_s,
        ended_at_s,
    )
