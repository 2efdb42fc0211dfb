"""Whatever stands behind the door may answer: only our key's signature over our content comes through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from seawall.native.wire import DynamicFeeTransaction, LocalKey, decode_transaction, recover
from seawall.primitives.errors import (
    SignerAnswerError,
    SignerBusyError,
    SignerError,
    SignerRefusedError,
    SignerUnavailableError,
)
from seawall.primitives.units import Address, Hash
from seawall.signers.base import KernelSigner
from seawall.signers.checked import (
    BUSY_TRIES_MAX,
    HALF_ORDER,
    Answer,
    CheckedSigner,
    EthereumSignature,
    PlainSignature,
    RawAnswer,
    SigningRequest,
)

ORDER = 2 * HALF_ORDER + 1
HUNG_S = 30.0
DIGEST = Hash(b"\x07" * 32)


@dataclass(slots=True)
class ScriptedRemote:
    """Fulfils `Remote` over a key, and answers as `answer` says."""

    key: LocalKey = field(default_factory=LocalKey.generate)
    answer: Callable[[LocalKey, SigningRequest], Answer] = lambda key, request: PlainSignature(
        key.sign_digest(request.digest)[:64]
    )
    held: Sequence[Address] | None = None
    failures: list[SignerError] = field(default_factory=list)
    hangs: bool = False
    calls: int = 0
    closed: bool = False
    place: str = "the scripted remote"
    per_call_max: int = 100
    calls_at_once_max: int = 1

    async def open(self) -> Sequence[Address]:
        await self._called()
        return [Address(self.key.address)] if self.held is None else self.held

    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        await self._called()
        return [self.answer(self.key, request) for request in requests]

    async def close(self) -> None:
        self.closed = True

    async def _called(self) -> None:
        self.calls += 1
        if self.hangs:
            await asyncio.sleep(HUNG_S)
        if self.failures:
            raise self.failures.pop(0)


@dataclass(slots=True)
class QuickClock:
    """Pauses are counted, not taken."""

    pauses: list[float] = field(default_factory=list)

    def now_s(self) -> int:
        return 0

    def monotonic_s(self) -> float:
        return 0.0

    async def sleep_s(self, duration_s: float) -> None:
        self.pauses.append(duration_s)


def transaction(nonce: int = 7) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(31_337, nonce, 1, 10, 21_000, b"\x22" * 20, 1, b"")


def signer_over(remote: ScriptedRemote, timeout_s: float = 5.0) -> CheckedSigner:
    return CheckedSigner("far", Address(remote.key.address), remote, timeout_s, QuickClock())


async def unlocked(remote: ScriptedRemote) -> CheckedSigner:
    signer = signer_over(remote)
    await signer.unlock()
    return signer


def high(compact: bytes) -> bytes:
    return compact[:32] + (ORDER - int.from_bytes(compact[32:64])).to_bytes(32)


async def test_plain_signature_becomes_our_transaction() -> None:
    remote = ScriptedRemote()
    signer: KernelSigner = await unlocked(remote)
    signed = await signer.sign_transactions([transaction(nonce) for nonce in range(5)])
    decoded = [decode_transaction(one.raw) for one in signed]
    assert [one.fields for one in decoded] == [transaction(nonce) for nonce in range(5)]
    assert {one.sender for one in decoded} == {remote.key.address}
    assert [one.hash for one in decoded] == [one.hash for one in signed]
    assert (signer.is_local, signer.ready, signer.trouble) == (False, True, "")


async def test_checked_bytes_are_those_of_a_local_key() -> None:
    remote = ScriptedRemote(answer=lambda key, asked: PlainSignature(high(key.sign_digest(asked.digest))))
    signer = await unlocked(remote)
    many = [transaction(nonce) for nonce in range(64)]  # both parities are among them
    assert [one.raw for one in await signer.sign_transactions(many)] == [
        one.raw for one in remote.key.sign_transactions(many)
    ]


async def test_high_s_of_a_plain_signer_is_lowered_and_recovers() -> None:
    remote = ScriptedRemote(answer=lambda key, asked: PlainSignature(high(key.sign_digest(asked.digest))))
    signer = await unlocked(remote)
    signature = await signer.sign_digest(DIGEST)
    assert int.from_bytes(signature[32:64]) <= HALF_ORDER
    assert recover(DIGEST, signature) == signer.address


def ethereum(signature: bytes) -> EthereumSignature:
    return EthereumSignature(signature)


OTHER = LocalKey.generate()
WRONG: dict[str, Callable[[LocalKey, SigningRequest], Answer]] = {
    "other key": lambda key, asked: PlainSignature(OTHER.sign_digest(asked.digest)[:64]),
    "other digest": lambda key, asked: PlainSignature(key.sign_digest(Hash(b"\x08" * 32))[:64]),
    "truncated": lambda key, asked: PlainSignature(key.sign_digest(asked.digest)[:63]),
    "nothing": lambda key, asked: PlainSignature(b""),
    "zeros": lambda key, asked: PlainSignature(bytes(64)),
    "r of the order": lambda key, asked: PlainSignature(
        ORDER.to_bytes(32) + key.sign_digest(asked.digest)[32:64]
    ),
    "ones": lambda key, asked: PlainSignature(b"\xff" * 64),
    "high s promised low": lambda key, asked: ethereum(
        high(key.sign_digest(asked.digest)) + bytes([1 - key.sign_digest(asked.digest)[64]])
    ),
    "wrong parity": lambda key, asked: ethereum(
        key.sign_digest(asked.digest)[:64] + bytes([1 - key.sign_digest(asked.digest)[64]])
    ),
    "parity of 27": lambda key, asked: ethereum(key.sign_digest(asked.digest)[:64] + b"\x1b"),
    "64 of 65 bytes": lambda key, asked: ethereum(key.sign_digest(asked.digest)[:64]),
    "no transaction": lambda key, asked: RawAnswer(b"\x02\xc0"),
    "empty": lambda key, asked: RawAnswer(b""),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_wrong_answer_is_an_error_before_it_is_used(wrong: str) -> None:
    signer = await unlocked(ScriptedRemote(answer=WRONG[wrong]))
    with pytest.raises(SignerAnswerError, match=r"wrong answer of the scripted remote.*signers\.far"):
        await signer.sign_transactions([transaction()])
    with pytest.raises(SignerAnswerError):
        await signer.sign_digest(DIGEST)
    assert "wrong answer" in signer.trouble


async def test_right_answers_in_every_form_come_through() -> None:
    forms: list[Callable[[LocalKey, SigningRequest], Answer]] = [
        lambda key, asked: ethereum(key.sign_digest(asked.digest)),
        lambda key, asked: RawAnswer(key.sign_transactions([transaction()])[0].raw),
    ]
    for answer in forms:
        remote = ScriptedRemote(answer=answer)
        signer = await unlocked(remote)
        (signed,) = await signer.sign_transactions([transaction()])
        assert signed.raw == remote.key.sign_transactions([transaction()])[0].raw


CHANGES = {
    "chain_id": transaction()._replace(chain_id=1),
    "nonce": transaction()._replace(nonce=8),
    "max_priority_fee_per_gas_wei": transaction()._replace(max_priority_fee_per_gas_wei=2),
    "max_fee_per_gas_wei": transaction()._replace(max_fee_per_gas_wei=11),
    "gas_limit": transaction()._replace(gas_limit=22_000),
    "to": transaction()._replace(to=b"\x23" * 20),
    "value_wei": transaction()._replace(value_wei=2),
    "data": transaction()._replace(data=b"\x01"),
    "access_list": transaction()._replace(access_list=((b"\x22" * 20, ()),)),
}


@pytest.mark.parametrize("changed", CHANGES)
async def test_transaction_with_a_changed_field_is_refused_by_its_name(changed: str) -> None:
    other = CHANGES[changed]
    remote = ScriptedRemote(answer=lambda key, asked: RawAnswer(key.sign_transactions([other])[0].raw))
    signer = await unlocked(remote)
    with pytest.raises(SignerAnswerError, match=f"another transaction .*: {changed}"):
        await signer.sign_transactions([transaction()])


async def test_raw_transaction_of_another_key_is_refused() -> None:
    remote = ScriptedRemote(
        answer=lambda _, asked: RawAnswer(OTHER.sign_transactions([transaction()])[0].raw)
    )
    signer = await unlocked(remote)
    with pytest.raises(SignerAnswerError):
        await signer.sign_transactions([transaction()])


async def test_raw_transaction_is_no_answer_to_a_digest() -> None:
    remote = ScriptedRemote(
        answer=lambda key, asked: RawAnswer(key.sign_transactions([transaction()])[0].raw)
    )
    signer = await unlocked(remote)
    with pytest.raises(SignerAnswerError):
        await signer.sign_digest(DIGEST)


@dataclass(slots=True)
class Forgetful(ScriptedRemote):
    @override
    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        return (await ScriptedRemote.sign(self, requests))[:-1]


async def test_fewer_answers_than_requests_are_refused() -> None:
    signer = await unlocked(Forgetful())
    with pytest.raises(SignerAnswerError, match="2 answers to 3 requests"):
        await signer.sign_transactions([transaction(nonce) for nonce in range(3)])


async def test_key_of_another_address_is_never_opened() -> None:
    remote = ScriptedRemote(held=[Address(OTHER.address)])
    signer = signer_over(remote)
    with pytest.raises(SignerAnswerError, match="correct address"):
        await signer.unlock()
    assert not signer.ready
    with pytest.raises(SignerUnavailableError, match="not open yet"):
        await signer.sign_transactions([transaction()])
    assert remote.calls == 1


async def test_remote_without_a_key_is_never_opened() -> None:
    signer = signer_over(ScriptedRemote(held=[]))
    with pytest.raises(SignerAnswerError, match="holds no key, not 0x"):
        await signer.unlock()


async def test_hanging_remote_costs_its_own_time_and_no_other_signers() -> None:
    hung, well = signer_over(ScriptedRemote(), timeout_s=0.2), await unlocked(ScriptedRemote())
    await hung.unlock()
    assert isinstance(hung.remote, ScriptedRemote)
    hung.remote.hangs = True
    waiting = asyncio.create_task(hung.sign_transactions([transaction()]))
    await asyncio.sleep(0)
    await well.sign_transactions([transaction()])
    assert not waiting.done()
    with pytest.raises(SignerUnavailableError, match=r"took more than 0\.2 s"):
        await waiting
    hung.remote.hangs = False
    await hung.sign_transactions([transaction()])
    assert hung.trouble == ""


async def test_hanging_remote_is_not_opened_for_ever() -> None:
    signer = signer_over(ScriptedRemote(hangs=True), timeout_s=0.1)
    with pytest.raises(SignerUnavailableError, match="opening"):
        await signer.unlock()


async def test_throttled_call_is_repeated_with_longer_pauses() -> None:
    remote = ScriptedRemote()
    signer = await unlocked(remote)
    remote.failures = [SignerBusyError("asked too often", "", "wait")] * 3
    await signer.sign_transactions([transaction()])
    assert isinstance(signer.clock, QuickClock)
    assert signer.clock.pauses == [0.1, 0.2, 0.4]
    assert signer.trouble == ""


async def test_throttling_without_end_is_told() -> None:
    remote = ScriptedRemote()
    signer = await unlocked(remote)
    remote.failures = [SignerBusyError("asked too often", "", "wait")] * BUSY_TRIES_MAX
    with pytest.raises(SignerBusyError, match="asked too often"):
        await signer.sign_transactions([transaction()])
    assert remote.calls == 1 + BUSY_TRIES_MAX


async def test_refusal_is_asked_once_and_keeps_its_kind() -> None:
    remote = ScriptedRemote()
    signer = await unlocked(remote)
    remote.failures = [SignerRefusedError("a rule says no", "", "change the rule")]
    with pytest.raises(SignerRefusedError, match=r"a rule says no \(at signers.far\)"):
        await signer.sign_transactions([transaction()])
    assert remote.calls == 2
    await signer.sign_transactions([transaction()])


async def test_closed_signer_signs_no_more() -> None:
    remote = ScriptedRemote()
    signer = await unlocked(remote)
    await signer.close()
    assert remote.closed
    with pytest.raises(SignerUnavailableError):
        await signer.sign_digest(DIGEST)


@dataclass(slots=True)
class Counted(ScriptedRemote):
    """Notes how many calls run at once; the one with the nonce of `refused` is refused."""

    per_call_max: int = 2
    calls_at_once_max: int = 3
    refused: int = -1
    running: int = 0
    most: int = 0
    ended: int = 0

    @override
    async def sign(self, requests: Sequence[SigningRequest]) -> Sequence[Answer]:
        assert len(requests) <= self.per_call_max
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            nonces = [one.transaction.nonce for one in requests if one.transaction is not None]
            # Later ones answer sooner, so that order is not kept by chance.
            await asyncio.sleep(0.001 * (20 - nonces[0] % 20))
            if self.refused in nonces:
                raise SignerRefusedError("no")
            self.ended += 1
            return await ScriptedRemote.sign(self, requests)
        finally:
            self.running -= 1


async def test_many_are_split_into_calls_whose_answers_keep_their_order() -> None:
    remote = Counted()
    signer = await unlocked(remote)
    asked = [transaction(nonce) for nonce in range(15)]
    signed = await signer.sign_transactions(asked)
    assert [decode_transaction(one.raw).fields for one in signed] == asked
    assert (remote.most, remote.ended) == (3, 8)


async def test_first_call_that_fails_ends_the_others() -> None:
    remote = Counted(refused=4)
    signer = await unlocked(remote)
    with pytest.raises(SignerRefusedError):
        await signer.sign_transactions([transaction(nonce) for nonce in range(60)])
    await asyncio.sleep(0.1)
    assert remote.running == 0
    assert remote.ended < 10


async def test_many_slow_signatures_have_each_their_own_time() -> None:
    remote = Counted(per_call_max=1, calls_at_once_max=1)
    signer = await unlocked(remote)
    signer.timeout_s = 1.0
    # Together they take longer than one call may.
    await signer.sign_transactions([transaction(0)] * 60)
    assert remote.ended == 60


async def test_only_the_throttled_call_is_repeated() -> None:
    remote = ScriptedRemote(per_call_max=1, calls_at_once_max=1)
    signer = await unlocked(remote)
    remote.failures = [SignerBusyError("asked too often", "", "wait")]
    await signer.sign_transactions([transaction(nonce) for nonce in range(5)])
    assert remote.calls == 1 + 5 + 1
