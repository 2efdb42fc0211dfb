"""A whole pipeline in one process, as the kernel wires it, on an anvil that mines by the clock.

Everything is on: durable intake, simulation of the exact payload, guards, signatures by native keys, the
fenced commit on SQLite with `synchronous=FULL`, the broadcast port with its latch, confirmation, accounting.
Only the hosts are left out: plans come from a driver, through the same intake.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import aiohttp
import orjson
import psutil

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteResult
from seawall.chain.fees import fee_settings_of
from seawall.chain.networks import network_of
from seawall.chain.rpc import HttpTransport
from seawall.chain.sockets import Connection
from seawall.control.latch import Latch
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.ledger.transaction import Transaction
from seawall.native import LocalKey
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.ports import SystemClock, SystemEntropy, ThreadOffload
from seawall.primitives.units import NATIVE, Address, Hash, hex_text
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.runtime.authority import AuthorityKeeper
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.signers.local import LocalSigner
from seawall.telemetry.logs import LogSettings, configure
from seawall.telemetry.metrics import Metrics

__all__ = ["BLOCK_S", "Node", "Pipeline", "running_node", "running_pipeline", "transfer"]

ANVIL = Path(__file__).resolve().parent.parent / "devnet/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
CHAIN_ID = 31337
BLOCK_S = 0.2
ETHER = 10**18
GWEI = 10**9
START_TRIES = 400
START_PAUSE_S = 0.02
STOP_S = 20.0
# anvil's pool has no bound of its own; the default of 16 is what common nodes promise.
ANVIL_UNLANDED_MAX = 1_024
BLOCK_GAS_LIMIT = 1_000_000_000
# Blocks come sixty times faster than on Ethereum: as long in seconds as three of its blocks.
VALIDITY_BLOCKS = 180
PLANS_PER_DECISION = 64
DEADLINE_S = 2**33
_REQUEST_BEGINS = b"POST"


@dataclass(frozen=True, slots=True)
class Node:
    """One anvil."""

    process: psutil.Process
    url: str

    async def ask(self, session: aiohttp.ClientSession, *calls: tuple[str, Sequence[object]]) -> list[object]:
        body = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
        headers = {"Content-Type": "application/json"}
        async with session.post(self.url, data=orjson.dumps(body), headers=headers) as response:
            answers = orjson.loads(await response.read())
        return [answer["result"] for answer in sorted(answers, key=lambda answer: int(answer["id"]))]

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def running_node(*arguments: str, block_s: float = BLOCK_S) -> Iterator[Node]:
    """An anvil with interval mining: with instant mining it would measure its own sealing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        str(ANVIL), "--silent", "--port", str(port), "--chain-id", str(CHAIN_ID), "--hardfork", "osaka",
        "--block-time", str(block_s), "--gas-limit", str(BLOCK_GAS_LIMIT), "--slots-in-an-epoch", "1",
        "--transaction-block-keeper", "256", *arguments,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(START_TRIES):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(START_PAUSE_S)
        yield Node(psutil.Process(process.pid), f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait(STOP_S)


def transfer(key: Address, index: str) -> Plan:
    """A 21,000-gas transfer."""
    return Plan(
        strategy="bench",
        chain_id=CHAIN_ID,
        key=key,
        body=DirectBody(Address(b"\xd0" * 20), b"", 1),
        accounting_token=NATIVE,
        idempotency_key=index,
        deadline_s=DEADLINE_S,
    )


class WatchedPort:
    """A broadcast port that remembers when each transaction's bytes were on the socket, and answered.

    One thread makes the requests in order, so their times and the writes asked for are matched by order."""

    def __init__(self, port: SocketBroadcastPort) -> None:
        self._port = port
        self._asked: list[tuple[Hash, ...]] = []
        self._sent_s: list[float] = []
        self.answered_s: dict[Hash, float] = {}
        send = Connection.send

        def timed(connection: Connection, data: memoryview) -> int:
            sent = send(connection, data)
            if bytes(data[: len(_REQUEST_BEGINS)]) != _REQUEST_BEGINS:
                self._sent_s.pop()  # a further piece of the same request
            self._sent_s.append(time.perf_counter())
            return sent

        self._patch = mock.patch.object(Connection, "send", timed)
        self._patch.start()

    @property
    def written_s(self) -> dict[Hash, float]:
        assert len(self._asked) == len(self._sent_s), "a request was repeated"
        pairs = zip(self._asked, self._sent_s, strict=True)
        return {each: at_s for hashes, at_s in pairs for each in hashes}

    def forget(self) -> None:
        self._asked.clear()
        self._sent_s.clear()
        self.answered_s.clear()

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        self._asked.append(tuple(write.hash for write in writes))
        results = await self._port.write(writes)
        now_s = time.perf_counter()
        self.answered_s.update((result.hash, now_s) for result in results)
        return results

    async def close(self) -> None:
        self._patch.stop()
        await self._port.close()


@dataclass(slots=True)
class Pipeline:
    """A chain with its lanes, running."""

    chain: Chain
    ledger: Ledger
    keys: list[Address]
    port: WatchedPort
    directory: Path

    async def accept(self, plans: Sequence[Plan]) -> None:
        """Durable when it returns."""
        await self.chain.intake.accept(Decision("bench", 0, 0, tuple(plans)))
        self.chain.loop.wake_lanes()

    async def names_by_hash(self, count: int) -> dict[Hash, str]:
        """The idempotency keys of the newest intents, by the hash of their attempt."""

        def read(tx: Transaction) -> dict[Hash, str]:
            rows = tx.intents.listing(count)
            return {
                a.hash: row.plan.idempotency_key for row in rows for a in tx.attempts.of_intent(row.number)
            }

        return await self.ledger.read(read)


@contextlib.asynccontextmanager
async def running_pipeline(
    node: Node, keys: int, *, unlanded_max: int = ANVIL_UNLANDED_MAX, directory: Path | None = None
) -> AsyncIterator[Pipeline]:
    configure(LogSettings(level="warning"))
    with tempfile.TemporaryDirectory() as place:
        folder = directory or Path(place)
        url = f"sqlite:///{folder / 'ledger.db'}"
        if not (folder / "ledger.db").exists():
            create(url)
        clock = SystemClock()
        latch = Latch(folder / "latch.json")
        ledger = Ledger.open(LedgerSettings(url), clock=clock, entropy=SystemEntropy())
        signers = [LocalSigner.holding(f"k{i}", LocalKey.generate()) for i in range(keys)]
        addresses = [signer.address for signer in signers]
        async with aiohttp.ClientSession() as session:
            await node.ask(
                session, *(("anvil_setBalance", [hex_text(a), hex(10**6 * ETHER)]) for a in addresses)
            )
        services = Services(
            ledger, latch, clock, SystemEntropy(), ThreadOffload(), Metrics(clock=clock), "bench", 3600
        )
        network = network_of(CHAIN_ID)
        port = WatchedPort(SocketBroadcastPort([node.url], latch, clock=clock))
        limits = RiskLimits(
            max_fee_per_gas_wei=500 * GWEI, position_caps={NATIVE: ETHER}, validity_blocks=VALIDITY_BLOCKS
        )
        spec = ChainSpec(
            network,
            [HttpTransport(node.url)],
            port,
            {signer.address: signer for signer in signers},
            Gate(limits, OurAddresses(frozenset(addresses), None), ReduceRule({}, (), (), ())),
            fee_settings_of(network),
            1_000 * GWEI,
            BLOCK_S / 2,
            lane_unlanded_max=unlanded_max,
        )
        chain = await build_chain(spec, services, _raise)
        keeper = AuthorityKeeper(latch, ledger, clock, [chain.desk], chain.loop.wake_lanes)
        keeper.attach(asyncio.get_running_loop())
        await keeper.start()
        await chain.loop.start()
        running = asyncio.create_task(chain.loop.run())
        try:
            while not chain.desk.is_ready:
                await asyncio.sleep(START_PAUSE_S)
                if running.done():
                    running.result()
            yield Pipeline(chain, ledger, addresses, port, folder)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await port.close()
            await chain.pool.close()
            await ledger.close()


def _raise(alarm: Exception) -> None:
    raise alarm
