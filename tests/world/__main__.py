"""`python -m tests.world --seeds N [--first K]`: run seeds, say what broke and how to replay it."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable

from seawall.telemetry import failpoints
from seawall.telemetry.logs import LogSettings, configure
from tests.world.bugs import BUGS
from tests.world.simulation import Bug, simulate


def main() -> int:
    arguments = _arguments()
    bug: Bug | None = BUGS[arguments.bug] if arguments.bug else None
    trace: Callable[[str], None] | None = None
    if arguments.trace:
        configure(LogSettings(level="info"))
        trace = _say
    outcomes: Counter[str] = Counter()
    crashes: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    broken = 0
    begun_s = time.process_time()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        report = simulate(seed, bug, trace)
        outcomes += report.outcomes
        crashes += report.crashes
        faults += report.faults
        if report.violation is not None:
            broken += 1
            _say(f"seed {seed}: {report.violation}\n  replay: {_replay(seed, arguments.bug)}")
    seconds = (time.process_time() - begun_s) / max(1, arguments.seeds)
    _say(f"{arguments.seeds} seeds, {broken} broken, {seconds:.2f} s of CPU each")
    _say(f"outcomes: {_counts(outcomes)}\nfaults: {_counts(faults)}\ncrashes: {_counts(crashes)}")
    never = [name for name in failpoints.names() if not crashes[name]]
    _say(f"failpoints never crashed at: {', '.join(never) or 'none'}")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the whole kernel in a simulated world.")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--bug", choices=sorted(BUGS), help="plant this bug first: the checker must find it")
    parser.add_argument("--trace", action="store_true", help="tell everything that happens")
    return parser.parse_args()


def _replay(seed: int, bug: str | None) -> str:
    return f"python -m tests.world --first {seed} --seeds 1 --trace" + (f" --bug {bug}" if bug else "")


def _counts(counter: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items()))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
