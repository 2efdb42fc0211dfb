"""Circuit breakers: who fails is left alone for a while, then tried once, then trusted again.

    CLOSED ──failures in a row reach the threshold──▶ OPEN ──its time is over──▶ HALF_OPEN
       ▲                                                ▲                           │
       └───────────────── a success ────────────────────┴──── the trial fails ──────┘

The time doubles with each failed trial up to its bound. In HALF_OPEN one trial is admitted at a time.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["Breaker", "BreakerState"]

_DOUBLINGS_MAX: Final = 16


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """One breaker; times are those of one monotonic clock."""

    __slots__ = ("_first_s", "_is_open", "_is_tried", "_max_s", "_threshold", "_until_s", "failures")

    def __init__(self, *, threshold: int, first_s: float, max_s: float) -> None:
        assert threshold > 0
        self._threshold = threshold
        self._first_s = first_s
        self._max_s = max_s
        self._is_open = False
        self._is_tried = False
        self._until_s = 0.0
        self.failures = 0  # in a row

    @property
    def is_closed(self) -> bool:
        return not self._is_open

    def state(self, now_s: float) -> BreakerState:
        if not self._is_open:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now_s < self._until_s else BreakerState.HALF_OPEN

    def admits(self, now_s: float) -> bool:
        """Whether something may be asked now; in HALF_OPEN only while no trial is on its way."""
        return not self._is_open or (now_s >= self._until_s and not self._is_tried)

    def rests_s(self, now_s: float) -> float:
        """How long it stays open [s]."""
        return max(self._until_s - now_s, 0.0) if self._is_open else 0.0

    def begin(self, now_s: float) -> bool:
        """Something is asked. True if it is the trial of HALF_OPEN: `end` it if neither outcome comes."""
        if self._is_open and now_s >= self._until_s and not self._is_tried:
            self._is_tried = True
            return True
        return False

    def end(self) -> None:
        """The trial was given up without an outcome."""
        self._is_tried = False

    def succeeded(self) -> bool:
        """True if it was open."""
        was_open, self._is_open = self._is_open, False
        self._is_tried = False
        self.failures = 0
        return was_open

    def failed(self, now_s: float) -> bool:
        """True if it was closed and is open now. While OPEN it says nothing new: what was asked before fails
        too, and that must not double the rest."""
        if self._is_open and now_s < self._until_s:
            return False
        self.failures += 1
        self._is_tried = False
        beyond = self.failures - self._threshold
        if beyond < 0 and not self._is_open:
            return False
        return self._open(now_s, min(self._first_s * 2 ** min(max(beyond, 0), _DOUBLINGS_MAX), self._max_s))

    def trip(self, now_s: float, for_s: float) -> bool:
        """Open at once, for a given time. True if it was closed."""
        self._is_tried = False
        return self._open(now_s, for_s)

    def _open(self, now_s: float, for_s: float) -> bool:
        was_open, self._is_open = self._is_open, True
        self._until_s = max(self._until_s, now_s + for_s)
        return not was_open
