"""`python -m tests.chaos --intents 5000 --keys 8 --seed S --ledger sqlite|postgresql --kernels 1|3 [--json]`

Exit code 1 if a rule is broken; history, logs and ledger are then kept, and where they are is said.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chaos.run import Plot, Report, judge, play

__all__ = ["main"]

SHOWN_MAX = 40


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--intents", type=int, default=5_000)
    parser.add_argument("--keys", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ledger", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kernels", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="plans submitted a second")
    parser.add_argument("--block-time", type=float, default=0.25)
    parser.add_argument("--linger", type=float, default=20.0, help="seconds of faults after the last plan")
    parser.add_argument("--settle", type=float, default=300.0, help="seconds until all must have ended")
    parser.add_argument("--keep", type=Path, help="keep everything in this new folder")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--judge", type=Path, help="only judge once more what was kept in this folder")
    given = parser.parse_args(arguments)
    if given.judge is not None:
        found = judge(given.judge)
        print("\n".join(f"VIOLATION {one.rule}: {one.what}" for one in found) or "every rule held")
        return 1 if found else 0
    if given.ledger == "sqlite" and given.kernels != 1:
        parser.error("on SQLite a second kernel refuses to start: use --ledger postgresql")
    plot = Plot(
        given.intents, given.keys, given.seed, given.ledger, given.kernels, given.block_time, given.rate,
        given.linger, given.settle,
    )  # fmt: skip
    folder: Path = given.keep or Path(tempfile.mkdtemp(prefix="seawall-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    report = asyncio.run(play(plot, folder))
    _print(report, folder, as_json=given.json)
    if report.violations:
        return 1
    if given.keep is None:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _print(report: Report, folder: Path, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(dataclasses.asdict(report), indent=2))
    else:
        plot = report.plot
        where = f"{plot.kernels} kernel(s) on {plot.ledger}, seed {plot.seed}"
        print(f"{plot.intents} plans over {plot.keys} keys, {where}")
        for title, part in (
            ("outcomes", report.outcomes),
            ("answers", report.answers),
            ("faults", report.faults),
            ("seconds", report.took_s),
        ):
            print(f"  {title:<9} " + ", ".join(f"{name}: {value}" for name, value in sorted(part.items())))
        print(f"  submission until its answer: p50 {report.submit_p50_s} s, p99 {report.submit_p99_s} s")
        print(f"  {len(report.violations)} violations" if report.violations else "  every rule held")
        for violation in report.violations[:SHOWN_MAX]:
            print(f"  VIOLATION {violation.rule}: {violation.what}")
    if report.violations:
        print(f"history, logs and ledger: {folder}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
