"""Time-weighted prices of Uniswap pools: what a price was on average, which costs more to move than the last.

V3 (`observe_v3`): the pool accumulates its tick over time and remembers so many observations (its
cardinality). The average tick over a window is the difference of two accumulations divided by the window,
rounded down, and its price is exact integer arithmetic (as the periphery's `OracleLibrary`: geometric mean,
harmonic mean of liquidity). A pool whose oldest observation is younger than the window reverts, and there is
no price. One that remembers few may revert at the next head, after some blocks of trading: below
`cardinality_min` the price is marked `SHORT_HISTORY`. Somebody has to pay for more, by
`increaseObservationCardinalityNext`.

V2 (`sample_v2`, `between`): the pair accumulates its price and remembers nothing. Two samples of different
blocks give the average between them; the strategy keeps the older one in its view. Accumulators wrap at 256
bits, times at 32: differences are taken modulo.

Both are arithmetic on chain state of one block; nothing here trusts a clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.markets.tick_math import MAX_TICK, MIN_TICK, sqrt_ratio_at_tick
from seawall.native import encode_call
from seawall.primitives.blocks import Block, Read
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address, Hash, address_text
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.oracles import PriceObservation, Problem

__all__ = [
    "V2Sample",
    "V3Average",
    "V3Terms",
    "between",
    "observe_v3",
    "quote_at_tick",
    "reads_v2",
    "reads_v3",
    "sample_v2",
]

WINDOW_S_MAX: Final = 30 * 24 * 3_600
DECIMALS_MAX: Final = 36
_Q32: Final = 2**32
_Q112: Final = 2**112
_Q128: Final = 2**128
_Q160: Final = 2**160
_Q192: Final = 2**192
_Q256: Final = 2**256
# observe(uint32[2]) returns two dynamic arrays of two: offsets, length, values, length, values.
_OBSERVE_KINDS: Final = (
    "uint256", "uint256", "uint256", "int256", "int256", "uint256", "uint256", "uint256",
)  # fmt: skip
_OBSERVE_OFFSETS: Final = (0x40, 0xA0)
_SLOT0_KINDS: Final = ("uint160", "int24", "uint16", "uint16", "uint16")


@dataclass(frozen=True, slots=True)
class V3Terms:
    """An average of `token0` in `token1` (or of `token1` in `token0` where `is_inverse`)."""

    pool: Address
    window_s: int
    base_decimals: int  # of the token that is priced
    quote_decimals: int  # of the token that it is priced in
    is_inverse: bool = False
    cardinality_min: int = 2  # the window in blocks, to be sure of it at every head

    def __post_init__(self) -> None:
        where = f"pool {address_text(self.pool)}"
        if not 0 < self.window_s <= WINDOW_S_MAX:
            raise InputError(f"a window of {self.window_s} s", where, f"give 1 to {WINDOW_S_MAX}")
        if not (0 <= self.base_decimals <= DECIMALS_MAX and 0 <= self.quote_decimals <= DECIMALS_MAX):
            raise InputError("a token's decimals are out of range", where, f"give 0 to {DECIMALS_MAX}")


@dataclass(frozen=True, slots=True)
class V3Average:
    """What one head told. Without a price the pool does not remember the window."""

    price: PriceObservation | None
    tick: int | None  # on average, rounded down
    harmonic_liquidity: int | None
    cardinality: int  # observations that it remembers
    cardinality_next: int  # and will, once it has written so many


def reads_v3(terms: V3Terms) -> tuple[Read, ...]:
    pool = terms.pool
    window = encode_call("observe(uint32[])", ((terms.window_s, 0),))
    return (
        Read(_label(pool, "slot0"), pool, encode_call("slot0()", ())),
        Read(_label(pool, f"observe:{terms.window_s}"), pool, window),
    )


def observe_v3(terms: V3Terms, answers: Answers, block: Block) -> V3Average:
    """Decode the answers to `reads_v3(terms)`, all of `block`."""
    slot0 = integer_answers(answers, _label(terms.pool, "slot0"), _SLOT0_KINDS)
    cardinality, cardinality_next = slot0[3:]
    label = _label(terms.pool, f"observe:{terms.window_s}")
    if label in answers and answers[label] is None:
        return V3Average(None, None, None, cardinality, cardinality_next)
    tick, liquidity = _average(terms, answers)
    is_short = cardinality < terms.cardinality_min
    observed = PriceObservation(
        f"average of {terms.window_s} s of pool {address_text(terms.pool)}",
        quote_at_tick(tick, 10**terms.base_decimals, is_inverse=terms.is_inverse),
        terms.quote_decimals,
        block.number,
        block.hash,
        0,
        (Problem.SHORT_HISTORY,) if is_short else (),
    )
    return V3Average(observed, tick, liquidity, cardinality, cardinality_next)


def quote_at_tick(tick: int, amount: int, *, is_inverse: bool) -> int:
    """What `amount` of token0 is worth in token1 at `tick`, or the inverse, rounded down."""
    if not MIN_TICK <= tick <= MAX_TICK:
        raise ProtocolError(
            what=f"tick {tick} is out of range",
            where="average",
            fix="check that the address is a Uniswap V3 pool",
        )
    ratio = sqrt_ratio_at_tick(tick)
    squared, one = ratio * ratio, _Q192
    if ratio >= _Q128:  # as OracleLibrary, which drops bits to stay in 256
        squared, one = squared >> 64, _Q128
    return one * amount // squared if is_inverse else squared * amount // one


def _average(terms: V3Terms, answers: Answers) -> tuple[int, int]:
    """Average tick, rounded down, and harmonic mean of liquidity, over the window."""
    label = _label(terms.pool, f"observe:{terms.window_s}")
    first, second, count, then, now, count_again, per_then, per_now = integer_answers(
        answers, label, _OBSERVE_KINDS
    )
    if (first, second) != _OBSERVE_OFFSETS or (count, count_again) != (2, 2):
        raise ProtocolError(
            what="the answer is not two accumulations of two kinds",
            where=f"read {label!r}",
            fix="check that the address is a Uniswap V3 pool",
        )
    seconds_per_liquidity = (per_now - per_then) % _Q160
    liquidity = 0
    if seconds_per_liquidity:
        liquidity = terms.window_s * (_Q160 - 1) // (seconds_per_liquidity << 32)
    return (now - then) // terms.window_s, liquidity


@dataclass(frozen=True, slots=True)
class V2Sample:
    """A pair's accumulators carried to one block [seconds times price, in 112 bits of fraction, modulo]."""

    pair: Address
    block_number: int
    block_hash: Hash
    timestamp_s: int
    price0_cumulative: int  # of token0 in token1
    price1_cumulative: int  # of token1 in token0


def reads_v2(pair: Address) -> tuple[Read, ...]:
    return (
        Read(_label(pair, "reserves"), pair, encode_call("getReserves()", ())),
        Read(_label(pair, "price0"), pair, encode_call("price0CumulativeLast()", ())),
        Read(_label(pair, "price1"), pair, encode_call("price1CumulativeLast()", ())),
    )


def sample_v2(pair: Address, answers: Answers, block: Block) -> V2Sample:
    """The accumulators as they are at `block`, with what passed since the pair was last touched."""
    reserve0, reserve1, touched_s = integer_answers(
        answers, _label(pair, "reserves"), ("uint112", "uint112", "uint32")
    )
    if not reserve0 or not reserve1:
        raise ProtocolError(
            what="the pair is empty", where=f"pair {address_text(pair)}", fix="use a pair with liquidity"
        )
    passed_s = (block.timestamp_s - touched_s) % _Q32
    price0, price1 = (
        (integer_answer(answers, _label(pair, name), "uint256") + (quote << 112) // base * passed_s) % _Q256
        for name, base, quote in (("price0", reserve0, reserve1), ("price1", reserve1, reserve0))
    )
    return V2Sample(pair, block.number, block.hash, block.timestamp_s, price0, price1)


def between(
    older: V2Sample,
    newer: V2Sample,
    *,
    window_s: int,
    base_decimals: int,
    quote_decimals: int,
    is_inverse: bool = False,
) -> PriceObservation:
    """The average price of token0 in token1 (or the inverse) between two samples, at the newer one's block.

    Marked `SHORT_HISTORY` if they are less than `window_s` apart.
    """
    passed_s = newer.timestamp_s - older.timestamp_s
    if older.pair != newer.pair or passed_s <= 0:
        raise InputError(
            "the samples do not follow each other",
            f"pair {address_text(newer.pair)}",
            "give an older and a newer one of the same pair",
        )
    grown = newer.price0_cumulative - older.price0_cumulative
    if is_inverse:
        grown = newer.price1_cumulative - older.price1_cumulative
    average = grown % _Q256 // passed_s
    problems = (Problem.SHORT_HISTORY,) if passed_s < window_s else ()
    return PriceObservation(
        f"average of {passed_s} s of pair {address_text(newer.pair)}",
        average * 10**base_decimals // _Q112,
        quote_decimals,
        newer.block_number,
        newer.block_hash,
        0,
        problems,
    )


def _label(pool: Address, what: str) -> str:
    return f"twap:{pool.hex()}:{what}"
