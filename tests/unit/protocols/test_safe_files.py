"""Proposals as files: ours and the transaction service's; what is missing or wrong is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address, Hash
from seawall.protocols.safe.calls import words_of
from seawall.protocols.safe.files import document_of, proved_signatures, read_proposals, trimmed
from seawall.protocols.safe.known import MULTI_SEND, MULTI_SEND_CALL_ONLY
from seawall.protocols.safe.multisend import InnerCall, batch_of, calls_of, decode_batch, encode_batch
from seawall.protocols.safe.signatures import SignatureKind, read_signature, unpack_signatures
from seawall.protocols.safe.transaction import Operation, SafeTransaction, safe_hash

SAFE = Address(b"\x5a" * 20)
TO = Address(b"\x70" * 20)
ONE = SafeTransaction(1, SAFE, 7, TO, 5)


def page(**changes: object) -> bytes:
    return json.dumps({**document_of(ONE, []), **changes}).encode()


def test_page_of_the_service_is_read_as_it_is() -> None:
    """As its documentation shows one: null data, numbers as numbers, no chain, more than is needed."""
    item: dict[str, Any] = {
        "safe": "0x5A5a5A5a5A5a5a5a5A5a5a5A5a5a5A5A5A5A5a5a".lower(),
        "to": "0x" + "70" * 20,
        "value": "5",
        "data": None,
        "operation": 0,
        "gasToken": "0x" + "00" * 20,
        "safeTxGas": 0,
        "baseGas": 0,
        "gasPrice": "0",
        "refundReceiver": None,
        "nonce": 7,
        "executionDate": None,
        "isExecuted": False,
        "safeTxHash": "0x" + safe_hash(ONE).hex(),
        "proposer": "0x" + "11" * 20,
        "confirmationsRequired": 2,
        "confirmations": [],
        "signatures": None,
    }
    (found,) = read_proposals(json.dumps({"count": 1, "results": [item]}).encode(), "page", 1)
    assert (found.transaction, found.is_honest, found.is_executed) == (ONE, True, False)


@pytest.mark.parametrize(
    ("changes", "where", "what"),
    [
        ({"chainId": 10}, "chainId", "for chain 10, not 1"),
        ({"nonce": -1}, "nonce", "whole number"),
        ({"nonce": True}, "nonce", "whole number"),
        ({"nonce": None}, "nonce", "whole number"),
        ({"value": "1e18"}, "value", "whole number"),
        ({"operation": 2}, "operation", "up to 1"),
        ({"data": "0x1"}, "data", "pairs of hex"),
        ({"to": ""}, "to", "address"),
        ({"to": "0x" + "Ab" * 20}, "to", "checksum"),
        ({"safeTxHash": "0x1234"}, "safeTxHash", "32 bytes"),
        ({"confirmations": {}}, "confirmations", "a list"),
        ({"confirmations": [{"owner": 1, "signature": "0x00"}]}, "confirmations[0].owner", "a text"),
        ({"confirmations": [{}] * 65}, "confirmations", "65 signatures"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(
    changes: dict[str, object], where: str, what: str
) -> None:
    with pytest.raises(InputError) as refusal:
        read_proposals(page(**changes), "file", 1)
    assert refusal.value.where == f"file[0].{where}"
    assert what in refusal.value.what


def test_trimmed_document_reads_as_the_whole_one() -> None:
    whole = json.loads(page(dataDecoded={"method": "x"}, confirmations=[{"owner": "0x" + "22" * 20,
        "signature": "0x01", "submissionDate": "2026"}]))  # fmt: skip
    small = trimmed(whole)
    assert "dataDecoded" not in json.dumps(small)
    assert "submissionDate" not in json.dumps(small)
    read = [read_proposals(json.dumps(one).encode(), "file") for one in (whole, small)]
    assert read[0] == read[1]
    assert trimmed([1]) == [1]


def test_digest_of_other_fields_is_found() -> None:
    (found,) = read_proposals(page(value="6"), "file")
    assert not found.is_honest


def test_signature_under_another_owners_name_is_refused() -> None:
    raw = bytes.fromhex(
        "ee" * 32 + "11" * 32 + "1b"
    )  # whoever recovers from this, it is not the one who is named
    confirmations = [{"owner": "0x" + "22" * 20, "signature": "0x" + raw.hex()}]
    (found,) = read_proposals(page(confirmations=confirmations), "file")
    proved, refused = proved_signatures(found)
    assert proved == ()
    assert len(refused) == 1


def test_contracts_signature_outside_of_what_came_is_refused() -> None:
    static = SAFE.rjust(32, b"\0") + (1_000).to_bytes(32) + b"\0"
    with pytest.raises(InputError, match="points outside"):
        read_signature(static, Hash(bytes(32)))
    inside = SAFE.rjust(32, b"\0") + (65).to_bytes(32) + b"\0" + (2).to_bytes(32) + b"ok"
    (found,) = unpack_signatures(inside, Hash(bytes(32)))
    assert (found.kind, found.owner, found.data) == (SignatureKind.CONTRACT, SAFE, b"ok")


def test_single_call_is_made_directly_and_several_by_the_library_that_cannot_delegate() -> None:
    call = InnerCall(TO, 1, b"")
    assert batch_of(1, SAFE, 0, [call]).operation is Operation.CALL
    several = batch_of(1, SAFE, 0, [call, call])
    assert (several.to, several.operation) == (MULTI_SEND_CALL_ONLY, Operation.DELEGATECALL)
    assert calls_of(several) == (call, call)


def test_delegatecall_hidden_in_a_batch_is_found() -> None:
    batch = bytearray(encode_batch([InnerCall(TO, 0, b"")]))
    batch[4 + 64] = 1  # the first call's operation
    with pytest.raises(ProtocolError, match="call 0 is a delegatecall"):
        decode_batch(bytes(batch))
    hidden = SafeTransaction(1, SAFE, 0, MULTI_SEND, 0, bytes(batch), Operation.DELEGATECALL)
    with pytest.raises(ProtocolError, match="delegatecall"):
        calls_of(hidden)


def test_call_is_said_in_words_only_if_it_is_exactly_that_call() -> None:
    transfer = bytes.fromhex("a9059cbb") + TO.rjust(32, b"\0") + (9).to_bytes(32)
    assert words_of(InnerCall(SAFE, 0, transfer)).text.startswith("transfer(to 0x7070")
    assert "a9059cbb" in words_of(InnerCall(SAFE, 0, transfer + b"\x01")).text
    assert words_of(InnerCall(TO, 3, b"")).text.startswith("send 3 wei to")
