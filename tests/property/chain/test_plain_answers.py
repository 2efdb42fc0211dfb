"""The quick way to read answers says the same as the slow one, or nothing."""

from __future__ import annotations

import orjson
from hypothesis import given
from hypothesis import strategies as st

from seawall.chain import decoding
from seawall.chain.endpoints import Endpoint
from seawall.chain.transport import _any_answers
from seawall.native.wire import plain_data, plain_quantities, plain_results
from seawall.primitives.errors import EndpointError

ENDPOINT = Endpoint.parse("http://there")
# Those that the library writes.
NUMBERS = st.integers(-(2**63), 2**64 - 1)
TEXTS = st.text(max_size=8) | st.integers(0, 2**260).map(hex)
ANSWERS = st.fixed_dictionaries(
    {"id": st.integers(0, 4)},
    optional={
        "jsonrpc": st.just("2.0"),
        "result": TEXTS | st.none() | NUMBERS | st.lists(TEXTS, max_size=1),
        "error": st.none() | st.just({"code": 1, "message": "no"}),
    },
)


@given(st.permutations(range(4)), st.lists(TEXTS, min_size=4, max_size=4))
def test_plain_answers_in_any_order_are_read_alike(order: list[int], texts: list[str]) -> None:
    body = orjson.dumps([{"id": place, "result": texts[place]} for place in order])
    assert _any_answers(body, 0, 4, ENDPOINT) == texts
    assert plain_results(body, 0, 4) in (texts, None)


@given(st.lists(ANSWERS, max_size=4), st.integers(0, 4), st.binary(max_size=3), st.integers(0, 200))
def test_whatever_the_quick_way_reads_the_slow_way_reads_alike(
    answers: list[dict[str, object]], count: int, noise: bytes, place: int
) -> None:
    body = orjson.dumps(answers)
    body = body[:place] + noise + body[place:] if noise else body
    quick = plain_results(body, 0, count)
    if quick is not None:
        assert quick == _any_answers(body, 0, count, ENDPOINT)


@given(st.lists(TEXTS | st.text("0x1aF _", max_size=6), max_size=4))
def test_quantities_together_are_what_each_is_alone(values: list[object]) -> None:
    try:
        alone = [decoding.quantity(value, "there") for value in values]
    except EndpointError:
        assert plain_quantities(values) is None
    else:
        assert plain_quantities(values) == alone


@given(st.text("0xaF g", max_size=8) | st.binary(max_size=8).map(lambda raw: "0x" + raw.hex()))
def test_data_is_what_its_digits_say(text: str) -> None:
    raw = plain_data(text)
    if raw is None:
        assert text[:2] != "0x" or len(text) % 2 or set(text[2:]) - set("0aF")
    else:
        assert "0x" + raw.hex() == text.lower()
