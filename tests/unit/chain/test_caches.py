"""Caches: how long a value is good for, who loads it, what an invalidation overtakes, what is shared."""

from __future__ import annotations

import ast
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from seawall.chain.caches import (
    TTL_S,
    VALUE_BYTES_MAX,
    Cache,
    CacheKey,
    Entry,
    LocalStore,
    StoreAwayError,
    Volatility,
)
from seawall.chain.caches_redis import RedisStore
from seawall.primitives.blocks import Read
from seawall.primitives.errors import ConfigError, InputError, UnavailableError
from seawall.primitives.units import Address, Hash
from tests.fixtures.redis_server import RedisServer, redis_server

__all__ = ["redis_server"]

PRICE = CacheKey(Volatility.TOKEN_PRICE, 1, "weth/usd")
BLOCK = Hash(b"\x07" * 32)


class Clock:
    """Stands where it is put."""

    at_s = 1_000.0

    def now_s(self) -> int:
        return int(self.at_s)

    def monotonic_s(self) -> float:
        return self.at_s

    async def sleep_s(self, duration_s: float) -> None:
        self.at_s += duration_s


class Loader:
    """Counts up."""

    def __init__(self) -> None:
        self.loads = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> int:
        self.loads += 1
        value = self.loads
        await self.gate.wait()
        return value


async def until_loading(loader: Loader, loads: int) -> None:
    while loader.loads < loads:  # noqa: ASYNC110  (told by a count)
        await asyncio.sleep(0)


@pytest.mark.parametrize("volatility", [v for v in Volatility if TTL_S[v] is not None])
async def test_value_is_good_for_its_time_to_live_and_not_longer(volatility: Volatility) -> None:
    clock, load = Clock(), Loader()
    cache, ttl_s = Cache(clock), TTL_S[volatility]
    assert ttl_s is not None
    key = CacheKey(volatility, 1, "x", BLOCK if volatility is Volatility.GAS_ESTIMATE else None)
    first = await cache.get(key, int, load)
    clock.at_s += ttl_s - 0.5
    again = await cache.get(key, int, load)
    assert (first.value, again.value) == (1, 1)
    assert again.age_s(clock.now_s()) >= int(ttl_s) - 1
    clock.at_s += 0.5
    assert (await cache.get(key, int, load)).value == 2


def test_times_to_live_are_those_of_the_specification() -> None:
    expected = {"token_price": 60.0, "exchange_rate": 30.0, "risk_result": 300.0}
    assert {v.value: TTL_S[v] for v in Volatility if v.value in expected} == expected
    assert [TTL_S[v] for v in (Volatility.ABI, Volatility.ADDRESS, Volatility.FINALISED)] == [None] * 3


async def test_what_changes_never_by_itself_stays_until_it_is_invalidated() -> None:
    clock, load = Clock(), Loader()
    cache = Cache(clock)
    key = CacheKey(Volatility.ADDRESS, 1, "weth")
    for _ in range(3):
        clock.at_s += 10**8
        assert (await cache.get(key, int, load)).value == 1
    await cache.invalidate(key)
    assert (await cache.get(key, int, load)).value == 2
    await cache.invalidate_group(Volatility.ADDRESS, 2)
    assert (await cache.get(key, int, load)).value == 2
    await cache.invalidate_group(Volatility.ADDRESS, 1)
    assert (await cache.get(key, int, load)).value == 3


async def test_gas_estimate_is_of_its_block_only() -> None:
    load = Loader()
    cache = Cache(Clock())
    for block_hash, value in ((BLOCK, 1), (BLOCK, 1), (Hash(b"\x08" * 32), 2)):
        key = CacheKey(Volatility.GAS_ESTIMATE, 1, "swap", block_hash)
        assert (await cache.get(key, int, load)).value == value


def test_keys_name_a_block_where_one_is_due_and_only_there() -> None:
    with pytest.raises(InputError, match="needs block"):
        CacheKey(Volatility.FINALISED, 1, "x")
    with pytest.raises(InputError, match="has no block"):
        CacheKey(Volatility.TOKEN_PRICE, 1, "x", BLOCK)
    for name in ("", "a\nb", "x" * 201):
        with pytest.raises(InputError, match="name"):
            CacheKey(Volatility.ABI, 1, name)


async def test_those_who_ask_at_once_share_one_load() -> None:
    load = Loader()
    load.gate.clear()
    cache = Cache(Clock())
    askers = [asyncio.create_task(cache.get(PRICE, int, load)) for _ in range(50)]
    await until_loading(load, 1)
    askers[0].cancel()  # who began it leaves, the others get it all the same
    await asyncio.sleep(0)
    load.gate.set()
    answers = await asyncio.gather(*askers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert {getattr(one, "value", None) for one in answers[1:]} == {1}
    assert load.loads == 1
    assert (cache.counts.misses, cache.counts.joined) == (1, 49)


async def test_failure_is_told_to_all_who_wait_and_not_remembered() -> None:
    cache = Cache(Clock())
    broken = asyncio.Event()

    async def fail() -> int:
        await broken.wait()
        raise UnavailableError("no answer", "node", "wait")

    askers = [asyncio.create_task(cache.get(PRICE, int, fail)) for _ in range(3)]
    await asyncio.sleep(0)
    broken.set()
    answers = await asyncio.gather(*askers, return_exceptions=True)
    assert all(isinstance(one, UnavailableError) for one in answers)
    assert (await cache.get(PRICE, int, Loader())).value == 1


async def test_load_that_an_invalidation_overtook_is_not_stored() -> None:
    load = Loader()
    load.gate.clear()
    cache = Cache(Clock())
    early = asyncio.create_task(cache.get(PRICE, int, load))
    await until_loading(load, 1)
    await cache.invalidate(PRICE)
    late = asyncio.create_task(cache.get(PRICE, int, load))
    await until_loading(load, 2)
    load.gate.set()
    assert ((await early).value, (await late).value) == (1, 2)
    assert (await cache.get(PRICE, int, load)).value == 2


async def test_readers_cannot_change_what_others_get() -> None:
    cache = Cache(Clock())

    async def load() -> Read:
        return Read("r", Address(bytes(20)), b"\x01")

    first, second = [await cache.get(PRICE, Read, load) for _ in range(2)]
    assert first.value == second.value
    assert first.value is not second.value


def test_least_recently_used_leaves_first_and_bytes_are_bounded() -> None:
    store = LocalStore(Clock(), entries_max=3, bytes_max=VALUE_BYTES_MAX)
    keys = [CacheKey(Volatility.ABI, 1, str(number)) for number in range(4)]
    for key in keys[:3]:
        store.put(key, Entry(b"x", 0), None)
    assert store.get(keys[0]) is not None
    store.put(keys[3], Entry(b"x", 0), None)
    assert [store.get(key) is not None for key in keys] == [True, False, True, True]
    store.put(keys[1], Entry(bytes(VALUE_BYTES_MAX), 0), None)
    assert len(store) == 1


# Shared


@asynccontextmanager
async def two_kernels(server: RedisServer) -> AsyncIterator[tuple[Cache, Cache, Clock]]:
    clock = Clock()
    caches = [Cache(clock, shared=RedisStore(server.url)) for _ in range(2)]
    try:
        yield caches[0], caches[1], clock
    finally:
        for cache in caches:
            await cache.close()


def is_shared(cache: Cache) -> bool:
    return cache.is_shared


async def test_kernels_of_a_fleet_share_what_one_of_them_loaded(redis_server: RedisServer) -> None:
    async with two_kernels(redis_server) as (one, other, clock):
        load = Loader()
        first = await one.get(PRICE, int, load)
        clock.at_s += 3
        shared = await other.get(PRICE, int, load)
        assert (shared.value, shared.age_s(clock.now_s())) == (first.value, 3)
        assert load.loads == 1
        await other.invalidate(PRICE)
        assert (await one.get(PRICE, int, load)).value == 2


async def test_group_that_one_kernel_invalidates_is_gone_for_all_and_can_be_stored_anew(
    redis_server: RedisServer,
) -> None:
    async with two_kernels(redis_server) as (one, other, _):
        load, keys = Loader(), [CacheKey(Volatility.ADDRESS, 1, name) for name in ("weth", "usdc")]
        for key in keys:
            await one.get(key, int, load)
        await other.invalidate_group(Volatility.ADDRESS, 1)
        assert [(await one.get(key, int, load)).value for key in keys] == [3, 4]
        assert [(await other.get(key, int, load)).value for key in keys] == [3, 4]


@pytest.mark.parametrize("of_group", [False, True])
async def test_load_of_one_kernel_that_anothers_invalidation_overtook_is_not_stored(
    redis_server: RedisServer, of_group: bool
) -> None:
    async with two_kernels(redis_server) as (one, other, _):
        load = Loader()
        load.gate.clear()
        early = asyncio.create_task(one.get(PRICE, int, load))
        await until_loading(load, 1)
        if of_group:
            await other.invalidate_group(Volatility.TOKEN_PRICE, 1)
        else:
            await other.invalidate(PRICE)
        load.gate.set()
        assert (await early).value == 1
        assert (await other.get(PRICE, int, load)).value == 2


async def test_redis_that_dies_is_replaced_by_an_empty_cache_of_the_process_and_taken_up_again(
    redis_server: RedisServer,
) -> None:
    async with two_kernels(redis_server) as (one, _, clock):
        load = Loader()
        await one.get(PRICE, int, load)
        assert is_shared(one)
        redis_server.stop()
        assert [(await one.get(PRICE, int, load)).value for _ in range(3)] == [2, 2, 2]
        assert not is_shared(one)
        assert one.counts.fallbacks == 1
        redis_server.start()
        clock.at_s += 10
        assert (await one.get(PRICE, int, load)).value == 3
        assert is_shared(one)


async def test_value_that_another_version_wrote_is_loaded_again(redis_server: RedisServer) -> None:
    async with two_kernels(redis_server) as (one, other, _):
        await one.get(PRICE, int, Loader())

        async def load() -> Read:
            return Read("r", Address(bytes(20)), b"\x01")

        assert (await other.get(PRICE, Read, load)).value.label == "r"


class TakesAll:
    """A shared store that refuses nothing, and forgets everything."""

    def __init__(self) -> None:
        self.puts = 0

    async def get(self, key: CacheKey) -> tuple[Entry | None, int]:
        return None, 0

    async def put(self, key: CacheKey, entry: Entry, ttl_s: float | None, ticket: int) -> None:
        self.puts += 1

    async def remove(self, key: CacheKey) -> None:
        return

    async def remove_group(self, group: str) -> None:
        return

    async def close(self) -> None:
        return


async def test_load_that_an_invalidation_overtook_is_not_even_offered_to_others() -> None:
    load, shared = Loader(), TakesAll()
    load.gate.clear()
    cache = Cache(Clock(), shared=shared)
    early = asyncio.create_task(cache.get(PRICE, int, load))
    await until_loading(load, 1)
    await cache.invalidate_group(Volatility.TOKEN_PRICE, 1)
    load.gate.set()
    await early
    assert shared.puts == 0
    await cache.get(PRICE, int, load)
    assert shared.puts == 1


async def test_redis_that_hangs_is_away_within_its_timeout() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    store = RedisStore(f"redis://127.0.0.1:{port}/0")
    with pytest.raises(StoreAwayError):
        await store.get(PRICE)
    await store.close()
    server.close()


def test_address_that_cannot_be_used_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        RedisStore("http://:secretword@host/0")
    assert "secretword" not in str(caught.value)


# Out of reach of what decides


def test_redis_is_imported_only_when_a_shared_store_is_opened() -> None:
    code = "import sys, seawall.chain.caches, seawall.chain.caches_redis; print('redis' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_rooms_that_decide_import_no_cache() -> None:
    source = Path(__file__).parents[3] / "src" / "seawall"
    offenders = [
        str(path)
        for room in ("risk", "transactions", "strategies", "protocols", "markets", "control", "signers")
        for path in (source / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("seawall.chain.caches")
    ]
    assert offenders == []
