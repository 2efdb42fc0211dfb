"""The cache in the configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.chain.caches import CacheKey, Volatility
from seawall.primitives.errors import ConfigError
from seawall.primitives.ports import SystemClock
from seawall.runtime.caching import CACHE_KEYS, CacheSettings, open_cache, read_cache
from seawall.runtime.configuration.secrets import SecretReader
from seawall.runtime.configuration.tables import Table
from tests.fixtures.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]


def read(folder: Path, **content: object) -> CacheSettings:
    secrets = SecretReader(folder, {"REDIS_PASSWORD": "secretword"})
    return read_cache(Table(content, "cache", CACHE_KEYS), secrets)


def test_without_a_redis_the_cache_is_in_the_process(tmp_path: Path) -> None:
    settings = read(tmp_path)
    assert settings == CacheSettings()
    assert not open_cache(settings, SystemClock()).is_shared


def test_address_takes_its_password_from_a_secret_and_never_shows_it(tmp_path: Path) -> None:
    settings = read(tmp_path, redis="redis://:${REDIS_PASSWORD}@127.0.0.1:1/0", entries_max=5)
    assert settings.redis_url == "redis://:secretword@127.0.0.1:1/0"
    assert "secretword" not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, redis="http://:${REDIS_PASSWORD}@host")
    assert caught.value.where == "cache.redis"
    assert "secretword" not in str(caught.value)


async def test_configured_redis_is_used(tmp_path: Path, redis_server: RedisServer) -> None:
    settings = read(tmp_path, redis=redis_server.url)

    async def load() -> int:
        return 7

    key, found = CacheKey(Volatility.ABI, 1, "x"), []
    for _ in range(2):
        cache = open_cache(settings, SystemClock())
        assert (await cache.get(key, int, load)).value == 7
        found.append((cache.counts.hits, cache.is_shared))
        await cache.close()
    assert found == [(0, True), (1, True)]
