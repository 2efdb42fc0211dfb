"""A restart with looser limits is seen: in the ledger and in the log, with what became looser."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.ledger.rows import EventRow
from seawall.rollout.devnet import Devnet
from seawall.runtime.limit_changes import IN_FORCE
from tests.fixtures.kernel import KernelFolder

pytestmark = pytest.mark.anvil


def told(folder: KernelFolder) -> list[EventRow]:
    return folder.books.read(lambda tx: tx.events.after(0, kinds=(IN_FORCE,)))


def start_with(folder: KernelFolder, old: str, new: str) -> None:
    text = folder.configuration.read_text()
    assert old in text
    folder.configuration.write_text(text.replace(old, new))
    with folder.run() as kernel:
        kernel.wait_ready()


def test_restart_with_looser_limits_is_told_in_the_ledger_and_the_log(
    manual_devnet: Devnet, tmp_path: Path
) -> None:
    folder = KernelFolder(tmp_path / "k", manual_devnet)
    folder.write()
    start_with(folder, "slippage_bps = 50", "slippage_bps = 50")
    (first,) = told(folder)
    assert first.chain_id == 31337
    assert first.data["loosened"] == ""
    assert '"slippage_bps":50' in str(first.data["limits"])

    start_with(folder, "slippage_bps = 50", "slippage_bps = 40")
    assert "limits_loosened" not in folder.log.read_text()
    start_with(folder, "slippage_bps = 40", "slippage_bps = 60")
    _, tighter, looser = told(folder)
    assert tighter.data["loosened"] == ""
    assert looser.data["loosened"] == "limits: slippage_bps from 40 to 60"
    assert len({one.data["digest"] for one in told(folder)}) == 3
    lines = [line for line in folder.log.read_text().splitlines() if "limits_loosened" in line]
    assert len(lines) == 1
    assert "slippage_bps from 40 to 60" in lines[0]
