"""A true clef: what its rules approve is signed as it was asked, everything else is a clear no."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from seawall.native.wire import DynamicFeeTransaction, decode_transaction
from seawall.primitives.errors import SignerAnswerError, SignerRefusedError, SignerUnavailableError
from seawall.primitives.units import Address, Hash
from seawall.signers.checked import CheckedSigner
from seawall.signers.clef import Clef
from seawall.signers.http import HttpPlace
from seawall.signers.json_rpc import JsonRpc
from tests.fixtures.clef import KEY_PASSWORD, REFUSED, SEED_PASSWORD, running_clef
from tests.fixtures.clef import Clef as RunningClef

CHAIN_ID = 31_337
CALL_S = 20.0
ACCESS_LIST = ((b"\x33" * 20, (b"\x01" * 32, b"\x02" * 32)),)


@pytest.fixture(scope="module")
def clef(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningClef]:
    with running_clef(tmp_path_factory.mktemp("clef") / "c", CHAIN_ID) as running:
        yield running


@pytest.fixture
async def signer(clef: RunningClef) -> AsyncIterator[CheckedSigner]:
    http = HttpPlace(aiohttp.ClientSession(), clef.url, "clef")
    made = CheckedSigner("clef", clef.address, Clef(JsonRpc(http), clef.address), CALL_S)
    yield made
    await made.close()


def transaction(nonce: int = 7) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(
        CHAIN_ID, nonce, 1, 10, 30_000, b"\x22" * 20, 1, b"\xd0\xe3\x0d\xb0", ACCESS_LIST
    )


async def test_clef_signs_what_its_rules_approve(signer: CheckedSigner) -> None:
    await signer.unlock()
    asked = [transaction(nonce) for nonce in range(4)]
    asked.append(transaction(9)._replace(data=b"", access_list=()))
    signed = await signer.sign_transactions(asked)
    decoded = [decode_transaction(one.raw) for one in signed]
    assert [one.fields for one in decoded] == asked
    assert {one.sender for one in decoded} == {signer.address}


async def test_what_the_rules_reject_is_a_refusal_in_clefs_words(
    signer: CheckedSigner, clef: RunningClef
) -> None:
    await signer.unlock()
    with pytest.raises(
        SignerRefusedError, match="refuses account_signTransaction: 'request denied'"
    ) as caught:
        await signer.sign_transactions([transaction()._replace(to=REFUSED)])
    for secret in (KEY_PASSWORD, SEED_PASSWORD):
        assert secret not in str(caught.value)
    await signer.sign_transactions([transaction()])


async def test_other_chain_is_refused(signer: CheckedSigner) -> None:
    await signer.unlock()
    with pytest.raises(SignerRefusedError, match="account_signTransaction"):
        await signer.sign_transactions([transaction()._replace(chain_id=1)])


async def test_clef_signs_no_bare_digest(signer: CheckedSigner) -> None:
    await signer.unlock()
    with pytest.raises(SignerRefusedError, match="no bare digest"):
        await signer.sign_digest(Hash(b"\x05" * 32))


async def test_key_that_clef_does_not_hold_is_not_opened(signer: CheckedSigner) -> None:
    signer.address = Address(b"\x01" * 20)
    with pytest.raises(SignerAnswerError, match="clef holds 0x"):
        await signer.unlock()


async def test_clef_that_waits_for_its_person_is_left_after_a_time(tmp_path: Path) -> None:
    waits = 'function ApproveListing() { return "Approve" }\n'
    with running_clef(tmp_path / "c", CHAIN_ID, waits) as clef:
        http = HttpPlace(aiohttp.ClientSession(), clef.url, "clef")
        signer = CheckedSigner("clef", clef.address, Clef(JsonRpc(http), clef.address), CALL_S)
        await signer.unlock()
        signer.timeout_s = 0.3
        with pytest.raises(SignerUnavailableError, match=r"signing at clef took more than 0\.3 s"):
            await signer.sign_transactions([transaction()])
        await signer.close()
