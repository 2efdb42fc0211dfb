"""Blocking libraries that reach a key: each signer has a few threads of its own.

The loop's common threads serve every room; a key service that hangs in one of those would in the end hang
them all. Here a hang costs its own signer's threads only, until the library's own time-out ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, final

__all__ = ["THREADS_MAX", "OwnThreads"]

THREADS_MAX: Final = 4

T = TypeVar("T")


@final
class OwnThreads:
    """Started at the first call."""

    __slots__ = ("_name", "_pool")

    def __init__(self, name: str) -> None:
        self._name = name
        self._pool: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> T:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix=self._name)
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def close(self) -> None:
        """Nothing more is begun; what runs is not waited for."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
