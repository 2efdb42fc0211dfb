"""Real chaos in its short form: what `python -m tests.chaos` does at length, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.chaos.run import Plot, play

INTENTS, KEYS = 150, 4
RATE = 15.0


@pytest.mark.anvil
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    ("ledger", "kernels", "seed"),
    [("sqlite", 1, 11), pytest.param("postgresql", 3, 12, marks=pytest.mark.postgresql)],
)
def test_nothing_is_lost_and_nothing_lands_twice(
    tmp_path: Path, ledger: str, kernels: int, seed: int
) -> None:
    plot = Plot(INTENTS, KEYS, seed, ledger, kernels, rate=RATE, linger_s=2.0, settle_s=90.0)
    report = asyncio.run(play(plot, tmp_path / "run"))
    assert report.violations == (), "\n".join(
        [
            *(f"{one.rule}: {one.what}" for one in report.violations),
            *(path.read_text()[-2_000:] for path in sorted(tmp_path.glob("run/kernel*/kernel.log"))),
        ]
    )
    # A storm that broke nothing, or a workload of which nothing landed, would prove nothing.
    assert report.faults["kills"] > 0
    assert report.outcomes["landed"] > INTENTS // 3
