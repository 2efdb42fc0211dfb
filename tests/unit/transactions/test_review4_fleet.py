"""Two kernels on one chain and one ledger, lanes that move between them, and what stands on what."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from seawall.chain.fees import FeeSettings
from seawall.chain.networks import network_of
from seawall.ledger.transaction import Transaction
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
from seawall.transactions.policies import StuckPolicies
from tests.builders.chain_model import GWEI, ChainModel
from tests.builders.pipeline import ETHER, ModelSigner, Pipeline, local_keys, pipeline

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


async def accept(chain: Chain, found: Pipeline, name: str, key: int, value_wei: int = 1) -> IntentNumber:
    plan = found.plan(name, value_wei=value_wei, key=Address(local_keys(2)[key].address))
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
    # The lease keeper drops a fence whenever it learns of it, and the ledger's thread is in the middle of them.
    async with pipeline(ChainModel(), tmp_path, keys=3) as found:
        desk, loop = found.chain.desk, found.chain.loop
        lanes = list(desk.fences)

        def require(lane: Lane, fence: int) -> None:
            if lane == lanes[0]:
                loop.on_lease_lost(lanes[-1])

        tx = SimpleNamespace(lanes=SimpleNamespace(require=require))
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


