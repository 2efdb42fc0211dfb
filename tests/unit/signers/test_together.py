"""What one batch of several keys has signed: each key its own, in order, in one change of thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import pytest
from typing_extensions import override

from seawall.native import SignatureError
from seawall.native.wire import DynamicFeeTransaction, LocalKey, SignedTransaction, decode_transaction
from seawall.primitives.errors import SignerError, SignerUnavailableError
from seawall.signers.base import Signer
from seawall.signers.local import SIGNED_INLINE_MAX, LocalSigner
from seawall.signers.together import sign_together
from tests.builders.pipeline import ModelSigner

T = TypeVar("T")


@dataclass
class CountedOffload:
    calls: int = 0

    async def __call__(self, work: Callable[[], T]) -> T:
        self.calls += 1
        return work()


class SignerElsewhere(ModelSigner):
    """`fails` as a service that is away does."""

    @override
    async def sign_transactions(
        self, transactions: Sequence[DynamicFeeTransaction]
    ) -> list[SignedTransaction]:
        if self.fails:
            raise SignerUnavailableError("away", "here", "wait")
        return await ModelSigner.sign_transactions(self, transactions)


def elsewhere(*, fails: bool = False) -> SignerElsewhere:
    return SignerElsewhere(LocalKey.generate(), fails)


def batch(first: int, count: int) -> list[DynamicFeeTransaction]:
    return [
        DynamicFeeTransaction(1, n, 1, 10, 21_000, b"\x22" * 20, n, b"") for n in range(first, first + count)
    ]


def local(name: str) -> LocalSigner:
    return LocalSigner.holding(name, LocalKey.generate())


def require_signed(answer: object, signer: Signer, asked: Sequence[DynamicFeeTransaction]) -> None:
    assert isinstance(answer, list)
    found = [decode_transaction(one.raw) for one in answer]
    assert [one.fields for one in found] == list(asked)
    assert {one.sender for one in found} == {signer.address}
    assert [one.hash for one in found] == [one.hash for one in answer]


@pytest.mark.parametrize(("count", "changes"), [(SIGNED_INLINE_MAX // 2, 0), (SIGNED_INLINE_MAX, 1)])
async def test_keys_of_this_machine_sign_in_one_change_of_thread_if_they_are_many(
    count: int, changes: int
) -> None:
    signers, offload = [local("one"), local("other")], CountedOffload()
    asked = [batch(0, count), batch(100, count)]
    answers = await sign_together(list(zip(signers, asked, strict=True)), offload)
    for answer, signer, each in zip(answers, signers, asked, strict=True):
        require_signed(answer, signer, each)
    assert offload.calls == changes


async def test_bytes_are_those_of_each_key_alone() -> None:
    signer, asked = local("one"), batch(0, 40)
    ((together), alone) = (
        await sign_together([(signer, asked)], CountedOffload()),
        await signer.sign_transactions(asked),
    )
    assert isinstance(together[0], list)
    assert [one.raw for one in together[0]] == [one.raw for one in alone]


async def test_signer_that_fails_is_told_in_its_place_and_the_others_have_signed() -> None:
    locked, away = local("locked"), elsewhere(fails=True)
    await locked.close()
    signers: list[Signer] = [local("first"), locked, away, elsewhere(), local("last")]
    asked = [batch(place, 2) for place in range(len(signers))]
    answers = await sign_together(list(zip(signers, asked, strict=True)), CountedOffload())
    assert isinstance(answers[1], SignerError)
    assert isinstance(answers[2], SignerUnavailableError)
    for place in (0, 3, 4):
        require_signed(answers[place], signers[place], asked[place])


async def test_key_that_is_wiped_while_it_is_asked_signs_nothing() -> None:
    signer = local("one")

    async def wiping(work: Callable[[], T]) -> T:
        await signer.close()
        return work()

    with pytest.raises(SignatureError, match="wiped"):
        await sign_together([(signer, batch(0, SIGNED_INLINE_MAX + 1))], wiping)


async def test_nothing_asked_is_nothing_signed() -> None:
    assert await sign_together([], CountedOffload()) == []
