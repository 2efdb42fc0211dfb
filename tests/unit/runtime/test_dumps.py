"""A process that holds secrets is not dumped (RO-5)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_BEFORE = """
import resource
resource.setrlimit(resource.RLIMIT_CORE, resource.getrlimit(resource.RLIMIT_CORE)[1:] * 2)
"""
_REPORT = """
import ctypes, resource
print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0), resource.getrlimit(resource.RLIMIT_CORE))
"""
_FORBID = "from seawall.runtime.dumps import forbid_core_dumps; forbid_core_dumps()"


def _python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def test_a_program_is_dumpable_until_it_says_otherwise(tmp_path: Path) -> None:
    assert _python(_BEFORE + _REPORT, tmp_path).stdout.startswith("1 ")


def test_a_process_that_forbids_dumps_is_not_dumpable_and_may_write_no_core(tmp_path: Path) -> None:
    assert _python(_BEFORE + "\n" + _FORBID + _REPORT, tmp_path).stdout == "0 (0, 0)\n"


def test_a_crash_leaves_nothing_behind(tmp_path: Path) -> None:
    crash = "\nimport os; os.kill(os.getpid(), 11)"
    assert _python(_BEFORE + "\n" + _FORBID + crash, tmp_path).returncode == -signal.SIGSEGV
    assert os.listdir(tmp_path) == []


def test_every_command_forbids_dumps_before_it_reads_anything(tmp_path: Path) -> None:
    code = (
        "import sys; sys.argv = ['seawall', '--version']\n"
        "from seawall.cli.main import run\n"
        "try: run()\n"
        "except SystemExit: pass\n"
    )
    assert _python(code + _REPORT, tmp_path).stdout.endswith("0 (0, 0)\n")
