"""The true kernel on the model, built through the same wiring as the real one."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from seawall.chain.broadcast import SignedWrite
from seawall.chain.fees import FeeSettings
from seawall.chain.networks import network_of
from seawall.control.latch import Latch
from seawall.control.permit import SendPermit
from seawall.ledger import Transaction
from seawall.native import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.primitives.errors import IntegrityAlarm, SeawallError
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import InlineOffload
from seawall.primitives.units import NATIVE, Address
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule, TokenClass
from seawall.runtime.authority import AuthorityKeeper, Membership
from seawall.runtime.commands import Command
from seawall.runtime.feeds import Feed
from seawall.runtime.submission import Submission
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.telemetry.metrics import Metrics
from tests.world.endpoints import Endpoints, ModelTransport
from tests.world.loop import Machine, VirtualEntropy, VirtualLoop
from tests.world.node import CHAIN_ID, NodeModel
from tests.world.port import ModelPort
from tests.world.storage import WorldLedger
from tests.world.strategy import Host, Inhabitant

__all__ = ["LANE_BOUND", "LEASE_TTL_S", "Kernel", "Randomness", "acting_kernel", "changes_at_verdict"]

LEASE_TTL_S = 3
LANE_BOUND = 6  # unlanded slots; low, so that it is reached
_GWEI = 10**9
_LIMITS = RiskLimits(
    max_fee_per_gas_wei=500 * _GWEI,
    position_caps={NATIVE: 10**20},
    validity_blocks=2,
    validity_s=10,
)

# Which kernel the running task belongs to: a failpoint does not say.
_acting: ContextVar[Kernel | None] = ContextVar("acting_kernel", default=None)

# How often the latch had changed when the running task, or the one that began it, had its last verdict.
_changes_at_verdict: ContextVar[int | None] = ContextVar("changes_at_verdict", default=None)

Randomness = Callable[[str], random.Random]


def acting_kernel() -> Kernel | None:
    return _acting.get()


def changes_at_verdict() -> int | None:
    return _changes_at_verdict.get()


@dataclass(frozen=True, slots=True)
class WorldSigner:
    """Fulfils `Signer` over a native key that takes its time, as a key kept elsewhere does."""

    key: LocalKey
    machine: Machine
    node: NodeModel
    before_await: Callable[[str], None]
    ready: bool = True
    is_local: bool = False

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
    endpoints: Endpoints
    keys: Sequence[LocalKey]
    askers: Sequence[Inhabitant]
    holder: str
    randomness: Randomness
    before_await: Callable[[str], None]
    on_write: Callable[[Kernel, SignedWrite], None]
    latch_path: Path
    send_endpoints: int
    raised_s: Callable[[], float]  # when a hand last raised authority on its machine
    has_company: bool  # others share the lanes with it
    alarms: list[IntegrityAlarm] = field(default_factory=list)
    has_started: bool = False
    has_crashed: bool = False
    is_in_doubt: bool = False  # the result of a commit is not known
    latch: Latch | None = None
    ledger: WorldLedger | None = None
    chain: Chain | None = None
    _tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Start up, then work until cancelled or crashed."""
        _acting.set(self)
        self.latch = latch = Latch(self.latch_path, clock=self.machine)
        entropy = VirtualEntropy(self.randomness("entropy"))
        self.ledger = ledger = WorldLedger.at(
            self.directory, self.machine, entropy, self.node.faults, is_shared=self.has_company
        )
        try:
            await self._work(latch, ledger, entropy)
        finally:
            await ledger.close()

    def ask_cancel(self, number: int) -> bool:
        """Somebody cancels an intent through this kernel; False while it is not there for that."""
        if self._tasks is None or self.machine.is_frozen:
            return False
        self._tasks.create_task(self._cancel(number))
        return True

    async def _cancel(self, number: int) -> None:
        assert self.ledger is not None
        assert self.chain is not None
        _acting.set(self)
        entropy = VirtualEntropy(self.randomness("cancel"))
        wake = self.chain.loop.wake_lanes
        submission = Submission({}, self.ledger, self.machine, entropy, lambda _chain_id: wake())
        with contextlib.suppress(SeawallError):
            await submission.cancel(Command("cancel", reason="a drill", who="world", body={"id": number}))

    def release_quarantines(self) -> None:
        """An operator has looked at the lanes that stand still, and lets them work."""
        chain = self.chain
        if self._tasks is not None and chain is not None and chain.loop.leases.quarantined:
            self._tasks.create_task(self._release(list(chain.loop.leases.quarantined)))

    async def _release(self, lanes: Sequence[Lane]) -> None:
        assert self.ledger is not None
        _acting.set(self)
        with contextlib.suppress(SeawallError):
            await self.ledger.write(lambda tx: _release(tx, lanes))

    def note_verdict(self) -> None:
        """The running task has a verdict now."""
        if self.latch is not None:
            _changes_at_verdict.set(self.latch.changes)

    def fence_of(self, key: bytes) -> int:
        """The fence under which it believes to hold the key's lane."""
        assert self.chain is not None
        return next(runner.fence for runner in self.chain.loop.runners if runner.lane.key == key)

    async def _work(self, latch: Latch, ledger: WorldLedger, entropy: VirtualEntropy) -> None:
        services = Services(
            ledger=ledger,
            latch=latch,
            clock=self.machine,
            entropy=entropy,
            offload=InlineOffload(),
            metrics=Metrics(),
            holder=self.holder,
            lease_ttl_s=LEASE_TTL_S,
            is_shared=self.has_company,
        )
        member = Membership(self.holder, SendPermit(self.machine)) if self.has_company else None
        permit = None if member is None else member.permit
        self.chain = chain = await build_chain(self._spec(latch, permit), services, self.alarms.append)
        keeper = AuthorityKeeper(latch, ledger, self.machine, [chain.desk], self._on_raised, member)
        keeper.attach(asyncio.get_running_loop())
        await keeper.start()
        feeds = [self._feed(asker, chain, ledger) for asker in self.askers]
        chain.loop.listeners += feeds
        await chain.loop.start()
        self.has_started = True
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for feed in feeds:
                await feed.start()
                tasks.create_task(feed.run())
            tasks.create_task(keeper.run())
            tasks.create_task(chain.loop.run())

    def _spec(self, latch: Latch, permit: SendPermit | None) -> ChainSpec:
        # Every other key is kept elsewhere; the others are asked within the turn, however long they take.
        signers = [
            WorldSigner(key, self.machine, self.node, self.before_await, is_local=place % 2 == 0)
            for place, key in enumerate(self.keys)
        ]
        ours = OurAddresses(frozenset(signer.address for signer in signers), None)
        return ChainSpec(
            network_of(CHAIN_ID),
            [
                ModelTransport(endpoint, self.machine, self.randomness(endpoint.name), self.before_await)
                for endpoint in self.endpoints.all
            ],
            ModelPort(
                self.node,
                self.loop,
                self.machine,
                latch,
                self.randomness("port"),
                self.before_await,
                lambda write: self.on_write(self, write),
                self.send_endpoints,
                permit,
            ),
            {signer.address: signer for signer in signers},
            Gate(_LIMITS, ours, ReduceRule({NATIVE: TokenClass.SETTLEMENT}, (), (), ())),
            FeeSettings(max_fee_per_gas_ceiling_wei=400 * _GWEI, validity_blocks=2),
            emergency_max_fee_per_gas_wei=5_000 * _GWEI,
            poll_interval_s=0.5,
            lane_unlanded_max=LANE_BOUND,
            agreement=self.endpoints.agreement,
        )

    def _feed(self, asker: Inhabitant, chain: Chain, ledger: WorldLedger) -> Feed:
        wanted = asker.subscriptions()
        host = Host(asker.name, asker.instance(), self.machine, self.node.faults, self.randomness(asker.name))
        return Feed(
            strategy=asker.name,
            port=host,
            desk=chain.desk,
            intake=chain.intake,
            ledger=ledger,
            on_accepted=chain.loop.wake_lanes,
            declared=lambda _name: wanted,
            lane=Lane(CHAIN_ID, asker.home) if self.has_company else None,
            is_shared=self.has_company,
        )

    def _on_raised(self) -> None:
        if self.chain is not None:
            self.chain.loop.tend_soon()
            self.chain.loop.wake_lanes()


def _release(tx: Transaction, lanes: Sequence[Lane]) -> None:
    for lane in lanes:
        tx.lanes.quarantine(lane, None)
