"""The geth that all tests share, each with keys and contracts of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.geth import Geth, running_geth


@pytest.fixture(scope="session")
def geth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Geth]:
    with running_geth(tmp_path_factory.mktemp("geth")) as node:
        yield node
