"""Sizing a cycle: what bounds it, what it refuses, and that fees are counted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.markets.errors import AmountError, PathError
from seawall.markets.two_venue import (
    FlashFee,
    Leg,
    SizeBound,
    best_cycle,
    best_cycle_either_way,
    quote_cycle,
)
from tests.unit.markets.worlds import TOKEN0, TOKEN1, pair, pool, positions

_L = 10**21
_POOL = pool(positions((-6000, 6000, _L)), fee_pips=500, tick_spacing=10)
_CHEAP = pair(100 * 10**18, 110 * 10**18)
_LEGS = (Leg(_CHEAP, True), Leg(_POOL, False))


def test_gap_is_taken_and_the_claim_is_the_simulation() -> None:
    quote = best_cycle(*_LEGS)
    assert quote is not None
    assert quote.bound is SizeBound.OPTIMUM
    assert quote.token == TOKEN0
    assert quote.profit > 10**16
    assert quote == quote_cycle(*_LEGS, quote.amount_in, bound=SizeBound.OPTIMUM)


def test_more_and_less_earn_less() -> None:
    quote = best_cycle(*_LEGS)
    assert quote is not None
    for part in (99, 101):
        assert quote_cycle(*_LEGS, quote.amount_in * part // 100).profit < quote.profit


def test_wrong_direction_and_balanced_pools_have_no_cycle() -> None:
    assert best_cycle(Leg(_POOL, True), Leg(_CHEAP, False)) is None
    assert best_cycle_either_way(pair(10**20, 10**20), _POOL, TOKEN0) is None


def test_better_direction_is_found_for_either_token() -> None:
    for token in (TOKEN0, TOKEN1):
        quote = best_cycle_either_way(_POOL, _CHEAP, token)
        assert quote is not None
        assert quote.token == token
        assert quote.profit > 10**16


def test_flash_fee_lowers_size_and_profit_and_can_end_both() -> None:
    free, paid = best_cycle(*_LEGS), best_cycle(*_LEGS, FlashFee(1, 100))
    assert free is not None
    assert paid is not None
    assert paid.amount_in < free.amount_in
    assert paid.repay == paid.amount_in + -(-paid.amount_in // 100)
    assert best_cycle(*_LEGS, FlashFee(1, 10)) is None


def test_cap_is_kept_and_named() -> None:
    free = best_cycle(*_LEGS)
    assert free is not None
    quote = best_cycle(*_LEGS, amount_in_max=free.amount_in // 2)
    assert quote is not None
    assert quote.bound is SizeBound.CAP
    assert quote.amount_in <= free.amount_in // 2
    assert best_cycle(*_LEGS, amount_in_max=free.amount_in + 10) == free


def test_edge_of_the_known_ticks_bounds_the_size_and_is_named() -> None:
    narrow = replace(
        _POOL, ticks=replace(_POOL.ticks, indexes=(), liquidity_nets=(), known_low=-9, known_high=9)
    )
    quote = best_cycle(Leg(_CHEAP, True), Leg(narrow, False))
    assert quote is not None
    assert quote.bound is SizeBound.DEPTH
    assert quote.profit == quote_cycle(*_LEGS, quote.amount_in).profit


def test_coarse_token_in_the_middle_is_bought_at_its_least_price() -> None:
    coarse = pair(2_000 * 10**18, 4_000 * 10**2)
    dear = replace(pair(1_900 * 10**18, 4_100 * 10**2), address=TOKEN1)
    legs = (Leg(dear, True), Leg(coarse, False))
    quote = best_cycle(*legs)
    assert quote is not None
    assert legs[0].out_down(quote.amount_in - 2) < quote.amount_mid


def test_paths_that_are_no_cycle_are_refused() -> None:
    with pytest.raises(PathError, match="one pool"):
        best_cycle(Leg(_POOL, True), Leg(_POOL, False))
    with pytest.raises(PathError, match="cycle"):
        best_cycle(Leg(_POOL, True), Leg(_CHEAP, True))


@pytest.mark.parametrize(("numerator", "denominator"), [(-1, 1), (1, 0)])
def test_undefined_flash_fee_is_refused(numerator: int, denominator: int) -> None:
    with pytest.raises(AmountError):
        FlashFee(numerator, denominator)
