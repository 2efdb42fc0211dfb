"""Dispatch under trouble: what is dropped, given back, refused or in doubt, and what else waits beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar, cast

import pytest

from seawall.chain.data_fees import NoDataFees
from seawall.chain.fees import FeeQuote
from seawall.ledger import Ledger, LedgerSettings
from seawall.ledger.migrate import create
from seawall.ledger.transaction import Transaction
from seawall.native.wire import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.primitives.errors import LedgerDoubtError, LedgerError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState, Priority
from seawall.primitives.observations import Decision
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.ports import InlineOffload, SystemClock, SystemEntropy
from seawall.primitives.units import NATIVE, Address
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule
from seawall.risk.spending import Budget, SpendBook, SpendCap
from seawall.signers.local import LocalSigner
from seawall.telemetry.metrics import Metrics
from seawall.transactions.desk import Desk, DeskParts
from seawall.transactions.dispatch import Dispatcher
from seawall.transactions.intake import Intake
from seawall.transactions.lanes import LaneRunner
from seawall.transactions.queue import Queues
from seawall.transactions.routes import Routes
from seawall.transactions.waiting import Waiting
from seawall.transactions.writing import Outbox
from tests.builders.messages import CHAIN_ID, ETHER, GWEI, NOW_S, WETH, block
from tests.unit.transactions.test_review_overlay import attempt
from tests.unit.transactions.test_review_overlay import desk as modelled_desk

T = TypeVar("T")


@dataclass
class Clock:
    now: int = NOW_S
    monotonic: float = 0.0

    def now_s(self) -> int:
        return self.now

    def monotonic_s(self) -> float:
        return self.monotonic

    def pass_s(self, seconds: int) -> None:
        self.now += seconds
        self.monotonic += seconds


@dataclass
class DoubtfulLedger:
    """A true ledger of which one write is done and not acknowledged."""

    true: Ledger
    doubts: int = 0

    async def write(self, work: Callable[[Transaction], T]) -> T:
        result = await self.true.write(work)
        if self.doubts and isinstance(result, list) and result:
            self.doubts -= 1
            raise LedgerDoubtError("the commit is in doubt", "ledger", "read what is stored")
        return result

    async def read(self, work: Callable[[Transaction], T]) -> T:
        return await self.true.read(work)


@dataclass
class SlowSigner:
    """Signs after `takes_s` on the kernel's clock."""

    signer: LocalSigner
    clock: Clock
    takes_s: int = 0

    @property
    def address(self) -> Address:
        return self.signer.address

    @property
    def ready(self) -> bool:
        return self.signer.ready

    @property
    def is_local(self) -> bool:
        return self.signer.is_local

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        signed = await self.signer.sign_transactions(transactions)
        self.clock.pass_s(self.takes_s)
        return signed

    async def sign_digest(self, digest: bytes) -> bytes:
        raise NotImplementedError


@dataclass
class Bench:
    ledger: Ledger
    desk: Desk
    dispatcher: Dispatcher
    intake: Intake
    clock: Clock
    doubtful: DoubtfulLedger
    signers: list[SlowSigner]
    lanes: list[Lane] = field(default_factory=list)

    def plan(self, key: str, lane: int = 0, value_wei: int = 0) -> Plan:
        body = DirectBody(WETH, b"\xd0\xe3\x0d\xb0", value_wei)
        return Plan("keeper", CHAIN_ID, self.lanes[lane].key, body, WETH, key, NOW_S + 600)

    async def accept(self, *plans: Plan) -> list[IntentNumber]:
        rows = await self.intake.accept(Decision("keeper", 1, 0, plans, None, None))
        return [row.number for row in rows]

    async def state(self, number: IntentNumber) -> IntentState:
        return (await self.ledger.read(lambda tx: tx.intents.get(number))).state

    async def steps(self, most: int) -> int:
        for done in range(most):
            if not await self.dispatcher.step():
                return done + 1
        return most


async def bench(
    ledger: Ledger, lanes: int = 1, max_fee_wei: int = 2 * GWEI, cap_wei: int | None = None
) -> Bench:
    clock, doubtful, model = Clock(), DoubtfulLedger(ledger), modelled_desk()
    signers = [
        SlowSigner(LocalSigner.holding(f"k{i}", LocalKey.generate(), InlineOffload()), clock)
        for i in range(lanes)
    ]
    keys = [Lane(CHAIN_ID, signer.address) for signer in signers]

    async def nonce_at(*_: object) -> int:
        return 5

    async def quotes(*_: object) -> dict[Priority, FeeQuote]:
        return dict.fromkeys(Priority, FeeQuote(GWEI, 1, max_fee_wei, GWEI, max_fee_wei))

    budgets = (
        () if cap_wei is None else (Budget("all", frozenset(keys), (SpendCap(NATIVE, cap_wei, cap_wei),)),)
    )
    gate = Gate(
        RiskLimits(position_caps={NATIVE: 100 * ETHER}),
        OurAddresses(frozenset(lane.key for lane in keys), None),
        ReduceRule({}, (), (), ()),
        SpendBook(budgets),
    )
    latch = SimpleNamespace(authority=Authority.RUN, changes=0, reason="", admits=lambda kind: True)
    parts = SimpleNamespace(
        routes=Routes(),
        simulator=model.parts.simulator, gate=gate, clock=clock, ledger=doubtful, latch=latch,
        metrics=Metrics(), client=SimpleNamespace(nonce_at=nonce_at), fees=SimpleNamespace(quotes=quotes),
        network=SimpleNamespace(chain_id=CHAIN_ID, name="model"), lane_unlanded_max=16, segments_max=1,
        data_fees=NoDataFees(), offload=InlineOffload(),
    )  # fmt: skip
    made = Desk(cast(DeskParts, parts))
    made.epoch = await ledger.write(
        lambda tx: tx.controls.set("global", Authority.RUN, "start", "test", NOW_S)
    )
    made.note_canonical((block(),), ())
    made.move_to(block())
    await made.stand_on_head()
    outbox, queues = Outbox(made), Queues()
    runners = {}
    for lane, signer in zip(keys, signers, strict=True):
        fence = await _lease(ledger, lane)
        made.fences = {**made.fences, lane: fence}
        runners[lane] = LaneRunner(made, lane, signer, outbox, fence)
    dispatcher = Dispatcher(made, runners, queues, outbox, Waiting(made, queues))
    intake = Intake(ledger, cast(SystemClock, clock), SystemEntropy(), frozenset(keys), queues)
    return Bench(ledger, made, dispatcher, intake, clock, doubtful, signers, keys)


async def _lease(ledger: Ledger, lane: Lane) -> int:
    return await ledger.write(lambda tx: tx.lanes.acquire(lane, "test", 0, 60))


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    create(url)
    opened = Ledger.open(LedgerSettings(url), clock=SystemClock(), entropy=SystemEntropy())
    yield opened
    await opened.close()


async def test_ready_intent_is_committed(ledger: Ledger) -> None:
    """The bench itself works."""
    found = await bench(ledger)
    (number,) = await found.accept(found.plan("one"))
    await found.steps(4)
    assert await found.state(number) is IntentState.COMMITTED


async def test_fee_ceiling_just_under_the_next_base_fee_lets_the_intent_wait(ledger: Ledger) -> None:
    # The base fee is 1 gwei, and 1.125 gwei at most in the next block: like any base fee over the ceiling,
    # it passes, and is no fault of the plan.
    found = await bench(ledger, max_fee_wei=GWEI + GWEI // 20)
    (number,) = await found.accept(found.plan("one"))
    await found.steps(2)
    row = await ledger.read(lambda tx: tx.intents.get(number))
    assert (row.state, row.reason) == (IntentState.QUEUED, "")


async def test_refusal_on_top_of_a_candidate_that_was_dropped_is_not_final(ledger: Ledger) -> None:
    # Ten ether: each alone is affordable. The first is dropped because the signer takes longer than a verdict
    # lasts, so nothing says that the second cannot be paid.
    found = await bench(ledger)
    first, second = await found.accept(
        found.plan("one", value_wei=6 * ETHER), found.plan("two", value_wei=6 * ETHER)
    )
    found.signers[0].takes_s = 60
    await found.dispatcher.step()
    assert await found.state(first) is IntentState.QUEUED
    row = await ledger.read(lambda tx: tx.intents.get(second))
    assert (row.state, row.reason) == (IntentState.QUEUED, "")


async def test_lane_that_cannot_go_on_holds_up_no_other_lane(ledger: Ledger) -> None:
    # What is unlanded on the first lane cannot run (its nonce is not the next), so nothing behind it can be
    # judged now. The second lane has nothing to do with that.
    found = await bench(ledger, lanes=2)
    await found.accept(*(found.plan(f"s{n}", lane=0) for n in range(32)))
    found.clock.pass_s(1)
    (healthy,) = await found.accept(found.plan("healthy", lane=1))
    found.desk.load([attempt(1, 9, found.lanes[0])], {})
    await found.desk.rebuild_overlay()
    await found.dispatcher.step()
    assert await found.state(healthy) is IntentState.COMMITTED


async def test_nothing_is_dispatched_while_a_commit_is_in_doubt(ledger: Ledger) -> None:
    # The budget of both lanes has room for one of them.
    found = await bench(ledger, lanes=2, cap_wei=7 * ETHER)
    (first,) = await found.accept(found.plan("one", lane=0, value_wei=5 * ETHER))
    found.doubtful.doubts = 1
    with pytest.raises(LedgerDoubtError):
        await found.dispatcher.step()
    assert await found.state(first) is IntentState.COMMITTED
    assert found.desk.reload_due
    (second,) = await found.accept(found.plan("two", lane=1, value_wei=5 * ETHER))
    for _ in range(4):
        try:
            await found.dispatcher.step()
        except LedgerError:
            continue
    assert await found.state(second) is not IntentState.COMMITTED


async def test_cancellation_that_was_stored_before_the_commit_prevents_it(ledger: Ledger) -> None:
    found = await bench(ledger)
    (first,) = await found.accept(found.plan("one"))
    await found.dispatcher.waiting.tidy(found.dispatcher.runners)  # the queue was just compared
    asked = await ledger.write(lambda tx: tx.intents.ask_cancel(first, "by an operator"))
    assert asked.state is IntentState.QUEUED
    await found.steps(2)
    assert await found.state(first) is not IntentState.COMMITTED


async def test_signer_that_fails_once_ends_nothing(ledger: Ledger) -> None:
    found = await bench(ledger)
    (first,) = await found.accept(found.plan("one"))
    await found.signers[0].signer.close()  # locked between the look and the signature
    ready = SimpleNamespace(address=found.lanes[0].key, ready=True, is_local=True)
    ready.sign_transactions = found.signers[0].sign_transactions
    found.dispatcher.runners[found.lanes[0]].signer = cast(SlowSigner, ready)
    await found.dispatcher.step()
    assert await found.state(first) is IntentState.QUEUED


async def test_signer_that_fails_holds_up_no_other_lane(ledger: Ledger) -> None:
    found = await bench(ledger, lanes=2)
    await found.accept(*(found.plan(f"s{n}", lane=0) for n in range(64)))
    (healthy,) = await found.accept(found.plan("healthy", lane=1))
    gone = SimpleNamespace(address=found.lanes[0].key, ready=True, is_local=True)
    await found.signers[0].signer.close()
    gone.sign_transactions = found.signers[0].sign_transactions
    found.dispatcher.runners[found.lanes[0]].signer = cast(SlowSigner, gone)
    for _ in range(3):
        await found.dispatcher.step()
    assert await found.state(healthy) is IntentState.COMMITTED
