"""The arithmetic of a Morpho market against numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from seawall.markets.errors import PoolStateError
from seawall.markets.morpho_blue import PRICE_SCALE, WAD, MorphoAccount, MorphoMarket, borrow_rate, w_exp

YEAR_S = 365 * 86_400
AT_TARGET = WAD * 4 // 100 // YEAR_S

MARKET = MorphoMarket(
    supply_assets=1_000_000,
    supply_shares=1_000_000 * 10**6,
    borrow_assets=900_000,
    borrow_shares=900_000 * 10**6,
    updated_s=1_000,
    fee_wad=0,
    rate_at_target_wad=AT_TARGET,
)


def test_at_the_target_the_rate_stays() -> None:
    assert borrow_rate(MARKET, YEAR_S) == (AT_TARGET, AT_TARGET)


@pytest.mark.parametrize(
    ("borrowed", "factor"),
    [(0, (1, 4)), (450_000, (5, 8)), (900_000, (1, 1)), (950_000, (5, 2)), (1_000_000, (4, 1))],
)
def test_the_curve_has_a_quarter_below_and_four_above(borrowed: int, factor: tuple[int, int]) -> None:
    rate, at_target = borrow_rate(replace(MARKET, borrow_assets=borrowed), 0)
    assert rate == AT_TARGET * factor[0] // factor[1]
    assert at_target == AT_TARGET


def test_a_new_market_starts_at_four_percent() -> None:
    assert borrow_rate(replace(MARKET, rate_at_target_wad=0), 50) == (AT_TARGET, AT_TARGET)


def test_full_use_multiplies_the_rate_by_e_in_a_fiftieth_of_a_year() -> None:
    full = replace(MARKET, borrow_assets=1_000_000)
    average, end = borrow_rate(full, YEAR_S // 50)
    assert end / AT_TARGET == pytest.approx(math.e, rel=0.01)
    assert average / (4 * AT_TARGET) == pytest.approx((1 + math.e + 2 * math.sqrt(math.e)) / 4, rel=0.01)


def test_the_rate_never_leaves_its_bounds() -> None:
    assert borrow_rate(replace(MARKET, borrow_assets=0), 10 * YEAR_S)[1] == WAD // 1_000 // YEAR_S
    assert borrow_rate(replace(MARKET, borrow_assets=1_000_000), 10 * YEAR_S)[1] == 2 * WAD // YEAR_S


def test_the_exponential_is_clipped_at_both_ends() -> None:
    assert w_exp(-42 * WAD) == 0
    assert w_exp(0) == WAD
    assert w_exp(94 * WAD) == w_exp(200 * WAD)
    assert w_exp(-WAD) / WAD == pytest.approx(math.exp(-1), rel=0.01)


def test_interest_is_owed_and_earned_alike_and_the_fee_is_paid_in_shares() -> None:
    later, fee_shares = replace(MARKET, fee_wad=WAD // 10).accrued(1_000 + YEAR_S)
    interest = 36_729  # 900,000 at the first three terms of e^0.04 - 1, by rates cut to whole units a second
    assert later.borrow_assets - MARKET.borrow_assets == interest
    assert later.supply_assets - MARKET.supply_assets == interest
    assert fee_shares == 3_672 * (10**12 + 10**6) // (1_036_729 - 3_672 + 1)
    assert later.supply_shares == MARKET.supply_shares + fee_shares
    assert MARKET.accrued(1_000) == (MARKET, 0)


def test_conversions_round_against_the_account() -> None:
    grown = replace(MARKET, supply_assets=1_000_001, borrow_assets=900_001)
    assert grown.supply_shares_down(1) == 10**6 * (10**6 + 1) // 1_000_002
    assert grown.supply_shares_up(1) == grown.supply_shares_down(1) + 1
    assert grown.supply_assets_down(10**6) == 1
    assert grown.supply_assets_down(10**6 - 1) == 0
    assert grown.borrow_assets_up(1) == 1
    assert grown.borrow_shares_up(1) - grown.borrow_shares_down(1) == 1


def test_repaying_one_unit_more_than_there_is_leaves_zero() -> None:
    assert replace(MARKET, borrow_assets=5).borrowed(-6, 0).borrow_assets == 0


def test_a_debt_is_healthy_up_to_its_limit() -> None:
    account = MorphoAccount(supply_shares=0, borrow_shares=80 * 10**6, collateral=100)
    assert account.debt_limit_down(PRICE_SCALE, WAD * 8 // 10) == 80
    assert account.is_healthy(MARKET, PRICE_SCALE, WAD * 8 // 10)
    assert not account.is_healthy(MARKET, PRICE_SCALE - 1, WAD * 8 // 10)
    assert replace(account, borrow_shares=0).is_healthy(MARKET, 0, 1)


def test_rates_are_told_by_the_year() -> None:
    supply_ray, borrow_ray = replace(MARKET, fee_wad=WAD // 10).rates_ray()
    assert borrow_ray == AT_TARGET * YEAR_S * 10**9
    assert supply_ray == borrow_ray * 9 // 10 * 9 // 10
    assert replace(MARKET, supply_assets=0, borrow_assets=0).rates_ray()[0] == 0


def test_books_that_cannot_be_are_refused() -> None:
    with pytest.raises(PoolStateError, match="no such market"):
        replace(MARKET, updated_s=0)
    with pytest.raises(PoolStateError, match="no such market"):
        replace(MARKET, borrow_assets=1_000_001)
    with pytest.raises(PoolStateError, match="cannot be"):
        replace(MARKET, rate_at_target_wad=-1)
    with pytest.raises(PoolStateError, match="cannot be"):
        replace(MARKET, fee_wad=WAD // 4 + 1)
