from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.primitives.blocks import Read
from seawall.primitives.bounds import (
    DECISION_FRAME_BYTES_MAX,
    FRAME_BYTES_MAX,
    OBSERVATION_BYTES_MAX,
    PLANS_PER_DECISION_MAX,
    STATE_BYTES_MAX,
    SUBSCRIPTION_READS_MAX,
    TIMERS_PER_STRATEGY_MAX,
)
from seawall.primitives.codec import pack
from seawall.primitives.errors import WireError
from seawall.primitives.frames import FrameDecoder, Stop, Turn, check_decision, check_subscriptions, encode
from seawall.primitives.observations import Cause, Decision, Observation, Subscription, Timer
from seawall.primitives.units import Address
from tests.builders import messages

SEEN = Observation("keeper", 3, Cause.HEAD, messages.NOW_S, messages.block())
ANSWER = Decision("keeper", 3, 0, (messages.direct_plan(),))
TARGET = Address(b"\x01" * 20)


def large_turn(size: int) -> Turn:
    return Turn(replace(SEEN, reads={f"read {i}": bytes(10**6) for i in range(size // 10**6)}), 1, b"state")


def feed(decoder: FrameDecoder, frames: list[bytes]) -> list[object]:
    return [frame for data in frames for frame in decoder.feed(data)]


def test_large_turn_travels_in_parts_no_larger_than_a_frame() -> None:
    turn = large_turn(10 * 10**6)
    frames = encode(turn)
    assert len(frames) == 3
    assert max(len(frame) for frame in frames) <= FRAME_BYTES_MAX + 4
    assert feed(FrameDecoder(from_host=False), frames) == [turn]


def test_turn_over_the_bound_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(WireError, match=f"exceeds {OBSERVATION_BYTES_MAX}"):
        encode(large_turn(68 * 10**6))


def test_parts_out_of_order_are_refused() -> None:
    first, second, third = encode(large_turn(10 * 10**6))
    for frames in ([second], [first, third], [first, first], [first, *encode(Stop())]):
        with pytest.raises(WireError, match="part"):
            feed(FrameDecoder(from_host=False), frames)


def test_announced_length_over_the_bound_is_refused_at_once() -> None:
    header = (DECISION_FRAME_BYTES_MAX + 1).to_bytes(4, "big")
    with pytest.raises(WireError, match="exceeds 1048576"):
        list(FrameDecoder(from_host=True).feed(header))


def test_decision_over_the_bound_is_refused_by_its_sender() -> None:
    with pytest.raises(WireError, match="Decision of"):
        encode(replace(ANSWER, state=bytes(DECISION_FRAME_BYTES_MAX)))


@pytest.mark.parametrize(
    ("decision", "what"),
    [
        (replace(ANSWER, strategy="other"), "names strategy 'other'"),
        (replace(ANSWER, seq=4), "answers observation 4 instead of 3"),
        (replace(ANSWER, plans=ANSWER.plans * (PLANS_PER_DECISION_MAX + 1)), "65 plans exceed 64"),
        (replace(ANSWER, plans=(replace(ANSWER.plans[0], strategy="other"),)), "names another strategy"),
        (replace(ANSWER, state=bytes(STATE_BYTES_MAX + 1)), "state exceeds"),
        (replace(ANSWER, timers=(Timer("t", 1),) * (TIMERS_PER_STRATEGY_MAX + 1)), "65 timers exceed 64"),
        (replace(ANSWER, subscriptions=(Subscription(1, 0),)), "every 0 heads"),
    ],
)
def test_decision_that_breaks_a_bound_is_refused(decision: Decision, what: str) -> None:
    check_decision(ANSWER, "keeper", 3)
    with pytest.raises(WireError, match=what):
        check_decision(decision, "keeper", 3)


def test_subscriptions_that_break_a_bound_are_refused() -> None:
    read = Read("same", TARGET, b"")
    many = tuple(Read(str(i), TARGET, b"") for i in range(SUBSCRIPTION_READS_MAX + 1))
    for reads, what in (((read, read), "same label"), (many, "4097 reads exceed 4096")):
        with pytest.raises(WireError, match=what):
            check_subscriptions((Subscription(1, reads=reads),), "keeper")
    with pytest.raises(WireError, match="more than 64"):
        check_subscriptions((Subscription(1),) * 65, "keeper")


def test_misfit_names_the_field_it_is_in() -> None:
    seen = replace(SEEN, reads={"a": b"", "b": "text"})  # type: ignore[dict-item]
    body = bytes((0x92, 2)) + pack(Turn(seen, 0, b""))
    with pytest.raises(WireError) as refused:
        list(FrameDecoder(from_host=False).feed(len(body).to_bytes(4, "big") + body))
    assert refused.value.where == "Turn.observation.reads['b']"
    assert refused.value.what == "str of 4 where bytes | None is due"
