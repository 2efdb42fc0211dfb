"""The leaves of `MarketError`: why a quote cannot be had exactly.

Every refusal is an answer. None of them is ever replaced by an estimate.
"""

from __future__ import annotations

from seawall.primitives.errors import MarketError

__all__ = [
    "AmountError",
    "InsufficientLiquidityError",
    "MarketError",
    "PathError",
    "PoolStateError",
    "PriceLimitError",
    "TooManyStepsError",
    "UnknownTicksError",
]


class AmountError(MarketError):
    """The amount is zero, negative, or larger than the contract's integers."""


class InsufficientLiquidityError(MarketError):
    """The pool cannot fill the whole amount."""


class PathError(MarketError):
    """The swaps do not follow each other."""


class PriceLimitError(MarketError):
    """The price limit lies on the wrong side of the price, or outside the range of prices."""


class UnknownTicksError(MarketError):
    """The swap needs ticks that nobody has read."""


class TooManyStepsError(MarketError):
    """The swap takes more steps than fit into one transaction."""


class PoolStateError(MarketError):
    """The pool's state contradicts itself, as after a torn or wrong read."""
