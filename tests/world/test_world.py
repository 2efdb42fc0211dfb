"""Seeds of the world: no invariant breaks, every failpoint is crashed at, and a seed replays exactly."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import pytest

from seawall.telemetry import failpoints
from tests.world import kernel as _all_failpoints_are_declared  # noqa: F401
from tests.world.simulation import simulate
from tests.world.world import Place

SEEDS = 24
CHUNK = 12
FLEETS = 6
# Of the true port, which the model's port stands in for.
_NOT_IN_THE_WORLD = {"broadcast.before_write"}
_FAULTS = {"LedgerLockedError", "kill", "lag", "reorg"}
_OUTCOMES = {"landed", "failed", "refused", "expired", "cancelled"}


@pytest.mark.parametrize(
    "first", [0, *(pytest.param(n, marks=pytest.mark.long) for n in range(CHUNK, SEEDS, CHUNK))]
)
def test_no_invariant_breaks(first: int) -> None:
    faults: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()
    broken = []
    for seed in range(first, first + CHUNK):
        report = simulate(seed)
        faults += report.faults
        outcomes += report.outcomes
        if report.violation is not None:
            broken.append(f"python -m tests.world --first {seed} --seeds 1 --trace  # {report.violation}")
    assert not broken, "\n".join(broken)
    assert _FAULTS - {*faults} == set()
    assert _OUTCOMES - {*outcomes} == set()


@pytest.mark.parametrize("kernels", [2, 3])
def test_no_invariant_breaks_in_a_fleet(kernels: int) -> None:
    place = Place(faults={"kernels": kernels})
    broken = {seed: simulate(seed, place=place).violation for seed in range(FLEETS // kernels)}
    assert set(broken.values()) == {None}, broken


@pytest.mark.parametrize("name", sorted({*failpoints.names()} - _NOT_IN_THE_WORLD))
def test_a_crash_there_breaks_nothing(name: str) -> None:
    """The first seed that comes by is enough."""
    place = Place(crash_at=name, faults={"base_fee_jump": 0.15, "halt": 0.0})
    for seed in range(12):
        report = simulate(seed, place=place)
        assert report.violation is None, seed
        if report.crashes[name]:
            return
    pytest.fail(f"no seed of the first 12 crashes at {name}")


def test_a_seed_replays_exactly_in_a_process_with_other_hashes() -> None:
    script = (
        "from tests.world.simulation import simulate; from tests.world.world import Place;"
        "print(simulate(7).digest, simulate(3, place=Place(faults={'kernels': 2, 'endpoints': 3})).digest)"
    )
    digests = [
        subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    fleet = Place(faults={"kernels": 2, "endpoints": 3})
    assert digests == [f"{simulate(7).digest} {simulate(3, place=fleet).digest}\n"] * 2
