"""A file's strategy at work: triggers wake it, one plan lives, budgets are kept, refusals are told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import keccak256
from seawall.primitives.blocks import Log
from seawall.primitives.codec import plan_digest
from seawall.primitives.frames import Turn
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import Cause, Decision, IntentEvent, Observation
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, Plan, TokenBound, TokenDelta
from seawall.primitives.units import Hash
from seawall.protocols import erc20
from seawall.protocols.executor.checks import BalanceAtMost, FeedFresh, FeedWithin, HealthFloor, encode_checks
from seawall.protocols.executor.encoding import encode_operations
from seawall.protocols.executor.operations import Flash, Loan, Measure, Measured, SwapV2
from seawall.strategies.base import answer
from seawall.strategies.scripts.strategy import ScriptStrategy
from tests.builders.strategy_files import EXECUTOR, FEED, KEY, POOL, USDX, VAULT, WETH, seen, strategy_of

NOW_S = 1_700_000_000  # a Tuesday, 22:13:20 UTC
DAY_S = 86_400
WORK = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 1 weth
steps:
  - swap: {on: stall, give: weth, get: usdx, amount: 2 weth}
"""
ARBITRAGE = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: least
tolerance: 100 bps
deadline: 2 min
priority: high
variables: {least: 0.001 weth}
values:
  size: 10 weth
  back: quote(stall_two, usdx -> weth, quote(stall, weth -> usdx, size))
when: back > size
steps:
  - flash:
      from: vault
      kind: balancer_v2
      borrow: {weth: size}
      max_fee: 9 bps
      steps:
        - swap: {on: stall, give: weth, get: usdx, amount: size, as: middle}
        - swap: {on: stall_two, give: usdx, get: weth, amount: middle, at_least: size}
expect: [{holder: beneficiary, token: weth, change: back - size, tolerance: 50 bps}]
guards:
  slippage: {limit_bps: 30 bps}
  oracle_staleness: [{feed: feed_eth_usd, max_age_s: 1 h}]
note: buys low
"""


class Life:
    """A strategy with its state, as the kernel keeps it."""

    def __init__(self, text: str, **overrides: str) -> None:
        self.strategy: ScriptStrategy = strategy_of(text, **overrides)
        self.state, self.seq = b"", 0
        self.timers: dict[str, int] = {}

    def sees(self, observation: Observation) -> Decision:
        self.seq += 1
        decided = answer(self.strategy, Turn(replace(observation, seq=self.seq), 0, self.state))
        self.state = self.state if decided.state is None else decided.state
        if decided.timers is not None:
            self.timers = {timer.name: timer.at_s for timer in decided.timers}
        return decided

    def at(self, number: int, *, price: int = 2_000, now_s: int = NOW_S, **more: object) -> int:
        """How many plans a head brings."""
        observation = seen(self.strategy, price, number=number, now_s=now_s)
        return len(self.sees(replace(observation, **more)).plans)  # type: ignore[arg-type]

    def forgets(self, number: int) -> None:
        """The living plan ends without a failure."""
        key = f"tried:{self.seq}:0"
        event = IntentEvent(key, IntentState.LANDED, Finality.FINAL, Hash(bytes(32)), "", None)
        observation = seen(self.strategy, number=number, intents=(event,))
        self.sees(replace(observation, reads={}))


def prices(life: Life, stall: int, stall_two: int, lent: int = 10**24) -> Observation:
    held = erc20.balance_read(WETH, VAULT).label
    answers = {
        held: lent.to_bytes(32, "big"),
        "stall:price": stall.to_bytes(32, "big"),
        "stall_two:price": stall_two.to_bytes(32, "big"),
    }
    return seen(life.strategy, answers=answers)


def test_plan_is_what_the_file_says_to_the_last_byte() -> None:
    life = Life(ARBITRAGE)
    (plan,) = life.sees(prices(life, 2_000, 1_900)).plans
    out = 10 * 2_000 * 9_970 // 10_000 * 10**6
    back = out * 10**12 // 1_900 * 9_970 // 10_000
    profit = back - 10 * 10**18
    operations = Flash(
        VAULT,
        (Loan(WETH, 10 * 10**18, 9 * 10**15),),
        (
            SwapV2(POOL, WETH, USDX, 10 * 10**18, out * 99 // 100, measure=(Measure("middle", USDX),)),
            SwapV2(POOL, USDX, WETH, Measured("middle"), 10 * 10**18),
        ),
    )
    floor = profit * 9_950 // 10_000
    body = ExecutorBody(
        EXECUTOR, KEY, encode_operations([operations]), (TokenBound(WETH, "inflow", floor),), 10**15
    )
    feed = life.strategy.script.scope.holders["feed_eth_usd"]
    assert plan == Plan(
        strategy="tried",
        chain_id=31337,
        key=KEY,
        body=body,
        accounting_token=WETH,
        idempotency_key="tried:1:0",
        deadline_s=NOW_S + 120,
        guards=(
            GuardSpec("slippage", (("limit_bps", 30),)),
            GuardSpec("oracle_staleness", (("feed", feed), ("max_age_s", 3_600))),
        ),
        expected=(TokenDelta(KEY, WETH, profit, 50),),
        priority=plan.priority.__class__["HIGH"],
        note="buys low",
    )
    assert plan_digest(plan) == plan_digest(plan)


def test_condition_that_does_not_hold_brings_nothing_and_is_counted() -> None:
    life = Life(ARBITRAGE)
    assert life.sees(prices(life, 2_000, 2_000)).plans == ()
    assert list(life.strategy.drops) == ["s.yaml:12:7, key when: this does not hold"]


def test_lender_short_of_liquidity_prevents_the_plan() -> None:
    life = Life(ARBITRAGE)
    assert life.sees(prices(life, 2_000, 1_900, lent=10**19 - 1)).plans == ()
    (reason,) = life.strategy.drops
    assert "the lender has 9999999999999999999, and 10000000000000000000 is to be borrowed" in reason


def test_checks_are_packed_into_the_plan() -> None:
    life = Life(
        WORK
        + """\
checks:
  - feed_fresh: {feed: feed_eth_usd, max_age: 1 h}
  - feed_within: {feed: feed_eth_usd, lowest: 1_000 usd, highest: 3_000.5 usd}
  - health: {pool: pool, floor: 1.5 wad}
  - balance_at_most: {token: usdx, amount: 9 usdx, holder: key}
"""
    )
    (plan,) = life.sees(seen(life.strategy)).plans
    assert isinstance(plan.body, ExecutorBody)
    assert plan.body.checks == encode_checks(
        (
            FeedFresh(FEED, 3_600),
            FeedWithin(FEED, 1_000 * 10**8, 300_050_000_000),
            HealthFloor(POOL, 15 * 10**17),
            BalanceAtMost(USDX, 9_000_000, KEY),
        )
    )


def test_one_plan_lives_at_a_time_and_a_failed_one_brings_silence() -> None:
    life = Life(WORK)
    assert life.at(100) == 1
    assert life.at(101) == 0
    failed = IntentEvent("tried:1:0", IntentState.FAILED, Finality.FINAL, Hash(bytes(32)), "reverted", None)
    assert life.at(102, intents=(failed,)) == 0
    assert life.at(104) == 0
    assert life.at(105) == 1


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ({"stall:price": (0).to_bytes(32, "big")}, "the stall is closed (at stall)"),
        ({"stall:price": None}, "the call reverted (at read 'stall:price')"),
        ({"stall:price": b"\x01"}, "the answer does not decode"),
    ],
)
def test_protocol_that_refuses_or_lies_is_told_and_tried_again(
    answers: dict[str, bytes | None], told: str
) -> None:
    life = Life(WORK)
    assert life.sees(seen(life.strategy, answers=answers)).plans == ()
    (reason,) = life.strategy.drops
    assert told in reason
    assert "key steps[0].swap" in reason
    assert life.at(101) == 1


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("amount(weth, block.number - 100)", "is not a positive 256-bit number"),
        ("amount(weth, block.number - 99)", "dust"),
        ("amount(weth, 0 - block.number)", "is not a positive 256-bit number"),
        ("1e59 weth * block.number", "256 bits"),
        ("1 weth / (block.number - 100)", "division by zero"),
    ],
)
def test_amount_that_cannot_be_traded_is_refused_with_its_reason(amount: str, told: str) -> None:
    life = Life(WORK.replace("2 weth", f'"{amount}"'))
    assert life.at(100) == 0
    (reason,) = life.strategy.drops
    assert told in reason, reason


def test_second_trade_in_one_market_needs_a_minimum_of_its_own() -> None:
    again = "  - swap: {on: stall, give: usdx, get: weth, amount: 5 usdx}\n"
    life = Life(WORK + again)
    assert life.at(100) == 0
    assert "moves this market before" in next(iter(life.strategy.drops)) or "cannot be quoted" in next(
        iter(life.strategy.drops)
    )
    assert Life(WORK + again.replace("5 usdx", "5 usdx, at_least: 0.001 weth")).at(100) == 1


def test_old_or_reverting_oracle_prevents_the_plan() -> None:
    text = WORK + "prices: {weth: {feed: feed_eth_usd, max_age: 1 h}}\nwhen: price(weth) > 1 usd\n"
    life = Life(text)
    round_label = next(r.label for r in life.strategy.subscriptions()[0].reads if "round" in r.label)
    for answered, told in ((NOW_S - 3_601, "3601 s old"), (0, "feed answers"), (None, "reverted")):
        words = None
        if answered is not None:
            words = b"".join(w.to_bytes(32, "big") for w in (5, 10**11, 1, answered, 5))
        life.strategy.drops.clear()
        assert life.at(100, reads={**seen(life.strategy, 8).reads, round_label: words}) == 0
        assert told in next(iter(life.strategy.drops))


def test_key_sends_one_plain_call_and_nothing_else() -> None:
    call = "  - call: {to: pool, function: 'poke(uint256,address)', arguments: [7, account], value: 3 gwei}\n"
    text = WORK[: WORK.index("steps")].replace("min_profit: 1 weth\n", "account: key\n") + "steps:\n" + call
    life = Life(text)
    (plan,) = life.sees(seen(life.strategy)).plans
    assert isinstance(plan.body, DirectBody)
    assert (plan.body.target, plan.body.value_wei) == (POOL, 3 * 10**9)
    assert plan.body.calldata[-20:] == KEY
    twice = Life(text + call)
    assert twice.at(100) == 0
    assert "one plain call" in next(iter(twice.strategy.drops))


def test_position_plan_names_what_may_leave_and_what_is_owed() -> None:
    text = """\
strategy: tried
chain: 31337
account: vault
accounting: weth
steps:
  - supply: {on: stall, token: weth, amount: 2 weth}
  - borrow: {on: stall, token: usdx, amount: 100 usdx, as: cash}
  - repay: {on: stall_two, token: usdx, amount: cash}
  - withdraw: {on: stall, token: weth, amount: all}
expect:
  - {token: weth, change: -2 weth, tolerance: 0 bps}
  - {token: debt_usdx, change: 100 usdx, tolerance: 10 bps}
""".replace("change: 100 usdx", "change: 100 debt_usdx")
    life = Life(text)
    (plan,) = life.sees(seen(life.strategy)).plans
    assert isinstance(plan.body, ExecutorBody)
    assert plan.body.position
    assert plan.body.executor == VAULT
    debt = life.strategy.script.scope.units["debt_usdx"].token
    assert plan.body.bounds == (
        TokenBound(WETH, "outflow", 2 * 10**18),
        TokenBound(debt, "debt_increase", 100_100_000),
    )


def test_block_trigger_fires_once_in_so_many_blocks_also_when_heads_are_skipped() -> None:
    life = Life(WORK + "triggers: [{block: 10}]\n")
    fired = []
    for number in (100, 101, 109, 110, 111, 125, 129, 130):
        fired.append(life.at(number))
        if fired[-1]:
            life.forgets(number)
    assert fired == [1, 0, 0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize(
    ("direction", "fired"), [("up", [0, 1, 0, 0]), ("down", [0, 0, 1, 0]), ("either", [0, 1, 1, 0])]
)
def test_price_trigger_fires_when_the_value_crosses(direction: str, fired: list[int]) -> None:
    trigger = f"{{of: 'quote(stall, weth -> usdx, 1 weth)', crosses: 2_000 usdx, direction: {direction}}}"
    life = Life(WORK + f"triggers: [{{price: {trigger}}}]\n")
    found = []
    for number, price in enumerate((1_900, 2_100, 1_900, 1_950), 100):
        found.append(life.at(number, price=price))
        if found[-1]:
            life.forgets(number)
    assert found == fired


def test_event_makes_a_run_due_that_waits_for_the_next_head() -> None:
    life = Life(WORK + "triggers: [{event: {from: pool, event: 'Moved(uint256)'}}]\n")
    (wanted,) = life.strategy.subscriptions()[0].logs
    assert wanted.addresses == (POOL,)
    assert life.at(100) == 0
    log = Log(POOL, (Hash(keccak256(b"Moved(uint256)")),), b"", Hash(bytes(32)), 101, Hash(bytes(32)), 0)
    other = replace(log, topics=(Hash(bytes(32)),))
    assert life.at(101, logs=(other,)) == 0
    told = seen(life.strategy, number=101, logs=(log,))
    assert life.sees(replace(told, reads={}, cause=Cause.LOGS)).plans == ()
    assert life.at(102) == 1
    life.forgets(102)
    assert life.at(103) == 0


@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("once", 1), ("all", 4)])
def test_runs_missed_while_nothing_ran_follow_the_policy(missed: str, runs: int) -> None:
    life = Life(WORK + f"triggers: [{{every: {{interval: 1 h, missed: {missed}}}}}]\n")
    assert life.at(100) == 0
    (name,) = life.timers
    assert life.timers[name] == NOW_S + 3_600
    late_s = NOW_S + 4 * 3_600 + 600
    done = 0
    for number in range(200, 206):
        if life.at(number, now_s=late_s, timers=(name,) if number == 200 else ()):
            done += 1
            life.forgets(number)
    assert done == runs
    assert life.timers[name] == late_s + 3_600


def test_timer_in_time_is_one_run_and_daily_ones_know_their_days() -> None:
    life = Life(WORK + "triggers: [{daily: {at: '06:30', days: [fri], missed: skip}}]\n")
    assert life.at(100) == 0
    (name,) = life.timers
    friday_s = NOW_S - (NOW_S % DAY_S) + 3 * DAY_S + 6 * 3_600 + 30 * 60
    assert life.timers[name] == friday_s
    assert life.at(101, now_s=friday_s - 1) == 0
    assert life.at(102, now_s=friday_s + 5, timers=(name,)) == 1
    assert life.timers[name] == friday_s + 7 * DAY_S


KEEPER = (
    WORK
    + """\
keeper:
  gas_limit: 200_000
  fee_per_run: 0.01 native
  fee_per_day: 0.02 native
  rivals: {from: pool, event: 'Done()', after: 2, rest: 50}
"""
)


def test_keeper_stays_within_its_budget_of_a_day() -> None:
    life = Life(KEEPER)
    (plan,) = life.sees(seen(life.strategy, number=100)).plans
    assert plan.gas_limit == 200_000
    assert plan.guards == (GuardSpec("gas_price", (("max_fee_per_gas_wei", 10**16 // 200_000),)),)
    life.forgets(100)
    assert life.at(101) == 1
    life.forgets(101)
    assert life.at(102) == 0
    assert "budget is used" in next(iter(life.strategy.drops))
    assert life.at(103, now_s=NOW_S + DAY_S + 1) == 1


def test_run_that_was_never_sent_costs_nothing() -> None:
    life = Life(KEEPER)
    for number in (100, 110):
        assert life.at(number) == 1
        refused = IntentEvent(f"tried:{life.seq}:0", IntentState.REFUSED, None, None, "gas price", None)
        life.sees(replace(seen(life.strategy, number=number, intents=(refused,)), reads={}))
    assert life.at(120) == 1


def test_keeper_rests_when_others_do_the_job() -> None:
    life = Life(KEEPER)
    log = Log(POOL, (Hash(keccak256(b"Done()")),), b"", Hash(b"\x01" * 32), 100, Hash(bytes(32)), 0)
    told = seen(life.strategy, number=100, logs=(log, replace(log, block_number=101)))
    life.sees(replace(told, reads={}))
    assert life.at(102) == 0
    assert "competitors" in next(iter(life.strategy.drops))
    assert life.at(152) == 1


def test_own_events_are_no_competition() -> None:
    life = Life(KEEPER)
    ours = Hash(b"\x01" * 32)
    event = IntentEvent("tried:1:0", IntentState.LANDED, Finality.INCLUDED, ours, "", None)
    log = Log(POOL, (Hash(keccak256(b"Done()")),), b"", ours, 100, Hash(bytes(32)), 0)
    told = seen(life.strategy, number=100, logs=(log, log), intents=(event,))
    life.sees(replace(told, reads={}))
    assert life.at(102) == 1


def test_state_of_something_else_is_refused() -> None:
    strategy = strategy_of(WORK)
    with pytest.raises(Exception, match="not this strategy's"):
        strategy.decide(seen(strategy), b"\xc1nonsense")


def test_branch_that_is_chosen_is_the_one_taken() -> None:
    text = WORK[: WORK.index("steps")] + (
        "steps:\n  - choose:\n      if: block.number > 100\n"
        "      then: [{swap: {on: stall, give: weth, get: usdx, amount: 1 weth}}]\n"
        "      else: [{swap: {on: stall, give: weth, get: usdx, amount: 2 weth}}]\n"
    )
    low, high = Life(text), Life(text)
    taken = []
    for life, number in ((low, 100), (high, 101)):
        (plan,) = life.sees(seen(life.strategy, number=number)).plans
        assert isinstance(plan.body, ExecutorBody)
        taken.append(plan.body.operations)
    two, one = (
        encode_operations([SwapV2(POOL, WETH, USDX, n * 10**18, n * 1_994 * 10**6 * 9_950 // 10_000)])
        for n in (2, 1)
    )
    assert taken == [two, one]
