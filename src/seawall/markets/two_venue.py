"""The best size of a cycle through two pools, flash-funded: pay one token in, take the same token out.

Flow: both pools become curves (`curves`), each concave, so is their composition; walking pairs of pieces in
order, the first pair whose closed-form optimum lies within it holds the optimum of the whole. Around that
real number the contracts' rounding decides, so a fixed handful of integer candidates is quoted exactly and
the best one kept.

Amounts claimed are those of the exact quotes. Against an exhaustive search the profit may fall short by the
rounding noise of the pools near a flat optimum, a few units per step (the property tests state the bound).
Not done here: gas, and whether anybody lends that much; callers pass what can be borrowed as `amount_in_max`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from seawall.markets.curves import Piece, pieces
from seawall.markets.errors import AmountError, MarketError, PathError
from seawall.markets.uniswap_v2 import V2Pool
from seawall.markets.uniswap_v3 import STEPS_MAX, V3Pool
from seawall.primitives.units import Address, address_text

__all__ = [
    "FREE_LOAN",
    "CycleQuote",
    "FlashFee",
    "Leg",
    "SizeBound",
    "best_cycle",
    "best_cycle_either_way",
    "quote_cycle",
]

# Integers tried on either side of the optimum, for each of the three amounts of a cycle.
_NEIGHBOURS: Final = 2
_AMOUNT_MAX: Final = 2**255 - 1


class SizeBound(StrEnum):
    """What ended the search for a larger size."""

    OPTIMUM = "optimum"
    """More would earn less."""
    CAP = "cap"
    """`amount_in_max`; more would earn more."""
    DEPTH = "depth"
    """The end of a pool's liquidity or of its known ticks; more might earn more."""


@dataclass(frozen=True, slots=True)
class FlashFee:
    """What a lender asks on top of the amount: numerator / denominator of it, rounded up."""

    numerator: int
    denominator: int

    def __post_init__(self) -> None:
        if self.numerator < 0 or self.denominator <= 0:
            raise AmountError(
                what=f"flash fee {self.numerator}/{self.denominator} is negative or undefined",
                where="FlashFee",
                fix="read the fee from the lender",
            )

    def fee_up(self, amount: int) -> int:
        return -(-amount * self.numerator // self.denominator)


FREE_LOAN: Final = FlashFee(0, 1)


@dataclass(frozen=True, slots=True)
class Leg:
    """One swap of a cycle."""

    pool: V2Pool | V3Pool
    zero_for_one: bool

    @property
    def token_in(self) -> Address:
        return self.pool.token0 if self.zero_for_one else self.pool.token1

    @property
    def token_out(self) -> Address:
        return self.pool.token1 if self.zero_for_one else self.pool.token0

    def out_down(self, amount_in: int) -> int:
        """What the pool pays; refused where the swap would revert."""
        if isinstance(self.pool, V3Pool):
            return self.pool.quote_exact_in(self.zero_for_one, amount_in).amount_out
        amount_out = self.pool.amount_out_down(self.zero_for_one, amount_in)
        self.pool.after_exact_in(self.zero_for_one, amount_in)
        return amount_out

    def in_up(self, amount_out: int) -> int:
        """The input that the pool asks for `amount_out`."""
        if isinstance(self.pool, V3Pool):
            return self.pool.quote_exact_out(self.zero_for_one, amount_out).amount_in
        return self.pool.amount_in_up(self.zero_for_one, amount_out)


@dataclass(frozen=True, slots=True)
class CycleQuote:
    """A cycle of one size, exact."""

    first: Leg
    second: Leg
    token: Address
    """Borrowed, repaid, and earned."""
    amount_in: int
    """[token]"""
    amount_mid: int
    """[the other token]"""
    amount_out: int
    """[token]"""
    repay: int
    """The loan with its fee [token]."""
    bound: SizeBound

    @property
    def profit(self) -> int:
        """Before gas; negative where the cycle loses [token]."""
        return self.amount_out - self.repay


def quote_cycle(
    first: Leg,
    second: Leg,
    amount_in: int,
    flash_fee: FlashFee = FREE_LOAN,
    bound: SizeBound = SizeBound.CAP,
) -> CycleQuote:
    """The cycle with exactly `amount_in`; refused where a pool would revert."""
    _check_path(first, second)
    amount_mid = first.out_down(amount_in)
    return CycleQuote(
        first=first,
        second=second,
        token=first.token_in,
        amount_in=amount_in,
        amount_mid=amount_mid,
        amount_out=second.out_down(amount_mid),
        repay=amount_in + flash_fee.fee_up(amount_in),
        bound=bound,
    )


def best_cycle(
    first: Leg, second: Leg, flash_fee: FlashFee = FREE_LOAN, amount_in_max: int = _AMOUNT_MAX
) -> CycleQuote | None:
    """The most profitable size of `first` then `second`, None where no size earns anything."""
    _check_path(first, second)
    found = _ideal_amount_in(first, second, flash_fee)
    if found is None:
        return None
    amount_in, bound = found
    if amount_in > amount_in_max:
        amount_in, bound = amount_in_max, SizeBound.CAP
    best: CycleQuote | None = None
    for candidate in _candidates(first, second, amount_in):
        if not 0 < candidate <= amount_in_max:
            continue
        quote = _quote_or_none(first, second, candidate, flash_fee, bound)
        if quote is not None and (best is None or _rank(quote) > _rank(best)):
            best = quote
    return best if best is not None and best.profit > 0 else None


def best_cycle_either_way(
    pool_a: V2Pool | V3Pool,
    pool_b: V2Pool | V3Pool,
    token: Address,
    flash_fee: FlashFee = FREE_LOAN,
    amount_in_max: int = _AMOUNT_MAX,
) -> CycleQuote | None:
    """The better of both directions, starting and ending in `token`."""
    quotes = [
        best_cycle(
            Leg(start, start.zero_for_one(token)),
            Leg(end, not end.zero_for_one(token)),
            flash_fee,
            amount_in_max,
        )
        for start, end in ((pool_a, pool_b), (pool_b, pool_a))
    ]
    return max((quote for quote in quotes if quote is not None), key=_rank, default=None)


def _ideal_amount_in(first: Leg, second: Leg, flash_fee: FlashFee) -> tuple[int, SizeBound] | None:
    """The real optimum, rounded down, and whether the curves ended before it."""
    inner_pieces, outer_pieces = (
        pieces(first.pool, first.zero_for_one),
        pieces(second.pool, second.zero_for_one),
    )
    inner, outer = next(inner_pieces, None), next(outer_pieces, None)
    slope = (flash_fee.denominator + flash_fee.numerator, flash_fee.denominator)
    for _ in range(2 * STEPS_MAX):
        if inner is None or outer is None:
            return None
        amount_in = inner.curve.then(outer.curve).where_slope_is(*slope)
        amount_in = max(amount_in, _region_start(inner, outer))
        if inner.out_end <= outer.in_end:
            if amount_in < inner.in_end:
                break
            following = next(inner_pieces, None)
            if following is None:
                return inner.in_end, SizeBound.DEPTH
            inner = following
        else:
            region_end = inner.curve.inverse_up(outer.in_end)
            if amount_in < region_end:
                break
            following = next(outer_pieces, None)
            if following is None:
                return region_end - 1, SizeBound.DEPTH
            outer = following
    else:
        return None
    return (amount_in, SizeBound.OPTIMUM) if amount_in > 0 else None


def _region_start(inner: Piece, outer: Piece) -> int:
    """Where both pieces begin to apply: a kink can be the optimum."""
    if inner.curve.down(inner.in_start) >= outer.in_start:
        return inner.in_start
    return inner.curve.inverse_up(outer.in_start)


def _candidates(first: Leg, second: Leg, amount_in: int) -> Iterator[int]:
    """Integers near the optimum: the amount itself, and the least input for nearby middle and final amounts.

    The last two matter where a token is coarse: all inputs between two of its units buy the same, so the
    cheapest of them is wanted.
    """
    nearby = range(-_NEIGHBOURS, _NEIGHBOURS + 1)
    yield from (amount_in + offset for offset in nearby)
    try:
        amount_mid = first.out_down(max(amount_in, 1))
    except MarketError:
        return
    mids = {amount_mid + offset for offset in nearby}
    try:
        amount_out = second.out_down(max(amount_mid, 1))
    except MarketError:
        pass
    else:
        mids |= set(_least_inputs(second, {amount_out + offset for offset in nearby}))
    yield from _least_inputs(first, mids)


def _least_inputs(leg: Leg, amounts_out: set[int]) -> Iterator[int]:
    for amount_out in amounts_out:
        if amount_out > 0:
            try:
                yield leg.in_up(amount_out)
            except MarketError:
                continue


def _quote_or_none(
    first: Leg, second: Leg, amount_in: int, flash_fee: FlashFee, bound: SizeBound
) -> CycleQuote | None:
    try:
        return quote_cycle(first, second, amount_in, flash_fee, bound)
    except MarketError:
        return None


def _rank(quote: CycleQuote) -> tuple[int, int]:
    """More profit first; of equal profits the smaller loan."""
    return quote.profit, -quote.amount_in


def _check_path(first: Leg, second: Leg) -> None:
    if first.pool.address == second.pool.address:
        raise PathError(
            what="both swaps go through one pool",
            where=f"pool {address_text(first.pool.address)}",
            fix="give two pools: the second quote would not see what the first swap did",
        )
    if first.token_out != second.token_in or first.token_in != second.token_out:
        raise PathError(
            what="the two swaps do not make a cycle",
            where=f"pools {address_text(first.pool.address)}, {address_text(second.pool.address)}",
            fix="the second swap must take what the first pays and pay what the first takes",
        )
