from __future__ import annotations

import pytest

from tests.unit.cli.conftest import Seawall

KEY = "a-key-of-a-provider"


@pytest.mark.parametrize(
    "arguments", [("--block", "1"), ("--chain", "1"), ("--book", "book.json"), ("--keep-chain-id",)]
)
def test_options_of_a_fork_without_one_are_bad_input(seawall: Seawall, arguments: tuple[str, ...]) -> None:
    answer = seawall("devnet", "up", *arguments, "--json")
    assert answer.code == 2
    assert answer.refusal["where"] == "--fork"
    assert seawall("devnet", "status", "--json").document == {"running": False}


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("environment:SEAWALL_NO_SUCH_VARIABLE", "is not set"),
        ("file:no-such-file", "cannot be read"),
        ("https://host/${SEAWALL_NO_SUCH_VARIABLE}", "is not set"),
        (f"{KEY} with blanks", "not the place of a secret"),
        (f"ftp://host/{KEY}", "cannot be used"),
    ],
)
def test_endpoint_that_cannot_be_had_is_refused_without_showing_it(
    seawall: Seawall, place: str, said: str
) -> None:
    answer = seawall("devnet", "up", "--fork", place, "--json")
    assert answer.code == 2
    assert said in answer.refusal["what"]
    assert KEY not in answer.errors + answer.output
    assert seawall("devnet", "status", "--json").document == {"running": False}


def test_endpoint_from_a_variable_is_asked_and_named_without_its_key(
    seawall: Seawall, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWALL_TEST_ENDPOINT", f"http://127.0.0.1:1/{KEY}")
    answer = seawall("devnet", "up", "--fork", "environment:SEAWALL_TEST_ENDPOINT", "--port", "0", "--json")
    assert answer.code == 1
    assert answer.refusal["where"] == "http://127.0.0.1:1"
    assert KEY not in answer.errors + answer.output
