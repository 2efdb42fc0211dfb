"""Kernels: who is in the fleet, as each says of itself.

A kernel's row is its standing: it beats, and says which epoch of the controls it has obeyed. A row that
stands still for long is taken away by whoever notices; a kernel that finds its own gone has slept, and
joins anew.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.rows import KernelRow
from seawall.ledger.schema import kernels
from seawall.ledger.session import Prepared, Record, Session
from seawall.primitives.levels import Authority

__all__ = ["Kernels"]

_COLUMNS: Final = (
    kernels.c.holder,
    kernels.c.started_at_s,
    kernels.c.beats,
    kernels.c.epoch_seen,
    kernels.c.authority,
)
_THE_KERNEL: Final = kernels.c.holder == bindparam("of")

_ALL: Final = Prepared(sa.select(*_COLUMNS).order_by(kernels.c.started_at_s, kernels.c.holder))
_INSERT: Final = Prepared(sa.insert(kernels), [c.name for c in _COLUMNS])
_BEAT: Final = Prepared(
    sa.update(kernels)
    .where(_THE_KERNEL)
    .values(beats=kernels.c.beats + 1, epoch_seen=bindparam("obeyed"), authority=bindparam("under_authority"))
)
_REMOVE: Final = Prepared(sa.delete(kernels).where(_THE_KERNEL))
_FORGET: Final = Prepared(sa.delete(kernels).where(_THE_KERNEL, kernels.c.beats == bindparam("standing_at")))


class Kernels:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def join(self, holder: str, epoch_seen: int, authority: Authority, now_s: int) -> None:
        """Begin to stand in the fleet; an earlier row of the same name is replaced."""
        self.leave(holder)
        self._session.run(
            _INSERT,
            {
                "holder": holder,
                "started_at_s": now_s,
                "beats": 0,
                "epoch_seen": epoch_seen,
                "authority": int(authority),
            },
        )

    def beat(self, holder: str, epoch_seen: int, authority: Authority) -> bool:
        """Say that it lives and what it has obeyed. False if its row was taken away."""
        said = {"of": holder, "obeyed": epoch_seen, "under_authority": int(authority)}
        return self._session.run(_BEAT, said) == 1

    def leave(self, holder: str) -> None:
        self._session.run(_REMOVE, {"of": holder})

    def forget(self, row: KernelRow) -> bool:
        """Take away a row that has not moved since it was read as `row`."""
        return self._session.run(_FORGET, {"of": row.holder, "standing_at": row.beats}) == 1

    def all(self) -> list[KernelRow]:
        """Oldest first."""
        return [_row_of(record) for record in self._session.rows(_ALL)]


def _row_of(record: Record) -> KernelRow:
    holder, started_at_s, beats, epoch_seen, authority = record
    return KernelRow(holder, started_at_s, beats, epoch_seen, Authority(authority))
