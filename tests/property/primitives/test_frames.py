"""Frames: what was sent arrives whatever way the bytes are cut, and no bytes at all do more than raise
`WireError`."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.primitives.blocks import Block, Log, LogFilter, Read
from seawall.primitives.errors import SeawallError, WireError
from seawall.primitives.frames import (
    Failure,
    FailureKind,
    Frame,
    FrameDecoder,
    Heartbeat,
    Hello,
    Start,
    Stop,
    StrategySpec,
    Turn,
    encode,
)
from seawall.primitives.levels import Finality, IntentState, Priority
from seawall.primitives.observations import (
    Cause,
    Decision,
    IntentEvent,
    LogGap,
    Observation,
    Subscription,
    Timer,
)
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, Plan, TokenBound, TokenDelta
from seawall.primitives.units import Address, Hash

addresses = st.binary(min_size=20, max_size=20).map(Address)
hashes = st.binary(min_size=32, max_size=32).map(Hash)
small = st.integers(0, 2**64)
words = st.integers(0, 2**256 - 1)
names = st.text(min_size=1, max_size=12)
blobs = st.binary(max_size=40)


def rows(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=3).map(tuple)


blocks = st.builds(Block, small, small, hashes, hashes, small, words, small, addresses, hashes)
logs = st.builds(Log, addresses, rows(hashes), blobs, hashes, small, hashes, small)
events = st.builds(
    IntentEvent,
    names,
    st.sampled_from(IntentState),
    st.none() | st.sampled_from(Finality),
    st.none() | hashes,
    st.text(max_size=9),
    st.none() | st.integers(-(2**256) + 1, 2**256 - 1),
)
observations = st.builds(
    Observation,
    strategy=names,
    seq=small,
    cause=st.sampled_from(Cause),
    now_s=small,
    block=blocks,
    reads=st.dictionaries(names, st.none() | blobs, max_size=3),
    logs=rows(logs),
    gaps=rows(st.builds(LogGap, small, small)),
    intents=rows(events),
    timers=rows(names),
    removed=rows(hashes),
    command=st.text(max_size=9),
)
amounts = st.integers(0, 2**128 - 1)
bounds = st.builds(TokenBound, addresses, st.sampled_from(("outflow", "inflow", "debt_increase")), amounts)
bodies = (
    st.builds(DirectBody, addresses, blobs, words)
    | st.builds(
        ExecutorBody,
        addresses,
        addresses,
        blobs,
        rows(bounds),
        amounts,
        checks=st.just(b"") | blobs,
        position=st.just(False),
    )
    | st.builds(
        ExecutorBody, addresses, addresses, blobs, rows(bounds), st.just(0), blobs, position=st.booleans()
    )
)
guards = st.builds(GuardSpec, names, rows(st.tuples(names, words | blobs | names)))
deltas = st.builds(TokenDelta, addresses, addresses, st.integers(-(2**128), 2**128), st.integers(0, 10_000))
plans = st.builds(
    Plan,
    names,
    st.integers(1, 2**63 - 1),
    addresses,
    bodies,
    addresses,
    names,
    st.integers(1, 2**40),
    rows(guards),
    rows(deltas),
    st.sampled_from(Priority),
    rows(names),
    st.sampled_from(Finality),
    st.none() | st.integers(21_000, 2**24),
    st.text(max_size=9),
)
subscriptions = st.builds(
    Subscription,
    small,
    small,
    rows(st.builds(Read, names, addresses, blobs)),
    rows(st.builds(LogFilter, rows(addresses), rows(rows(hashes)))),
)
decisions = st.builds(
    Decision,
    names,
    small,
    small,
    rows(plans),
    st.none() | blobs,
    st.none() | rows(st.builds(Timer, names, small)),
    st.none() | rows(subscriptions),
)
from_host = (
    decisions
    | st.builds(Hello, small, names, rows(subscriptions))
    | st.builds(Heartbeat, small)
    | st.builds(Failure, names, small, st.sampled_from(FailureKind), st.text(max_size=50))
)
from_kernel = (
    st.builds(Turn, observations, small, blobs)
    | st.builds(Start, small, small, small, rows(names), rows(st.builds(StrategySpec, names, names, names)))
    | st.just(Stop())
)


def bytes_of(frames: list[Frame]) -> bytes:
    return b"".join(data for frame in frames for data in encode(frame))


@given(st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_frames_arrive_whatever_way_their_bytes_are_cut(is_from_host: bool, data: st.DataObject) -> None:
    sent: list[Frame] = data.draw(st.lists(from_host if is_from_host else from_kernel, max_size=4))
    stream = bytes_of(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    decoder = FrameDecoder(from_host=is_from_host)
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [frame for piece in pieces for frame in decoder.feed(piece)] == sent


@given(from_host, st.data())
@settings(max_examples=300, deadline=None)
def test_damaged_frame_is_another_frame_or_a_typed_error(frame: Frame, data: st.DataObject) -> None:
    damaged = bytearray(bytes_of([frame]))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(SeawallError):
        list(FrameDecoder(from_host=True).feed(bytes(damaged)))


@given(st.binary(max_size=200), st.booleans())
@settings(max_examples=300, deadline=None)
def test_arbitrary_bytes_are_refused_or_wait_for_more(garbage: bytes, is_from_host: bool) -> None:
    with contextlib.suppress(WireError):
        assert list(FrameDecoder(from_host=is_from_host).feed(garbage)) == []


@given(from_kernel)
@settings(max_examples=30, deadline=None)
def test_frame_of_the_wrong_side_is_refused(frame: Frame) -> None:
    with pytest.raises(WireError, match="may not come from this side"):
        list(FrameDecoder(from_host=True).feed(bytes_of([frame])))
