"""One anvil with the true venues for the tests of the native core."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.devchain import DevChain, Venues, deploy_venues, run_devchain


@pytest.fixture(scope="module")
def chain() -> Iterator[DevChain]:
    with run_devchain() as running:
        yield running


@pytest.fixture(scope="module")
def venues(chain: DevChain) -> Venues:
    return deploy_venues(chain)
