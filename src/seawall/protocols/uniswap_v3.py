"""Uniswap V3 and forks of the same pool (Pancake V3): reads that gather ticks over heads, addresses, calls.

Which ticks to read is only known from the bitmap, so a pool is gathered over successive heads. `V3Window`
names what is read at each of them; `observe` decodes one head's answers into the pool as far as it is known
*at that head*, and into the window to subscribe to next:

    head 1: price               -> no pool;                      next: the bitmap words around it
    head 2: price, words        -> pool up to the first ticks;   next: those words and their ticks
    head 3: price, words, ticks -> pool over all of the words;   next: the same, moved along with the price

Nothing is carried from an older head into a pool: a tick that appeared since narrows the known range until it
is read.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Final

from seawall.markets.tick_math import MAX_TICK, MIN_TICK
from seawall.markets.uniswap_v3 import TICKS_PER_WORD, TickTable, V3Pool
from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.blocks import Read
from seawall.primitives.units import Address
from seawall.protocols.answers import Answers, integer_answer, integer_answers
from seawall.protocols.uniswap_v2 import sorted_tokens

__all__ = [
    "INIT_CODE_HASH",
    "NOTHING_READ",
    "TICKS_READ_MAX",
    "TICK_SPACINGS",
    "V3Market",
    "V3Observed",
    "V3Window",
    "label_of",
    "next_window",
    "observe",
    "pool_address",
    "pool_of",
    "price_of",
    "quote_exact_in_call",
    "quote_exact_out_call",
    "reads",
    "swap_call",
]

# keccak256 of the canonical pool's creation code; forks have another (and Pancake another deployer).
INIT_CODE_HASH: Final = bytes.fromhex("e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54")
# Spacing of each fee that the canonical factory enables [fee in millionths].
TICK_SPACINGS: Final = {100: 1, 500: 10, 3000: 60, 10_000: 200}
# Ticks read at one head for one pool, the nearest to the price; further ones stay unknown.
TICKS_READ_MAX: Final = 512
# Bitmap words read on either side of the price's own.
WORD_RADIUS: Final = 1


@dataclass(frozen=True, slots=True)
class V3Market:
    """What never changes about a pool."""

    address: Address
    token0: Address
    token1: Address
    fee_pips: int
    tick_spacing: int


@dataclass(frozen=True, slots=True)
class V3Window:
    """What is read of a pool at each head, beside its price and liquidity."""

    words: tuple[int, ...] = ()
    """Consecutive positions in the bitmap."""
    ticks: tuple[int, ...] = ()
    """Ascending."""


NOTHING_READ: Final = V3Window()


@dataclass(frozen=True, slots=True)
class V3Observed:
    """What one head told about a pool."""

    pool: V3Pool | None
    """None while nothing around the price is known."""
    next_window: V3Window
    complete: bool
    """The next window is this one: subscribing again would add nothing."""


def reads(market: V3Market, window: V3Window, known: Container[str] = ()) -> tuple[Read, ...]:
    """The reads of one head, but for those whose labels are `known`."""
    prefix = label_of(market, "")
    calls = [
        (prefix + "slot0", "slot0()", ()),
        (prefix + "liquidity", "liquidity()", ()),
        *[(f"{prefix}word:{word}", "tickBitmap(int16)", (word,)) for word in window.words],
        *[(f"{prefix}tick:{tick}", "ticks(int24)", (tick,)) for tick in window.ticks],
    ]
    return tuple(
        [
            Read(label, market.address, encode_call(signature, values))
            for label, signature, values in calls
            if label not in known
        ]
    )


def label_of(market: V3Market, what: str) -> str:
    """Of a read; with nothing, how all labels of this pool begin."""
    return f"v3:{market.address.hex()}:{what}"


def price_of(market: V3Market, answers: Answers) -> tuple[int, int]:
    """The square root of the price, times 2^96, and the tick."""
    price, tick = integer_answers(answers, label_of(market, "slot0"), ("uint160", "int24"))
    return price, tick


def observe(
    market: V3Market, window: V3Window, answers: Answers, word_radius: int = WORD_RADIUS
) -> V3Observed:
    """Decode the answers to `reads(market, window)`, all of one block."""
    following = next_window(market, window, answers, word_radius)
    pool = pool_of(market, window, answers)
    return V3Observed(pool, following, complete=pool is not None and following == window)


def pool_of(market: V3Market, window: V3Window, answers: Answers) -> V3Pool | None:
    """As in `V3Observed`."""
    sqrt_price_x96, tick = price_of(market, answers)
    liquidity = integer_answer(answers, label_of(market, "liquidity"), "uint128")
    table = _table(market, window, answers, tick, _initialised(market, window.words, answers))
    if table is None:
        return None
    return V3Pool(
        market.address,
        market.token0,
        market.token1,
        market.fee_pips,
        market.tick_spacing,
        sqrt_price_x96,
        tick,
        liquidity,
        table,
    )


def next_window(
    market: V3Market, window: V3Window, answers: Answers, word_radius: int = WORD_RADIUS
) -> V3Window:
    """As in `V3Observed`, without making a pool."""
    _, tick = price_of(market, answers)
    words = _words_around(market, tick, word_radius)
    wanted = _initialised(market, tuple(word for word in window.words if word in words), answers)
    nearest = sorted(wanted, key=lambda index: abs(index - tick))[:TICKS_READ_MAX]
    return V3Window(words, tuple(sorted(nearest)))


def pool_address(
    factory: Address,
    token_a: Address,
    token_b: Address,
    fee_pips: int,
    init_code_hash: bytes = INIT_CODE_HASH,
) -> Address:
    """Where the factory (for Pancake: its deployer) puts the pool (CREATE2), deployed or not."""
    token0, token1 = sorted_tokens(token_a, token_b)
    salt = keccak256(abi_encode(("address", "address", "uint24"), (token0, token1, fee_pips)))
    return Address(keccak256(b"\xff" + factory + salt + init_code_hash)[12:])


def swap_call(
    recipient: Address, zero_for_one: bool, amount_specified: int, sqrt_price_limit_x96: int, data: bytes
) -> bytes:
    """Pool: a positive amount is exact input, a negative one exact output; paid in the callback."""
    return encode_call(
        "swap(address,bool,int256,uint160,bytes)",
        (recipient, zero_for_one, amount_specified, sqrt_price_limit_x96, data),
    )


def quote_exact_in_call(
    market: V3Market, zero_for_one: bool, amount_in: int, sqrt_price_limit_x96: int = 0
) -> bytes:
    """QuoterV2; answers (amount out, square-root price after, ticks crossed, gas estimate)."""
    return _quoter_call("quoteExactInputSingle", market, zero_for_one, amount_in, sqrt_price_limit_x96)


def quote_exact_out_call(
    market: V3Market, zero_for_one: bool, amount_out: int, sqrt_price_limit_x96: int = 0
) -> bytes:
    """QuoterV2; answers (amount in, square-root price after, ticks crossed, gas estimate)."""
    return _quoter_call("quoteExactOutputSingle", market, zero_for_one, amount_out, sqrt_price_limit_x96)


def _quoter_call(
    function: str, market: V3Market, zero_for_one: bool, amount: int, sqrt_price_limit_x96: int
) -> bytes:
    tokens = (market.token0, market.token1) if zero_for_one else (market.token1, market.token0)
    return encode_call(
        f"{function}((address,address,uint256,uint24,uint160))",
        ((*tokens, amount, market.fee_pips, sqrt_price_limit_x96),),
    )


def _table(
    market: V3Market, window: V3Window, answers: Answers, tick: int, initialised: list[int]
) -> TickTable | None:
    """The ticks known for certain around `tick`: within the words, up to the first tick that was not read."""
    words = window.words
    if _word(market, tick) not in words:
        return None
    known_low = max(words[0] * TICKS_PER_WORD * market.tick_spacing, MIN_TICK)
    known_high = min((words[-1] * TICKS_PER_WORD + TICKS_PER_WORD - 1) * market.tick_spacing, MAX_TICK)
    unread = set(initialised).difference(window.ticks)
    known_low = max((index + 1 for index in unread if index <= tick), default=known_low)
    known_high = min((index - 1 for index in unread if index > tick), default=known_high)
    if known_low > known_high:
        return None
    nets, prefix = {}, label_of(market, "tick:")
    for index in initialised:
        if known_low <= index <= known_high:
            nets[index] = integer_answers(answers, f"{prefix}{index}", ("uint128", "int128"))[1]
    return TickTable.from_mapping(nets, known_low, known_high)


def _initialised(market: V3Market, words: tuple[int, ...], answers: Answers) -> list[int]:
    """The ticks whose bits are set in the words, ascending."""
    found, prefix = [], label_of(market, "word:")
    for word in words:
        bits = integer_answer(answers, f"{prefix}{word}", "uint256")
        while bits:
            lowest = bits & -bits
            found.append((word * TICKS_PER_WORD + lowest.bit_length() - 1) * market.tick_spacing)
            bits ^= lowest
    return found


def _words_around(market: V3Market, tick: int, radius: int) -> tuple[int, ...]:
    lowest, highest = _word(market, MIN_TICK), _word(market, MAX_TICK)
    centre = _word(market, tick)
    return tuple(range(max(centre - radius, lowest), min(centre + radius, highest) + 1))


def _word(market: V3Market, tick: int) -> int:
    return tick // market.tick_spacing // TICKS_PER_WORD
