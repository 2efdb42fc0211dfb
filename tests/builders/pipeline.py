"""The real pipeline of one chain on a chain model, moved by hand: intake, dispatch, writing, confirmation and
recovery as `runtime.wiring` puts them together, over a true ledger and the true EVM.

Nothing happens by itself: a test mines, and then lets the pipeline look. Time is the model's.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TypeVar

from eth_account import Account

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteAnswer, WriteResult
from seawall.chain.fees import FeeSettings
from seawall.chain.networks import Network, network_of
from seawall.chain.node_errors import classify
from seawall.chain.rpc import RpcTransport
from seawall.chain.writes import Withdrawal
from seawall.control.latch import Latch
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.ledger.rows import AttemptRow, EventRow, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native import DynamicFeeTransaction, LocalKey, Password, SignedTransaction
from seawall.primitives.errors import ChainError, IntegrityAlarm, StaleError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Finality, Priority
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody, GuardSpec, Plan
from seawall.primitives.ports import InlineOffload, SystemEntropy
from seawall.primitives.routes import Routing
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits, SignerPolicy
from seawall.risk.reduce import ReduceRule, TokenClass
from seawall.risk.spending import Budget, SpendBook, SpendCap
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.telemetry.metrics import Metrics
from seawall.transactions.policies import MovePolicy
from seawall.transactions.routes import RoutePolicy, Routes
from tests.builders.chain_model import ChainModel

__all__ = [
    "ETHER",
    "LIMITS",
    "SOMEBODY",
    "ModelClock",
    "Pipeline",
    "local_keys",
    "new_ledger",
    "open_policy",
    "pipeline",
]

T = TypeVar("T")
ETHER = 10**18
GWEI = 10**9
LIMITS = RiskLimits(
    max_fee_per_gas_wei=500 * GWEI, position_caps={NATIVE: 10**24}, validity_blocks=3, validity_s=60
)
SOMEBODY = Address(b"\xfe" * 20)
STRATEGY = "keeper"


@dataclass(slots=True)
class ModelClock:
    """The model's time, and what a test adds to it."""

    model: ChainModel
    ahead_s: int = 0

    def now_s(self) -> int:
        return self.model.head.timestamp_s + self.ahead_s

    def monotonic_s(self) -> float:
        return float(self.now_s())

    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.sleep(0)


@dataclass(slots=True)
class ModelPort:
    """Fulfils `BroadcastPort` over the model. `lost`: bytes that leave and never arrive."""

    model: ChainModel
    latch: Latch
    written: list[Hash] = field(default_factory=list)
    lost: bool = False
    refuses: str = ""  # what every endpoint answers instead of taking anything
    private: list[SignedWrite] = field(default_factory=list)  # what relays were given; they land nothing
    unwanted: list[Withdrawal] = field(default_factory=list)

    async def write(self, writes: Sequence[SignedWrite]) -> list[WriteResult]:
        return [self._one(write) for write in writes]

    def _one(self, write: SignedWrite) -> WriteResult:
        if not self.latch.admits(write.kind):
            return WriteResult(write.hash, WriteAnswer.LATCHED)
        self.written.append(write.hash)
        if write.terms is not None:
            self.private.append(write)
            return WriteResult(write.hash, WriteAnswer.ACCEPTED)
        if self.lost:
            return WriteResult(write.hash, WriteAnswer.UNKNOWN, "timed out")
        problem = self.refuses or self.model.receive(write.raw)
        if problem in (None, "", "already known"):
            return WriteResult(write.hash, WriteAnswer.KNOWN if problem else WriteAnswer.ACCEPTED)
        return WriteResult(write.hash, WriteAnswer.REJECTED, problem or "", classify(0, problem or ""))

    async def withdraw(self, unwanted: Withdrawal) -> str:
        self.unwanted.append(unwanted)
        return "withdrawn"

    async def close(self) -> None:
        return


@dataclass(slots=True)
class ModelSigner:
    """Fulfils `Signer`. `fails`: as a key that is gone does."""

    key: LocalKey
    fails: bool = False
    ready: bool = True
    is_local: bool = True

    @property
    def address(self) -> Address:
        return Address(self.key.address)

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        if self.fails:
            raise ConnectionError("the key is gone")
        return self.key.sign_transactions(list(transactions))

    async def sign_digest(self, digest: bytes) -> bytes:
        return self.key.sign_digest(digest)


@dataclass(slots=True)
class Pipeline:
    """One kernel's chain. `second` starts another life on the same ledger."""

    model: ChainModel
    ledger: Ledger
    chain: Chain
    port: ModelPort
    clock: ModelClock
    metrics: Metrics
    latch: Latch
    signers: Mapping[Address, ModelSigner]
    alarms: list[IntegrityAlarm]
    _seq: int = 0

    @property
    def key(self) -> Address:
        return next(iter(self.signers))

    @property
    def lane(self) -> Lane:
        return Lane(self.model.chain_id, self.key)

    def plan(
        self,
        name: str,
        *,
        value_wei: int = 1,
        to: Address = SOMEBODY,
        key: Address | None = None,
        priority: Priority = Priority.NORMAL,
        ttl_s: int = 600,
        depends_on: tuple[str, ...] = (),
        depends_finality: Finality = Finality.INCLUDED,
        guards: tuple[GuardSpec, ...] = (),
        routing: Routing | None = None,
    ) -> Plan:
        return Plan(
            STRATEGY, self.model.chain_id, key or self.key, DirectBody(to, name.encode(), value_wei), NATIVE,
            name, self.clock.now_s() + ttl_s, guards=guards, priority=priority, depends_on=depends_on,
            depends_finality=depends_finality, routing=routing,
        )  # fmt: skip

    async def submit(self, *plans: Plan) -> list[IntentNumber]:
        """Accept, judge, sign, commit and write."""
        self._seq += 1
        rows = await self.chain.intake.accept(Decision(STRATEGY, self._seq, 0, plans))
        await self.dispatch()
        return [row.number for row in rows]

    async def dispatch(self) -> None:
        with contextlib.suppress(ChainError, StaleError):  # as the loop does: later is another try
            while await self.chain.loop.dispatcher.step():
                pass
        await self.chain.loop.outbox.idle()

    async def look(self) -> None:
        """One turn: the new head is confirmed, what is open is tended, what waits is dispatched."""
        await self.chain.loop.turn()
        await self.chain.loop.outbox.idle()
        if not self.chain.loop.trouble:
            await self.dispatch()

    async def block(self, count: int = 1, *, only: Sequence[Hash] | None = None) -> None:
        for _ in range(count):
            self.model.mine(only=only)
            await self.look()

    async def empty_block(self, count: int = 1) -> None:
        for _ in range(count):
            self.model.mine_nothing()
            await self.look()

    async def intent(self, number: IntentNumber) -> IntentRow:
        return await self.ledger.read(lambda tx: tx.intents.get(number))

    async def attempts(self, number: IntentNumber) -> list[AttemptRow]:
        return await self.ledger.read(lambda tx: tx.attempts.of_intent(number))

    async def slot_attempts(self, nonce: int) -> list[AttemptRow]:
        return await self.ledger.read(lambda tx: tx.attempts.of_slot(self.lane, nonce))

    async def events(self, kind: str) -> list[EventRow]:
        def read(tx: Transaction) -> list[EventRow]:
            found: list[EventRow] = []
            while page := tx.events.after(found[-1].seq if found else 0):
                found += page
            return found

        return [row for row in await self.ledger.read(read) if row.kind == kind]


@contextlib.asynccontextmanager
async def pipeline(
    model: ChainModel,
    folder: Path,
    *,
    keys: int = 1,
    transports: Sequence[RpcTransport] = (),
    send_urls: Sequence[str] = (),
    agreement: int = 1,
    unlanded_max: int = 16,
    fees: FeeSettings | None = None,
    emergency_gwei: int = 1_000,
    budget_wei: int | None = None,  # that all keys share, an hour and a day
    routes: RoutePolicy | None = None,
    moves: MovePolicy | None = None,
    network: Network | None = None,
    limits: RiskLimits | None = None,
) -> AsyncIterator[Pipeline]:
    """A kernel's chain on `model` with its ledger in `folder`, which may have one already. With `send_urls`
    signed bytes go out by the true port."""
    signers = {Address(key.address): ModelSigner(key) for key in local_keys(keys)}
    for address in signers:
        if address not in model.head.balances:
            model.fund(address, 10 * ETHER)
    clock = ModelClock(model)
    ledger = new_ledger(folder, clock)
    latch = Latch(folder / "latch.json", clock=clock)
    port, metrics = ModelPort(model, latch), Metrics(clock=clock)
    alarms: list[IntegrityAlarm] = []
    limits = limits or LIMITS
    ours = OurAddresses(frozenset(signers), None)
    book = SpendBook()
    if budget_wei is not None:
        limits = replace(limits, policies={key: open_policy(key) for key in signers})
        lanes = frozenset(Lane(model.chain_id, key) for key in signers)
        book = SpendBook([Budget("treasury", lanes, (SpendCap(NATIVE, budget_wei, budget_wei),))])
    spec = ChainSpec(
        network=network or network_of(model.chain_id),
        transports=list(transports) or [model],
        port=SocketBroadcastPort(send_urls, latch, clock=clock) if send_urls else port,
        signers=dict(signers),
        gate=Gate(limits, ours, ReduceRule({NATIVE: TokenClass.SETTLEMENT}, (), (), ()), book),
        fees=fees or FeeSettings(),
        emergency_max_fee_per_gas_wei=emergency_gwei * GWEI,
        poll_interval_s=0.05,
        agreement=agreement,
        lane_unlanded_max=unlanded_max,
        routes=Routes(routes, metrics),
        relays=port,
        moves=moves or MovePolicy(),
    )
    services = Services(ledger, latch, clock, SystemEntropy(), InlineOffload(), metrics, "test", 60)
    chain = await build_chain(spec, services, alarms.append)
    await chain.loop.start()
    failures: list[BaseException] = []
    writing = asyncio.create_task(chain.loop.outbox.run(failures.append))
    made = Pipeline(model, ledger, chain, port, clock, metrics, latch, signers, alarms)
    try:
        await made.look()
        yield made
        assert not failures
    finally:
        writing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await writing
        await chain.pool.close()
        await spec.port.close()
        await ledger.close()


def open_policy(key: Address) -> SignerPolicy:
    """Nothing but what is spent is limited."""
    return SignerPolicy(key.hex(), 10**24, 10**24, 2**24, any_target=True)


def new_ledger(folder: Path, clock: ModelClock) -> Ledger:
    url = f"sqlite:///{folder / 'ledger.db'}"
    if not (folder / "ledger.db").exists():
        (folder / "ledger.db").write_bytes(_empty_ledger())
    return Ledger.open(LedgerSettings(url), clock=clock, entropy=SystemEntropy(), inline=True)


@cache
def _empty_ledger() -> bytes:
    """Migrating costs more than most tests: done once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        create(f"sqlite:///{path}")
        return path.read_bytes()


@cache
def local_keys(count: int) -> tuple[LocalKey, ...]:
    """Keys that everybody knows: for models only."""
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "password"
        password.write_text("model")
        return tuple(
            LocalKey.from_keystore(
                json.dumps(Account.encrypt(number.to_bytes(32, "big"), "model", "scrypt", 2)).encode(),
                Password.from_file(password),
            )
            for number in range(1, count + 1)
        )
