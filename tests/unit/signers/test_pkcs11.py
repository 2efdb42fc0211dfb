"""Keys in a token: a true PKCS#11 library, and all that goes wrong with tokens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from seawall.native.wire import DynamicFeeTransaction, decode_transaction, recover
from seawall.primitives.errors import (
    SignerAnswerError,
    SignerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.secrets import Secret, SecretPlace
from seawall.primitives.units import Address, Hash
from seawall.signers.checked import CheckedSigner
from seawall.signers.kinds import TokenKey
from seawall.signers.pkcs11 import SIGNED_AT_ONCE_MAX, Pkcs11
from tests.fixtures.softhsm import PIN, SoftHsm, softhsm

__all__ = ["softhsm"]

WRONG_PIN = "not-the-pin-0815"
LIBRARY_S = 20.0


@dataclass(slots=True)
class CountedPin:
    """How often the PIN was asked for."""

    pin: str = PIN
    reads: int = 0

    def place(self) -> SecretPlace:
        def read() -> Secret:
            self.reads += 1
            return Secret(self.pin)

        return SecretPlace("signers[0].pin", read)


@dataclass(slots=True)
class Token:
    """Makes signers over one key and ends their processes."""

    hsm: SoftHsm
    address: Address
    pin: CountedPin = field(default_factory=CountedPin)
    made: list[CheckedSigner] = field(default_factory=list)

    @property
    def key(self) -> TokenKey:
        return TokenKey(self.hsm.library, "seawall", None, "main", None, self.pin.place())

    def signer(
        self, key: TokenKey | None = None, address: Address | None = None, timeout_s: float = LIBRARY_S
    ) -> CheckedSigner:
        remote = Pkcs11(key or self.key)
        self.made.append(CheckedSigner("hsm", address or self.address, remote, timeout_s))
        return self.made[-1]

    async def unlocked(self) -> CheckedSigner:
        signer = self.signer()
        await signer.unlock()
        return signer


@pytest.fixture
async def token(softhsm: SoftHsm) -> AsyncIterator[Token]:
    made = Token(softhsm, softhsm.generate())
    yield made
    for signer in made.made:
        await signer.close()


def transaction(nonce: int = 7) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(31_337, nonce, 1, 10, 21_000, b"\x22" * 20, 1, b"")


def process_of(signer: CheckedSigner) -> int:
    remote = signer.remote
    assert isinstance(remote, Pkcs11)
    assert remote._running is not None
    return remote._running.process.pid


async def test_token_signs_transactions_and_digests(token: Token) -> None:
    signer = await token.unlocked()
    count = SIGNED_AT_ONCE_MAX + 3
    signed = await signer.sign_transactions([transaction(nonce) for nonce in range(count)])
    decoded = [decode_transaction(one.raw) for one in signed]
    assert [one.fields.nonce for one in decoded] == list(range(count))
    assert {one.sender for one in decoded} == {token.address}
    digest = Hash(b"\x05" * 32)
    assert recover(digest, await signer.sign_digest(digest)) == token.address
    assert token.pin.reads == 1


async def test_key_is_found_by_slot_and_id(token: Token, softhsm: SoftHsm) -> None:
    softhsm.generate("other")
    signer = await token.unlocked()
    present = replace(token.key, token_label="another token")
    with pytest.raises(SignerUnavailableError, match="there is no token 'another token'; present: 'seawall'"):
        await token.signer(present).unlock()
    by_id = token.signer(replace(token.key, key_label=None, key_id=b"main".hex()))
    await by_id.unlock()
    assert (await by_id.sign_transactions([transaction()]))[0].hash
    assert signer.ready


async def wrong_key(token: Token) -> CheckedSigner:
    return token.signer(replace(token.key, key_label="absent"))


async def two_keys(token: Token) -> CheckedSigner:
    token.hsm.generate()
    return token.signer()


async def other_curve(token: Token) -> CheckedSigner:
    token.hsm.generate("r1", curve="secp256r1")
    return token.signer(replace(token.key, key_label="r1"))


async def no_library(token: Token) -> CheckedSigner:
    return token.signer(replace(token.key, module=Path(__file__)))


async def no_slot(token: Token) -> CheckedSigner:
    return token.signer(replace(token.key, token_label=None, slot=99))


async def other_address(token: Token) -> CheckedSigner:
    return token.signer(address=Address(b"\x01" * 20))


@pytest.mark.parametrize(
    ("made", "kind", "told"),
    [
        (wrong_key, SignerRefusedError, "no EC key of this label and id"),
        (two_keys, SignerRefusedError, "several EC keys"),
        (other_curve, SignerRefusedError, "not on secp256k1"),
        (no_library, SignerRefusedError, "no PKCS#11 library that can be loaded"),
        (no_slot, SignerUnavailableError, "there is no slot 99; present: 'seawall'"),
        (other_address, SignerAnswerError, "correct address"),
    ],
    ids=["no key", "two keys", "other curve", "no library", "no slot", "other address"],
)
async def test_wrong_setting_is_told_and_leaks_nothing(
    token: Token, made: Callable[[Token], object], kind: type[SignerError], told: str
) -> None:
    signer = await made(token)  # type: ignore[misc]
    with pytest.raises(kind, match=told) as caught:
        await signer.unlock()
    assert caught.value.fix
    assert PIN not in str(caught.value) + repr(caught.value) + signer.trouble + repr(signer)


async def test_wrong_pin_is_tried_once_and_not_shown(token: Token) -> None:
    token.pin.pin = WRONG_PIN
    signer = token.signer()
    for _ in range(3):
        with pytest.raises(SignerRefusedError, match="the token refused the PIN") as caught:
            await signer.unlock()
        assert WRONG_PIN not in str(caught.value) + signer.trouble
    assert token.pin.reads == 1


async def test_removed_token_is_told_and_signs_again_once_it_is_back(token: Token) -> None:
    signer = await token.unlocked()
    await signer.sign_transactions([transaction()])
    token.hsm.remove_tokens()
    os.kill(process_of(signer), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(SignerUnavailableError):
            await signer.sign_transactions([transaction()])
    assert "there is no token 'seawall'; present: " in signer.trouble
    token.hsm.return_tokens()
    (signed,) = await signer.sign_transactions([transaction()])
    assert decode_transaction(signed.raw).sender == token.address
    assert signer.trouble == ""


async def test_token_that_is_pulled_out_in_a_session_signs_again_once_it_is_back(token: Token) -> None:
    signer = await token.unlocked()
    process = process_of(signer)
    token.hsm.remove_tokens()
    with pytest.raises(SignerUnavailableError, match="there is no token 'seawall'"):
        await signer.sign_transactions([transaction()])
    token.hsm.return_tokens()
    await signer.sign_transactions([transaction()])
    assert process_of(signer) == process


LOSES_ITS_SESSION = """
import json, sys
from seawall.signers.pkcs11_process import Token
token = Token(json.loads(sys.argv[1]))
point = token.point()
for lose in (lambda: token._session.close(), lambda: token._library.finalize()):
    token.sign(["05" * 32])
    lose()
    print(len(token.sign(["05" * 32] * 3)), token.point() == point)
"""


async def test_lost_session_is_opened_again_within_the_call(token: Token) -> None:
    asked = {
        "module": str(token.hsm.library), "token_label": "seawall", "slot": None,
        "key_label": "main", "key_id": None, "pin": PIN,
    }  # fmt: skip
    command = (sys.executable, "-c", LOSES_ITS_SESSION, json.dumps(asked))
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.stdout == "3 True\n" * 2, done.stderr


async def test_crashed_library_costs_one_call(token: Token) -> None:
    signer = await token.unlocked()
    os.kill(process_of(signer), signal.SIGSEGV)
    with pytest.raises(SignerUnavailableError, match=r"the process of libsofthsm2.so ended"):
        await signer.sign_transactions([transaction()])
    await signer.sign_transactions([transaction()])


async def test_hanging_library_costs_its_time_and_its_process(token: Token) -> None:
    signer, other = await token.unlocked(), await token.unlocked()
    signer.timeout_s = 0.3
    first = process_of(signer)
    os.kill(first, signal.SIGSTOP)
    waiting = asyncio.create_task(signer.sign_transactions([transaction()]))
    await asyncio.sleep(0)
    await other.sign_transactions([transaction()])
    with pytest.raises(SignerUnavailableError, match=r"signing at .* took more than 0\.3 s"):
        await waiting
    signer.timeout_s = LIBRARY_S
    await signer.sign_transactions([transaction()])
    assert process_of(signer) != first


async def test_pin_is_in_no_argument_nor_environment_of_the_process(token: Token) -> None:
    signer = await token.unlocked()
    folder = Path("/proc") / str(process_of(signer))
    assert PIN.encode() not in (folder / "cmdline").read_bytes()
    # Nobody but root reads more of a process that is not dumpable.
    with contextlib.suppress(PermissionError):
        assert PIN.encode() not in (folder / "environ").read_bytes()
    assert folder.stat().st_uid == 0
    limits = (folder / "limits").read_text()
    (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core.split()[4:6] == ["0", "0"]


async def test_process_ends_with_its_signer(token: Token) -> None:
    signer = await token.unlocked()
    number = process_of(signer)
    await signer.close()
    await signer.close()
    for _ in range(200):
        if not (Path("/proc") / str(number)).exists():
            return
        await asyncio.sleep(0.01)
    pytest.fail("the process goes on")


LYING_LIBRARY = """#!/bin/sh
read -r line
echo '{answer}' >&0
exec sleep 30
"""


@pytest.mark.parametrize("answer", ["nonsense", "[]", '{"signatures": ["xyz"]}', '{"point": "04"}', ""])
async def test_process_that_answers_nonsense_is_not_believed(
    token: Token, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    program = tmp_path / "python"
    program.write_text(LYING_LIBRARY.replace("{answer}", answer))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("seawall.signers.pkcs11.sys.executable", str(program))
    with pytest.raises(SignerError):
        await token.signer(timeout_s=5).unlock()
