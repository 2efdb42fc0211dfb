"""Threat model and table of attacks name tests: each exists, and every kind of attack has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECURITY = ROOT / "docs" / "security"
DOCUMENTS = sorted(SECURITY.glob("*.md"))
NAMED = re.compile(r"`((?:test|testFuzz|invariant|check)_\w+)`")
DEFINED = re.compile(r"^\s*(?:function|def) ((?:test|testFuzz|invariant|check)_\w+)\(", re.MULTILINE)
NAMED_MIN = 60


def defined_tests() -> set[str]:
    places = [*(ROOT / "contracts" / "test").rglob("*.sol"), *(ROOT / "tests").rglob("test_*.py")]
    return {name for place in places for name in DEFINED.findall(place.read_text())}


def rows_of(document: Path) -> list[list[str]]:
    lines = [line for line in document.read_text().splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_test_that_a_document_of_security_names_exists(document: Path) -> None:
    named = set(NAMED.findall(document.read_text()))
    assert named
    assert not named - defined_tests()


def test_every_kind_of_attack_has_a_test_that_makes_it() -> None:
    kinds = [row for row in rows_of(SECURITY / "attacks.md") if row[0] != "kind of attack"]
    bare = [row[0] for row in kinds if not NAMED.search(row[-1]) and "none needed" not in row[-1]]
    assert not bare


def test_every_key_and_contract_of_the_threat_model_is_held_by_a_test() -> None:
    rows = [row for row in rows_of(SECURITY / "threat-model.md") if len(row) == 4 and row[-1] != "held by"]
    assert len(rows) >= 18
    assert not [row[0] for row in rows if not NAMED.search(row[-1])]


def test_the_documents_name_many_tests() -> None:
    named = {name for document in DOCUMENTS for name in NAMED.findall(document.read_text())}
    assert len(named) >= NAMED_MIN
