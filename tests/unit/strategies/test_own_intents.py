from __future__ import annotations

import pytest

from seawall.primitives.errors import StrategyError
from seawall.primitives.levels import Finality, IntentState
from seawall.primitives.observations import Cause, IntentEvent, Observation
from seawall.strategies.own_intents import OwnIntents
from tests.builders import messages


def told(state: IntentState, finality: Finality | None = None, number: int = 100) -> Observation:
    events = (IntentEvent("k", state, finality, None, "", None),)
    return Observation("x", 1, Cause.INTENT, messages.NOW_S, messages.block(number), intents=events)


def test_plan_is_alive_until_it_lands() -> None:
    own = OwnIntents().with_plans((messages.direct_plan(),))
    assert not own.is_quiet(100)
    assert not own.after(told(IntentState.COMMITTED), 5).is_quiet(100)
    assert own.after(told(IntentState.LANDED, Finality.INCLUDED), 5).is_quiet(100)


def test_refused_plan_keeps_quiet_for_the_cooldown() -> None:
    own = OwnIntents(("k",)).after(told(IntentState.REFUSED), 5)
    assert [own.is_quiet(number) for number in (100, 105, 106)] == [False, False, True]


def test_included_plan_of_unknown_fate_keeps_quiet_for_the_cooldown_but_not_until_final() -> None:
    own = OwnIntents(("k",)).after(told(IntentState.COMMITTED, Finality.INCLUDED), 5)
    assert [own.is_quiet(number) for number in (105, 106)] == [False, True]
    assert own.after(told(IntentState.COMMITTED, Finality.SAFE, 110), 5).is_quiet(111)


def test_included_plan_that_a_reorg_removed_is_alive_again() -> None:
    landed = OwnIntents(("k",)).after(told(IntentState.LANDED, Finality.INCLUDED), 5)
    assert landed.after(told(IntentState.COMMITTED), 5).alive == ("k",)


def test_state_comes_back_as_it_was() -> None:
    own = OwnIntents(("a", "b"), 17)
    assert OwnIntents.from_state(own.to_state()) == own
    assert OwnIntents.from_state(b"") == OwnIntents()


def test_state_of_another_strategy_is_refused() -> None:
    with pytest.raises(StrategyError, match="not this strategy's"):
        OwnIntents.from_state(b"\x93\x01\x02\x03")
