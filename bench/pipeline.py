"""A whole pipeline in one process, as the kernel wires it, on a node that mines by the clock.

Everything is on: durable intake, simulation of the exact payload, guards, signatures by native keys, the
fenced commit on SQLite with `synchronous=FULL`, the broadcast port with its latch, confirmation, accounting.
Only the hosts are left out: plans come from a driver, through the same intake.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.nodes import GWEI, Node
from bench.payloads import Payload
from seawall.chain.agreement import default_agreement
from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteResult
from seawall.chain.networks import Proofs
from seawall.chain.rpc import HttpTransport
from seawall.control.latch import Latch
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.ledger.transaction import Transaction
from seawall.native import LocalKey
from seawall.primitives.bounds import LANE_UNLANDED_MAX
from seawall.primitives.identifiers import Lane
from seawall.primitives.observations import Decision
from seawall.primitives.plans import Plan
from seawall.primitives.ports import SystemClock, SystemEntropy, ThreadOffload
from seawall.primitives.units import Address, Hash
from seawall.risk.gate import Gate
from seawall.risk.limits import RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.runtime.authority import AuthorityKeeper
from seawall.runtime.kernel import tune_interpreter
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.signers.local import LocalSigner
from seawall.telemetry.logs import LogSettings, configure
from seawall.telemetry.metrics import Metrics

__all__ = ["ANVIL_UNLANDED_MAX", "LANE_UNLANDED_MAX", "Pipeline", "TimedPort", "running_pipeline"]

# anvil's pool has no bound of its own; the default of 16 is what common nodes promise.
ANVIL_UNLANDED_MAX: Final = 1_024
START_PAUSE_S: Final = 0.02
READY_S: Final = 30.0
CONCLUDED_TRIES: Final = 3_000
WRITTEN_TRIES: Final = 1_000
# As long as three blocks of Ethereum, whatever the node's own blocks take.
VALIDITY_S: Final = 36
FEE_CEILING_WEI: Final = 500 * GWEI
EMERGENCY_FEE_WEI: Final = 1_000 * GWEI
LEASE_S: Final = 3_600
# A kernel is woken by a subscription to heads; a poll as often stands in for it.
HEAD_POLL_S: Final = 0.1


class TimedPort:
    """A broadcast port that remembers when the node's answer to each transaction was here."""

    def __init__(self, port: SocketBroadcastPort) -> None:
        self._port = port
        self.answered_s: dict[Hash, float] = {}
        self.on_write: Callable[[], None] | None = None  # before anything of it is sent

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        if self.on_write is not None:
            self.on_write()
        results = await self._port.write(writes)
        now_s = time.perf_counter()
        for result in results:
            self.answered_s.setdefault(result.hash, now_s)
        return results

    async def close(self) -> None:
        await self._port.close()


@dataclass(slots=True)
class Pipeline:
    """A chain with its lanes, running."""

    chain: Chain
    ledger: Ledger
    keys: list[Address]
    port: TimedPort
    directory: Path

    async def accept(self, plans: Sequence[Plan]) -> None:
        """Durable when it returns."""
        await self.chain.intake.accept(Decision("bench", 0, 0, tuple(plans)))
        self.chain.loop.wake_lanes()

    async def settled(self) -> None:
        """Until everything accepted has been written and answered, or is not going to be."""
        queues = self.chain.intake.queues
        lanes = [Lane(self.chain.desk.parts.network.chain_id, key) for key in self.keys]
        for _ in range(WRITTEN_TRIES):
            if not any(len(queues[lane]) for lane in lanes):
                break
            await asyncio.sleep(START_PAUSE_S)
        await self.chain.loop.outbox.idle()

    async def concluded(self) -> None:
        """Until everything committed has its outcome: confirmed, accounted for, final."""
        for _ in range(CONCLUDED_TRIES):
            if not self.chain.desk.unsettled:
                return
            await asyncio.sleep(START_PAUSE_S)
        raise TimeoutError(f"{len(self.chain.desk.unsettled)} transactions have no outcome")

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
    node: Node,
    payload: Payload,
    keys: int,
    *,
    unlanded_max: int = ANVIL_UNLANDED_MAX,
    directory: Path | None = None,
    readers: Sequence[str] = (),
    segments_max: int = 1,
) -> AsyncIterator[Pipeline]:
    """With `directory`, on the ledger that is there. Reads go to `readers`, most of whom must agree, or else
    to the node itself."""
    configure(LogSettings(level="error"))
    tune_interpreter()
    with tempfile.TemporaryDirectory() as place:
        folder = directory or Path(place)
        url = f"sqlite:///{folder / 'ledger.db'}"
        if not (folder / "ledger.db").exists():
            create(url)
        latch, clock = Latch(folder / "latch.json"), SystemClock()
        signers = [LocalSigner.holding(f"k{i}", LocalKey.generate()) for i in range(keys)]
        addresses = [signer.address for signer in signers]
        await asyncio.to_thread(payload.prepare, node, addresses)
        ledger = Ledger.open(LedgerSettings(url), clock=clock, entropy=SystemEntropy())
        services = Services(
            ledger, latch, clock, SystemEntropy(), ThreadOffload(), Metrics(clock=clock), "bench", LEASE_S
        )
        port = TimedPort(SocketBroadcastPort([node.url], latch, clock=clock))
        spec = ChainSpec(
            replace(node.network, proofs=Proofs.RECEIPTS),  # so that receipts are checked as on Ethereum
            [HttpTransport(url) for url in readers or (node.url,)],
            port,
            {signer.address: signer for signer in signers},
            _gate(node, payload, addresses),
            node.fees,
            EMERGENCY_FEE_WEI,
            HEAD_POLL_S,
            lane_unlanded_max=unlanded_max,
            agreement=default_agreement(len(readers) or 1),
            segments_max=segments_max,
        )
        chain = await build_chain(spec, services, _raise)
        keeper = AuthorityKeeper(latch, ledger, clock, [chain.desk], chain.loop.wake_lanes)
        keeper.attach(asyncio.get_running_loop())
        await keeper.start()
        await chain.loop.start()
        running = asyncio.create_task(chain.loop.run())
        try:
            async with asyncio.timeout(READY_S):
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


def _gate(node: Node, payload: Payload, keys: Sequence[Address]) -> Gate:
    limits = RiskLimits(
        max_fee_per_gas_wei=FEE_CEILING_WEI,
        position_caps=payload.caps,
        validity_blocks=round(VALIDITY_S / node.block_s),
    )
    return Gate(limits, payload.ours(keys), ReduceRule({}, (), (), ()))


def _raise(alarm: Exception) -> None:
    raise alarm
