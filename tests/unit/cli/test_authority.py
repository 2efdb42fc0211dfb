from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from seawall.control.latch import Latch
from seawall.primitives.levels import Authority
from seawall.runtime.commands import CommandServer
from seawall.runtime.http import Check, HealthReport
from seawall.runtime.places import LATCH_NAME, PID_NAME, SOCKET_NAME
from tests.unit.cli.conftest import Seawall

STAND_IN = "import signal, sys; print('ready', flush=True); sys.exit(signal.sigwait({10, 12}))"


@pytest.fixture
def data(project: Path) -> Path:
    folder = project / "data"
    folder.mkdir()
    return folder


@contextmanager
def process_named(name: str, data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that answers the signal it got by its exit code, with its number in the kernel's file."""
    program = f"import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {{10, 12}}); {STAND_IN}"
    command = [sys.executable, "-c", program, name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (data / PID_NAME).write_text(f"{process.pid}\n")
        yield process
        process.kill()


@pytest.mark.parametrize(("command", "to"), [("halt", Authority.HALT), ("reduce", Authority.REDUCE_ONLY)])
def test_stop_is_in_the_file_before_any_kernel_runs(
    seawall: Seawall, data: Path, command: str, to: Authority
) -> None:
    document = seawall(command, "--reason", "something smells", "--json").document
    assert document == {"authority": to.name, "reason": "something smells", "pid": None}
    latch = Latch(data / LATCH_NAME)
    assert (latch.authority, latch.reason) == (to, "something smells")
    assert latch.who.endswith(f"@{os.uname().nodename}")


@pytest.mark.parametrize(("command", "number"), [("halt", signal.SIGUSR1), ("reduce", signal.SIGUSR2)])
def test_stop_signals_the_running_kernel(
    seawall: Seawall, data: Path, command: str, number: signal.Signals
) -> None:
    with process_named("seawall", data) as process:
        assert seawall(command, "--json").document["pid"] == process.pid
        assert process.wait(timeout=10) == number


def test_stop_never_signals_a_stranger_with_the_old_number(seawall: Seawall, data: Path) -> None:
    with process_named("stranger", data) as process:
        assert seawall("halt", "--json").document["pid"] is None
        assert process.poll() is None


def test_stop_works_with_a_configuration_that_cannot_be_used(seawall: Seawall, data: Path) -> None:
    config = data.parent / "seawall.toml"
    config.write_text('nonsense = 1\n[[chains]]\nrpc = ["${UNSET}"]\n')
    assert seawall("halt").code == 0
    config.write_text("not [ toml")
    assert seawall("halt").code == 2
    assert seawall("halt", "--data", str(data)).code == 0
    assert Latch(data / LATCH_NAME).authority is Authority.HALT


def test_stop_where_no_kernel_ever_was_is_refused(seawall: Seawall, project: Path) -> None:
    answer = seawall("halt", "--json")
    assert answer.code == 1
    assert "no data directory" in answer.refusal["what"]


def test_halt_is_not_raised_by_reduce(seawall: Seawall, data: Path) -> None:
    seawall("halt")
    assert seawall("reduce", "--json").document["authority"] == "HALT"


def test_resume_without_a_kernel_changes_the_file_and_needs_a_reason(seawall: Seawall, data: Path) -> None:
    seawall("halt")
    assert seawall("resume").code == 2
    assert seawall("resume", "--reason", " ").code == 1
    assert Latch(data / LATCH_NAME).authority is Authority.HALT
    document = seawall("resume", "--to-reduce-only", "--reason", "cause found", "--json").document
    assert document["authority"] == "REDUCE_ONLY"
    assert seawall("resume", "--reason", "all well").code == 0
    assert Latch(data / LATCH_NAME).authority is Authority.RUN


def test_resume_of_a_kernel_that_does_not_listen_is_refused(seawall: Seawall, data: Path) -> None:
    Latch(data / LATCH_NAME).lower(Authority.HALT, "test", "test")
    with process_named("seawall", data):
        answer = seawall("resume", "--reason", "all well", "--json")
    assert answer.code == 1
    assert "does not listen" in answer.refusal["what"]
    assert Latch(data / LATCH_NAME).authority is Authority.HALT


async def test_resume_and_status_reach_the_running_kernel(seawall: Seawall, data: Path) -> None:
    latch = Latch(data / LATCH_NAME)
    report = HealthReport(True, (Check("signer:main", False, "locked"),), {"head:devnet": 17})
    server = CommandServer(data / SOCKET_NAME, latch, lambda: report)
    await server.start()
    try:
        latch.lower(Authority.HALT, "test", "test")
        with process_named("seawall", data) as process:
            answer = await asyncio.to_thread(seawall, "resume", "--reason", "all well", "--json")
            assert answer.document == {"authority": "RUN", "reason": "all well", "pid": process.pid}
            assert latch.authority is Authority.RUN
            status = await asyncio.to_thread(seawall, "status", "--kernel-only", "--json")
            assert status.document == {
                "running": True,
                "pid": process.pid,
                "authority": "RUN",
                "ready": False,
                "not_ready": ["signer:main: locked"],
                "head:devnet": 17,
            }
    finally:
        await server.stop()


def test_status_without_a_kernel_shows_why_it_would_be_halted(seawall: Seawall, data: Path) -> None:
    assert seawall("status", "--kernel-only", "--json").document == {
        "running": False,
        "pid": None,
        "authority": "RUN",
    }
    seawall("halt", "--reason", "night")
    document = seawall("status", "--kernel-only", "--json").document
    assert (document["authority"], document["reason"]) == ("HALT", "night")
    assert "night" in seawall("status").output
