"""The one place where a chain's parts are put together. The kernel and the world simulator both build
through here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from seawall.chain.broadcast import BroadcastPort
from seawall.chain.client import ChainClient, StateCheck
from seawall.chain.data_fees import data_fees_of
from seawall.chain.fees import FeeEstimator, FeeSettings
from seawall.chain.heads import HeadFollower
from seawall.chain.networks import Network
from seawall.chain.pool.settings import EndpointSettings
from seawall.chain.rpc import RpcPool, RpcTransport
from seawall.chain.simulation import Simulator
from seawall.chain.subscriptions import HeadWake
from seawall.chain.writes import Withdrawer
from seawall.control.latch import Latch
from seawall.ledger import Ledger
from seawall.primitives.bounds import HEADS_KEPT, LANE_UNLANDED_MAX
from seawall.primitives.errors import IntegrityAlarm
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Clock, Entropy, Offload
from seawall.primitives.units import Address
from seawall.risk.gate import Gate
from seawall.runtime.chain_loop import ChainLoop
from seawall.runtime.leases import LeaseKeeper
from seawall.signers.base import Signer
from seawall.telemetry.metrics import Metrics
from seawall.transactions.accounting import Accountant
from seawall.transactions.confirmation import Confirmer
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.intake import Intake
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.policies import MovePolicy, StuckPolicies
from seawall.transactions.queue import Queues
from seawall.transactions.routes import Routes
from seawall.transactions.waiting import Waiting
from seawall.transactions.writing import Outbox

__all__ = ["Chain", "ChainSpec", "Services", "build_chain"]


@dataclass(frozen=True, slots=True)
class Services:
    """What a kernel has once, injected."""

    ledger: Ledger
    latch: Latch
    clock: Clock
    entropy: Entropy
    offload: Offload
    metrics: Metrics
    holder: str  # who holds our leases
    lease_ttl_s: int
    is_shared: bool = False  # other kernels may work on this ledger


@dataclass(frozen=True, slots=True)
class ChainSpec:
    """What a kernel has per chain. A signer of None makes its lane a dry-run lane."""

    network: Network
    transports: Sequence[RpcTransport]
    port: BroadcastPort
    signers: Mapping[Address, Signer | None]
    gate: Gate
    fees: FeeSettings
    emergency_max_fee_per_gas_wei: int
    poll_interval_s: float
    agreement: int = 1  # how many of `transports` must say the same
    verify_state: StateCheck = StateCheck.AGREEMENT
    lane_unlanded_max: int = LANE_UNLANDED_MAX
    segments_max: int = 1
    stuck: StuckPolicies = StuckPolicies()  # noqa: RUF009  (frozen)
    moves: MovePolicy = MovePolicy()  # noqa: RUF009  (frozen)
    endpoints: Sequence[EndpointSettings] = ()  # of `transports`, in their order, or none
    routes: Routes = field(default_factory=Routes)
    relays: Withdrawer | None = None


@dataclass(frozen=True, slots=True)
class Chain:
    """One chain, ready to start."""

    pool: RpcPool
    desk: Desk
    intake: Intake
    loop: ChainLoop


async def build_chain(
    spec: ChainSpec, services: Services, on_integrity_alarm: Callable[[IntegrityAlarm], None]
) -> Chain:
    """Put one chain together on the heads that the ledger remembers."""
    chain_id = spec.network.chain_id
    pool = RpcPool(
        spec.transports,
        chain_id=chain_id,
        clock=services.clock,
        agreement=spec.agreement,
        settings=spec.endpoints,
    )
    services.metrics.watch_endpoints(spec.network.name, pool.health)
    client = ChainClient(pool, spec.network, verify_state=spec.verify_state)
    parts = DeskParts(
        network=spec.network,
        client=client,
        simulator=Simulator(client, spec.network, services.offload),
        fees=FeeEstimator(client, spec.fees),
        data_fees=data_fees_of(client),
        gate=spec.gate,
        port=spec.port,
        ledger=services.ledger,
        latch=services.latch,
        clock=services.clock,
        metrics=services.metrics,
        emergency_max_fee_per_gas_wei=spec.emergency_max_fee_per_gas_wei,
        lane_unlanded_max=spec.lane_unlanded_max,
        segments_max=spec.segments_max,
        stuck=spec.stuck,
        moves=replace(spec.moves, unrecorded=pool.agreement > 1),
        routes=spec.routes,
        relays=spec.relays,
        offload=services.offload,
    )
    desk = Desk(parts)
    outbox = Outbox(desk)
    lanes = {key: Lane(chain_id, key) for key in spec.signers}
    queues = Queues()
    runners = [LaneRunner(desk, lanes[key], signer, outbox) for key, signer in spec.signers.items()]
    recent = await services.ledger.read(lambda tx: tx.heads.recent(chain_id, HEADS_KEPT))
    loop = ChainLoop(
        desk=desk,
        follower=HeadFollower(client, services.clock, recent),
        confirmer=Confirmer(desk, Accountant(client, spec.gate.ours)),
        outbox=outbox,
        runners=runners,
        dispatcher=Dispatcher(
            desk, {runner.lane: runner for runner in runners}, queues, outbox, Waiting(desk, queues)
        ),
        leases=LeaseKeeper(
            services.ledger,
            services.clock,
            tuple(lanes.values()),
            services.holder,
            services.lease_ttl_s,
            services.is_shared,
        ),
        listeners=[],
        head_wake=HeadWake(services.clock, spec.poll_interval_s),
        on_integrity_alarm=on_integrity_alarm,
    )
    intake = Intake(services.ledger, services.clock, services.entropy, frozenset(lanes.values()), queues)
    return Chain(pool, desk, intake, loop)
