from __future__ import annotations

import pytest

from seawall.native import (
    AddressError,
    EncodingError,
    abi_decode,
    abi_encode,
    encode_call,
    event_topic,
    keccak256,
    parse_address,
    selector,
    to_checksum,
)

CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
PAIR = (bytes(range(20)), 7)


def test_keccak_of_nothing_is_the_known_constant() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@pytest.mark.parametrize("text", [CHECKSUMMED, CHECKSUMMED.lower(), "0x" + CHECKSUMMED[2:].upper()])
def test_address_with_right_or_no_checksum_is_read(text: str) -> None:
    assert to_checksum(parse_address(text)) == CHECKSUMMED


def test_wrong_checksum_is_refused_and_the_right_one_named() -> None:
    with pytest.raises(AddressError) as refusal:
        parse_address(CHECKSUMMED.replace("A", "a", 1))
    assert CHECKSUMMED in refusal.value.fix


@pytest.mark.parametrize(
    "text",
    ["", "0x", CHECKSUMMED[2:], CHECKSUMMED + "00", CHECKSUMMED[:-1], "0x" + "g" * 40, "0x" + "é" * 20],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(AddressError):
        parse_address(text)


def test_selector_and_topic_are_those_of_erc20() -> None:
    assert selector("transfer(address,uint256)").hex() == "a9059cbb"
    assert event_topic("Transfer(address,address,uint256)").hex().startswith("ddf252ad")


def test_call_is_selector_and_padded_words() -> None:
    data = encode_call("transfer(address,uint256)", PAIR)
    assert data == selector("transfer(address,uint256)") + bytes(12) + PAIR[0] + (7).to_bytes(32, "big")


def test_call_without_arguments_is_its_selector() -> None:
    assert encode_call("deposit()", ()) == selector("deposit()")


@pytest.mark.parametrize(
    "signature",
    [
        "transfer",
        "transfer(",
        "(address)",
        "1f()",
        "f(uint)",
        "f(address to)",
        "f(uint256 )",
        "f(uint7)",
        "f g()",
    ],
)
def test_signature_that_is_not_canonical_is_refused(signature: str) -> None:
    with pytest.raises(EncodingError):
        selector(signature)


@pytest.mark.parametrize(
    "kind",
    [
        *("", "uint", "int", "uint7", "uint264", "bytes33", "bytes0", "()", "()[]", "(uint8,)", "uint256[0]"),
        *("word", "(" * 400 + ")" * 400, "(" * 50_000 + ")" * 50_000, "uint256" + "[]" * 50_000),
    ],
)
def test_type_that_is_none_is_refused_however_deep_it_claims_to_nest(kind: str) -> None:
    with pytest.raises(EncodingError):
        abi_decode([kind], bytes(64))
    with pytest.raises(EncodingError):
        abi_encode([kind], [()])


@pytest.mark.parametrize(
    "kind", ["uint256[1000000000]", "uint256[99999][99999]", "bytes[18446744073709551615]"]
)
def test_array_type_of_absurd_size_takes_no_memory(kind: str) -> None:
    with pytest.raises(EncodingError):
        abi_decode([kind], bytes(64))


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("uint8", 256),
        ("uint256", -1),
        ("uint256", 2**256),
        ("int8", 128),
        ("int8", -129),
        ("uint256", True),
        ("uint256", 1.5),
        ("bool", 1),
        ("bytes4", b"12345"),
        ("bytes4", b"123"),
        ("address", CHECKSUMMED),
        ("uint256[2]", [1]),
        ("uint256[]", 1),
        ("string", b"raw"),
        ("(uint256,bool)", (1,)),
        ("function", bytes(24)),
    ],
)
def test_value_that_does_not_fit_its_type_is_refused(kind: str, value: object) -> None:
    with pytest.raises((EncodingError, AddressError)):
        abi_encode([kind], [value])  # type: ignore[list-item]


def test_count_of_values_must_match_types() -> None:
    with pytest.raises(EncodingError, match="2 values for 1 types"):
        abi_encode(["uint256"], [1, 2])


def test_refusal_says_which_value_it_means() -> None:
    with pytest.raises(EncodingError) as refusal:
        encode_call("f(uint256[],uint8)", ([1, 2], 300))
    assert refusal.value.where == "f(uint256[],uint8), value 1"


def test_truncated_answer_does_not_decode() -> None:
    with pytest.raises(EncodingError, match="do not decode"):
        abi_decode(["uint256"], bytes(31))


def test_empty_answer_does_not_decode() -> None:
    with pytest.raises(EncodingError):
        abi_decode(["address"], b"")


def test_length_beyond_the_data_does_not_decode() -> None:
    with pytest.raises(EncodingError):
        abi_decode(["bytes"], (32).to_bytes(32, "big") + (2**63).to_bytes(32, "big"))
