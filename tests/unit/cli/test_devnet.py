from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.rollout.devnet.build import BuiltState
from tests.unit.cli.conftest import Seawall

OPERATOR = "0x1111111111111111111111111111111111111111"
ANY_PORT = ("--port", "0")


@pytest.fixture
def clean(seawall: Seawall) -> Iterator[None]:
    yield
    seawall("devnet", "down")


@pytest.mark.anvil
def test_devnet_from_up_to_down_with_a_saved_state_between(
    seawall: Seawall, tmp_path: Path, built_devnet: BuiltState, clean: None
) -> None:
    up = seawall("devnet", "up", *ANY_PORT, "--operator", OPERATOR, "--json")
    assert up.code == 0, up.errors
    assert up.document["chain_id"] == 31337
    assert Path(str(up.document["addresses"])).is_file()
    again = seawall("devnet", "up", *ANY_PORT, "--json")
    assert again.code == 1
    before = seawall("devnet", "status", "--json").document
    assert before["running"] is True
    assert seawall("devnet", "save", "state.json", "--json").document == {"saved": "state.json"}
    assert seawall("devnet", "down", "--json").document == {"stopped": True}
    assert seawall("devnet", "load", "state.json", *ANY_PORT).code == 0
    after = seawall("devnet", "status", "--json").document
    assert isinstance(after["latest"], int)
    assert isinstance(before["latest"], int)
    assert after["latest"] >= before["latest"]
    assert "rpc" in seawall("devnet", "status").output


def test_devnet_that_does_not_run_is_named(seawall: Seawall) -> None:
    assert seawall("devnet", "status", "--json").document == {"running": False}
    assert seawall("devnet", "down", "--json").document == {"stopped": False}
    answer = seawall("devnet", "status")
    assert answer.code == 1
    assert "seawall devnet up" in answer.errors


@pytest.mark.parametrize(
    "arguments",
    [("--port", "99999"), ("--block-time", "0"), ("--operator", "0x12"), ("--operator", OPERATOR[:-1] + "g")],
)
def test_unusable_option_is_bad_input_and_starts_nothing(
    seawall: Seawall, arguments: tuple[str, ...]
) -> None:
    assert seawall("devnet", "up", *arguments, "--json").code == 2
    assert seawall("devnet", "status", "--json").document == {"running": False}
