"""Weighted pools: recorded quotes of the chain, and what the pool itself would refuse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from seawall.markets.balancer_weighted import WeightedPool
from seawall.markets.errors import MarketError, PoolStateError
from seawall.markets.log_exp import power
from seawall.primitives.units import address_from_text
from tests.unit.markets import recorded

ONE = 10**18
POOL = WeightedPool(
    address_from_text("0x96646936b91d6B9D7D0c47C496AfBF3D6ec7B6f8"),
    (88_868_983_841, 42_484_865_836_432_363_093),
    (10**12, 1),
    (ONE // 2, ONE // 2),
    3 * 10**15,
    supply=1_000 * ONE,
)


def recorded_pools() -> dict[str, tuple[WeightedPool, list[str]]]:
    found = {}
    for path in recorded.files("quotes", "pools", "*_balancer_weighted_*.json.gz"):
        record = recorded.load(path)
        pool = WeightedPool(
            address_from_text(record["address"]),
            tuple(int(balance) for balance in record["balances"]),
            tuple(10 ** (18 - int(token["decimals"])) for token in record["tokens"]),
            tuple(int(weight) for weight in record["weights"]),
            int(Fraction(record["fee"]) * ONE),
            simple_powers=record["pow_version"] == "v2",
        )
        found[pool.address.hex()] = (pool, [token["symbol"] for token in record["tokens"]])
    return found


def recorded_answers() -> list[tuple[WeightedPool, str, int, int, int, int]]:
    """(pool, which amount is given, places of in and out, amount, answer)"""
    pools = recorded_pools()
    found = []
    for path in recorded.files("quotes", "recorded", "balancer_v2_*.json"):
        for key, answer in recorded.load(path)["quotes"].items():
            address, _, given, *rest = key.split("|")
            known = pools.get(address.removeprefix("0x").lower())
            if known is None:
                continue
            pool, symbols = known
            if rest[0].startswith("i="):
                places = [int(part[2:]) for part in rest[:2]]
            else:
                places = [symbols.index(symbol) for symbol in rest[0].split("->")]
            found.append((pool, given, places[0], places[1], int(rest[-1]), int(answer)))
    return found


def test_every_recorded_quote_of_weighted_pools_equals_the_chains() -> None:
    checked = {"GIVEN_IN": 0, "GIVEN_OUT": 0}
    for pool, given, place_in, place_out, amount, answer in recorded_answers():
        quote = pool.amount_out_down if given == "GIVEN_IN" else pool.amount_in_up
        assert quote(place_in, place_out, amount) == answer
        checked[given] += 1
    assert checked["GIVEN_IN"] >= 100
    assert checked["GIVEN_OUT"] >= 50


def test_going_round_never_pays() -> None:
    for digits in range(4, 10):
        there = POOL.amount_out_down(0, 1, 10**digits)
        moved = replace(POOL, balances=(POOL.balances[0] + 10**digits, POOL.balances[1] - there))
        assert moved.amount_out_down(1, 0, there) <= 10**digits


def test_an_exact_output_asks_for_enough() -> None:
    for wanted in (10**12, 10**15, 10**18):
        needed = POOL.amount_in_up(0, 1, wanted)
        assert POOL.amount_out_down(0, 1, needed) >= wanted * (ONE - 10**10) // ONE


def test_shares_are_worth_at_most_what_was_brought() -> None:
    brought = tuple(balance // 100 for balance in POOL.balances)
    shares = POOL.shares_out_down(brought)
    grown = replace(
        POOL,
        balances=tuple(b + a for b, a in zip(POOL.balances, brought, strict=True)),
        supply=POOL.supply + shares,
    )
    assert all(out <= a for out, a in zip(grown.amounts_out_down(shares), brought, strict=True))
    one_sided = POOL.shares_out_down((2 * brought[0], 0))
    assert 0 < one_sided < shares


@pytest.mark.parametrize("amount", [0, -1, 88_868_983_841, 2**128, 2**255, 2**256])
def test_amounts_that_the_pool_cannot_take_are_refused(amount: int) -> None:
    with pytest.raises(MarketError):
        POOL.amount_out_down(0, 1, amount)
    with pytest.raises(MarketError):
        POOL.amount_in_up(1, 0, amount)


def test_a_power_out_of_bounds_is_refused() -> None:
    assert power(0, ONE) == 0
    assert power(0, 0) == ONE
    for base, exponent in ((2**255, ONE), (2 * ONE, 2**254), (10**30, 100 * ONE), (1, 4 * ONE)):
        with pytest.raises(MarketError):
            power(base, exponent)


def test_powers_are_as_near_as_the_contract_claims() -> None:
    for base, exponent in ((3, 2), (7, 3), (1, 5), (250, 2)):
        exact = base**exponent * ONE
        assert abs(power(base * ONE, exponent * ONE) - exact) <= exact // 10**14 + 1


@pytest.mark.parametrize(
    "changes",
    [
        {"weights_wad": (ONE // 2, ONE // 4)},
        {"balances": (1, 2, 3)},
        {"balances": (1, 2**112)},
        {"fee_wad": ONE},
    ],
)
def test_a_state_that_contradicts_itself_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(PoolStateError):
        replace(POOL, **changes)  # type: ignore[arg-type]
