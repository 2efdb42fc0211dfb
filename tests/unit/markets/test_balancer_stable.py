"""Stable pools of Balancer V2: recorded quotes of the chain, and what the pool itself would refuse."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from seawall.markets.balancer_stable import StablePool
from seawall.markets.errors import MarketError, PoolStateError
from seawall.primitives.units import Address, address_from_text
from tests.unit.markets import recorded

ONE = 10**18
POOL = StablePool(Address(bytes([9]) * 20), (1_000 * ONE, 900 * 10**6), (ONE, 10**30), 200_000, 4 * 10**14)


def recorded_pools() -> dict[str, tuple[StablePool, list[int]]]:
    """With the places that its tokens have in the Vault."""
    found = {}
    for path in recorded.files("quotes", "pools", "*_balancer_stable_*.json.gz"):
        record = recorded.load(path)
        places = [place for place in range(len(record["tokens"])) if place != record["bpt_idx"]]
        pool = StablePool(
            address_from_text(record["address"]),
            tuple(int(record["balances"][place]) for place in places),
            tuple(int(record["resolved_scaling_factors"][place]) for place in places),
            int(record["amp"]),
            int(Fraction(record["fee"]) * ONE),
            rounds_up=record["bpt_idx"] is None,
        )
        found[record["address"].lower()] = (pool, places)
    return found


def recorded_answers() -> list[tuple[StablePool, int, int, int, int]]:
    pools = recorded_pools()
    found = []
    for path in recorded.files("quotes", "recorded", "balancer_v2_stable_query_swap_given_in.json"):
        quotes: dict[str, Any] = recorded.load(path)["quotes"]
        for key, answer in quotes.items():
            address, _, _, place_in, place_out, amount = key.split("|")
            pool, places = pools[address.lower()]
            first, last = (places.index(int(place[2:])) for place in (place_in, place_out))
            found.append((pool, first, last, int(amount), int(answer)))
    return found


def test_recorded_quotes_are_met_to_the_wei() -> None:
    """Of pools that round their invariant up, and of later ones that do not."""
    answers = recorded_answers()
    assert len(answers) == 59
    assert {pool.rounds_up for pool, *_ in answers} == {True, False}
    for pool, place_in, place_out, amount, answer in answers:
        assert pool.amount_out_down(place_in, place_out, amount) == answer


def test_there_and_back_never_pays() -> None:
    for amount in (1_000, 10**15, 300 * ONE):
        out = POOL.amount_out_down(0, 1, amount) if amount >= 10**15 else 0
        if out:
            moved = replace(POOL, balances=(POOL.balances[0] + amount, POOL.balances[1] - out))
            assert moved.amount_out_down(1, 0, out) <= amount


@pytest.mark.parametrize("amount", [0, -1, 1, 2**200, 2**256])
def test_what_the_pool_would_refuse_is_refused(amount: int) -> None:
    with pytest.raises(MarketError):
        POOL.amount_out_down(0, 1, amount)


@pytest.mark.parametrize(
    "change",
    [
        {"balances": (ONE,)},
        {"balances": (2**112, ONE)},
        {"factors": (0, ONE)},
        {"factors": (ONE, 10**41)},
        {"amp": 999},
        {"amp": 5_000_001},
        {"fee_wad": ONE},
    ],
)
def test_states_that_no_pool_can_have_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(PoolStateError):
        replace(POOL, **change)


def test_pool_without_liquidity_is_refused() -> None:
    with pytest.raises(MarketError, match="no liquidity"):
        replace(POOL, balances=(0, 0)).amount_out_down(0, 1, ONE)
