"""Whatever a service answers, of any status and content: a signature of ours, or one of our errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from seawall.native.wire import DynamicFeeTransaction
from seawall.primitives.errors import SignerError
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address
from seawall.signers.checked import CheckedSigner, Remote
from seawall.signers.clef import Clef
from seawall.signers.gcp_kms import GcpKms
from seawall.signers.http import HttpAnswer, HttpPlace
from seawall.signers.json_rpc import JsonRpc
from seawall.signers.kinds import VaultLogin, Web3SignerMethod
from seawall.signers.vault import Vault
from seawall.signers.web3signer import Web3Signer
from tests.fixtures.signing_services import NAME

ADDRESS = Address(b"\x01" * 20)
# The words that these services speak, so that answers come deep into what reads them.
KEYS = st.sampled_from(
    [
        "id", "result", "error", "raw", "data", "auth", "client_token", "signature", "publicKey", "curve",
        "pem", "algorithm", "name", "verifiedDigestCrc32c", "signatureCrc32c", "pemCrc32c", "message",
        "status",
    ]
)  # fmt: skip
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 2),
    st.sampled_from(["", "0x", "0x02c0", "0x" + "04" * 65, "0x" + "11" * 65, "secp256k1", "AAAA", NAME, "ü"]),
    st.text(max_size=8),
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)
ANSWERS = st.tuples(
    st.sampled_from([200, 204, 301, 400, 401, 403, 404, 500, 503]),
    st.binary(max_size=40) | DOCUMENTS.map(lambda told: json.dumps(told).encode()),
)


@dataclass(frozen=True, slots=True)
class Answering(HttpPlace):
    """Answers what it was given, in turn, and the last for ever."""

    answers: list[HttpAnswer] = field(default_factory=list)

    @override
    async def ask(
        self, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> HttpAnswer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    @override
    async def close(self) -> None:
        return


@dataclass(slots=True)
class WithToken(GcpKms):
    """Google's, without asking for a token."""

    @override
    async def _headers(self) -> Mapping[str, str]:
        return {}


def place() -> SecretPlace:
    return SecretPlace("here", lambda: Secret("token"))


MAKERS: list[Callable[[HttpPlace], Remote]] = [
    lambda http: Web3Signer(http, ADDRESS),
    lambda http: Web3Signer(http, ADDRESS, Web3SignerMethod.SIGN_TRANSACTION),
    lambda http: Clef(JsonRpc(http), ADDRESS),
    lambda http: Vault(http, "quorum", "main", VaultLogin(place())),
    lambda http: WithToken(http, NAME),
]


@given(made=st.sampled_from(MAKERS), answers=st.lists(ANSWERS, min_size=1, max_size=3), is_open=st.booleans())
def test_any_answer_is_one_of_our_errors(
    made: Callable[[HttpPlace], Remote], answers: list[tuple[int, bytes]], is_open: bool
) -> None:
    told = [HttpAnswer(status, body) for status, body in answers]
    session = cast(aiohttp.ClientSession, cast(Any, None))
    signer = CheckedSigner("far", ADDRESS, made(Answering(session, "", "the service", told)))
    signer.ready = is_open

    async def asked() -> None:
        if not is_open:
            await signer.unlock()
        one = DynamicFeeTransaction(31_337, 7, 1, 10, 21_000, b"\x22" * 20, 1, b"")
        await signer.sign_transactions([one])

    # Nobody here has the key of this address.
    with pytest.raises(SignerError) as caught:
        asyncio.run(asked())
    assert caught.value.what
    assert caught.value.where
