"""Controls: the authority of each scope as the ledger knows it, with its epoch. Every change is a row that
stays.

The latch file rules the writes of signed bytes; this is its record, and what the fenced commit checks: a
verdict given under one epoch is not committed under another.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.rows import ControlRow
from seawall.ledger.schema import controls
from seawall.ledger.session import DuplicateError, Prepared, Session
from seawall.primitives.errors import AuthorityChangedError, LedgerError
from seawall.primitives.levels import Authority

__all__ = ["Controls"]

_COLUMNS: Final = (
    controls.c.scope,
    controls.c.authority,
    controls.c.epoch,
    controls.c.reason,
    controls.c.who,
    controls.c.at_s,
)
_CURRENT: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(controls.c.scope == bindparam("of"))
    .order_by(controls.c.epoch.desc())
    .limit(sa.literal_column("1"))
)
_EPOCH: Final = Prepared(sa.select(sa.func.max(controls.c.epoch)).where(controls.c.scope == bindparam("of")))
_HISTORY: Final = Prepared(
    sa.select(*_COLUMNS)
    .where(controls.c.scope == bindparam("of"))
    .order_by(controls.c.epoch.desc())
    .limit(bindparam("count"))
)
_INSERT: Final = Prepared(sa.insert(controls), [c.name for c in controls.c])


class Controls:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def current(self, scope: str = "global") -> ControlRow:
        """The authority in force; RUN at epoch 0 where nothing was ever said."""
        record = self._session.first(_CURRENT, {"of": scope})
        if record is None:
            return ControlRow(scope, Authority.RUN, 0, "", "", 0)
        scope, authority, epoch, reason, who, at_s = record
        return ControlRow(scope, Authority(authority), epoch, reason, who, at_s)

    def history(self, limit: int, scope: str = "global") -> list[ControlRow]:
        """Newest first."""
        return [
            ControlRow(of, Authority(authority), epoch, reason, who, at_s)
            for of, authority, epoch, reason, who, at_s in self._session.rows(
                _HISTORY, {"of": scope, "count": limit}
            )
        ]

    def set(self, scope: str, authority: Authority, reason: str, who: str, at_s: int) -> int:
        """Record a change; answers the new epoch."""
        epoch = self._epoch(scope) + 1
        values = {
            "scope": scope,
            "epoch": epoch,
            "authority": int(authority),
            "reason": reason,
            "who": who,
            "at_s": at_s,
        }
        try:
            self._session.run(_INSERT, values)
        except DuplicateError:
            raise LedgerError(
                "the authority changed at the same moment", f"scope {scope!r}", "look at it and decide again"
            ) from None
        return epoch

    def require_epoch(self, epoch: int, scope: str = "global") -> None:
        """Raise unless nothing changed since `epoch`."""
        present = self._epoch(scope)
        if present != epoch:
            raise AuthorityChangedError(
                f"authority moved from epoch {epoch} to {present}",
                f"scope {scope!r}",
                "drop the candidate and judge anew",
            )

    def _epoch(self, scope: str) -> int:
        record = self._session.first(_EPOCH, {"of": scope})
        return 0 if record is None or record[0] is None else int(record[0])
