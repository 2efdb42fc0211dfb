"""Web3Signer, Vault's engine and Google's key service by their contracts: what is asked, and every no."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from seawall.native.wire import DynamicFeeTransaction, decode_transaction, keccak256, recover, signing_payload
from seawall.primitives.errors import (
    SignerAnswerError,
    SignerBusyError,
    SignerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address, Hash, hex_text
from seawall.signers.checked import CheckedSigner, Remote
from seawall.signers.gcp_kms import GcpKms
from seawall.signers.http import ANSWER_BYTES_MAX, HttpPlace
from seawall.signers.kinds import VaultLogin, Web3SignerMethod
from seawall.signers.vault import Vault
from seawall.signers.web3signer import Web3Signer
from tests.fixtures.signing_services import (
    NAME,
    Asked,
    GoogleService,
    Service,
    VaultService,
    Web3SignerService,
    served,
)

TOKEN = "hvs.secret-token-0815"
SECRET_ID = "secret-id-4711"
CALL_S = 10.0
DIGEST = Hash(b"\x05" * 32)
ACCESS_LIST = ((b"\x33" * 20, (b"\x01" * 32, b"\x02" * 32)),)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def web3signer() -> Iterator[Web3SignerService]:
    with served(Web3SignerService()) as service:
        yield service


@pytest.fixture
def vault() -> Iterator[VaultService]:
    with served(VaultService(tokens={TOKEN: 1_000}, secret_id=SECRET_ID)) as service:
        yield service


@pytest.fixture
def google() -> Iterator[GoogleService]:
    with served(GoogleService()) as service:
        yield service


def transaction(nonce: int = 7) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(31_337, nonce, 1, 10, 21_000, b"\x22" * 20, 1, b"\xab", ACCESS_LIST)


def place_of(text: str) -> SecretPlace:
    return SecretPlace("signers[0].token", lambda: Secret(text))


def http(session: aiohttp.ClientSession, service: Service) -> HttpPlace:
    return HttpPlace(session, service.url, "the stand-in")


def over(remote: Remote, address: Address) -> CheckedSigner:
    return CheckedSigner("far", address, remote, CALL_S)


async def proved(signer: CheckedSigner) -> None:
    """It opens, and signs what it is given in order."""
    await signer.unlock()
    asked = [transaction(nonce) for nonce in range(12)]
    signed = await signer.sign_transactions(asked)
    decoded = [decode_transaction(one.raw) for one in signed]
    assert [one.fields for one in decoded] == asked
    assert {one.sender for one in decoded} == {signer.address}


# ------------------------------------------------------------------ Web3Signer


async def test_web3signer_is_given_the_unsigned_transaction_and_hashes_it_itself(
    session: aiohttp.ClientSession, web3signer: Web3SignerService
) -> None:
    signer = over(Web3Signer(http(session, web3signer), web3signer.address), web3signer.address)
    await proved(signer)
    await signer.sign_transactions([transaction()])
    last = web3signer.asked[-1]
    assert last.path == f"/api/v1/eth1/sign/{hex_text(web3signer.point[1:])}"
    assert last.body == {"data": hex_text(signing_payload(transaction()))}
    assert signing_payload(transaction())[0] == 2


async def test_web3signer_answers_whole_transactions_by_json_rpc(
    session: aiohttp.ClientSession, web3signer: Web3SignerService
) -> None:
    remote = Web3Signer(http(session, web3signer), web3signer.address, Web3SignerMethod.SIGN_TRANSACTION)
    await proved(over(remote, web3signer.address))
    assert web3signer.asked[-1].body["method"] == "eth_signTransaction"


@pytest.mark.parametrize("method", Web3SignerMethod)
async def test_web3signer_signs_no_bare_digest(
    session: aiohttp.ClientSession, web3signer: Web3SignerService, method: Web3SignerMethod
) -> None:
    signer = over(Web3Signer(http(session, web3signer), web3signer.address, method), web3signer.address)
    await signer.unlock()
    with pytest.raises(SignerRefusedError, match="no bare digest"):
        await signer.sign_digest(DIGEST)


async def test_web3signer_is_shown_a_token_and_refuses_another(
    session: aiohttp.ClientSession, web3signer: Web3SignerService
) -> None:
    web3signer.token = TOKEN
    remote = Web3Signer(http(session, web3signer), web3signer.address, token=place_of(TOKEN))
    await proved(over(remote, web3signer.address))
    other = over(
        Web3Signer(http(session, web3signer), web3signer.address, token=place_of("wrong-0815")),
        web3signer.address,
    )
    with pytest.raises(SignerRefusedError, match="does not admit us") as caught:
        await other.unlock()
    assert "wrong-0815" not in str(caught.value) + repr(other)


Made = Callable[[aiohttp.ClientSession, Service], CheckedSigner]


def a_web3signer(session: aiohttp.ClientSession, service: Service) -> CheckedSigner:
    return over(Web3Signer(http(session, service), service.address), service.address)


def a_json_rpc(session: aiohttp.ClientSession, service: Service) -> CheckedSigner:
    remote = Web3Signer(http(session, service), service.address, Web3SignerMethod.SIGN_TRANSACTION)
    return over(remote, service.address)


ANSWERS: dict[str, tuple[Made, int, object, type[SignerError], str]] = {
    "key gone": (a_web3signer, 404, {"message": "x"}, SignerRefusedError, "has no key 0x"),
    "refused": (a_web3signer, 403, "no", SignerRefusedError, "refuses to sign"),
    "own error": (a_web3signer, 500, "oh", SignerUnavailableError, "status 500"),
    "not hex": (a_web3signer, 200, "0xzz", SignerAnswerError, "not hex"),
    "cut": (a_web3signer, 200, "0x" + "11" * 64, SignerAnswerError, "no signature of r, s and v"),
    "v of 0": (a_web3signer, 200, "0x" + "11" * 64 + "00", SignerAnswerError, "no signature of r, s and v"),
    "other signature": (a_web3signer, 200, "0x" + "11" * 64 + "1b", SignerAnswerError, "no signature of 0x"),
    "huge": (a_web3signer, 200, b"0" * (ANSWER_BYTES_MAX + 1), SignerAnswerError, "answered more than"),
    "moved": (a_web3signer, 302, "", SignerUnavailableError, "status 302"),
    "rpc error": (
        a_json_rpc,
        200,
        {"jsonrpc": "2.0", "id": 2, "error": {"code": -32_000, "message": "a rule\nsays no"}},
        SignerRefusedError,
        "refuses eth_signTransaction: 'a rule says no'",
    ),
    "other id": (a_json_rpc, 200, {"id": 99, "result": "0x"}, SignerAnswerError, "another request"),
    "no result": (a_json_rpc, 200, {"id": 2}, SignerAnswerError, "without a result"),
    "null": (a_json_rpc, 200, {"id": 2, "result": None}, SignerAnswerError, "not hex"),
    "no JSON": (a_json_rpc, 200, b"<html>", SignerAnswerError, "not JSON"),
    "a list": (a_json_rpc, 200, [], SignerAnswerError, "not an object"),
    "denied": (a_json_rpc, 401, {}, SignerRefusedError, "does not admit"),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_every_other_answer_is_a_typed_error(
    session: aiohttp.ClientSession, web3signer: Web3SignerService, name: str
) -> None:
    made, status, told, kind, words = ANSWERS[name]
    signer = made(session, web3signer)
    await signer.unlock()
    web3signer.first = [(status, told)]
    with pytest.raises(kind, match=words) as caught:
        await signer.sign_transactions([transaction()])
    assert type(caught.value) is kind
    await signer.sign_transactions([transaction()])


async def test_throttling_is_waited_for(
    session: aiohttp.ClientSession, web3signer: Web3SignerService
) -> None:
    signer = a_web3signer(session, web3signer)
    await signer.unlock()
    web3signer.first = [(429, "slow down")]
    await signer.sign_transactions([transaction()])
    web3signer.first = [(429, "slow down")] * 5
    with pytest.raises(SignerBusyError, match="too often"):
        await signer.sign_transactions([transaction()])


async def test_service_that_is_not_there_is_told(session: aiohttp.ClientSession) -> None:
    with served(Web3SignerService()) as service:
        signer = a_web3signer(session, service)
    with pytest.raises(SignerUnavailableError, match="the stand-in cannot be reached"):
        await signer.unlock()


async def test_service_that_hangs_is_left_after_its_time(
    session: aiohttp.ClientSession, web3signer: Web3SignerService
) -> None:
    signer = a_web3signer(session, web3signer)
    await signer.unlock()
    signer.timeout_s, web3signer.hangs_s = 0.1, 0.5
    with pytest.raises(SignerUnavailableError, match=r"took more than 0\.1 s"):
        await signer.sign_transactions([transaction()])


# ------------------------------------------------------------------ Vault


def a_vault(session: aiohttp.ClientSession, service: Service, **login: str) -> CheckedSigner:
    places = VaultLogin(**{name: place_of(text) for name, text in login.items()})
    remote = Vault(http(session, service), "quorum", "main", places, "team")
    return over(remote, service.address)


async def test_vault_signs_digests_within_its_namespace(
    session: aiohttp.ClientSession, vault: VaultService
) -> None:
    signer = a_vault(session, vault, token=TOKEN)
    await proved(signer)
    assert recover(DIGEST, await signer.sign_digest(DIGEST)) == vault.address
    assert {asked.headers["x-vault-namespace"] for asked in vault.asked} == {"team"}


async def test_vault_role_logs_in_again_when_its_token_is_over(
    session: aiohttp.ClientSession, vault: VaultService
) -> None:
    vault.uses = 3
    signer = a_vault(session, vault, role_id="role", secret_id=SECRET_ID)
    await signer.unlock()
    for nonce in range(8):
        await signer.sign_transactions([transaction(nonce)])
    logins = [asked for asked in vault.asked if asked.path.endswith("login")]
    assert len(logins) == 3


async def test_expired_vault_token_is_told_without_it(
    session: aiohttp.ClientSession, vault: VaultService
) -> None:
    vault.tokens[TOKEN] = 2
    signer = a_vault(session, vault, token=TOKEN)
    await signer.unlock()
    await signer.sign_transactions([transaction()])
    with pytest.raises(SignerRefusedError, match="its token is expired, or its policy") as caught:
        await signer.sign_transactions([transaction()])
    assert TOKEN not in str(caught.value) + repr(caught.value) + repr(signer)


async def test_wrong_role_is_told_without_its_secret(
    session: aiohttp.ClientSession, vault: VaultService
) -> None:
    signer = a_vault(session, vault, role_id="role", secret_id="wrong-4711")
    with pytest.raises(SignerRefusedError, match="does not know this role") as caught:
        await signer.unlock()
    assert "wrong-4711" not in str(caught.value) + repr(signer)


async def test_sealed_vault_signs_again_once_it_is_unsealed(
    session: aiohttp.ClientSession, vault: VaultService
) -> None:
    signer = a_vault(session, vault, token=TOKEN)
    vault.is_sealed = True
    with pytest.raises(SignerUnavailableError, match="is sealed"):
        await signer.unlock()
    vault.is_sealed = False
    await signer.unlock()
    vault.is_sealed = True
    with pytest.raises(SignerUnavailableError, match="is sealed"):
        await signer.sign_transactions([transaction()])
    vault.is_sealed = False
    await signer.sign_transactions([transaction()])


VAULT_ANSWERS: dict[str, tuple[int, object, type[SignerError], str]] = {
    "no key": (404, {"errors": []}, SignerRefusedError, "correct mount and key_id"),
    "no data": (200, {}, SignerAnswerError, "not an object"),
    "no signature": (200, {"data": {}}, SignerAnswerError, "without signature"),
    "no base64": (200, {"data": {"signature": "***"}}, SignerAnswerError, "not base64"),
    "cut": (200, {"data": {"signature": "AAAA"}}, SignerAnswerError, "3 bytes, not r and s"),
    "own error": (500, {"errors": ["x"]}, SignerUnavailableError, "status 500"),
}


@pytest.mark.parametrize("name", VAULT_ANSWERS)
async def test_every_other_answer_of_vault_is_a_typed_error(
    session: aiohttp.ClientSession, vault: VaultService, name: str
) -> None:
    status, told, kind, words = VAULT_ANSWERS[name]
    signer = a_vault(session, vault, token=TOKEN)
    await signer.unlock()
    vault.first = [(status, told)]
    with pytest.raises(kind, match=words):
        await signer.sign_transactions([transaction()])


# ------------------------------------------------------------------ Google


@pytest.fixture
def a_google(session: aiohttp.ClientSession, google: GoogleService, tmp_path: Path) -> CheckedSigner:
    file = tmp_path / "account.json"
    file.write_text(google.account_file())
    return over(GcpKms(http(session, google), NAME, file), google.address)


async def test_google_signs_our_digest_in_its_field_and_its_high_s_is_lowered(
    a_google: CheckedSigner, google: GoogleService
) -> None:
    await proved(a_google)
    assert recover(DIGEST, await a_google.sign_digest(DIGEST)) == google.address
    asked = google.asked[-1]
    assert set(asked.body) == {"digest", "digestCrc32c"}
    await a_google.close()


async def test_google_token_is_renewed_when_it_is_refused(
    a_google: CheckedSigner, google: GoogleService
) -> None:
    await a_google.unlock()
    google.tokens.append("ya29.revoked-all-others")
    await a_google.sign_transactions([transaction()])
    assert len([asked for asked in google.asked if asked.path == "/token"]) == 2
    await a_google.close()


def shift(google: GoogleService) -> None:
    google.crc_shift = 1


def disable(google: GoogleService) -> None:
    google.state = "DISABLED"


def deny(google: GoogleService) -> None:
    google.first = [(403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "x"}})]


def fail(google: GoogleService) -> None:
    google.first = [(503, b"")]


def unverified(google: GoogleService) -> None:
    google.first = [(200, {"signature": "", "name": NAME})]


def other_version(google: GoogleService) -> None:
    google.first = [(200, {"signature": "", "name": NAME[:-1] + "2", "verifiedDigestCrc32c": True})]


def no_der(google: GoogleService) -> None:
    google.first = [
        (
            200,
            {"signature": "", "signatureCrc32c": "0", "verifiedDigestCrc32c": True, "name": NAME},
        )
    ]


@pytest.mark.parametrize(
    ("trouble", "kind", "told"),
    [
        (shift, SignerAnswerError, "signatureCrc32c"),
        (disable, SignerRefusedError, "enable the key version"),
        (deny, SignerRefusedError, "signerVerifier"),
        (fail, SignerUnavailableError, "status 503"),
        (unverified, SignerAnswerError, "does not say that it signed our digest"),
        (other_version, SignerAnswerError, "with this version"),
        (no_der, SignerAnswerError, "no DER sequence"),
    ],
)
async def test_google_trouble_is_a_typed_error(
    a_google: CheckedSigner,
    google: GoogleService,
    trouble: Callable[[GoogleService], None],
    kind: type[SignerError],
    told: str,
) -> None:
    await a_google.unlock()
    trouble(google)
    with pytest.raises(kind, match=told):
        await a_google.sign_transactions([transaction()])
    await a_google.close()


async def test_google_key_of_another_algorithm_is_refused(
    a_google: CheckedSigner, google: GoogleService
) -> None:
    google.algorithm = "EC_SIGN_P256_SHA256"
    with pytest.raises(SignerRefusedError, match="is of algorithm EC_SIGN_P256_SHA256"):
        await a_google.unlock()
    await a_google.close()


async def test_credentials_that_are_none_are_told_without_them(
    session: aiohttp.ClientSession, google: GoogleService, tmp_path: Path
) -> None:
    file = tmp_path / "account.json"
    told = json.loads(google.account_file())
    told["private_key"] = "-----BEGIN PRIVATE KEY-----secret-pem-----END PRIVATE KEY-----"
    file.write_text(json.dumps(told))
    for content in (json.dumps(told), "{}", "no"):
        file.write_text(content)
        signer = over(GcpKms(http(session, google), NAME, file), google.address)
        with pytest.raises(SignerRefusedError, match="no access token") as caught:
            await signer.unlock()
        assert "secret-pem" not in str(caught.value)
        await signer.close()


async def test_hanging_token_service_is_left_after_its_time(
    a_google: CheckedSigner, google: GoogleService
) -> None:
    a_google.timeout_s, google.hangs_s = 0.1, 0.5
    with pytest.raises(SignerUnavailableError, match="took more than"):
        await a_google.unlock()
    await a_google.close()
    await asyncio.sleep(0)


def test_stand_ins_hash_and_encode_by_themselves(web3signer: Web3SignerService) -> None:
    asked = Asked("GET", "/api/v1/eth1/publicKeys", {}, {})
    status, keys = web3signer.answer(asked)
    assert (status, keys) == (200, [hex_text(web3signer.point[1:])])
    assert keccak256(b"")[:4].hex() == "c5d24601"
