"""All Python tests; what fails among true processes is tried once more, alone, and told.

    python -m tests.whole [ARGUMENT OF PYTEST ...]

Tests of integration share two cores with nodes, databases and kernels of other tests. One that fails there
and passes alone has met the load, or a race that wants mending: it is listed as unsteady, never silently
passed. Only tests below `TRIED_AGAIN` get a second try, and only where few failed: whatever fails alone too,
in any other place, or in numbers, fails the run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest

__all__ = ["FAILED_TO", "TRIED_AGAIN", "main", "may_be_tried_again", "pytest_configure"]

FAILED_TO: Final = "SEAWALL_FAILED_TO"
"""Names the file to which the ids of failed tests are written, a line each."""
TRIED_AGAIN: Final = ("tests/integration/", "tests/docs/")
TRIED_AGAIN_MAX: Final = 3
_TESTS_FAILED: Final = 1


def may_be_tried_again(failed: Sequence[str]) -> bool:
    """Whether load alone may explain these: few, and all of them among true processes."""
    return 0 < len(failed) <= TRIED_AGAIN_MAX and all(one.startswith(TRIED_AGAIN) for one in failed)


def main(arguments: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        code, failed = _run(arguments, Path(folder) / "failed")
        if code != _TESTS_FAILED or not may_be_tried_again(failed):
            return code
        print(f"{len(failed)} failed beside others: tried once more, alone", flush=True)
        code, again = _run(failed, Path(folder) / "again")
    if code == 0:
        print("UNSTEADY, failed beside others and passed alone:", *failed, sep="\n  ", flush=True)
    else:
        print("failed alone too:", *again, sep="\n  ", flush=True)
    return code


def pytest_configure(config: pytest.Config) -> None:
    """As a plugin of the run: keeps the ids of what failed. Workers and inner runs do not inherit that."""
    if (path := os.environ.pop(FAILED_TO, None)) is not None:
        config.pluginmanager.register(_Failures(Path(path)))


class _Failures:
    def __init__(self, path: Path) -> None:
        self._path = path

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        reports = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        self._path.write_text(
            "".join(f"{one}\n" for one in dict.fromkeys(report.nodeid for report in reports))
        )


def _run(arguments: Sequence[str], failed_to: Path) -> tuple[int, list[str]]:
    environment = {**os.environ, FAILED_TO: str(failed_to)}
    command = (sys.executable, "-m", "pytest", "-p", "tests.whole", *arguments)
    code = subprocess.run(command, env=environment, check=False).returncode
    return code, failed_to.read_text().splitlines() if failed_to.exists() else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
