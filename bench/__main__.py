"""`python -m bench NAME [--json]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from bench.rows import Row, as_json, as_table

NOT_BENCHMARKS = {"__init__", "__main__", "rows", "devchain", "history", "pipeline"}


def names() -> list[str]:
    """Every other module of this folder is a benchmark with a `measure() -> list[Row]`."""
    found = (path.stem for path in Path(__file__).resolve().parent.glob("*.py"))
    return sorted(name for name in found if name not in NOT_BENCHMARKS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=names())
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    rows: list[Row] = importlib.import_module(f"bench.{arguments.name}").measure()
    print(as_json(rows) if arguments.json else as_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
