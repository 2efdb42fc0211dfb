"""What a file asks for is in the plan in the unit that it means, or there is no plan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from typing_extensions import override

from seawall.native import encode_call
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import Action, Deposit
from seawall.protocols.adapters.arguments import inflow_bounds
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.erased import erased
from seawall.protocols.executor.operations import Call, Operation
from seawall.strategies.scripts.loading import Standing, load_script
from seawall.strategies.scripts.strategy import ScriptStrategy
from tests.builders.strategy_files import (
    CHAIN_ID,
    EXECUTOR,
    KEY,
    POOL,
    Stall,
    problems_of,
    seen,
    strategy_of,
    surroundings,
)
from tests.unit.strategies.scripts.test_files import with_lines

KEYS_STEP = """\
strategy: tried
chain: 31337
account: key
accounting: weth
steps:
  - deposit: {on: issuer, give: usdx, get: weth, amount: 5 usdx}
"""


@dataclass(frozen=True)
class Issuer(Stall):
    """One plain call that takes no minimum."""

    @override
    def quote(self, state: int, action: Action, account: Address) -> Quote:
        assert isinstance(action, Deposit)
        return Quote((), (Exact(action.share, 1_000),))

    @override
    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        return (Call(POOL, encode_call("issue(uint256)", (1,))),)

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        assert isinstance(action, Deposit)
        return inflow_bounds(action.share, action.min_out, self.name)


def test_key_sends_nothing_whose_minimum_only_an_executor_could_hold() -> None:
    around = surroundings()
    around = replace(around, adapters={**around.adapters, "issuer": erased(Issuer("issuer"))})
    script = load_script(KEYS_STEP.encode(), "s.yaml", around, Standing(CHAIN_ID, KEY, EXECUTOR))
    strategy = ScriptStrategy("tried", script)
    assert strategy.decide(seen(strategy), b"").plans == ()
    assert any("minimum" in reason for reason in strategy.drops)


@pytest.mark.parametrize("word", ["health: {pool: pool", "health_book: {book: pool"])
@pytest.mark.parametrize("floor", ["2", "0.99 wad", "0"])
def test_health_floor_that_every_position_passes_is_refused(word: str, floor: str) -> None:
    (problem,) = problems_of(with_lines("checks:", f"  - {word}, floor: {floor}}}"))
    assert "1 wad" in problem
    assert not problems_of(with_lines("checks:", f"  - {word}, floor: 1 wad}}"))


def test_health_floor_that_is_found_at_a_block_is_held_to_the_same() -> None:
    strategy = strategy_of(with_lines("checks:", "  - health: {pool: pool, floor: units(balance(weth))}"))
    assert strategy.decide(seen(strategy), b"").plans == ()
    assert any("health floor" in reason for reason in strategy.drops)


@pytest.mark.parametrize("floor", ["2", "0.99 wad"])
def test_health_that_a_guard_is_asked_for_is_in_wad(floor: str) -> None:
    (problem,) = problems_of(with_lines("guards:", f"  health_factor: {{pool: pool, min_wad: {floor}}}"))
    assert "1 wad" in problem
    assert not problems_of(with_lines("guards:", "  health_factor: {pool: pool, min_wad: 1.2 wad}"))


@pytest.mark.parametrize(
    "guard",
    [
        "position_size: {token: usdx, cap: 5 weth}",
        "min_profit: {min_wei: 5 usdx}",
        "gas_price: {max_fee_per_gas_wei: 5 usdx}",
        "balance: {min_wei: 5 usdx}",
    ],
)
def test_amount_of_another_token_is_no_limit(guard: str) -> None:
    """5 usdx are 5,000,000 units, and as many wei are nothing."""
    (problem,) = problems_of(with_lines("guards:", f"  {guard}"))
    assert "usdx" in problem or "weth" in problem


def test_amounts_of_the_token_itself_are_limits() -> None:
    lines = (
        "guards:",
        "  position_size: {token: usdx, cap: 5 usdx}",
        "  min_profit: {min_wei: 0.001 weth}",
        "  gas_price: {max_fee_per_gas_wei: 5 gwei}",
        "  balance: {min_wei: 1 native}",
    )
    assert not problems_of(with_lines(*lines))


def test_values_that_build_on_each_other_too_deeply_are_told_and_stop_nothing() -> None:
    """Within every bound of the file, and beyond what can be evaluated at once."""
    lines = ["values:", "  v0: balance(weth)"]
    lines += [f"  v{place}: -(-(-(-(-(-(-(-(v{place - 1}))))))))" for place in range(1, 128)]
    strategy = strategy_of(with_lines(*lines, "when:", "  - v127 > 0"))
    assert strategy.decide(seen(strategy), b"").plans == ()
    (reason,) = strategy.drops
    assert "build on each other" in reason


@pytest.mark.parametrize(("dated_s", "is_price"), [(0, True), (30, True), (31, False), (10**12, False)])
def test_price_of_the_future_is_no_price(dated_s: int, is_price: bool) -> None:
    lines = ("prices:", "  weth: {feed: feed_eth_usd, max_age: 1 h}", "when:", "  - price(weth) < 0 usd")
    strategy = strategy_of(with_lines(*lines))
    words = (5, 2_000 * 10**8, 1, 1_700_000_000 + dated_s, 5)
    answers: dict[str, bytes | None] = {
        read.label: b"".join(word.to_bytes(32, "big") for word in words)
        if "round" in read.label
        else (8).to_bytes(32, "big")
        for read in strategy.subscriptions()[0].reads
        if "chainlink" in read.label
    }
    strategy.decide(seen(strategy, answers=answers), b"")
    (reason,) = strategy.drops
    assert ("does not hold" in reason) is is_price
