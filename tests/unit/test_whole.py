"""The run of all tests: what gets a second try, and what never does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.whole import TRIED_AGAIN_MAX

ROOT = Path(__file__).resolve().parents[2]
FAILS_ONCE = """
import pathlib
def test_it():
    mark = pathlib.Path("seen")
    first = not mark.exists()
    mark.touch()
    assert not first
"""
FAILS = "def test_it():\n    assert False\n"
PASSES = "def test_it():\n    pass\n"


def run_in(folder: Path, files: dict[str, str]) -> subprocess.CompletedProcess[str]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return subprocess.run(
        (
            sys.executable,
            "-m",
            "tests.whole",
            "-q",
            "--import-mode=importlib",
            "-p",
            "no:cacheprovider",
            "-p",
            "xdist",
            "-n",
            "2",
        ),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_integration_test_that_fails_once_passes_alone_and_is_told(tmp_path: Path) -> None:
    ran = run_in(tmp_path, {"tests/integration/test_a.py": FAILS_ONCE, "tests/unit/test_b.py": PASSES})
    assert ran.returncode == 0
    assert "UNSTEADY" in ran.stdout
    assert "tests/integration/test_a.py::test_it" in ran.stdout.split("UNSTEADY")[1]


def test_integration_test_that_fails_alone_too_fails_the_run(tmp_path: Path) -> None:
    ran = run_in(tmp_path, {"tests/integration/test_a.py": FAILS})
    assert ran.returncode == 1
    assert "failed alone too" in ran.stdout


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"tests/unit/test_a.py": FAILS_ONCE}, id="a unit test"),
        pytest.param(
            {
                "tests/unit/test_a.py": FAILS_ONCE,
                "tests/integration/test_b.py": FAILS_ONCE.replace("seen", "seen2"),
            },
            id="a unit test beside one of integration",
        ),
        pytest.param(
            {f"tests/integration/test_{n}.py": FAILS for n in range(TRIED_AGAIN_MAX + 1)},
            id="too many",
        ),
    ],
)
def test_nothing_else_gets_a_second_try(tmp_path: Path, files: dict[str, str]) -> None:
    ran = run_in(tmp_path, files)
    assert ran.returncode != 0
    assert "alone" not in ran.stdout


def test_run_without_failures_is_run_once(tmp_path: Path) -> None:
    ran = run_in(tmp_path, {"tests/integration/test_a.py": PASSES})
    assert ran.returncode == 0
    assert "UNSTEADY" not in ran.stdout
