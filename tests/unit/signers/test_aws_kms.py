"""Keys of AWS KMS, through AWS's own library against a stand-in with true keys."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from unittest import mock

import pytest

from seawall.native.wire import DynamicFeeTransaction, decode_transaction, recover
from seawall.primitives.errors import (
    SignerAnswerError,
    SignerBusyError,
    SignerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.units import Address, Hash
from seawall.signers.aws_kms import AwsKms
from seawall.signers.checked import CheckedSigner
from seawall.signers.kinds import AwsKmsKey
from tests.fixtures.aws import AWS_ENVIRONMENT, REGION, Kms, hashing_again, running_kms

DIGEST = Hash(b"\x05" * 32)
CALL_S = 20.0


@pytest.fixture(scope="module")
def kms() -> Iterator[Kms]:
    with running_kms() as running:
        yield running


def transaction(nonce: int = 7) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(31_337, nonce, 1, 10, 21_000, b"\x22" * 20, 1, b"")


def signer_of(
    kms: Kms, key_id: str, address: Address | None = None, endpoint: str | None = None
) -> CheckedSigner:
    key = AwsKmsKey(key_id, REGION, endpoint or kms.endpoint)
    return CheckedSigner("aws", address or kms.address(key_id), AwsKms(key, CALL_S), CALL_S)


async def test_kms_signs_digests_whose_s_is_lowered(kms: Kms) -> None:
    key_id = kms.new_key()
    signer = signer_of(kms, key_id)
    await signer.unlock()
    # s is high in half of them: nobody would notice one that is not lowered in a single try.
    asked = [transaction(nonce) for nonce in range(16)]
    signed = await signer.sign_transactions(asked)
    decoded = [decode_transaction(one.raw) for one in signed]
    assert [one.fields for one in decoded] == asked
    assert {one.sender for one in decoded} == {signer.address}
    assert recover(DIGEST, await signer.sign_digest(DIGEST)) == signer.address
    await signer.close()


async def test_key_is_found_by_its_alias(kms: Kms) -> None:
    key_id = kms.new_key()
    kms.client.create_alias(AliasName="alias/treasury", TargetKeyId=key_id)
    signer = signer_of(kms, "alias/treasury", kms.address(key_id))
    await signer.unlock()
    other = kms.new_key()
    kms.client.update_alias(AliasName="alias/treasury", TargetKeyId=other)
    with pytest.raises(SignerAnswerError, match="no signature of 0x"):
        await signer.sign_transactions([transaction()])
    await signer.close()


async def test_service_that_hashes_the_digest_again_is_caught(kms: Kms) -> None:
    signer = signer_of(kms, kms.new_key())
    await signer.unlock()
    with hashing_again(), pytest.raises(SignerAnswerError, match="no signature of 0x"):
        await signer.sign_transactions([transaction()])
    await signer.close()


def other_spec(kms: Kms) -> CheckedSigner:
    return signer_of(kms, kms.new_key("ECC_NIST_P256"), Address(b"\x01" * 20))


def absent(kms: Kms) -> CheckedSigner:
    return signer_of(kms, "12345678-1234-1234-1234-123456789012", Address(b"\x01" * 20))


def nowhere(kms: Kms) -> CheckedSigner:
    return signer_of(kms, kms.new_key(), endpoint="http://127.0.0.1:1")


def other_key(kms: Kms) -> CheckedSigner:
    return signer_of(kms, kms.new_key(), kms.address(kms.new_key()))


@pytest.mark.parametrize(
    ("made", "kind", "told"),
    [
        (other_spec, SignerAnswerError, "the public key is not on secp256k1"),
        (absent, SignerRefusedError, r"refuses \(NotFoundException\)"),
        (nowhere, SignerUnavailableError, "cannot be reached"),
        (other_key, SignerAnswerError, "correct address"),
    ],
)
async def test_key_that_cannot_be_opened_is_told(
    kms: Kms, made: Callable[[Kms], CheckedSigner], kind: type[SignerError], told: str
) -> None:
    signer = made(kms)
    with pytest.raises(kind, match=told) as caught:
        await signer.unlock()
    assert caught.value.fix
    assert AWS_ENVIRONMENT["AWS_SECRET_ACCESS_KEY"] not in str(caught.value) + repr(signer)
    await signer.close()


CODES: dict[str, tuple[type[SignerError], str]] = {
    "AccessDeniedException": (SignerRefusedError, "allow kms:GetPublicKey and kms:Sign"),
    "DisabledException": (SignerRefusedError, "enable the key"),
    "KMSInvalidStateException": (SignerRefusedError, "disabled or waiting to be deleted"),
    "ExpiredTokenException": (SignerRefusedError, "renew the credentials"),
    "UnheardOfException": (SignerRefusedError, "look the code up"),
    "KMSInternalException": (SignerUnavailableError, "cannot sign now"),
    "ThrottlingException": (SignerBusyError, "is throttled"),
}


@pytest.mark.parametrize("code", CODES)
async def test_refusal_is_told_by_its_code_and_without_its_words(
    kms: Kms, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    from moto.core.exceptions import JsonRESTError
    from moto.kms.models import KmsBackend

    kind, told = CODES[code]
    signer = signer_of(kms, kms.new_key())
    await signer.unlock()
    refusal = JsonRESTError(code, "words with secret-in-words-4711")
    caplog.set_level(logging.DEBUG, logger="seawall")
    with (
        mock.patch.object(KmsBackend, "sign", side_effect=refusal) as asked,
        pytest.raises(kind, match=told) as caught,
    ):
        await signer.sign_transactions([transaction()])
    assert type(caught.value) is kind
    assert asked.call_count == (5 if kind is SignerBusyError else 1)
    assert "secret-in-words-4711" not in str(caught.value) + signer.trouble + caplog.text
    await signer.sign_transactions([transaction()])
    await signer.close()


async def test_throttling_that_passes_is_waited_for(kms: Kms) -> None:
    from moto.core.exceptions import JsonRESTError
    from moto.kms.models import KmsBackend

    signer = signer_of(kms, kms.new_key())
    await signer.unlock()
    true_sign, throttled = KmsBackend.sign, [1, 1]

    def sometimes(self: KmsBackend, **asked: object) -> object:
        if throttled:
            throttled.pop()
            raise JsonRESTError("ThrottlingException", "Rate exceeded")
        return true_sign(self, **asked)  # type: ignore[arg-type]

    with mock.patch.object(KmsBackend, "sign", sometimes):
        (signed,) = await signer.sign_transactions([transaction()])
    assert decode_transaction(signed.raw).sender == signer.address
    await signer.close()


async def test_missing_credentials_are_told(kms: Kms, monkeypatch: pytest.MonkeyPatch) -> None:
    signer = signer_of(kms, kms.new_key())
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(SignerRefusedError, match=r"cannot be asked \(NoCredentialsError\)"):
        await signer.unlock()
    await signer.close()
