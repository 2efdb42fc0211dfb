"""How fast endpoints answer: what is usual for a question of its kind and size, and how one endpoint
compares.

From the usual times follows when a read is asked of a second endpoint (`hedge_after_s`: as long as 95 of 100
take), and when an endpoint counts as silent (`silent_after_s`). Floats: they decide whom to ask and when,
never what is believed.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Final, Protocol

from seawall.chain.pool.timeouts import Kind, kind_of

__all__ = ["HEDGE_S_MAX", "SILENCE_S", "SILENCE_S_MIN", "Pace", "Score", "Usual"]

# A read is asked elsewhere too after this, if nothing is known of how long its like take, or they take
# longer.
HEDGE_S_MAX: Final = 0.25
# Kinds that take seconds on a healthy node.
_SLOW_HEDGE_S_MAX: Final = 5.0
# An endpoint that shows nothing for so long is left, if its like do not usually take half of that. Plain
# reads all take about the same: there less is enough, ten times what is usual, down to the least.
SILENCE_S: Final = 0.25
SILENCE_S_MIN: Final = 0.1
_SLOW_SILENCE_S: Final = 5.0
_SILENCE_USUALS: Final = 2.0
_QUICK_SILENCE_USUALS: Final = 10.0
# The ring of remembered times, how many make a figure, and after how many it is made again.
_REMEMBERED: Final = 256
_SAMPLES_MIN: Final = 20
_SAMPLES_PER_FIGURE: Final = 16
_HEDGED_SHARE: Final = 0.95
# Weight of the newest sample in an endpoint's own figures.
_NEWEST: Final = 0.1
_ERROR_COST: Final = 8.0
_SLOWNESS_MIN, _SLOWNESS_MAX = 0.1, 100.0


class _Request(Protocol):
    @property
    def method(self) -> str: ...


class Usual:
    """Times of one class of questions, and the figures that follow from them."""

    __slots__ = ("_since_figure", "_times_s", "kind", "median_s", "usual_max_s")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._times_s: deque[float] = deque(maxlen=_REMEMBERED)
        self._since_figure = 0
        self.median_s: float | None = None
        self.usual_max_s: float | None = None  # of 95 in 100

    def observe(self, duration_s: float) -> None:
        self._times_s.append(duration_s)
        self._since_figure += 1
        if self._since_figure >= _SAMPLES_PER_FIGURE and len(self._times_s) >= _SAMPLES_MIN:
            self._since_figure = 0
            ordered = sorted(self._times_s)
            self.median_s = ordered[len(ordered) // 2]
            self.usual_max_s = ordered[int(len(ordered) * _HEDGED_SHARE)]

    def hedge_after_s(self) -> float:
        bound_s = HEDGE_S_MAX if self.kind < Kind.SLOW else _SLOW_HEDGE_S_MAX
        return bound_s if self.usual_max_s is None else min(self.usual_max_s, bound_s)

    def silent_after_s(self) -> float:
        if self.kind >= Kind.SLOW:
            return max(_SLOW_SILENCE_S, _SILENCE_USUALS * (self.usual_max_s or 0.0))
        if self.usual_max_s is None:
            return SILENCE_S
        least_s = SILENCE_S
        if self.kind < Kind.CALL:
            least_s = min(max(SILENCE_S_MIN, _QUICK_SILENCE_USUALS * self.usual_max_s), SILENCE_S)
        return max(least_s, _SILENCE_USUALS * self.usual_max_s)


class Pace:
    """The usual times by kind and size: sizes within a factor of two are alike."""

    __slots__ = ("_classes",)

    def __init__(self) -> None:
        self._classes: dict[tuple[Kind, int], Usual] = {}

    def of(self, requests: Sequence[_Request]) -> Usual:
        key = (kind_of(requests), len(requests).bit_length())
        found = self._classes.get(key)
        if found is None:
            found = self._classes[key] = Usual(key[0])
        return found


class Score:
    """What one endpoint costs against the others: the slower and the more often wrong, the more."""

    __slots__ = ("_cost", "error_share", "latency_s", "slowness")

    def __init__(self) -> None:
        self.latency_s = 0.0  # of any question
        self.slowness = 1.0  # against what is usual for its questions
        self.error_share = 0.0
        self._cost = 1.0

    @property
    def cost(self) -> float:
        """1 for a usual endpoint. In steps, so that noise does not move the order."""
        return self._cost

    def answered(self, duration_s: float, usual: Usual) -> None:
        self.latency_s += _NEWEST * (duration_s - self.latency_s) if self.latency_s else duration_s
        if usual.median_s:
            ratio = min(max(duration_s / usual.median_s, _SLOWNESS_MIN), _SLOWNESS_MAX)
            self.slowness += _NEWEST * (ratio - self.slowness)
        self._update(0.0)

    def failed(self) -> None:
        self._update(1.0)

    def _update(self, error: float) -> None:
        self.error_share += _NEWEST * (error - self.error_share)
        steps = round(2 * math.log2(max(self.slowness, _SLOWNESS_MIN)))
        self._cost = 2.0 ** (steps / 2) * (1 + _ERROR_COST * round(self.error_share, 1))
