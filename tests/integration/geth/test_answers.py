"""Both true nodes still answer as they did when their answers were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.chain.node_errors import classify
from tests.integration.geth.situations import Recorded, as_entry, of_anvil, of_geth, read_answers


def assert_as_recorded(node: str, found: list[Recorded]) -> None:
    for one in found:
        if one.answer is not None:
            assert classify(one.answer.code, one.answer.message, one.answer.data) is one.error, one
    assert [as_entry(one) for one in found] == [entry for entry in read_answers() if entry["node"] == node]


def test_geth_answers_as_recorded(tmp_path: Path) -> None:
    assert_as_recorded("geth", of_geth(tmp_path))


@pytest.mark.anvil
def test_anvil_answers_as_recorded() -> None:
    assert_as_recorded("anvil", of_anvil())
