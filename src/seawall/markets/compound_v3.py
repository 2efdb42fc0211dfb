"""Compound V3 (Comet) arithmetic: principals and balances, indices over time, kinked rates, collateral value.

Formulas are those of Comet: indices are scaled by 1e15, factors and rates (per second) by 1e18, prices have 8
decimals. A *principal* is what an account's balance was worth at index one: positive for lenders, negative
for borrowers. Balances round down in size; a new principal rounds against the account.

Not done here: rewards, absorption.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from seawall.primitives.units import ceil_div

__all__ = [
    "FACTOR_SCALE",
    "INDEX_SCALE",
    "CometAsset",
    "CometBase",
    "InterestCurve",
    "collateral_liquidity",
]

INDEX_SCALE: Final = 10**15
FACTOR_SCALE: Final = 10**18


@dataclass(frozen=True, slots=True)
class InterestCurve:
    """Rate over utilisation, two straight lines that meet at the kink. [wad per second]"""

    kink: int  # [wad]
    base: int
    slope_low: int
    slope_high: int

    def rate_down(self, utilization_wad: int) -> int:
        if utilization_wad <= self.kink:
            return self.base + self.slope_low * utilization_wad // FACTOR_SCALE
        low = self.slope_low * self.kink // FACTOR_SCALE
        return self.base + low + self.slope_high * (utilization_wad - self.kink) // FACTOR_SCALE


@dataclass(frozen=True, slots=True)
class CometBase:
    """Totals of the base token. Indices only grow."""

    supply_index: int
    borrow_index: int
    lent: int  # sum of principals of lenders
    owed: int  # sum of principals of borrowers, as a positive number
    supply_curve: InterestCurve
    borrow_curve: InterestCurve

    @property
    def utilization_wad(self) -> int:
        supplied = self.lent * self.supply_index // INDEX_SCALE
        borrowed = self.owed * self.borrow_index // INDEX_SCALE
        return borrowed * FACTOR_SCALE // supplied if supplied else 0

    @property
    def supply_rate(self) -> int:
        """[wad per second]"""
        return self.supply_curve.rate_down(self.utilization_wad)

    @property
    def borrow_rate(self) -> int:
        """[wad per second]"""
        return self.borrow_curve.rate_down(self.utilization_wad)

    def accrued(self, elapsed_s: int) -> CometBase:
        """After so many seconds in which nothing happened."""
        if elapsed_s <= 0:
            return self
        supply, borrow = self.supply_rate, self.borrow_rate
        return replace(
            self,
            supply_index=self.supply_index + self.supply_index * (supply * elapsed_s) // FACTOR_SCALE,
            borrow_index=self.borrow_index + self.borrow_index * (borrow * elapsed_s) // FACTOR_SCALE,
        )

    def balance_of(self, principal: int) -> int:
        """Signed: what is lent rounds down, and so does what is owed. [base units]"""
        if principal >= 0:
            return principal * self.supply_index // INDEX_SCALE
        return -(-principal * self.borrow_index // INDEX_SCALE)

    def principal_of(self, balance: int) -> int:
        """Signed: rounds down for a lender, up in size for a borrower."""
        if balance >= 0:
            return balance * INDEX_SCALE // self.supply_index
        return -ceil_div(-balance * INDEX_SCALE, self.borrow_index)

    def moved(self, principal: int, change: int) -> tuple[int, CometBase]:
        """An account's principal, and the totals, once its balance has moved by `change` base units."""
        moved = self.principal_of(self.balance_of(principal) + change)
        # Where rounding turns a principal against the movement, Comet leaves the totals as they are.
        if (moved < principal) if change >= 0 else (moved > principal):
            return moved, self
        return moved, replace(
            self,
            lent=self.lent + max(moved, 0) - max(principal, 0),
            owed=self.owed + max(-moved, 0) - max(-principal, 0),
        )


@dataclass(frozen=True, slots=True)
class CometAsset:
    """One collateral."""

    price: int  # [8 decimals]
    scale: int  # smallest units in one token
    borrow_factor: int  # how much of its value may be borrowed [wad]
    liquidate_factor: int  # ... before the account is liquidatable [wad]
    liquidation_factor: int  # how much of its value absorption credits [wad]
    supply_cap: int  # [smallest unit]
    supplied: int  # all accounts together [smallest unit]

    def weighted_value_down(self, amount: int, factor: int) -> int:
        """[8 decimals]"""
        return amount * self.price // self.scale * factor // FACTOR_SCALE


def collateral_liquidity(
    balance: int, base_price: int, base_scale: int, weighted_values: Iterable[int]
) -> int:
    """What is left of weighted collateral after a signed base balance; below zero is too little. [8 decimals]

    A debt's value rounds towards zero, as Comet's does.
    """
    owed = -(-balance * base_price // base_scale) if balance < 0 else balance * base_price // base_scale
    return owed + sum(weighted_values)
