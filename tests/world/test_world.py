"""Two hundred seeds of the world: no invariant breaks, every failpoint is crashed at, and a seed replays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from seawall.telemetry import failpoints
from tests.world.simulation import simulate

SEEDS = 200
CHUNK = 50
# Of the true port, which the model's port stands in for.
_NOT_IN_THE_WORLD = {"broadcast.before_write"}
_FAULTS = {
    "authority HALT",
    "authority REDUCE_ONLY",
    "clock step",
    "clock stop",
    "deposed kernel ended",
    "foreign transaction",
    "freeze",
    "kill",
    "reorg",
}
_OUTCOMES = {"landed", "failed", "refused", "expired", "cancelled"}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_invariant_breaks_and_every_failpoint_is_crashed_at(first: int) -> None:
    crashes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    broken = []
    for seed in range(first, first + CHUNK):
        report = simulate(seed)
        crashes += report.crashes
        faults += report.faults
        outcomes += report.outcomes
        if report.violation is not None:
            broken.append(f"python -m tests.world --first {seed} --seeds 1 --trace  # {report.violation}")
    assert not broken, "\n".join(broken)
    assert {*failpoints.names()} - _NOT_IN_THE_WORLD - {*crashes} == set()
    assert _FAULTS - {*faults} == set()
    assert _OUTCOMES - {*outcomes} == set()


def test_a_seed_replays_exactly_in_this_process() -> None:
    assert [simulate(seed).digest for seed in (0, 7)] == [simulate(seed).digest for seed in (0, 7)]


def test_a_seed_replays_exactly_in_a_process_with_other_hashes() -> None:
    script = (
        "from tests.world.simulation import simulate; print(*[simulate(seed).digest for seed in (0, 7, 21)])"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert digests == {" ".join(simulate(seed).digest for seed in (0, 7, 21)) + "\n"}
