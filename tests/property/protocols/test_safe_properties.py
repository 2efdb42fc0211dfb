"""Encodings of Safes: whatever is packed is read back, and nothing else is read at all."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.native.wire import LocalKey
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address
from seawall.protocols.safe.files import document_of, proved_signatures, read_proposals
from seawall.protocols.safe.multisend import InnerCall, decode_batch, encode_batch
from seawall.protocols.safe.signatures import (
    OwnerSignature,
    approved_hash,
    contract_signature,
    pack_signatures,
    read_signature,
    signed_by,
    unpack_signatures,
)
from seawall.protocols.safe.transaction import Operation, SafeTransaction, safe_hash
from seawall.protocols.safe.typed_data import typed_data, typed_data_hash

ADDRESSES = st.binary(min_size=20, max_size=20).map(Address)
AMOUNTS = st.integers(0, 2**256 - 1)
CALLS = st.builds(InnerCall, ADDRESSES, AMOUNTS, st.binary(max_size=100))
TRANSACTIONS = st.builds(
    SafeTransaction,
    chain_id=st.integers(1, 2**63 - 1),
    safe=ADDRESSES,
    nonce=st.integers(0, 2**63 - 1),
    to=ADDRESSES,
    value_wei=AMOUNTS,
    data=st.binary(max_size=200),
    operation=st.sampled_from(Operation),
    safe_tx_gas=AMOUNTS,
    base_gas=AMOUNTS,
    gas_price_wei=AMOUNTS,
    gas_token=ADDRESSES,
    refund_receiver=ADDRESSES,
)
KEYS = [LocalKey.generate() for _ in range(4)]


def signed(key: LocalKey, transaction: SafeTransaction) -> OwnerSignature:
    digest = safe_hash(transaction)
    return signed_by(Address(key.address), digest, key.sign_digest(digest))


@given(st.lists(CALLS, min_size=1, max_size=8))
def test_batch_is_read_back(calls: list[InnerCall]) -> None:
    assert decode_batch(encode_batch(calls)) == tuple(calls)


@given(st.lists(CALLS, min_size=1, max_size=3), st.data())
def test_bytes_that_are_read_as_a_batch_are_its_only_encoding(
    calls: list[InnerCall], data: st.DataObject
) -> None:
    encoded = bytearray(encode_batch(calls))
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] ^= data.draw(st.integers(1, 255))
    try:
        read = decode_batch(bytes(encoded))
    except ProtocolError:
        return
    assert encode_batch(read) == encoded


@given(TRANSACTIONS)
def test_two_ways_to_the_digest_agree(transaction: SafeTransaction) -> None:
    assert safe_hash(transaction) == typed_data_hash(typed_data(transaction))


@given(TRANSACTIONS, st.integers(0, 11))
def test_every_field_is_bound_by_the_digest(transaction: SafeTransaction, place: int) -> None:
    name = list(transaction.__dataclass_fields__)[place]
    value = getattr(transaction, name)
    if isinstance(value, Operation):
        other: object = Operation(1 - value)
    elif isinstance(value, int):
        other = value ^ 1 or 2
    else:
        other = bytes((value[0] ^ 1,)) + value[1:] if value else b"\x01"
    changed = replace(transaction, **{name: other})  # type: ignore[arg-type]
    assert safe_hash(changed) != safe_hash(transaction)


@given(
    TRANSACTIONS,
    st.sets(st.integers(0, 3), min_size=1),
    st.sets(ADDRESSES, max_size=2),
    st.binary(max_size=80),
)
def test_signatures_are_packed_by_owner_and_read_back(
    transaction: SafeTransaction, places: set[int], strangers: set[Address], word: bytes
) -> None:
    signatures = [signed(KEYS[place], transaction) for place in places]
    for number, stranger in enumerate(sorted(strangers)):
        signatures.append(approved_hash(stranger) if number else contract_signature(stranger, word))
    read = unpack_signatures(pack_signatures(signatures), safe_hash(transaction))
    assert sorted(read, key=lambda one: one.owner) == list(read)
    assert set(read) == set(signatures)


@given(TRANSACTIONS, st.integers(0, 64), st.integers(1, 255))
def test_changed_signature_is_never_that_of_its_owner(
    transaction: SafeTransaction, place: int, change: int
) -> None:
    good = signed(KEYS[0], transaction)
    raw = bytearray(good.data)
    raw[place] ^= change
    try:
        found = read_signature(bytes(raw), safe_hash(transaction))
    except InputError:
        return
    assert found.owner != good.owner


@given(st.binary(max_size=300))
def test_bytes_that_are_no_signatures_are_refused_cleanly(raw: bytes) -> None:
    digest = safe_hash(SafeTransaction(1, Address(bytes(20)), 0, Address(bytes(20))))
    try:
        read = unpack_signatures(raw, digest)
    except InputError:
        return
    assert read


@given(TRANSACTIONS, st.sets(st.integers(0, 3)), st.text(max_size=50))
def test_file_is_read_back_with_its_signatures(
    transaction: SafeTransaction, places: set[int], note: str
) -> None:
    signatures = [signed(KEYS[place], transaction) for place in places]
    content = json.dumps(document_of(transaction, signatures, note)).encode()
    (proposal,) = read_proposals(content, "file")
    assert (proposal.transaction, proposal.note, proposal.is_honest) == (transaction, note, True)
    proved, refused = proved_signatures(proposal)
    assert set(proved) == set(signatures)
    assert refused == ()


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9), lambda inner: (
    st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["safe", "to", "nonce", "results", "confirmations", "data"]), inner)
)))  # fmt: skip
def test_any_json_is_a_file_or_a_clean_refusal(tree: object) -> None:
    with pytest.raises(InputError):
        read_proposals(json.dumps(tree).encode(), "file", 1)
