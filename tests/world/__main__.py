"""`python -m tests.world --seeds N [--first K]`: run seeds, say what broke, and how to replay it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.world.simulation import simulate


def main() -> int:
    parser = argparse.ArgumentParser(description="Run the whole kernel in a simulated world.")
    parser.add_argument("--seeds", type=int, default=200, help="how many seeds to run")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    outcomes: Counter[str] = Counter()
    crashes: Counter[str] = Counter()
    broken = 0
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        report = simulate(seed)
        outcomes += report.outcomes
        crashes += report.crashes
        if report.violation is not None:
            broken += 1
            print(f"seed {seed}: {report.violation}\n  replay: python -m tests.world --first {seed} --seeds 1")
    print(f"{arguments.seeds} seeds, {broken} broken; outcomes {dict(outcomes)}; crashes {dict(crashes)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
