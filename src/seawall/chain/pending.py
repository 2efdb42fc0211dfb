"""Feeds of what comes before a block: what they have in common.

A source (`pending_pool`, `pending_hints`, `pending_sequencer`) listens at one address until it is cancelled,
and gives each thing that it hears once to its listeners, as a `Heard`. A source that is away loses what was
said meanwhile: nothing depends on sightings being complete, so nothing is asked again; that it was away is
counted as a gap. Everything is bounded: the size of a message, what is remembered to tell repeats, and what
waits for a listener (`Waiting`), where the oldest is dropped first and counted.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeVar

import aiohttp

from seawall.chain.endpoints import Endpoint
from seawall.primitives.errors import ChainError
from seawall.primitives.ports import Clock
from seawall.primitives.sightings import Sighting

__all__ = [
    "CALLDATA_BYTES_MAX",
    "SIGHTINGS_WAITING_MAX",
    "Heard",
    "Listener",
    "PendingSource",
    "Remembered",
    "Standing",
    "Waiting",
    "kept_alive",
]

# What waits for one listener: beyond it the oldest is dropped, since it is the least worth.
SIGHTINGS_WAITING_MAX: Final = 1_000
# Calldata of a sighting is cut to this: what is larger is not decoded by anybody in time.
CALLDATA_BYTES_MAX: Final = 32 * 1024
REMEMBERED_MAX: Final = 20_000
PAUSE_FIRST_S: Final = 0.5
PAUSE_MAX_S: Final = 30.0

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Heard:
    """A sighting, with the moment in which it was heard [s, monotonic]; its age is not told yet."""

    sighting: Sighting
    at_s: float


Listener = Callable[[Heard], None]


@dataclass(slots=True)
class Standing:
    """How a source stands, for health and metrics."""

    is_connected: bool = False
    opens: int = 0
    heard: int = 0
    dropped: int = 0  # malformed, too large, or more than could be looked up
    gaps: int = 0  # times that something is known to have been missed
    trouble: str = ""


class PendingSource(Protocol):
    """One feed, by its name in the configuration."""

    @property
    def name(self) -> str: ...

    @property
    def standing(self) -> Standing: ...

    async def run(self) -> None:
        """Listen until cancelled."""
        ...


class Remembered:
    """Tells what was there before, of the newest `REMEMBERED_MAX`."""

    def __init__(self) -> None:
        self._known: OrderedDict[object, None] = OrderedDict()

    def is_new(self, what: object) -> bool:
        if what in self._known:
            return False
        self._known[what] = None
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)
        return True


class Waiting:
    """What one listener has not taken yet."""

    def __init__(self) -> None:
        self._heard: deque[Heard] = deque()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._heard)

    def add(self, heard: Heard) -> None:
        self._heard.append(heard)
        if len(self._heard) > SIGHTINGS_WAITING_MAX:
            self._heard.popleft()
            self.dropped += 1

    def take(self, clock: Clock) -> tuple[tuple[Sighting, ...], int]:
        """Everything, oldest first, with its age by now; and how many were dropped since the last time."""
        now_s = clock.monotonic_s()
        taken = tuple(
            replace(one.sighting, age_ms=max(0, int((now_s - one.at_s) * 1_000))) for one in self._heard
        )
        dropped, self.dropped = self.dropped, 0
        self._heard.clear()
        return taken, dropped


async def kept_alive(
    listen: Callable[[], Awaitable[None]], standing: Standing, endpoint: Endpoint, clock: Clock
) -> None:
    """Call `listen` again whenever it ends, after a pause that grows while it never connects."""
    pause_s = PAUSE_FIRST_S
    while True:
        standing.trouble = "the other side closed the connection"
        try:
            await listen()
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ChainError) as error:
            standing.trouble = endpoint.scrub(f"{type(error).__name__}: {error}")
        finally:
            was_connected, standing.is_connected = standing.is_connected, False
        if was_connected:
            standing.gaps += 1
        pause_s = PAUSE_FIRST_S if was_connected else min(pause_s * 2, PAUSE_MAX_S)
        await clock.sleep_s(pause_s)
        await asyncio.sleep(0)
