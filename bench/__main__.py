"""`python -m bench NAME [--only PART] [--json]`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable
from pathlib import Path

from bench.rows import Row, as_json, as_table


def names() -> list[str]:
    """Every module of this folder with a `measure() -> list[Row]` is a benchmark."""
    folder = Path(__file__).resolve().parent.glob("*.py")
    return sorted(path.stem for path in folder if "\ndef measure() -> list[Row]:" in path.read_text())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", choices=names())
    parser.add_argument("--only", help="one part of a benchmark that has several (its PARTS)")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    arguments = parser.parse_args()
    module = importlib.import_module(f"bench.{arguments.name}")
    work: Callable[[], list[Row]] = module.measure
    if arguments.only is not None:
        parts: dict[str, Callable[[], list[Row]]] = getattr(module, "PARTS", {})
        if arguments.only not in parts:
            parser.error(f"{arguments.name} has the parts {sorted(parts)}, not {arguments.only!r}")
        work = parts[arguments.only]
    rows = work()
    print(as_json(rows) if arguments.json else as_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
