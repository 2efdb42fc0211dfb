"""The books of one Morpho Blue market: interest by the adaptive curve, shares, health, to the wei.

A `MorphoMarket` is what the contract last wrote; `accrued` brings it to a later second, as the contract does
before every action that moves loan tokens. Virtual shares and assets are part of every conversion.

The rate model is Morpho's own AdaptiveCurveIrm: it holds a rate for a usage of 90 %, which drifts by how far
and how long usage is off that. Its divisions truncate towards zero, those of negative numbers too.

Not here: liquidations, other rate models.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from seawall.markets.errors import PoolStateError
from seawall.primitives.units import mul_div_down, mul_div_up

__all__ = ["PRICE_SCALE", "WAD", "MorphoAccount", "MorphoMarket", "borrow_rate", "w_exp"]

WAD: Final = 10**18
PRICE_SCALE: Final = 10**36

_VIRTUAL_SHARES: Final = 10**6
_VIRTUAL_ASSETS: Final = 1
_YEAR_S: Final = 365 * 86_400
_RAY_OF_WAD: Final = 10**9
_FEE_MAX_WAD: Final = WAD // 4

# Of the adaptive curve.
_STEEPNESS: Final = 4 * WAD
_SPEED: Final = 50 * WAD // _YEAR_S
_TARGET_USAGE: Final = 9 * WAD // 10
_RATE_INITIAL: Final = 4 * WAD // 100 // _YEAR_S
_RATE_MIN: Final = WAD // 1_000 // _YEAR_S
_RATE_MAX: Final = 2 * WAD // _YEAR_S

# Of its exponential.
_LN_2: Final = 693_147_180_559_945_309
_LN_WEI: Final = -41_446_531_673_892_822_312
_EXP_BOUND: Final = 93_859_467_695_000_404_319
_EXP_AT_BOUND: Final = 57_716_089_161_558_943_949_701_069_502_944_508_345_128_422_502_756_744_429_568


@dataclass(frozen=True, slots=True)
class MorphoMarket:
    """Totals in the loan token and in shares of it."""

    supply_assets: int
    supply_shares: int
    borrow_assets: int
    borrow_shares: int
    updated_s: int
    fee_wad: int
    rate_at_target_wad: int
    """Per second; 0 before the first use."""

    def __post_init__(self) -> None:
        if self.borrow_assets > self.supply_assets or self.updated_s == 0:
            raise PoolStateError("there is no such market", "Morpho market", "check its parameters")
        if not 0 <= self.rate_at_target_wad <= _RATE_MAX or not 0 <= self.fee_wad <= _FEE_MAX_WAD:
            raise PoolStateError(
                f"a rate of {self.rate_at_target_wad} with a fee of {self.fee_wad} cannot be",
                "Morpho market",
                "check the address of the rate model",
            )

    @property
    def liquidity(self) -> int:
        return self.supply_assets - self.borrow_assets

    def accrued(self, now_s: int) -> tuple[MorphoMarket, int]:
        """At a later second, and the shares that the fee's recipient got for it."""
        elapsed_s = now_s - self.updated_s
        assert elapsed_s >= 0, "time does not run backwards"
        if elapsed_s == 0:
            return self, 0
        rate_wad, rate_at_target = borrow_rate(self, elapsed_s)
        interest = mul_div_down(self.borrow_assets, _compounded_wad(rate_wad, elapsed_s), WAD)
        supply_assets = self.supply_assets + interest
        fee = mul_div_down(interest, self.fee_wad, WAD)
        fee_shares = mul_div_down(
            fee, self.supply_shares + _VIRTUAL_SHARES, supply_assets - fee + _VIRTUAL_ASSETS
        )
        later = replace(
            self,
            supply_assets=supply_assets,
            supply_shares=self.supply_shares + fee_shares,
            borrow_assets=self.borrow_assets + interest,
            updated_s=now_s,
            rate_at_target_wad=rate_at_target,
        )
        return later, fee_shares

    def supplied(self, assets: int, shares: int) -> MorphoMarket:
        """After `assets` came for `shares`; both negative for a withdrawal."""
        return replace(
            self, supply_assets=self.supply_assets + assets, supply_shares=self.supply_shares + shares
        )

    def borrowed(self, assets: int, shares: int) -> MorphoMarket:
        """After `assets` left for `shares` of debt; both negative for a repayment."""
        left = max(0, self.borrow_assets + assets)
        return replace(self, borrow_assets=left, borrow_shares=self.borrow_shares + shares)

    def supply_shares_down(self, assets: int) -> int:
        return mul_div_down(assets, *self._shares_per_asset_supplied())

    def supply_shares_up(self, assets: int) -> int:
        return mul_div_up(assets, *self._shares_per_asset_supplied())

    def supply_assets_down(self, shares: int) -> int:
        return mul_div_down(shares, *reversed(self._shares_per_asset_supplied()))

    def borrow_shares_up(self, assets: int) -> int:
        return mul_div_up(assets, *self._shares_per_asset_borrowed())

    def borrow_shares_down(self, assets: int) -> int:
        return mul_div_down(assets, *self._shares_per_asset_borrowed())

    def borrow_assets_up(self, shares: int) -> int:
        return mul_div_up(shares, *reversed(self._shares_per_asset_borrowed()))

    def rates_ray(self) -> tuple[int, int]:
        """Yearly, of supply and of debt, as they are now that interest is accrued."""
        rate_wad, _ = borrow_rate(self, 0)
        borrow_ray = rate_wad * _YEAR_S * _RAY_OF_WAD
        if self.supply_assets == 0:
            return 0, borrow_ray
        earned = mul_div_down(borrow_ray, self.borrow_assets, self.supply_assets)
        return mul_div_down(earned, WAD - self.fee_wad, WAD), borrow_ray

    def _shares_per_asset_supplied(self) -> tuple[int, int]:
        return self.supply_shares + _VIRTUAL_SHARES, self.supply_assets + _VIRTUAL_ASSETS

    def _shares_per_asset_borrowed(self) -> tuple[int, int]:
        return self.borrow_shares + _VIRTUAL_SHARES, self.borrow_assets + _VIRTUAL_ASSETS


@dataclass(frozen=True, slots=True)
class MorphoAccount:
    supply_shares: int
    borrow_shares: int
    collateral: int  # [smallest unit of the collateral token]

    def is_healthy(self, market: MorphoMarket, price: int, lltv_wad: int) -> bool:
        """Whether the debt is within the limit; `price` is of collateral in loan tokens, times 1e36."""
        return self.borrow_shares == 0 or self.debt_limit_down(price, lltv_wad) >= market.borrow_assets_up(
            self.borrow_shares
        )

    def debt_limit_down(self, price: int, lltv_wad: int) -> int:
        """What may be owed at most [smallest unit of the loan token]."""
        return mul_div_down(mul_div_down(self.collateral, price, PRICE_SCALE), lltv_wad, WAD)


def borrow_rate(market: MorphoMarket, elapsed_s: int) -> tuple[int, int]:
    """The average rate over the last `elapsed_s` and the rate at target after it, per second [wad]."""
    usage = mul_div_down(market.borrow_assets, WAD, market.supply_assets) if market.supply_assets else 0
    width = WAD - _TARGET_USAGE if usage > _TARGET_USAGE else _TARGET_USAGE
    error = _div_to_zero((usage - _TARGET_USAGE) * WAD, width)
    start = market.rate_at_target_wad
    if start == 0:
        return _on_curve(_RATE_INITIAL, error), _RATE_INITIAL
    drift = _div_to_zero(_SPEED * error, WAD) * elapsed_s
    if drift == 0:
        return _on_curve(start, error), start
    end = _drifted(start, drift)
    middle = _drifted(start, _div_to_zero(drift, 2))
    return _on_curve((start + end + 2 * middle) // 4, error), end


def w_exp(x: int) -> int:
    """e^x by the model's own approximation [wad]."""
    if x < _LN_WEI:
        return 0
    if x >= _EXP_BOUND:
        return _EXP_AT_BOUND
    half = _LN_2 // 2
    power = _div_to_zero(x + (-half if x < 0 else half), _LN_2)
    rest = x - power * _LN_2
    value = WAD + rest + rest * rest // WAD // 2
    return value << power if power >= 0 else value >> -power


def _on_curve(rate_at_target: int, error: int) -> int:
    slope = WAD - WAD * WAD // _STEEPNESS if error < 0 else _STEEPNESS - WAD
    return _div_to_zero((_div_to_zero(slope * error, WAD) + WAD) * rate_at_target, WAD)


def _drifted(rate_at_target: int, drift: int) -> int:
    return min(max(rate_at_target * w_exp(drift) // WAD, _RATE_MIN), _RATE_MAX)


def _compounded_wad(rate_wad: int, elapsed_s: int) -> int:
    first = rate_wad * elapsed_s
    second = mul_div_down(first, first, 2 * WAD)
    return first + second + mul_div_down(second, first, 3 * WAD)


def _div_to_zero(a: int, b: int) -> int:
    return a // b if a >= 0 else -(-a // b)
