"""Liquidity of pairs and ranges: what bringing it costs and taking it back pays, held against a model of the
contracts' own steps; rounding is always against whoever moves it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.markets.tick_math import sqrt_ratio_at_tick
from seawall.markets.v2_shares import SIXTH, ProtocolCut, V2Shares
from seawall.markets.v3_liquidity import Growth, TickRange, earned_down, growth_inside
from seawall.primitives.units import Address

PAIR = Address(b"\x2a" * 20)
QUIET = V2Shares(PAIR, 10**18, 4 * 10**18, 10**18, 4 * 10**18, 2 * 10**18)
Q128 = 2**128
AMOUNTS = st.integers(1, 10**24)


@dataclass
class Pair:
    """What the contract does, step by step, with its own storage."""

    reserve0: int
    reserve1: int
    supply: int
    k_last: int
    cut: ProtocolCut | None

    def pay_protocol(self) -> None:
        if self.cut is None or not self.k_last:
            return
        root, last = isqrt(self.reserve0 * self.reserve1), isqrt(self.k_last)
        if root > last:
            above = self.supply * (root - last) * self.cut.numerator
            self.supply += above // (root * self.cut.denominator + last * self.cut.numerator)

    def mint(self, amount0: int, amount1: int) -> int:
        self.pay_protocol()
        made = min(amount0 * self.supply // self.reserve0, amount1 * self.supply // self.reserve1)
        self.supply += made
        self.reserve0 += amount0
        self.reserve1 += amount1
        self.k_last = self.reserve0 * self.reserve1 if self.cut else 0
        return made

    def shares(self) -> V2Shares:
        return V2Shares(
            PAIR, self.reserve0, self.reserve1, self.reserve0, self.reserve1, self.supply,
            k_last=self.k_last, cut=self.cut,
        )  # fmt: skip


@given(reserve0=AMOUNTS, reserve1=AMOUNTS, grown=st.integers(0, 10**22), amount0=AMOUNTS, amount1=AMOUNTS)
def test_minting_is_the_pairs_own_and_giving_back_never_pays(
    reserve0: int, reserve1: int, grown: int, amount0: int, amount1: int
) -> None:
    pair = Pair(reserve0 + grown, reserve1, isqrt(reserve0 * reserve1), reserve0 * reserve1, SIXTH)
    try:
        quoted = pair.shares().minted_down(amount0, amount1)
    except AmountError:
        assert pair.mint(amount0, amount1) == 0
        return
    assert quoted == pair.mint(amount0, amount1)
    try:
        back0, back1 = pair.shares().burned_down(quoted)
    except AmountError:
        return
    assert back0 <= amount0
    assert back1 <= amount1


def test_protocol_takes_a_sixth_of_the_growth_before_others_share() -> None:
    """The root of k doubled: of the second half, a sixth is the protocol's, so that ours is 11 of 12."""
    reserve0, reserve1 = 2 * 10**18, 8 * 10**18
    grown = V2Shares(PAIR, reserve0, reserve1, reserve0, reserve1, 2 * 10**18, k_last=4 * 10**36, cut=SIXTH)
    back0, back1 = grown.burned_down(grown.supply)
    assert abs(back0 - 2 * 10**18 * 11 // 12) <= 2
    assert abs(back1 - 8 * 10**18 * 11 // 12) <= 2
    untaxed = replace(grown, cut=None)
    assert untaxed.burned_down(untaxed.supply) == (2 * 10**18, 8 * 10**18)
    assert replace(grown, k_last=16 * 10**36).burned_down(grown.supply) == (2 * 10**18, 8 * 10**18)


def test_coins_and_shares_that_lie_in_the_pair_are_for_whoever_comes_next() -> None:
    gifted = replace(QUIET, balance0=10**18 + 10**17, balance1=4 * 10**18 + 4 * 10**17)
    assert gifted.stray_coins(of_token0=True) == 10**17
    assert gifted.stray_coins(of_token0=False) == 4 * 10**17
    assert gifted.minted_down(10**17, 4 * 10**17) == 2 * QUIET.minted_down(10**17, 4 * 10**17)
    left = replace(QUIET, stray=10**18)
    assert left.burned_down(10**18) == (10**18, 4 * 10**18)
    with pytest.raises(AmountError, match="not among"):
        left.burned_down(10**18 + 1)


@pytest.mark.parametrize(
    ("amount0", "amount1", "said"),
    [
        (0, 1, "not positive"),
        (1, -1, "not positive"),
        (2**112, 1, "too large"),
        (1, 1, "buy no share"),
    ],
)
def test_amounts_that_the_pair_would_refuse_are_refused(amount0: int, amount1: int, said: str) -> None:
    thin = replace(QUIET, supply=10**3)
    with pytest.raises(AmountError, match=said):
        thin.minted_down(amount0, amount1)


def test_states_that_cannot_be_quoted_are_told() -> None:
    with pytest.raises(PoolStateError, match="less than its reserves"):
        replace(QUIET, balance1=1)
    with pytest.raises(InsufficientLiquidityError):
        V2Shares(PAIR, 0, 0, 0, 0, 0).minted_down(1, 1)
    with pytest.raises(AmountError, match="worth nothing"):
        replace(QUIET, supply=10**30).burned_down(1)
    with pytest.raises(AmountError, match="overflow"):
        replace(QUIET, supply=2**200).minted_down(2**100, 2**100)


RANGE = TickRange(-600, 600)
LOW, HIGH = sqrt_ratio_at_tick(-600), sqrt_ratio_at_tick(600)


@given(tick=st.integers(-1_200, 1_200), amount0=AMOUNTS, amount1=AMOUNTS)
def test_what_a_range_takes_is_never_more_than_was_offered_nor_less_than_it_gives(
    tick: int, amount0: int, amount1: int
) -> None:
    price = sqrt_ratio_at_tick(tick)
    liquidity = RANGE.liquidity_down(price, amount0, amount1)
    taken, given_back = RANGE.amounts_up(price, liquidity), RANGE.amounts_down(price, liquidity)
    for part_taken, part_back, offered in zip(taken, given_back, (amount0, amount1), strict=True):
        assert part_back <= part_taken <= offered
        assert part_taken - part_back <= 1


@pytest.mark.parametrize(("price", "idle"), [(LOW - 1, 1), (LOW, 1), (HIGH, 0), (HIGH + 1, 0)])
def test_range_beside_the_price_is_of_one_token(price: int, idle: int) -> None:
    taken = RANGE.amounts_up(price, 10**18)
    assert taken[idle] == 0
    assert taken[1 - idle] > 0


@pytest.mark.parametrize("tick", [-601, -600, 0, 599, 600])
def test_growth_is_counted_inside_only_wherever_the_price_was(tick: int) -> None:
    """A tick keeps what grew on its far side, and turns it over whenever the price crosses it: whatever the
    side, the three parts make the total."""
    inside, below, above = Growth(5 * Q128, 7), Growth(11, 2 * Q128), Growth(3, 4)
    total = Growth(inside.token0 + below.token0 + above.token0, inside.token1 + below.token1 + above.token1)
    lower = below if tick >= RANGE.lower else total.since(below)
    upper = above if tick < RANGE.upper else total.since(above)
    assert growth_inside(RANGE, tick, total, lower, upper) == inside


def test_growth_passes_the_end_of_its_word() -> None:
    earlier, later = Growth(2**256 - Q128, 2**256 - 1), Growth(Q128, 0)
    since = later.since(earlier)
    assert since == Growth(2 * Q128, 1)
    assert earned_down(since, 10**6) == (2 * 10**6, 0)
