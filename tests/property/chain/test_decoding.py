"""Strict decoding: what is well-formed comes back exactly; all else is an `EndpointError`, nothing worse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.chain import decoding
from seawall.chain.client import _block
from seawall.chain.receipts import log_of, receipt_of
from seawall.primitives.errors import EndpointError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False)
    | st.text(max_size=70),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
HEXISH = st.text("0123456789abcdefABCDEFxX -+_", max_size=72) | st.text("0123456789abcdef", max_size=70).map(
    "0x".__add__
)


@given(st.integers(0, 2**256 - 1))
def test_every_quantity_comes_back(number: int) -> None:
    assert decoding.quantity(hex(number), "here") == number


@given(st.binary(max_size=200))
def test_every_data_comes_back(raw: bytes) -> None:
    assert decoding.data("0x" + raw.hex(), "here") == raw
    assert decoding.data("0x" + raw.hex().upper(), "here", size=len(raw)) == raw


@given(JSON | HEXISH)
def test_quantity_is_canonical_or_an_endpoint_error(value: object) -> None:
    try:
        number = decoding.quantity(value, "here")
    except EndpointError:
        return
    assert isinstance(value, str)
    assert value.lower() == hex(number)


@given(JSON | HEXISH)
def test_data_is_whole_bytes_or_an_endpoint_error(value: object) -> None:
    try:
        raw = decoding.data(value, "here")
    except EndpointError:
        return
    assert isinstance(value, str)
    assert value.lower() == "0x" + raw.hex()


@pytest.mark.parametrize(
    "decode", [decoding.digest, decoding.address, decoding.mapping, decoding.array, decoding.text]
)
@given(value=JSON | HEXISH)
def test_other_decoders_fail_only_with_an_endpoint_error(
    decode: Callable[[object, str], object], value: object
) -> None:
    with contextlib.suppress(EndpointError):
        decode(value, "here")


WORD = "0x" + "ab" * 32
GOOD = {
    "number": "0x1", "hash": WORD, "parentHash": WORD, "timestamp": "0x5",
    "baseFeePerGas": "0x7", "gasLimit": "0x9",
    "miner": "0x" + "11" * 20, "mixHash": WORD,
    "transactionHash": WORD, "blockHash": WORD, "blockNumber": "0x1",
    "transactionIndex": "0x0", "status": "0x1",
    "gasUsed": "0x5208", "effectiveGasPrice": "0x3",
    "logs": [], "address": "0x" + "22" * 20, "topics": [WORD], "data": "0x", "logIndex": "0x0",
}  # fmt: skip


@given(
    st.dictionaries(st.sampled_from(sorted(GOOD)), JSON | HEXISH, max_size=3),
    st.sets(st.sampled_from(sorted(GOOD)), max_size=2),
)
def test_damaged_headers_receipts_and_logs_fail_only_with_an_endpoint_error(
    damage: dict[str, object], missing: set[str]
) -> None:
    answer = {key: value for key, value in (GOOD | damage).items() if key not in missing}
    for decode in (lambda: _block(answer, 1, "block"), lambda: receipt_of(answer), lambda: log_of(answer)):
        with contextlib.suppress(EndpointError):
            decode()


def test_whole_headers_receipts_and_logs_are_read() -> None:
    assert _block(GOOD, 5, "block").base_fee_wei == 7
    receipt = receipt_of(GOOD)
    assert receipt is not None
    assert receipt.fee_wei == 21_000 * 3
    assert log_of(GOOD).address == b"\x22" * 20


@pytest.mark.parametrize(
    "value", ["0x", "0x00", "0x01", "1", "", "0X1", "0x1 ", " 0x1", "0x+1", "0x1_0", "-0x1", 1, None, True]
)
def test_malformed_quantity_is_refused(value: object) -> None:
    with pytest.raises(EndpointError):
        decoding.quantity(value, "here")


def test_quantity_over_its_limit_is_refused() -> None:
    with pytest.raises(EndpointError, match="up to 255"):
        decoding.quantity("0x100", "here", limit=255)
    with pytest.raises(EndpointError):
        decoding.quantity("0x1" + "0" * 64, "here")
