"""Strategy files against the true contracts, in a host as the kernel runs them: what a file promises is what
the chain shows, to the wei.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from seawall.primitives.codec import plan_digest
from seawall.primitives.plans import Plan
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import address_text
from seawall.rollout.devnet import Devnet, Trader
from seawall.rollout.devnet.deployer import ETHER
from seawall.rollout.devnet.steering import authorise, mine
from seawall.runtime.hosts.settings import HostedStrategy, HostSettings
from seawall.runtime.hosts.supervisor import HostSupervisor
from seawall.strategies.scripts.settings import SCRIPT_CLASS, script_settings
from tests.integration.test_strategies import OPERATOR, Kernel

pytestmark = pytest.mark.anvil

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def settings_of(devnet: Devnet, name: str, **variables: str) -> dict[str, object]:
    text = (
        (EXAMPLES / name)
        .read_text()
        .replace("accounting: weth", "accounting: weth\nbeneficiary: safe_treasury")
    )
    executor = address_text(devnet.book.address("atomic_executor"))
    return {
        **script_settings(name, text, devnet.book.to_json(), executor, variables),
        "chain_id": 31337,
        "key": address_text(OPERATOR),
    }


@pytest.fixture
async def arbitrage(devnet: Devnet) -> AsyncIterator[Kernel]:
    authorise(devnet, OPERATOR, devnet.book.address("safe_treasury"))
    kernel = Kernel(devnet, SCRIPT_CLASS, settings_of(devnet, "flash_arbitrage.yaml"))
    await kernel.start()
    yield kernel
    await kernel.hosts.close()


@pytest.mark.parametrize("pair", [("weth", "usdx"), ("usdx", "weth")], ids=["v2-dear", "v2-cheap"])
async def test_flash_arbitrage_earns_to_the_wei_what_it_promised(
    arbitrage: Kernel, pair: tuple[str, str]
) -> None:
    treasury = arbitrage.devnet.book.address("safe_treasury")
    before = arbitrage.balance("weth", treasury)
    Trader(arbitrage.devnet).open_gap_v2(*pair, 300)
    plan = await arbitrage.plan()
    assert plan is not None
    arbitrage.land(plan)
    (promised,) = plan.expected
    assert promised.change > ETHER // 100
    assert arbitrage.balance("weth", treasury) - before == promised.change


async def test_flash_arbitrage_wants_nothing_while_pools_agree_nor_twice_of_one_gap(
    arbitrage: Kernel,
) -> None:
    assert await arbitrage.plan() is None
    Trader(arbitrage.devnet).open_gap_v2("weth", "usdx", 300)
    assert await arbitrage.plan() is not None
    assert await arbitrage.plan() is None


async def test_same_steps_in_python_are_the_same_plan(devnet: Devnet) -> None:
    """One file, one class, one block: one digest."""
    authorise(devnet, OPERATOR, OPERATOR)
    Trader(devnet).open_gap_v2("weth", "usdx", 300)
    settings: dict[str, object] = {
        "chain_id": 31337,
        "key": address_text(OPERATOR),
        "book": devnet.book.to_json(),
        "executor": address_text(devnet.book.address("atomic_executor")),
        "beneficiary": address_text(devnet.book.address("safe_treasury")),
    }
    kernels = [
        Kernel(devnet, SCRIPT_CLASS, settings_of(devnet, "flash_arbitrage.yaml")),
        Kernel(devnet, "flash_arbitrage:FlashArbitrage", settings),
    ]
    hosted = HostedStrategy("tried", "flash_arbitrage:FlashArbitrage", json.dumps(settings))
    kernels[1].hosts = HostSupervisor((hosted,), HostSettings(python_path=(str(EXAMPLES),)), SystemClock())
    try:
        for kernel in kernels:
            await kernel.start()
        plans: list[tuple[Plan, ...]] = []
        while len(plans) < 2 or not all(plans):
            assert kernels[0].seq < 4
            mine(devnet, 1)
            plans = [(await kernel.head()).plans for kernel in kernels]
    finally:
        for kernel in kernels:
            await kernel.hosts.close()
    of_file, of_class = (found[0] for found in plans)
    assert of_file == of_class
    assert plan_digest(of_file) == plan_digest(of_class)
