"""The base-fee forecast, walking forward over recorded prices, beside naive forecasts.

The series is what `$SEAWALL_DATA/series/` has of the form `block_timestamp,gas_price`: one figure a minute,
the mean price that was *paid* in that minute, in gwei. So it is no base fee: priority fees are in it, a step
is about five Ethereum blocks, and the mean smooths what happened within. It says how the method does on real
gas prices, not how far off the next block is, which EIP-1559 makes exact.

Nothing here has seen what it forecasts: at every minute the forecast is given the minutes before it alone.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from bench.rows import Row
from seawall.chain.fees.forecasting import CONFIDENCE_BPS, WINDOW_BLOCKS, expected_fees, upper_fees
from seawall.primitives.units import BPS

GWEI = 10**9
BLOCKS_PER_STEP = 5
STEPS = 5
MEAN_STEPS = 10
COLUMNS = ["block_timestamp", "gas_price"]

Guess = Callable[[Sequence[int]], Sequence[float]]
"""From the past (oldest first) to one figure for each of the next `STEPS` [wei]."""


def last_value(past: Sequence[int]) -> Sequence[float]:
    return [past[-1]] * STEPS


def moving_average(past: Sequence[int]) -> Sequence[float]:
    return [sum(past[-MEAN_STEPS:]) / MEAN_STEPS] * STEPS


def worst_case(past: Sequence[int]) -> Sequence[float]:
    """Every block full: an eighth more, five times a step."""
    return [past[-1] * (9 / 8) ** (BLOCKS_PER_STEP * step) for step in range(1, STEPS + 1)]


def twice_the_last(past: Sequence[int]) -> Sequence[float]:
    """What many wallets bid."""
    return [2 * past[-1]] * STEPS


NAIVE: dict[str, Guess] = {
    "last value": last_value,
    "moving average of 10": moving_average,
    "EIP-1559 worst case": worst_case,
}
NAIVE_BOUNDS: dict[str, Guess] = {**NAIVE, "twice the last": twice_the_last}


def our_point(past: Sequence[int]) -> Sequence[float]:
    return expected_fees(past, STEPS)


def our_bound(past: Sequence[int]) -> Sequence[float]:
    return upper_fees(past, STEPS)


@dataclass(frozen=True, slots=True)
class BoundScore:
    """Of a bound on the next steps' maximum. `loss` is the pinball loss at our confidence, relative to the
    last value: it punishes a bound that is passed nineteen times as much as one that is too high."""

    covered: float
    height: float
    loss: float


def read_series(path: Path) -> list[int] | None:
    """Prices in wei; None for a file of another form."""
    with gzip.open(path, "rt", newline="") as file:
        rows = csv.reader(file)
        if next(rows, None) != COLUMNS:
            return None
        return [int(Decimal(price) * GWEI) for _, price in rows]


def recorded_series() -> dict[str, list[int]]:
    """Every recorded series of gas prices, by file name; empty where there is no data."""
    root = Path(__file__).resolve().parents[1]
    folder = Path(os.environ.get("SEAWALL_DATA") or root.parent / "shared" / "data") / "series"
    found = {path.name: read_series(path) for path in sorted(folder.glob("*.csv.gz"))}
    return {name: series for name, series in found.items() if series is not None}


def point_errors(series: Sequence[int], guess: Guess, stride: int = 1) -> list[float]:
    """Mean |ln(guess / true)|, for each of the next steps."""
    sums, count = [0.0] * STEPS, 0
    for now in range(WINDOW_BLOCKS, len(series) - STEPS, stride):
        guesses = guess(series[now - WINDOW_BLOCKS + 1 : now + 1])
        for step in range(STEPS):
            sums[step] += abs(math.log(guesses[step] / series[now + 1 + step]))
        count += 1
    return [total / count for total in sums]


def bound_scores(series: Sequence[int], guess: Guess, stride: int = 1) -> list[BoundScore]:
    """How well a bound holds the highest price up to each of the next steps."""
    confidence = CONFIDENCE_BPS / BPS
    covered, height, loss, count = [0] * STEPS, [0.0] * STEPS, [0.0] * STEPS, 0
    for now in range(WINDOW_BLOCKS, len(series) - STEPS, stride):
        bounds = guess(series[now - WINDOW_BLOCKS + 1 : now + 1])
        for step in range(STEPS):
            highest = max(series[now + 1 : now + 2 + step])
            over = (highest - bounds[step]) / series[now]
            covered[step] += over <= 0
            height[step] += bounds[step] / series[now]
            loss[step] += over * confidence if over > 0 else -over * (1 - confidence)
        count += 1
    return [
        BoundScore(c / count, h / count, one / count) for c, h, one in zip(covered, height, loss, strict=True)
    ]


def measure() -> list[Row]:
    rows: list[Row] = []
    for name, series in recorded_series().items():
        ours = point_errors(series, our_point)
        peers = {peer: point_errors(series, guess) for peer, guess in NAIVE.items()}
        rows += [
            Row(
                f"{name}: error of the forecast {step + 1} min ahead",
                "mean |ln(forecast / true)|",
                ours[step],
                {peer: errors[step] for peer, errors in peers.items()},
            )
            for step in range(STEPS)
        ]
        bound = bound_scores(series, our_bound)
        others = {peer: bound_scores(series, guess) for peer, guess in NAIVE_BOUNDS.items()}
        for step in (0, STEPS - 1):
            what = f"{name}: bound on the next {step + 1} min"
            rows += [
                Row(
                    f"{what}, share of minutes that it holds",
                    "share",
                    bound[step].covered,
                    {peer: scores[step].covered for peer, scores in others.items()},
                    CONFIDENCE_BPS / BPS,
                ),
                Row(
                    f"{what}, mean height",
                    "times the last price",
                    bound[step].height,
                    {peer: scores[step].height for peer, scores in others.items()},
                ),
                Row(
                    f"{what}, pinball loss at {CONFIDENCE_BPS / BPS:.0%}",
                    "of the last price",
                    bound[step].loss,
                    {peer: scores[step].loss for peer, scores in others.items()},
                ),
            ]
    return rows
