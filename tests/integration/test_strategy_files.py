"""Strategy files against the true contracts, in a host as the kernel runs them: what a file promises is what
the chain shows, to the wei.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from seawall.primitives.codec import plan_digest
from seawall.primitives.plans import Plan
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import address_text
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.erc20 import transfer_call
from seawall.protocols.executor.policy import TokenClass
from seawall.protocols.executor.policy_parts import policy_of
from seawall.protocols.executor.risk_book import LossLimit, RiskPolicy, TokenLimit
from seawall.rollout.devnet import TRADERS, Devnet, Trader
from seawall.rollout.devnet.deployer import ETHER
from seawall.rollout.devnet.positions import account_of, open_account
from seawall.rollout.devnet.steering import authorise, mine
from seawall.runtime.hosts.settings import HostedStrategy
from seawall.runtime.hosts.supervisor import HostSupervisor
from seawall.strategies.scripts.settings import SCRIPT_CLASS, script_settings
from tests.integration.test_strategies import OPERATOR, UNHURRIED, Kernel

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
    unhurried = replace(UNHURRIED, python_path=(str(EXAMPLES),))
    kernels[1].hosts = HostSupervisor((hosted,), unhurried, SystemClock())
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


HEARTBEAT_S = 2**31
POSITION = """\
strategy: borrower
chain: 31337
account: "{account}"
accounting: weth
when: balance(weth) >= 2 weth
steps:
  - supply: {{on: aave_v3, token: weth, amount: 2 weth}}
  - borrow: {{on: aave_v3, token: usdx, amount: 500 usdx, as: cash}}
  - swap: {{on: "uniswap_v2:weth-usdx", give: usdx, get: weth, amount: cash, as: more}}
  - supply: {{on: aave_v3, token: weth, amount: more}}
expect:
  - {{token: weth, change: -2 weth, tolerance: 0 bps}}
  - {{token: aave_debt_usdx, change: 500 aave_debt_usdx, tolerance: 1 bps}}
checks:
  - health: {{pool: aave_pool, floor: 1.5 wad}}
  - feed_fresh: {{feed: feed_eth_usd, max_age: 30 d}}
"""


async def test_position_of_an_account_is_what_the_file_says(devnet: Devnet) -> None:
    """Supply, borrow, trade, supply again: bounds and checks hold on chain, and nothing is paid out."""
    book = devnet.book
    account = account_of(devnet, OPERATOR, OPERATOR)
    adapters = adapters_of(book)
    parts = [adapters[name].policy(account) for name in ("aave_v3", "uniswap_v2:weth-usdx")]
    weth, usdx = book.address("weth"), book.address("usdx")
    kept = dict.fromkeys((weth, usdx), TokenClass.KEPT)
    debt = book.address("aave_debt_usdx")
    cap = 10**30
    ether, dollar = book.address("feed_eth_usd"), book.address("feed_usdx_usd")
    limits = tuple(
        TokenLimit(token, feed, HEARTBEAT_S, decimals, cap, 0)
        for token, feed, decimals in ((weth, ether, 18), (usdx, dollar, 6), (debt, dollar, 6))
    )
    risk = RiskPolicy(account, limits, LossLimit(cap, cap, 0), (), holds_positions=True)
    assert open_account(devnet, OPERATOR, OPERATOR, policy_of(parts, account, kept), risk) == account
    sent = devnet.rpc.send(TRADERS[0], weth, transfer_call(account, 2 * ETHER))
    devnet.rpc.settle([sent], mine=True)
    text = POSITION.format(account=address_text(account))
    settings = {
        **script_settings("borrower.yaml", text, book.to_json(), None, {}),
        "chain_id": 31337,
        "key": address_text(OPERATOR),
    }
    kernel = Kernel(devnet, SCRIPT_CLASS, settings)
    try:
        await kernel.start()
        plan = await kernel.plan()
        assert plan is not None
        kernel.land(plan)
        assert await kernel.plan(2) is None
    finally:
        await kernel.hosts.close()
    assert (kernel.balance("weth", account), kernel.balance("usdx", account)) == (0, 0)
    assert 500 * 10**6 <= kernel.balance("aave_debt_usdx", account) <= 500 * 10**6 + 1
    assert kernel.balance("a_weth", account) > 2 * ETHER
