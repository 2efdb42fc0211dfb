"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is ready.

On it, machines: what a kernel knows of time, and what stops when a machine stops.
"""

from __future__ import annotations

import asyncio
import random
import selectors
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

__all__ = ["EPOCH_S", "Machine", "Stuck", "VirtualEntropy", "VirtualLoop", "Wall"]

EPOCH_S = 1_800_000_000


class Stuck(RuntimeError):  # noqa: N818
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


@dataclass(slots=True)
class Wall:
    """What clocks on walls show: virtual time, and by how much they are wrong at the moment."""

    loop: VirtualLoop
    skew_s: int = 0
    stands_at_s: int | None = None  # a clock that has stopped shows this

    def now_s(self) -> int:
        if self.stands_at_s is not None:
            return self.stands_at_s
        return EPOCH_S + int(self.loop.time()) + self.skew_s


class Machine:
    """The computer that one kernel runs on. Fulfils `Clock`; while it is frozen, nothing on it goes on.

    A frozen kernel is a process that was stopped (a long pause, a suspended machine), and does not know it.
    Everything that leaves or enters a kernel waits here, so a freeze takes effect at any of its awaits.
    """

    def __init__(self, loop: VirtualLoop, wall: Wall, rng: random.Random, ahead_s: int = 0) -> None:
        self._loop, self._wall, self._rng = loop, wall, rng
        self.ahead_s = ahead_s  # of other machines' clocks
        self._running = asyncio.Event()
        self._running.set()

    def now_s(self) -> int:
        return self._wall.now_s() + self.ahead_s

    def monotonic_s(self) -> float:
        return self._loop.time()

    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.sleep(duration_s)
        await self._running.wait()

    async def delay(self, most_s: float) -> None:
        """Something takes up to `most_s`."""
        await self.sleep_s(self._rng.random() * most_s)

    @property
    def is_frozen(self) -> bool:
        return not self._running.is_set()

    def freeze(self) -> None:
        self._running.clear()

    def thaw(self) -> None:
        self._running.set()


class VirtualEntropy:
    """Unpredictable to the kernel, exact to the seed."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def token(self, size: int) -> bytes:
        return self._rng.randbytes(size)
