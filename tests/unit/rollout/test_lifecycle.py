"""Settings that contradict themselves, and a run directory that holds nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.primitives.errors import InputError, RolloutError
from seawall.rollout.devnet import DevnetSettings, down, status


@pytest.mark.parametrize("port", [-1, 65_536])
def test_a_port_that_does_not_exist_is_refused(port: int) -> None:
    with pytest.raises(InputError, match="does not exist"):
        DevnetSettings(port=port)


@pytest.mark.parametrize("block_time_s", [0.0, -1.0, 3_601.0, float("nan")])
def test_an_absurd_block_time_is_refused(block_time_s: float) -> None:
    with pytest.raises(InputError, match="block time"):
        DevnetSettings(block_time_s=block_time_s)


def test_two_ways_of_mining_are_refused() -> None:
    with pytest.raises(InputError, match="exclude each other"):
        DevnetSettings(block_time_s=1.0, manual_mining=True)


def test_an_empty_directory_has_no_devnet(tmp_path: Path) -> None:
    assert status(tmp_path) is None
    assert not down(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"pid": "x"}'])
def test_an_unreadable_run_file_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "devnet.json").write_text(content)
    with pytest.raises(RolloutError, match=r"devnet\.json"):
        status(tmp_path)
