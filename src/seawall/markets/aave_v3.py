"""The books of an Aave V3.6 pool: interest, rates with our own impact, and an account's health, to the wei.

A `Reserve` is a pool's books of one token, as they were last written (`updated_s`); `accrued` brings them to
a later second as the pool would before any action. `changed` is what an action leaves: other rates, another
balance, another debt. An `Account` is what one address holds and owes, in scaled units, which do not change
with time.

Rounding is that of V3.6, always against the account: supplied amounts round down, debts up. Indexes and rates
round half up, as the contracts do; those roundings are named `nearest`. Earlier revisions round differently.

Assumes DefaultReserveInterestRateStrategyV2. Not here: liquidations, rewards, isolation-mode ceilings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from seawall.markets.errors import PoolStateError
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import BPS, Address, address_text, mul_div_down, mul_div_up

__all__ = [
    "HEALTH_ONE_WAD",
    "RAY",
    "Account",
    "AccountData",
    "Category",
    "RateCurve",
    "Reserve",
    "ReserveSettings",
    "account_data",
    "limits_bps",
    "percent_up",
]

RAY: Final = 10**27
HEALTH_ONE_WAD: Final = 10**18

_BPS_TO_RAY: Final = 10**23
_YEAR_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True)
class RateCurve:
    """Yearly rates by usage: from `base` over `slope1` up to `optimal`, and steeper beyond."""

    optimal_usage_bps: int
    base_bps: int
    slope1_bps: int
    slope2_bps: int

    def __post_init__(self) -> None:
        if not 0 < self.optimal_usage_bps < BPS or min(self.base_bps, self.slope1_bps, self.slope2_bps) < 0:
            raise PoolStateError(f"{self} is no rate curve", "Aave reserve", "check the rates contract")


@dataclass(frozen=True, slots=True)
class ReserveSettings:
    """What the pool's admins decided about a token; `of_word` reads the packed form."""

    ltv_bps: int
    threshold_bps: int
    decimals: int
    is_active: bool
    is_frozen: bool
    can_be_borrowed: bool
    is_paused: bool
    is_siloed: bool
    has_flash_loans: bool
    reserve_factor_bps: int
    borrow_cap: int  # [whole tokens], 0: none
    supply_cap: int  # [whole tokens], 0: none
    debt_ceiling: int  # 0: no isolation mode

    @classmethod
    def of_word(cls, word: int) -> ReserveSettings:
        def bits(start: int, count: int) -> int:
            return word >> start & ((1 << count) - 1)

        return cls(
            ltv_bps=bits(0, 16),
            threshold_bps=bits(16, 16),
            decimals=bits(48, 8),
            is_active=bits(56, 1) == 1,
            is_frozen=bits(57, 1) == 1,
            can_be_borrowed=bits(58, 1) == 1,
            is_paused=bits(60, 1) == 1,
            is_siloed=bits(62, 1) == 1,
            has_flash_loans=bits(63, 1) == 1,
            reserve_factor_bps=bits(64, 16),
            borrow_cap=bits(80, 36),
            supply_cap=bits(116, 36),
            debt_ceiling=bits(212, 40),
        )


@dataclass(frozen=True, slots=True)
class Reserve:
    """A pool's books of one token."""

    token: Address
    receipt: Address
    debt_token: Address
    number: int  # its place in accounts' flags and categories' bitmaps
    settings: ReserveSettings
    curve: RateCurve | None  # None: nobody asked, and nothing can be changed
    liquidity_index_ray: int
    liquidity_rate_ray: int
    debt_index_ray: int
    debt_rate_ray: int
    updated_s: int
    supplied_scaled: int
    debt_scaled: int
    treasury_scaled: int  # owed to the treasury, not minted yet
    balance: int  # of the token, by the pool's own count [smallest unit]
    deficit: int  # bad debt that nobody covered yet [smallest unit]
    price: int  # of one whole token [base currency, 8 decimals]

    def __post_init__(self) -> None:
        if self.liquidity_index_ray < RAY or self.debt_index_ray < RAY:
            raise PoolStateError(
                "an index below one", f"Aave reserve {address_text(self.token)}", "check the pool's address"
            )

    def accrued(self, now_s: int) -> Reserve:
        """At a later second, as the pool's `updateState` writes it before any action."""
        elapsed_s = now_s - self.updated_s
        assert elapsed_s >= 0, "time does not run backwards"
        if elapsed_s == 0:
            return self
        liquidity_index, debt_index = self.liquidity_index_ray, self.debt_index_ray
        if self.liquidity_rate_ray:
            grown = RAY + self.liquidity_rate_ray * elapsed_s // _YEAR_S
            liquidity_index = _ray_mul_nearest(grown, liquidity_index)
        if self.debt_scaled:
            debt_index = _ray_mul_nearest(_compounded_ray(self.debt_rate_ray, elapsed_s), debt_index)
        interest = mul_div_down(self.debt_scaled, debt_index - self.debt_index_ray, RAY)
        for_treasury = _percent_nearest(interest, self.settings.reserve_factor_bps)
        return replace(
            self,
            liquidity_index_ray=liquidity_index,
            debt_index_ray=debt_index,
            treasury_scaled=self.treasury_scaled + mul_div_down(for_treasury, RAY, liquidity_index),
            updated_s=now_s,
        )

    def changed(
        self, *, added: int = 0, taken: int = 0, supplied_scaled: int = 0, debt_scaled: int = 0
    ) -> Reserve:
        """After an action: tokens that came and went, and by how much the scaled totals change."""
        debt = self.debt_scaled + debt_scaled
        liquidity_rate, debt_rate = self._rates_ray(self.balance + added - taken, debt)
        return replace(
            self,
            balance=self.balance + added - taken,
            supplied_scaled=self.supplied_scaled + supplied_scaled,
            debt_scaled=debt,
            liquidity_rate_ray=liquidity_rate,
            debt_rate_ray=debt_rate,
        )

    def supplied_down(self, scaled: int) -> int:
        """What `scaled` receipt units are worth [smallest unit]."""
        return mul_div_down(scaled, self.liquidity_index_ray, RAY)

    def minted_down(self, amount: int) -> int:
        """Scaled receipt units that supplying `amount` gives."""
        return mul_div_down(amount, RAY, self.liquidity_index_ray)

    def burnt_up(self, amount: int) -> int:
        """Scaled receipt units that withdrawing `amount` costs."""
        return mul_div_up(amount, RAY, self.liquidity_index_ray)

    def owed_up(self, scaled: int) -> int:
        """What `scaled` debt units amount to [smallest unit]."""
        return mul_div_up(scaled, self.debt_index_ray, RAY)

    def debt_minted_up(self, amount: int) -> int:
        """Scaled debt units that borrowing `amount` costs."""
        return mul_div_up(amount, RAY, self.debt_index_ray)

    def debt_burnt_down(self, amount: int) -> int:
        """Scaled debt units that paying back `amount` ends."""
        return mul_div_down(amount, RAY, self.debt_index_ray)

    def _rates_ray(self, balance: int, debt_scaled: int) -> tuple[int, int]:
        """Of liquidity and of debt, with `balance` left in the pool."""
        curve = self.curve
        assert curve is not None, "whoever changes a reserve has read its curve"
        base, slope1 = curve.base_bps * _BPS_TO_RAY, curve.slope1_bps * _BPS_TO_RAY
        debt = self.owed_up(debt_scaled)
        if debt == 0:
            return 0, base
        optimal = curve.optimal_usage_bps * _BPS_TO_RAY
        borrow_usage = _ray_div_nearest(debt, balance + debt)
        supply_usage = _ray_div_nearest(debt, balance + debt + self.deficit)
        if borrow_usage > optimal:
            excess = _ray_div_nearest(borrow_usage - optimal, RAY - optimal)
            debt_rate = base + slope1 + _ray_mul_nearest(curve.slope2_bps * _BPS_TO_RAY, excess)
        else:
            debt_rate = base + _ray_div_nearest(_ray_mul_nearest(slope1, borrow_usage), optimal)
        earned = _ray_mul_nearest(debt_rate, supply_usage)
        return _percent_nearest(earned, BPS - self.settings.reserve_factor_bps), debt_rate


@dataclass(frozen=True, slots=True)
class Category:
    """An efficiency mode: other limits for tokens that move together. Bitmaps are of reserve numbers."""

    ltv_bps: int
    threshold_bps: int
    collateral_bitmap: int
    borrowable_bitmap: int
    no_ltv_bitmap: int

    def holds(self, reserve: Reserve) -> bool:
        return self.collateral_bitmap >> reserve.number & 1 == 1

    def lends(self, reserve: Reserve) -> bool:
        return self.borrowable_bitmap >> reserve.number & 1 == 1


@dataclass(frozen=True, slots=True)
class Account:
    """What one address holds and owes in one pool, in scaled units."""

    flags: int
    """Two bits a reserve: borrowed, and used as collateral."""
    category: int
    supplied_scaled: Mapping[Address, int]
    debt_scaled: Mapping[Address, int]

    @property
    def borrows_any(self) -> bool:
        return self.flags & _BORROWED_MASK != 0

    @property
    def collateral_numbers(self) -> tuple[int, ...]:
        return tuple(number for number in range(128) if self.flags >> (2 * number + 1) & 1)

    @property
    def borrowed_numbers(self) -> tuple[int, ...]:
        return tuple(number for number in range(128) if self.flags >> (2 * number) & 1)

    def borrows(self, reserve: Reserve) -> bool:
        return self.flags >> (2 * reserve.number) & 1 == 1

    def uses_as_collateral(self, reserve: Reserve) -> bool:
        return self.flags >> (2 * reserve.number + 1) & 1 == 1

    def with_supplied(self, reserve: Reserve, scaled: int, *, is_collateral: bool) -> Account:
        bit = 1 << (2 * reserve.number + 1)
        return replace(
            self,
            flags=self.flags | bit if is_collateral else self.flags & ~bit,
            supplied_scaled={**self.supplied_scaled, reserve.token: scaled},
        )

    def with_debt(self, reserve: Reserve, scaled: int) -> Account:
        bit = 1 << (2 * reserve.number)
        return replace(
            self,
            flags=self.flags | bit if scaled else self.flags & ~bit,
            debt_scaled={**self.debt_scaled, reserve.token: scaled},
        )


_BORROWED_MASK: Final = (4**128 - 1) // 3


@dataclass(frozen=True, slots=True)
class AccountData:
    """As the pool's `getUserAccountData` answers. Amounts in the oracle's base currency (8 decimals)."""

    collateral_base: int
    debt_base: int
    available_base: int
    threshold_bps: int
    ltv_bps: int
    health_wad: int
    """UINT256_MAX without debt."""
    has_collateral_without_ltv: bool


def account_data(reserves: Iterable[Reserve], account: Account, category: Category | None) -> AccountData:
    """Totals over all `reserves`, which must be accrued to one and the same second."""
    collateral_base = debt_base = weighted_ltv = weighted_threshold = 0
    without_ltv = False
    for reserve in reserves:
        unit = 10**reserve.settings.decimals
        if account.uses_as_collateral(reserve):
            supplied = reserve.supplied_down(account.supplied_scaled[reserve.token])
            value = mul_div_down(supplied, reserve.price, unit)
            collateral_base += value
            ltv_bps, threshold_bps = limits_bps(reserve, category)
            without_ltv |= ltv_bps == 0
            weighted_ltv += value * ltv_bps
            weighted_threshold += value * threshold_bps
        if account.borrows(reserve):
            owed = reserve.owed_up(account.debt_scaled[reserve.token])
            debt_base += mul_div_up(owed, reserve.price, unit)
    if debt_base == 0:
        health_wad = UINT256_MAX
    else:
        health_wad = (weighted_threshold * HEALTH_ONE_WAD + debt_base // 2) // debt_base // BPS
    ltv_bps = weighted_ltv // collateral_base if collateral_base else 0
    return AccountData(
        collateral_base=collateral_base,
        debt_base=debt_base,
        available_base=max(0, mul_div_down(collateral_base, ltv_bps, BPS) - debt_base),
        threshold_bps=weighted_threshold // collateral_base if collateral_base else 0,
        ltv_bps=ltv_bps,
        health_wad=health_wad,
        has_collateral_without_ltv=without_ltv,
    )


def limits_bps(reserve: Reserve, category: Category | None) -> tuple[int, int]:
    """Loan to value and liquidation threshold of a token as collateral."""
    if category is None or not category.holds(reserve):
        return reserve.settings.ltv_bps, reserve.settings.threshold_bps
    has_no_ltv = category.no_ltv_bitmap >> reserve.number & 1 == 1
    return 0 if has_no_ltv else category.ltv_bps, category.threshold_bps


def percent_up(amount: int, share_bps: int) -> int:
    return mul_div_up(amount, share_bps, BPS)


def _compounded_ray(rate_ray: int, elapsed_s: int) -> int:
    """The first terms of the exponential, in the contract's order of rounding."""
    x = rate_ray * elapsed_s // _YEAR_S
    return RAY + x + _ray_mul_nearest(x, x // 2 + _ray_mul_nearest(x, x // 6))


def _ray_mul_nearest(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def _ray_div_nearest(a: int, b: int) -> int:
    return (a * RAY + b // 2) // b


def _percent_nearest(amount: int, share_bps: int) -> int:
    return (amount * share_bps + BPS // 2) // BPS
