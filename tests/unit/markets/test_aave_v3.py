"""The arithmetic of Aave V3.6 against numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.markets.aave_v3 import (
    HEALTH_ONE_WAD,
    RAY,
    Account,
    Category,
    RateCurve,
    Reserve,
    ReserveSettings,
    account_data,
    percent_up,
)
from seawall.markets.errors import PoolStateError
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address

YEAR_S = 365 * 86_400
PERCENT = RAY // 100
DOLLAR = 10**6

SETTINGS = ReserveSettings(
    ltv_bps=7_500,
    threshold_bps=8_000,
    decimals=6,
    is_active=True,
    is_frozen=False,
    can_be_borrowed=True,
    is_paused=False,
    is_siloed=False,
    has_flash_loans=True,
    reserve_factor_bps=1_000,
    borrow_cap=0,
    supply_cap=0,
    debt_ceiling=0,
)
# 4 % at 80 % usage, 64 % at full.
CURVE = RateCurve(8_000, 0, 400, 6_000)


def reserve(number: int = 0, **changes: int) -> Reserve:
    made = Reserve(
        token=Address(bytes([number]) * 20),
        receipt=Address(b"\xaa" * 20),
        debt_token=Address(b"\xdd" * 20),
        number=number,
        settings=SETTINGS,
        curve=CURVE,
        liquidity_index_ray=RAY,
        liquidity_rate_ray=10 * PERCENT,
        debt_index_ray=RAY,
        debt_rate_ray=10 * PERCENT,
        updated_s=0,
        supplied_scaled=2_000 * DOLLAR,
        debt_scaled=1_000 * DOLLAR,
        treasury_scaled=0,
        balance=1_000 * DOLLAR,
        deficit=0,
        price=10**8,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # whole numbers only


def test_supply_grows_by_simple_interest_and_debt_by_the_first_terms_of_the_exponential() -> None:
    later = reserve().accrued(YEAR_S)
    assert later.liquidity_index_ray == RAY + 10 * PERCENT
    # 1 + x + x^2/2 + x^3/6 at x = 0.1: the last term of the contract is a third of a product, not a sixth.
    assert later.debt_index_ray == RAY + RAY // 10 + RAY // 200 + 166_666_666_666_666_666_666_667
    assert later.updated_s == YEAR_S


def test_the_treasury_gets_its_share_of_interest_in_scaled_units_rounded_down() -> None:
    later = reserve().accrued(YEAR_S)
    interest = 105_166_666  # of 1,000 dollars at 10.5166 %
    share = 10_516_667  # a tenth, to the nearest
    assert interest == later.owed_up(1_000 * DOLLAR) - 1_000 * DOLLAR - 1
    assert later.treasury_scaled == share * 10 // 11


def test_without_debt_its_index_stands_still_and_without_a_rate_the_other_one() -> None:
    still = reserve(debt_scaled=0, liquidity_rate_ray=0).accrued(YEAR_S)
    assert (still.debt_index_ray, still.liquidity_index_ray) == (RAY, RAY)
    assert reserve().accrued(0) == reserve()


def test_supplied_rounds_down_and_owed_rounds_up() -> None:
    uneven = reserve(liquidity_index_ray=RAY + 1, debt_index_ray=RAY + 1)
    assert uneven.supplied_down(3) == 3
    assert uneven.owed_up(3) == 4
    assert (uneven.minted_down(3), uneven.burnt_up(3)) == (2, 3)
    assert (uneven.debt_minted_up(3), uneven.debt_burnt_down(3)) == (3, 2)


@pytest.mark.parametrize(
    ("balance", "debt", "debt_rate"),
    [
        (1_000, 0, 0),
        (600, 400, 2 * PERCENT),  # half way to the optimum
        (200, 800, 4 * PERCENT),
        (100, 900, 34 * PERCENT),  # half way beyond it
        (0, 1_000, 64 * PERCENT),
    ],
)
def test_rates_follow_the_kinked_curve(balance: int, debt: int, debt_rate: int) -> None:
    changed = reserve(balance=balance, debt_scaled=debt).changed()
    assert changed.debt_rate_ray == debt_rate
    assert changed.liquidity_rate_ray == debt_rate * debt // 1_000 * 9 // 10


def test_uncovered_bad_debt_lowers_what_suppliers_earn_alone() -> None:
    sound, lame = reserve(balance=200, debt_scaled=800), reserve(balance=200, debt_scaled=800, deficit=1_000)
    assert lame.changed().debt_rate_ray == sound.changed().debt_rate_ray
    assert lame.changed().liquidity_rate_ray * 2 == sound.changed().liquidity_rate_ray


def test_an_action_changes_totals_and_the_pools_own_count() -> None:
    changed = reserve().changed(taken=300 * DOLLAR, debt_scaled=300 * DOLLAR)
    assert (changed.balance, changed.debt_scaled) == (700 * DOLLAR, 1_300 * DOLLAR)
    assert changed.debt_rate_ray == 4 * PERCENT * 65 // 80


def test_settings_are_read_from_the_packed_word() -> None:
    word = 7_500 | 8_000 << 16 | 10_500 << 32 | 18 << 48 | 1 << 56 | 1 << 58 | 1 << 63
    word |= 1_000 << 64 | 7 << 80 | 9 << 116 | 3 << 212
    assert ReserveSettings.of_word(word) == replace(
        SETTINGS, decimals=18, borrow_cap=7, supply_cap=9, debt_ceiling=3
    )
    flags = ReserveSettings.of_word(1 << 57 | 1 << 60 | 1 << 62)
    assert (flags.is_frozen, flags.is_paused, flags.is_siloed, flags.is_active) == (True, True, True, False)


def account(flags: int, supplied: int = 0, owed: int = 0) -> Account:
    return Account(flags, 0, {reserve(0).token: supplied}, {reserve(1).token: owed})


def test_health_is_threshold_weighted_collateral_over_debt() -> None:
    data = account_data(
        (reserve(0), reserve(1, price=2 * 10**8)), account(0b0110, 1_000 * DOLLAR, 300 * DOLLAR), None
    )
    assert data.collateral_base == 1_000 * 10**8
    assert data.debt_base == 600 * 10**8
    assert data.health_wad == HEALTH_ONE_WAD * 800 // 600
    assert data.available_base == 150 * 10**8
    assert (data.ltv_bps, data.threshold_bps) == (7_500, 8_000)


def test_what_is_supplied_without_the_flag_does_not_count() -> None:
    data = account_data((reserve(0), reserve(1)), account(0b0100, 1_000 * DOLLAR, 1), None)
    assert (data.collateral_base, data.health_wad) == (0, 0)


def test_nothing_owed_is_full_health() -> None:
    assert account_data((reserve(0), reserve(1)), account(0b10, 1), None).health_wad == UINT256_MAX


def test_an_efficiency_mode_replaces_limits_of_its_tokens_alone() -> None:
    mode = Category(9_300, 9_500, collateral_bitmap=0b1, borrowable_bitmap=0b1, no_ltv_bitmap=0)
    inside = account_data((reserve(0), reserve(1)), account(0b10, 10**6), mode)
    assert (inside.ltv_bps, inside.threshold_bps) == (9_300, 9_500)
    outside = account_data((reserve(0), reserve(1)), account(0b10, 10**6), replace(mode, collateral_bitmap=2))
    assert (outside.ltv_bps, outside.threshold_bps) == (7_500, 8_000)
    without = account_data((reserve(0), reserve(1)), account(0b10, 10**6), replace(mode, no_ltv_bitmap=1))
    assert (without.ltv_bps, without.threshold_bps) == (0, 9_500)
    assert without.has_collateral_without_ltv


def test_a_flash_premium_rounds_up() -> None:
    assert [percent_up(amount, 5) for amount in (0, 1, 2_000, 2_001)] == [0, 1, 1, 2]


def test_impossible_books_are_refused() -> None:
    with pytest.raises(PoolStateError, match="below one"):
        reserve(debt_index_ray=RAY - 1)
    with pytest.raises(PoolStateError, match="rate curve"):
        RateCurve(0, 0, 1, 2)
