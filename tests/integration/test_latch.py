"""Signals and the latch file against a true process that is busy in Python code all the time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.control.latch import Latch
from seawall.primitives.levels import Authority

PATIENCE_S = 60.0

BUSY_PROGRAM = """
import sys, threading
from pathlib import Path
from seawall.control.latch import Latch
from seawall.control.signals import SignalWatch

latch = Latch(Path(sys.argv[1]))
stopping = threading.Event()
watch = SignalWatch(latch, stopping.set)
watch.start()
latch.subscribe(lambda: print(latch.authority.name, flush=True))

def spin():
    total = 0
    while not stopping.is_set():
        for value in range(100_000):
            total += value * value

threads = [threading.Thread(target=spin) for _ in range(2)]
for thread in threads:
    thread.start()
print(latch.authority.name, flush=True)
spin()
for thread in threads:
    thread.join()
watch.stop()
print("stopped in order", flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "latch"


@pytest.fixture
def busy(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY_PROGRAM, str(path)], stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait(PATIENCE_S)
    if process.stdout is not None:
        process.stdout.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_sigusr1_halts_a_busy_process_and_the_halt_outlives_its_death(
    busy: subprocess.Popen[str], path: Path
) -> None:
    assert line_of(busy) == "RUN"
    busy.send_signal(signal.SIGUSR1)
    assert line_of(busy) == "HALT"
    busy.kill()
    busy.wait(PATIENCE_S)
    reborn = Latch(path)
    assert (reborn.authority, reborn.who) == (Authority.HALT, "signal")


def test_sigusr2_lowers_to_reduce_only_then_sigusr1_to_halt(busy: subprocess.Popen[str]) -> None:
    assert line_of(busy) == "RUN"
    busy.send_signal(signal.SIGUSR2)
    assert line_of(busy) == "REDUCE_ONLY"
    busy.send_signal(signal.SIGUSR1)
    assert line_of(busy) == "HALT"


def test_file_of_another_process_halts_a_busy_process(busy: subprocess.Popen[str], path: Path) -> None:
    assert line_of(busy) == "RUN"
    Latch(path).lower(Authority.HALT, "from next door", "operator")
    assert line_of(busy) == "HALT"


def test_file_that_cannot_be_understood_halts_a_busy_process(busy: subprocess.Popen[str], path: Path) -> None:
    assert line_of(busy) == "RUN"
    path.write_bytes(b"\xff half a fi")
    assert line_of(busy) == "HALT"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_termination_is_orderly_and_does_not_touch_the_latch(
    busy: subprocess.Popen[str], path: Path, number: signal.Signals
) -> None:
    assert line_of(busy) == "RUN"
    busy.send_signal(number)
    assert line_of(busy) == "stopped in order"
    assert busy.wait(PATIENCE_S) == 0
    assert not path.exists()


def test_sigusr1_during_a_quiesce_stops_housekeeping_too(path: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from seawall.control.latch import Latch\n"
        "from seawall.control.signals import SignalWatch\n"
        "from seawall.primitives.levels import Authority\n"
        "latch = Latch(Path(sys.argv[1]))\n"
        "SignalWatch(latch, print).start()\n"
        "latch.lower(Authority.HALT, 'first', 'operator')\n"
        "latch.begin_quiesce()\n"
        "latch.subscribe(lambda: print('quiescing' if latch.quiescing else 'stopped', flush=True))\n"
        "print('ready', flush=True)\n"
        "time.sleep(600)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert line_of(process) == "ready"
        process.send_signal(signal.SIGUSR1)
        assert line_of(process) == "stopped"
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()


def test_restart_while_halted_begins_halted(path: Path) -> None:
    Latch(path).lower(Authority.HALT, "before", "operator")
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY_PROGRAM, str(path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert line_of(process) == "HALT"
    finally:
        process.kill()
        process.wait(PATIENCE_S)
        assert process.stdout is not None
        process.stdout.close()


def test_watch_refuses_to_start_after_other_threads(path: Path) -> None:
    program = (
        "import sys, threading, time\n"
        "from pathlib import Path\n"
        "from seawall.control.latch import Latch\n"
        "from seawall.control.signals import SignalWatch\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True, name='early bird').start()\n"
        "SignalWatch(Latch(Path(sys.argv[1])), print).start()\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert ended.returncode != 0
    assert "early bird" in ended.stderr


def test_lock_held_by_another_process_delays_a_stop_but_cannot_prevent_it(path: Path) -> None:
    program = (
        "import fcntl, os, sys, time\n"
        "file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "time.sleep(600)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path.with_name("latch.lock"))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert line_of(holder) == "held"
        latch = Latch(path)
        started_s = time.monotonic()
        latch.lower(Authority.HALT, "now", "operator")
        assert latch.authority is Authority.HALT
        assert Latch(path).authority is Authority.HALT
        assert time.monotonic() - started_s < PATIENCE_S
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(PATIENCE_S)
        assert holder.stdout is not None
        holder.stdout.close()


def test_process_that_was_frozen_and_goes_on_takes_that_for_no_signal(
    busy: subprocess.Popen[str], path: Path
) -> None:
    """The wait for signals ends with what stands in memory when the process slept through its time."""
    assert busy.stdout is not None
    assert busy.stdout.readline() == "RUN\n"
    for _ in range(5):
        busy.send_signal(signal.SIGSTOP)
        time.sleep(0.15)
        busy.send_signal(signal.SIGCONT)
        time.sleep(0.15)
    assert busy.poll() is None
    busy.send_signal(signal.SIGUSR1)
    assert busy.stdout.readline() == "HALT\n"
    busy.send_signal(signal.SIGTERM)
    assert busy.stdout.readline() == "stopped in order\n"
