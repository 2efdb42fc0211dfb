"""The fault proxy does what it says, before kernels are judged by what they do behind it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator

import pytest

from tests.fixtures.fault_proxy import FaultProxy

WORD = b"a request of some length\n"
PATIENCE_S = 60.0


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    """In front of a server that says each line again."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(line)
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    made = FaultProxy(int(server.sockets[0].getsockname()[1]), random.Random(1))
    await made.start()
    yield made
    await made.stop()
    server.close()


async def talk(proxy: FaultProxy) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        writer.write(WORD)
        await writer.drain()
        async with asyncio.timeout(PATIENCE_S):
            return await reader.readline()
    finally:
        writer.close()


async def test_without_a_fault_everything_passes(proxy: FaultProxy) -> None:
    assert await talk(proxy) == WORD
    assert proxy.resets == 0


@pytest.mark.parametrize("direction", ["request_delay_s", "answer_delay_s"])
async def test_delay_holds_a_direction_up(proxy: FaultProxy, direction: str) -> None:
    setattr(proxy, direction, 0.2)
    begun_s = time.monotonic()
    assert await talk(proxy) == WORD
    assert time.monotonic() - begun_s >= 0.2


@pytest.mark.parametrize("direction", ["request_reset", "answer_reset"])
async def test_reset_comes_in_the_middle(proxy: FaultProxy, direction: str) -> None:
    setattr(proxy, direction, 1.0)
    try:
        heard = await talk(proxy)
    except ConnectionError:
        heard = b""
    assert len(heard) < len(WORD)
    assert proxy.resets == 1


async def test_cut_ends_what_is_open_and_refuses_what_comes(proxy: FaultProxy) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(WORD)
    assert await reader.readline() == WORD
    proxy.cut()
    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    writer.close()
    try:
        heard = await talk(proxy)
    except ConnectionError:
        heard = b""
    assert heard == b""
    proxy.heal()
    assert await talk(proxy) == WORD


async def test_black_hole_swallows_until_it_is_healed(proxy: FaultProxy) -> None:
    proxy.is_black_hole = True
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(WORD)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.readline()
    proxy.heal()
    with pytest.raises(ConnectionError):
        await reader.readexactly(1)
    writer.close()
    assert await talk(proxy) == WORD
