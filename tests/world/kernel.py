"""The true kernel on the model: built through the same wiring, killed at failpoints, and started again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seawall.chain.fees import FeeSettings
from seawall.chain.networks import network_of
from seawall.control.latch import Latch
from seawall.ledger import Ledger, LedgerSettings
from seawall.native import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.primitives.errors import IntegrityAlarm
from seawall.primitives.observations import Subscription
from seawall.primitives.ports import InlineOffload
from seawall.primitives.units import NATIVE, Address
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule, TokenClass
from seawall.runtime.authority import AuthorityKeeper
from seawall.runtime.feeds import Feed
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.telemetry.metrics import Metrics
from tests.world.loop import VirtualClock, VirtualEntropy
from tests.world.node import CHAIN_ID
from tests.world.port import ModelPort
from tests.world.strategy import Asker
from tests.world.transport import ModelTransport

__all__ = ["Kernel", "WorldSigner"]

_GWEI = 10**9
LIMITS = RiskLimits(
    max_fee_per_gas_wei=500 * _GWEI,
    position_caps={NATIVE: 10**18},
    validity_blocks=2,
    validity_s=10,
)


@dataclass(frozen=True, slots=True)
class WorldSigner:
    """Fulfils `Signer` over a native key."""

    key: LocalKey
    ready: bool = True

    @property
    def address(self) -> Address:
        return Address(self.key.address)

    async def sign_transactions(self, transactions: Sequence[DynamicFeeTransaction]) -> list[SignedTransaction]:
        return self.key.sign_transactions(list(transactions))

    async def sign_digest(self, digest: bytes) -> bytes:
        return self.key.sign_digest(digest)


@dataclass(slots=True)
class Kernel:
    """One life of a kernel process, from opening its files to the crash. State that survives is only in the files."""

    directory: Path
    clock: VirtualClock
    entropy: VirtualEntropy
    transport: ModelTransport
    make_port: Callable[[Latch], ModelPort]
    signers: Mapping[Address, WorldSigner]
    askers: Sequence[Asker]
    holder: str
    alarms: list[IntegrityAlarm] = field(default_factory=list)
    latch: Latch | None = None
    ledger: Ledger | None = None
    chain: Chain | None = None

    async def run(self) -> None:
        """Start up, then work until cancelled or crashed."""
        self.latch = latch = Latch(self.directory / "latch.json", clock=self.clock)
        url = f"sqlite:///{self.directory / 'ledger.db'}"
        self.ledger = ledger = Ledger.open(LedgerSettings(url), clock=self.clock, entropy=self.entropy, inline=True)
        try:
            await self._work(latch, ledger)
        finally:
            await ledger.close()

    async def _work(self, latch: Latch, ledger: Ledger) -> None:
        services = Services(ledger, latch, self.clock, self.entropy, InlineOffload(), Metrics(), self.holder, 20)
        ours = OurAddresses(frozenset(self.signers), None)
        rule = ReduceRule({NATIVE: TokenClass.SETTLEMENT}, (), (), ())
        spec = ChainSpec(
            network_of(CHAIN_ID),
            [self.transport],
            self.make_port(latch),
            dict(self.signers),
            Gate(LIMITS, ours, rule),
            FeeSettings(max_fee_per_gas_ceiling_wei=400 * _GWEI, validity_blocks=2),
            emergency_max_fee_per_gas_wei=5_000 * _GWEI,
            poll_interval_s=0.5,
        )
        self.chain = chain = await build_chain(spec, services, self.alarms.append)
        keeper = AuthorityKeeper(latch, ledger, self.clock, [chain.desk], self._on_raised)
        keeper.attach(asyncio.get_running_loop())
        await keeper.start()
        feeds = [self._feed(asker, chain, ledger) for asker in self.askers]
        chain.loop.listeners += feeds
        await chain.loop.start()
        async with asyncio.TaskGroup() as tasks:
            for feed in feeds:
                await feed.start()
                tasks.create_task(feed.run())
            tasks.create_task(keeper.run())
            tasks.create_task(chain.loop.run())

    def _feed(self, asker: Asker, chain: Chain, ledger: Ledger) -> Feed:
        wanted = (Subscription(CHAIN_ID),)
        return Feed(
            asker.name, asker, chain.desk, chain.intake, ledger, chain.loop.wake_lanes, lambda _name: wanted
        )

    def _on_raised(self) -> None:
        if self.chain is not None:
            self.chain.loop.tend_soon()
            self.chain.loop.wake_lanes()
