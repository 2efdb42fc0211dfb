"""Several true kernels on one true PostgreSQL and one anvil: lanes move, and nothing is lost or landed twice.

Lanes of a kernel that is killed, frozen, or cut off from the database. No assertion on how long anything
takes: `python -m bench takeover` measures that."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from seawall.control.permit import PERMIT_S
from seawall.primitives.levels import Authority
from tests.fixtures.fleet import Fleet, FleetKernel, running_fleet
from tests.fixtures.kernel import wait_until
from tests.fixtures.postgresql import new_postgresql_database, postgresql_server

__all__ = ["new_postgresql_database", "postgresql_server"]

pytestmark = pytest.mark.postgresql
NewDatabase = Callable[[], str]
# What may lie between a look at the permit and the proxy's clock on a busy machine.
SLACK_S = 0.5


def test_lanes_of_a_killed_kernel_move_without_gap_or_double_landing(
    tmp_path: Path, new_postgresql_database: NewDatabase
) -> None:
    with running_fleet(tmp_path, new_postgresql_database(), kernels=3, keys=6) as fleet:
        for kernel in fleet.kernels:
            kernel.start()
        fleet.wait_held(*fleet.kernels)
        names = fleet.submit(10)
        victim = fleet.kernels[1]
        wait_until(lambda: victim.transactions_sent() > 0, "the victim sends")
        victim.signal(signal.SIGKILL)
        names += fleet.submit(10)
        fleet.wait_landed(len(names))
        fleet.assert_each_landed_once(names)
        others = [kernel for kernel in fleet.kernels if kernel is not victim]
        fleet.wait_held(*others)
        assert all(kernel.is_running for kernel in others)


def test_frozen_kernel_sends_and_commits_nothing_when_it_thaws_and_joins_again(
    tmp_path: Path, new_postgresql_database: NewDatabase
) -> None:
    with running_fleet(tmp_path, new_postgresql_database(), kernels=2, keys=1) as fleet:
        first, second = fleet.kernels
        first.start()
        fleet.wait_held(first)
        second.start()
        names = fleet.submit(30)
        wait_until(lambda: first.transactions_sent() > 0, "the first one sends")
        first.signal(signal.SIGSTOP)
        fleet.wait_held(second)
        thawed_s = time.monotonic()
        first.signal(signal.SIGCONT)
        names += fleet.submit(10)
        fleet.wait_landed(len(names))
        assert first.transactions_sent(since_s=thawed_s) == 0
        fleet.assert_each_landed_once(names)
        assert first.is_running
        second.signal(signal.SIGKILL)
        names += fleet.submit(5)
        fleet.wait_landed(len(names))
        fleet.assert_each_landed_once(names)


@pytest.mark.long
def test_database_that_vanishes_stops_all_sends_and_everything_goes_on_when_it_returns(
    tmp_path: Path, new_postgresql_database: NewDatabase
) -> None:
    with running_fleet(tmp_path, new_postgresql_database(), kernels=2, keys=4) as fleet:
        for kernel in fleet.kernels:
            kernel.start()
        fleet.wait_held(*fleet.kernels)
        names = fleet.submit(40)
        wait_until(lambda: all(k.transactions_sent() > 0 for k in fleet.kernels), "both send")
        cut_s = time.monotonic()
        for kernel in fleet.kernels:
            kernel.database.cut()
        time.sleep(PERMIT_S * 3)
        assert sum(k.transactions_sent(since_s=cut_s + PERMIT_S + SLACK_S) for k in fleet.kernels) == 0
        for kernel in fleet.kernels:
            kernel.database.mend()
        fleet.wait_landed(len(names))
        fleet.assert_each_landed_once(names)
        assert all(kernel.is_running for kernel in fleet.kernels)


def test_halt_on_one_machine_stops_all_and_says_how_it_knows(
    tmp_path: Path, new_postgresql_database: NewDatabase
) -> None:
    with running_fleet(tmp_path, new_postgresql_database(), kernels=3, keys=3) as fleet:
        for kernel in fleet.kernels:
            kernel.start()
        fleet.wait_held(*fleet.kernels)
        names = fleet.submit(3)
        fleet.wait_landed(len(names))
        one, another, frozen = fleet.kernels
        holders = {fleet.holder_of(kernel): kernel for kernel in fleet.kernels}
        frozen.signal(signal.SIGSTOP)
        answer = one.seawall("halt", "--reason", "rehearsal")
        how = {holders[str(row["kernel"])].directory.name: row["how"] for row in fleet_of(answer)}
        assert how == {"kernel0": "it obeyed", "kernel1": "it obeyed", "kernel2": "its permit ran out"}
        halted_s = time.monotonic()
        frozen.signal(signal.SIGCONT)
        wait_until(lambda: frozen.seawall("status")["authority"] == "HALT", "the frozen one obeys too")
        assert "epoch 2 of the fleet" in str(another.seawall("status")["reason"])
        names += fleet.submit(2)
        time.sleep(PERMIT_S)
        assert sum(kernel.transactions_sent(since_s=halted_s) for kernel in fleet.kernels) == 0
        for kernel in fleet.kernels:
            kernel.seawall("resume", "--reason", "the rehearsal is over")
        fleet.wait_landed(len(names))
        fleet.assert_each_landed_once(names)


@pytest.mark.long
def test_halt_without_the_database_holds_here_and_says_that_others_are_not_known(
    tmp_path: Path, new_postgresql_database: NewDatabase
) -> None:
    with running_fleet(tmp_path, new_postgresql_database(), kernels=1, keys=1) as fleet:
        (kernel,) = fleet.kernels
        kernel.start()
        wait_until(lambda: kernel.seawall("status").get("ready") is True, "the kernel is ready")
        kernel.database.cut()
        answer = kernel.seawall("halt", "--reason", "rehearsal")
        assert (answer["authority"], fleet_of(answer)) == ("HALT", [])
        assert isinstance(answer["fleet"], dict)
        assert answer["fleet"]["unknown"]
        assert kernel.seawall("status")["authority"] == "HALT"
        kernel.database.mend()
        wait_until(
            lambda: fleet.read(lambda tx: tx.controls.current()).authority is Authority.HALT,
            "the ledger learns of the stop",
        )


@pytest.mark.long
def test_nonces_that_the_ledger_does_not_know_quarantine_the_lane_until_a_person_releases_it(
    tmp_path: Path, new_postgresql_database: NewDatabase
) -> None:
    with running_fleet(tmp_path, new_postgresql_database(), kernels=1, keys=1) as fleet:
        (kernel,) = fleet.kernels
        kernel.start()
        names = fleet.submit(2)
        fleet.wait_landed(len(names))
        kernel.stop()
        names.append(fleet.use_elsewhere("by another hand"))
        fleet.anvil.mine(8)
        kernel.start()
        names += fleet.submit(2)
        wait_until(lambda: quarantine_of(fleet, kernel) is not None, "the lane is quarantined")
        assert "has used nonces 2 to 2" in str(quarantine_of(fleet, kernel))
        time.sleep(PERMIT_S)
        assert kernel.transactions_sent() == 2
        lane = str(fleet.lanes[0])
        released = kernel.seawall("lanes", "release", lane, "--reason", "that was me")
        assert released["foreign_nonces"] == "1"
        fleet.wait_landed(4)
        fleet.assert_each_landed_once(names)
        kernel.stop()

        assert kernel.seawall("ledger", "restored", "--reason", "rehearsal") == {"quarantined": [lane]}
        kernel.start()
        wait_until(lambda: fleet.held_by(kernel) == set(fleet.lanes), "the lane is held")
        names += fleet.submit(1)
        time.sleep(PERMIT_S)
        assert quarantine_of(fleet, kernel) == "restored: rehearsal"
        assert kernel.transactions_sent() == 4
        kernel.seawall("lanes", "release", lane, "--reason", "nothing was lost")
        fleet.wait_landed(5)
        fleet.assert_each_landed_once(names)


def quarantine_of(fleet: Fleet, kernel: FleetKernel) -> object:
    """Why, as the command line shows it, with the chain's nonce beside ours."""
    rows = kernel.seawall("lanes", "list")["lanes"]
    assert isinstance(rows, list)
    assert [row["lane"] for row in rows] == [str(lane) for lane in fleet.lanes]
    assert rows[0]["chain_nonce"] is not None
    return rows[0]["quarantine"]


def fleet_of(answer: dict[str, object]) -> list[dict[str, object]]:
    told = answer["fleet"]
    assert isinstance(told, dict)
    kernels: list[dict[str, object]] = told["kernels"]
    return kernels
