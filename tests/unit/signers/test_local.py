from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path

import pytest

from seawall.native.wire import DynamicFeeTransaction, LocalKey, Password, decode_transaction, recover
from seawall.primitives.errors import (
    ConfigError,
    InputError,
    KeystoreError,
    SignerAnswerError,
    SignerError,
    SignerUnavailableError,
)
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address, Hash
from seawall.signers.base import Signer
from seawall.signers.local import (
    KEYSTORE_BYTES_MAX,
    SIGNED_INLINE_MAX,
    THROWAWAY_COST,
    LocalSigner,
    PasswordSource,
    create_keystore,
)


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    Password.generate().write_file(path)
    return path


@pytest.fixture
def keystore(tmp_path: Path, password_file: Path) -> tuple[Path, Address]:
    path = tmp_path / "key.json"
    return path, create_keystore(path, Password.from_file(password_file), THROWAWAY_COST)


def transaction(nonce: int) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(31_337, nonce, 1, 10, 21_000, b"\x22" * 20, 1, b"")


async def test_keystore_opens_to_the_address_that_it_names(
    keystore: tuple[Path, Address], password_file: Path
) -> None:
    path, address = keystore
    signer = LocalSigner.open("main", path, PasswordSource(file=password_file))
    seen: Signer = signer
    assert (seen.address, seen.ready) == (address, False)
    await signer.unlock()
    assert signer.ready
    (signed,) = await signer.sign_transactions([transaction(7)])
    decoded = decode_transaction(signed.raw)
    assert (decoded.sender, decoded.fields.nonce, decoded.hash) == (address, 7, signed.hash)


async def test_large_batch_keeps_its_order() -> None:
    signer = LocalSigner.holding("main", LocalKey.generate())
    count = SIGNED_INLINE_MAX * 3
    signed = await signer.sign_transactions([transaction(nonce) for nonce in range(count)])
    assert [decode_transaction(one.raw).fields.nonce for one in signed] == list(range(count))


async def test_digest_recovers_to_the_address() -> None:
    signer = LocalSigner.holding("main", LocalKey.generate())
    digest = Hash(b"\x07" * 32)
    assert recover(digest, await signer.sign_digest(digest)) == signer.address


async def test_locked_signer_refuses_to_sign(keystore: tuple[Path, Address], password_file: Path) -> None:
    signer = LocalSigner.open("main", keystore[0], PasswordSource(file=password_file))
    with pytest.raises(SignerError, match="locked"):
        await signer.sign_transactions([transaction(0)])
    with pytest.raises(SignerError, match="locked"):
        await signer.sign_digest(Hash(bytes(32)))


async def test_closed_signer_has_wiped_its_key() -> None:
    key = LocalKey.generate()
    signer = LocalSigner.holding("main", key)
    await signer.close()
    await signer.close()
    assert key.wiped
    assert not signer.ready


async def test_signers_unlock_beside_each_other_and_beside_the_loop(
    tmp_path: Path, keystore: tuple[Path, Address], password_file: Path
) -> None:
    source = PasswordSource(file=password_file)
    signers = [LocalSigner.open(f"key{i}", keystore[0], source) for i in range(4)]
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await asyncio.gather(*(signer.unlock() for signer in signers))
    counting.cancel()
    assert all(signer.ready for signer in signers)
    assert turns > 10


async def test_wrong_password_is_a_signer_error_without_the_password(
    tmp_path: Path, keystore: tuple[Path, Address], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEAWALL_TEST_PASSWORD", "not-the-password")
    signer = LocalSigner.open("main", keystore[0], PasswordSource(environment="SEAWALL_TEST_PASSWORD"))
    with pytest.raises(SignerError) as caught:
        await signer.unlock()
    assert caught.value.where == "signers.main"
    assert "not-the-password" not in str(caught.value)
    assert not signer.ready


async def test_missing_password_names_its_place(keystore: tuple[Path, Address], tmp_path: Path) -> None:
    signer = LocalSigner.open("main", keystore[0], PasswordSource(file=tmp_path / "absent"))
    with pytest.raises(SignerError, match="cannot be read"):
        await signer.unlock()


async def test_abandoned_unlock_leaves_the_signer_locked(
    keystore: tuple[Path, Address], password_file: Path
) -> None:
    signer = LocalSigner.open("main", keystore[0], PasswordSource(file=password_file))
    task = asyncio.create_task(signer.unlock())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not signer.ready
    await signer.unlock()
    assert signer.ready


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b'{"address": 7}', b'{"address": "xyz"}', b"x" * (KEYSTORE_BYTES_MAX + 1)],
)
def test_file_that_is_no_keystore_names_its_setting(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.json"
    path.write_bytes(content)
    with pytest.raises(SignerError) as caught:
        LocalSigner.open("main", path, PasswordSource(environment="UNUSED"))
    assert caught.value.where == "signers.main.keystore"


def test_absent_keystore_names_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SignerError, match="cannot be read"):
        LocalSigner.open("main", tmp_path / "absent.json", PasswordSource(environment="UNUSED"))


async def test_keystore_that_lies_about_its_address_is_refused(
    keystore: tuple[Path, Address], password_file: Path
) -> None:
    path, _ = keystore
    document = json.loads(path.read_text())
    path.write_text(json.dumps({**document, "address": "11" * 20}))
    signer = LocalSigner.open("main", path, PasswordSource(file=password_file))
    with pytest.raises(SignerError, match="address"):
        await signer.unlock()


def test_new_keystore_is_its_owners_and_never_overwrites(
    keystore: tuple[Path, Address], password_file: Path
) -> None:
    path, _ = keystore
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_bytes()
    with pytest.raises(SignerError, match="exists"):
        create_keystore(path, Password.from_file(password_file), THROWAWAY_COST)
    assert path.read_bytes() == before


def test_password_has_exactly_one_source(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        PasswordSource()
    with pytest.raises(InputError):
        PasswordSource(file=tmp_path, environment="BOTH")
    with pytest.raises(KeystoreError, match="not set"):
        PasswordSource(environment="SEAWALL_TEST_UNSET").open()


def test_signer_shows_neither_keystore_nor_password_source(
    keystore: tuple[Path, Address], password_file: Path
) -> None:
    signer = LocalSigner.open("main", keystore[0], PasswordSource(file=password_file))
    assert "ciphertext" not in repr(signer)
    assert str(password_file) not in repr(signer)


def place_of(text: str) -> SecretPlace:
    return SecretPlace("signers[0].keystore", lambda: Secret(text))


STORED_PASSWORD = "password-kept-elsewhere"


async def test_keystore_that_a_store_keeps_is_fetched_and_opened() -> None:
    key = LocalKey.generate()
    cost = THROWAWAY_COST
    text = key.to_keystore(Password.from_text(STORED_PASSWORD), n=cost.n, r=cost.r, p=cost.p)
    signer = LocalSigner.stored("main", Address(key.address), place_of(text), place_of(STORED_PASSWORD))
    assert not signer.ready
    await signer.unlock()
    (signed,) = await signer.sign_transactions([transaction(3)])
    assert decode_transaction(signed.raw).sender == key.address
    assert STORED_PASSWORD not in repr(signer)


async def test_stored_keystore_of_another_key_is_not_used() -> None:
    key = LocalKey.generate()
    cost = THROWAWAY_COST
    text = key.to_keystore(Password.from_text(STORED_PASSWORD), n=cost.n, r=cost.r, p=cost.p)
    signer = LocalSigner.stored("main", Address(b"\x01" * 20), place_of(text), place_of(STORED_PASSWORD))
    with pytest.raises(SignerAnswerError, match="the keystore holds 0x"):
        await signer.unlock()
    assert not signer.ready
    assert "the keystore holds" in signer.trouble


async def test_store_that_is_away_may_be_asked_again() -> None:
    key = LocalKey.generate()
    cost = THROWAWAY_COST
    text = key.to_keystore(Password.from_text(STORED_PASSWORD), n=cost.n, r=cost.r, p=cost.p)
    troubles = [ConfigError("the store is sealed", "signers[0].keystore", "unseal it")]

    def read() -> Secret:
        if troubles:
            raise troubles.pop()
        return Secret(text)

    kept = SecretPlace("signers[0].keystore", read)
    signer = LocalSigner.stored("main", Address(key.address), kept, place_of(STORED_PASSWORD))
    with pytest.raises(SignerUnavailableError, match="the store is sealed"):
        await signer.unlock()
    await signer.unlock()
    assert (signer.ready, signer.trouble) == (True, "")
