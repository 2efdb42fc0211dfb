"""Calls as a person writes them."""

from __future__ import annotations

import json

import pytest

from seawall.chain.addresses import AddressBook
from seawall.cli.safe_calls import call_of, calls_in
from seawall.native import encode_call
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address, hex_text

BOOK = AddressBook(1)
TO = "0x" + "22" * 20


def test_function_with_arguments_becomes_calldata() -> None:
    signature = "set(address,uint256,bytes4,bool,string,int8)"
    texts = [TO, "7", "0xdeadbeef", "true", "hi", "-3"]
    found = call_of({"to": TO, "function": signature, "arguments": texts, "value": "0.5"}, "call", BOOK)
    values = (Address(b"\x22" * 20), 7, b"\xde\xad\xbe\xef", True, "hi", -3)
    assert found == {
        "to": TO,
        "value_wei": str(5 * 10**17),
        "data": hex_text(encode_call(signature, values)),
    }


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"function": "set(uint256)", "arguments": ["x"]}, "call.arguments"),
        ({"function": "set(uint256)", "arguments": []}, "call.function"),
        ({"function": "set(uint256)", "arguments": [str(2**256)]}, "call.function"),
        ({"function": "set", "arguments": []}, "call.function"),
        ({"function": "set()", "data": "0x"}, "call.data"),
        ({"to": "@nobody"}, "call.to"),
        ({"value": "-1"}, "amount"),
        ({"values": "1"}, "call.values"),
    ],
)
def test_what_cannot_be_encoded_is_named(changes: dict[str, object], where: str) -> None:
    with pytest.raises(InputError) as refusal:
        call_of({"to": TO, **changes}, "call", BOOK)
    assert refusal.value.where == where


def test_file_holds_one_call_or_a_list() -> None:
    assert len(calls_in(json.dumps({"to": TO}).encode(), "file", BOOK)) == 1
    assert len(calls_in(json.dumps([{"to": TO}] * 3).encode(), "file", BOOK)) == 3
    with pytest.raises(InputError, match="not JSON"):
        calls_in(b"{", "file", BOOK)
