"""The order of files: the long ones first, and short ones between them.

Workers take files in this order (`--dist=loadfile --no-loadscope-reorder`). Kernels, nodes and documents
mostly wait, and take minutes; tests of units compute, and take moments. So while some workers wait, another
computes; and at the end no worker is left alone with a long file. A file's own tests keep their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Final

import pytest

__all__ = ["LONGEST_FIRST", "in_order", "pytest_collection_modifyitems"]

LONGEST_FIRST: Final = (
    "tests/docs/",
    "tests/integration/kernel/",
    "tests/conformance/",
    "tests/chaos/",
    "tests/integration/test_fleet.py",
    "tests/world/",
    "tests/integration/safe/",
    "tests/integration/relays/",
    "tests/integration/",
)
"""Files by how long they take; all others are short."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    names = (item.nodeid.split("::", 1)[0] for item in items)
    place = {name: number for number, name in enumerate(in_order(list(dict.fromkeys(names))))}
    items.sort(key=lambda item: place[item.nodeid.split("::", 1)[0]])


def in_order(files: Sequence[str]) -> list[str]:
    long = sorted((name for name in files if name.startswith(LONGEST_FIRST)), key=_rank)
    short = [name for name in files if not name.startswith(LONGEST_FIRST)]
    return [name for name in chain.from_iterable(zip_longest(long, short)) if name is not None]


def _rank(name: str) -> int:
    return next(rank for rank, folder in enumerate(LONGEST_FIRST) if name.startswith(folder))
