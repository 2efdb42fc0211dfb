"""Real chaos in its short form: what `python -m tests.chaos` does at length, on both databases."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.run import Plot, play

INTENTS, KEYS = 150, 4
RATE = 15.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not within pytest's own folder: the next session of pytest would shut the database's user out of it."""
    with tempfile.TemporaryDirectory(prefix="seawall-chaos-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.anvil
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("ledger", "kernels", "seed"),
    [("sqlite", 1, 11), pytest.param("postgresql", 3, 12, marks=pytest.mark.postgresql)],
)
def test_nothing_is_lost_and_nothing_lands_twice(folder: Path, ledger: str, kernels: int, seed: int) -> None:
    plot = Plot(INTENTS, KEYS, seed, ledger, kernels, rate=RATE, linger_s=2.0, settle_s=90.0)
    report = asyncio.run(play(plot, folder / "run"))
    assert report.violations == (), "\n".join(
        [
            *(f"{one.rule}: {one.what}" for one in report.violations),
            *(path.read_text()[-2_000:] for path in sorted(folder.glob("run/kernel*/kernel.log"))),
        ]
    )
    # A storm that broke nothing, or a workload of which nothing landed, would prove nothing.
    assert report.faults["kills"] > 0
    assert report.outcomes["landed"] > INTENTS // 3
