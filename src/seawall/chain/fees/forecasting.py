"""Where the base fee will be in the next blocks, from the base fees of recent ones. Integers only.

Two answers for each of the next blocks:

`expected_wei`, a point. Base fees return: a spike is mostly gone a few blocks later, but how soon differs
from week to week. So the forecast lies between the last fee and the first quartile of the last
`ANCHOR_BLOCKS`, at whichever of five weights erred least over the last `LEARN_BLOCKS`, for each distance by
itself. The last value is one of the five; where nothing is to be learned, that is what is answered.

`upper_wei`, a bound that no block up to that one passes, with confidence `CONFIDENCE_BPS`: the
split-conformal quantile (the ceil((n + 1) * c)-th smallest) of max(fee[i+1..i+k]) / fee[i] in the window,
times the last fee. It assumes nothing about the distribution, only that the near future behaves like the
window; it covers less where that fails (a sudden rush), and then a replacement follows. Windows that are too
short answer None.

The measured error of both, beside naive forecasts, is in docs/fees.md (`python -m bench fees`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.primitives.units import BPS, ceil_div

__all__ = [
    "CONFIDENCE_BPS",
    "SAMPLES_MIN",
    "WINDOW_BLOCKS",
    "Forecast",
    "expected_fees",
    "forecast",
    "upper_fees",
]

WINDOW_BLOCKS: Final = 256
SAMPLES_MIN: Final = 64
CONFIDENCE_BPS: Final = 9_500
ANCHOR_BLOCKS: Final = 20
LEARN_BLOCKS: Final = 64
_WEIGHT_STEPS: Final = 4
_RATIO_ONE: Final = 10**9
_ERROR_ONE: Final = 10**9


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of the blocks after the last known fee, nearest first [wei per gas]."""

    expected_wei: tuple[int, ...]
    upper_wei: tuple[int, ...]  # ascending: the highest fee on the way there


def forecast(fees_wei: Sequence[int], blocks: int) -> Forecast | None:
    """The next `blocks` base fees after `fees_wei` (oldest first); None where too few are known."""
    window = fees_wei[-WINDOW_BLOCKS:]
    if blocks < 1 or len(window) < SAMPLES_MIN + blocks or min(window) <= 0:
        return None
    return Forecast(expected_fees(window, blocks), upper_fees(window, blocks))


def upper_fees(window: Sequence[int], blocks: int, confidence_bps: int = CONFIDENCE_BPS) -> tuple[int, ...]:
    """The conformal bound of the path's maximum, for each of the next `blocks`."""
    last_wei, highest = window[-1], [0] * len(window)
    bounds: list[int] = []
    for ahead in range(1, blocks + 1):
        samples = len(window) - ahead
        highest = [max(highest[i], window[i + ahead]) for i in range(samples)]
        ratios = sorted(ceil_div(highest[i] * _RATIO_ONE, window[i]) for i in range(samples))
        rank = min(ceil_div((samples + 1) * confidence_bps, BPS), samples)
        bound_wei = ceil_div(last_wei * ratios[rank - 1], _RATIO_ONE)
        bounds.append(max(bound_wei, bounds[-1] if bounds else 0))
    return tuple(bounds)


def expected_fees(window: Sequence[int], blocks: int) -> tuple[int, ...]:
    """The point forecast, for each of the next `blocks`."""
    first = max(0, len(window) - LEARN_BLOCKS - blocks)
    anchors = {i: _anchor(window, i) for i in range(first, len(window))}
    last = len(window) - 1
    found: list[int] = []
    for ahead in range(1, blocks + 1):
        origins = range(max(first, last - ahead - LEARN_BLOCKS + 1), last - ahead + 1)
        errors = [
            sum(_error(_mixed(window[i], anchors[i], weight), window[i + ahead]) for i in origins)
            for weight in range(_WEIGHT_STEPS + 1)
        ]
        weight = errors.index(min(errors))
        found.append(_mixed(window[last], anchors[last], weight))
    return tuple(found)


def _anchor(window: Sequence[int], place: int) -> int:
    """The first quartile of the fees up to `place`."""
    recent = sorted(window[max(0, place - ANCHOR_BLOCKS + 1) : place + 1])
    return recent[(len(recent) - 1) // 4]


def _mixed(last_wei: int, anchor_wei: int, weight: int) -> int:
    return (last_wei * (_WEIGHT_STEPS - weight) + anchor_wei * weight) // _WEIGHT_STEPS


def _error(guess_wei: int, true_wei: int) -> int:
    """Symmetric: twice too high weighs as much as half too low."""
    return abs(guess_wei - true_wei) * _ERROR_ONE // (guess_wei + true_wei)
