from __future__ import annotations

import json

import pytest

from seawall.native import abi_encode
from seawall.primitives.errors import ConfigError
from seawall.primitives.observations import Cause, Decision, Observation
from seawall.primitives.plans import DirectBody
from seawall.primitives.units import address_text
from seawall.protocols import weth
from seawall.strategies.native_range import NativeRange
from tests.builders import messages
from tests.builders.messages import ETHER, KEY, NOW_S, WETH

SETTINGS: dict[str, object] = {
    "chain_id": messages.CHAIN_ID,
    "key": address_text(KEY),
    "wrapped_native": address_text(WETH),
    "multicall": address_text(messages.POOL),
    "low_wei": str(ETHER),
    "target_wei": str(2 * ETHER),
    "high_wei": str(4 * ETHER),
}


def decide(native_wei: int, wrapped_wei: int, state: bytes = b"", number: int = 100) -> Decision:
    strategy = NativeRange.configured("range", SETTINGS)
    native, wrapped = strategy.subscriptions()[0].reads
    reads: dict[str, bytes | None] = {
        native.label: abi_encode(("uint256",), (native_wei,)),
        wrapped.label: abi_encode(("uint256",), (wrapped_wei,)),
    }
    seen = Observation("range", number, Cause.HEAD, NOW_S, messages.block(number), reads)
    return strategy.decide(seen, state)


def test_balance_inside_the_range_wants_nothing() -> None:
    for native_wei in (ETHER, 2 * ETHER, 4 * ETHER):
        decided = decide(native_wei, 0)
        assert (decided.plans, decided.state) == ((), None)


def test_balance_above_the_range_is_wrapped_down_to_the_target() -> None:
    (plan,) = decide(5 * ETHER, 0).plans
    assert plan.body == DirectBody(WETH, weth.deposit_call(), 3 * ETHER)
    assert plan.expected[0].change == 3 * ETHER
    assert plan.deadline_s > NOW_S
    assert plan.idempotency_key == "range:100:0"


@pytest.mark.parametrize(("wrapped_wei", "amount_wei"), [(10 * ETHER, ETHER * 3 // 2), (7, 7)])
def test_balance_below_the_range_is_filled_from_what_is_wrapped(wrapped_wei: int, amount_wei: int) -> None:
    (plan,) = decide(ETHER // 2, wrapped_wei).plans
    assert plan.body == DirectBody(WETH, weth.withdraw_call(amount_wei))


def test_nothing_is_wanted_where_nothing_is_wrapped() -> None:
    assert decide(0, 0).plans == ()


def test_second_plan_waits_for_the_first() -> None:
    first = decide(5 * ETHER, 0)
    assert first.state is not None
    assert decide(5 * ETHER, 0, first.state, 101).plans == ()


@pytest.mark.parametrize("low_to_high", [("3", "2", "4"), ("1", "5", "4"), ("0", "2", "4")])
def test_range_out_of_order_is_refused(low_to_high: tuple[str, str, str]) -> None:
    wrong = dict(zip(("low_wei", "target_wei", "high_wei"), low_to_high, strict=True))
    with pytest.raises(ConfigError, match="does not hold"):
        NativeRange.configured("range", {**SETTINGS, **wrong})


def test_settings_survive_json() -> None:
    assert NativeRange.configured("range", json.loads(json.dumps(SETTINGS))).name == "range"
