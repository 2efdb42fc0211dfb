"""By which way an attempt's bytes go. Only the way changes, never the bytes."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.schema import attempts
from seawall.ledger.session import Prepared, Session
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import AttemptNumber

__all__ = ["AttemptRoutes"]

_CHANGE: Final = Prepared(
    sa.update(attempts).where(attempts.c.number == bindparam("row")).values(route=bindparam("way"))
)


class AttemptRoutes:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def change(self, attempt: AttemptNumber, route: str) -> None:
        """From now on its bytes go this way."""
        if self._session.run(_CHANGE, {"row": attempt, "way": route}) == 0:
            raise LedgerError(f"there is no attempt {attempt}", "attempts", "look it up by its hash")
