"""A cache that the kernels of a fleet share, in Redis.

A value stands under its key with the generation of its group: to invalidate a group its generation is raised,
in one command, and what was written under an older one counts as absent, wherever its loader runs. To
invalidate one key a tombstone takes its place for `TOMBSTONE_S`, so that a load which began before, in any
kernel, does not put the old value back. Values leave by Redis's own expiry.

Every command is bounded by `ANSWER_TIMEOUT_S`: a slow Redis is away (`StoreAwayError`), since whoever asks
could load by itself. Nothing here is a secret, and nothing that comes out is believed to be well formed.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, TypeVar

from seawall.chain.caches import VALUE_BYTES_MAX, CacheKey, Entry, StoreAwayError
from seawall.primitives.errors import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["ANSWER_TIMEOUT_S", "TOMBSTONE_S", "RedisStore"]

ANSWER_TIMEOUT_S: Final = 0.25
CONNECTIONS_MAX: Final = 8
# Longer than a load takes.
TOMBSTONE_S: Final = 30.0
_PREFIX: Final = "seawall:1:"
_TOMBSTONE: Final = b"-"
_HEADER: Final = struct.Struct(">QQ")  # generation, when it was read [s]
# Keys: the value's, its group's generation. Arguments: generation at the lookup, value, expiry in ms or 0.
_PUT: Final = """
if (redis.call('GET', KEYS[2]) or '0') ~= ARGV[1] then return 0 end
if redis.call('GET', KEYS[1]) == '-' then return 0 end
if ARGV[3] == '0' then redis.call('SET', KEYS[1], ARGV[2])
else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
return 1
"""

T = TypeVar("T")


class RedisStore:
    """Opens no connection before the first command."""

    def __init__(self, url: str) -> None:
        """`url` as `redis://`, `rediss://` or `unix://`; it may hold a password and is never shown."""
        try:
            from redis.asyncio import Redis as Client
            from redis.exceptions import RedisError
        except ModuleNotFoundError:
            raise ConfigError(
                "a shared cache needs the package redis", "cache.redis", "pip install 'seawall[redis]'"
            ) from None
        self._failures: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
        try:
            self._redis: Redis = Client.from_url(
                url,
                socket_timeout=ANSWER_TIMEOUT_S,
                socket_connect_timeout=ANSWER_TIMEOUT_S,
                max_connections=CONNECTIONS_MAX,
            )
        except (ValueError, RedisError):
            raise ConfigError(
                "the address of a Redis that cannot be used (not shown: it may hold a password)",
                "cache.redis",
                "write redis://host:port/0, rediss:// or unix://",
            ) from None

    async def get(self, key: CacheKey) -> tuple[Entry | None, int]:
        held, told = await self._answer(self._redis.mget(_name(key), _generation(key.group)))
        generation = int(told) if isinstance(told, bytes) and told.isdigit() else 0
        if not isinstance(held, bytes) or not _HEADER.size <= len(held) <= _HEADER.size + VALUE_BYTES_MAX:
            return None, generation
        written_under, read_at_s = _HEADER.unpack_from(held)
        if written_under != generation:
            return None, generation
        return Entry(held[_HEADER.size :], read_at_s), generation

    async def put(self, key: CacheKey, entry: Entry, ttl_s: float | None, ticket: int) -> None:
        held = _HEADER.pack(ticket, entry.read_at_s) + entry.data
        expires_ms = 0 if ttl_s is None else max(1, int(ttl_s * 1_000))
        await self._answer(
            self._redis.eval(_PUT, 2, _name(key), _generation(key.group), str(ticket), held, str(expires_ms))
        )

    async def remove(self, key: CacheKey) -> None:
        await self._answer(self._redis.set(_name(key), _TOMBSTONE, px=int(TOMBSTONE_S * 1_000)))

    async def remove_group(self, group: str) -> None:
        await self._answer(self._redis.incr(_generation(group)))

    async def close(self) -> None:
        await self._redis.aclose()

    async def _answer(self, command: Awaitable[T] | T) -> T:
        """The client's types leave open whether it is asynchronous: it is."""
        assert isinstance(command, Awaitable)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await command
        except self._failures as error:
            raise StoreAwayError(type(error).__name__) from None


def _name(key: CacheKey) -> str:
    return f"{_PREFIX}{key.text}"


def _generation(group: str) -> str:
    return f"{_PREFIX}generation:{group}"
