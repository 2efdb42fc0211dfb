"""What all tests share: their order, the devnet's fixtures and the place of recorded chain data."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

pytest_plugins = ["tests.fixtures.devnet", "tests.order"]

RECURSION_LIMIT = 1_000
_ROOT = Path(__file__).resolve().parent.parent


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The interpreter's own limit: py_ecc raises it to 100,000, with which deep input ends the process.

    What is marked `long` has a shorter relative that always runs: it waits for `make test-long`.
    """
    sys.setrecursionlimit(RECURSION_LIMIT)
    if item.get_closest_marker("long") is not None and os.environ.get("SEAWALL_LONG") != "all":
        pytest.skip("it is long: run make test-long")


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """Recorded chain data with known answers; it is not part of the repository."""
    folder = Path(os.environ.get("SEAWALL_DATA") or _ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"recorded data is not there: set SEAWALL_DATA (looked at {folder})")
    return folder
