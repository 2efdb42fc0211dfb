"""Token buckets: what may be asked of an endpoint a second, and how many reads may be asked twice.

A bucket fills at its rate up to its burst. More than the burst at once is admitted when the bucket is full,
and owed afterwards, so that one large batch is neither refused for ever nor free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from seawall.chain.pool.settings import EndpointSettings

__all__ = ["BURST_S", "Budget", "ShareBucket", "TokenBucket"]

# A bucket holds what its rate gives in this time.
BURST_S: Final = 1.0


class _Request(Protocol):
    @property
    def method(self) -> str: ...


class TokenBucket:
    """`rate_per_s` tokens a second, `burst` at most."""

    __slots__ = ("_at_s", "_burst", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        assert rate_per_s > 0
        assert burst > 0
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._tokens = burst
        self._at_s = now_s

    def wait_s(self, amount: float, now_s: float) -> float:
        """Until `amount` may be taken [s]."""
        self._fill(now_s)
        missing = min(amount, self._burst) - self._tokens
        return max(missing / self._rate_per_s, 0.0)

    def take(self, amount: float, now_s: float) -> None:
        """Take them; what is not there is owed."""
        self._fill(now_s)
        self._tokens -= amount

    def _fill(self, now_s: float) -> None:
        elapsed_s = max(now_s - self._at_s, 0.0)
        self._at_s = max(now_s, self._at_s)
        self._tokens = min(self._tokens + elapsed_s * self._rate_per_s, self._burst)


class ShareBucket:
    """Filled by what is spent elsewhere: at most `share` of it in the long run, and `burst` at once."""

    __slots__ = ("_burst", "_share", "_tokens")

    def __init__(self, share: float, burst: float) -> None:
        self._share = share
        self._burst = burst
        self._tokens = burst

    def earn(self, spent: float) -> None:
        self._tokens = min(self._tokens + spent * self._share, self._burst)

    def take(self, amount: float) -> bool:
        """Take them if they are there."""
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True


class Budget:
    """What the provider of one endpoint allows: calls and units a second."""

    __slots__ = ("_calls", "_settings", "_units")

    def __init__(self, settings: EndpointSettings, now_s: float) -> None:
        self._settings = settings
        self._calls = _bucket(settings.requests_per_s, now_s)
        self._units = _bucket(settings.units_per_s, now_s)

    @staticmethod
    def of(settings: EndpointSettings, now_s: float) -> Budget | None:
        """None where nothing is limited."""
        if not (settings.requests_per_s or settings.units_per_s):
            return None
        return Budget(settings, now_s)

    def wait_s(self, requests: Sequence[_Request], now_s: float) -> float:
        """Until `requests` may be sent [s]."""
        wait_s = 0.0
        if self._calls is not None:
            wait_s = self._calls.wait_s(len(requests), now_s)
        if self._units is not None:
            wait_s = max(wait_s, self._units.wait_s(self._units_of(requests), now_s))
        return wait_s

    def take(self, requests: Sequence[_Request], now_s: float) -> None:
        if self._calls is not None:
            self._calls.take(len(requests), now_s)
        if self._units is not None:
            self._units.take(self._units_of(requests), now_s)

    def _units_of(self, requests: Sequence[_Request]) -> int:
        return sum(self._settings.units_of(request.method) for request in requests)


def _bucket(rate_per_s: int, now_s: float) -> TokenBucket | None:
    return TokenBucket(rate_per_s, rate_per_s * BURST_S, now_s) if rate_per_s else None
