"""Solidly pairs: recorded quotes of the chain, and what the pair itself would refuse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.markets.errors import AmountError, InsufficientLiquidityError, MarketError, PoolStateError
from seawall.markets.solidly import SolidlyPool, Stop
from seawall.primitives.units import address_from_text
from tests.unit.markets import recorded

ONE = 10**18
STABLE = SolidlyPool(
    address_from_text("0x0B25c51637c43decd6CC1C1e3da4518D54ddb528"),
    1_000_000 * ONE,
    1_000_000 * 10**6,
    ONE,
    10**6,
    fee0=4,
    fee1=4,
    fee_denominator=10_000,
    stable=True,
)
VOLATILE = replace(STABLE, stable=False, reserve1=2_000 * ONE, unit1=ONE)


def recorded_pools() -> dict[str, tuple[SolidlyPool, str]]:
    found = {}
    for path in recorded.files("quotes", "pools", "*_aerodrome_v2_*.json.gz"):
        record = recorded.load(path)
        units = [10 ** int(record[f"token{side}"]["decimals"]) for side in (0, 1)]
        pool = SolidlyPool(
            address_from_text(record["pool"]),
            int(record["reserves_token0"]),
            int(record["reserves_token1"]),
            units[0],
            units[1],
            fee0=int(record["fee_raw"]),
            fee1=int(record["fee_raw"]),
            fee_denominator=10_000,
            stable=bool(record["stable"]),
            stop=Stop.LEAST,
        )
        found[pool.address.hex()] = (pool, record["token0"]["symbol"])
    return found


def test_every_recorded_quote_of_aerodrome_equals_the_chains() -> None:
    pools = recorded_pools()
    checked = {True: 0, False: 0}
    for quote in recorded.quotes():
        if quote.pool not in pools or quote.method != "getAmountOut":
            continue
        pool, symbol0 = pools[quote.pool]
        checked[pool.stable] += 1
        assert pool.amount_out_down(quote.symbol_in == symbol0, quote.amount) == quote.answer
    assert min(checked.values()) >= 5


@pytest.mark.parametrize("stop", list(Stop))
@pytest.mark.parametrize("zero_for_one", [True, False])
def test_a_stable_pair_trades_near_par_and_never_pays_to_go_round(stop: Stop, zero_for_one: bool) -> None:
    pool = replace(STABLE, stop=stop)
    amount_in = 1_000 * (pool.unit0 if zero_for_one else pool.unit1)
    bought = pool.swapped_out_down(zero_for_one, amount_in)
    assert 0.999 < bought / (1_000 * (pool.unit1 if zero_for_one else pool.unit0)) < 1
    moved = (
        replace(pool, reserve0=pool.reserve0 + amount_in, reserve1=pool.reserve1 - bought)
        if zero_for_one
        else replace(pool, reserve0=pool.reserve0 - bought, reserve1=pool.reserve1 + amount_in)
    )
    assert moved.swapped_out_down(not zero_for_one, bought) < amount_in


def test_both_ways_to_stop_differ_by_little() -> None:
    for digits in range(6, 24):
        close, least = (
            replace(STABLE, stop=stop).amount_out_down(True, 7 * 10**digits)
            for stop in (Stop.CLOSE, Stop.LEAST)
        )
        assert abs(close - least) <= 1


def test_a_fee_in_the_fraction_keeps_what_rounding_it_off_first_loses() -> None:
    first = replace(VOLATILE, fee0=300, fee_denominator=100_000)
    fraction = replace(first, fee_in_fraction=True)
    assert 0 <= first.amount_out_down(True, 10**15 + 7) - fraction.amount_out_down(True, 10**15 + 7) <= 1
    assert fraction.amount_out_down(True, 334) == 0


def test_fees_of_the_two_directions_are_their_own() -> None:
    pool = replace(VOLATILE, reserve1=VOLATILE.reserve0, fee0=0, fee1=5_000)
    there, back = pool.amount_out_down(True, ONE), pool.amount_out_down(False, ONE)
    assert back < there < 2 * back + 2


@pytest.mark.parametrize("pool", [STABLE, replace(STABLE, stop=Stop.LEAST), VOLATILE])
@pytest.mark.parametrize("amount", [0, -1, 2**128, 2**200, 2**255, 2**256 - 1, 2**256])
def test_amounts_that_the_pair_cannot_take_are_refused(pool: SolidlyPool, amount: int) -> None:
    bounded = replace(pool, reserve_max=2**112 - 1)
    with pytest.raises(MarketError):
        bounded.swapped_out_down(True, amount)


def test_dust_that_buys_nothing_is_refused() -> None:
    with pytest.raises(AmountError, match="buys nothing"):
        STABLE.swapped_out_down(True, 10)


@pytest.mark.parametrize("changes", [{"reserve0": 0}, {"reserve1": 0}])
def test_an_empty_pair_has_no_quote(changes: dict[str, int]) -> None:
    with pytest.raises(InsufficientLiquidityError):
        replace(
            STABLE, reserve0=changes.get("reserve0", 1), reserve1=changes.get("reserve1", 1)
        ).amount_out_down(True, ONE)


def test_a_state_that_contradicts_itself_is_refused() -> None:
    for torn in (
        lambda: replace(STABLE, fee0=10_000),
        lambda: replace(STABLE, unit0=0),
        lambda: replace(STABLE, reserve0=-1),
    ):
        with pytest.raises(PoolStateError):
            torn()
