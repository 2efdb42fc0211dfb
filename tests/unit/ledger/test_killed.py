from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seawall.ledger import Transaction
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import Address
from tests.unit.ledger.conftest import OpenLedger
from tests.unit.ledger.writing_process import PRODUCERS

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "tests.unit.ledger.writing_process"]
ACKNOWLEDGED_BEFORE_KILL = 300


def lane_of(producer: int) -> Lane:
    return Lane(producer + 1, Address(bytes([producer]) * 20))


def killed_after(url: str, acknowledged: int) -> list[str]:
    """Every line that a writing process got out before SIGKILL met it in full work."""
    with subprocess.Popen([*COMMAND, url], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(acknowledged)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    return lines


def killed_at(url: str, point: str) -> bytes:
    """What a process acknowledged whose first group met an armed failpoint."""
    armed = os.environ | {"SEAWALL_FAILPOINT": f"{point}:kill"}
    done = subprocess.run([*COMMAND, url], cwd=ROOT, capture_output=True, env=armed, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    return done.stdout


async def test_no_acknowledged_write_is_lost_by_sigkill_during_groups(
    url: str, open_ledger: OpenLedger
) -> None:
    highest: dict[int, int] = {}
    for line in killed_after(url, ACKNOWLEDGED_BEFORE_KILL):
        if line.endswith("\n"):
            producer, nonce = map(int, line.split())
            highest[producer] = nonce
    ledger = open_ledger(url)

    def stored(tx: Transaction) -> list[list[int]]:
        return [[slot.nonce for slot in tx.slots.open(lane_of(producer))] for producer in range(PRODUCERS)]

    for producer, nonces in enumerate(await ledger.read(stored)):
        # All that was acknowledged is there, in order, and at most the one write under way besides.
        assert nonces == list(range(len(nonces)))
        assert highest.get(producer, -1) + 1 <= len(nonces) <= highest.get(producer, -1) + 2
    await ledger.close()


@pytest.mark.parametrize(
    ("point", "stored"), [("ledger.before_commit", False), ("ledger.after_commit", True)]
)
async def test_sigkill_at_a_failpoint_of_the_first_group(
    url: str, open_ledger: OpenLedger, point: str, stored: bool
) -> None:
    assert killed_at(url, point) == b""
    ledger = open_ledger(url)
    assert (await ledger.read(lambda tx: tx.slots.highest(lane_of(0))) is not None) is stored
    await ledger.close()
