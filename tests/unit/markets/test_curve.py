"""Curve maths: what no contract would do is refused, with the reason; and a few known facts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from seawall.markets.curve_crypto import Amplification, CryptoPool, newton_d, newton_y
from seawall.markets.curve_meta import StableMetapool, virtual_price_rate
from seawall.markets.curve_stable import StableKind, StablePool
from seawall.markets.errors import MarketError
from seawall.primitives.bounds import UINT256_MAX

WAD = 10**18
DOLLAR_RATE = 10**30

EVEN = StablePool(
    "even", StableKind.NG, 20_000, (10**12, 10**24), (DOLLAR_RATE, WAD), 2 * 10**24, 4_000_000, 2 * 10**10
)
CRYPTO = CryptoPool(
    name="crypto",
    amplification=Amplification(400_000),
    gamma=145 * 10**12,
    d=10**25,
    balances=(5 * 10**12, 2_000 * WAD),
    precisions=(10**12, 1),
    price_scale=(2_500 * WAD,),
    mid_fee=26_000_000,
    out_fee=45_000_000,
    fee_gamma=230 * 10**12,
    supply=10**23,
)


def test_a_balanced_pool_trades_one_for_one_less_its_fee() -> None:
    assert EVEN.invariant(EVEN.balances) == 2 * 10**24
    assert EVEN.virtual_price_down() == WAD
    out = EVEN.exchanged_down(0, 1, 10**6)
    assert WAD - 5 * 10**14 < out < WAD - 3 * 10**14


def test_the_fee_grows_off_the_peg_in_ng_pools_alone() -> None:
    skewed = replace(EVEN, balances=(2 * 10**11, 18 * 10**23))
    flat = replace(skewed, offpeg_multiplier=0)
    assert skewed.exchanged_down(0, 1, 10**6) < flat.exchanged_down(0, 1, 10**6)
    assert replace(skewed, kind=StableKind.FACTORY).exchanged_down(0, 1, 10**6) >= flat.exchanged_down(
        0, 1, 10**6
    )


def test_classic_pools_quote_and_pay_within_a_unit() -> None:
    classic = replace(EVEN, kind=StableKind.CLASSIC, amplification=200, offpeg_multiplier=0)
    for dx in (1, 999_999, 123_456_789):
        assert abs(classic.get_dy_down(0, 1, dx) - classic.exchanged_down(0, 1, dx)) <= 1


def test_the_first_deposit_mints_the_invariant_and_needs_every_coin() -> None:
    empty = replace(EVEN, balances=(0, 0), supply=0)
    assert empty.virtual_price_down() == WAD
    assert empty.minted_down((10**9, 10**21)) == 2 * 10**21
    assert empty.after_minting((10**9, 10**21)).supply == 2 * 10**21
    with pytest.raises(MarketError, match="every coin"):
        empty.minted_down((10**9, 0))


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: EVEN.exchanged_down(0, 0, 1), "for itself"),
        (lambda: EVEN.exchanged_down(0, 2, 1), "coin 2 is not one of 2"),
        (lambda: EVEN.exchanged_down(-1, 1, 1), "coin -1"),
        (lambda: EVEN.exchanged_down(0, 1, 0), "an input of 0"),
        (lambda: EVEN.exchanged_down(0, 1, UINT256_MAX), "overflows"),
        (lambda: EVEN.exchanged_down(0, 1, 2**120), "overflows"),
        (lambda: EVEN.minted_down((2**120, 0)), "does not converge"),
        (lambda: EVEN.minted_down((0, 0)), "nothing is added"),
        (lambda: EVEN.minted_down((1,)), "give 2 amounts"),
        (lambda: EVEN.withdrawn_down(3 * 10**24), "burning"),
        (lambda: EVEN.withdrawn_one_down(1, 5), "coin 5"),
        (lambda: replace(EVEN, balances=(0, WAD)).exchanged_down(0, 1, 1), "empty"),
        (lambda: replace(EVEN, balances=(0, WAD)).virtual_price_down(), "a coin is missing"),
        (lambda: replace(EVEN, balances=(1,)), "1 balances"),
        (lambda: replace(EVEN, amplification=0), "not positive"),
        (lambda: replace(EVEN, balances=(-1, 1)), "not positive"),
        (lambda: replace(EVEN, fee=10**11), "a fee of"),
        (lambda: replace(EVEN, offpeg_multiplier=2**40 * 10**10), "a fee of"),
        (lambda: StableMetapool(replace(EVEN, balances=(1,) * 3, rates=(1,) * 3), EVEN), "3 coins"),
        (lambda: StableMetapool(EVEN, EVEN).get_dy_underlying_down(1, 1, 1), "not two of 3"),
        (lambda: StableMetapool(EVEN, EVEN).get_dy_underlying_down(0, 3, 1), "not two of 3"),
    ],
)
def test_what_no_stable_pool_does_is_refused(refused: Callable[[], object], words: str) -> None:
    with pytest.raises(MarketError, match=words) as refusal:
        refused()
    assert refusal.value.fix


def test_a_metapool_uses_its_cache_for_ten_minutes() -> None:
    assert virtual_price_rate(EVEN, cached=7, cached_at_s=1_000, now_s=1_600) == 7
    assert virtual_price_rate(EVEN, cached=7, cached_at_s=1_000, now_s=1_601) == WAD


def test_a_crypto_pool_at_its_price_trades_near_it() -> None:
    bought = CRYPTO.get_dy_down(0, 1, 2_500 * 10**6)
    assert WAD * 9_970 // 10_000 < bought < WAD
    sold = CRYPTO.get_dy_down(1, 0, WAD)
    assert 2_500 * 10**6 * 9_970 // 10_000 < sold < 2_500 * 10**6


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (lambda: CRYPTO.get_dy_down(0, 0, 1), "name two coins|coins 0 and 0"),
        (lambda: CRYPTO.get_dy_down(0, 1, 0), "an input of 0"),
        (lambda: CRYPTO.get_dy_down(0, 1, 10**20), "range"),
        (lambda: replace(CRYPTO, balances=(0, 1)).get_dy_down(0, 1, 1), "empty"),
        (lambda: CRYPTO.minted_down((1,)), "amounts"),
        (lambda: CRYPTO.minted_down((0, 0)), "nothing is added"),
        (lambda: CRYPTO.minted_down((0, 10**40)), "too far apart|range"),
        (lambda: replace(CRYPTO, supply=0).minted_down((1, 1)), "empty"),
        (lambda: CRYPTO.withdrawn_down(0), "burning 0"),
        (lambda: replace(CRYPTO, balances=(1,)), "1 balances"),
        (lambda: replace(CRYPTO, price_scale=(0,)), "prices"),
        (lambda: replace(CRYPTO, gamma=0), "not positive"),
        (lambda: replace(CRYPTO, out_fee=1), "fees of"),
        (lambda: newton_d(Amplification(400_000), 10**14, (10**20, 10**10), "x"), "too far apart"),
        (lambda: newton_y(Amplification(400_000), 10**14, (1, 1), 10**20, 0, "x"), "range"),
    ],
)
def test_what_no_crypto_pool_does_is_refused(refused: Callable[[], object], words: str) -> None:
    with pytest.raises(MarketError, match=words) as refusal:
        refused()
    assert refusal.value.fix
