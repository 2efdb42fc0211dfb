"""Lanes: one lease holder at a time, told apart by a fence that only ever grows.

The lease's time only decides who may take a lane over. What protects the ledger is the fence: every commit of
a lane's work requires the fence it began under, so a holder that slept through its lease can commit nothing.
"""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.rows import LaneRow
from seawall.ledger.schema import lanes
from seawall.ledger.session import Prepared, Record, Session
from seawall.primitives.errors import FenceLostError
from seawall.primitives.identifiers import Lane

__all__ = ["Lanes"]

_COLUMNS: Final = (lanes.c.chain_id, lanes.c.key, lanes.c.holder, lanes.c.fence, lanes.c.expires_at_s)
_THE_LANE: Final = (lanes.c.chain_id == bindparam("lane_chain"), lanes.c.key == bindparam("lane_key"))
_HELD: Final = (*_THE_LANE, lanes.c.fence == bindparam("held_fence"), lanes.c.holder.is_not(None))

_GET: Final = Prepared(sa.select(*_COLUMNS).where(*_THE_LANE))
_ALL: Final = Prepared(sa.select(*_COLUMNS).order_by(lanes.c.chain_id, lanes.c.key))
_INSERT: Final = Prepared(sa.insert(lanes), [c.name for c in _COLUMNS])
_TAKE: Final = Prepared(
    sa.update(lanes)
    .where(*_THE_LANE, lanes.c.fence == bindparam("held_fence"))
    .values(holder=bindparam("new_holder"), fence=lanes.c.fence + 1, expires_at_s=bindparam("until_s"))
)
_REQUIRE: Final = Prepared(sa.select(lanes.c.fence).where(*_HELD))
_RENEW: Final = Prepared(sa.update(lanes).where(*_HELD).values(expires_at_s=bindparam("until_s")))
_RELEASE: Final = Prepared(sa.update(lanes).where(*_HELD).values(holder=None, expires_at_s=0))


class Lanes:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def acquire(self, lane: Lane, holder: str, now_s: int, ttl_s: int) -> int:
        """Take the lane and get a new fence, also when `holder` has it already.

        A live other holder raises.
        """
        record = self._session.first(_GET, _named(lane))
        if record is None:
            first = {
                "chain_id": lane.chain_id,
                "key": lane.key,
                "holder": holder,
                "fence": 1,
                "expires_at_s": now_s + ttl_s,
            }
            self._session.run(_INSERT, first)
            return 1
        present = _row_of(record)
        if present.holder not in (None, holder) and present.expires_at_s > now_s:
            raise FenceLostError(
                f"the lane is held by {present.holder} for {present.expires_at_s - now_s} s more",
                f"lane {lane}",
                "stop that kernel or wait until its lease ends",
            )
        taken = {"held_fence": present.fence, "new_holder": holder, "until_s": now_s + ttl_s}
        if self._session.run(_TAKE, _named(lane) | taken) == 0:
            raise _lost(lane, present.fence)
        return present.fence + 1

    def require(self, lane: Lane, fence: int) -> None:
        """Raise unless `fence` is the lane's present one and held."""
        if self._session.first(_REQUIRE, _named(lane) | {"held_fence": fence}) is None:
            raise _lost(lane, fence)

    def renew(self, lane: Lane, fence: int, now_s: int, ttl_s: int) -> None:
        if self._session.run(_RENEW, _named(lane) | {"held_fence": fence, "until_s": now_s + ttl_s}) == 0:
            raise _lost(lane, fence)

    def release(self, lane: Lane, fence: int) -> None:
        """Give the lane up; the fence stays behind and is never used again."""
        if self._session.run(_RELEASE, _named(lane) | {"held_fence": fence}) == 0:
            raise _lost(lane, fence)

    def all(self) -> list[LaneRow]:
        return [_row_of(record) for record in self._session.rows(_ALL)]


def _named(lane: Lane) -> dict[str, object]:
    return {"lane_chain": lane.chain_id, "lane_key": lane.key}


def _lost(lane: Lane, fence: int) -> FenceLostError:
    return FenceLostError(
        f"the lease with fence {fence} is no longer held",
        f"lane {lane}",
        "drop what was built and acquire the lane again",
    )


def _row_of(record: Record) -> LaneRow:
    chain_id, key, holder, fence, expires_at_s = record
    return LaneRow(Lane(chain_id, key), holder, fence, expires_at_s)
