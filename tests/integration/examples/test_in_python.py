"""What an example is in a file and in Python: one digest for one block."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from seawall.primitives.codec import plan_digest
from seawall.primitives.plans import Plan
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import address_text
from seawall.rollout.devnet.steering import mine
from seawall.runtime.hosts.settings import HostedStrategy
from seawall.runtime.hosts.supervisor import HostSupervisor
from seawall.strategies.scripts.settings import SCRIPT_CLASS, script_settings
from tests.integration.examples.stage import DOLLAR, ETHER, EXAMPLES, Stage
from tests.integration.test_strategies import UNHURRIED, Kernel

pytestmark = pytest.mark.anvil


async def both(stage: Stage, name: str, path: str) -> tuple[Plan, Plan]:
    """The plans that file and class make of the first block at which both make one."""
    book, key = stage.book.to_json(), stage.folder.key
    text = (EXAMPLES / f"{name}.yaml").read_text()
    common: dict[str, object] = {"chain_id": 31337, "key": address_text(key)}
    of_file = {**script_settings(f"{name}.yaml", text, book, None, {}), **common}
    of_class = {**common, "book": book, "account": address_text(stage.book.address("my_account"))}
    kernels = [Kernel(stage.devnet, SCRIPT_CLASS, of_file), Kernel(stage.devnet, path, of_class)]
    hosted = HostedStrategy("tried", path, json.dumps(of_class))
    settings = replace(UNHURRIED, python_path=(str(EXAMPLES),))
    kernels[1].hosts = HostSupervisor((hosted,), settings, SystemClock())
    found: list[tuple[Plan, ...]] = []
    try:
        for kernel in kernels:
            await kernel.start()
        while len(found) < 2 or not all(found):
            assert kernels[0].seq < 4
            mine(stage.devnet, 1)
            found = [(await kernel.head()).plans for kernel in kernels]
    finally:
        for kernel in kernels:
            await kernel.hosts.close()
    return found[0][0], found[1][0]


async def test_leverage_in_python_is_the_same_plan(stage: Stage) -> None:
    account = stage.open("leverage_up")
    stage.give("weth", account, 10 * ETHER)
    of_file, of_class = await both(stage, "leverage_up", "leverage_up:LeverageUp")
    assert of_file == of_class
    assert plan_digest(of_file) == plan_digest(of_class)


async def test_refinancing_in_python_is_the_same_plan(stage: Stage) -> None:
    account = stage.open("debt_refinance")
    stage.owes_at_aave(account, "weth", 20 * ETHER, 20_000 * DOLLAR)
    stage.leave_at_aave("usdx", 100_000 * DOLLAR)
    of_file, of_class = await both(stage, "debt_refinance", "debt_refinance:DebtRefinance")
    assert of_file == of_class
    assert plan_digest(of_file) == plan_digest(of_class)
