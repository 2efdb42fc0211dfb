"""Curve crypto pools (cryptoswap): exact quotes of pools of two or three coins that hold different things.

Formulas are those of the first contracts of each size (the two-coin pools of the factory, tricrypto), with
their integer divisions in their order: Newton's method for D and for one balance, a fee that grows with
imbalance, and a price scale that turns every balance into units of the first coin.

`price_scale` and D move after trades when the contract re-pegs, so a state is good for one trade at a time:
there is no pool "after" here. A ramp of A and gamma is the reader's business (`d` must belong to them).

Not done here: re-pegging, the oracle, "NG" pools, whose Newton is another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.primitives.bounds import UINT256_MAX

__all__ = ["Amplification", "CryptoPool", "geometric_mean", "newton_d", "newton_y"]

ROUNDS_MAX: Final = 255
_WAD: Final = 10**18
_FEE_DENOMINATOR: Final = 10**10
_NOISE_FEE: Final = 10**5
_SHARE_MIN: Final = 10**16  # of D, that a balance may be [wad]
_SHARE_MAX: Final = 10**20


@dataclass(frozen=True, slots=True)
class Amplification:
    """A as the contract stores it, and how many times."""

    ann: int
    multiplier: int = 10_000
    """1 in the very first tricrypto pool."""


@dataclass(frozen=True, slots=True)
class CryptoPool:
    """A pool at one block. Gamma and the fee parameters are as in the contract."""

    name: str
    amplification: Amplification
    gamma: int
    d: int
    balances: tuple[int, ...]
    """[token units]"""
    precisions: tuple[int, ...]
    """10^(18 - decimals)"""
    price_scale: tuple[int, ...]
    """Of each coin but the first, in the first. [wad]"""
    mid_fee: int
    """[1e10]"""
    out_fee: int
    """[1e10]"""
    fee_gamma: int
    supply: int = 0
    """Of the LP token. [LP wei]"""

    def __post_init__(self) -> None:
        if not 2 <= len(self.balances) <= 3 or len(self.precisions) != len(self.balances):
            raise self._state_error(f"{len(self.balances)} balances, {len(self.precisions)} precisions")
        if len(self.price_scale) != len(self.balances) - 1 or min(self.price_scale) <= 0:
            raise self._state_error(f"{len(self.price_scale)} prices")
        if (
            min(self.balances) < 0
            or min(self.amplification.ann, self.gamma) <= 0
            or min(self.d, self.supply) < 0
        ):
            raise self._state_error("a balance or parameter is not positive")
        if not 0 <= self.mid_fee <= self.out_fee <= _FEE_DENOMINATOR or self.fee_gamma < 0:
            raise self._state_error(f"fees of {self.mid_fee} to {self.out_fee} / 1e10")

    @property
    def coins(self) -> int:
        return len(self.balances)

    def get_dy_down(self, i: int, j: int, dx: int) -> int:
        """What `exchange` pays of coin `j` for `dx` of coin `i`; the view answers the same."""
        if not (0 <= i < self.coins and 0 <= j < self.coins) or i == j:
            raise AmountError(f"coins {i} and {j} of {self.coins}", self._where(), "name two coins")
        if not 0 < dx <= UINT256_MAX:
            raise AmountError(f"an input of {dx}", self._where(), "give a positive 256-bit amount")
        if 0 in self.balances or self.d == 0:
            raise InsufficientLiquidityError("the pool is empty", self._where(), "use another pool")
        balances = list(self.balances)
        balances[i] += dx
        xp = self.scaled(balances)
        y = newton_y(self.amplification, self.gamma, xp, self.d, j, self._where())
        gross = xp[j] - y - 1
        if gross < 0:
            raise AmountError(f"an input of {dx} buys less than nothing", self._where(), "trade more")
        xp[j] = y
        dy = self.unscaled(gross, j)
        return dy - self.fee_of(xp) * dy // _FEE_DENOMINATOR

    def minted_down(self, amounts: Sequence[int]) -> int:
        """LP tokens that `add_liquidity` mints for exactly these amounts."""
        if len(amounts) != self.coins or any(not 0 <= amount <= UINT256_MAX for amount in amounts):
            raise AmountError(f"amounts {tuple(amounts)}", self._where(), f"give {self.coins} amounts")
        if not any(amounts):
            raise AmountError("nothing is added", self._where(), "bring more")
        if self.d == 0 or self.supply == 0:
            raise InsufficientLiquidityError("the pool is empty", self._where(), "use another pool")
        new = [balance + amount for balance, amount in zip(self.balances, amounts, strict=True)]
        old_xp, xp = self.scaled(self.balances), self.scaled(new)
        d = newton_d(self.amplification, self.gamma, xp, self._where())
        minted = self.supply * d // self.d - self.supply
        if minted <= 0:
            raise AmountError("too little is added to count", self._where(), "bring more")
        added = [now - old for now, old in zip(xp, old_xp, strict=True)]
        return minted - self._deposit_fee(added, xp) * minted // _FEE_DENOMINATOR - 1

    def withdrawn_down(self, burnt: int) -> tuple[int, ...]:
        """What `remove_liquidity` pays of each coin: for a unit of LP less, as the contract does."""
        if not 0 < burnt <= self.supply:
            raise AmountError(f"burning {burnt} of {self.supply}", self._where(), "burn a part of the supply")
        return tuple(balance * (burnt - 1) // self.supply for balance in self.balances)

    def fee_of(self, xp: Sequence[int]) -> int:
        """Between the fee at balance and the fee far from it. [1e10]"""
        balanced = self._balance_wad(xp)
        if self.fee_gamma > 0:
            balanced = self.fee_gamma * _WAD // (self.fee_gamma + _WAD - balanced)
        return (self.mid_fee * balanced + self.out_fee * (_WAD - balanced)) // _WAD

    def scaled(self, balances: Sequence[int]) -> list[int]:
        """In 18 decimals of the first coin."""
        rest = (
            balance * price * precision // _WAD
            for balance, precision, price in zip(
                balances[1:], self.precisions[1:], self.price_scale, strict=True
            )
        )
        return [balances[0] * self.precisions[0], *rest]

    def unscaled(self, amount: int, j: int) -> int:
        """In token units of coin `j`."""
        if j > 0:
            amount = amount * _WAD // self.price_scale[j - 1]
        return amount // self.precisions[j]

    def _deposit_fee(self, added: Sequence[int], xp: Sequence[int]) -> int:
        """Of what was minted: by how far the deposit is from balanced. [1e10]"""
        total = sum(added)
        if total == 0:
            raise AmountError("too little is added to count", self._where(), "bring more")
        fee = self.fee_of(xp) * self.coins // (4 * (self.coins - 1))
        mean = total // self.coins
        return fee * sum(abs(each - mean) for each in added) // total + _NOISE_FEE

    def _balance_wad(self, xp: Sequence[int]) -> int:
        """1 where all balances are worth the same, towards 0 where they are not. [wad]"""
        total = sum(xp)
        if self.coins == 2:
            return _WAD * 4 * xp[0] // total * xp[1] // total
        balanced = _WAD
        for x in xp:
            balanced = balanced * 3 * x // total
        return balanced

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what, self._where(), "read the pool again")

    def _where(self) -> str:
        return f"Curve pool {self.name}"


def newton_y(a: Amplification, gamma: int, x: Sequence[int], d: int, i: int, where: str) -> int:
    """The scaled balance of coin `i` that keeps D, `x[i]` itself being ignored."""
    n = len(x)
    others = sorted((each for k, each in enumerate(x) if k != i), reverse=True)
    limit = max(others[0] // 10**14, d // 10**14, 100)
    if any(not _SHARE_MIN <= each * _WAD // d <= _SHARE_MAX for each in others):
        raise InsufficientLiquidityError("a balance leaves the range of the pool", where, "trade less")
    y, k0_others = _first_guess(others, d, n)
    total = sum(others)
    for _ in range(ROUNDS_MAX):
        before = y
        k0 = k0_others * y * n // d
        g1k0 = abs(gamma + _WAD - k0) + 1
        s = total + y
        mul1 = _WAD * d // gamma * g1k0 // gamma * g1k0 * a.multiplier // a.ann
        mul2 = _WAD + 2 * _WAD * k0 // g1k0
        slope = _WAD * y + s * mul2 + mul1
        if slope < d * mul2:
            y = before // 2
            continue
        slope -= d * mul2
        if y == 0 or slope // y == 0 or k0 == 0:
            break
        per_unit = slope // y
        minus = mul1 // per_unit
        plus = (slope + _WAD * d) // per_unit + minus * _WAD // k0
        minus += _WAD * s // per_unit
        y = before // 2 if plus < minus else plus - minus
        if abs(y - before) < max(limit, y // 10**14):
            if not _SHARE_MIN <= y * _WAD // d <= _SHARE_MAX:
                break
            return y
    raise InsufficientLiquidityError(
        "the balance would leave the range that the pool trades in", where, "trade less"
    )


def newton_d(a: Amplification, gamma: int, x: Sequence[int], where: str) -> int:
    """D of these scaled balances."""
    n = len(x)
    xs = sorted(x, reverse=True)
    if not 10**9 <= xs[0] <= 10**33 or min(xs) * _WAD // xs[0] < 10**14:
        raise InsufficientLiquidityError("balances too far apart or too small", where, "use another pool")
    d = n * geometric_mean(xs)
    s = sum(xs)
    for _ in range(ROUNDS_MAX):
        before = d
        k0: int = _WAD * n**n
        for each in xs:
            k0 = k0 * each // d
        if k0 == 0:
            break
        g1k0 = abs(gamma + _WAD - k0) + 1
        mul1 = _WAD * d // gamma * g1k0 // gamma * g1k0 * a.multiplier // a.ann
        mul2 = 2 * _WAD * n * k0 // g1k0
        slope = (s + s * mul2 // _WAD) + mul1 * n // k0 - mul2 * d // _WAD
        if slope <= 0:
            break
        plus = d * (slope + s) // slope
        minus = d * d // slope
        step = d * (mul1 // slope) // _WAD
        if k0 < _WAD:
            minus += step * (_WAD - k0) // k0
        else:
            minus -= step * (k0 - _WAD) // k0
        d = plus - minus if plus > minus else (minus - plus) // 2
        if abs(d - before) * 10**14 < max(10**16, d):
            if any(not _SHARE_MIN <= each * _WAD // d <= _SHARE_MAX for each in xs):
                break
            return d
    raise InsufficientLiquidityError(
        "the balances would leave the range that the pool trades in", where, "bring other amounts"
    )


def geometric_mean(xs: Sequence[int]) -> int:
    """By the contract's own iteration, for balances in descending order."""
    n = len(xs)
    d = xs[0]
    for _ in range(ROUNDS_MAX):
        before = d
        if n == 2:
            d = (d + xs[0] * xs[1] // d) // 2
        else:
            share = _WAD
            for each in xs:
                share = share * each // d
            d = d * ((n - 1) * _WAD + share) // (n * _WAD)
        difference = abs(d - before)
        if difference <= 1 or difference * _WAD < d:
            return d
    raise PoolStateError("the geometric mean does not converge", "Curve crypto", "read the pool again")


def _first_guess(others: Sequence[int], d: int, n: int) -> tuple[int, int]:
    """Where Newton begins, and K0 without the coin that is sought. [wad]"""
    if n == 2:
        return d**2 // (others[0] * 4), 2 * _WAD * others[0] // d
    y, k0 = d // n, _WAD
    for each in reversed(others):
        y = y * d // (each * n)
    for each in others:
        k0 = k0 * each * n // d
    return y, k0
