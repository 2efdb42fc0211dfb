"""The order of files that the workers take."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.order import LONGEST_FIRST, in_order

ROOT = Path(__file__).resolve().parents[2]
DOCS, KERNEL, NODE = (
    "tests/docs/test_d.py",
    "tests/integration/kernel/test_k.py",
    "tests/integration/test_n.py",
)
SHORT = [f"tests/unit/test_{n}.py" for n in range(5)]


def test_long_files_come_first_by_length_with_a_short_one_after_each() -> None:
    assert in_order([NODE, *SHORT, KERNEL, DOCS]) == [DOCS, SHORT[0], KERNEL, SHORT[1], NODE, *SHORT[2:]]


def test_no_file_is_lost_where_all_are_of_one_kind() -> None:
    assert in_order(SHORT) == SHORT
    assert in_order([NODE, DOCS]) == [DOCS, NODE]
    assert in_order([]) == []


@pytest.mark.parametrize("folder", LONGEST_FIRST)
def test_what_is_called_long_is_there(folder: str) -> None:
    assert (ROOT / folder).exists()
