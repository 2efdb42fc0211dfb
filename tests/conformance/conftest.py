"""One devnet for the suite; every test finds the chain as it was built."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.conformance.stage import Stage


@pytest.fixture
def stage(shared_devnet: Devnet) -> Iterator[Stage]:
    before = snapshot(shared_devnet)
    yield Stage(shared_devnet)
    revert(shared_devnet, before)


@pytest.fixture
def adapters(shared_devnet: Devnet) -> Mapping[str, AnyAdapter]:
    return adapters_of(shared_devnet.book)
