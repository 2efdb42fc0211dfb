"""Volatility for any moves: limits never grow past the static one, never fall under the floor, and tighten
with what happens last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seawall.primitives.units import BPS, Address
from seawall.risk.volatility import VolatilityRule, scaled_down, share_of, volatility_of

MOVES = st.lists(st.integers(-(2**21), 2**21), max_size=24)
RULES = st.builds(
    VolatilityRule,
    st.just(Address(b"\x06" * 20)),
    st.integers(1, BPS),
    weight=st.integers(1, 64),
    floor_bps=st.integers(1, BPS),
    band_bps=st.integers(0, BPS),
)


@given(RULES, MOVES, st.integers(0, 2**256))
def test_a_limit_is_never_looser_than_the_static_one_nor_under_its_floor(
    rule: VolatilityRule, moves: list[int], limit: int
) -> None:
    share = share_of(rule, moves)
    assert rule.floor_bps <= share <= BPS
    assert limit * rule.floor_bps // BPS <= scaled_down(limit, share) <= limit


@given(MOVES, st.integers(1, 64))
def test_volatility_is_at_least_the_last_gap_and_at_most_the_largest(moves: list[int], weight: int) -> None:
    for place, found in enumerate(volatility_of(moves, weight)):
        assert abs(moves[place]) <= found <= max(abs(move) for move in moves[: place + 1])


@given(RULES, MOVES, st.integers(0, 2**21), st.integers(0, 2**21))
def test_a_larger_last_move_never_leaves_more(
    rule: VolatilityRule, moves: list[int], one: int, other: int
) -> None:
    small, large = sorted((one, other))
    calm, wild = share_of(rule, [*moves, small]), share_of(rule, [*moves, large])
    assert wild <= calm


@given(RULES, MOVES)
def test_after_a_calm_time_the_static_limit_holds(rule: VolatilityRule, moves: list[int]) -> None:
    assert share_of(rule, [*(0 for _ in moves)]) == BPS


@given(RULES, MOVES)
def test_it_does_not_matter_which_way_prices_move(rule: VolatilityRule, moves: list[int]) -> None:
    assert share_of(rule, moves) == share_of(rule, [-move for move in moves])
