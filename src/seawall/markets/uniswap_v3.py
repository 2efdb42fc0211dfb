"""Uniswap V3 pools and forks of the same swap (Pancake V3): exact quotes with tick crossing.

Flow: `V3Pool` holds one block's price, liquidity and the initialised ticks that were read (`TickTable`). A
quote walks tick by tick as `UniswapV3Pool.swap` does, stopping at the same bitmap-word boundaries, because
each stop rounds.

Assumptions: the pool's fee is constant during a swap; protocol fees come out of the fee and change no amount.
Not done: guessing. A swap that would leave the range of ticks that were read is refused with
`UnknownTicksError`; an answer found without leaving it is exact whatever lies outside.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from seawall.markets.errors import (
    AmountError,
    InsufficientLiquidityError,
    PoolStateError,
    PriceLimitError,
    TooManyStepsError,
    UnknownTicksError,
)
from seawall.markets.swap_math import PIPS, swap_step
from seawall.markets.tick_math import (
    MAX_SQRT_RATIO,
    MAX_TICK,
    MIN_SQRT_RATIO,
    MIN_TICK,
    sqrt_ratio_at_tick,
    tick_at_sqrt_ratio,
)
from seawall.primitives.units import Address, address_text

__all__ = ["STEPS_MAX", "TICKS_PER_WORD", "TickTable", "V3Pool", "V3Quote", "V3Step"]

# One word of the contract's bitmap covers this many multiples of the tick spacing; a swap stops at its edges.
TICKS_PER_WORD: Final = 256
# A step costs the contract more than 5,000 gas, so no transaction (EIP-7825: 2^24 gas) takes more of them.
STEPS_MAX: Final = 2**24 // 5_000
_LIQUIDITY_MAX: Final = 2**128 - 1
_AMOUNT_MAX: Final = 2**255 - 1


@dataclass(frozen=True, slots=True)
class TickTable:
    """The initialised ticks of [known_low, known_high], every one of them, ascending."""

    indexes: tuple[int, ...]
    liquidity_nets: tuple[int, ...]
    """Added to the liquidity when the price rises through the tick of the same position [L]."""
    known_low: int = MIN_TICK
    known_high: int = MAX_TICK

    def __post_init__(self) -> None:
        if len(self.indexes) != len(self.liquidity_nets):
            raise _table_error("ticks and liquidity changes differ in number")
        if not MIN_TICK <= self.known_low <= self.known_high <= MAX_TICK:
            raise _table_error(f"known range [{self.known_low}, {self.known_high}] is not a range of ticks")
        if any(low >= high for low, high in zip(self.indexes, self.indexes[1:], strict=False)):
            raise _table_error("ticks do not ascend")
        if self.indexes and not (self.known_low <= self.indexes[0] and self.indexes[-1] <= self.known_high):
            raise _table_error("a tick lies outside the known range")

    @classmethod
    def from_mapping(
        cls, liquidity_nets: Mapping[int, int], known_low: int = MIN_TICK, known_high: int = MAX_TICK
    ) -> TickTable:
        """A table of {tick: liquidity_net}; by default all ticks are taken as known."""
        indexes = tuple(sorted(liquidity_nets))
        return cls(indexes, tuple(liquidity_nets[index] for index in indexes), known_low, known_high)

    def liquidity_net(self, tick: int) -> int | None:
        """The liquidity change at `tick`, None where no position begins or ends."""
        place = bisect_left(self.indexes, tick)
        if place < len(self.indexes) and self.indexes[place] == tick:
            return self.liquidity_nets[place]
        return None

    def at_or_below(self, tick: int) -> int | None:
        place = bisect_right(self.indexes, tick)
        return self.indexes[place - 1] if place else None

    def at_or_above(self, tick: int) -> int | None:
        place = bisect_left(self.indexes, tick)
        return self.indexes[place] if place < len(self.indexes) else None


@dataclass(frozen=True, slots=True)
class V3Quote:
    """What a swap does, as filled; `complete` is False if a price limit stopped it."""

    zero_for_one: bool
    amount_in: int
    """With the fee [token in]."""
    amount_out: int
    """[token out]"""
    sqrt_price_after_x96: int
    tick_after: int
    liquidity_after: int
    ticks_crossed: int
    """Initialised ticks that the price went through."""
    stops: int
    """Steps of the contract's loop; with the crossings they make the gas."""
    complete: bool


class V3Step(NamedTuple):
    """A piece of one tick range, walked to its end: between the two prices liquidity is constant."""

    sqrt_from_x96: int
    sqrt_to_x96: int
    liquidity: int
    amount_in: int
    """With the fee, to reach the end [token in]."""
    amount_out: int
    """[token out]"""


@dataclass(frozen=True, slots=True)
class V3Pool:
    """A pool at one block."""

    address: Address
    token0: Address
    token1: Address
    fee_pips: int
    """[millionths of the input]"""
    tick_spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    """In range [L]."""
    ticks: TickTable

    def __post_init__(self) -> None:
        if not 0 <= self.fee_pips < PIPS:
            raise self._state_error(f"fee of {self.fee_pips} millionths is not below one")
        if not 0 < self.tick_spacing <= MAX_TICK:
            raise self._state_error(f"tick spacing {self.tick_spacing} is not positive")
        if not 0 <= self.liquidity <= _LIQUIDITY_MAX:
            raise self._state_error(f"liquidity {self.liquidity} is not a 128-bit number")
        # A swap that ends on an initialised tick from above leaves `tick` one below the price's own.
        if tick_at_sqrt_ratio(self.sqrt_price_x96) - self.tick not in (0, 1):
            raise self._state_error(f"tick {self.tick} does not belong to the price {self.sqrt_price_x96}")
        if any(index % self.tick_spacing for index in self.ticks.indexes):
            raise self._state_error(f"a tick is not a multiple of the spacing {self.tick_spacing}")

    def zero_for_one(self, token_in: Address) -> bool:
        """The direction of a swap that pays `token_in`."""
        if token_in == self.token0:
            return True
        if token_in == self.token1:
            return False
        raise AmountError(
            what=f"token {address_text(token_in)} is not in the pool",
            where=self._where(),
            fix=f"pay {address_text(self.token0)} or {address_text(self.token1)}",
        )

    def quote_exact_in(
        self, zero_for_one: bool, amount_in: int, sqrt_price_limit_x96: int | None = None
    ) -> V3Quote:
        """Swap exactly `amount_in`.

        Without a limit the whole amount is filled or the quote is refused (`InsufficientLiquidityError`).
        With one, the swap stops there as the contract does, and says so in `complete`.
        """
        return self._quote(zero_for_one, amount_in, sqrt_price_limit_x96, exact_in=True)

    def quote_exact_out(
        self, zero_for_one: bool, amount_out: int, sqrt_price_limit_x96: int | None = None
    ) -> V3Quote:
        """Swap to exactly `amount_out`; limits as in `quote_exact_in`."""
        return self._quote(zero_for_one, amount_out, sqrt_price_limit_x96, exact_in=False)

    def after(self, quote: V3Quote) -> V3Pool:
        """The pool as a swap with this quote leaves it."""
        return replace(
            self,
            sqrt_price_x96=quote.sqrt_price_after_x96,
            tick=quote.tick_after,
            liquidity=quote.liquidity_after,
        )

    def steps(self, zero_for_one: bool) -> Iterator[V3Step]:
        """Every step from the price to the end of the known ticks; ranges without liquidity are left out."""
        walk = _Walk(self, zero_for_one, _limit(zero_for_one))
        while walk.sqrt_price_x96 != walk.sqrt_limit_x96:
            target = walk.next_target()
            if target is None or walk.stops > STEPS_MAX:
                return
            before = walk.sqrt_price_x96
            liquidity = walk.liquidity
            step = swap_step(before, target.sqrt_price_x96, liquidity, _AMOUNT_MAX, self.fee_pips, True)
            if liquidity and target.sqrt_price_x96 != before:
                yield V3Step(
                    before, target.sqrt_price_x96, liquidity, step.amount_in + step.fee, step.amount_out
                )
            if target.leaves_known:
                return
            walk.arrive(step.sqrt_price_x96, target)

    def _quote(
        self, zero_for_one: bool, amount: int, sqrt_price_limit_x96: int | None, *, exact_in: bool
    ) -> V3Quote:
        if not 0 < amount <= _AMOUNT_MAX:
            raise AmountError(
                what=f"amount {amount} is not a positive 255-bit number",
                where=self._where(),
                fix="give an amount in the token's smallest unit",
            )
        limit = _limit(zero_for_one) if sqrt_price_limit_x96 is None else sqrt_price_limit_x96
        self._check_limit(zero_for_one, limit)
        walk = _Walk(self, zero_for_one, limit)
        remaining = amount
        other = 0
        while remaining and walk.sqrt_price_x96 != limit:
            target = walk.next_target()
            if target is None:
                raise self._unknown(walk.tick)
            if walk.stops > STEPS_MAX:
                raise TooManyStepsError(
                    what=f"the swap takes more than {STEPS_MAX} steps", where=self._where(), fix="swap less"
                )
            step = swap_step(
                walk.sqrt_price_x96, target.sqrt_price_x96, walk.liquidity, remaining, self.fee_pips, exact_in
            )
            if target.leaves_known and step.sqrt_price_x96 == target.sqrt_price_x96:
                raise self._unknown(target.tick)
            paid = step.amount_in + step.fee
            remaining -= paid if exact_in else step.amount_out
            other += step.amount_out if exact_in else paid
            walk.arrive(step.sqrt_price_x96, target)
        if remaining and sqrt_price_limit_x96 is None:
            raise InsufficientLiquidityError(
                what=f"the pool fills {amount - remaining} of {amount}", where=self._where(), fix="swap less"
            )
        filled = amount - remaining
        return V3Quote(
            zero_for_one=zero_for_one,
            amount_in=filled if exact_in else other,
            amount_out=other if exact_in else filled,
            sqrt_price_after_x96=walk.sqrt_price_x96,
            tick_after=walk.tick,
            liquidity_after=walk.liquidity,
            ticks_crossed=walk.ticks_crossed,
            stops=walk.stops,
            complete=remaining == 0,
        )

    def _check_limit(self, zero_for_one: bool, limit: int) -> None:
        if zero_for_one:
            fits = MIN_SQRT_RATIO < limit < self.sqrt_price_x96
        else:
            fits = self.sqrt_price_x96 < limit < MAX_SQRT_RATIO
        if not fits:
            raise PriceLimitError(
                what=f"price limit {limit} is not ahead of the price {self.sqrt_price_x96}",
                where=self._where(),
                fix="a swap of token0 needs a limit below the price, a swap of token1 one above it",
            )

    def _unknown(self, tick: int) -> UnknownTicksError:
        table = self.ticks
        return UnknownTicksError(
            what=f"the swap passes tick {tick} out of the known [{table.known_low}, {table.known_high}]",
            where=self._where(),
            fix="read more bitmap words around the price, or swap less",
        )

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what=what, where=self._where(), fix="read all of the pool at one block")

    def _where(self) -> str:
        return f"V3 pool {address_text(self.address)}"


class _Target(NamedTuple):
    """Where the next step ends at the latest."""

    sqrt_price_x96: int
    tick: int
    sqrt_tick_x96: int
    """The price of `tick`; the step's price differs from it where the limit comes first."""
    leaves_known: bool
    """The true end of the step lies beyond the known ticks, so arriving here answers nothing."""


class _Walk:
    """The moving part of `UniswapV3Pool.swap`: price, tick, liquidity, and the search for the next tick."""

    __slots__ = (
        "_pool",
        "_zero_for_one",
        "liquidity",
        "sqrt_limit_x96",
        "sqrt_price_x96",
        "stops",
        "tick",
        "ticks_crossed",
    )

    def __init__(self, pool: V3Pool, zero_for_one: bool, sqrt_limit_x96: int) -> None:
        self._pool = pool
        self._zero_for_one = zero_for_one
        self.sqrt_limit_x96 = sqrt_limit_x96
        self.sqrt_price_x96 = pool.sqrt_price_x96
        self.tick = pool.tick
        self.liquidity = pool.liquidity
        self.stops = 0
        self.ticks_crossed = 0

    def next_target(self) -> _Target | None:
        """The next initialised tick or word edge, within the limit; None where ticks are not known."""
        spacing = self._pool.tick_spacing
        table = self._pool.ticks
        compressed = self.tick // spacing
        if self._zero_for_one:
            first = max(compressed * spacing, MIN_TICK)
            found = table.at_or_below(first)
            edge = self._edge(compressed, found) * spacing
            tick = max(edge if found is None or found < edge else found, MIN_TICK)
            fence = table.known_low
            leaves_known = tick < fence
            stands_in_known = first <= table.known_high and self.tick >= fence
        else:
            compressed += 1
            first = min(compressed * spacing, MAX_TICK)
            found = table.at_or_above(first)
            edge = (self._edge(compressed, found) + TICKS_PER_WORD - 1) * spacing
            tick = min(edge if found is None or found > edge else found, MAX_TICK)
            fence = table.known_high
            leaves_known = tick > fence
            stands_in_known = first >= table.known_low and self.tick < fence
        if not stands_in_known:
            return None
        sqrt_tick_x96 = sqrt_ratio_at_tick(fence if leaves_known else tick)
        beyond_limit = (
            sqrt_tick_x96 < self.sqrt_limit_x96 if self._zero_for_one else sqrt_tick_x96 > self.sqrt_limit_x96
        )
        if beyond_limit:
            # The limit stops the swap before the fence: what lies beyond does not matter.
            return _Target(self.sqrt_limit_x96, tick, sqrt_tick_x96, leaves_known=False)
        return _Target(sqrt_tick_x96, tick, sqrt_tick_x96, leaves_known)

    def _edge(self, compressed: int, found: int | None) -> int:
        """Where the word begins at whose edge the contract stops, counting the stops.

        Without liquidity a stop moves no amount, so all of them up to the next tick or the limit are one.
        """
        word = compressed // TICKS_PER_WORD
        last = word
        if self.liquidity == 0:
            end = tick_at_sqrt_ratio(self.sqrt_limit_x96)
            if found is not None:
                end = max(end, found) if self._zero_for_one else min(end, found)
            last = end // self._pool.tick_spacing // TICKS_PER_WORD
        self.stops += abs(last - word) + 1
        return last * TICKS_PER_WORD

    def arrive(self, sqrt_price_x96: int, target: _Target) -> None:
        """Take the price a step ended at, crossing the tick if it was reached."""
        if sqrt_price_x96 == target.sqrt_tick_x96:
            self._cross(target.tick)
            self.tick = target.tick - 1 if self._zero_for_one else target.tick
        elif sqrt_price_x96 != self.sqrt_price_x96:
            self.tick = tick_at_sqrt_ratio(sqrt_price_x96)
        self.sqrt_price_x96 = sqrt_price_x96

    def _cross(self, tick: int) -> None:
        change = self._pool.ticks.liquidity_net(tick)
        if change is None:
            return
        self.ticks_crossed += 1
        self.liquidity += -change if self._zero_for_one else change
        if not 0 <= self.liquidity <= _LIQUIDITY_MAX:
            raise self._pool._state_error(f"liquidity after tick {tick} would be {self.liquidity}")


def _limit(zero_for_one: bool) -> int:
    """The last price a swap may end at."""
    return MIN_SQRT_RATIO + 1 if zero_for_one else MAX_SQRT_RATIO - 1


def _table_error(what: str) -> PoolStateError:
    return PoolStateError(what=what, where="tick table", fix="read bitmap and ticks at one block")
