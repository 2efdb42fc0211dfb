"""What several endpoints say of the same bytes, and what is believed of it."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from seawall.chain.broadcast import SignedWrite, SocketBroadcastPort, WriteAnswer
from seawall.control.latch import Latch
from seawall.native import keccak256
from seawall.primitives.levels import WriteKind
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash, hex_text
from tests.fixtures.anvil import anvil, running_anvil, transaction
from tests.fixtures.raw_server import Behaviour, Peer, accept_all, raw_server

__all__ = ["anvil"]

FOREVER_S = 2**40
SILENCE_S = 0.4  # that is waited for, where the silence of one is what decides
FOR_EVER_S = 3_600.0  # a test that waited for so long would not end
WAIT_S = 60.0
SILENT, GONE = "silent", "gone"
KNOWN, USED = "already known", "nonce too low"
CHEAP, POOR = "replacement transaction underpriced", "insufficient funds for gas * price + value"
STRANGE = "computer says no"


def says(words: str) -> Behaviour:
    def behaviour(peer: Peer) -> None:
        while peer.request() is not None:
            if words == SILENT:
                continue
            peer.answer({"jsonrpc": "2.0", "id": 0, "error": {"code": -32000, "message": words}})

    return accept_all if words == "" else behaviour


def write_of(raw: bytes) -> SignedWrite:
    return SignedWrite(WriteKind.PLAN, Hash(keccak256(raw)), raw, FOREVER_S)


@pytest.mark.parametrize(
    ("answers", "believed"),
    [
        (("", CHEAP, STRANGE), WriteAnswer.ACCEPTED),
        (("", SILENT, GONE), WriteAnswer.ACCEPTED),
        ((KNOWN, CHEAP, POOR), WriteAnswer.KNOWN),
        ((USED, POOR), WriteAnswer.UNKNOWN),
        ((CHEAP, SILENT), WriteAnswer.UNKNOWN),
        ((CHEAP, STRANGE), WriteAnswer.UNKNOWN),
        ((CHEAP, POOR), WriteAnswer.REJECTED),
        ((CHEAP, GONE), WriteAnswer.REJECTED),
        ((SILENT, GONE), WriteAnswer.UNKNOWN),
        ((GONE,), WriteAnswer.UNSENT),
    ],
    ids=str,
)
async def test_bytes_are_refused_only_where_every_endpoint_that_answered_proved_it(
    tmp_path: Path, answers: tuple[str, ...], believed: WriteAnswer
) -> None:
    is_waited_for = SILENT in answers and "" not in answers
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(raw_server(says(words))) for words in answers]
        for server, words in zip(servers, answers, strict=True):
            if words == GONE:
                server.close()
        port = SocketBroadcastPort(
            [server.url for server in servers],
            Latch(tmp_path / "latch"),
            clock=SystemClock(),
            answer_timeout_s=SILENCE_S if is_waited_for else FOR_EVER_S,
        )
        try:
            (result,) = await port.write([write_of(b"\x02 bytes")])
        finally:
            await port.close()
    assert result.answer is believed


async def test_one_acceptance_is_enough_and_the_silent_endpoint_is_not_waited_for(tmp_path: Path) -> None:
    with raw_server(accept_all) as good, raw_server(says(SILENT)) as silent:
        port = SocketBroadcastPort(
            [silent.url, good.url],
            Latch(tmp_path / "latch"),
            clock=SystemClock(),
            answer_timeout_s=FOR_EVER_S,
        )
        try:
            for number in range(5):
                (result,) = await port.write([write_of(b"\x02" + bytes([number]))])
                assert result.answer is WriteAnswer.ACCEPTED
            async with asyncio.timeout(WAIT_S):
                while silent.everything == b"":  # noqa: ASYNC110  (it is given them all the same)
                    await asyncio.sleep(0.01)
        finally:
            await port.close()


@pytest.mark.anvil
async def test_replacement_that_one_node_does_not_need_is_taken_by_the_other_one(tmp_path: Path) -> None:
    """One of two true nodes has the dearer transaction of the nonce already: its refusal is no refusal."""
    with running_anvil() as first, running_anvil() as second:
        key = first.funded_key()
        second.rpc("anvil_setBalance", hex_text(key.address), hex(10**21))
        to = Address(b"\x11" * 20)
        cheap, dear = key.sign_transactions([transaction(0, to, fee_gwei=fee) for fee in (20, 40)])
        first.send(dear)
        port = SocketBroadcastPort([first.url, second.url], Latch(tmp_path / "latch"), clock=SystemClock())
        try:
            (result,) = await port.write([write_of(cheap.raw)])
        finally:
            await port.close()
        assert result.answer is WriteAnswer.ACCEPTED
        assert (first.knows(cheap.hash), second.knows(cheap.hash)) == (False, True)
