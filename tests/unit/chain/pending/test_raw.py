"""Raw transactions of every type, against an independent implementation, and bytes that are none."""

from __future__ import annotations

import base64

import pytest
from eth_account import Account
from hypothesis import given
from hypothesis import strategies as st

from seawall.chain.pending_raw import raw_transaction
from seawall.primitives.errors import InputError
from seawall.primitives.units import address_from_text

KEY = "0x" + "46" * 32
SENDER = address_from_text(Account.from_key(KEY).address)
TARGET = "0x" + "11" * 20
COMMON = {"nonce": 9, "gas": 21_000, "to": TARGET, "value": 10**18, "data": "0x1234"}
FEES = {"maxFeePerGas": 30, "maxPriorityFeePerGas": 2, "chainId": 42_161}
ACCESS = [{"address": TARGET, "storageKeys": ["0x" + "00" * 32]}]
TRANSACTIONS: dict[str, dict[str, object]] = {
    "legacy": {**COMMON, "gasPrice": 20},
    "legacy with chain": {**COMMON, "gasPrice": 20, "chainId": 42_161},
    "access list": {**COMMON, "gasPrice": 20, "chainId": 1, "accessList": ACCESS, "type": 1},
    "dynamic fee": {**COMMON, **FEES, "type": 2, "accessList": ACCESS},
    "no target": {**COMMON, **FEES, "type": 2, "to": ""},
}


@pytest.mark.parametrize("fields", TRANSACTIONS.values(), ids=TRANSACTIONS)
def test_raw_transaction_is_read_as_others_sign_it(fields: dict[str, object]) -> None:
    made = Account.sign_transaction(fields, KEY)
    read = raw_transaction(bytes(made.raw_transaction))
    assert read.hash == bytes(made.hash)
    assert read.sender == SENDER
    assert (read.nonce, read.gas_limit, read.value_wei, read.calldata) == (9, 21_000, 10**18, b"\x12\x34")
    assert read.target == (bytes.fromhex(TARGET[2:]) if fields["to"] else None)
    expected = (20, 20) if "gasPrice" in fields else (30, 2)
    assert (read.max_fee_per_gas_wei, read.max_priority_fee_per_gas_wei) == expected


def test_delegation_is_read() -> None:
    authority = Account.sign_authorization({"chainId": 1, "address": TARGET, "nonce": 0}, KEY)
    made = Account.sign_transaction(
        {**COMMON, **FEES, "type": 4, "accessList": [], "authorizationList": [authority]}, KEY
    )
    read = raw_transaction(bytes(made.raw_transaction))
    assert (read.hash, read.sender, read.calldata) == (bytes(made.hash), SENDER, b"\x12\x34")


def test_message_of_the_published_example_is_a_transaction_of_arbitrum_one() -> None:
    """From the documentation of the sequencer's feed."""
    text = (
        "BAL40oKksUiElQL5AISg7rsAgxb6o5SZbYNoIF2DTixsqDpD2xII9GJLG4C4ZAhh6N0AAAAAAAAAAAAAAAC7EQiq1R1VYgL3/oXgvD921"
        "hYRyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAArAAaAkebuEnSAUvr"
        "WVBGTxA7W+ZMNn5uyLlbOH7Nrs0bYOv6AOxQPqAo2UB0Z7vqlugjn+BUl0drDcWejBfDiPEC6jQA=="
    )
    payload = base64.b64decode(text)
    assert payload[0] == 4
    read = raw_transaction(payload[1:])
    assert read.sender is not None
    assert (len(read.calldata), read.value_wei) == (100, 0)


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x05\xc0", b"\x02", b"\x80", b"\x02\xc0", b"\xc0", b"\xf8\x00", b"\xb8\x01\x01", b"\xff" * 9],
)
def test_bytes_that_are_no_transaction_are_refused(raw: bytes) -> None:
    with pytest.raises(InputError):
        raw_transaction(raw)


def test_lists_nested_without_end_are_refused() -> None:
    nested = b"\xc0"
    for _ in range(50):
        nested = bytes((0xC0 + len(nested),)) + nested
    with pytest.raises(InputError, match="deep"):
        raw_transaction(nested)


@given(st.binary(max_size=200), st.integers(0, 4))
def test_any_bytes_are_read_or_refused(data: bytes, kind: int) -> None:
    for raw in (data, bytes((kind,)) + data):
        try:
            raw_transaction(raw)
        except InputError:
            continue


@given(st.integers(0, 130), st.integers(0, 255))
def test_changed_byte_changes_the_hash_or_is_refused(place: int, value: int) -> None:
    made = bytes(Account.sign_transaction(TRANSACTIONS["dynamic fee"], KEY).raw_transaction)
    place %= len(made)
    changed = made[:place] + bytes((value,)) + made[place + 1 :]
    try:
        read = raw_transaction(changed)
    except InputError:
        return
    assert (read.hash == raw_transaction(made).hash) is (changed == made)
