"""What the ledger keeps for strategies: versioned state and timers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.rows import TimerRow
from seawall.ledger.schema import strategy_states, timers
from seawall.ledger.session import DuplicateError, Prepared, Session
from seawall.primitives.bounds import STATE_BYTES_MAX, TIMERS_PER_STRATEGY_MAX
from seawall.primitives.errors import LedgerError, StateVersionError
from seawall.primitives.observations import Timer

__all__ = ["States", "Timers"]

_GET: Final = Prepared(
    sa.select(strategy_states.c.version, strategy_states.c.data).where(
        strategy_states.c.strategy == bindparam("of")
    )
)
_INSERT: Final = Prepared(sa.insert(strategy_states), [c.name for c in strategy_states.c])
_UPDATE: Final = Prepared(
    sa.update(strategy_states)
    .where(strategy_states.c.strategy == bindparam("of"), strategy_states.c.version == bindparam("stands_on"))
    .values(version=strategy_states.c.version + 1, data=bindparam("new_data"))
)

_CLEAR: Final = Prepared(sa.delete(timers).where(timers.c.strategy == bindparam("of")))
_ADD: Final = Prepared(sa.insert(timers), [c.name for c in timers.c])
_REMOVE: Final = Prepared(
    sa.delete(timers).where(timers.c.strategy == bindparam("of"), timers.c.name == bindparam("called"))
)
_DUE: Final = Prepared(
    sa.select(timers.c.strategy, timers.c.name, timers.c.at_s)
    .where(timers.c.at_s <= bindparam("now"))
    .order_by(timers.c.at_s, timers.c.strategy, timers.c.name)
)
_NEXT: Final = Prepared(sa.select(sa.func.min(timers.c.at_s)))


class States:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, strategy: str) -> tuple[int, bytes]:
        """(version, data); version 0 and no bytes before the first state."""
        record = self._session.first(_GET, {"of": strategy})
        return (0, b"") if record is None else (record[0], record[1])

    def compare_and_set(self, strategy: str, version: int, data: bytes) -> int:
        """Replace the state that stands at `version`; answers the new version."""
        if len(data) > STATE_BYTES_MAX:
            raise LedgerError(
                f"a state of {len(data)} bytes exceeds {STATE_BYTES_MAX}",
                f"strategy {strategy!r}",
                "keep what can be rebuilt in a view",
            )
        try:
            if version == 0:
                self._session.run(_INSERT, {"strategy": strategy, "version": 1, "data": data})
                return 1
            changed = self._session.run(_UPDATE, {"of": strategy, "stands_on": version, "new_data": data})
        except DuplicateError:
            changed = 0
        if changed == 0:
            raise StateVersionError(
                f"the state is no longer at version {version}",
                f"strategy {strategy!r}",
                "drop the decision and observe again",
            )
        return version + 1


class Timers:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def replace(self, strategy: str, timers: Sequence[Timer]) -> None:
        """These are all timers of the strategy from now on.

        Of two with one name the later in the list counts.
        """
        by_name = {timer.name: timer.at_s for timer in timers}
        if len(by_name) > TIMERS_PER_STRATEGY_MAX:
            raise LedgerError(
                f"{len(by_name)} timers exceed {TIMERS_PER_STRATEGY_MAX}",
                f"strategy {strategy!r}",
                "use fewer names",
            )
        self._session.run(_CLEAR, {"of": strategy})
        self._session.many(
            _ADD, [{"strategy": strategy, "name": name, "at_s": at_s} for name, at_s in by_name.items()]
        )

    def due(self, now_s: int) -> list[TimerRow]:
        """Earliest first."""
        return [TimerRow(*record) for record in self._session.rows(_DUE, {"now": now_s})]

    def next_at_s(self) -> int | None:
        record = self._session.first(_NEXT)
        return None if record is None else record[0]

    def remove(self, strategy: str, names: Sequence[str]) -> None:
        self._session.many(_REMOVE, [{"of": strategy, "called": name} for name in names])
