"""The true kernel on the model, built through the same wiring as the real one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from seawall.chain.broadcast import SignedWrite
from seawall.chain.fees import FeeSettings
from seawall.chain.networks import network_of
from seawall.chain.rpc import RpcTransport
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
from tests.world.loop import Machine, VirtualEntropy, VirtualLoop
from tests.world.node import CHAIN_ID, NodeModel
from tests.world.port import ModelPort
from tests.world.strategy import Asker, Host
from tests.world.transport import Impostor, ModelTransport

__all__ = ["LEASE_TTL_S", "Kernel", "Randomness", "acting_kernel"]

LEASE_TTL_S = 20
_GWEI = 10**9
_LIMITS = RiskLimits(
    max_fee_per_gas_wei=500 * _GWEI,
    position_caps={NATIVE: 10**20},
    validity_blocks=2,
    validity_s=10,
)

# Which kernel the running task belongs to: a failpoint does not say.
_acting: ContextVar[Kernel | None] = ContextVar("acting_kernel", default=None)

Randomness = Callable[[str], random.Random]


def acting_kernel() -> Kernel | None:
    return _acting.get()


@dataclass(frozen=True, slots=True)
class WorldSigner:
    """Fulfils `Signer` over a native key that takes its time, as a key kept elsewhere does."""

    key: LocalKey
    machine: Machine
    node: NodeModel
    before_await: Callable[[str], None]
    ready: bool = True

    @property
    def address(self) -> Address:
        return Address(self.key.address)

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        self.before_await("world.signer")
        await self.machine.delay(self.node.faults.latency_s_max)
        return self.key.sign_transactions(list(transactions))

    async def sign_digest(self, digest: bytes) -> bytes:
        return self.key.sign_digest(digest)


@dataclass(slots=True)
class Kernel:
    """One life of a kernel process, from opening its files to its end. What survives is only in the files."""

    name: str
    directory: Path
    loop: VirtualLoop
    machine: Machine
    node: NodeModel
    keys: Sequence[LocalKey]
    askers: Sequence[Asker]
    holder: str
    randomness: Randomness
    before_await: Callable[[str], None]
    on_write: Callable[[Kernel, SignedWrite], None]
    alarms: list[IntegrityAlarm] = field(default_factory=list)
    # How often the latch had changed when the lane of this task had its verdict.
    changes_at_verdict: dict[asyncio.Task[object] | None, int] = field(default_factory=dict)
    is_deposed: bool = False  # it was frozen and another took its lanes; it may not know
    latch: Latch | None = None
    ledger: Ledger | None = None
    chain: Chain | None = None

    async def run(self) -> None:
        """Start up, then work until cancelled or crashed."""
        _acting.set(self)
        self.latch = latch = Latch(self.directory / "latch.json", clock=self.machine)
        url = f"sqlite:///{self.directory / 'ledger.db'}"
        entropy = VirtualEntropy(self.randomness("entropy"))
        self.ledger = ledger = Ledger.open(
            LedgerSettings(url), clock=self.machine, entropy=entropy, inline=True
        )
        try:
            await self._work(latch, ledger, entropy)
        finally:
            await ledger.close()

    @property
    def has_lanes(self) -> bool:
        """Whether it ever took the leases of all of its lanes."""
        return self.chain is not None and all(runner.fence for runner in self.chain.loop.runners)

    def fence_of(self, key: bytes) -> int:
        """The fence under which it believes to hold the key's lane."""
        assert self.chain is not None
        return next(runner.fence for runner in self.chain.loop.runners if runner.lane.key == key)

    def leave_lock(self) -> None:
        """Let another kernel open the ledger while this one has it, as on a database without this lock."""
        if self.ledger is not None and self.ledger._lock is not None:
            self.ledger._lock.release()

    async def _work(self, latch: Latch, ledger: Ledger, entropy: VirtualEntropy) -> None:
        services = Services(
            ledger, latch, self.machine, entropy, InlineOffload(), Metrics(), self.holder, LEASE_TTL_S
        )
        self.chain = chain = await build_chain(self._spec(latch), services, self.alarms.append)
        keeper = AuthorityKeeper(latch, ledger, self.machine, [chain.desk], self._on_raised)
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

    def _spec(self, latch: Latch) -> ChainSpec:
        signers = [WorldSigner(key, self.machine, self.node, self.before_await) for key in self.keys]
        ours = OurAddresses(frozenset(signer.address for signer in signers), None)
        return ChainSpec(
            network_of(CHAIN_ID),
            self._transports(),
            ModelPort(
                self.node,
                self.loop,
                self.machine,
                latch,
                self.randomness("port"),
                self.before_await,
                lambda write: self.on_write(self, write),
            ),
            {signer.address: signer for signer in signers},
            Gate(_LIMITS, ours, ReduceRule({NATIVE: TokenClass.SETTLEMENT}, (), (), ())),
            FeeSettings(max_fee_per_gas_ceiling_wei=400 * _GWEI, validity_blocks=2),
            emergency_max_fee_per_gas_wei=5_000 * _GWEI,
            poll_interval_s=0.5,
        )

    def _transports(self) -> list[RpcTransport]:
        def transport(name: str) -> ModelTransport:
            return ModelTransport(self.node, self.machine, self.randomness(name), self.before_await, name)

        honest = transport("model")
        return [Impostor(transport("impostor")), honest] if self.node.faults.impostor else [honest]

    def _feed(self, asker: Asker, chain: Chain, ledger: Ledger) -> Feed:
        wanted = (Subscription(CHAIN_ID),)
        host = Host(asker, self.machine, self.node.faults, self.randomness(asker.name))
        return Feed(
            asker.name, host, chain.desk, chain.intake, ledger, chain.loop.wake_lanes, lambda _name: wanted
        )

    def _on_raised(self) -> None:
        if self.chain is not None:
            self.chain.loop.tend_soon()
            self.chain.loop.wake_lanes()
