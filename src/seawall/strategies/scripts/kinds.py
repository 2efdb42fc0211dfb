"""Kinds of values: an amount knows its token, so that weth is never added to usdx, nor to a bare number.

A value itself is always an `int` (or a `bool`); its kind is known before anything is evaluated. `USD` is the
unit of oracle prices, with eight decimals. Literals are exact or refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from typing_extensions import override

from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import NATIVE, Address
from seawall.strategies.scripts.problems import ExpressionError

__all__ = [
    "AMOUNT_EXPONENT_MAX",
    "BOOL",
    "BPS_KIND",
    "DURATION",
    "DURATIONS_S",
    "NATIVE_UNIT",
    "NUMBER",
    "USD",
    "Base",
    "Kind",
    "Unit",
    "amount_of",
    "literal_value",
]

# The largest power of ten that fits 256 bits.
AMOUNT_EXPONENT_MAX: Final = 77
DURATIONS_S: Final = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_DECIMALS_MAX: Final = 77


class Base(Enum):
    NUMBER = "a number"
    BOOL = "true or false"
    DURATION = "a duration"
    BPS = "basis points"
    AMOUNT = "an amount"


@dataclass(frozen=True, slots=True)
class Unit:
    """A token as expressions name it; of money that is no token (`usd`) the address is empty."""

    name: str
    token: Address
    decimals: int


@dataclass(frozen=True, slots=True)
class Kind:
    base: Base
    unit: Unit | None = None  # of an amount

    @override
    def __str__(self) -> str:
        return f"an amount of {self.unit.name}" if self.unit is not None else self.base.value


NUMBER: Final = Kind(Base.NUMBER)
BOOL: Final = Kind(Base.BOOL)
DURATION: Final = Kind(Base.DURATION)
BPS_KIND: Final = Kind(Base.BPS)
USD_UNIT: Final = Unit("usd", Address(b""), 8)
USD: Final = Kind(Base.AMOUNT, USD_UNIT)
NATIVE_UNIT: Final = Unit("native", NATIVE, 18)


def amount_of(unit: Unit) -> Kind:
    return Kind(Base.AMOUNT, unit)


def literal_value(digits: str, decimals: int, unit: str, at: int) -> int:
    """`1_000.5` or `2e18` in the smallest unit of something with `decimals`, exactly."""
    number, _, exponent_text = digits.replace("_", "").partition("e")
    # Two digits more than the largest exponent are too many already, and cost nothing to look at.
    if len(exponent_text.lstrip("0")) > 2 or int(exponent_text or "0") > AMOUNT_EXPONENT_MAX:
        raise ExpressionError(
            f"the exponent of {digits[:40]} is too large", f"use at most e{AMOUNT_EXPONENT_MAX}", at
        )
    whole, _, fraction = number.partition(".")
    places = min(decimals, _DECIMALS_MAX) + int(exponent_text or "0")
    fraction = fraction.rstrip("0")
    if len(fraction) > places:
        of = f"{unit} has {decimals} decimals" if unit else "a bare number has none"
        raise ExpressionError(
            f"{digits[:40]} has {len(fraction)} decimals, and {of}", "shorten the fraction, or add a unit", at
        )
    value = int(whole + fraction.ljust(places, "0"))
    if value > UINT256_MAX:
        raise ExpressionError(f"{digits[:40]} {unit} does not fit 256 bits".strip(), "write less", at)
    return value
