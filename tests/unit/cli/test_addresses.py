"""`seawall addresses` where no chain is asked: what the book says, and refusals before anything is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seawall.chain.books import published_book
from seawall.cli.main import main

CONFIGURATION = """
[[chains]]
chain_id = 1
rpc = ["http://127.0.0.1:9"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "seawall.toml"
    path.write_text(CONFIGURATION)
    return path


def test_shipped_book_is_listed_where_the_chain_has_none(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["addresses", "list", "-c", str(file), "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed["chain_id"] == 1
    assert {one["name"] for one in listed["contracts"]} == {entry.name for entry in published_book(1)}
    assert all(one["source"] for one in listed["contracts"])


def test_entries_of_one_kind_are_a_table_that_says_what_is_not_recorded(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["addresses", "list", "-c", str(file), "--kind", "token"]) == 0
    told = capsys.readouterr().out
    assert "weth" in told
    assert "token, settlement" in told
    assert "unknown yet" in told
    assert "factory" not in told


def test_kind_of_nothing_leaves_an_empty_book(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["addresses", "list", "-c", str(file), "--kind", "submarine"]) == 0
    assert "The address book is empty." in capsys.readouterr().out


def test_recording_without_a_book_of_ones_own_asks_for_a_file(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["addresses", "record", "-c", str(file), "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert "no address book of its own" in error["what"]
    assert "--out addresses.json" in error["fix"]
