"""Shares of a Uniswap V2 pair (and forks): what they cost, what they pay out, and the protocol's part.

Formulas are those of the pair itself (`mint`, `burn`, `_mintFee`), which looks at its *balances*, not only at
its reserves: coins that somebody left there count for whoever comes next. Before either, the pair mints to
its protocol the part of the grown square root of k that the protocol claims.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from seawall.markets.errors import AmountError, InsufficientLiquidityError, PoolStateError
from seawall.markets.uniswap_v2 import RESERVE_MAX, V2Pool
from seawall.primitives.bounds import UINT256_MAX

__all__ = ["LOCKED_SHARES", "SIXTH", "ProtocolCut", "V2Shares"]

LOCKED_SHARES = 1_000
"""Minted to nobody with the first liquidity."""


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

    pool: V2Pool
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
    claims: bool = False
    """Whether somebody is named to receive the protocol's part."""
    cut: ProtocolCut = SIXTH

    def __post_init__(self) -> None:
        if self.balance0 < self.pool.reserve0 or self.balance1 < self.pool.reserve1:
            raise PoolStateError(
                what="the pair holds less than its reserves",
                where=f"V2 pair {self.pool.address.hex()}",
                fix="read the pair at one block; a token that shrinks balances cannot be quoted",
            )

    def minted_down(self, amount0: int, amount1: int) -> int:
        """Shares for bringing both amounts; what is out of proportion is given away."""
        balance0, balance1 = self.balance0 + amount0, self.balance1 + amount1
        if amount0 <= 0 or amount1 <= 0 or max(balance0, balance1) > RESERVE_MAX:
            raise self._refused(
                f"amounts {amount0}, {amount1} are not positive, or too large", "bring other amounts"
            )
        brought0, brought1 = balance0 - self.pool.reserve0, balance1 - self.pool.reserve1
        supply = self._supply_after_protocol()
        if supply == 0:
            minted = isqrt(brought0 * brought1) - LOCKED_SHARES
        elif self.pool.reserve0 == 0 or self.pool.reserve1 == 0:
            raise InsufficientLiquidityError(
                what="the pair has no liquidity", where=self._where(), fix="use another pool"
            )
        else:
            if max(brought0, brought1) * supply > UINT256_MAX:
                raise self._refused(f"amounts {amount0}, {amount1} overflow", "bring less")
            minted = min(brought0 * supply // self.pool.reserve0, brought1 * supply // self.pool.reserve1)
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

    def _supply_after_protocol(self) -> int:
        if not self.claims or self.k_last == 0:
            return self.supply
        root = isqrt(self.pool.reserve0 * self.pool.reserve1)
        root_last = isqrt(self.k_last)
        if root <= root_last:
            return self.supply
        claimed = self.supply * (root - root_last) * self.cut.numerator
        return self.supply + claimed // (root * self.cut.denominator + root_last * self.cut.numerator)

    def _refused(self, what: str, fix: str) -> AmountError:
        return AmountError(what=what, where=self._where(), fix=fix)

    def _where(self) -> str:
        return f"V2 pair {self.pool.address.hex()}"
