"""Powers of 18-decimal numbers as Balancer V2 computes them, x^y = exp(y ln x), rounding each step alike.

The method is that of its LogExpMath: an argument is split into powers of e that are kept as constants (20
decimals), and what is left goes through a series; near one the logarithm has 36 decimals. Divisions cut off
towards zero, as the EVM's signed ones do. Arguments outside the contract's domain are refused.
"""

from __future__ import annotations

from typing import Final

from seawall.markets.errors import AmountError

__all__ = ["power"]

_ONE18: Final = 10**18
_ONE20: Final = 10**20
_ONE36: Final = 10**36
_EXPONENT_MAX: Final = 130 * _ONE18
_EXPONENT_MIN: Final = -41 * _ONE18
_NEAR_ONE: Final = 10**17
_Y_BOUND: Final = 2**254 // _ONE20

# (x, e^x): the first two without decimals of the result, the others with 20 on both sides.
_WHOLE: Final = (
    (128 * _ONE18, 38877084059945950922200000000000000000000000000000000000),
    (64 * _ONE18, 6235149080811616882910000000),
)
_FINE: Final = (
    (32 * _ONE20, 7896296018268069516100000000000000),
    (16 * _ONE20, 888611052050787263676000000),
    (8 * _ONE20, 298095798704172827474000),
    (4 * _ONE20, 5459815003314423907810),
    (2 * _ONE20, 738905609893065022723),
    (_ONE20, 271828182845904523536),
    (_ONE20 // 2, 164872127070012814685),
    (_ONE20 // 4, 128402541668774148407),
    (_ONE20 // 8, 113314845306682631683),
    (_ONE20 // 16, 106449445891785942956),
)
# The exponential does without the last two.
_FINE_OF_EXP: Final = _FINE[:-2]
_EXP_TERMS: Final = 12
_LN_TERMS: Final = 11
_LN36_TERMS: Final = 15


def power(x: int, y: int) -> int:
    """x^y [18 decimals], off by at most a relative 10^-14 in either direction, as the contract's."""
    if y == 0:
        return _ONE18
    if x == 0:
        return 0
    if x >= 2**255 or y >= _Y_BOUND:
        raise _refused(f"{x}^{y} is out of bounds")
    if abs(x - _ONE18) < _NEAR_ONE:
        fine = _ln36(x)
        whole, rest = _cut(fine, _ONE18), fine - _cut(fine, _ONE18) * _ONE18
        exponent = whole * y + _cut(rest * y, _ONE18)
    else:
        exponent = _ln(x) * y
    exponent = _cut(exponent, _ONE18)
    if not _EXPONENT_MIN <= exponent <= _EXPONENT_MAX:
        raise _refused(f"{x}^{y} is out of bounds")
    return _exp(exponent)


def _exp(x: int) -> int:
    if x < 0:
        return _ONE18 * _ONE18 // _exp(-x)
    first = 1
    for bound, value in _WHOLE:
        if x >= bound:
            x -= bound
            first = value
            break
    x *= 100
    product = _ONE20
    for bound, value in _FINE_OF_EXP:
        if x >= bound:
            x -= bound
            product = product * value // _ONE20
    term = x
    total = _ONE20 + term
    for n in range(2, _EXP_TERMS + 1):
        term = term * x // _ONE20 // n
        total += term
    return product * total // _ONE20 * first // 100


def _ln(a: int) -> int:
    if a < _ONE18:
        return -_ln(_ONE18 * _ONE18 // a)
    total = 0
    for bound, value in _WHOLE:
        if a >= value * _ONE18:
            a //= value
            total += bound
    total *= 100
    a *= 100
    for bound, value in _FINE:
        if a >= value:
            a = a * _ONE20 // value
            total += bound
    return _cut(total + _artanh_series(a, _ONE20, _LN_TERMS), 100)


def _ln36(x: int) -> int:
    return _artanh_series(x * _ONE18, _ONE36, _LN36_TERMS)


def _artanh_series(a: int, one: int, last: int) -> int:
    """ln(a) = 2 artanh((a - 1) / (a + 1)) up to the power `last` [decimals of `one`]."""
    z = _cut((a - one) * one, a + one)
    square = z * z // one
    number = total = z
    for n in range(3, last + 1, 2):
        number = _cut(number * square, one)
        total += _cut(number, n)
    return 2 * total


def _cut(numerator: int, denominator: int) -> int:
    """Division towards zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def _refused(what: str) -> AmountError:
    return AmountError(what=what, where="Balancer power", fix="swap another amount")
