"""How much prices moved, what is left of a limit, and guards that follow it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import encode_call
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.simulations import Flow
from seawall.risk.evidence import Evidence
from seawall.risk.guards.catalogue import guards_of
from seawall.risk.guards.flows import PositionSize
from seawall.risk.guards.volatile import Volatile
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.volatility import VolatilityRule, moves_of, reads, scaled_down, share_of, volatility_of
from tests.builders.answers import observed, words
from tests.builders.messages import EXECUTOR, KEY, NOW_S, POOL, WETH, candidate, executor_plan, simulation

RULE = VolatilityRule(POOL, calm_bps=100, interval_s=10, samples=3, weight=4, floor_bps=2_000, band_bps=500)
OURS = OurAddresses(frozenset({KEY, EXECUTOR}), WETH)


def test_one_call_asks_for_evenly_spaced_moments_up_to_the_block() -> None:
    (read,) = reads(RULE)
    assert read.target == POOL
    assert read.calldata == encode_call("observe(uint32[])", ((30, 20, 10, 0),))


def test_moves_are_between_average_ticks_of_neighbouring_intervals() -> None:
    # Average ticks of the intervals: 5, 25, -1 (rounded down).
    answers = {RULE.label: observed((100, 150, 400, 395))}
    assert moves_of(RULE, answers) == (20, -26)


@pytest.mark.parametrize(
    "answer",
    [None, b"", b"\x01", observed((0, 0, 0)), observed((0, 0, 0, 0, 0)), words(*(0 for _ in range(12)))],
    ids=["reverted", "empty", "short", "too few", "too many", "no arrays"],
)
def test_a_pool_that_does_not_remember_the_window_tells_nothing(answer: bytes | None) -> None:
    with pytest.raises(ProtocolError):
        moves_of(RULE, {RULE.label: answer})


def test_volatility_is_the_average_or_the_gap_where_that_is_larger() -> None:
    assert volatility_of((), 4) == ()
    assert volatility_of((30, 30, 30), 4) == (30, 30, 30)
    assert volatility_of((0, 100), 4) == (0, 100)  # the gap at once
    assert volatility_of((100, 0), 4) == (100, 87)  # sqrt(7,500), rounded up: forgotten slowly
    assert volatility_of((-100,), 4) == (100,)


@pytest.mark.parametrize(
    ("moves", "share_bps"),
    [
        ((), 10_000),
        ((100, -100), 10_000),  # calm is at most 100
        ((101,), 9_900),
        ((200,), 5_000),
        ((5_000,), 2_000),  # the floor
        ((200, 190), 5_000),  # 5,050 wanted: not above by the band, so it stays
        ((200, 0, 0), 6_666),  # 5,780, then 6,666: above by the band each time
        ((200, *(0,) * 12), 10_000),
    ],
)
def test_what_is_left_of_a_limit(moves: tuple[int, ...], share_bps: int) -> None:
    assert share_of(RULE, moves) == share_bps


def test_it_tightens_at_once_and_loosens_by_the_band_only() -> None:
    wide = replace(RULE, band_bps=10_000)
    assert share_of(wide, (200, 0)) == 5_000
    assert share_of(wide, (110, 120, 130)) < share_of(wide, (110, 120))


@pytest.mark.parametrize(
    "change",
    [
        {"calm_bps": 0},
        {"interval_s": 0},
        {"samples": 1},
        {"weight": 0},
        {"floor_bps": 0},
        {"band_bps": 10_001},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(change: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        VolatilityRule(POOL, **({"calm_bps": 100} | change))


def guarded(answer: bytes | None, amount: int) -> tuple[int | None, int, bool, str]:
    guard = Volatile(PositionSize(((WETH, 1_000),)), RULE)
    assert guard.before() == ()
    (probe,) = guard.probes()
    found = guard.measure(
        Evidence(
            candidate(executor_plan()),
            simulation(Flow(WETH, EXECUTOR, POOL, amount), probes={probe.label: answer}),
            OURS,
            RiskLimits(),
            NOW_S,
        )
    )
    return found.measured, found.limit, found.passed, found.reason


def test_a_guard_s_limit_follows_volatility() -> None:
    assert guarded(observed((0, 0, 0, 0)), 1_000)[:3] == (1_000, 1_000, True)
    moved = observed((0, 0, 0, 2_000))  # by 200 in the last interval
    assert guarded(moved, 500)[:3] == (500, 500, True)
    assert guarded(moved, 501)[:3] == (501, 500, False)
    assert "5000 bps of the static one" in guarded(moved, 1)[3]


def test_a_guard_that_cannot_tell_how_much_prices_move_refuses() -> None:
    measured, limit, passed, reason = guarded(None, 1)
    assert (measured, limit, passed) == (None, 1_000, False)
    assert "how much prices move" in reason


def test_the_operator_s_rule_scales_the_limits_of_size_and_value() -> None:
    still = guards_of(executor_plan(), RiskLimits(mev_value_max=1))
    moving = guards_of(executor_plan(), RiskLimits(mev_value_max=1, volatility=RULE))
    assert [one.name for one in still] == [one.name for one in moving]
    assert {one.name for one in moving if isinstance(one, Volatile)} == {"position_size", "mev_exposure"}


def test_a_share_rounds_a_maximum_down() -> None:
    assert scaled_down(3, 5_000) == 1
