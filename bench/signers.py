"""Signatures by every kind of key that runs here: how many a second in batches, and the p99 of a single one.

Beside each stands the bare library or a bare HTTP connection to the same token, service or program, one
signature after the other and without any check: what it can do at most, one at a time. AWS, Google, Vault and
Web3Signer are stand-ins that run in this process, on the same cores; their figures say what Seawall adds, not
how fast the services are. SoftHSM and clef are true.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.rows import Row
from seawall.native.limits import bench_bare_sign
from seawall.native.wire import DynamicFeeTransaction, LocalKey, Password, signing_digest, signing_payload
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address, hex_text
from seawall.signers.base import KernelSigner
from seawall.signers.json_rpc import transaction_object
from seawall.signers.kinds import (
    AwsKmsKey,
    ClefKey,
    GcpKmsKey,
    HttpAccess,
    KeyKind,
    KeystoreKey,
    RemoteKey,
    TokenKey,
    VaultKey,
    VaultLogin,
    Web3SignerKey,
    Web3SignerMethod,
)
from seawall.signers.local import THROWAWAY_COST
from seawall.signers.opening import open_signer
from tests.fixtures.aws import REGION, running_kms
from tests.fixtures.clef import running_clef
from tests.fixtures.signing_services import (
    NAME,
    GoogleService,
    VaultService,
    Web3SignerService,
    served,
)
from tests.fixtures.softhsm import PIN, made_softhsm

__all__ = ["PARTS", "measure"]

CHAIN_ID: Final = 31_337
BATCH: Final = 16
ROUND_S: Final = 1.0
ROUNDS: Final = 3
SINGLES: Final = 200
TIMEOUT_S: Final = 60.0
TOKEN: Final = "token-of-the-benchmark"

Bare = Callable[[DynamicFeeTransaction], object]


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    key: KeyKind
    bare_name: str
    bare: Bare | None  # None: a loop in native code
    is_limit: bool = False  # nothing could be faster than the bare library


def measure() -> list[Row]:
    return [row for part in PARTS.values() for row in part()]


def _of(made: Callable[[Path, ExitStack], Case]) -> Callable[[], list[Row]]:
    def rows() -> list[Row]:
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            return asyncio.run(_measured(made(Path(folder), stack)))

    return rows


async def _measured(case: Case) -> list[Row]:
    signer = open_signer("bench", case.key)
    await signer.unlock()
    try:
        await signer.sign_transactions(_batch(0))
        rate = bare_rate = 0.0
        # Interleaved, so that other load on the machine falls on both alike.
        for _ in range(ROUNDS):
            rate = max(rate, await _rate(signer))
            bare_rate = max(bare_rate, await _bare_rate(case.bare))
        p99_ms = await _p99_ms(lambda one: signer.sign_transactions([one]))
        bare_p99_ms = await _p99_ms(_away(case.bare)) if case.bare is not None else None
    finally:
        await signer.close()
    return [
        Row(
            f"{case.name}: batches of {BATCH}",
            "signatures/s",
            rate,
            {case.bare_name: bare_rate},
            bare_rate if case.is_limit else None,
        ),
        Row(
            f"{case.name}: one signature, p99",
            "ms",
            p99_ms,
            {} if bare_p99_ms is None else {case.bare_name: bare_p99_ms},
        ),
    ]


def _batch(first: int, count: int = BATCH) -> list[DynamicFeeTransaction]:
    # Calldata that clef's own check lets through: a selector.
    return [
        DynamicFeeTransaction(
            CHAIN_ID, nonce, 10**9, 10**11, 200_000, b"\x42" * 20, 10**17, b"\xd0\xe3\x0d\xb0"
        )
        for nonce in range(first, first + count)
    ]


async def _rate(signer: KernelSigner) -> float:
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < ROUND_S:
        count += len(await signer.sign_transactions(_batch(count)))
    return count / (time.perf_counter() - begin)


async def _bare_rate(bare: Bare | None) -> float:
    if bare is None:
        return max(BATCH * 100 / bench_bare_sign(BATCH * 100) for _ in range(10))

    def loop() -> float:
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < ROUND_S:
            bare(_batch(count, 1)[0])
            count += 1
        return count / (time.perf_counter() - begin)

    return await asyncio.to_thread(loop)


def _away(bare: Bare) -> Callable[[DynamicFeeTransaction], Awaitable[object]]:
    """On its own, without the loop: measured on the calling thread."""

    async def once(one: DynamicFeeTransaction) -> object:
        return bare(one)

    return once


async def _p99_ms(sign: Callable[[DynamicFeeTransaction], Awaitable[object]]) -> float:
    took_s = []
    for one in _batch(0, SINGLES):
        begin = time.perf_counter()
        await sign(one)
        took_s.append(time.perf_counter() - begin)
    return sorted(took_s)[SINGLES * 99 // 100] * 1e3


# ------------------------------------------------------------------ kinds


def _keystore(folder: Path, stack: ExitStack) -> Case:
    password, path = "password-of-the-benchmark", folder / "key.json"
    cost = THROWAWAY_COST
    text = LocalKey.generate().to_keystore(Password.from_text(password), n=cost.n, r=cost.r, p=cost.p)
    path.write_text(text)
    return Case(
        "keystore", KeystoreKey(path, _place(password)), "libsecp256k1 in a bare loop", None, is_limit=True
    )


def _pkcs11(folder: Path, stack: ExitStack) -> Case:
    hsm = made_softhsm(folder / "hsm")
    stack.enter_context(_environment(hsm.environment))
    hsm.init_token()
    address = hsm.generate("main")
    import pkcs11

    library: Any = pkcs11.lib(str(hsm.library))
    session = library.get_token(token_label="seawall").open(user_pin=PIN)
    stack.callback(session.close)
    key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label="main")

    def bare(one: DynamicFeeTransaction) -> object:
        return key.sign(signing_digest(one), mechanism=pkcs11.Mechanism.ECDSA)

    token = TokenKey(hsm.library, "seawall", None, "main", None, _place(PIN))
    return Case(
        "pkcs11 (SoftHSM)", RemoteKey(address, TIMEOUT_S, token), "python-pkcs11", bare, is_limit=True
    )


def _aws(folder: Path, stack: ExitStack) -> Case:
    kms = stack.enter_context(running_kms())
    key_id = kms.new_key()

    def bare(one: DynamicFeeTransaction) -> object:
        return kms.client.sign(
            KeyId=key_id,
            Message=signing_digest(one),
            MessageType="DIGEST",
            SigningAlgorithm="ECDSA_SHA_256",
        )

    key = RemoteKey(kms.address(key_id), TIMEOUT_S, AwsKmsKey(key_id, REGION, kms.endpoint))
    return Case("aws-kms (moto)", key, "boto3", bare)


def _gcp(folder: Path, stack: ExitStack) -> Case:
    service = stack.enter_context(served(GoogleService()))
    (folder / "account.json").write_text(service.account_file())
    post = _posting(stack, service.url)

    def bare(one: DynamicFeeTransaction) -> object:
        from seawall.signers.crc32c import crc32c

        digest = signing_digest(one)
        body = {
            "digest": {"sha256": base64.b64encode(digest).decode()},
            "digestCrc32c": str(crc32c(digest)),
        }
        headers = {"Authorization": f"Bearer {service.tokens[-1]}"}
        return post(f"/v1/{NAME}:asymmetricSign", body, headers)

    access = HttpAccess(service.url)
    key = RemoteKey(service.address, TIMEOUT_S, GcpKmsKey(NAME, access, folder / "account.json"))
    return Case("gcp-kms (stand-in)", key, "bare HTTP", bare)


def _vault(folder: Path, stack: ExitStack) -> Case:
    service = stack.enter_context(served(VaultService(tokens={TOKEN: 10**9})))
    post = _posting(stack, service.url)

    def bare(one: DynamicFeeTransaction) -> object:
        body = {"data": base64.urlsafe_b64encode(signing_digest(one)).decode()}
        return post("/v1/quorum/keys/main/sign", body, {"X-Vault-Token": TOKEN})

    reached = VaultKey(HttpAccess(service.url), "quorum", "main", VaultLogin(_place(TOKEN)))
    return Case("vault (stand-in)", RemoteKey(service.address, TIMEOUT_S, reached), "bare HTTP", bare)


def _web3signer(folder: Path, stack: ExitStack) -> Case:
    service = stack.enter_context(served(Web3SignerService()))
    post = _posting(stack, service.url)
    path = f"/api/v1/eth1/sign/{hex_text(service.point[1:])}"

    def bare(one: DynamicFeeTransaction) -> object:
        return post(path, {"data": hex_text(signing_payload(one))}, {})

    reached = Web3SignerKey(HttpAccess(service.url), Web3SignerMethod.SIGN)
    return Case("web3signer (stand-in)", RemoteKey(service.address, TIMEOUT_S, reached), "bare HTTP", bare)


def _clef(folder: Path, stack: ExitStack) -> Case:
    clef = stack.enter_context(running_clef(folder / "clef", CHAIN_ID))
    post = _posting(stack, clef.url)

    def bare(one: DynamicFeeTransaction) -> object:
        params = [transaction_object(one, Address(clef.address))]
        body = {"jsonrpc": "2.0", "id": 1, "method": "account_signTransaction", "params": params}
        return post("/", body, {})

    key = RemoteKey(clef.address, TIMEOUT_S, ClefKey(HttpAccess(clef.url)))
    return Case("clef", key, "bare HTTP", bare)


PARTS: Final[Mapping[str, Callable[[], list[Row]]]] = {
    "keystore": _of(_keystore),
    "pkcs11": _of(_pkcs11),
    "aws-kms": _of(_aws),
    "gcp-kms": _of(_gcp),
    "vault": _of(_vault),
    "web3signer": _of(_web3signer),
    "clef": _of(_clef),
}


def _place(text: str) -> SecretPlace:
    return SecretPlace("bench", lambda: Secret(text))


def _posting(stack: ExitStack, url: str) -> Callable[[str, object, Mapping[str, str]], object]:
    """One kept connection that posts JSON and reads the answer."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=TIMEOUT_S)
    stack.callback(connection.close)

    def post(path: str, body: object, headers: Mapping[str, str]) -> object:
        kind = {"Content-Type": "application/json"}
        connection.request("POST", path, json.dumps(body), {**kind, **headers})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == http.client.OK, content
        return content

    return post


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
