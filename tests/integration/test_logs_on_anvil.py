"""Logs followed on a true node, over a socket that is cut and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

from seawall.chain.client import ChainClient
from seawall.chain.heads import HeadFollower
from seawall.chain.logs.backfill import Backfill, LogQuestion
from seawall.chain.logs.follow import LogFollower
from seawall.chain.logs.reads import LogReads
from seawall.chain.networks import NETWORKS, FinalityRule
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.chain.subscriptions import HeadWake, LogSocket
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.native import LocalKey
from seawall.primitives.blocks import LogFilter
from seawall.primitives.errors import ChainError, StaleError
from seawall.primitives.ports import SystemClock, SystemEntropy
from seawall.primitives.units import Address, hex_text
from tests.fixtures.anvil import CHAIN_ID, Anvil, anvil, transaction
from tests.fixtures.fault_proxy import FaultProxy

__all__ = ["anvil"]

NETWORK = replace(NETWORKS[CHAIN_ID], finality=FinalityRule(safe=2, final=30))
COUNTER = Address(b"\xc0" * 20)
# Adds one to slot 0, logs the new value and returns it.
COUNTER_CODE = "5f54600101805f555f5260205fa060205ff3"
QUESTION = LogQuestion("counted", CHAIN_ID, LogFilter((COUNTER,)), 0)
WAIT_S = 60.0
STEPS_MAX = 50


@dataclass(slots=True)
class Rig:
    node: Anvil
    proxy: FaultProxy
    ledger: Ledger
    heads: HeadFollower
    socket: LogSocket
    follower: LogFollower
    wake: HeadWake
    key: LocalKey
    nonce: int = 0

    def count(self, times: int = 1) -> None:
        """So many logs in one block."""
        calls = [transaction(self.nonce + i, COUNTER) for i in range(times)]
        for signed in self.key.sign_transactions(calls):
            self.node.send(signed)
        self.nonce += times
        self.node.mine()

    async def catch_up(self) -> None:
        for _ in range(STEPS_MAX):
            change = await self.heads.poll()
            if change is None:
                return
            for _ in range(STEPS_MAX):
                with contextlib.suppress(StaleError, ChainError):
                    await self.follower.step(change)
                    break

    async def stored(self) -> list[tuple[str, int]]:
        source = await self.ledger.read(lambda tx: tx.logs.find(QUESTION.name))
        assert source is not None
        found = await self.ledger.read(lambda tx: tx.logs.between(source, 0, 10**6, 10**6))
        return [(hex_text(log.block_hash), log.log_index) for log in found]

    def on_chain(self) -> list[tuple[str, int]]:
        asked = {"address": hex_text(COUNTER), "fromBlock": "0x0", "toBlock": "latest"}
        found = self.node.rpc("eth_getLogs", asked)
        assert isinstance(found, list)
        return [(str(log["blockHash"]), int(log["logIndex"], 16)) for log in found]


@contextlib.asynccontextmanager
async def rig_on(node: Anvil, folder: Path) -> AsyncIterator[Rig]:
    node.set_code(COUNTER, COUNTER_CODE)
    url = f"sqlite:///{folder / 'ledger.db'}"
    create(url)
    clock = SystemClock()
    proxy = FaultProxy(node.port, random.Random(1))
    await proxy.start()
    ledger = Ledger.open(LedgerSettings(url), clock=clock, entropy=SystemEntropy())
    pool = RpcPool([HttpTransport(node.url)], chain_id=CHAIN_ID, clock=clock)
    client = ChainClient(pool, NETWORK)
    wake = HeadWake(clock, 60.0)
    socket = LogSocket(f"ws://127.0.0.1:{proxy.port}", QUESTION.wanted, wake, clock)
    backfill = Backfill(LogReads(client, QUESTION.wanted), ledger, QUESTION, clock)
    follower = LogFollower(client, ledger, QUESTION, backfill, socket.told)
    listening = asyncio.create_task(socket.run())
    try:
        yield Rig(node, proxy, ledger, HeadFollower(client, clock), socket, follower, wake, node.funded_key())
    finally:
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        await pool.close()
        await ledger.close()
        await proxy.stop()


async def until(condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(WAIT_S):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event of its own)
            await asyncio.sleep(0.01)


async def test_what_happened_while_the_socket_was_cut_is_there_once_it_is_back(
    anvil: Anvil, tmp_path: Path
) -> None:
    async with rig_on(anvil, tmp_path) as rig:
        await until(lambda: rig.socket.connected)
        rig.count(2)
        await asyncio.wait_for(rig.wake.wait(), WAIT_S)
        await rig.catch_up()
        assert await rig.stored() == rig.on_chain() != []
        tip = rig.heads.tip
        assert tip is not None
        await until(lambda: rig.socket.told(tip.hash) == {0, 1})

        rig.proxy.cut()
        await until(lambda: not rig.socket.connected)
        for _ in range(20):
            rig.count()
        rig.node.mine(3)
        rig.proxy.heal()
        opens = rig.socket.opens
        await until(lambda: rig.socket.opens > opens)
        await asyncio.wait_for(rig.wake.wait(), WAIT_S)  # it rings when it is open again
        await rig.catch_up()
        assert len(await rig.stored()) == 22
        assert await rig.stored() == rig.on_chain()


async def test_logs_of_a_branch_that_is_gone_are_taken_back(anvil: Anvil, tmp_path: Path) -> None:
    async with rig_on(anvil, tmp_path) as rig:
        for _ in range(6):
            rig.count()
        await rig.catch_up()
        before = await rig.stored()
        rig.node.reorg(4)
        rig.node.mine()
        await rig.catch_up()
        after = await rig.stored()
        assert after == rig.on_chain()
        assert after[:2] == before[:2]
        assert len(after) < len(before)
