from __future__ import annotations

import copy
import json
import pickle
import stat
from pathlib import Path

import pytest

from seawall.native import (
    DynamicFeeTransaction,
    EncodingError,
    KeystoreError,
    LocalKey,
    Password,
    SeawallError,
    SignatureError,
    decode_transaction,
    recover,
    to_checksum,
)

CHEAP = {"n": 16, "r": 8, "p": 1}
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
TRANSFER = DynamicFeeTransaction(31337, 0, 1, 2, 21_000, bytes(20), 3, b"")


@pytest.fixture
def key() -> LocalKey:
    return LocalKey.generate()


def test_repr_shows_the_address_and_nothing_else(key: LocalKey) -> None:
    assert repr(key) == f"LocalKey({to_checksum(key.address)})"


def test_key_is_neither_pickled_nor_copied(key: LocalKey) -> None:
    for attempt in (lambda: pickle.dumps(key), lambda: copy.copy(key), lambda: copy.deepcopy(key)):
        with pytest.raises(SignatureError):
            attempt()


def test_wiped_key_signs_nothing(key: LocalKey) -> None:
    key.wipe()
    assert key.wiped
    with pytest.raises(SignatureError, match="wiped"):
        key.sign_digest(bytes(32))
    with pytest.raises(SignatureError, match="wiped"):
        key.sign_transactions([TRANSFER])


def test_signature_recovers_to_its_key(key: LocalKey) -> None:
    signature = key.sign_digest(b"\x07" * 32)
    assert len(signature) == 65
    assert signature[64] in (0, 1)
    assert recover(b"\x07" * 32, signature) == key.address


def test_malleable_twin_of_a_signature_is_refused(key: LocalKey) -> None:
    signature = key.sign_digest(bytes(32))
    s = CURVE_ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + s.to_bytes(32, "big") + bytes([1 - signature[64]])
    with pytest.raises(SignatureError, match="upper half"):
        recover(bytes(32), twin)


@pytest.mark.parametrize("signature", [b"", bytes(64), bytes(65), bytes(64) + b"\x1b", b"\xff" * 64 + b"\0"])
def test_what_is_no_signature_recovers_nobody(signature: bytes) -> None:
    with pytest.raises(SignatureError):
        recover(bytes(32), signature)


def test_digest_of_wrong_length_is_refused(key: LocalKey) -> None:
    with pytest.raises(EncodingError):
        key.sign_digest(bytes(31))


def test_batch_is_signed_in_order(key: LocalKey) -> None:
    batch = [DynamicFeeTransaction(1, nonce, 1, 2, 21_000, None, 0, b"\x60") for nonce in range(5)]
    decoded = [decode_transaction(signed.raw) for signed in key.sign_transactions(batch)]
    assert [item.fields for item in decoded] == batch
    assert {item.sender for item in decoded} == {key.address}


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": -1},
        {"nonce": 2**64},
        {"value_wei": 2**256},
        {"gas_limit": True},
        {"to": b"short"},
        {"max_priority_fee_per_gas_wei": 3},
        {"data": "0x"},
        {"access_list": ((bytes(20), (b"short",)),)},
    ],
)
def test_field_that_does_not_fit_is_refused(key: LocalKey, change: dict[str, object]) -> None:
    values: dict[str, object] = TRANSFER._asdict() | change
    with pytest.raises(SeawallError):
        key.sign_transactions([DynamicFeeTransaction(**values)])  # type: ignore[arg-type]


def test_damaged_raw_bytes_are_refused(key: LocalKey) -> None:
    raw = key.sign_transactions([TRANSFER])[0].raw
    for damaged in (b"", b"\x01" + raw[1:], raw[:-1], raw + b"\0", bytes(200_000)):
        with pytest.raises(EncodingError):
            decode_transaction(damaged)


def test_keystore_opens_with_its_password_only(key: LocalKey) -> None:
    password = Password.generate()
    sealed = key.to_keystore(password, **CHEAP).encode()
    assert LocalKey.from_keystore(sealed, password).address == key.address
    with pytest.raises(KeystoreError, match="does not open"):
        LocalKey.from_keystore(sealed, Password.generate())


@pytest.mark.parametrize(
    "damage",
    [
        {"version": 1},
        {"crypto": {}},
        {"address": "00" * 20},
        {"address": "zz"},
    ],
)
def test_damaged_keystore_is_refused_without_quoting_it(key: LocalKey, damage: dict[str, object]) -> None:
    password = Password.generate()
    document = json.loads(key.to_keystore(password, **CHEAP))
    with pytest.raises(KeystoreError) as refusal:
        LocalKey.from_keystore(json.dumps(document | damage).encode(), password)
    assert document["crypto"]["ciphertext"] not in str(refusal.value)


@pytest.mark.parametrize(
    "cost", [{"n": 2**30}, {"n": 15}, {"n": 1}, {"p": 10**6}, {"r": 2**31}, {"n": 2**63, "r": 2**31}]
)
def test_absurd_cost_is_refused_before_memory_is_taken(key: LocalKey, cost: dict[str, int]) -> None:
    password = Password.generate()
    document = json.loads(key.to_keystore(password, **CHEAP))
    document["crypto"]["kdfparams"] |= cost
    with pytest.raises(KeystoreError, match="cost"):
        LocalKey.from_keystore(json.dumps(document).encode(), password)
    with pytest.raises(KeystoreError, match="cost"):
        key.to_keystore(password, **(CHEAP | cost))


@pytest.mark.parametrize("junk", [b"", b"{}", b"[1]", b"\xff\xfe", b"{" * 10_000, b" " * 20_000])
def test_junk_is_no_keystore(junk: bytes) -> None:
    with pytest.raises(KeystoreError):
        LocalKey.from_keystore(junk, Password.generate())


def test_generated_password_is_written_for_its_owner_only_and_read_back(
    tmp_path: Path, key: LocalKey
) -> None:
    password, path = Password.generate(), tmp_path / "password"
    password.write_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    sealed = key.to_keystore(password, **CHEAP).encode()
    assert LocalKey.from_keystore(sealed, Password.from_file(path)).address == key.address
    assert path.read_text().strip() not in repr(password)


def test_existing_file_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("precious")
    with pytest.raises(KeystoreError):
        Password.generate().write_file(path)
    assert path.read_text() == "precious"


def test_password_from_environment(monkeypatch: pytest.MonkeyPatch, key: LocalKey, tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("correct horse\r\n")
    monkeypatch.setenv("SEAWALL_TEST_PASSWORD", "correct horse")
    sealed = key.to_keystore(Password.from_file(path), **CHEAP).encode()
    assert LocalKey.from_keystore(sealed, Password.from_env("SEAWALL_TEST_PASSWORD")).address == key.address


@pytest.mark.parametrize("content", [b"", b"\n", b"x" * 1025])
def test_unusable_password_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(KeystoreError):
        Password.from_file(path)


def test_absent_password_sources_say_where(tmp_path: Path) -> None:
    with pytest.raises(KeystoreError, match="nowhere"):
        Password.from_file(tmp_path / "nowhere")
    with pytest.raises(KeystoreError, match="SEAWALL_NOT_SET"):
        Password.from_env("SEAWALL_NOT_SET")
