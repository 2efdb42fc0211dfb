"""Pools of true nodes: anvil tells hashes, geth whole transactions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from seawall.chain.pending import Heard, PendingSource
from seawall.chain.pending_pool import PoolTransactions
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.native import keccak256
from seawall.primitives.ports import SystemClock
from seawall.primitives.sightings import Sighting, SightingKind
from seawall.primitives.units import Address
from tests.fixtures import anvil as anvil_node
from tests.fixtures import geth as geth_node
from tests.fixtures.anvil import Anvil, anvil

__all__ = ["anvil"]

TARGET = Address(b"\x11" * 20)
CALL = keccak256(b"call")
WAIT_S = 60.0


@contextlib.asynccontextmanager
async def heard_from(
    http: str, socket: str, chain_id: int
) -> AsyncIterator[tuple[PendingSource, list[Heard]]]:
    pool = RpcPool([HttpTransport(http)], chain_id=chain_id, clock=SystemClock())
    heard: list[Heard] = []
    source = PoolTransactions("node", socket, chain_id, pool, heard.append, SystemClock())
    task = asyncio.create_task(source.run())
    try:
        async with asyncio.timeout(WAIT_S):
            while not source.standing.is_connected:  # noqa: ASYNC110  (it has no event of its own)
                await asyncio.sleep(0.01)
        yield source, heard
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await pool.close()


async def sightings(heard: list[Heard], count: int) -> list[Sighting]:
    async with asyncio.timeout(WAIT_S):
        while len(heard) < count:  # noqa: ASYNC110  (told by a call)
            await asyncio.sleep(0.01)
    return [one.sighting for one in heard]


async def test_pool_of_anvil_is_heard_before_its_block(anvil: Anvil) -> None:
    key = anvil.funded_key()
    async with heard_from(anvil.url, anvil.socket_url, anvil_node.CHAIN_ID) as (source, heard):
        call = anvil_node.transaction(0, TARGET, data=CALL, value_wei=5)
        (signed,) = key.sign_transactions([call])
        await asyncio.to_thread(anvil.send, signed)
        (seen,) = await sightings(heard, 1)
        assert source.standing.dropped == 0
    assert (seen.kind, seen.hash, seen.sender) == (SightingKind.POOL, signed.hash, key.address)
    assert (seen.target, seen.calldata, seen.value_wei, seen.nonce) == (TARGET, CALL, 5, 0)
    assert anvil.number("eth_blockNumber") == 0


async def test_pool_of_geth_is_heard_whole(tmp_path: Path) -> None:
    with geth_node.running_geth(tmp_path) as node:
        (key,) = await asyncio.to_thread(node.funded_keys, 1)
        async with heard_from(node.url, node.socket_url, geth_node.CHAIN_ID) as (_, heard):
            # It tips too little to be taken into a block.
            call = geth_node.transaction(0, TARGET, data=CALL, tip_wei=1)
            (signed,) = key.sign_transactions([call])
            await asyncio.to_thread(node.send, signed)
            seen = (await sightings(heard, 1))[-1]
        assert (seen.hash, seen.sender, seen.calldata) == (signed.hash, key.address, CALL)
        assert (seen.max_priority_fee_per_gas_wei, seen.nonce) == (1, 0)
