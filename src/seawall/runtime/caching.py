"""The cache of display and search as configured under `[cache]`: in the process, or shared by a fleet.

Whoever shows or searches opens one with `open_cache` and closes it. Nothing that decides can reach it
(`chain.caches`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from seawall.chain.caches import ENTRIES_MAX, Cache, LocalStore
from seawall.chain.caches_redis import RedisStore
from seawall.primitives.errors import ConfigError
from seawall.primitives.ports import Clock
from seawall.runtime.configuration.secrets import SecretReader
from seawall.runtime.configuration.tables import Table

__all__ = ["CACHE_KEYS", "CacheSettings", "open_cache", "read_cache"]

CACHE_KEYS: Final = ("redis", "entries_max")
_SCHEMES: Final = ("redis://", "rediss://", "unix://")
_ENTRIES_CEILING: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class CacheSettings:
    redis_url: str = field(default="", repr=False)  # may hold a password; empty: in the process alone
    entries_max: int = ENTRIES_MAX  # in the process


def read_cache(table: Table, secrets: SecretReader) -> CacheSettings:
    url = ""
    if "redis" in table:
        url = secrets.expanded(table.text("redis"), table.key("redis"))
        if not url.startswith(_SCHEMES):
            raise ConfigError(
                "the address of a Redis that cannot be used (not shown: it may hold a password)",
                table.key("redis"),
                "write redis://host:port/0, rediss:// or unix://",
            )
    return CacheSettings(url, table.integer("entries_max", ENTRIES_MAX, minimum=1, maximum=_ENTRIES_CEILING))


def open_cache(settings: CacheSettings, clock: Clock) -> Cache:
    """Opens no connection yet. Raises `ConfigError` if a Redis is configured and its package is missing."""
    shared = RedisStore(settings.redis_url) if settings.redis_url else None
    return Cache(clock, local=LocalStore(clock, entries_max=settings.entries_max), shared=shared)
