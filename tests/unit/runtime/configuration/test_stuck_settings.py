"""What does not land: `[chains.stuck]`, a table a priority, and `[chains.moves]`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seawall.primitives.errors import ConfigError
from seawall.runtime.configuration.loading import load_configuration
from seawall.transactions.policies import MovePolicy, StuckPolicies

_CHAIN = '[[chains]]\nchain_id = 31337\nrpc = ["http://127.0.0.1:8545"]\n'


def loaded(folder: Path, text: str) -> StuckPolicies:
    (folder / "seawall.toml").write_text(_CHAIN + text)
    return load_configuration(folder / "seawall.toml", {}).chains[0].stuck


def test_priorities_that_are_not_named_keep_their_defaults(tmp_path: Path) -> None:
    found = loaded(tmp_path, "[chains.stuck.low]\nreplace_blocks = 50\ncancel_refused = false\n")
    standard = StuckPolicies()
    assert found == replace(standard, low=replace(standard.low, replace_blocks=50, cancel_refused=False))


def test_replacing_before_writing_again_is_refused_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no fewer to replace") as raised:
        loaded(tmp_path, "[chains.stuck.high]\nreplace_blocks = 1\n")
    assert "stuck.high" in str(raised.value)


def test_priority_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="urgent"):
        loaded(tmp_path, "[chains.stuck.urgent]\nreplace_blocks = 9\n")


def test_moves_are_named_and_bounded(tmp_path: Path) -> None:
    (tmp_path / "seawall.toml").write_text(f"{_CHAIN}[chains.moves]\nmoves_max = 0\n")
    found = load_configuration(tmp_path / "seawall.toml", {}).chains[0].moves
    assert found == MovePolicy(moves_max=0, at_once=True)
    (tmp_path / "seawall.toml").write_text(f"{_CHAIN}[chains.moves]\nmoves_max = 17\n")
    with pytest.raises(ConfigError, match="moves_max"):
        load_configuration(tmp_path / "seawall.toml", {})
