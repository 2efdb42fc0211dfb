"""Limits that follow volatility (SPEC GD-3): how much prices moved lately, and how much room that leaves.

The source is one Uniswap V3 pool and one view call: `observe` answers the accumulated tick at evenly spaced
moments up to the block, so that average ticks of `samples` intervals, and the moves between them, are facts
of one block hash. Nothing is stored and no clock is read. A tick is a ten-thousandth, so that moves are in
basis points of the logarithm of the price.

    move_i       = tick_(i) - tick_(i-1), of average ticks of neighbouring intervals       [bps]
    variance_0   = move_0 ** 2,  variance_i = variance_(i-1) + (move_i ** 2 - variance_(i-1)) / weight, up
    volatility_i = max(ceil(sqrt(variance_i)), |move_i|)     the average, or the gap where that is larger
    wanted_i     = clamp(BPS * calm / volatility_i, floor, BPS), down; BPS where it is calm
    share_i      = wanted_i  where it is under share_(i-1), or above it by the band, or BPS
                   share_(i-1) otherwise

`share` of the last interval is what is left of each limit [bps]. It tightens at once and loosens by steps of
the band only: hysteresis, folded over the window that the block itself remembers. It is never above `BPS`
(never looser than the static limit) and never under the floor.

A pool that does not remember the window cannot tell, and what is limited by it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isqrt
from typing import Final

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import BPS, Address, address_text, ceil_div
from seawall.protocols.answers import Answers, integer_answers

__all__ = [
    "INTERVAL_S_MAX",
    "SAMPLES_MAX",
    "WEIGHT_MAX",
    "VolatilityRule",
    "moves_of",
    "reads",
    "scaled_down",
    "share_of",
    "volatility_of",
]


SAMPLES_MAX: Final = 64
INTERVAL_S_MAX: Final = 24 * 3_600
WEIGHT_MAX: Final = 64
_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class VolatilityRule:
    """How limits follow the price of one pool."""

    pool: Address
    calm_bps: int  # a move per interval under which the static limits hold
    interval_s: int = 300
    samples: int = 13  # intervals, of which there are one fewer moves
    weight: int = 4  # of how many moves the average forgets all but a part of 1/e
    floor_bps: int = 2_000  # what is left of a limit at least
    band_bps: int = 500  # by how much the share must rise before limits loosen

    def __post_init__(self) -> None:
        where = f"pool {address_text(self.pool)}"
        bounds = (
            ("calm_bps", self.calm_bps, 1, BPS),
            ("interval_s", self.interval_s, 1, INTERVAL_S_MAX),
            ("samples", self.samples, 2, SAMPLES_MAX),
            ("weight", self.weight, 1, WEIGHT_MAX),
            ("floor_bps", self.floor_bps, 1, BPS),
            ("band_bps", self.band_bps, 0, BPS),
        )
        for name, value, least, most in bounds:
            if not least <= value <= most:
                raise InputError(f"{name} is {value}", where, f"give {least} to {most}")

    @property
    def label(self) -> str:
        return f"volatility:{self.pool.hex()}:{self.interval_s}:{self.samples}"


def reads(rule: VolatilityRule) -> tuple[Read, ...]:
    moments = tuple(rule.interval_s * back for back in range(rule.samples, -1, -1))
    return (Read(rule.label, rule.pool, encode_call("observe(uint32[])", (moments,))),)


def moves_of(rule: VolatilityRule, answers: Answers) -> tuple[int, ...]:
    """Moves between neighbouring intervals, the oldest first [bps]. `ProtocolError` where the pool does not
    remember them."""
    count = rule.samples + 1
    # Two dynamic arrays: offsets, then length and values of each.
    kinds = ("uint256", "uint256", "uint256", *("int256",) * count)
    first, second, length, *ticks = integer_answers(answers, rule.label, kinds)
    if (first, second, length) != (2 * _WORD, (3 + count) * _WORD, count):
        raise ProtocolError(
            "the answer is not as many accumulations as were asked for",
            f"pool {address_text(rule.pool)}",
            "check that the address is a Uniswap V3 pool",
        )
    averages = [(newer - older) // rule.interval_s for older, newer in pairwise(ticks)]
    return tuple(newer - older for older, newer in pairwise(averages))


def volatility_of(moves: Sequence[int], weight: int) -> tuple[int, ...]:
    """After each move, the average or the gap where that is larger, rounded up [bps]."""
    found: list[int] = []
    variance = 0
    for place, move in enumerate(moves):
        square = move * move
        variance = square if place == 0 else variance + ceil_div(square - variance, weight)
        root = isqrt(variance)
        found.append(max(root + (root * root < variance), abs(move)))
    return tuple(found)


def share_of(rule: VolatilityRule, moves: Sequence[int]) -> int:
    """What is left of each limit [bps]."""
    share = BPS
    for volatility in volatility_of(moves, rule.weight):
        wanted = BPS if volatility <= rule.calm_bps else BPS * rule.calm_bps // volatility
        wanted = max(wanted, rule.floor_bps)
        if wanted < share or wanted >= share + rule.band_bps or wanted == BPS:
            share = wanted
    return share


def scaled_down(limit: int, share_bps: int) -> int:
    """What a share leaves of a limit that is a maximum, rounded down."""
    return limit * share_bps // BPS
