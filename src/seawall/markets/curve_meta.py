"""Curve metapools: one coin against the LP token of a base pool, and quotes right through to the base.

A metapool is a `StablePool` whose last rate is the base pool's virtual price (`virtual_price_rate`: cached
for ten minutes), and the base pool. Underlying coin 0 is the metapool's own, the base's coins come after it.
The base's deposit fee is approximated by half its fee, as the contract's view does it.

Not done here: trading right through, which pays the true deposit fee.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.markets.curve_stable import StablePool
from seawall.markets.errors import AmountError, PoolStateError

__all__ = ["VIRTUAL_PRICE_CACHE_S", "StableMetapool", "virtual_price_rate"]

VIRTUAL_PRICE_CACHE_S: Final = 600
_PRECISION: Final = 10**18
_FEE_DENOMINATOR: Final = 10**10


def virtual_price_rate(base: StablePool, cached: int, cached_at_s: int, now_s: int) -> int:
    """The rate of the base's LP token: the metapool's cache for ten minutes, then the base's own."""
    return base.virtual_price_down() if now_s > cached_at_s + VIRTUAL_PRICE_CACHE_S else cached


@dataclass(frozen=True, slots=True)
class StableMetapool:
    pool: StablePool
    base: StablePool

    def __post_init__(self) -> None:
        if self.pool.coins != 2:
            raise PoolStateError(
                f"a metapool of {self.pool.coins} coins",
                f"Curve pool {self.pool.name}",
                "read the pool again",
            )

    def get_dy_underlying_down(self, i: int, j: int, dx: int) -> int:
        """What the view answers for `dx` of underlying coin `i` in coin `j`; 0 is the metapool's own coin."""
        if not (0 <= i <= self.base.coins and 0 <= j <= self.base.coins) or i == j:
            raise AmountError(
                f"coins {i} and {j} are not two of {self.base.coins + 1}",
                f"Curve pool {self.pool.name}",
                "name two underlying coins",
            )
        if i > 0 and j > 0:
            return self.base.get_dy_down(i - 1, j - 1, dx)
        if i == 0:
            return self.base.withdrawn_one_down(self.pool.exchanged_down(0, 1, dx), j - 1)
        amounts = [dx if k == i - 1 else 0 for k in range(self.base.coins)]
        minted = self.base.token_amount(amounts, is_deposit=True)
        scaled = minted * self.pool.rates[1] // _PRECISION
        scaled -= scaled * self.base.fee // (2 * _FEE_DENOMINATOR)
        return self.pool.exchanged_scaled_down(1, 0, scaled)
