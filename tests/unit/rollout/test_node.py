"""Starting and stopping a process that is not as it should be."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from seawall.primitives.errors import RolloutError
from seawall.rollout.devnet import node as subject
from seawall.rollout.devnet.node import NodeSettings, is_alive, start_node, stop_process


def script(tmp_path: Path, body: str) -> Path:
    path = tmp_path / "fake-anvil"
    path.write_text(f"#!{sys.executable}\n{body}")
    path.chmod(0o700)
    return path


def test_a_node_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    binary = script(tmp_path, "print('address in use')")
    with pytest.raises(RolloutError, match="address in use"):
        start_node(binary, NodeSettings(tmp_path / "run" / "anvil.log"))


def test_a_node_that_never_listens_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject, "READY_WAIT_S", 0.3)
    pid_file = tmp_path / "pid"
    binary = script(
        tmp_path, f"import os, time\nopen({str(pid_file)!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)"
    )
    with pytest.raises(RolloutError, match="not ready"):
        start_node(binary, NodeSettings(tmp_path / "anvil.log"))
    assert not pid_file.exists() or not is_alive(int(pid_file.read_text()))


def test_a_process_that_ignores_terminate_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = tmp_path / "ready"
    binary = script(
        tmp_path,
        "import signal, time, pathlib\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"pathlib.Path({str(ready)!r}).touch()\n"
        "time.sleep(60)",
    )
    pid = os.posix_spawn(binary, [str(binary)], os.environ)
    while not ready.exists():
        assert is_alive(pid)
    monkeypatch.setattr(subject, "STOP_SEQUENCE", ((signal.SIGTERM, 0.1), (signal.SIGKILL, 5.0)))
    stop_process(pid)
    assert not is_alive(pid)


def test_a_process_that_ended_and_was_not_reaped_by_its_parent_does_not_run(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    program = (
        "import os, time\n"
        "pid = os.posix_spawn('/bin/true', ['a) R'], {})\n"
        "os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)\n"
        f"open({str(pid_file)!r}, 'w').write(f'{{pid}} ')\n"
        "time.sleep(60)"
    )
    parent = os.posix_spawn(sys.executable, [sys.executable, "-c", program], os.environ)
    try:
        while not (pid_file.exists() and pid_file.read_text().endswith(" ")):
            assert is_alive(parent)
        assert not is_alive(int(pid_file.read_text()))
        assert is_alive(parent)
    finally:
        stop_process(parent)


def test_stopping_what_is_gone_is_no_error(tmp_path: Path) -> None:
    pid = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitpid(pid, 0)
    stop_process(pid)
