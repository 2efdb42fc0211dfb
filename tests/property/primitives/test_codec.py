"""Canonical bytes: what is written natively for a message is what its definition says, whatever its fields
hold."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import cast

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.native import keccak256
from seawall.primitives.codec import pack, payload_digest, plan_digest, unpack
from seawall.primitives.errors import WireError
from seawall.primitives.levels import Priority, WriteKind
from seawall.primitives.plans import Plan
from seawall.primitives.verdicts import Measurement, Payload, Verdict
from tests.property.primitives.test_frames import (
    addresses,
    from_host,
    from_kernel,
    hashes,
    names,
    plans,
    small,
    words,
)

integers = st.integers(-(2**256) + 1, 2**256 - 1) | st.sampled_from(
    [sign * 2**power + step for sign in (1, -1) for power in (31, 63, 64) for step in (-1, 0, 1)]
)
measurements = st.builds(
    Measurement, names, st.none() | integers, integers, st.none() | integers, names, st.booleans(),
    st.none() | hashes, names,
)  # fmt: skip
verdicts = st.builds(
    Verdict, small, small, hashes, hashes, small, hashes, hashes, small, small, words, words,
    st.sampled_from(WriteKind), st.booleans(), st.lists(measurements, max_size=3).map(tuple),
    st.none() | integers, st.none() | integers, st.none() | small,
)  # fmt: skip
payloads = st.builds(Payload, small, addresses, addresses, st.binary(max_size=40), words, integers)
anything = st.recursive(
    st.none() | st.booleans() | integers | st.text(max_size=5) | st.binary(max_size=5)
    | st.sampled_from(Priority) | measurements,
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


def defined(value: object) -> object:
    """The plain form as the codec's documentation says it, one value at a time."""
    if value is None or type(value) in (bool, bytes, str):
        return value
    if type(value) is int:
        if abs(value) < 2**63:
            return value
        size = (abs(value).bit_length() + 7) // 8
        return msgpack.ExtType(1, bytes([value < 0]) + abs(value).to_bytes(size, "big"))
    if isinstance(value, list | tuple):
        return [defined(item) for item in value]
    if isinstance(value, dict):
        return {key: defined(value[key]) for key in sorted(value)}
    if isinstance(value, Enum):
        return defined(value.value)
    assert dataclasses.is_dataclass(value)
    fields = list(dataclasses.fields(value))
    while (
        fields and fields[-1].metadata.get("tail") and getattr(value, fields[-1].name) == fields[-1].default
    ):
        fields.pop()
    return [defined(getattr(value, field.name)) for field in fields]


def defined_bytes(value: object) -> bytes:
    return cast(bytes, msgpack.packb(defined(value), use_bin_type=True, strict_types=True))


@given(from_host | from_kernel | verdicts | payloads)
@settings(max_examples=150, deadline=None)
def test_message_packs_to_the_bytes_of_its_definition_and_comes_back(message: object) -> None:
    data = pack(message)
    assert data == defined_bytes(message)
    assert unpack(type(message), data) == message


@given(st.lists(anything, min_size=8, max_size=8))
@settings(max_examples=100, deadline=None)
def test_fields_that_hold_something_else_than_they_say_pack_by_what_they_hold(held: list[object]) -> None:
    message = Measurement(*held)  # type: ignore[arg-type]
    assert pack(message) == defined_bytes(message)


@pytest.mark.parametrize("stranger", [1.5, object(), frozenset((1,))], ids=["float", "object", "set"])
def test_value_without_canonical_form_is_refused_wherever_it_stands(stranger: object) -> None:
    inside = Measurement("fee", stranger, 1, None, "wei", True, None, "")  # type: ignore[arg-type]
    for message in (stranger, (stranger,), {"a": stranger}, inside, (inside,)):
        with pytest.raises(WireError, match="has no canonical form"):
            pack(message)


@given(plans)
@settings(max_examples=50, deadline=None)
def test_plan_digest_is_of_the_plan_under_no_key(plan: Plan) -> None:
    unnamed = defined_bytes(dataclasses.replace(plan, idempotency_key="-"))
    assert plan_digest(plan) == keccak256(b"seawall.plan.1" + unnamed)


@given(payloads)
@settings(max_examples=50, deadline=None)
def test_payload_digest_is_of_its_canonical_bytes(payload: Payload) -> None:
    assert payload_digest(payload) == keccak256(b"seawall.payload.1" + defined_bytes(payload))


@pytest.mark.parametrize("size", [0, 15, 16, 31, 32, 255, 256, 65_535, 65_536])
def test_heads_of_every_width_are_those_of_msgpack(size: int) -> None:
    named = {f"{place:05}": place for place in range(size)}
    for message in ("x" * size, b"x" * size, (None,) * size, [True] * size, named):
        assert pack(message) == defined_bytes(message)


def test_integers_of_every_width_are_those_of_msgpack_or_an_extension() -> None:
    for power in range(257):
        for number in (2**power - 1, 1 - 2**power, 2**power // 2, -(2**power // 2)):
            assert pack(number) == defined_bytes(number)


def test_what_is_too_large_or_nests_too_deeply_is_refused() -> None:
    for number in (2**256, -(2**256)):
        with pytest.raises(WireError, match="more than 256 bits"):
            pack((number,))
    nested: object = None
    for _ in range(10_000):
        nested = (nested,)
    with pytest.raises(ValueError, match="nests too deeply"):
        pack(nested)
