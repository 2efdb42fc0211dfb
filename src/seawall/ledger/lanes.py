"""Lanes: one lease holder at a time, told apart by a fence that only ever grows.

The lease only decides who may take a lane over, and no two machines' clocks are compared for it: whoever
waits watches fence and renewals with a clock of its own, and takes the lane once neither has moved for the
lease's time. What protects the ledger is the fence: every commit of a lane's work requires the fence it began
under, so a holder that slept through its lease can commit nothing.

A lane in quarantine may be held, and what is on chain is confirmed; nothing is dispatched on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa
from sqlalchemy import bindparam

from seawall.ledger.batches import InList
from seawall.ledger.rows import LaneRow
from seawall.ledger.schema import lanes
from seawall.ledger.session import Prepared, Record, Session
from seawall.primitives.errors import FenceLostError, InputError
from seawall.primitives.identifiers import Lane

__all__ = ["Lanes"]

_COLUMNS: Final = (
    lanes.c.chain_id,
    lanes.c.key,
    lanes.c.holder,
    lanes.c.fence,
    lanes.c.expires_at_s,
    lanes.c.renewals,
    lanes.c.quarantine,
)
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
_STANDING: Final = InList(
    lambda keys: sa.select(lanes.c.key, lanes.c.fence).where(
        lanes.c.chain_id == bindparam("chain"), lanes.c.key.in_(keys), lanes.c.holder.is_not(None)
    )
)
_RENEW: Final = Prepared(
    sa.update(lanes).where(*_HELD).values(expires_at_s=bindparam("until_s"), renewals=lanes.c.renewals + 1)
)
_RELEASE: Final = Prepared(sa.update(lanes).where(*_HELD).values(holder=None, expires_at_s=0))
_QUARANTINE: Final = Prepared(sa.update(lanes).where(*_THE_LANE).values(quarantine=bindparam("why")))


class Lanes:
    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def acquire(
        self, lane: Lane, holder: str, now_s: int, ttl_s: int, *, unmoved: LaneRow | None = None
    ) -> int:
        """Take the lane and get a new fence, also when `holder` has it already.

        Another holder's lane is taken only if it stands as in `unmoved`, which the caller has watched for the
        lease's time; else this raises. The time of the end is for people to read.
        """
        present = self.get(lane)
        if present is None:
            self._add(lane, holder, 1, now_s + ttl_s, None)
            return 1
        is_dead = unmoved is not None and (unmoved.fence, unmoved.renewals) == (
            present.fence,
            present.renewals,
        )
        if present.holder not in (None, holder) and not is_dead:
            raise FenceLostError(
                f"the lane is held by {present.holder}",
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

    def lost_of(self, held: Mapping[Lane, int]) -> list[Lane]:
        """Those that are not held any more under these fences; in one statement, however many they are."""
        standing: dict[Lane, int] = {}
        for chain_id in {lane.chain_id for lane in held}:
            keys = [lane.key for lane in held if lane.chain_id == chain_id]
            found = _STANDING.rows(self._session, keys, {"chain": chain_id})
            standing.update((Lane(chain_id, key), fence) for key, fence in found)
        return [lane for lane, fence in held.items() if standing.get(lane) != fence]

    def require_all(self, held: Mapping[Lane, int]) -> None:
        """As `require`, for all of these."""
        for lane in self.lost_of(held):
            raise _lost(lane, held[lane])

    def renew(self, lane: Lane, fence: int, now_s: int, ttl_s: int) -> None:
        if self._session.run(_RENEW, _named(lane) | {"held_fence": fence, "until_s": now_s + ttl_s}) == 0:
            raise _lost(lane, fence)

    def renew_all(self, held: Mapping[Lane, int], now_s: int, ttl_s: int) -> list[Lane]:
        """Renew what is still held under these fences; answers the lanes that are lost."""
        until_s = now_s + ttl_s
        return [
            lane
            for lane, fence in held.items()
            if self._session.run(_RENEW, _named(lane) | {"held_fence": fence, "until_s": until_s}) == 0
        ]

    def release(self, lane: Lane, fence: int) -> None:
        """Give the lane up; the fence stays behind and is never used again."""
        if self._session.run(_RELEASE, _named(lane) | {"held_fence": fence}) == 0:
            raise _lost(lane, fence)

    def quarantine(self, lane: Lane, why: str | None) -> None:
        """Dispatch nothing on the lane, whoever holds it, until this is called again with None."""
        if self._session.run(_QUARANTINE, _named(lane) | {"why": why}):
            return
        if why is None:
            raise InputError("there is no such lane", f"lane {lane}", "name one of `seawall lanes list`")
        self._add(lane, None, 0, 0, why)

    def get(self, lane: Lane) -> LaneRow | None:
        record = self._session.first(_GET, _named(lane))
        return None if record is None else _row_of(record)

    def all(self) -> list[LaneRow]:
        return [_row_of(record) for record in self._session.rows(_ALL)]

    def _add(self, lane: Lane, holder: str | None, fence: int, until_s: int, why: str | None) -> None:
        self._session.run(
            _INSERT,
            {
                "chain_id": lane.chain_id,
                "key": lane.key,
                "holder": holder,
                "fence": fence,
                "expires_at_s": until_s,
                "renewals": 0,
                "quarantine": why,
            },
        )


def _named(lane: Lane) -> dict[str, object]:
    return {"lane_chain": lane.chain_id, "lane_key": lane.key}


def _lost(lane: Lane, fence: int) -> FenceLostError:
    return FenceLostError(
        f"the lease with fence {fence} is no longer held",
        f"lane {lane}",
        "drop what was built and acquire the lane again",
    )


def _row_of(record: Record) -> LaneRow:
    chain_id, key, holder, fence, expires_at_s, renewals, quarantine = record
    return LaneRow(Lane(chain_id, key), holder, fence, expires_at_s, renewals, quarantine)
