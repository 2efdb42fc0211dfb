"""The contracts' README names every contract and every source file, with sizes that are about true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from seawall.protocols.executor.artifacts import load_artifact

CONTRACTS = Path(__file__).resolve().parents[3] / "contracts"
README = (CONTRACTS / "README.md").read_text()
ARTIFACTS = CONTRACTS.parent / "src" / "seawall" / "protocols" / "executor" / "artifacts"
SIZES = dict(re.findall(r"^\| `(\w+)` \|.*\| ([0-9,]+) \|$", README, re.MULTILINE))
OFF_BY_MAX = 0.1


def test_every_contract_that_ships_has_its_line() -> None:
    assert set(SIZES) == {path.stem for path in ARTIFACTS.glob("*.json")}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_size_is_about_what_ships(name: str) -> None:
    told, shipped = int(SIZES[name].replace(",", "")), len(load_artifact(name).runtime_code)
    assert abs(told - shipped) <= OFF_BY_MAX * shipped


def test_every_source_file_is_named() -> None:
    missing = [path.name for path in (CONTRACTS / "src").glob("*.sol") if f"src/{path.name}" not in README]
    assert not missing
