"""The gas tank (TX-11): who is refuelled, with how much, and that no key drains it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import settings as trials
from hypothesis import strategies as st

from seawall.native import abi_encode
from seawall.primitives.errors import ConfigError, StrategyError
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import Cause, Decision, IntentEvent, Observation
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.strategies.gas_tank import DAY_S, TRANSFER_GAS, GasTank
from tests.builders import messages
from tests.builders.messages import ETHER, GWEI, KEY, NOW_S, POOL, TREASURY, USD

FIRST, SECOND = TREASURY, USD
FEE_WEI = TRANSFER_GAS * 100 * GWEI
STRANGER = Address(b"\x99" * 20)


def served(address: Address, day: int = 3 * ETHER) -> dict[str, object]:
    wei = {"low_wei": str(ETHER), "target_wei": str(2 * ETHER), "day_wei_max": str(day)}
    return {"address": address_text(address), **wei}


def settings(**changed: object) -> dict[str, object]:
    return {
        "chain_id": messages.CHAIN_ID,
        "key": address_text(KEY),
        "multicall": address_text(POOL),
        "keys": [served(FIRST), served(SECOND)],
        "max_fee_per_gas_wei": str(100 * GWEI),
        "keep_wei": str(ETHER),
        **changed,
    }


def decide(
    balances_wei: Sequence[int],
    state: bytes = b"",
    *,
    number: int = 100,
    now_s: int = NOW_S,
    events: tuple[IntentEvent, ...] = (),
) -> Decision:
    """Ask with balances of the tank, the first and the second key."""
    tank = GasTank.configured("tank", settings())
    labels = [read.label for read in tank.subscriptions()[0].reads]
    reads: Mapping[str, bytes | None] = {
        label: abi_encode(("uint256",), (wei,)) for label, wei in zip(labels, balances_wei, strict=True)
    }
    block = messages.block(number, timestamp_s=now_s)
    seen = Observation("tank", number, Cause.HEAD, now_s, block, dict(reads), intents=events)
    return tank.decide(seen, state)


def told(plan: Plan, state: IntentState, finality: Finality | None = None) -> IntentEvent:
    return IntentEvent(plan.idempotency_key, state, finality, None, "", None)


def amounts(decided: Decision) -> list[tuple[Address, int]]:
    return [(plan.target, plan.body.value_wei) for plan in decided.plans if isinstance(plan.body, DirectBody)]


def test_keys_that_have_enough_want_nothing() -> None:
    decided = decide([10 * ETHER, ETHER, 2 * ETHER])
    assert (decided.plans, decided.state) == ((), None)


def test_low_keys_are_filled_to_their_targets_the_neediest_first() -> None:
    decided = decide([10 * ETHER, ETHER // 2, 0])
    assert amounts(decided) == [(SECOND, 2 * ETHER), (FIRST, ETHER * 3 // 2)]
    (first, _) = decided.plans
    assert first.expected[0].token == NATIVE
    assert first.expected[0].change == 2 * ETHER
    assert {guard.name for guard in first.guards} == {"gas_use", "gas_price", "balance"}


def test_the_tank_keeps_its_own_and_the_fees() -> None:
    decided = decide([ETHER + ETHER * 3 // 2 + FEE_WEI, 0, ETHER // 2])
    assert amounts(decided) == [(FIRST, ETHER * 3 // 2)]


def test_what_would_leave_a_key_low_is_not_sent() -> None:
    assert decide([ETHER + ETHER // 2, 0, 5 * ETHER]).plans == ()
    assert decide([0, 0, 0]).plans == ()


def test_the_next_round_waits_for_the_last() -> None:
    first = decide([10 * ETHER, 0, 5 * ETHER])
    assert first.state is not None
    assert decide([10 * ETHER, 0, 5 * ETHER], first.state, number=101).plans == ()
    landed = told(first.plans[0], IntentState.LANDED, Finality.INCLUDED)
    second = decide([8 * ETHER, 0, 5 * ETHER], first.state, number=102, events=(landed,))
    # Of 3 ether a day, 2 are gone.
    assert amounts(second) == [(FIRST, ETHER)]


def test_a_key_that_took_its_day_waits_until_the_day_is_over() -> None:
    state, wei = b"", []
    for number, now_s in enumerate((NOW_S, NOW_S + 60, NOW_S + 120, NOW_S + DAY_S, NOW_S + DAY_S + 60), 100):
        decided = decide([90 * ETHER, 0, 5 * ETHER], state, number=number, now_s=now_s)
        wei.append(sum(amount for _, amount in amounts(decided)))
        state = state if decided.state is None else decided.state
        landed = tuple(told(plan, IntentState.LANDED, Finality.INCLUDED) for plan in decided.plans)
        state = decide([90 * ETHER] * 3, state, number=number, now_s=now_s, events=landed).state or state
    assert wei == [2 * ETHER, ETHER, 0, 2 * ETHER, ETHER]


def test_a_refuel_that_did_not_land_does_not_count() -> None:
    first = decide([10 * ETHER, 0, 5 * ETHER])
    assert first.state is not None
    refused = told(first.plans[0], IntentState.REFUSED)
    quiet = decide([10 * ETHER, 0, 5 * ETHER], first.state, number=101, events=(refused,))
    assert quiet.plans == ()
    assert quiet.state is not None
    again = decide([10 * ETHER, 0, 5 * ETHER], quiet.state, number=107)
    assert amounts(again) == [(FIRST, 2 * ETHER)]


def test_a_refuel_that_failed_and_that_a_reorg_revives_counts() -> None:
    first = decide([10 * ETHER, 0, 5 * ETHER])
    (plan,) = first.plans
    state, tank = first.state or b"", [90 * ETHER] * 3
    for number, event in enumerate(
        (
            told(plan, IntentState.FAILED, Finality.INCLUDED),
            told(plan, IntentState.COMMITTED),
            told(plan, IntentState.LANDED, Finality.INCLUDED),
        ),
        start=101,
    ):
        state = decide(tank, state, number=number, events=(event,)).state or state
    # Of 3 ether a day, 2 are gone.
    assert amounts(decide([10 * ETHER, 0, 5 * ETHER], state, number=200)) == [(FIRST, ETHER)]


def test_a_refuel_that_failed_beyond_finality_does_not_count() -> None:
    first = decide([10 * ETHER, 0, 5 * ETHER])
    failed = told(first.plans[0], IntentState.FAILED, Finality.FINAL)
    state = decide([90 * ETHER] * 3, first.state or b"", number=101, events=(failed,)).state or b""
    assert amounts(decide([10 * ETHER, 0, 5 * ETHER], state, number=200)) == [(FIRST, 2 * ETHER)]


@trials(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 9 * 10**17),
            st.integers(60, DAY_S // 2),
            st.sampled_from([IntentState.LANDED, IntentState.EXPIRED, None]),
        ),
        max_size=30,
    )
)
def test_no_key_gets_more_in_any_day_than_its_cap(steps: list[tuple[int, int, IntentState | None]]) -> None:
    """However it burns its fuel, and whatever becomes of the plans."""
    state, now_s = b"", NOW_S
    given: list[tuple[int, int]] = []
    for number, (balance_wei, wait_s, outcome) in enumerate(steps):
        now_s += wait_s
        decided = decide([90 * ETHER, balance_wei, 5 * ETHER], state, number=100 + 10 * number, now_s=now_s)
        state = state if decided.state is None else decided.state
        if outcome is not IntentState.EXPIRED:
            given += [(now_s, amount) for _, amount in amounts(decided)]
        events = tuple(told(plan, outcome) for plan in decided.plans) if outcome is not None else ()
        ended = decide([90 * ETHER] * 3, state, number=100 + 10 * number, now_s=now_s, events=events)
        state = state if ended.state is None else ended.state
    for at_s, _ in given:
        assert sum(amount for other_s, amount in given if at_s - DAY_S < other_s <= at_s) <= 3 * ETHER


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"keys": []}, "none, too many"),
        ({"keys": [served(FIRST), served(FIRST)]}, "twice there"),
        ({"keys": [served(KEY)]}, "the tank itself"),
        ({"keys": [served(FIRST, day=ETHER)]}, "does not hold"),
        ({"keep_wei": "-1"}, "negative"),
        ({"max_fee_per_gas_wei": "0"}, "negative"),
    ],
)
def test_settings_that_cannot_work_are_refused(changed: dict[str, object], what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        GasTank.configured("tank", settings(**changed))


def test_state_of_another_strategy_is_refused() -> None:
    with pytest.raises(StrategyError, match="not a gas tank's"):
        decide([0, 0, 0], b"\x93\x01\x02\x03")
