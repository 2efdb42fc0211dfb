"""An intent whose nonce somebody else used gets another one, and its effect never comes twice (TX-2)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from copy import deepcopy
from pathlib import Path

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.contents import BlockContents
from seawall.native import DynamicFeeTransaction
from seawall.primitives.errors import EndpointError, UnavailableError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.units import NATIVE, Address, Hash
from seawall.telemetry.metrics import Metrics
from seawall.transactions import moving
from seawall.transactions.foreign import PROOF_TRIES_MAX
from seawall.transactions.policies import MovePolicy
from tests.builders.chain_model import GWEI, ChainModel, ModelTransaction
from tests.builders.pipeline import ETHER, SOMEBODY, Pipeline, local_keys, pipeline

FINAL_BLOCKS = 4
ELSEWHERE = Address(b"\x99" * 20)


def theirs(found: Pipeline, nonce: int) -> ModelTransaction:
    """Somebody else signed with our key, and the chain has the signature."""
    made = DynamicFeeTransaction(found.model.chain_id, nonce, 9 * GWEI, 90 * GWEI, 21_000, ELSEWHERE, 7, b"")
    (signed,) = found.signers[found.key].key.sign_transactions([made])
    return ModelTransaction(
        Hash(signed.hash), found.key, nonce, ELSEWHERE, 7, 90 * GWEI, 9 * GWEI, 21_000, raw=signed.raw
    )


def agreed(
    model: ChainModel, folder: Path, moves: MovePolicy | None = None
) -> AbstractAsyncContextManager[Pipeline]:
    """Two endpoints that must say the same, and do."""
    return pipeline(model, folder, transports=[model, model], agreement=2, moves=moves)


async def overtaken(found: Pipeline, name: str = "ours", *, ttl_s: int = 600) -> IntentNumber:
    """An intent whose nonce somebody else used, one block ago. Nobody forgets its bytes."""
    (number,) = await found.submit(found.plan(name, ttl_s=ttl_s))
    nonce = (await found.attempts(number))[-1].nonce
    found.model.drop()
    found.model.mine(theirs(found, nonce))
    await found.look()
    return number


def payments(found: Pipeline) -> int:
    """By the chain alone: how often the receiver was paid."""
    return sum(t.to == SOMEBODY and not t.reverts for b in found.model.blocks for t in b.transactions)


async def nonces(found: Pipeline, number: IntentNumber) -> list[int]:
    return [row.nonce for row in await found.attempts(number)]


async def test_transfer_is_not_moved_before_the_foreign_use_is_final_and_so_is_not_paid_twice(
    tmp_path: Path,
) -> None:
    """The expensive mistake: signed anew at another nonce, while a reorg brings the old bytes back."""
    async with agreed(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        (old,) = await found.attempts(number)
        await found.empty_block(2)
        assert await nonces(found, number) == [0]
        found.model.reorg(3, forget=True)
        assert found.model.receive(old.raw) is None  # somebody still had them
        found.model.mine(count=4)
        await found.look()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert await nonces(found, number) == [0]
        assert payments(found) == 1


async def test_transfer_overtaken_beyond_finality_lands_by_another_nonce_once(tmp_path: Path) -> None:
    async with agreed(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        await found.empty_block(FINAL_BLOCKS)
        assert await nonces(found, number) == [0, 1]
        (event,) = await found.events("intent.moved")
        assert (event.intent, event.data["nonce"]) == (number, 0)
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        assert (row.state, row.realised_wei) == (IntentState.LANDED, -1 - 21_000 * (GWEI + GWEI // 100))
        assert payments(found) == 1
        assert await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE)) == 0
        assert not found.alarms


@pytest.mark.parametrize("honest", [0, 2])
async def test_endpoint_that_makes_up_a_final_block_does_not_make_us_pay_twice(
    tmp_path: Path, honest: int
) -> None:
    """The holder of the key signed another transaction for the nonce, which never landed: one endpoint shows
    it in a final block. Alone it is not believed; beside others not either."""
    liar = ChainModel()
    truth = deepcopy(liar)
    for model in (liar, truth):
        model.fund(Address(local_keys(1)[0].address), 10 * ETHER)
    endpoints = [liar, *[truth] * honest]
    async with pipeline(liar, tmp_path, transports=endpoints, agreement=max(1, honest)) as found:
        (number,) = await found.submit(found.plan("ours"))
        liar.drop()
        liar.mine(theirs(found, 0))
        for _ in range(FINAL_BLOCKS + 1):
            truth.mine_nothing()
            await found.look()
            liar.mine_nothing()
        for row in await found.attempts(number):
            truth.receive(row.raw)
        truth.mine(count=2)
        paid = sum(t.to == SOMEBODY for block in truth.blocks for t in block.transactions)
        assert (paid, await nonces(found, number)) == (1, [0])
        state = IntentState.COMMITTED if honest else IntentState.CANCELLED
        assert (await found.intent(number)).state is state


async def test_use_that_nobody_can_prove_moves_nothing(tmp_path: Path) -> None:
    """A node that counts a nonce and shows no signature of the key for it."""
    async with agreed(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
        found.model.drop()
        found.model.mine(ModelTransaction(Hash(b"\x01" * 32), found.key, 0))
        await found.look()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.CANCELLED
        assert await nonces(found, number) == [0]


@pytest.mark.parametrize("failures", [1, PROOF_TRIES_MAX])
async def test_use_that_cannot_be_read_now_is_proved_later_but_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    true_contents, left = ChainClient.contents, [None] * failures

    async def contents(self: ChainClient, block_hash: Hash) -> BlockContents:
        if left:
            left.pop()
            raise UnavailableError("nobody answers", "here", "try later")
        return await true_contents(self, block_hash)

    monkeypatch.setattr(ChainClient, "contents", contents)
    async with agreed(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        for _ in range(FINAL_BLOCKS + PROOF_TRIES_MAX):
            await found.empty_block()
        assert not left
        is_moved = failures < PROOF_TRIES_MAX
        assert set(await nonces(found, number)) == ({0, 1} if is_moved else {0})
        state = IntentState.COMMITTED if is_moved else IntentState.CANCELLED
        assert (await found.intent(number)).state is state


async def test_use_is_proved_where_nodes_keep_little_state_before_the_block_in_which_it_was_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finality comes many blocks at a time, and a node keeps the states of the last 128."""
    async with agreed(ChainModel(), tmp_path) as found:
        found.model.mine_nothing(80)
        await found.look()
        number = await overtaken(found)
        kept = {Hash(block.hash) for block in found.model.blocks[-2:]}
        true_nonces = ChainClient.nonces_at

        async def nonces_at(self: ChainClient, keys: Sequence[Address], block_hash: Hash) -> list[int]:
            if block_hash not in kept | {Hash(block.hash) for block in found.model.blocks[-60:]}:
                raise EndpointError("missing trie node", "there", "ask another")
            return await true_nonces(self, keys, block_hash)

        monkeypatch.setattr(ChainClient, "nonces_at", nonces_at)
        found.model.mine_nothing(50)
        await found.look()
        await found.look()
        (event,) = await found.events("intent.moved")
        assert (event.intent, event.data["nonce"]) == (number, 0)


async def test_endpoint_that_withholds_our_receipt_does_not_make_us_pay_again(tmp_path: Path) -> None:
    model = ChainModel()
    async with agreed(model, tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
    model.mine()
    model.mine_nothing(300)
    model.hides_receipts = True
    async with agreed(model, tmp_path) as again:
        await again.empty_block(FINAL_BLOCKS)
        assert (await again.intent(number)).state is IntentState.COMMITTED
        assert await nonces(again, number) == [0]
        model.hides_receipts = False
        await again.empty_block(2)
        assert (await again.intent(number)).state is IntentState.LANDED
        assert payments(again) == 1


async def test_overdue_cancelled_and_unwilling_ones_end_and_do_not_move(tmp_path: Path) -> None:
    async with agreed(ChainModel(), tmp_path) as found:
        late = await overtaken(found, "late", ttl_s=2)
        await found.empty_block(FINAL_BLOCKS)
        unwanted = await overtaken(found, "unwanted")
        await found.ledger.write(lambda tx: tx.intents.ask_cancel(unwanted, "a person"))
        await found.empty_block(FINAL_BLOCKS)
        for number in (late, unwanted):
            assert (await found.intent(number)).state is IntentState.CANCELLED
    (tmp_path / "two").mkdir()
    async with agreed(ChainModel(label="two"), tmp_path / "two", moves=MovePolicy(moves_max=0)) as found:
        number = await overtaken(found)
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.CANCELLED


async def test_moves_are_bounded(tmp_path: Path) -> None:
    async with agreed(ChainModel(), tmp_path, moves=MovePolicy(moves_max=2)) as found:
        number = await overtaken(found)
        for nonce in (1, 2):
            await found.empty_block(FINAL_BLOCKS)
            found.model.drop()
            found.model.mine(theirs(found, nonce))
            await found.look()
        await found.empty_block(FINAL_BLOCKS)
        assert await nonces(found, number) == [0, 1, 2]
        assert (await found.intent(number)).state is IntentState.CANCELLED
        assert payments(found) == 0


async def test_move_survives_a_restart_between_queue_and_commit(tmp_path: Path) -> None:
    model = ChainModel()
    async with agreed(model, tmp_path) as found:
        number = await overtaken(found)
    async with agreed(model, tmp_path) as again:
        await again.empty_block(FINAL_BLOCKS)
        await again.block()
        await again.empty_block(FINAL_BLOCKS)
        assert (await again.intent(number)).state is IntentState.LANDED
        assert payments(again) == 1


# ---------------------------------------------------------------------- at once: a second copy would revert


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plans here count as recorded by their contract; what reverts is told to the model by hand."""
    monkeypatch.setattr(moving, "is_recorded", lambda _plan: True)


@pytest.mark.usefixtures("recorded")
async def test_recorded_plan_moves_at_once_and_its_old_hash_lands_it_after_a_reorg(tmp_path: Path) -> None:
    async with agreed(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        old, new = await found.attempts(number)
        assert (old.nonce, new.nonce) == (0, 1)
        found.model.reorg(1, forget=True)
        found.model.drop()
        found.model.receive(old.raw)
        found.model.mine(only=[old.hash])
        found.model.reverting.add(SOMEBODY)  # its contract has recorded it by now
        found.model.codes[SOMEBODY] = bytes.fromhex("5f5ffd")
        found.model.receive(new.raw)
        found.model.mine(count=1)
        await found.look()
        await found.empty_block(FINAL_BLOCKS)
        row = await found.intent(number)
        assert row.state is IntentState.LANDED
        fee_wei = 21_000 * (GWEI + GWEI // 100)
        assert row.realised_wei == -1 - 2 * fee_wei  # the copy is a cost, and no second landing
        assert payments(found) == 1
        slots = await found.ledger.read(lambda tx: tx.slots.listing(9, lane=found.lane))
        assert [(slot.nonce, slot.final, slot.consumed_by) for slot in slots] == [
            (1, True, new.hash), (0, True, old.hash),
        ]  # fmt: skip
        assert await found.ledger.read(lambda tx: tx.reservations.sum(found.lane, NATIVE)) == 0
        assert len(await found.events("intent.landed")) == 1
        assert not found.alarms


@pytest.mark.usefixtures("recorded")
async def test_recorded_plan_refused_at_its_second_nonce_waits_for_what_becomes_of_its_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[IntentState] = []
    monkeypatch.setattr(Metrics, "ended", lambda _, state, count=1: counted.extend([state] * count))
    async with agreed(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
        (old,) = await found.attempts(number)
        found.model.drop()
        found.model.codes[SOMEBODY] = bytes.fromhex("5f5ffd")  # it would revert now
        found.model.mine(theirs(found, 0))
        await found.look()
        row = await found.intent(number)
        assert (row.state, await nonces(found, number)) == (IntentState.COMMITTED, [0])
        assert len(await found.events("intent.returned")) == 1
        assert not counted, "it has not ended"
        found.model.reorg(1, forget=True)
        del found.model.codes[SOMEBODY]
        found.model.receive(old.raw)
        found.model.mine(count=2)
        await found.look()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert counted == [IntentState.LANDED]


@pytest.mark.usefixtures("recorded")
async def test_refused_at_once_it_ends_with_its_slot_and_does_not_move_again(tmp_path: Path) -> None:
    async with agreed(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
        found.model.drop()
        found.model.codes[SOMEBODY] = bytes.fromhex("5f5ffd")
        found.model.mine(theirs(found, 0))
        await found.look()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.CANCELLED
        assert await nonces(found, number) == [0]


@pytest.mark.usefixtures("recorded")
async def test_sighting_taken_back_before_the_new_commit_leaves_the_plan_with_its_first_nonce(
    tmp_path: Path,
) -> None:
    async with agreed(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("ours"))
        (old,) = await found.attempts(number)
        found.model.drop()
        found.latch.lower(Authority.HALT, "a drill", "test")  # nothing new is signed meanwhile
        found.model.mine(theirs(found, 0))
        await found.look()
        assert (await found.intent(number)).state is IntentState.QUEUED
        found.model.reorg(1, forget=True)
        found.model.mine_nothing(2)
        await found.look()
        assert (await found.intent(number)).state is IntentState.COMMITTED
        found.latch.raise_to(Authority.RUN, "it is over", "test")
        found.model.receive(old.raw)
        await found.block()
        await found.empty_block(FINAL_BLOCKS)
        assert (await found.intent(number)).state is IntentState.LANDED
        assert await nonces(found, number) == [0]


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("apart", [0, 2])
async def test_second_copy_that_succeeds_is_an_integrity_alarm(tmp_path: Path, apart: int) -> None:
    """A contract that records nothing after all: final in one block with the first one, or later."""
    async with agreed(ChainModel(), tmp_path) as found:
        number = await overtaken(found)
        old, new = await found.attempts(number)
        found.model.reorg(1, forget=True)
        found.model.drop()
        found.model.receive(old.raw)
        found.model.mine(only=[old.hash])
        found.model.mine_nothing(apart)
        found.model.receive(new.raw)
        found.model.mine()
        await found.look()
        await found.empty_block(FINAL_BLOCKS + apart)
        assert payments(found) == 2
        (alarm, *_) = found.alarms
        assert f"landed by a second transaction, beyond finality: one of 1, #{number}" in str(alarm)


@pytest.mark.usefixtures("recorded")
async def test_policy_may_say_that_recorded_plans_wait_for_finality_too(tmp_path: Path) -> None:
    async with agreed(ChainModel(), tmp_path, moves=MovePolicy(at_once=False)) as found:
        number = await overtaken(found)
        assert await nonces(found, number) == [0]
        await found.empty_block(FINAL_BLOCKS)
        assert await nonces(found, number) == [0, 1]
