from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.markets.tick_math import sqrt_ratio_at_tick
from seawall.primitives.errors import ConfigError
from seawall.primitives.levels import IntentState
from seawall.primitives.observations import Cause, Decision, IntentEvent, Observation
from seawall.primitives.plans import ExecutorBody
from seawall.primitives.units import Address, address_text
from seawall.strategies.arbitrage.prospect import Drop
from seawall.strategies.arbitrage.two_venue import TwoVenueArbitrage
from tests.builders import messages
from tests.builders.two_pools import ETHER, TwoPools

TOKEN, OTHER = Address(b"\x04" * 20), Address(b"\x05" * 20)
SETTINGS: dict[str, object] = {
    "chain_id": messages.CHAIN_ID,
    "key": address_text(messages.KEY),
    "executor": address_text(messages.EXECUTOR),
    "beneficiary": address_text(messages.TREASURY),
    "vault": address_text(messages.LENDER),
    "v2_factory": address_text(b"\x61" * 20),
    "v3_factory": address_text(b"\x62" * 20),
    "v3_fee_pips": 500,
    "token": address_text(TOKEN),
    "other_token": address_text(OTHER),
    "min_profit_wei": str(ETHER // 1000),
}
# Both pools at one other token for one token, with a wide V3 position.
LEVEL = TwoPools(
    TOKEN,
    OTHER,
    1000 * ETHER,
    1000 * ETHER,
    sqrt_ratio_at_tick(0),
    10**23,
    {-2000: 10**23, 4000: -(10**23)},
)
GAP = replace(LEVEL, other_reserve=1050 * ETHER)


class Run:
    """A strategy fed head after head as the kernel would."""

    def __init__(self, **settings: object) -> None:
        self.strategy = TwoVenueArbitrage.configured("arb", {**SETTINGS, **settings})
        self.reads = self.strategy.subscriptions()[0].reads
        self.state = b""
        self.seq = 0

    def head(self, pools: TwoPools, *intents: IntentEvent, stale_reads: bool = False) -> Decision:
        self.seq += 1
        reads = (
            self.strategy.configured("arb", SETTINGS).subscriptions()[0].reads if stale_reads else self.reads
        )
        block = messages.block(100 + self.seq)
        seen = Observation(
            "arb", self.seq, Cause.HEAD, messages.NOW_S, block, pools.answers(reads), intents=intents
        )
        decided = self.strategy.decide(seen, self.state)
        self.state = self.state if decided.state is None else decided.state
        if decided.subscriptions is not None:
            self.reads = decided.subscriptions[0].reads
        return decided

    def heads(self, count: int, pools: TwoPools) -> list[Decision]:
        return [self.head(pools) for _ in range(count)]

    def taken(self, pools: TwoPools) -> Decision:
        """The decision that brings the first plan, within the heads that it takes to read the pools."""
        return next(decided for decided in (self.head(pools) for _ in range(3)) if decided.plans)


def ended(decided: Decision, state: IntentState) -> IntentEvent:
    return IntentEvent(decided.plans[0].idempotency_key, state, None, None, "", None)


def test_gap_is_taken_once_the_pools_are_read() -> None:
    run = Run()
    first, second = run.heads(2, GAP)
    assert first.plans == ()
    assert first.subscriptions is not None
    assert second.subscriptions is not None
    (plan,) = second.plans
    assert isinstance(plan.body, ExecutorBody)
    assert plan.body.beneficiary == messages.TREASURY
    assert plan.accounting_token == TOKEN
    assert plan.expected[0].holder == messages.TREASURY
    assert plan.expected[0].change > ETHER // 1000
    assert {guard.name for guard in plan.guards} == {"slippage", "min_profit", "gas_use"}
    assert plan.note.startswith("V2 to V3: borrow ")


def test_gap_the_other_way_starts_in_the_v3_pool() -> None:
    decided = Run().taken(replace(LEVEL, other_reserve=950 * ETHER))
    assert decided.plans[0].note.startswith("V3 to V2: borrow ")


def test_pools_that_agree_bring_no_plan() -> None:
    run = Run()
    assert all(not decided.plans for decided in run.heads(4, LEVEL))
    assert run.strategy.drops == {Drop.INCOMPLETE: 1, Drop.NO_GAP: 3}


def test_living_intent_holds_back_a_second_plan_and_landing_frees_it() -> None:
    run = Run()
    taken = run.taken(GAP)
    assert not run.head(GAP).plans
    assert not run.head(GAP, ended(taken, IntentState.COMMITTED)).plans
    assert run.strategy.drops[Drop.UNDER_WAY] == 2
    assert run.head(GAP, ended(taken, IntentState.LANDED)).plans


def test_refused_plan_is_wanted_again_after_the_cooldown() -> None:
    run = Run(cooldown_blocks=2)
    taken = run.taken(GAP)
    quiet = [run.head(GAP, ended(taken, IntentState.REFUSED)), *run.heads(2, GAP)]
    assert all(not decided.plans for decided in quiet)
    assert run.head(GAP).plans


def test_restarted_instance_remembers_its_living_intent_from_state() -> None:
    run = Run()
    run.taken(GAP)
    again = Run()
    again.state, again.seq = run.state, run.seq
    assert all(not decided.plans for decided in again.heads(4, GAP))


def test_same_observations_give_the_same_decisions() -> None:
    assert Run().heads(4, GAP) == Run().heads(4, GAP)


def test_head_read_before_the_latest_window_was_heard_of_brings_no_plan_and_no_error() -> None:
    run = Run()
    run.heads(3, LEVEL)
    assert not run.head(GAP, stale_reads=True).plans
    assert Drop.UNREADABLE not in run.strategy.drops
    assert run.taken(GAP).plans


def test_subscriptions_that_were_lost_with_their_decision_are_told_again() -> None:
    run = Run()
    told, lost = run.head(LEVEL, stale_reads=True), run.head(LEVEL, stale_reads=True)
    assert told.subscriptions == lost.subscriptions is not None
    run.heads(3, LEVEL)
    assert run.head(LEVEL).subscriptions is None


@pytest.mark.parametrize(
    ("pools", "settings", "reason"),
    [
        (replace(GAP, token_reserve=10, other_reserve=10), {}, Drop.DUST),
        (replace(GAP, lendable=0), {}, Drop.NO_GAP),
        (replace(GAP, flash_fee=10**17), {}, Drop.NO_GAP),
        (GAP, {"gas_estimate": 10**10}, Drop.BELOW_FLOOR),
        (GAP, {"min_profit_wei": str(ETHER)}, Drop.BELOW_FLOOR),
        (GAP, {"profit_max_bps": 10}, Drop.IMPLAUSIBLE),
    ],
)
def test_false_or_poor_prospect_is_dropped_with_its_reason(
    pools: TwoPools, settings: dict[str, object], reason: Drop
) -> None:
    run = Run(**settings)
    assert not any(decided.plans for decided in run.heads(3, pools))
    assert run.strategy.drops == {Drop.INCOMPLETE: 1, reason: 2}


def test_profit_beyond_what_was_read_waits_for_more_ticks_and_is_then_disbelieved() -> None:
    run = Run()
    assert not any(decided.plans for decided in run.heads(3, replace(GAP, other_reserve=10**9 * ETHER)))
    assert run.strategy.drops == {Drop.INCOMPLETE: 1, Drop.DEPTH: 1, Drop.IMPLAUSIBLE: 1}


def test_reverted_read_is_counted_and_the_next_head_is_fine() -> None:
    run = Run()
    run.heads(3, LEVEL)
    block = messages.block(104)
    broken = dict.fromkeys(GAP.answers(run.reads))
    assert not run.strategy.decide(Observation("arb", 4, Cause.HEAD, 1, block, broken), run.state).plans
    assert run.strategy.drops[Drop.UNREADABLE] == 1
    assert run.head(GAP).plans


def test_loan_is_capped_by_what_the_lender_holds() -> None:
    free = Run().taken(GAP).plans[0]
    capped = Run().taken(replace(GAP, lendable=ETHER)).plans[0]
    assert isinstance(capped.body, ExecutorBody)
    assert 0 < capped.expected[0].change < free.expected[0].change


def test_oracle_guard_is_asked_for_where_a_feed_is_named() -> None:
    plan = Run(oracle_feed=address_text(messages.FEED)).taken(GAP).plans[0]
    assert plan.guards[-1].name == "oracle_staleness"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("min_profit_wei", 0),
        ("v3_fee_pips", 499),
        ("slippage_bps", 10_000),
        ("cooldown_blocks", -1),
        ("other_token", SETTINGS["token"]),
        ("colour", "red"),
    ],
)
def test_unusable_setting_is_refused(setting: str, value: object) -> None:
    with pytest.raises(ConfigError):
        TwoVenueArbitrage.configured("arb", {**SETTINGS, setting: value})
