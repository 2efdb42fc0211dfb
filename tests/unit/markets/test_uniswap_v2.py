"""V2 pairs: the library's numbers, and every refusal."""

from __future__ import annotations

import pytest

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.markets.uniswap_v2 import RESERVE_MAX
from seawall.primitives.units import Address
from tests.unit.markets.worlds import TOKEN0, TOKEN1, pair


def test_amount_out_follows_the_librarys_formula() -> None:
    # 1e18 * 997 * 10e18 // (5e18 * 1000 + 1e18 * 997), as v2-core's own specification has it.
    assert pair(5 * 10**18, 10 * 10**18).amount_out_down(True, 10**18) == 1662497915624478906


def test_amount_in_buys_what_was_asked() -> None:
    pool = pair(5 * 10**18, 10 * 10**18)
    amount_in = pool.amount_in_up(True, 1662497915624478906)
    assert amount_in == 10**18
    assert pool.amount_out_down(True, amount_in) >= 1662497915624478906


def test_direction_follows_the_token() -> None:
    pool = pair(1000, 9000)
    assert pool.zero_for_one(TOKEN0) is True
    assert pool.zero_for_one(TOKEN1) is False
    with pytest.raises(AmountError):
        pool.zero_for_one(Address(bytes(20)))


def test_pair_after_a_swap_holds_what_moved() -> None:
    pool = pair(10**9, 10**9)
    out = pool.amount_out_down(False, 10**6)
    after = pool.after_exact_in(False, 10**6)
    assert (after.reserve0, after.reserve1) == (10**9 - out, 10**9 + 10**6)
    after = pool.after_exact_out(True, 10**6)
    assert (after.reserve0, after.reserve1) == (10**9 + pool.amount_in_up(True, 10**6), 10**9 - 10**6)


@pytest.mark.parametrize("amount", [0, -1, 2**256])
def test_impossible_amounts_are_refused(amount: int) -> None:
    pool = pair(10**9, 10**9)
    with pytest.raises(AmountError):
        pool.amount_out_down(True, amount)
    with pytest.raises(AmountError):
        pool.amount_in_up(True, amount)


def test_product_over_256_bits_is_refused_as_the_library_reverts() -> None:
    with pytest.raises(AmountError, match="overflows"):
        pair(RESERVE_MAX, RESERVE_MAX).amount_out_down(True, 2**200)
    with pytest.raises(AmountError, match="overflows"):
        pair(RESERVE_MAX, RESERVE_MAX, 9975, 10**15).amount_in_up(True, RESERVE_MAX - 1)


@pytest.mark.parametrize("amount", [10**9, 10**9 + 1])
def test_output_of_the_whole_reserve_is_refused(amount: int) -> None:
    with pytest.raises(InsufficientLiquidityError):
        pair(10**9, 10**9).amount_in_up(True, amount)


def test_empty_pair_is_refused() -> None:
    with pytest.raises(InsufficientLiquidityError):
        pair(0, 0).amount_out_down(True, 1)


def test_swap_that_buys_nothing_is_refused_though_its_quote_is_zero() -> None:
    pool = pair(10**18, 10**3)
    assert pool.amount_out_down(True, 10) == 0
    with pytest.raises(AmountError, match="buys nothing"):
        pool.after_exact_in(True, 10)


def test_swap_over_112_bits_of_reserve_is_refused() -> None:
    with pytest.raises(AmountError, match="overflows"):
        pair(RESERVE_MAX - 5, 10**9).after_exact_in(True, 10**33)


@pytest.mark.parametrize(
    ("reserve0", "reserve1", "fee"),
    [(-1, 1, (997, 1000)), (1, 2**112, (997, 1000)), (1, 1, (0, 1000)), (1, 1, (1001, 1000))],
)
def test_state_that_no_pair_can_have_is_refused(reserve0: int, reserve1: int, fee: tuple[int, int]) -> None:
    with pytest.raises(PoolStateError):
        pair(reserve0, reserve1, *fee)
