"""The wire against the field's Python libraries: eth-account, eth-abi, eth-keys, coincurve, eth-keyfile."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import coincurve
import pytest
from eth_abi.abi import encode
from eth_account import Account
from eth_keyfile.keyfile import create_keyfile_json, decode_keyfile_json
from eth_utils.address import to_checksum_address
from hypothesis import given, settings
from hypothesis import strategies as st

from seawall.native import (
    DynamicFeeTransaction,
    EncodingError,
    KeystoreError,
    LocalKey,
    Password,
    SignatureError,
    abi_decode,
    abi_encode,
    decode_transaction,
    keccak256,
    parse_address,
    recover,
    to_checksum,
)

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
CHEAP = {"n": 16, "r": 8, "p": 1}

addresses = st.binary(min_size=20, max_size=20)
words = st.binary(min_size=32, max_size=32)
secrets = st.integers(1, CURVE_ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def password_of(text: bytes) -> Password:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "password"
        path.write_bytes(text)
        return Password.from_file(path)


def key_of(secret: bytes) -> LocalKey:
    sealed = create_keyfile_json(secret, b"pw", version=3, kdf="pbkdf2", iterations=1)
    return LocalKey.from_keystore(json.dumps(sealed).encode(), password_of(b"pw"))


transactions = st.builds(
    DynamicFeeTransaction,
    chain_id=st.integers(1, 2**32),
    nonce=st.integers(0, 2**64 - 2),
    max_priority_fee_per_gas_wei=st.integers(0, 10**12),
    max_fee_per_gas_wei=st.integers(10**12, 2**127),
    gas_limit=st.integers(21_000, 2**63),
    to=st.none() | addresses,
    value_wei=st.integers(0, 2**256 - 1) | st.integers(0, 300),
    data=st.binary(max_size=300),
    access_list=st.lists(st.tuples(addresses, st.lists(words, max_size=3).map(tuple)), max_size=3).map(tuple),
)


def by_eth_account(fields: DynamicFeeTransaction) -> dict[str, object]:
    return {
        "type": 2,
        "chainId": fields.chain_id,
        "nonce": fields.nonce,
        "maxPriorityFeePerGas": fields.max_priority_fee_per_gas_wei,
        "maxFeePerGas": fields.max_fee_per_gas_wei,
        "gas": fields.gas_limit,
        "to": b"" if fields.to is None else to_checksum(fields.to),
        "value": fields.value_wei,
        "data": fields.data,
        "accessList": [
            {"address": to_checksum(address), "storageKeys": ["0x" + slot.hex() for slot in slots]}
            for address, slots in fields.access_list
        ],
    }


@settings(max_examples=80, deadline=None)
@given(secret=secrets, fields=transactions)
def test_signed_bytes_and_hash_are_those_of_eth_account(secret: bytes, fields: DynamicFeeTransaction) -> None:
    (ours,) = key_of(secret).sign_transactions([fields])
    theirs = Account.from_key(secret).sign_transaction(by_eth_account(fields))
    assert ours.raw == bytes(theirs.raw_transaction)
    assert ours.hash == bytes(theirs.hash)
    decoded = decode_transaction(ours.raw)
    assert (decoded.fields, decoded.hash) == (fields, ours.hash)
    assert to_checksum(decoded.sender) == Account.recover_transaction(ours.raw)


@settings(max_examples=60, deadline=None)
@given(secret=secrets, digest=words)
def test_signatures_are_those_of_coincurve(secret: bytes, digest: bytes) -> None:
    key = key_of(secret)
    signature = key.sign_digest(digest)
    assert signature == coincurve.PrivateKey(secret).sign_recoverable(digest, hasher=None)
    assert recover(digest, signature) == key.address
    public = coincurve.PublicKey.from_signature_and_message(signature, digest, hasher=None)
    assert keccak256(public.format(compressed=False)[1:])[12:] == key.address


@settings(max_examples=200, deadline=None)
@given(address=addresses)
def test_checksum_is_that_of_eth_utils_and_reads_back(address: bytes) -> None:
    text = to_checksum(address)
    assert text == to_checksum_address(address)
    assert parse_address(text) == parse_address(text.lower()) == address


@settings(max_examples=8, deadline=None)
@given(
    secret=secrets, password=st.binary(min_size=1, max_size=40).filter(lambda raw: not raw.endswith(b"\n"))
)
@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
def test_keystores_open_both_ways(kdf: Literal["scrypt", "pbkdf2"], secret: bytes, password: bytes) -> None:
    theirs = create_keyfile_json(secret, password, version=3, kdf=kdf, iterations=16)
    key = LocalKey.from_keystore(json.dumps(theirs).encode(), password_of(password))
    assert to_checksum(key.address) == Account.from_key(secret).address
    ours = json.loads(key.to_keystore(password_of(password), **CHEAP))
    assert decode_keyfile_json(ours, password) == secret
    with pytest.raises(KeystoreError, match="does not open"):
        LocalKey.from_keystore(json.dumps(theirs).encode(), password_of(password + b"x"))


integers = st.sampled_from([8, 16, 24, 64, 128, 248, 256]).flatmap(
    lambda bits: (
        st.tuples(st.just(f"uint{bits}"), st.integers(0, 2**bits - 1))
        | st.tuples(st.just(f"int{bits}"), st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
    )
)
fixed = st.integers(1, 32).flatmap(
    lambda size: st.tuples(st.just(f"bytes{size}"), st.binary(min_size=size, max_size=size))
)
leaves = (
    integers
    | fixed
    | st.tuples(st.just("bool"), st.booleans())
    | st.tuples(st.just("address"), addresses)
    | st.tuples(st.just("bytes"), st.binary(max_size=70))
    | st.tuples(st.just("string"), texts)
)


def nested(inner: st.SearchStrategy[tuple[str, object]]) -> st.SearchStrategy[tuple[str, object]]:
    def repeated(pair: tuple[str, object]) -> st.SearchStrategy[tuple[str, object]]:
        kind, value = pair
        return st.integers(0, 3).map(lambda n: (f"{kind}[]", (value,) * n)) | st.integers(1, 3).map(
            lambda n: (f"{kind}[{n}]", (value,) * n)
        )

    tuples = st.lists(inner, min_size=1, max_size=3).map(
        lambda pairs: (f"({','.join(kind for kind, _ in pairs)})", tuple(value for _, value in pairs))
    )
    return inner.flatmap(repeated) | tuples


@settings(max_examples=200, deadline=None)
@given(pairs=st.lists(st.recursive(leaves, nested, max_leaves=6), max_size=5))
def test_encoding_is_that_of_eth_abi_and_reads_back(pairs: list[tuple[str, object]]) -> None:
    types, values = [kind for kind, _ in pairs], [value for _, value in pairs]
    encoded = abi_encode(types, values)  # type: ignore[arg-type]
    assert encoded == encode(types, values)
    assert abi_decode(types, encoded) == tuple(values)


@settings(max_examples=200, deadline=None)
@given(
    data=st.binary(max_size=300),
    types=st.lists(
        st.sampled_from(["uint256", "bytes", "string[]", "(bool,bytes)[]"]), min_size=1, max_size=3
    ),
)
def test_decoding_of_anything_either_refuses_or_returns(data: bytes, types: list[str]) -> None:
    try:
        values = abi_decode(types, data)
    except EncodingError:
        return
    assert len(values) == len(types)


@settings(max_examples=100, deadline=None)
@given(raw=st.binary(max_size=200).map(lambda raw: b"\x02" + raw))
def test_decoding_of_any_bytes_never_escapes_the_error_tree(raw: bytes) -> None:
    with suppress(EncodingError, SignatureError):
        decode_transaction(raw)
