"""One devnet for the suite, with an account for every scenario; every test finds the chain as it was then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import revert, snapshot
from tests.conformance.scenario import Scenario, every_scenario
from tests.conformance.stage import Account, Stage


@pytest.fixture(scope="module")
def adapters(shared_devnet: Devnet) -> Mapping[str, AnyAdapter]:
    return adapters_of(shared_devnet.book)


@pytest.fixture(scope="module")
def opened(shared_devnet: Devnet, adapters: Mapping[str, AnyAdapter]) -> Mapping[str, Account]:
    stage = Stage(shared_devnet)
    # Blocks only when asked for: each then has exactly the timestamp that was set for it.
    shared_devnet.rpc.call("evm_setAutomine", False)
    accounts = {}
    for scenario in every_scenario():
        account = stage.open_account(adapters[scenario.adapter])
        scenario.fund(account)
        accounts[scenario.adapter] = account
    return accounts


@pytest.fixture
def stage(shared_devnet: Devnet, opened: Mapping[str, Account]) -> Iterator[Stage]:
    del opened
    before = snapshot(shared_devnet)
    yield Stage(shared_devnet)
    revert(shared_devnet, before)


@pytest.fixture
def account(stage: Stage, opened: Mapping[str, Account], scenario: Scenario) -> Account:
    """Of the test's own scenario, funded, on a chain that is put back afterwards."""
    del stage
    return opened[scenario.adapter]
