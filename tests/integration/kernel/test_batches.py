"""Several plans in one transaction, by a true kernel on a true chain (SPEC TX-8)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.protocols.executor.batches import EXECUTE_BATCH_SELECTOR
from seawall.protocols.executor.encoding import EXECUTE_SELECTOR
from seawall.protocols.executor.policy import Listing, Policy, at_most, registry_calls
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.accounts import OWNER
from seawall.rollout.devnet.steering import authorise, mine, reorg
from tests.fixtures.kernel import ETHER, KernelFolder, wait_until

pytestmark = pytest.mark.anvil

GIVERS = tuple(Address(bytes([0xA0 + place]) * 20) for place in range(4))
AMOUNT_WEI = ETHER // 10
# give(uint256): sends the caller so much, or reverts.
GIVER_CODE = bytes.fromhex("5f5f5f5f600435335af115600f57005b5f5ffd")


def gifts(folder: KernelFolder) -> KernelFolder:
    """The strategy, with givers that the executor may call."""
    devnet, executor = folder.devnet, folder.devnet.book.address("atomic_executor")
    for giver in GIVERS:
        devnet.rpc.call("anvil_setCode", hex_text(giver), hex_text(GIVER_CODE))
        devnet.rpc.call("anvil_setBalance", hex_text(giver), hex(ETHER))
    listings = tuple(Listing(giver, "give(uint256)", (at_most(ETHER),)) for giver in GIVERS)
    registry = devnet.book.address("policy_registry")
    for call in registry_calls(Policy(executor, listings)):
        devnet.rpc.settle([devnet.rpc.send(OWNER, registry, call)], mine=True)
    authorise(devnet, folder.key, folder.key)
    named = ", ".join(f'"{address_text(giver)}"' for giver in GIVERS)
    settings = f'executor = "@atomic_executor"\ngivers = [{named}]\namount_wei = "{AMOUNT_WEI}"'
    return folder.strategy("gifts", "batch_trials:Gifts", settings)


@pytest.fixture
def folder(manual_devnet: Devnet, tmp_path: Path) -> KernelFolder:
    return gifts(KernelFolder(tmp_path / "k", manual_devnet, chain_extra="batch_plans_max = 8"))


def committed(folder: KernelFolder) -> list[IntentRow]:
    """Once the bytes of all are known to the node. The first decision is about the head that the kernel
    finds: a block mined for it could hold the batch already."""

    def is_sent() -> bool:
        rows = folder.books.intents()
        attempts = [folder.books.attempts(row.number) for row in rows]
        return len(rows) == len(GIVERS) and all(each and folder.knows(each[-1].hash) for each in attempts)

    wait_until(is_sent, "the batch is in the pool", lambda: None)
    return folder.books.intents()


def attempts_of(folder: KernelFolder, rows: Sequence[IntentRow]) -> set[AttemptRow]:
    return {attempt for row in rows for attempt in folder.books.attempts(row.number)}


def test_plans_of_one_decision_land_in_one_transaction_and_each_is_accounted_for(
    folder: KernelFolder,
) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        rows = committed(folder)
        (attempt,) = attempts_of(folder, rows)
        folder.settle(len(GIVERS))
    (sent,) = folder.on_chain()
    assert sent.succeeded
    assert sent.calldata[:4] == EXECUTE_BATCH_SELECTOR
    rows = folder.books.intents()
    assert {row.state for row in rows} == {IntentState.LANDED}
    assert attempt.intents == tuple((row.number, place) for place, row in enumerate(rows))
    inclusion = folder.books.read(lambda tx: tx.inclusions.of_intent(rows[0].number))
    assert inclusion is not None
    # Each plan has its gift, and together they bear the fee to the wei.
    realised = [row.realised_wei or 0 for row in rows]
    assert all(0 < AMOUNT_WEI - one < inclusion.fee_wei for one in realised)
    assert sum(realised) == len(GIVERS) * AMOUNT_WEI - inclusion.fee_wei
    for row in rows:
        (verdict,) = [one.verdict for one in folder.books.verdicts(row.number)]
        assert verdict.payload_digest == attempt.payload_digest
        assert any(one.guard == "batch.gas_use" for one in verdict.measurements)
        assert any(one.guard == "min_profit" for one in verdict.measurements)
    folder.assert_books_balance()


def test_plan_that_fails_on_chain_fails_alone(folder: KernelFolder) -> None:
    with folder.run(hold_at="transactions.before_first_write") as kernel:
        folder.pump(kernel.reached.exists, "it is committed, and nothing is written")
        # What was simulated well fails now: its giver is poor when the block comes.
        folder.devnet.rpc.call("anvil_setBalance", hex_text(GIVERS[2]), "0x0")
        kernel.release()
        committed(folder)
        folder.settle(len(GIVERS))
    (sent,) = folder.on_chain()
    assert sent.succeeded
    states = [row.state for row in folder.books.intents()]
    landed, failed = IntentState.LANDED, IntentState.FAILED
    assert states == [landed, landed, failed, landed]
    poor = folder.books.intents()[2]
    assert "failed" in poor.reason
    assert poor.realised_wei is not None
    assert -ETHER // 100 < poor.realised_wei < 0, "its part of the fee is its loss"
    folder.assert_books_balance()


def test_killed_kernel_judges_a_batch_anew_and_lands_it_once(folder: KernelFolder) -> None:
    with folder.run(kill_at="transactions.before_first_write") as kernel:
        folder.pump(lambda: kernel.process.poll() is not None, "killed before the bytes left")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.settle(len(GIVERS))
    (sent,) = folder.on_chain()
    assert sent.succeeded
    rows = folder.books.intents()
    assert {row.state for row in rows} == {IntentState.LANDED}
    renewed = [folder.books.verdicts(row.number)[-1].verdict for row in rows]
    assert len({verdict.payload_digest for verdict in renewed}) == 1
    assert all(len(folder.books.verdicts(row.number)) > 1 for row in rows)
    folder.assert_books_balance()


def test_batch_that_a_reorg_takes_away_lands_again_once(folder: KernelFolder) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        rows = committed(folder)
        mine(folder.devnet)
        wait_until(
            lambda: folder.books.read(lambda tx: tx.inclusions.of_intent(rows[0].number)) is not None,
            "it is included",
        )
        reorg(folder.devnet, 1)
        folder.settle(len(GIVERS))
    assert [one.succeeded for one in folder.on_chain()] == [True]
    assert {row.state for row in folder.books.intents()} == {IntentState.LANDED}
    folder.assert_books_balance()


def test_plan_that_is_cancelled_does_not_take_the_others_of_its_batch_with_it(folder: KernelFolder) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        (old,) = attempts_of(folder, committed(folder))
        done = folder.seawall(
            "plans", "cancel", "--strategy", "gifts", "--key", "gifts:gift-1", "--reason", "not wanted"
        )
        assert done.returncode == 0, done.stderr
        folder.devnet.rpc.call("anvil_dropTransaction", hex_text(old.hash))
        folder.settle(len(GIVERS))
    landed, cancelled = IntentState.LANDED, IntentState.CANCELLED
    rows = folder.books.intents()
    assert [row.state for row in rows] == [landed, cancelled, landed, landed]
    assert "not wanted" in rows[1].reason
    filler, batch = folder.on_chain()
    assert (filler.nonce, filler.calldata) == (old.nonce, b"")
    assert batch.calldata[:4] == EXECUTE_BATCH_SELECTOR
    given = [ETHER - folder.balance(NATIVE, folder.number(), giver) for giver in GIVERS]
    assert given == [AMOUNT_WEI, 0, AMOUNT_WEI, AMOUNT_WEI]
    folder.assert_books_balance()


def test_plan_that_is_refused_leaves_the_batch_to_the_others(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = gifts(KernelFolder(tmp_path / "k", manual_devnet, chain_extra="batch_plans_max = 8"))
    manual_devnet.rpc.call("anvil_setBalance", hex_text(GIVERS[1]), "0x0")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.settle(len(GIVERS))
    states = [row.state for row in folder.books.intents()]
    landed, refused = IntentState.LANDED, IntentState.REFUSED
    assert states == [landed, refused, landed, landed]
    assert [one.calldata[:4] for one in folder.on_chain()] == [EXECUTE_SELECTOR, EXECUTE_BATCH_SELECTOR]
    assert folder.balance(NATIVE, folder.number(), GIVERS[0]) == ETHER - AMOUNT_WEI
