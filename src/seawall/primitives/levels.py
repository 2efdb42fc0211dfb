"""The three ordered scales, never called a bare *level*: finality, authority, priority; and the kind of a
write."""

from __future__ import annotations

from enum import IntEnum, StrEnum

__all__ = ["Authority", "Finality", "IntentState", "Priority", "WriteKind"]


class Finality(IntEnum):
    """How settled a block is. Each chain maps its own tags onto these."""

    INCLUDED = 0
    SAFE = 1
    FINAL = 2


class Authority(IntEnum):
    """What may be done. One hand lowers, several raise."""

    HALT = 0
    REDUCE_ONLY = 1
    RUN = 2


class Priority(IntEnum):
    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3


class WriteKind(StrEnum):
    """What a write of signed bytes does; the latch decides by it."""

    PLAN = "plan"
    REDUCING = "reducing"
    HOUSEKEEPING = "housekeeping"


class IntentState(StrEnum):
    """Queued and committed are alive; the other five are outcomes."""

    QUEUED = "queued"
    COMMITTED = "committed"
    LANDED = "landed"
    FAILED = "failed"
    REFUSED = "refused"
    EXPIRED = "expired"
    CANCELLED = "cancelled"

    @property
    def is_outcome(self) -> bool:
        return self not in (IntentState.QUEUED, IntentState.COMMITTED)
