"""Two kernels on one chain and one ledger, lanes that move between them, and what stands on what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

from seawall.chain.fees import FeeSettings
from seawall.chain.networks import network_of
from seawall.ledger.transaction import Transaction
from seawall.native import DynamicFeeTransaction, SignedTransaction
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Decision
from seawall.primitives.ports import InlineOffload, SystemEntropy
from seawall.primitives.units import NATIVE, Address
from seawall.risk.gate import Gate
from seawall.risk.limits import OurAddresses, RiskLimits
from seawall.risk.reduce import ReduceRule, TokenClass
from seawall.risk.spending import Budget, SpendBook, SpendCap
from seawall.runtime.wiring import Chain, ChainSpec, Services, build_chain
from seawall.transactions.foreign import ForeignUse
from seawall.transactions.policies import StuckPolicies
from tests.builders.chain_model import GWEI, ChainModel
from tests.builders.pipeline import ETHER, SOMEBODY, ModelSigner, Pipeline, local_keys, pipeline

CAP_WEI = 7 * ETHER


async def kernel(found: Pipeline, holder: str, lanes: list[int], cap_wei: int | None = None) -> Chain:
    """Another kernel's chain on the same ledger, with these of the model's keys."""
    keys = local_keys(2)
    everyone = frozenset(Address(key.address) for key in keys)
    for address in everyone:
        if address not in found.model.head.balances:
            found.model.fund(address, 10 * ETHER)
    budget = Budget(
        "treasury",
        frozenset(Lane(found.model.chain_id, key) for key in everyone),
        (SpendCap(NATIVE, cap_wei or 10**24, cap_wei or 10**24),),
    )
    limits = RiskLimits(max_fee_per_gas_wei=500 * GWEI, position_caps={NATIVE: 10**24}, validity_s=60)
    spec = ChainSpec(
        network=network_of(found.model.chain_id),
        transports=[found.model],
        port=found.port,
        signers={Address(keys[n].address): ModelSigner(keys[n]) for n in lanes},
        gate=Gate(
            limits,
            OurAddresses(everyone, None),
            ReduceRule({NATIVE: TokenClass.SETTLEMENT}, (), (), ()),
            SpendBook([budget]),
        ),
        fees=FeeSettings(),
        emergency_max_fee_per_gas_wei=1_000 * GWEI,
        poll_interval_s=0.05,
        agreement=1,
        lane_unlanded_max=16,
        segments_max=1,
    )
    services = Services(
        found.ledger, found.latch, found.clock, SystemEntropy(), InlineOffload(), found.metrics, holder, 60,
        is_shared=True,
    )  # fmt: skip
    chain = await build_chain(spec, services, found.alarms.append)
    await chain.loop.start()
    await chain.loop.turn()
    assert chain.loop.trouble == ""
    return chain


def _foreign(found: Pipeline) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(
        chain_id=found.model.chain_id, nonce=0, max_priority_fee_per_gas_wei=1,
        max_fee_per_gas_wei=100 * GWEI, gas_limit=21_000, to=found.key, value_wei=0, data=b"",
    )  # fmt: skip


SOMEBODY_ELSE = Address(b"\x5e" * 20)


async def accept(
    chain: Chain, found: Pipeline, name: str, key: int, value_wei: int = 1, to: Address = SOMEBODY
) -> IntentNumber:
    plan = found.plan(name, value_wei=value_wei, to=to, key=Address(local_keys(2)[key].address))
    (row,) = await chain.intake.accept(Decision("keeper", 1, 0, (plan,)))
    return row.number


async def test_kernels_that_share_a_budget_do_not_pass_it_between_two_heads(tmp_path: Path) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        await found.ledger.write(lambda tx: tx.lanes.release(found.lane, found.chain.desk.fences[found.lane]))
        first = await kernel(found, "first", [0], CAP_WEI)
        second = await kernel(found, "second", [1], CAP_WEI)
        one = await accept(first, found, "one", 0, 5 * ETHER)
        two = await accept(second, found, "two", 1, 5 * ETHER)
        await first.loop.dispatcher.step()
        assert (await found.intent(one)).state is IntentState.COMMITTED
        await second.loop.dispatcher.step()
        assert (await found.intent(two)).state is not IntentState.COMMITTED
        await first.pool.close()
        await second.pool.close()


async def test_verdict_that_did_not_see_a_commit_of_another_kernel_is_not_committed(tmp_path: Path) -> None:
    # What is committed is the overlay of what follows (SIM-2), whoever committed it.
    async with pipeline(ChainModel(), tmp_path) as found:
        await found.ledger.write(lambda tx: tx.lanes.release(found.lane, found.chain.desk.fences[found.lane]))
        first, second = await kernel(found, "first", [0]), await kernel(found, "second", [1])
        await accept(first, found, "one", 0)
        two = await accept(second, found, "two", 1)
        await first.loop.dispatcher.step()
        await second.loop.dispatcher.step()
        (attempt,) = first.desk.unlanded()
        if (await found.intent(two)).state is IntentState.COMMITTED:
            assert attempt.hash in second.desk.unsettled
        await first.pool.close()
        await second.pool.close()


async def test_what_the_next_holder_committed_before_we_noticed_is_known_after_we_noticed(
    tmp_path: Path,
) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        await found.ledger.write(lambda tx: tx.lanes.release(found.lane, found.chain.desk.fences[found.lane]))
        slept = await kernel(found, "slept", [0, 1])
        lane = Lane(model.chain_id, Address(local_keys(2)[0].address))
        # It slept beyond its lease: another kernel took the lane over and committed on it.
        await found.ledger.write(lambda tx: tx.lanes.release(lane, slept.desk.fences[lane]))
        heir = await kernel(found, "heir", [0])
        number = await accept(heir, found, "one", 0)
        await heir.loop.dispatcher.step()
        (attempt,) = await found.attempts(number)
        await slept.loop.turn()  # awake, a head is looked at first
        await slept.loop.leases.tick()  # and the loss is noticed
        assert lane not in slept.desk.fences
        await slept.loop.turn()
        assert attempt.hash in slept.desk.unsettled
        await slept.pool.close()
        await heir.pool.close()


async def test_bytes_of_a_lane_that_was_lost_are_not_sent(tmp_path: Path) -> None:
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        (attempt,) = await found.attempts(number)
        found.port.written.clear()
        found.chain.loop.on_lease_lost(found.lane)  # with the attempt on its way
        found.chain.loop.outbox.put(attempt)
        await found.chain.loop.outbox.idle()
        assert found.port.written == []


async def test_lane_lost_while_a_head_is_being_stored_is_a_lost_fence_and_no_crash(tmp_path: Path) -> None:
    # The lease keeper drops a fence whenever it learns of it, while the ledger's thread looks at them.
    async with pipeline(ChainModel(), tmp_path, keys=3) as found:
        desk, loop = found.chain.desk, found.chain.loop
        lanes = list(desk.fences)

        def require_all(held: Mapping[Lane, int]) -> None:
            for lane in held:
                if lane == lanes[0]:
                    loop.on_lease_lost(lanes[-1])

        tx = SimpleNamespace(lanes=SimpleNamespace(require_all=require_all))
        desk.require_leases(cast(Transaction, tx))


async def test_forgotten_bytes_under_a_marginal_base_fee_are_kept_and_not_cancelled(tmp_path: Path) -> None:
    # The node forgot it as the base fee rose to just under what it pays: it can land in the next block.
    async with pipeline(ChainModel(), tmp_path) as found:
        (number,) = await found.submit(found.plan("one"))
        (attempt,) = await found.attempts(number)
        found.port.lost = True
        found.model.drop()
        found.model.base_fee_wei = attempt.max_fee_per_gas_wei * 95 // 100
        await found.empty_block(StuckPolicies().normal.replace_blocks)
        events = await found.events("slot.filled")
        assert [event.data["why"] for event in events] == []


async def test_other_lanes_stand_on_what_an_heir_committed_before_its_lane_is_known_to_be_lost(
    tmp_path: Path,
) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path) as found:
        await found.ledger.write(lambda tx: tx.lanes.release(found.lane, found.chain.desk.fences[found.lane]))
        slept = await kernel(found, "slept", [0, 1], CAP_WEI)
        lane = Lane(model.chain_id, Address(local_keys(2)[0].address))
        await found.ledger.write(lambda tx: tx.lanes.release(lane, slept.desk.fences[lane]))
        heir = await kernel(found, "heir", [0], CAP_WEI)
        await accept(heir, found, "one", 0, 5 * ETHER)
        await heir.loop.dispatcher.step()
        two = await accept(slept, found, "two", 1, 5 * ETHER)
        for _ in range(3):  # its leases are looked at in half a second
            await slept.loop.dispatcher.step()
        assert (await found.intent(two)).state is not IntentState.COMMITTED
        await slept.pool.close()
        await heir.pool.close()


async def test_slot_committed_while_a_head_with_foreign_use_of_its_nonce_is_read_is_marked(
    tmp_path: Path,
) -> None:
    model = ChainModel()
    async with pipeline(model, tmp_path, transports=[model, model], agreement=2) as found:
        watch = found.chain.loop.confirmer.nonces
        numbers: list[IntentNumber] = []
        look = type(watch).look

        async def looked(*arguments: Any) -> ForeignUse:
            use = await look(*arguments)
            if not numbers:
                numbers.append(IntentNumber(0))
                numbers[:] = await found.submit(found.plan("ours"))
            return use

        with patch.object(type(watch), "look", looked):
            foreign = local_keys(1)[0].sign_transactions([_foreign(found)])
            assert found.model.receive(foreign[0].raw) is None
            found.model.mine()
            await found.look()
        slot = await found.ledger.read(lambda tx: tx.slots.get(found.lane, 0))
        assert slot is not None
        await found.empty_block(80)
        assert slot.block_hash is not None
        attempts = await found.ledger.read(lambda tx: tx.attempts.of_intent(numbers[0]))
        assert {attempt.nonce for attempt in attempts} == {0, 1}, "its nonce went to another: it has the next"


async def test_kernel_that_is_slower_than_its_neighbour_still_gets_its_turn(tmp_path: Path) -> None:
    # While it signs, the other one commits something that touches nothing of it, every time.
    async with pipeline(ChainModel(), tmp_path) as found:
        await found.ledger.write(lambda tx: tx.lanes.release(found.lane, found.chain.desk.fences[found.lane]))
        fast, slow = await kernel(found, "fast", [0]), await kernel(found, "slow", [1])
        number = await accept(slow, found, "slow", 1)
        (runner,) = slow.loop.runners
        signer = runner.signer
        made: list[IntentNumber] = []
        assert signer is not None
        sign = signer.sign_transactions

        async def slowly(transactions: Sequence[DynamicFeeTransaction]) -> list[SignedTransaction]:
            made.append(await accept(fast, found, f"fast {len(made)}", 0, to=SOMEBODY_ELSE))
            await fast.loop.dispatcher.step()
            return await sign(transactions)

        runner.signer = cast(
            ModelSigner,
            SimpleNamespace(ready=True, is_local=True, address=signer.address, sign_transactions=slowly),
        )
        for _ in range(12):
            await slow.loop.dispatcher.step()
        assert (await found.intent(number)).state is IntentState.COMMITTED
        await fast.pool.close()
        await slow.pool.close()


async def test_lane_lost_while_a_head_is_read_is_not_written_about(tmp_path: Path) -> None:
    # Foreign use of its nonce has just become final: its holder says so, under its fence, and nobody else.
    async with pipeline(ChainModel(), tmp_path, keys=2) as found:
        found.port.lost = True
        (number,) = await found.submit(found.plan("ours"))
        (foreign,) = local_keys(1)[0].sign_transactions([_foreign(found)])
        found.model.drop()
        assert found.model.receive(foreign.raw) is None
        await found.block()
        watch, loop = found.chain.loop.confirmer.nonces, found.chain.loop
        look = type(watch).look

        async def looked(*arguments: Any) -> ForeignUse:
            use = await look(*arguments)
            if use.final:
                loop.leases.forget(found.lane)
            return use

        with patch.object(type(watch), "look", looked):
            await found.empty_block(80)
        slot = await found.ledger.read(lambda tx: tx.slots.get(found.lane, 0))
        assert slot is not None
        assert found.lane not in found.chain.desk.fences
        assert not slot.final
        assert (await found.intent(number)).state is IntentState.COMMITTED
