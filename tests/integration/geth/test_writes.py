"""The broadcast port against geth: every answer that a write can get, and what is known of its bytes."""

from __future__ import annotations

import asyncio
from pathlib import Path

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteAnswer, WriteResult
from seawall.chain.node_errors import NodeError
from seawall.control.latch import Latch
from seawall.native import LocalKey, SignedTransaction
from seawall.primitives.levels import WriteKind
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash
from tests.fixtures.anvil import running_anvil
from tests.fixtures.geth import GWEI, Geth, transaction

TARGET = Address(b"\x11" * 20)
FOREVER_S = 2**40
WAITS_WEI = 100_000


async def written(latch: Path, signed: list[SignedTransaction], *urls: str) -> list[WriteResult]:
    port = SocketBroadcastPort(urls, Latch(latch), clock=SystemClock())
    try:
        writes = [SignedWrite(WriteKind.PLAN, Hash(one.hash), one.raw, FOREVER_S) for one in signed]
        return await port.write(writes)
    finally:
        await port.close()


def signed_by(
    key: LocalKey,
    *nonces: int,
    tip_wei: int = 2 * GWEI,
    fee_gwei: int = 20,
    gas_limit: int = 100_000,
    value_wei: int = 0,
) -> list[SignedTransaction]:
    return key.sign_transactions(
        [
            transaction(
                nonce, TARGET, value_wei=value_wei, gas_limit=gas_limit, fee_gwei=fee_gwei, tip_wei=tip_wei
            )
            for nonce in nonces
        ]
    )


async def test_batch_is_accepted_lands_and_is_then_a_used_nonce(geth: Geth, tmp_path: Path) -> None:
    (key,) = geth.funded_keys(1)
    batch = signed_by(key, *range(12), tip_wei=WAITS_WEI)
    results = await written(tmp_path / "latch", batch, geth.url)
    assert [(one.answer, one.error) for one in results] == [(WriteAnswer.ACCEPTED, None)] * 12
    results = await written(tmp_path / "latch", batch[:2], geth.url)
    assert [(one.answer, one.error) for one in results] == [(WriteAnswer.KNOWN, NodeError.ALREADY_KNOWN)] * 2
    dearer = signed_by(key, *range(12), fee_gwei=40)
    assert {one.answer for one in await written(tmp_path / "latch", dearer, geth.url)} == {
        WriteAnswer.ACCEPTED
    }
    await asyncio.to_thread(geth.receipt, dearer[-1].hash)
    for used in (batch[:1], dearer[:1]):
        (result,) = await written(tmp_path / "latch", used, geth.url)
        assert (result.answer, result.error) == (WriteAnswer.UNKNOWN, NodeError.NONCE_TOO_LOW), (
            "by these bytes or by others: the chain is asked, and says that it was"
        )
    assert (geth.knows(dearer[0].hash), geth.knows(batch[0].hash)) == (True, False)


async def test_one_batch_gets_an_answer_for_each_of_its_writes(geth: Geth, tmp_path: Path) -> None:
    (key,), poor = geth.funded_keys(1), LocalKey.generate()
    (held,) = signed_by(key, 0, tip_wei=WAITS_WEI)
    geth.send(held)
    batch = [
        held,
        *signed_by(key, 0, tip_wei=WAITS_WEI, value_wei=1),
        *signed_by(poor, 0),
        *signed_by(key, 1, gas_limit=20_000),
        *signed_by(key, 1, gas_limit=16_000_000),
        *signed_by(key, 1, tip_wei=0),
        *signed_by(key, 9, tip_wei=WAITS_WEI),
        *signed_by(key, 1, tip_wei=WAITS_WEI),
    ]
    results = await written(tmp_path / "latch", batch, geth.url)
    rejected = WriteAnswer.REJECTED
    assert [(one.answer, one.error) for one in results] == [
        (WriteAnswer.KNOWN, NodeError.ALREADY_KNOWN),
        (rejected, NodeError.UNDERPRICED_REPLACEMENT),
        (rejected, NodeError.INSUFFICIENT_FUNDS),
        (rejected, NodeError.GAS_TOO_LOW),
        (rejected, NodeError.GAS_TOO_HIGH),
        (rejected, NodeError.FEE_TOO_LOW),
        (WriteAnswer.ACCEPTED, None),
        (WriteAnswer.ACCEPTED, None),
    ]


async def test_endpoint_of_another_chain_cannot_spoil_an_accepted_write(geth: Geth, tmp_path: Path) -> None:
    (key,) = geth.funded_keys(1)
    batch = signed_by(key, 0, tip_wei=WAITS_WEI)
    with running_anvil() as other:
        (alone,) = await written(tmp_path / "latch", batch, other.url)
        assert (alone.answer, alone.error) == (WriteAnswer.REJECTED, NodeError.INVALID)
        (both,) = await written(tmp_path / "latch", batch, other.url, geth.url)
    assert both.answer is WriteAnswer.ACCEPTED
