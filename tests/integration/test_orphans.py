"""What a killed test run leaves behind ends soon after it, though nobody told it to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seawall.rollout.devnet.node import is_alive

WAIT_S = 30.0
ROOT = Path(__file__).resolve().parents[2]
RUN = """
import time
from tests.fixtures.anvil import running_anvil
with running_anvil() as node:
    print(node.process.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.anvil
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="births are read from /proc")
def test_node_of_a_run_that_was_killed_ends_soon_after_it() -> None:
    with subprocess.Popen([sys.executable, "-c", RUN], cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        node = int(run.stdout.readline())
        try:
            assert is_alive(node)
            run.kill()
            run.wait(WAIT_S)
            until_s = time.monotonic() + WAIT_S
            while is_alive(node):
                assert time.monotonic() < until_s, "it is left behind"
                time.sleep(0.02)
        finally:
            if is_alive(node):
                os.kill(node, signal.SIGKILL)
