"""One devnet for all examples; every test goes back to how the world was before it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from seawall.primitives.ports import SystemClock
from seawall.rollout.devnet import Devnet, DevnetSettings
from seawall.rollout.devnet.build import BuiltState
from seawall.rollout.devnet.lifecycle import refresh
from seawall.rollout.devnet.steering import revert, snapshot
from tests.fixtures.devnet import running_devnet
from tests.integration.examples.stage import Stage


@pytest.fixture(scope="package")
def world(built_devnet: BuiltState, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    settings = DevnetSettings(tmp_path_factory.mktemp("devnet"), manual_mining=True)
    with running_devnet(settings) as started:
        yield started


@pytest.fixture
def stage(world: Devnet, tmp_path: Path) -> Iterator[Stage]:
    # A revert takes the node's clock back too: without this the kernel would find heads that are too old.
    refresh(world.rpc, world.book, SystemClock().now_s())
    before, book = snapshot(world), world.info.addresses.read_text()
    yield Stage(world, tmp_path)
    revert(world, before)
    world.info.addresses.write_text(book)
