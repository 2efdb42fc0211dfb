"""By which way an attempt's bytes go, and how those of a way ended. Only the way changes, never the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList
from seawall.ledger.schema import attempt_intents, attempts, inclusions, intents, slots
from seawall.ledger.session import Prepared, Session
from seawall.primitives.errors import LedgerError
from seawall.primitives.identifiers import AttemptNumber
from seawall.primitives.units import Hash

__all__ = ["AttemptRoutes"]

_CHANGE: Final = Prepared(
    sa.update(attempts).where(attempts.c.number == bindparam("row")).values(route=bindparam("way"))
)
_IS_CANCELLED: Final = (
    sa.select(attempt_intents.c.attempt)
    .join_from(attempt_intents, intents, attempt_intents.c.intent == intents.c.number)
    .where(attempt_intents.c.attempt == attempts.c.number, intents.c.cancel_reason.is_not(None))
    .exists()
)
_ENDED: Final = InList(
    lambda routes: (
        sa.select(attempts.c.number, attempts.c.hash, attempts.c.route, inclusions.c.number)
        .join_from(attempts, slots, attempts.c.slot == slots.c.number)
        .outerjoin(inclusions, sa.and_(inclusions.c.attempt == attempts.c.number, inclusions.c.canonical))
        .where(
            attempts.c.number
            > sa.select(sa.func.max(attempts.c.number)).scalar_subquery() - bindparam("newest"),
            attempts.c.route.in_(routes),
            slots.c.chain_id == bindparam("chain"),
            sa.or_(inclusions.c.number.is_not(None), sa.and_(slots.c.final, ~_IS_CANCELLED)),
        )
        .order_by(attempts.c.number)
    )
)


class AttemptRoutes:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def change(self, attempt: AttemptNumber, route: str) -> None:
        """From now on its bytes go this way."""
        if self._session.run(_CHANGE, {"row": attempt, "way": route}) == 0:
            raise LedgerError(f"there is no attempt {attempt}", "attempts", "look it up by its hash")

    def ended(self, chain_id: int, routes: Sequence[str], newest: int) -> list[tuple[Hash, str, bool]]:
        """Of the `newest` attempts those by `routes` that ended, oldest first: hash, route, and whether it is
        in a block. Left out are those whose nonce something else used after their intent was cancelled."""
        rows = _ENDED.rows(self._session, list(routes), {"chain": chain_id, "newest": newest})
        return [(Hash(bytes(at)), str(way), included is not None) for _, at, way, included in rows]
