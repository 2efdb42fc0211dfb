"""A true kernel is killed at every named point between a plan and its outcome, and started again: every
intent ends, each landed exactly once, and the ledger says what the chain says."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path

import pytest

from seawall.ledger.rows import InclusionRow
from seawall.native import encode_call
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Address
from seawall.rollout.devnet import TRADERS, Devnet
from seawall.rollout.devnet.steering import reorg
from seawall.telemetry import failpoints
from tests.fixtures.kernel import DEPOSIT, ENDED_BY_KILL, ETHER, KernelFolder, Step, deposit, wait_until

importlib.import_module("seawall.runtime.kernel")  # declares every point

VALUES = (ETHER // 10, ETHER // 20, ETHER // 30)
# Passed only after another death: what they need is in the tests of their own.
AFTER_ANOTHER_DEATH = {
    "transactions.after_fill_commit",
    "transactions.after_renewal",
    "transactions.after_replacement",
}
# Other tests declare points of their own, for themselves.
ALL_POINTS = frozenset(name for name in failpoints.names() if not name.startswith("test."))
POINTS = sorted(ALL_POINTS - AFTER_ANOTHER_DEATH)
# One of each room always; the others are passed in the simulated world too.
ALWAYS = {
    "broadcast.before_write",
    "confirmation.after_commit",
    "ledger.after_commit",
    "transactions.after_signature",
}
MARKED = [point if point in ALWAYS else pytest.param(point, marks=pytest.mark.long) for point in POINTS]
UNSENT = "transactions.before_first_write"


@pytest.fixture
def folder(manual_devnet: Devnet, tmp_path: Path) -> KernelFolder:
    return KernelFolder(tmp_path / "k", manual_devnet).scripted(*map(deposit, VALUES))


def die(folder: KernelFolder, point: str, nth: int = 1) -> None:
    """One life that ends at `point`, with blocks coming in all the while."""
    with folder.run(kill_at=point, nth=nth) as kernel:
        folder.pump(lambda: kernel.process.poll() is not None, f"killed at {point}")
        assert kernel.wait_end() == ENDED_BY_KILL, folder.told()


def live_on(folder: KernelFolder) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.settle(len(VALUES))
        kernel.process.terminate()
        assert kernel.wait_end() == 0, folder.told()


def assert_each_landed_once(folder: KernelFolder) -> None:
    sent = folder.on_chain()
    assert [one.nonce for one in sent] == list(range(len(sent)))
    weth = folder.devnet.book.address("weth")
    deposits = Counter(
        one.value_wei for one in sent if one.target == weth and one.calldata == DEPOSIT and one.succeeded
    )
    assert deposits == Counter(VALUES)
    assert len(sent) == len(VALUES), "something beside the deposits was sent"
    assert {row.state for row in folder.books.intents()} == {IntentState.LANDED}
    folder.assert_books_balance()


def test_points_of_the_sending_path_are_all_known() -> None:
    assert {name.partition(".")[0] for name in ALL_POINTS} == {
        "broadcast",
        "confirmation",
        "ledger",
        "transactions",
    }
    assert ALL_POINTS > AFTER_ANOTHER_DEATH
    assert set(POINTS) > ALWAYS


@pytest.mark.parametrize("point", MARKED)
def test_kernel_killed_at_point_lands_every_intent_once(folder: KernelFolder, point: str) -> None:
    die(folder, point)
    live_on(folder)
    assert_each_landed_once(folder)


@pytest.mark.parametrize(
    ("point", "commits"),
    [
        ("ledger.before_commit", (5, 9)),
        pytest.param("ledger.before_commit", (5, 7, 9, 11), marks=pytest.mark.long),
        pytest.param("ledger.after_commit", (5, 7, 9, 11), marks=pytest.mark.long),
    ],
)
def test_kernel_killed_at_later_and_later_commits_lands_every_intent_once(
    folder: KernelFolder, point: str, commits: tuple[int, ...]
) -> None:
    """Each life gets a commit further than the one before it: through start, acceptance, sending."""
    for nth in commits:
        die(folder, point, nth)
    live_on(folder)
    assert_each_landed_once(folder)


def test_kernel_killed_after_a_renewal_lands_every_intent_once(folder: KernelFolder) -> None:
    die(folder, UNSENT)
    die(folder, "transactions.after_renewal")
    live_on(folder)
    assert_each_landed_once(folder)


def test_kernel_killed_after_committing_a_replacement_lands_every_intent_once(folder: KernelFolder) -> None:
    die(folder, UNSENT)
    (row, *_) = folder.books.intents()
    (first,) = folder.books.attempts(row.number)
    # The base fee leaves it behind, by less than its verdict judged.
    base_fee_wei = first.max_fee_per_gas_wei * 6 // 5
    with folder.run(kill_at="transactions.after_replacement") as kernel:

        def is_dead() -> bool:
            folder.devnet.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(base_fee_wei))
            return kernel.process.poll() is not None

        folder.pump(is_dead, "killed after it committed a replacement")
        assert kernel.wait_end() == ENDED_BY_KILL, folder.told()
    attempts = folder.books.attempts(row.number)
    assert [one.nonce for one in attempts] == [first.nonce] * 2
    assert base_fee_wei <= attempts[1].max_fee_per_gas_wei
    live_on(folder)
    assert_each_landed_once(folder)


def test_kernel_killed_after_committing_a_filler_fills_the_nonce_once(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    take = encode_call("transferFrom(address,address,uint256)", (TRADERS[0], folder.key, ETHER))
    folder.scripted(Step("@weth", take))
    allow(folder, ETHER)
    die(folder, UNSENT)
    (row,) = folder.books.intents()
    # What was simulated well reverts now, so its renewal is refused.
    allow(folder, 0)
    die(folder, "transactions.after_fill_commit")
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.settle(1)
    (filler,) = folder.on_chain()
    assert (filler.target, filler.value_wei, filler.calldata) == (Address(folder.key), 0, b"")
    (ended,) = folder.books.intents()
    assert ended.number == row.number
    assert ended.state is IntentState.CANCELLED
    assert "not renewed" in ended.reason
    assert not any(folder.knows(attempt.hash) for attempt in folder.books.attempts(row.number)[:1])
    folder.assert_books_balance()


def test_recovery_does_not_wait_for_a_strategy_that_hangs_while_it_is_loaded(folder: KernelFolder) -> None:
    die(folder, UNSENT)
    folder.strategies.clear()
    folder.strategy("other", "trials:Trial", 'load = "hang"')
    with folder.run() as kernel:
        (row, *_) = folder.books.intents()
        folder.pump(lambda: folder.nonce() >= 1, "what was committed is on chain")
        assert kernel.health()[0] == 200
        checks = kernel.health("/health")[1]["checks"]
        assert isinstance(checks, dict)
        assert checks["strategy:other"]["finding"] == "starting"
    (landed, *_) = folder.on_chain()
    assert landed.hash == folder.books.attempts(row.number)[0].hash


def test_inclusions_that_a_reorg_removed_while_the_kernel_was_dead_land_again(folder: KernelFolder) -> None:
    with folder.run() as kernel:
        kernel.wait_ready()
        folder.pump(lambda: folder.nonce() == len(VALUES), "all are included")
        wait_until(lambda: len(inclusions(folder)) == len(VALUES), "the ledger knows")
        kernel.process.kill()
        assert kernel.wait_end() == ENDED_BY_KILL
    last = max(one.block_number for one in inclusions(folder))
    reorg(folder.devnet, folder.number() - last + 1)
    assert folder.nonce() < len(VALUES), "the reorg took something away"
    live_on(folder)
    assert_each_landed_once(folder)


def inclusions(folder: KernelFolder) -> list[InclusionRow]:
    rows = folder.books.intents()
    found = folder.books.read(lambda tx: [tx.inclusions.of_intent(row.number) for row in rows])
    return [one for one in found if one is not None]


def allow(folder: KernelFolder, amount_wei: int) -> None:
    """A trader lets our key take so much WETH."""
    rpc, weth = folder.devnet.rpc, folder.devnet.book.address("weth")
    approve = encode_call("approve(address,uint256)", (folder.key, amount_wei))
    rpc.settle([rpc.send(TRADERS[0], weth, approve)], mine=True)
