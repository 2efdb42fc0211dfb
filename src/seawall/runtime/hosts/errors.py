"""Leaves of the error tree below `StrategyError`."""

from __future__ import annotations

from seawall.primitives.errors import StrategyError

__all__ = ["StrategyInterruptedError", "StrategyNotRunningError"]


class StrategyInterruptedError(StrategyError):
    """The host ended through no fault of this strategy, which starts anew: observe again."""


class StrategyNotRunningError(StrategyError):
    """The strategy is starting, waits to be restarted, or was stopped; nothing was asked of it."""
