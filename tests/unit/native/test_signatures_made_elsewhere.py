"""Signatures that something else made, coincurve here: the native core completes, seals, takes them out."""

from __future__ import annotations

import coincurve
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seawall.native.wire import (
    DynamicFeeTransaction,
    LocalKey,
    Password,
    complete_signature,
    decode_transaction,
    keccak256,
    recover,
    seal_transaction,
    signature_of,
    signing_digest,
    signing_payload,
)
from seawall.primitives.errors import EncodingError, KeystoreError, SignatureError

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = coincurve.PrivateKey(b"\x07" * 32)
ADDRESS = keccak256(KEY.public_key.format(compressed=False)[1:])[-20:]
FIELDS = DynamicFeeTransaction(
    1, 2, 3, 4, 21_000, b"\x22" * 20, 5, b"\xab", ((b"\x33" * 20, (b"\x01" * 32,)),)
)


def high(compact: bytes) -> bytes:
    return compact[:32] + (ORDER - int.from_bytes(compact[32:])).to_bytes(32)


@given(digest=st.binary(min_size=32, max_size=32), is_high=st.booleans())
def test_signature_of_the_key_is_completed_to_the_one_that_nodes_take(digest: bytes, is_high: bool) -> None:
    signature = KEY.sign_recoverable(digest, hasher=None)
    given_one = high(signature[:64]) if is_high else signature[:64]
    assert complete_signature(digest, given_one, ADDRESS) == signature
    assert recover(digest, signature) == ADDRESS


@given(digest=st.binary(min_size=32, max_size=32), place=st.integers(0, 63), bit=st.integers(0, 7))
def test_any_changed_bit_is_refused(digest: bytes, place: int, bit: int) -> None:
    compact = bytearray(KEY.sign_recoverable(digest, hasher=None)[:64])
    compact[place] ^= 1 << bit
    with pytest.raises(SignatureError):
        complete_signature(digest, bytes(compact), ADDRESS)


@pytest.mark.parametrize(
    "compact",
    [
        b"",
        bytes(64),
        b"\x01" * 63,
        b"\x01" * 65,
        b"\xff" * 64,
        bytes(32) + b"\x01" * 32,
        b"\x01" * 32 + bytes(32),
    ],
    ids=range(7),
)
def test_what_is_no_signature_is_refused(compact: bytes) -> None:
    with pytest.raises(SignatureError):
        complete_signature(b"\x01" * 32, compact, ADDRESS)


def test_payload_is_what_hashes_to_the_digest() -> None:
    payload = signing_payload(FIELDS)
    assert payload[0] == 2
    assert keccak256(payload) == signing_digest(FIELDS)


def test_sealed_transaction_is_that_of_the_key_itself() -> None:
    key = LocalKey.generate()
    own = key.sign_transactions([FIELDS])[0]
    signature = key.sign_digest(signing_digest(FIELDS))
    for compact in (signature[:64], high(signature[:64])):
        sealed = seal_transaction(FIELDS, compact, key.address)
        assert (sealed.raw, sealed.hash) == (own.raw, own.hash)
    assert signature_of(own.raw) == signature
    assert decode_transaction(own.raw).fields == FIELDS


def test_signature_over_another_transaction_seals_nothing() -> None:
    key = LocalKey.generate()
    compact = key.sign_digest(b"\x09" * 32)[:64]
    with pytest.raises(SignatureError, match="no signature of"):
        seal_transaction(FIELDS, compact, key.address)


@pytest.mark.parametrize("raw", [b"", b"\x02", b"\x01\xc0", b"\x02\xc0", b"\x02" + b"\xff" * 40])
def test_signature_of_what_is_no_transaction_is_refused(raw: bytes) -> None:
    with pytest.raises(EncodingError):
        signature_of(raw)


def test_password_of_a_text_opens_what_one_of_a_file_closed(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("password") / "file"
    path.write_text("one password\n")
    key = LocalKey.generate()
    text = key.to_keystore(Password.from_file(path), n=2, r=1, p=1)
    opened = LocalKey.from_keystore(text.encode(), Password.from_text("one password"))
    assert opened.address == key.address
    assert "one password" not in repr(Password.from_text("one password"))
    for refused in ("", "x" * 1_025):
        with pytest.raises(KeystoreError):
            Password.from_text(refused)
