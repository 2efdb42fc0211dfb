"""No minimum that was asked for is lost between the steps and the plan."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from typing_extensions import override

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import TokenBound
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.adapters.actions import (
    Action,
    AddLiquidity,
    Deposit,
    Redeem,
    RemoveLiquidity,
    TokenAmount,
)
from seawall.protocols.adapters.arguments import inflow_bounds
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.erased import erased
from seawall.protocols.adapters.weth import WethAdapter
from seawall.protocols.executor.operations import Call, Measured
from seawall.strategies.composing import Outcome, Steps
from tests.builders.strategy_files import CHAIN_ID, KEY, USDX, VAULT, WETH, block
from tests.unit.strategies.test_composing import Recorder

SHARE = VAULT


@dataclass(frozen=True)
class Held(Recorder):
    """Its calls take no minimum: the plan must hold it."""

    def bounds(self, action: Action, account: Address) -> tuple[TokenBound, ...]:
        match action:
            case Deposit():
                return inflow_bounds(action.share, action.min_out, self.name)
            case Redeem():
                return inflow_bounds(action.token_out, action.min_out, self.name)
        return ()


@dataclass(frozen=True)
class WithFees(Recorder):
    """Pays 1,000 of each, of which a minimum can hold 600: the rest are fees that were earned."""

    @override
    def quote(self, state: int, action: Action, account: Address) -> Quote:
        quote = Recorder.quote(self, state, action, account)
        return Quote(quote.takes, quote.gives, held=(Exact(WETH, 600), Exact(USDX, 600)))


def steps_at(*recorders: Recorder) -> Steps:
    price = {f"{one.name}:price": (1).to_bytes(32, "big") for one in recorders}
    return Steps(KEY, lambda adapter: adapter.at(price, block()), tolerance_bps=100)


def test_least_of_a_share_is_kept_beside_minimums_of_what_is_brought() -> None:
    steps = steps_at(one := Recorder("one"), two := Recorder("two"))
    steps.add_liquidity(erased(one), SHARE, {WETH: 1, USDX: 2}, least=7, minimums={WETH: 1, USDX: 1})
    steps.add_liquidity(erased(two), SHARE, {WETH: 1, USDX: 2}, least=7, minimums={})
    (first,), (second,) = one.built, two.built
    assert isinstance(first, AddLiquidity)
    assert isinstance(second, AddLiquidity)
    assert (first.min_share, second.min_share) == (7, 7)


def test_liquidity_whose_minimums_leave_a_token_out_is_refused() -> None:
    """One of two minimums holds the price in one direction only."""
    steps = steps_at(one := Recorder("one"))
    with pytest.raises(PlanError, match="no minimum"):
        steps.add_liquidity(erased(one), SHARE, {WETH: 1, USDX: 2}, minimums={WETH: 1})
    with pytest.raises(PlanError, match="takes any price"):
        steps.add_liquidity(erased(one), SHARE, {WETH: 1, USDX: 2}, minimums={WETH: 1, USDX: 0})
    assert one.built == []


def test_tokens_that_nobody_named_are_held_to_their_quote_too_when_liquidity_is_removed() -> None:
    steps = steps_at(one := Recorder("one"))
    steps.remove_liquidity(erased(one), SHARE, [USDX], 9)
    (action,) = one.built
    assert isinstance(action, RemoveLiquidity)
    assert action.minimums == tuple(TokenAmount(token, 990) for token in (USDX, WETH))


def test_minimum_of_what_is_removed_does_not_count_fees_that_no_minimum_can_hold() -> None:
    steps = steps_at(one := WithFees("one"))
    outcomes = steps.remove_liquidity(erased(one), SHARE, [WETH, USDX], 9)
    (action,) = one.built
    assert isinstance(action, RemoveLiquidity)
    assert action.minimums == (TokenAmount(WETH, 594), TokenAmount(USDX, 594))
    assert [outcome.expected for outcome in outcomes] == [1_000, 1_000]


def test_minimums_of_several_steps_in_one_token_add_up_in_the_plans_bounds() -> None:
    one, two, three = Held("one"), Held("two"), Held("three")
    steps = steps_at(one, two, three)
    steps.deposit(erased(one), USDX, SHARE, 5, least=100)
    steps.deposit(erased(two), USDX, SHARE, 5, least=100)
    steps.redeem(erased(three), SHARE, WETH, 5, least=3)
    assert steps.bounds == (TokenBound(SHARE, "inflow", 200), TokenBound(WETH, "inflow", 3))


def test_what_a_step_brings_can_be_wrapped_and_unwrapped() -> None:
    """One for one, and held to what the earlier step was held to."""
    weth = erased(WethAdapter(CHAIN_ID, WETH))
    one = Recorder("one")
    answers: dict[str, bytes | None] = {
        read.label: (10**30).to_bytes(32, "big") for read in weth.reads((KEY,))
    }
    answers["one:price"] = (1).to_bytes(32, "big")
    steps = Steps(KEY, lambda adapter: adapter.at(answers, block()), tolerance_bps=100)
    bought = steps.swap(erased(one), USDX, WETH, 5, name="bought")
    assert steps.redeem(weth, WETH, NATIVE, bought, name="coins").expected == 1_000
    assert steps.bounds == (TokenBound(NATIVE, "inflow", 990),)
    steps = Steps(KEY, lambda adapter: adapter.at(answers, block()), tolerance_bps=100)
    steps.deposit(weth, NATIVE, WETH, Outcome("coins", NATIVE, 1_000))
    (operation,) = steps.operations
    assert isinstance(operation, Call)
    assert operation.value_wei == Measured("coins")
    assert steps.bounds == (TokenBound(WETH, "inflow", 990),)
    known = Steps(KEY, lambda adapter: adapter.at(answers, block()))
    known.deposit(weth, NATIVE, WETH, 5)
    assert known.bounds == ()


def test_minimum_of_what_is_traded_on_is_held_by_the_trade_and_not_by_what_is_left() -> None:
    """Redeemed and swapped at once, nothing of the asset stays: its own bound could never be met."""
    steps = steps_at(vault := Held("vault"), market := Recorder("market"), other := Held("other"))
    steps.redeem(erased(other), SHARE, USDX, 5, least=40)
    redeemed = steps.redeem(erased(vault), SHARE, USDX, 5, least=60, name="redeemed")
    assert steps.bounds == (TokenBound(USDX, "inflow", 100),)
    steps.swap(erased(market), USDX, WETH, redeemed)
    assert steps.bounds == (TokenBound(USDX, "inflow", 40),)


def test_minimum_of_what_goes_on_without_one_stays_a_bound() -> None:
    """Refused in simulation rather than sent without a minimum."""
    steps = steps_at(vault := Held("vault"), market := Recorder("market"))
    redeemed = steps.redeem(erased(vault), SHARE, USDX, 5, least=60, name="redeemed")
    steps.supply(erased(market), USDX, redeemed)
    assert steps.bounds == (TokenBound(USDX, "inflow", 60),)
