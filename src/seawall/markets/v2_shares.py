"""Shares of a Uniswap V2 pair (and forks): what they cost, what they pay out, and the protocol's part.

Formulas are those of the pair itself (`mint`, `burn`, `_mintFee`), which looks at its *balances*, not only at
its reserves: coins that somebody left there count for whoever comes next. Before either, the pair mints to
its protocol the part of the grown square root of k that the protocol claims. The first liquidity of a pair,
which sets its price, is not quoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.markets.uniswap_v2 import RESERVE_MAX
from seawall.primitives.bounds import UINT256_MAX
from seawall.primitives.units import Address, address_text

__all__ = ["SIXTH", "ProtocolCut", "V2Shares"]


@dataclass(frozen=True, slots=True)
class ProtocolCut:
    """The part of the growth that the protocol claims: numerator / (numerator + denominator)."""

    numerator: int
    denominator: int


SIXTH = ProtocolCut(1, 5)
"""Uniswap's, and of most forks."""


@dataclass(frozen=True, slots=True)
class V2Shares:
    """A pair's shares at one block."""

    pair: Address
    reserve0: int
    """[token0 units]"""
    reserve1: int
    """[token1 units]"""
    balance0: int
    """What the pair holds, reserves included [token0 units]."""
    balance1: int
    """[token1 units]"""
    supply: int
    """[shares]"""
    stray: int = 0
    """Shares that the pair itself holds: the next burn takes them along."""
    k_last: int = 0
    """Product of the reserves when the protocol was last paid; 0 where it claims nothing."""
    cut: ProtocolCut | None = None
    """None where nobody is named to receive the protocol's part."""
    reserve_max: int = RESERVE_MAX

    def __post_init__(self) -> None:
        if self.balance0 < self.reserve0 or self.balance1 < self.reserve1:
            raise PoolStateError(
                what="the pair holds less than its reserves",
                where=self._where(),
                fix="read the pair at one block; a token that shrinks balances cannot be quoted",
            )

    def minted_down(self, amount0: int, amount1: int) -> int:
        """Shares for bringing both amounts; what is out of proportion is given away."""
        balance0, balance1 = self.balance0 + amount0, self.balance1 + amount1
        if amount0 <= 0 or amount1 <= 0 or max(balance0, balance1) > self.reserve_max:
            raise self._refused(
                f"amounts {amount0}, {amount1} are not positive, or too large", "bring other amounts"
            )
        brought0, brought1 = balance0 - self.reserve0, balance1 - self.reserve1
        supply = self._supply_after_protocol()
        if supply == 0 or self.reserve0 == 0 or self.reserve1 == 0:
            raise InsufficientLiquidityError(
                what="the pair has no liquidity", where=self._where(), fix="use another pool"
            )
        if max(brought0, brought1) * supply > UINT256_MAX:
            raise self._refused(f"amounts {amount0}, {amount1} overflow", "bring less")
        minted = min(brought0 * supply // self.reserve0, brought1 * supply // self.reserve1)
        if minted <= 0:
            raise self._refused(f"amounts {amount0}, {amount1} buy no share", "bring more")
        return minted

    def burned_down(self, shares: int) -> tuple[int, int]:
        """Both amounts for giving back `shares`."""
        supply = self._supply_after_protocol()
        if not 0 < shares <= supply - self.stray:
            raise self._refused(f"{shares} shares are not among the {supply} that exist", "give back less")
        burned = shares + self.stray
        amounts = (burned * self.balance0 // supply, burned * self.balance1 // supply)
        if 0 in amounts:
            raise self._refused(f"{shares} shares are worth nothing of one token", "give back more")
        return amounts

    def stray_coins(self, of_token0: bool) -> int:
        """What lies in the pair beside its reserve [units of that token]."""
        return self.balance0 - self.reserve0 if of_token0 else self.balance1 - self.reserve1

    def _supply_after_protocol(self) -> int:
        if self.cut is None or self.k_last == 0:
            return self.supply
        root = isqrt(self.reserve0 * self.reserve1)
        root_last = isqrt(self.k_last)
        if root <= root_last:
            return self.supply
        claimed = self.supply * (root - root_last) * self.cut.numerator
        return self.supply + claimed // (root * self.cut.denominator + root_last * self.cut.numerator)

    def _refused(self, what: str, fix: str) -> AmountError:
        return AmountError(what=what, where=self._where(), fix=fix)

    def _where(self) -> str:
        return f"pair {address_text(self.pair)}"
