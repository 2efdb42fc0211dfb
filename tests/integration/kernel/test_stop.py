"""Stopping a true kernel: whichever way the stop comes, what is committed and unwritten stays unwritten, over
a restart too, and goes on after a resume."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from seawall.native import encode_call
from seawall.primitives.levels import IntentState
from seawall.primitives.units import Hash, hex_text
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import mine
from tests.fixtures.kernel import ETHER, KernelFolder, RunningKernel, Step, deposit, wait_until

HELD_AT = "transactions.before_first_write"
LAPSE_BLOCKS = 5  # more than the configured validity of a verdict
USD = 10**6


def halt_by_command(kernel: RunningKernel) -> None:
    done = kernel.folder.seawall("halt", "--reason", "a test")
    assert done.returncode == 0, done.stderr


def halt_by_signal(kernel: RunningKernel) -> None:
    kernel.signal(signal.SIGUSR1)


def halt_by_file(kernel: RunningKernel) -> None:
    """Not even a well-formed file is needed."""
    (kernel.folder.data / "latch.json").write_text("stop, for heaven's sake")


def authority(kernel: RunningKernel) -> str:
    return str(kernel.health("/health")[1].get("authority"))


def wait_halted(kernel: RunningKernel) -> None:
    wait_until(lambda: authority(kernel) == "HALT", "HALT is in force")


def resume(folder: KernelFolder) -> None:
    done = folder.seawall("resume", "--reason", "the test goes on")
    assert done.returncode == 0, done.stderr


def blocks_pass(folder: KernelFolder) -> None:
    """As many as a verdict may be old, and one more: the kernel has had a turn at each."""
    for _ in range(LAPSE_BLOCKS):
        mine(folder.devnet)
        folder.follow()


def assert_never_seen(folder: KernelFolder, transaction_hash: Hash) -> None:
    assert not folder.knows(transaction_hash)
    pool = folder.devnet.rpc.record("txpool_content")
    assert hex_text(folder.key) not in str(pool).lower()
    assert folder.nonce() == 0


@pytest.mark.parametrize("halt", [halt_by_command, halt_by_signal, halt_by_file])
def test_plan_held_before_its_first_byte_is_not_written_until_resume(
    manual_devnet: Devnet, tmp_path: Path, halt: Callable[[RunningKernel], None]
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER))
    with folder.run(hold_at=HELD_AT) as kernel:
        folder.pump(kernel.reached.exists, "the plan is held")
        (row,) = folder.books.intents()
        (attempt,) = folder.books.attempts(row.number)
        halt(kernel)
        wait_halted(kernel)
        kernel.release()
        blocks_pass(folder)
        assert_never_seen(folder, attempt.hash)
        assert "authority: HALT" in kernel.reasons()
    with folder.run() as kernel:
        wait_halted(kernel)
        wait_until(lambda: kernel.health("/startup")[0] == 200, "the kernel has started")
        blocks_pass(folder)
        assert_never_seen(folder, attempt.hash)
        assert len(folder.books.attempts(row.number)) == 1
        resume(folder)
        folder.settle(1)
    (landed,) = folder.on_chain()
    assert landed.hash == attempt.hash, "the same bytes, judged anew"
    verdicts = [one.verdict for one in folder.books.verdicts(row.number)]
    assert len(verdicts) == 2
    assert verdicts[1].base_number > verdicts[0].base_number
    folder.assert_books_balance()


def test_halt_comes_through_while_the_ledger_is_locked_and_the_kernel_outlives_the_lock(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet).scripted(deposit(ETHER), deposit(2 * ETHER))
    with folder.run(hold_at=HELD_AT) as kernel:
        folder.pump(kernel.reached.exists, "the plan is held")
        (row, *_) = folder.books.intents()
        (attempt,) = folder.books.attempts(row.number)
        lock = sqlite3.connect(folder.data / "ledger.db", isolation_level=None)
        try:
            lock.execute("BEGIN IMMEDIATE")
            mine(folder.devnet)  # gives the kernel something that it cannot commit
            halt_by_command(kernel)
            wait_halted(kernel)
            kernel.release()
            mine(folder.devnet)
            wait_until(lambda: "locked by another process" in kernel.reasons(), "/ready tells of the lock")
            assert_never_seen(folder, attempt.hash)
        finally:
            lock.execute("ROLLBACK")
            lock.close()
        assert_never_seen(folder, attempt.hash)
        resume(folder)
        folder.settle(2)
    folder.assert_books_balance()


def test_halt_comes_through_while_a_host_hangs(manual_devnet: Devnet, tmp_path: Path) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.strategy("wild", "kernel_trials:Wild", 'act = "hang"', host="wild")
    with folder.run() as kernel:
        kernel.wait_ready()
        mine(folder.devnet)
        halt_by_command(kernel)
        wait_halted(kernel)


def test_reduce_only_admits_a_repayment_and_refuses_a_loan_and_a_deposit(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet, chain_extra=MEASURED)
    desk, usdx = folder.devnet.book.address("debt_desk"), folder.devnet.book.address("usdx")
    folder.scripted(
        deposit(3 * ETHER),
        Step("@weth", encode_call("approve(address,uint256)", (desk, 2 * ETHER))),
        Step("@debt_desk", encode_call("deposit(uint256)", (ETHER,))),
        Step("@debt_desk", encode_call("borrow(uint256)", (500 * USD,))),
        Step("@usdx", encode_call("approve(address,uint256)", (desk, 200 * USD))),
        name="borrower",
    )
    with folder.run():
        rows = folder.settle(5)
        assert [row.state for row in rows] == [IntentState.LANDED] * 5, [row.reason for row in rows]
        done = folder.seawall("reduce", "--reason", "a test")
        assert done.returncode == 0, done.stderr
    folder.scripted(
        Step("@debt_desk", encode_call("repay(uint256,address)", (200 * USD, folder.key))),
        Step("@debt_desk", encode_call("borrow(uint256)", (USD,))),
        Step("@debt_desk", encode_call("deposit(uint256)", (ETHER,))),
        name="reducer",
    )
    with folder.run() as kernel:
        rows = folder.settle(8)[5:]
        assert authority(kernel) == "REDUCE_ONLY"
    assert [row.state for row in rows] == [IntentState.LANDED, IntentState.REFUSED, IntentState.REFUSED], [
        row.reason for row in rows
    ]
    assert "reduce_only" in rows[1].reason
    assert "reduce_only" in rows[2].reason
    measured = {m.guard: m for m in folder.books.verdicts(rows[0].number)[0].verdict.measurements}
    fallen = measured["reduce_only.something_falls"].measured
    assert fallen is not None
    assert fallen > 190 * USD
    assert folder.balance(usdx, folder.number()) == 300 * USD
    folder.assert_books_balance()


MEASURED = """
[[chains.health]]
target = "@debt_desk"

[[chains.prices]]
token = "@weth"
feed = "@feed_eth_usd"

[[chains.prices]]
token = "native"
feed = "@feed_eth_usd"

[[chains.prices]]
token = "@usdx"
feed = "@feed_usdx_usd"

[[chains.prices]]
token = "@debt_usdx"
feed = "@feed_usdx_usd"
"""
