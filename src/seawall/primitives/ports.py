"""What is injected everywhere: the clock, randomness, and a way to run slow native calls off the loop."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

__all__ = ["Clock", "Entropy", "InlineOffload", "Offload", "SystemClock", "SystemEntropy", "ThreadOffload"]

T = TypeVar("T")


class Clock(Protocol):
    def now_s(self) -> int:
        """UTC seconds since 1970."""
        ...

    def monotonic_s(self) -> float:
        """For durations only."""
        ...

    async def sleep_s(self, duration_s: float) -> None: ...


class Entropy(Protocol):
    def token(self, size: int) -> bytes:
        """`size` unpredictable bytes."""
        ...


class Offload(Protocol):
    async def __call__(self, work: Callable[[], T]) -> T:
        """Run `work` without holding up the loop."""
        ...


class SystemClock:
    def now_s(self) -> int:
        return int(time.time())

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


class SystemEntropy:
    def token(self, size: int) -> bytes:
        return secrets.token_bytes(size)


class ThreadOffload:
    """Native calls release the GIL, so a thread of the default pool runs them beside the loop."""

    async def __call__(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(None, work)


class InlineOffload:
    """For the world simulator: everything happens on the one seeded loop."""

    async def __call__(self, work: Callable[[], T]) -> T:
        return work()
