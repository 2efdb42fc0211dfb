"""Curve stableswap pools: exact quotes of trades, deposits and withdrawals, and the pool after them.

Formulas are those of the contracts, with their integer divisions in their order. Three kinds differ in a few
places, named by `StableKind`:

- CLASSIC: pools such as 3pool. `A` without extra digits; `get_dy` takes the fee after converting to token
  units, the trade itself before, so that the two may differ by a unit.
- FACTORY: pools and metapools with `A` times 100.
- NG: "stableswap-ng": `A` times 100, another order of divisions in D, and a fee that grows off the peg.

Balances are in token units without the admin's share; `rates` turn them into 18 decimals: 10^(36 - decimals)
for plain coins, times a price for others. A ramp of `A` is the reader's business: the state holds A as it is.

Not done here: what tokens do on transfer, oracles, exact-output trades, lending pools that accrue in a trade.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.primitives.bounds import UINT256_MAX

__all__ = ["COINS_MAX", "StableKind", "StablePool"]

COINS_MAX: Final = 8
ROUNDS_MAX: Final = 255
_PRECISION: Final = 10**18
_FEE_DENOMINATOR: Final = 10**10
# Far beyond any pool; below it no step of the contracts overflows but those that are checked.
_D_MAX: Final = 2**112


class StableKind(Enum):
    """Which family of contracts; the value is how many times `A` is stored."""

    CLASSIC = "classic"
    FACTORY = "factory"
    NG = "ng"

    @property
    def a_precision(self) -> int:
        return 1 if self is StableKind.CLASSIC else 100


@dataclass(frozen=True, slots=True)
class StablePool:
    """A pool at one block."""

    name: str
    kind: StableKind
    amplification: int
    """A, times the kind's precision."""
    balances: tuple[int, ...]
    """[token units]"""
    rates: tuple[int, ...]
    """[1e18 x 18-decimal units in one token unit]"""
    supply: int
    """Of the LP token. [LP wei]"""
    fee: int
    """[1e10]"""
    offpeg_multiplier: int = 0
    """Of the fee far off the peg, NG only; not above 1e10 means a constant fee. [1e10]"""
    admin_fee: int = 5 * 10**9
    """Part of each fee that leaves the pool. [1e10]"""

    def __post_init__(self) -> None:
        sizes = {len(self.balances), len(self.rates)}
        if len(sizes) != 1 or not 2 <= len(self.balances) <= COINS_MAX:
            raise self._state_error(f"{len(self.balances)} balances and {len(self.rates)} rates")
        if min(self.balances) < 0 or min(self.rates) <= 0 or self.amplification <= 0 or self.supply < 0:
            raise self._state_error("a balance, rate, amplification or supply is not positive")
        most = max(self.fee, self.offpeg_multiplier * self.fee // _FEE_DENOMINATOR, self.admin_fee)
        if min(self.fee, self.offpeg_multiplier, self.admin_fee) < 0 or most > _FEE_DENOMINATOR:
            raise self._state_error(f"a fee of {most} / 1e10")

    @property
    def coins(self) -> int:
        return len(self.balances)

    # ------------------------------------------------------------------ quotes

    def get_dy_down(self, i: int, j: int, dx: int) -> int:
        """What the contract's own `get_dy` answers."""
        if self.kind is not StableKind.CLASSIC:
            return self.exchanged_down(i, j, dx)
        _, gross = self._traded(i, j, self._input_scaled(i, j, dx))
        dy = gross * _PRECISION // self.rates[j]
        return dy - self.fee * dy // _FEE_DENOMINATOR

    def exchanged_down(self, i: int, j: int, dx: int) -> int:
        """What `exchange` pays."""
        return self._exchange(i, j, self._input_scaled(i, j, dx))[0]

    def exchanged_scaled_down(self, i: int, j: int, dx: int) -> int:
        """What is paid for an input that is in 18 decimals already, as metapools trade through."""
        self._check_pair(i, j, dx)
        return self._exchange(i, j, dx)[0]

    def after_exchange(self, i: int, j: int, dx: int) -> StablePool:
        """The pool after `exchange`."""
        dy, dy_fee = self._exchange(i, j, self._input_scaled(i, j, dx))
        admin = dy_fee * self.admin_fee // _FEE_DENOMINATOR * _PRECISION // self.rates[j]
        balances = list(self.balances)
        balances[i] += dx
        balances[j] -= dy + admin
        return replace(self, balances=tuple(balances))

    def minted_down(self, amounts: Sequence[int]) -> int:
        """LP tokens that `add_liquidity` mints for exactly these amounts."""
        return self._mint(amounts)[0]

    def after_minting(self, amounts: Sequence[int]) -> StablePool:
        return self._mint(amounts)[1]

    def token_amount(self, amounts: Sequence[int], is_deposit: bool) -> int:
        """What `calc_token_amount` of the older kinds answers: no fees, so only near what happens."""
        signed = amounts if is_deposit else [-amount for amount in amounts]
        changed = [balance + amount for balance, amount in zip(self.balances, signed, strict=True)]
        d0, d1 = self.invariant(self.balances), self.invariant(changed)
        return (d1 - d0 if is_deposit else d0 - d1) * self.supply // d0

    def withdrawn_down(self, burnt: int) -> tuple[int, ...]:
        """What `remove_liquidity` pays of each coin."""
        self._check_burn(burnt)
        return tuple(balance * burnt // self.supply for balance in self.balances)

    def withdrawn_one_down(self, burnt: int, i: int) -> int:
        """What `remove_liquidity_one_coin` pays of coin `i`."""
        self._check_burn(burnt)
        self._check_coin(i)
        xp = self._scaled(self.balances)
        d0 = self._d(xp)
        d1 = d0 - burnt * d0 // self.supply
        new_y = self._y_for_d(i, xp, d1)
        reduced = [x - self._one_coin_fee(k == i, x, new_y, d0, d1) for k, x in enumerate(xp)]
        dy = reduced[i] - self._y_for_d(i, reduced, d1) - 1
        if dy < 0:
            raise InsufficientLiquidityError(
                f"burning {burnt} is worth less than a unit", self._where(), "burn more"
            )
        return self._unscaled(dy, i)

    def virtual_price_down(self) -> int:
        """Value of one LP token. [wad]"""
        return self.invariant(self.balances) * _PRECISION // self.supply if self.supply else _PRECISION

    def invariant(self, balances: Sequence[int]) -> int:
        """D for these balances. [18 decimals]"""
        return self._d(self._scaled(balances))

    # ------------------------------------------------------------------ trading

    def _exchange(self, i: int, j: int, dx_scaled: int) -> tuple[int, int]:
        """What is paid [token units], and the fee [18 decimals]."""
        x, gross = self._traded(i, j, dx_scaled)
        xp = self._scaled(self.balances)
        fee = self.fee
        if self.kind is StableKind.NG:
            y = xp[j] - gross - 1
            fee = self._dynamic_fee((xp[i] + x) // 2, (xp[j] + y) // 2, self.fee)
        dy_fee = gross * fee // _FEE_DENOMINATOR
        return (gross - dy_fee) * _PRECISION // self.rates[j], dy_fee

    def _traded(self, i: int, j: int, dx_scaled: int) -> tuple[int, int]:
        """Coin i's new scaled balance, and what leaves of j before the fee. [18 decimals]"""
        xp = self._scaled(self.balances)
        x = xp[i] + dx_scaled
        y = self._y([x if k == i else xp[k] for k in range(self.coins) if k != j], self._d(xp))
        gross = xp[j] - y - 1
        if gross < 0:
            raise AmountError(f"{dx_scaled} buys less than nothing", self._where(), "trade more")
        return x, gross

    def _input_scaled(self, i: int, j: int, dx: int) -> int:
        self._check_pair(i, j, dx)
        if dx * self.rates[i] > UINT256_MAX:
            raise self._overflow(dx)
        return dx * self.rates[i] // _PRECISION

    def _check_pair(self, i: int, j: int, dx: int) -> None:
        self._check_coin(i)
        self._check_coin(j)
        if i == j:
            raise AmountError("a coin cannot be traded for itself", self._where(), "name two coins")
        if not 0 < dx <= UINT256_MAX:
            raise AmountError(f"an input of {dx}", self._where(), "give a positive 256-bit amount")
        if 0 in self.balances:
            raise InsufficientLiquidityError("the pool is empty", self._where(), "use another pool")

    def _dynamic_fee(self, x: int, y: int, fee: int) -> int:
        """The fee at mean balances `x` and `y`: it grows towards its multiple where they differ."""
        if self.offpeg_multiplier <= _FEE_DENOMINATOR:
            return fee
        spread, product = (x + y) ** 2, (self.offpeg_multiplier - _FEE_DENOMINATOR) * 4 * x * y
        if max(spread, product) > UINT256_MAX:
            raise self._overflow(x)
        return self.offpeg_multiplier * fee // (product // spread + _FEE_DENOMINATOR)

    # ------------------------------------------------------------------ liquidity

    def _mint(self, amounts: Sequence[int]) -> tuple[int, StablePool]:
        if len(amounts) != self.coins or any(not 0 <= amount <= UINT256_MAX for amount in amounts):
            raise AmountError(f"amounts {tuple(amounts)}", self._where(), f"give {self.coins} amounts")
        if self.supply == 0 and 0 in amounts:
            raise AmountError("the first deposit needs every coin", self._where(), "bring all of them")
        new = [balance + amount for balance, amount in zip(self.balances, amounts, strict=True)]
        d0, d1 = self._d(self._scaled(self.balances)), self._d(self._scaled(new))
        if d1 <= d0:
            raise AmountError("nothing is added", self._where(), "bring more")
        if self.supply == 0:
            return d1, replace(self, balances=tuple(new), supply=d1)
        kept = list(new)
        for k, (old, now) in enumerate(zip(self.balances, new, strict=True)):
            fee = abs(d1 * old // d0 - now) * self._deposit_fee(k, old, now, d0, d1) // _FEE_DENOMINATOR
            kept[k] = now - fee * self.admin_fee // _FEE_DENOMINATOR
            new[k] = now - fee
        minted = self.supply * (self._d(self._scaled(new)) - d0) // d0
        return minted, replace(self, balances=tuple(kept), supply=self.supply + minted)

    def _deposit_fee(self, k: int, old: int, now: int, d0: int, d1: int) -> int:
        base = self._imbalance_fee()
        if self.kind is not StableKind.NG:
            return base
        return self._dynamic_fee(self.rates[k] * (old + now) // _PRECISION, (d0 + d1) // self.coins, base)

    def _one_coin_fee(self, is_taken: bool, x: int, new_y: int, d0: int, d1: int) -> int:
        """What a one-coin withdrawal costs of a coin's scaled balance `x`."""
        expected = x * d1 // d0 - new_y if is_taken else x - x * d1 // d0
        fee = self._imbalance_fee()
        if self.kind is StableKind.NG:
            mean = (x + new_y) // 2 if is_taken else x
            fee = self._dynamic_fee(mean, (d0 + d1) // (2 * self.coins), fee)
        return fee * expected // _FEE_DENOMINATOR

    def _imbalance_fee(self) -> int:
        return self.fee * self.coins // (4 * (self.coins - 1))

    # ------------------------------------------------------------------ the invariant

    def _d(self, xp: Sequence[int]) -> int:
        total = sum(xp)
        if total == 0:
            return 0
        if 0 in xp:
            raise InsufficientLiquidityError("a coin is missing", self._where(), "use another pool")
        n, precision = self.coins, self.kind.a_precision
        ann = self.amplification * n
        d = total
        for _ in range(ROUNDS_MAX):
            product = d
            if self.kind is StableKind.NG:
                for x in xp:
                    product = product * d // x
                product //= n**n
            else:
                for x in xp:
                    product = product * d // (x * n)
            before = d
            d = (
                (ann * total // precision + product * n)
                * d
                // ((ann - precision) * d // precision + (n + 1) * product)
            )
            if abs(d - before) <= 1:
                return d
        raise self._endless("D")

    def _y(self, others: Sequence[int], d: int) -> int:
        """The scaled balance of the one coin that `others` lack, for this D."""
        n, precision = self.coins, self.kind.a_precision
        ann = self.amplification * n
        c = d
        for x in others:
            c = c * d // (x * n)
        c = c * d * precision // (ann * n)
        b = sum(others) + d * precision // ann
        y = d
        for _ in range(ROUNDS_MAX):
            before = y
            y = (y * y + c) // (2 * y + b - d)
            if abs(y - before) <= 1:
                return y
        raise self._endless("the balance")

    def _y_for_d(self, i: int, xp: Sequence[int], d: int) -> int:
        return self._y([x for k, x in enumerate(xp) if k != i], d)

    # ------------------------------------------------------------------ details

    def _scaled(self, balances: Sequence[int]) -> list[int]:
        return [rate * balance // _PRECISION for rate, balance in zip(self.rates, balances, strict=True)]

    def _unscaled(self, amount: int, i: int) -> int:
        if self.kind is StableKind.CLASSIC:
            return amount // (self.rates[i] // _PRECISION)
        return amount * _PRECISION // self.rates[i]

    def _check_coin(self, i: int) -> None:
        if not 0 <= i < self.coins:
            raise AmountError(f"coin {i} is not one of {self.coins}", self._where(), "name one of them")

    def _check_burn(self, burnt: int) -> None:
        if not 0 < burnt <= self.supply:
            raise AmountError(
                f"burning {burnt} of {self.supply}", self._where(), "burn a positive part of the supply"
            )

    def _endless(self, what: str) -> AmountError:
        return AmountError(f"{what} does not converge on these amounts", self._where(), "use less")

    def _overflow(self, amount: int) -> AmountError:
        return AmountError(f"an amount of {amount} overflows", self._where(), "use less")

    def _state_error(self, what: str) -> PoolStateError:
        return PoolStateError(what, self._where(), "read the pool again")

    def _where(self) -> str:
        return f"Curve pool {self.name}"
