"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is ready."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

__all__ = ["Stuck", "VirtualClock", "VirtualEntropy", "VirtualLoop"]

EPOCH_S = 1_800_000_000


class Stuck(RuntimeError):
    """Nothing is ready and no timer will ever fire: the kernel waits for something that cannot come."""


class _VirtualSelector(selectors.BaseSelector):
    """Never waits: a wait of t seconds moves the clock by t. Nothing outside the process exists."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._files: dict[Any, selectors.SelectorKey] = {}

    @override
    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = selectors.SelectorKey(
            fileobj, fileobj if isinstance(fileobj, int) else fileobj.fileno(), events, data
        )
        self._files[fileobj] = key
        return key

    @override
    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._files.pop(fileobj)

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck("no task is ready and no timer is set")
        self.now_s += max(0.0, timeout)
        return []

    @override
    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._files


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    @override
    def time(self) -> float:
        return self._virtual.now_s


class VirtualClock:
    """The injected clock, on the loop's virtual time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def now_s(self) -> int:
        return EPOCH_S + int(self._loop.time())

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)


class VirtualEntropy:
    """Unpredictable to the kernel, exact to the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def token(self, size: int) -> bytes:
        return self._rng.randbytes(size)
