"""Caches for display and search, by how fast a thing changes.

    get(key, kind, load) ── fresh? ──▶ Cached(value, when it was read)
                         └─ else ONE load for all who wait, stored, handed out

How long a value is good for follows from what it is (`Volatility`): a time to live, one block (the key names
it), until somebody says that it changed, or for ever. The standard store is in this process, bounded in
entries and bytes, the least recently used leaving first; a fleet may share one (`caches_redis`). A shared
store that is away is replaced by an empty one in this process, with an event, and tried again later.

Values are kept as canonical bytes and built anew for each reader, so that nobody changes what others get.
Failures are never cached: whoever asks next loads again. A load that an invalidation overtook is handed out
to those who asked before it, and not stored.

What comes out is `Cached`, which carries no block: nothing that decides can take it. Gate, guards and
everything that signs read pinned state (`import-linter` keeps caches out of their rooms).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Generic, Protocol, TypeVar

from seawall.primitives.codec import pack, unpack
from seawall.primitives.errors import InputError, WireError
from seawall.primitives.ports import Clock
from seawall.primitives.units import Hash
from seawall.telemetry.logs import get_logger

__all__ = [
    "BYTES_MAX",
    "ENTRIES_MAX",
    "TTL_S",
    "Cache",
    "CacheKey",
    "Cached",
    "Entry",
    "LocalStore",
    "SharedStore",
    "StoreAwayError",
    "Volatility",
]

ENTRIES_MAX: Final = 10_000
BYTES_MAX: Final = 64 * 1024 * 1024
VALUE_BYTES_MAX: Final = 1024 * 1024
KEY_CHARS_MAX: Final = 200
# A shared store that failed is tried again after this.
RETRY_AFTER_S: Final = 5.0

T = TypeVar("T")
_log = get_logger(__name__)


class Volatility(StrEnum):
    """What a value is, and so how long it is good for."""

    TOKEN_PRICE = "token_price"  # noqa: S105  (a price, no secret)
    EXCHANGE_RATE = "exchange_rate"
    RISK_RESULT = "risk_result"
    GAS_ESTIMATE = "gas_estimate"  # of the block that the key names
    ABI = "abi"  # until changed
    ADDRESS = "address"  # until changed
    FINALISED = "finalised"  # of a final block that the key names: for ever


TTL_S: Final = MappingProxyType(
    {
        Volatility.TOKEN_PRICE: 60.0,
        Volatility.EXCHANGE_RATE: 30.0,
        Volatility.RISK_RESULT: 300.0,
        # Another block is another key; this only clears away what nobody asks for any more.
        Volatility.GAS_ESTIMATE: 120.0,
        Volatility.ABI: None,
        Volatility.ADDRESS: None,
        Volatility.FINALISED: None,
    }
)
_OF_A_BLOCK: Final = frozenset({Volatility.GAS_ESTIMATE, Volatility.FINALISED})


@dataclass(frozen=True, slots=True)
class CacheKey:
    """What a value is of. `name` tells it from all others of its volatility and chain."""

    volatility: Volatility
    chain_id: int
    name: str
    block_hash: Hash | None = None

    def __post_init__(self) -> None:
        if not 0 < len(self.name) <= KEY_CHARS_MAX or not self.name.isprintable():
            raise InputError(
                "the name of a cached value is empty, too long or not printable",
                f"cache, {self.volatility}",
                f"give 1 to {KEY_CHARS_MAX} characters",
            )
        if (self.block_hash is not None) != (self.volatility in _OF_A_BLOCK):
            raise InputError(
                f"{self.volatility} {'needs' if self.block_hash is None else 'has no'} block",
                f"cache, {self.name}",
                "name the block of gas estimates and of what is final, and of nothing else",
            )

    @property
    def group(self) -> str:
        return f"{self.volatility}:{self.chain_id}"

    @property
    def text(self) -> str:
        block = "" if self.block_hash is None else f":{self.block_hash.hex()}"
        return f"{self.group}{block}:{self.name}"


@dataclass(frozen=True, slots=True)
class Cached(Generic[T]):
    """A value for eyes and search. It says when it was read, and of no block that anybody may act on."""

    value: T
    read_at_s: int  # UTC [s]

    def age_s(self, now_s: int) -> int:
        return max(0, now_s - self.read_at_s)


@dataclass(frozen=True, slots=True)
class Entry:
    """As stores keep it."""

    data: bytes
    read_at_s: int


class StoreAwayError(Exception):
    """The shared store does not answer."""


class SharedStore(Protocol):
    """A store that several kernels use. Calls raise `StoreAwayError` when it does not answer in time."""

    async def get(self, key: CacheKey) -> tuple[Entry | None, int]:
        """What is there, and a ticket to put what is loaded in its place."""
        ...

    async def put(self, key: CacheKey, entry: Entry, ttl_s: float | None, ticket: int) -> None:
        """Nothing is put where an invalidation came since the ticket was given."""
        ...

    async def remove(self, key: CacheKey) -> None: ...

    async def remove_group(self, group: str) -> None: ...

    async def close(self) -> None: ...


class LocalStore:
    """In this process, bounded; the least recently used leaves first."""

    def __init__(self, clock: Clock, *, entries_max: int = ENTRIES_MAX, bytes_max: int = BYTES_MAX) -> None:
        assert entries_max > 0
        assert bytes_max >= VALUE_BYTES_MAX
        self._clock = clock
        self._entries_max = entries_max
        self._bytes_max = bytes_max
        self._entries: OrderedDict[CacheKey, tuple[Entry, float | None]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: CacheKey) -> Entry | None:
        found = self._entries.get(key)
        if found is None:
            return None
        entry, until_s = found
        if until_s is not None and self._clock.monotonic_s() >= until_s:
            self.remove(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: CacheKey, entry: Entry, ttl_s: float | None) -> None:
        self.remove(key)
        until_s = None if ttl_s is None else self._clock.monotonic_s() + ttl_s
        self._entries[key] = (entry, until_s)
        self._bytes += len(entry.data)
        while len(self._entries) > self._entries_max or self._bytes > self._bytes_max:
            _, (oldest, _) = self._entries.popitem(last=False)
            self._bytes -= len(oldest.data)

    def remove(self, key: CacheKey) -> None:
        found = self._entries.pop(key, None)
        if found is not None:
            self._bytes -= len(found[0].data)

    def remove_group(self, group: str) -> None:
        for key in [key for key in self._entries if key.group == group]:
            self.remove(key)

    def clear(self) -> None:
        self._entries.clear()
        self._bytes = 0


@dataclass(slots=True, eq=False)
class _Flight:
    """A load under way, and whether an invalidation overtook it."""

    task: asyncio.Future[Entry]
    _is_overtaken: bool = False

    def overtake(self) -> None:
        self._is_overtaken = True

    def is_overtaken(self) -> bool:
        return self._is_overtaken


@dataclass(slots=True)
class _Counts:
    hits: int = 0
    misses: int = 0
    joined: int = 0  # who waited for another's load
    fallbacks: int = 0


class Cache:
    """One cache of a process. `shared` is preferred while it answers."""

    def __init__(
        self, clock: Clock, *, local: LocalStore | None = None, shared: SharedStore | None = None
    ) -> None:
        self._clock = clock
        self._local = local or LocalStore(clock)
        self._shared = shared
        self._away_until_s: float | None = None
        self._flights: dict[CacheKey, _Flight] = {}
        self.counts = _Counts()

    @property
    def is_shared(self) -> bool:
        """Whether the shared store is in use now."""
        return self._shared is not None and self._away_until_s is None

    async def get(self, key: CacheKey, kind: type[T], load: Callable[[], Awaitable[T]]) -> Cached[T]:
        """The value of `key`, a `kind`; loaded where it is not there or not good any more.

        What `load` raises is raised to all who wait for it, and not remembered."""
        entry, ticket = await self._stored(key)
        if entry is not None:
            try:
                value = unpack(kind, entry.data)
            except WireError:
                pass  # written by another version: it is loaded again
            else:
                self.counts.hits += 1
                return Cached(value, entry.read_at_s)
        flight = self._flights.get(key)
        if flight is None or flight.is_overtaken():
            self.counts.misses += 1
            flight = self._flights[key] = _Flight(asyncio.get_running_loop().create_future())
            flight.task = asyncio.ensure_future(self._load(key, load, flight, ticket))
            flight.task.add_done_callback(_retrieve)
        else:
            self.counts.joined += 1
        # Whoever gives up waiting takes nothing from the others.
        entry = await asyncio.shield(flight.task)
        return Cached(unpack(kind, entry.data), entry.read_at_s)

    async def invalidate(self, key: CacheKey) -> None:
        """It changed: whoever asks from now on gets it anew."""
        flight = self._flights.get(key)
        if flight is not None:
            flight.overtake()
        self._local.remove(key)
        await self._on_shared(lambda shared: shared.remove(key))

    async def invalidate_group(self, volatility: Volatility, chain_id: int) -> None:
        """All of a kind on one chain changed: a new address book, say."""
        group = f"{volatility}:{chain_id}"
        for key, flight in self._flights.items():
            if key.group == group:
                flight.overtake()
        self._local.remove_group(group)
        await self._on_shared(lambda shared: shared.remove_group(group))

    async def close(self) -> None:
        flights = [flight.task for flight in self._flights.values()]
        for task in flights:
            task.cancel()
        if flights:
            await asyncio.wait(flights)
        if self._shared is not None:
            await self._shared.close()

    async def _load(
        self, key: CacheKey, load: Callable[[], Awaitable[T]], flight: _Flight, ticket: int
    ) -> Entry:
        try:
            value = await load()
            entry = Entry(pack(value), self._clock.now_s())
            if len(entry.data) <= VALUE_BYTES_MAX:
                await self._store(key, entry, flight, ticket)
            return entry
        finally:
            if self._flights.get(key) is flight:
                del self._flights[key]

    async def _stored(self, key: CacheKey) -> tuple[Entry | None, int]:
        found: list[tuple[Entry | None, int]] = []

        async def ask(shared: SharedStore) -> None:
            found.append(await shared.get(key))

        if await self._on_shared(ask):
            return found[0]
        return self._local.get(key), 0

    async def _store(self, key: CacheKey, entry: Entry, flight: _Flight, ticket: int) -> None:
        ttl_s = TTL_S[key.volatility]
        if flight.is_overtaken():
            return
        is_put = await self._on_shared(lambda shared: shared.put(key, entry, ttl_s, ticket))
        if not is_put and not flight.is_overtaken():
            self._local.put(key, entry, ttl_s)

    async def _on_shared(self, ask: Callable[[SharedStore], Awaitable[None]]) -> bool:
        """Whether the shared store did it."""
        if self._shared is None:
            return False
        now_s = self._clock.monotonic_s()
        if self._away_until_s is not None and now_s < self._away_until_s:
            return False
        try:
            await ask(self._shared)
        except StoreAwayError as error:
            if self._away_until_s is None:
                # What this process knew before the store was shared, others may have changed since.
                self._local.clear()
                self.counts.fallbacks += 1
                _log.warning("cache_shared_away", cause=str(error))
            self._away_until_s = now_s + RETRY_AFTER_S
            return False
        if self._away_until_s is not None:
            self._away_until_s = None
            _log.info("cache_shared_back")
        return True


def _retrieve(task: asyncio.Future[Entry]) -> None:
    """A load that nobody waits for any more may fail unheard."""
    if not task.cancelled():
        task.exception()
