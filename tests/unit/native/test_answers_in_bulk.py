"""Answers read natively: the plain ones as the slow way reads them, any other left to that."""

from __future__ import annotations

import orjson
import pytest

from seawall.native import EncodingError, abi_encode, encode_call
from seawall.native.wire import (
    aggregate3_calldata,
    aggregate3_results,
    hex_text,
    plain_data,
    plain_quantities,
    plain_results,
)

RESULTS = [(True, b"yes"), (False, b"why not"), (True, b""), (True, bytes(range(70)))]
RETURNED = abi_encode(["(bool,bytes)[]"], [RESULTS])
WORD = 32


def answer(number: object, **fields: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, **fields}


def test_plain_answers_come_in_the_order_asked() -> None:
    body = orjson.dumps([answer(8, result="0x2"), answer(7, result="0x1"), answer(9, result="ü")])
    assert plain_results(body, 7, 3) == ["0x1", "0x2", "ü"]
    assert plain_results(orjson.dumps(answer(7, result="", error=None)), 7, 1) == [""]


@pytest.mark.parametrize(
    "answers",
    [
        [answer(7, result="a")],
        [answer(7, result="a"), answer(7, result="b")],
        [answer(7, result="a"), answer(9, result="b")],
        [answer(7, result="a"), answer(6, result="b")],
        [answer(7, result="a"), answer(8, result="b"), answer(9, result="c")],
        [answer(7, result="a"), answer("8", result="b")],
        [answer(7, result="a"), answer(8.0, result="b")],
        [answer(7, result="a"), answer(-8, result="b")],
        [answer(7, result="a"), answer(8)],
        [answer(7, result="a"), answer(8, result=None)],
        [answer(7, result="a"), answer(8, result={"number": "0x1"})],
        [answer(7, result="a"), answer(8, result="b", error={"code": 1})],
        [answer(7, result="a"), answer(8, error={"code": 1})],
        [answer(7, result="a"), answer(8, result='"')],
        [answer(7, result="a"), 8],
        [answer(7, result="a"), [8, "b", None]],  # the fields of an answer, and no answer
        [answer(7, result="a"), [8, "b"]],
        [answer(7, result="a"), None],
        answer(7, result="a"),
        "a",
        None,
    ],
)
def test_answers_that_are_not_plain_or_not_all_that_was_asked_are_left_to_the_slow_way(
    answers: object,
) -> None:
    assert plain_results(orjson.dumps(answers), 7, 2) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[",
        b"[]x",
        b'[{"id":7,"result":"a"}',
        b'[{"id":7,"result":"a"}] [',
        b'[{"id":7,"result":"a\xff"}]',
        b'[{"id":7,"result":"a","result":"b"}]',
        b'[{"id":7,"id":7,"result":"a"}]',
        b'[{"id":7,"result":"a",}]',
    ],
)
def test_body_that_is_not_json_is_left_to_the_slow_way(body: bytes) -> None:
    assert plain_results(body, 7, 1) is None


def test_quantities_of_every_size_are_read() -> None:
    numbers = [0, 1, 0xAB, 2**63, 2**64 - 1, 2**64, 10**22, 2**256 - 1]
    assert plain_quantities([hex(number) for number in numbers]) == numbers
    assert plain_quantities(["0xAb"]) == [0xAB]
    assert plain_quantities([]) == []


@pytest.mark.parametrize(
    "value",
    ["", "0", "0x", "0x00", "0x01", "0X1", "0x1 ", " 0x1", "0x1_0", "0x-1", "0x+1", "-0x1", "0xg", "0x1\0",
     hex(2**256), "0x" + "0" * 64, "0x\u0661", 1, None, True, b"0x1", ["0x1"]],
)  # fmt: skip
def test_what_is_no_quantity_is_left_to_the_slow_way(value: object) -> None:
    assert plain_quantities(["0x1", value]) is None


@pytest.mark.parametrize("data", [b"", b"\0", bytes(range(256)), b"\xff" * 10_001])
def test_data_is_read_as_it_is_written(data: bytes) -> None:
    assert hex_text(data) == "0x" + data.hex()
    assert plain_data(hex_text(data)) == data
    assert plain_data("0x" + data.hex().upper()) == data


@pytest.mark.parametrize(
    "text",
    ["", "0", "00", "0x0", "0x0g", "0X00", "0x0x", "0x0x00", "0x00 ", "0x0 0 ", "0x00\0\0", "0xé", "\ud800"],
)
def test_what_is_no_data_is_left_to_the_slow_way(text: str) -> None:
    assert plain_data(text) is None


def test_call_of_many_is_what_the_general_codec_makes() -> None:
    calls = [(bytes([n]) * 20, bytes(range(size))) for n, size in enumerate((0, 1, 4, 31, 32, 33, 68))]
    for part in ([], calls[:1], calls):
        asked = [(target, True, data) for target, data in part]
        assert aggregate3_calldata(part) == encode_call("aggregate3((address,bool,bytes)[])", (asked,))


def test_results_of_many_are_what_the_general_codec_made() -> None:
    assert aggregate3_results(RETURNED, 4) == [b"yes", None, b"", bytes(range(70))]
    assert aggregate3_results(abi_encode(["(bool,bytes)[]"], [[]]), 0) == []


def changed(place: int, word: int) -> bytes:
    return RETURNED[: place * WORD] + word.to_bytes(WORD, "big") + RETURNED[(place + 1) * WORD :]


@pytest.mark.parametrize(
    "returned",
    [
        b"",
        RETURNED[:WORD],
        RETURNED[: 2 * WORD],
        RETURNED[:-WORD],
        changed(0, 2**255),
        changed(0, len(RETURNED)),
        changed(0, 2**64 - WORD),
        changed(1, 3),
        changed(1, 5),
        changed(1, 2**63),
        changed(2, 2**255),
        changed(2, 2**64 - 2 * WORD),
        changed(2, len(RETURNED)),
        changed(6, 2),
        changed(6, 2**255),
        changed(7, 2**64 - WORD),
        changed(8, 2**64 - 1),
        changed(8, len(RETURNED)),
    ],
)
def test_results_that_point_or_reach_outside_are_refused(returned: bytes) -> None:
    with pytest.raises(EncodingError, match="are not 4 results"):
        aggregate3_results(returned, 4)


def test_results_that_overlap_into_more_than_was_returned_are_refused() -> None:
    one = abi_encode(["(bool,bytes)[]"], [[(True, bytes(1_000))]])
    body = one[3 * WORD :]
    offsets = b"".join((40 * WORD).to_bytes(WORD, "big") for _ in range(40))
    head = WORD.to_bytes(WORD, "big") + (40).to_bytes(WORD, "big")
    with pytest.raises(EncodingError):
        aggregate3_results(head + offsets + body, 40)
