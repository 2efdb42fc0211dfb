"""Lanes whose keys are kept elsewhere: whatever such a signer does is its own lane's trouble."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seawall.native.wire import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.primitives.errors import SignerRefusedError
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.units import Address
from seawall.transactions import lanes
from seawall.transactions.queue import LaneQueue
from tests.builders.chain_model import ChainModel
from tests.builders.pipeline import GWEI, Pipeline, local_keys, pipeline

TIMEOUT_S = 0.05  # where it is to pass
PATIENCE_S = 60.0  # where the machine may be slow
Lie = Callable[[DynamicFeeTransaction], DynamicFeeTransaction]


@dataclass
class RemoteSigner:
    """Answers when it is `open`, and with what it wants to."""

    key: LocalKey
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[list[DynamicFeeTransaction]] = field(default_factory=list)
    lie: Lie | None = None
    other: LocalKey | None = None
    refuses: bool = False
    ready: bool = True
    is_local: bool = False

    @property
    def address(self) -> Address:
        return Address(self.key.address)

    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        self.asked.append(list(transactions))
        await self.open.wait()
        if self.refuses:
            raise SignerRefusedError("the key is not to be used", "a vault", "ask its owner")
        asked = [self.lie(each) for each in transactions] if self.lie else list(transactions)
        return (self.other or self.key).sign_transactions(asked)

    async def sign_digest(self, digest: bytes) -> bytes:
        raise NotImplementedError


@dataclass
class Remote:
    """A pipeline of two lanes, the first of which has its key elsewhere."""

    found: Pipeline
    signer: RemoteSigner

    @property
    def lane(self) -> Lane:
        return self.found.lane

    @property
    def queue(self) -> LaneQueue:
        return self.found.chain.intake.queues[self.lane]

    async def turns(self) -> None:
        """What was asked for goes on as far as it does."""
        for _ in range(20):
            await asyncio.sleep(0)
        await self.found.dispatch()

    async def until_timed_out(self, number: IntentNumber) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while "did not answer" not in self.queue.cause_of(number):  # noqa: ASYNC110  (it has no event)
                await asyncio.sleep(TIMEOUT_S / 5)

    async def answers(self) -> None:
        self.signer.open.set()
        await self.turns()

    async def state(self, number: IntentNumber) -> IntentState:
        return (await self.found.intent(number)).state


@contextlib.asynccontextmanager
async def remote(
    folder: Path, *, budget_wei: int | None = None, timeout_s: float = PATIENCE_S
) -> AsyncIterator[Remote]:
    async with pipeline(ChainModel(), folder, keys=2, budget_wei=budget_wei) as found:
        signing = found.chain.loop.dispatcher.remote
        signing.timeout_s = timeout_s
        signer = RemoteSigner(local_keys(2)[0])
        found.chain.loop.dispatcher.runners[found.lane].signer = signer
        task = asyncio.create_task(signing.run())
        yield Remote(found, signer)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_signature_of_a_key_elsewhere_is_asked_for_outside_the_turn_and_committed(
    tmp_path: Path,
) -> None:
    async with remote(tmp_path) as here:
        first, second = await here.found.submit(here.found.plan("one"), here.found.plan("two"))
        assert not here.found.chain.desk.turn.locked()
        assert await here.state(first) is IntentState.QUEUED
        await here.answers()
        assert [await here.state(number) for number in (first, second)] == [IntentState.COMMITTED] * 2
        assert [[each.nonce for each in batch] for batch in here.signer.asked] == [[0, 1]]
        await here.found.block()
        assert len(here.found.chain.desk.included) == 2


async def test_signer_that_hangs_holds_up_its_own_lane_alone(tmp_path: Path) -> None:
    async with remote(tmp_path, timeout_s=TIMEOUT_S) as here:
        found, other = here.found, list(here.found.signers)[1]
        (hung,) = await found.submit(found.plan("hangs"))
        for name in ("one", "two"):
            (number,) = await found.submit(found.plan(name, key=other))
            assert await here.state(number) is IntentState.COMMITTED
        await found.block()
        assert len(found.chain.desk.included) == 2
        await here.until_timed_out(hung)
        assert await here.state(hung) is IntentState.QUEUED
        assert "the signer did not answer within 0.05 s" in here.queue.cause_of(hung)
        found.chain.loop.dispatcher.remote.timeout_s = PATIENCE_S
        found.clock.ahead_s += 20  # past its rest
        await found.dispatch()
        await here.answers()
        assert await here.state(hung) is IntentState.COMMITTED
        assert len(here.signer.asked) == 2


async def test_intent_that_nobody_signed_in_time_expires_with_the_reason(tmp_path: Path) -> None:
    async with remote(tmp_path, timeout_s=TIMEOUT_S) as here:
        (hung,) = await here.found.submit(here.found.plan("hangs", ttl_s=30))
        await here.until_timed_out(hung)
        here.found.clock.ahead_s += 31
        await here.found.dispatch()
        row = await here.found.intent(hung)
        assert row.state is IntentState.EXPIRED
        assert "the signer did not answer" in row.reason


async def test_intent_whose_time_is_over_when_its_signature_comes_is_neither_committed_nor_signed_again(
    tmp_path: Path,
) -> None:
    async with remote(tmp_path) as here:
        (late,) = await here.found.submit(here.found.plan("late", ttl_s=30))
        await here.turns()
        here.found.clock.ahead_s += 31
        await here.answers()
        await here.found.dispatch()
        assert await here.state(late) is IntentState.EXPIRED
        assert len(here.signer.asked) == 1


@pytest.mark.parametrize(
    ("lie", "other", "refuses", "told"),
    [
        (lambda asked: asked._replace(value_wei=2), False, False, "signed something else"),
        (lambda asked: asked._replace(nonce=asked.nonce + 1), False, False, "signed something else"),
        (lambda asked: asked._replace(max_fee_per_gas_wei=GWEI), False, False, "signed something else"),
        (None, True, False, "signed with another key"),
        (None, False, True, "the key is not to be used"),
    ],
    ids=["value", "nonce", "fee", "key", "refusal"],
)
async def test_answer_that_is_not_what_was_asked_for_is_never_stored(
    tmp_path: Path, lie: Lie | None, other: bool, refuses: bool, told: str
) -> None:
    async with remote(tmp_path) as here:
        here.signer.lie, here.signer.refuses = lie, refuses
        here.signer.other = local_keys(2)[1] if other else None
        (number,) = await here.found.submit(here.found.plan("one"))
        await here.answers()
        assert await here.state(number) is IntentState.QUEUED
        assert told in here.queue.cause_of(number)
        assert await here.found.attempts(number) == []
        here.signer.lie, here.signer.other, here.signer.refuses = None, None, False
        here.found.clock.ahead_s += 20
        await here.found.dispatch()
        await here.turns()
        assert await here.state(number) is IntentState.COMMITTED


async def test_verdict_of_what_was_signed_is_of_the_head_at_its_commit(tmp_path: Path) -> None:
    async with remote(tmp_path) as here:
        found = here.found
        (number,) = await found.submit(found.plan("one"))
        await found.block()
        await here.answers()
        (attempt,) = await found.attempts(number)
        assert found.chain.desk.verdicts[attempt.number].base_hash == found.model.head.hash
        assert len(here.signer.asked) == 1


async def test_what_was_signed_and_may_not_be_spent_any_more_is_not_committed(tmp_path: Path) -> None:
    spent_wei = 10**18
    async with remote(tmp_path, budget_wei=spent_wei * 3 // 2) as here:
        found, other = here.found, list(here.found.signers)[1]
        (late,) = await found.submit(found.plan("late", value_wei=spent_wei))
        (early,) = await found.submit(found.plan("early", value_wei=spent_wei, key=other))
        assert await here.state(early) is IntentState.COMMITTED
        await here.answers()
        assert await found.attempts(late) == []
        assert "what was signed would be refused now: signer_spend" in here.queue.cause_of(late)
        found.clock.ahead_s += 1
        await found.dispatch()
        assert await here.state(late) is IntentState.REFUSED
        assert len(here.signer.asked) == 1


async def test_nonce_that_the_chain_used_meanwhile_is_signed_anew(tmp_path: Path) -> None:
    async with remote(tmp_path) as here:
        found = here.found
        (number,) = await found.submit(found.plan("one"))
        await here.turns()
        (foreign,) = here.signer.key.sign_transactions([here.signer.asked[0][0]._replace(value_wei=3)])
        assert found.model.receive(foreign.raw) is None
        await found.block()
        await here.answers()
        assert await found.attempts(number) == []
        found.clock.ahead_s += 20
        await found.dispatch()
        await here.turns()
        (attempt,) = await found.attempts(number)
        assert attempt.nonce == 1


async def test_halt_between_verdict_and_signature_lets_nothing_through(tmp_path: Path) -> None:
    async with remote(tmp_path) as here:
        found = here.found
        (number,) = await found.submit(found.plan("one"))
        found.latch.lower(Authority.HALT, "a drill", "a test")
        await here.answers()
        assert await here.state(number) is IntentState.QUEUED
        found.latch.raise_to(Authority.RUN, "it is over", "a test")
        await found.dispatch()
        assert await here.state(number) is IntentState.COMMITTED
        assert len(here.signer.asked) == 1


@pytest.mark.parametrize("why", ["halted", "not ready"])
@pytest.mark.parametrize("end", [IntentState.CANCELLED, IntentState.EXPIRED])
async def test_what_is_signed_and_cannot_go_on_still_ends_when_it_is_cancelled_or_late(
    tmp_path: Path, why: str, end: IntentState
) -> None:
    async with remote(tmp_path) as here:
        found = here.found
        ttl_s = 30 if end is IntentState.EXPIRED else 600
        ended, kept = await found.submit(found.plan("ends", ttl_s=ttl_s), found.plan("stays"))
        if why == "halted":
            found.latch.lower(Authority.HALT, "a drill", "a test")
        await here.turns()
        here.signer.ready = why != "not ready"
        await here.answers()
        if end is IntentState.CANCELLED:
            await found.ledger.write(lambda tx: tx.intents.ask_cancel(ended, "not wanted any more"))
        found.clock.ahead_s += 31
        for _ in range(2):  # a cancellation is heard, then done
            await found.dispatch()
        assert [await here.state(number) for number in (ended, kept)] == [end, IntentState.QUEUED]
        found.latch.raise_to(Authority.RUN, "it is over", "a test")
        here.signer.ready = True
        for _ in range(4):  # what is left was signed for the second nonce
            found.clock.ahead_s += 1
            await here.turns()
        assert [await here.state(number) for number in (ended, kept)] == [end, IntentState.COMMITTED]


async def test_signature_that_comes_for_a_lane_lost_and_held_again_is_not_used(tmp_path: Path) -> None:
    """Whoever held the lane in between may have committed the very intent."""
    async with remote(tmp_path) as here:
        found, dispatcher = here.found, here.found.chain.loop.dispatcher
        (number,) = await found.submit(found.plan("one"))
        await here.turns()
        dispatcher.queues.close(here.lane)  # as where the lease is another's for a while
        await here.answers()
        assert await found.attempts(number) == []
        dispatcher.waiting.reconcile_soon()
        await here.turns()
        await here.turns()
        assert len(here.signer.asked) == 2
        (attempt,) = await found.attempts(number)
        assert attempt.nonce == 0


async def test_second_of_a_lane_is_signed_anew_where_the_first_does_not_come(tmp_path: Path) -> None:
    async with remote(tmp_path) as here:
        found = here.found
        first, second = await found.submit(found.plan("one"), found.plan("two"))
        await here.turns()
        await found.ledger.write(lambda tx: tx.intents.ask_cancel(first, "not wanted any more"))
        await here.answers()
        for _ in range(6):
            found.clock.ahead_s += 2
            await here.turns()
        assert await here.state(first) is IntentState.CANCELLED
        (attempt,) = await found.attempts(second)
        assert (attempt.nonce, attempt.hash in found.model.pool) == (0, True)


async def test_refusal_on_top_of_what_is_only_being_signed_is_not_final(tmp_path: Path) -> None:
    async with remote(tmp_path, budget_wei=15 * 10**17) as here:
        found = here.found
        here.signer.refuses = True
        plans = [found.plan(name, value_wei=10**18) for name in ("one", "two")]
        first, second = await found.submit(*plans)
        await here.answers()
        assert [await here.state(number) for number in (first, second)] == [IntentState.QUEUED] * 2


async def test_filler_that_its_signer_does_not_sign_soon_holds_up_the_chain_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "IN_TURN_S", TIMEOUT_S)
    async with remote(tmp_path) as here:
        found, other = here.found, list(here.found.signers)[1]
        here.signer.open.set()
        await found.submit(found.plan("lost", ttl_s=30))
        found.port.lost = True
        await here.turns()
        found.port.lost = False
        here.signer.open.clear()
        found.clock.ahead_s += 31  # a filler is due
        await found.block()
        asked = len(here.signer.asked)
        (number,) = await found.submit(found.plan("one", key=other))
        assert await here.state(number) is IntentState.COMMITTED
        await found.block()
        assert len(here.signer.asked) == asked  # it rests
        assert found.chain.loop.trouble == ""
        here.signer.open.set()
        found.clock.ahead_s += 61
        await found.block()
        assert len(here.signer.asked) == asked + 1
        assert len(await found.slot_attempts(0)) == 2
