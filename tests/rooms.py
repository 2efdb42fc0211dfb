"""Coverage by lines, room by room, each measured with that room's own tests only.

    python -m tests.rooms [--least PERCENT] [ROOM ...]

A room is a few files of `src/seawall` that belong together; its tests are those which were written for it.
What other tests run through by chance does not count: a line that only a test of something else reaches is
held by nobody. Processes that the tests start (the command line, kernels, hosts) count too; one that is
killed by SIGKILL leaves nothing behind.

Prints a table, with the lines that were missed under each room below the bar, and fails then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverage import Coverage

__all__ = ["ROOMS", "Measured", "Room", "main", "measure"]

LEAST_PERCENT: Final = 90.0
WORKERS: Final = "2"
_ROOT = Path(__file__).resolve().parent.parent
_SOURCE = _ROOT / "src" / "seawall"
_TESTS = _ROOT / "tests"


@dataclass(frozen=True, slots=True)
class Room:
    """Files below src/seawall and the tests that hold them, both as patterns."""

    name: str
    sources: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> list[Path]:
        return _matching(_SOURCE, self.sources)

    def paths(self) -> list[Path]:
        return _matching(_TESTS, self.tests)


ROOMS: Final = (
    Room(
        "scripts",
        ("strategies/scripts/*.py", "strategies/composing.py", "strategies/plans.py"),
        (
            "unit/strategies/scripts",
            "unit/strategies/test_composing.py",
            "unit/strategies/test_plans.py",
            "property/strategies/test_strategy_files.py",
            "integration/test_strategy_files.py",
        ),
    ),
    Room(
        "adapters",
        ("protocols/adapters/*.py",),
        (
            "unit/protocols/adapters",
            "unit/protocols/test_stand_in_adapters.py",
            "integration/adapters",
            "conformance",
        ),
    ),
    Room(
        "executor",
        ("protocols/executor/*.py",),
        (
            "unit/protocols/test_executor_*.py",
            "property/protocols/test_executor_stream.py",
            "integration/test_executor_on_anvil.py",
            "integration/test_accounts_on_anvil.py",
        ),
    ),
    Room("markets", ("markets/*.py",), ("unit/markets", "property/markets")),
    Room(
        "risk",
        ("risk/*.py", "risk/guards/*.py"),
        ("unit/risk", "property/risk", "integration/test_guards_on_devnet.py"),
    ),
    Room(
        "deployment",
        ("rollout/deployment/*.py", "cli/deploy.py", "cli/accounts.py"),
        ("unit/rollout/test_deployment*.py", "integration/kernel/test_deployment.py"),
    ),
    Room(
        "devnet",
        ("rollout/devnet/*.py",),
        # The examples run on accounts and markets that a devnet opens.
        ("unit/rollout", "unit/cli/test_devnet*.py", "integration/test_devnet*.py", "integration/examples"),
    ),
    Room(
        "addresses",
        ("chain/addresses.py", "chain/proxies.py", "chain/books/*.py", "cli/addresses.py"),
        (
            "unit/chain/test_addresses.py",
            "unit/chain/test_books.py",
            "unit/cli/test_addresses.py",
            "integration/test_addresses_on_devnet.py",
        ),
    ),
    Room(
        "approvals",
        ("protocols/approvals.py", "protocols/known_calls.py", "runtime/approvals.py", "cli/approvals.py"),
        (
            "unit/protocols/test_approvals.py",
            "unit/protocols/test_known_calls.py",
            "integration/kernel/test_approvals.py",
        ),
    ),
    Room(
        "commands",
        (
            "cli/strategies.py",
            "cli/explaining.py",
            "cli/limits.py",
            "runtime/rehearsing.py",
            "runtime/handing_in.py",
            "runtime/drift.py",
            "runtime/limiting.py",
        ),
        (
            "unit/cli/test_limits.py",
            "unit/cli/test_explaining.py",
            "unit/runtime/test_drift.py",
            "unit/runtime/test_handing_in.py",
            "unit/runtime/test_limiting.py",
            "unit/runtime/test_rehearsing.py",
            "integration/test_strategy_commands.py",
            "integration/kernel/test_observing.py",
            "integration/kernel/test_submitting.py",
        ),
    ),
    Room(
        "segments",
        ("transactions/segments.py", "ledger/segments.py"),
        (
            "unit/transactions/test_segments.py",
            "unit/transactions/test_batches.py",
            "unit/ledger/test_segments.py",
            "integration/kernel/test_batches.py",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """What the tests of a room reached of it."""

    room: Room
    lines: int
    missed: dict[Path, list[int]]

    @property
    def percent(self) -> float:
        return 100.0 * (1 - sum(map(len, self.missed.values())) / self.lines)


def measure(room: Room) -> Measured:
    """Runs the room's tests under coverage; tests that fail end everything, since they measure nothing."""
    with tempfile.TemporaryDirectory(prefix="seawall-coverage-") as folder:
        data = Path(folder, "data")
        environment = {**os.environ, "COVERAGE_FILE": str(data)}
        coverage = [sys.executable, "-m", "coverage"]
        tests = [str(path) for path in room.paths()]
        pytest = ["run", "-m", "pytest", "-q", "-n", WORKERS, "--no-header", *tests]
        for step in (pytest, ["combine", "--quiet"]):
            done = subprocess.run(
                [*coverage, *step],
                cwd=_ROOT,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                sys.exit(f"{done.stdout}{done.stderr}\n{room.name}: nothing was measured, since that failed")
        found = Coverage(data_file=str(data), config_file=str(_ROOT / "pyproject.toml"))
        found.load()
        lines, missed = 0, {}
        for file in room.files():
            _, statements, _, absent, _ = found.analysis2(str(file))
            lines += len(statements)
            missed[file] = list(absent)
    return Measured(room, lines, missed)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.rooms", description=__doc__)
    parser.add_argument("--least", type=float, default=LEAST_PERCENT, metavar="PERCENT")
    parser.add_argument("rooms", nargs="*", metavar="ROOM", help=", ".join(room.name for room in ROOMS))
    options = parser.parse_args(arguments)
    unknown = set(options.rooms) - {room.name for room in ROOMS}
    if unknown:
        parser.error(f"no such room: {', '.join(sorted(unknown))}")
    all_measured = [measure(room) for room in ROOMS if not options.rooms or room.name in options.rooms]
    for measured in all_measured:
        print(f"{measured.room.name:<12} {measured.lines:>6} lines  {measured.percent:6.1f} %")
        for file, absent in measured.missed.items():
            if absent and (measured.percent < options.least or options.rooms):
                print(f"    {file.relative_to(_SOURCE)}: {_ranges(absent)}")
    return 1 if any(measured.percent < options.least for measured in all_measured) else 0


def _matching(folder: Path, patterns: Sequence[str]) -> list[Path]:
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return list(dict.fromkeys(found))


def _ranges(lines: Sequence[int]) -> str:
    """[1, 2, 3, 7] as "1-3 7"."""
    runs: list[list[int]] = []
    for line in lines:
        if runs and line == runs[-1][-1] + 1:
            runs[-1].append(line)
        else:
            runs.append([line])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
