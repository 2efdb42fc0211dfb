"""Steps ask adapters for exactly the action that was meant, with minimums from quotes less tolerance."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import TokenBound, TokenDelta
from seawall.primitives.units import Address
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    ClaimExit,
    ClaimRewards,
    Deposit,
    Redeem,
    RemoveLiquidity,
    RequestExit,
    TokenAmount,
)
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.erased import erased
from seawall.protocols.executor.operations import Measure, Measured, Operation
from seawall.strategies.composing import Outcome, Steps, bounds_of
from tests.builders.strategy_files import KEY, POOL, USDX, VAULT, WETH, Stall, block

SHARE = VAULT


@dataclass(frozen=True)
class Recorder(Stall):
    """Quotes 1,000 of everything, and keeps what it is asked to build."""

    built: list[Action] = field(default_factory=list)

    @override
    def quote(self, state: int, action: Action, account: Address) -> Quote:
        takes = (Exact(WETH, 400), Exact(USDX, 600))
        return Quote(takes, tuple(Exact(token, 1_000) for token in (WETH, USDX, SHARE)))

    @override
    def build(self, action: Action, account: Address) -> tuple[Operation, ...]:
        self.built.append(action)
        return ()


def steps_of(recorder: Recorder) -> Steps:
    price = {f"{recorder.name}:price": (1).to_bytes(32, "big")}
    return Steps(KEY, lambda adapter: adapter.at(price, block()), tolerance_bps=100)


def test_every_verb_becomes_its_action() -> None:
    recorders = [Recorder(f"r{number}") for number in range(8)]
    adapters = [erased(recorder) for recorder in recorders]
    price = {f"{one.name}:price": (1).to_bytes(32, "big") for one in recorders}
    steps = Steps(KEY, lambda adapter: adapter.at(price, block()), tolerance_bps=100)
    first = steps.deposit(adapters[0], USDX, SHARE, 5, name="first")
    assert first == Outcome("first", SHARE, 1_000)
    steps.redeem(adapters[1], SHARE, USDX, first, least=7)
    steps.add_liquidity(adapters[2], SHARE, {WETH: 1, USDX: 2}, name="shares")
    steps.add_liquidity(adapters[3], SHARE, {WETH: 1, USDX: 2}, minimums={})
    steps.add_liquidity(adapters[4], SHARE, {WETH: 1, USDX: 2}, minimums={WETH: 1, USDX: 1})
    steps.remove_liquidity(adapters[5], SHARE, [WETH, USDX], 9, position=3, names=["out"])
    steps.request_exit(adapters[6], SHARE, 4)
    steps.claim_exit(adapters[6], 12, USDX, name="claimed")
    steps.claim_rewards(adapters[7], [WETH], position=3, names=["reward"])
    both = (TokenAmount(WETH, 1), TokenAmount(USDX, 2))
    assert [action for recorder in recorders for action in recorder.built] == [
        Deposit(USDX, SHARE, 5, 990, (Measure("first", SHARE),)),
        Redeem(SHARE, USDX, Measured("first"), 7),
        AddLiquidity(both, SHARE, 990, (Measure("shares", SHARE),)),
        AddLiquidity(both, SHARE, 0, (), (TokenAmount(WETH, 396), TokenAmount(USDX, 594))),
        AddLiquidity(both, SHARE, 0, (), (TokenAmount(WETH, 1), TokenAmount(USDX, 1))),
        RemoveLiquidity(
            SHARE, 9, (TokenAmount(WETH, 990), TokenAmount(USDX, 990)), (Measure("out", WETH),), 3
        ),
        RequestExit(SHARE, 4),
        ClaimExit(12, USDX, (Measure("claimed", USDX),)),
        ClaimRewards((WETH,), (Measure("reward", WETH),), 3),
    ]


def test_steps_without_a_minimum_or_an_amount_are_refused() -> None:
    steps = steps_of(recorder := Recorder("one"))
    adapter = erased(recorder)
    with pytest.raises(PlanError, match="takes any price"):
        steps.swap(adapter, WETH, USDX, 1, least=0)
    with pytest.raises(PlanError, match="the amount is zero"):
        steps.supply(adapter, WETH, 0)
    with pytest.raises(PlanError, match="was not measured"):
        steps.supply(adapter, WETH, Outcome("", WETH, 5))
    with pytest.raises(PlanError, match="cannot be quoted"):
        steps.swap(adapter, WETH, USDX, Outcome("later", WETH, None))
    with pytest.raises(PlanError, match="a tolerance of"):
        Steps(KEY, lambda adapter: adapter.at({}, block()), tolerance_bps=10_000)


def test_expected_changes_of_ours_become_bounds_rounded_in_our_favour() -> None:
    expected = (
        TokenDelta(KEY, WETH, 999, 100),
        TokenDelta(KEY, USDX, -999, 100),
        TokenDelta(KEY, POOL, 999, 100),
        TokenDelta(VAULT, WETH, 999, 100),
    )
    assert bounds_of(expected, frozenset({KEY}), frozenset({POOL})) == (
        TokenBound(WETH, "inflow", 989),
        TokenBound(USDX, "outflow", 1_009),
        TokenBound(POOL, "debt_increase", 1_009),
    )
