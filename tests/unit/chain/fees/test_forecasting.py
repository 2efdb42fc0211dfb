"""The forecast: its arithmetic, and how it does on recorded prices beside naive ones."""

from __future__ import annotations

import random

import pytest

from bench.fees import (
    NAIVE,
    STEPS,
    bound_scores,
    our_bound,
    our_point,
    point_errors,
    recorded_series,
)
from seawall.chain.fees import forecast
from seawall.chain.fees.forecasting import SAMPLES_MIN, WINDOW_BLOCKS, expected_fees, upper_fees

GWEI = 10**9
STRIDE = 4  # every fourth minute: the same figures to a hundredth, in a quarter of the time
NOISE = 1.02


def test_fee_that_never_moved_is_expected_to_stay() -> None:
    found = forecast([GWEI] * 100, 5)
    assert found is not None
    assert found.expected_wei == found.upper_wei == (GWEI,) * 5


def test_spikes_that_always_passed_are_expected_to_pass() -> None:
    fees = [30 * GWEI if i % 10 == 9 else 10 * GWEI for i in range(200)]
    assert fees[-1] == 30 * GWEI
    assert expected_fees(fees, 1) == (10 * GWEI,)


def test_steady_climb_keeps_the_last_value_as_its_best_guess() -> None:
    fees = [GWEI + i * GWEI // 20 for i in range(200)]
    assert expected_fees(fees, 3) == (fees[-1],) * 3


def test_bound_is_the_ratio_that_the_confidence_asks_for() -> None:
    # One step in 16 doubles the fee; a bound for 95 % must hold those too.
    fees = [GWEI]
    for i in range(160):
        fees.append(fees[-1] * 2 if i % 16 == 0 else max(GWEI, fees[-1] // 2))
    assert upper_fees(fees, 1) == (2 * fees[-1],)
    assert upper_fees(fees, 1, confidence_bps=9_000) == (fees[-1],)


def test_bound_never_falls_with_distance() -> None:
    rng = random.Random(7)
    fees = [rng.randrange(GWEI, 50 * GWEI) for _ in range(WINDOW_BLOCKS)]
    bounds = upper_fees(fees, 10)
    assert list(bounds) == sorted(bounds)


def test_scale_of_the_fee_does_not_matter() -> None:
    rng = random.Random(8)
    fees = [rng.randrange(10**6, 10**7) for _ in range(150)]
    small, large = forecast(fees, 4), forecast([fee * 10**6 for fee in fees], 4)
    assert small is not None
    assert large is not None
    for one, other in zip(small.upper_wei, large.upper_wei, strict=True):
        assert abs(one - other / 10**6) <= 1


@pytest.mark.parametrize("fees", [[], [GWEI] * (SAMPLES_MIN + 4), [0] * 200, [*[GWEI] * 199, 0]])
def test_too_little_known_answers_nothing(fees: list[int]) -> None:
    assert forecast(fees, 5) is None


@pytest.fixture(scope="module")
def series() -> dict[str, list[int]]:
    found = recorded_series()
    if not found:
        pytest.skip("no recorded gas prices: name the data folder in SEAWALL_DATA")
    return found


def test_forecast_is_no_worse_than_naive_ones_on_recorded_prices(series: dict[str, list[int]]) -> None:
    for name, prices in series.items():
        ours = point_errors(prices, our_point, STRIDE)
        for peer, guess in NAIVE.items():
            theirs = point_errors(prices, guess, STRIDE)
            for step in range(STEPS):
                assert ours[step] <= theirs[step] * NOISE, (name, peer, step)


def test_bound_holds_as_often_as_it_says_and_costs_less_than_naive_ones(series: dict[str, list[int]]) -> None:
    for name, prices in series.items():
        ours = bound_scores(prices, our_bound, STRIDE)
        assert all(0.92 <= score.covered <= 0.98 for score in ours), (name, ours)
        for peer, guess in NAIVE.items():
            theirs = bound_scores(prices, guess, STRIDE)
            for step in range(STEPS):
                assert ours[step].loss <= theirs[step].loss, (name, peer, step)
