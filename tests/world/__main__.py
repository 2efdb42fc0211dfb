"""`python -m tests.world --seeds N [--first K]`: run seeds, say what broke and how to replay it.

Exit code 1 if an invariant broke. What the options do is in docs/simulator.md.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from seawall.primitives.errors import ConfigError
from seawall.telemetry import failpoints
from seawall.telemetry.logs import LogSettings, configure
from tests.world.faults import Faults
from tests.world.projects import Project
from tests.world.simulation import Bug, Report, askers, simulate
from tests.world.world import Place

__all__ = ["main"]


@dataclass(slots=True)
class Totals:
    """Over all seeds of one run."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    reached: Counter[str] = field(default_factory=Counter)
    crashes: Counter[str] = field(default_factory=Counter)
    broken: list[int] = field(default_factory=list)

    def add(self, report: Report) -> None:
        self.outcomes += report.outcomes
        self.faults += report.faults
        self.reached += report.reached
        self.crashes += report.crashes
        if report.violation is not None:
            self.broken.append(report.seed)


def main() -> int:
    arguments = _arguments()
    try:
        project = Project.read(arguments.strategy, arguments.settings) if arguments.strategy else None
        if project is not None:
            project.check()
    except ConfigError as error:
        _say(str(error))
        return 2
    place, make = (Place(), askers) if project is None else (project.place, project.inhabitants)
    place = replace(place, faults=dict(arguments.fault))
    trace: Callable[[str], None] | None = None
    if arguments.trace:
        configure(LogSettings(level="info"))
        trace = _say
    bug = _bug(arguments.bug)
    totals = Totals()
    begun_s = time.process_time()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        report = simulate(seed, bug, trace, make, place)
        totals.add(report)
        if report.violation is not None:
            _say(f"seed {seed}: {report.violation}\n  replay: {_replay(seed, arguments)}")
    seconds = (time.process_time() - begun_s) / max(1, arguments.seeds)
    _say(f"{arguments.seeds} seeds, {len(totals.broken)} broken, {seconds:.2f} s of CPU each")
    _say(f"outcomes: {_counts(totals.outcomes)}\nfaults: {_counts(totals.faults)}")
    if arguments.coverage:
        _say(_coverage(totals))
    return 1 if totals.broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the whole kernel in a simulated world.")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    parser.add_argument("--coverage", action="store_true", help="say which failpoints were reached")
    parser.add_argument("--bug", help="plant this bug first: the checker must find it (`list` names them)")
    parser.add_argument(
        "--fault",
        type=_fault,
        action="append",
        default=[],
        help="one of faults.py, as name=figure, for all seeds",
    )
    parser.add_argument("--strategy", help="a strategy of yours, as package.module:Class")
    parser.add_argument("--settings", type=Path, help="a TOML file for it: see docs/simulator.md")
    return parser.parse_args()


def _bug(name: str | None) -> Bug | None:
    if name is None:
        return None
    from tests.world.bugs import BUGS  # reaches into all of the kernel: only where it is asked for

    if name not in BUGS:
        sys.exit("\n".join(sorted(BUGS)))
    return BUGS[name]


def _fault(text: str) -> tuple[str, float]:
    name, _, figure = text.partition("=")
    if name not in {each.name for each in fields(Faults)}:
        raise argparse.ArgumentTypeError(f"{name!r} is none of tests/world/faults.py")
    return name, float(figure)


def _replay(seed: int, arguments: argparse.Namespace) -> str:
    parts = ["python", "-m", "tests.world", "--first", str(seed), "--seeds", "1", "--trace"]
    for name, figure in arguments.fault:
        parts += ["--fault", f"{name}={figure:g}"]
    for option in ("bug", "strategy", "settings"):
        value = getattr(arguments, option)
        parts += [f"--{option}", str(value)] if value else []
    return shlex.join(parts)


def _coverage(totals: Totals) -> str:
    lines = [f"{'failpoint':<40}{'reached':>10}{'crashed at':>12}"]
    names = sorted({*failpoints.names(), *totals.reached})
    lines += [f"{name:<40}{totals.reached[name]:>10}{totals.crashes[name]:>12}" for name in names]
    return "\n".join(lines)


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
