"""Revert bytes: Solidity's own errors, custom ones, and the shapes in which clients hand them over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.chain.reverts import PANICS, ErrorSignature, decode_revert, revert_bytes
from seawall.native import abi_encode, keccak256

SHORTFALL = ErrorSignature("Shortfall", ("address", "uint256"))
KNOWN = {SHORTFALL.selector: SHORTFALL}
ERROR = keccak256(b"Error(string)")[:4]
PANIC = keccak256(b"Panic(uint256)")[:4]


def test_required_condition_tells_its_words() -> None:
    reason = decode_revert(ERROR + abi_encode(["string"], ["too little"]))
    assert reason is not None
    assert (reason.name, reason.arguments, reason.text) == (
        "Error",
        ("too little",),
        "reverted with 'too little'",
    )


@pytest.mark.parametrize("code", sorted(PANICS))
def test_panic_tells_what_its_code_means(code: int) -> None:
    reason = decode_revert(PANIC + abi_encode(["uint256"], [code]))
    assert reason is not None
    assert reason.text == f"panicked: {PANICS[code]}"


def test_panic_with_a_code_of_nobody_tells_the_code() -> None:
    reason = decode_revert(PANIC + abi_encode(["uint256"], [0x99]))
    assert reason is not None
    assert reason.text == "panicked: code 153"


def test_custom_error_of_a_known_abi_is_told_with_its_values() -> None:
    data = SHORTFALL.selector + abi_encode(["address", "uint256"], [b"\x11" * 20, 7])
    reason = decode_revert(data, KNOWN)
    assert reason is not None
    assert (reason.name, reason.arguments[1]) == ("Shortfall", "7")
    assert reason.text == f"Shortfall({reason.arguments[0]}, 7)"
    assert reason.arguments[0].lower() == "0x" + "11" * 20


def test_custom_error_of_an_unknown_abi_is_told_by_its_selector() -> None:
    reason = decode_revert(SHORTFALL.selector + bytes(64))
    assert reason is not None
    assert (reason.name, reason.arguments) == ("", ())
    assert SHORTFALL.selector.hex() in reason.text


@pytest.mark.parametrize("cut", [4, 5, 35, 67])
def test_cut_off_arguments_are_not_guessed(cut: int) -> None:
    reason = decode_revert((ERROR + abi_encode(["string"], ["too little"]))[:cut], KNOWN)
    assert reason is not None
    assert reason.name == ""


def test_empty_revert_has_no_reason() -> None:
    assert decode_revert(b"") is None


@given(st.binary(max_size=200))
def test_any_bytes_are_told_without_an_error(tail: bytes) -> None:
    for head in (b"", ERROR, PANIC, SHORTFALL.selector):
        reason = decode_revert(head + tail, KNOWN)
        assert reason is None or reason.text


@pytest.mark.parametrize(
    "data",
    [
        "0x08c379a0",
        "Reverted 0x08c379a0",
        {"data": "0x08c379a0"},
        {"message": "no", "data": {"data": "0x08c379a0", "txHash": "0x77"}},
        {"originalError": {"data": "0x08c379a0"}},
        {"result": "0x08c379a0"},
    ],
)
def test_bytes_are_found_in_the_shapes_of_all_clients(data: object) -> None:
    assert revert_bytes(data) == ERROR


@pytest.mark.parametrize(
    "data", [None, 3, "no bytes", {}, {"data": None}, [], {"data": {"data": {"data": {}}}}, "0x1"]
)
def test_anything_else_holds_no_bytes(data: object) -> None:
    assert revert_bytes(data) is None
