"""Feeds of what comes before a block, over real connections to servers of the test."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from typing_extensions import override

from seawall.chain.pending import SIGHTINGS_WAITING_MAX, Heard, PendingSource, Waiting
from seawall.chain.pending_hints import EVENT_BYTES_MAX, EventLines, HintStream
from seawall.chain.pending_pool import LOOK_UPS_WAITING_MAX, PoolTransactions
from seawall.chain.pending_sequencer import BATCH_DEPTH_MAX, SequencerFeed, transactions_in
from seawall.chain.transport import Request, RpcError
from seawall.native import DynamicFeeTransaction, LocalKey, SignedTransaction
from seawall.primitives.errors import EndpointError
from seawall.primitives.ports import SystemClock
from seawall.primitives.sightings import Sighting, SightingKind
from seawall.primitives.units import Address, Hash, hex_text
from tests.fixtures.feed_servers import feed_server

CHAIN_ID = 31_337
TARGET = Address(b"\x11" * 20)
CALL = b"\xa9\x05\x9c\xbb" + bytes(64)
WAIT_S = 20.0


class QuickClock(SystemClock):
    """Pauses between connections are short."""

    @override
    async def sleep_s(self, duration_s: float) -> None:
        await asyncio.sleep(min(duration_s, 0.01))


class Ear:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def __call__(self, heard: Heard) -> None:
        self.heard.append(heard)

    @property
    def sightings(self) -> list[Sighting]:
        return [one.sighting for one in self.heard]

    async def until(self, count: int) -> list[Sighting]:
        async with asyncio.timeout(WAIT_S):
            while len(self.heard) < count:  # noqa: ASYNC110  (told by a call, which nobody can wait for)
                await asyncio.sleep(0.005)
        return self.sightings


class LookUps:
    """Fulfils the pool of endpoints from a table."""

    def __init__(self, known: dict[str, object] | None = None) -> None:
        self.known = known or {}
        self.asked = 0
        self.is_held = asyncio.Event()
        self.is_held.set()

    async def batch(self, requests: Sequence[Request]) -> list[object | RpcError]:
        await self.is_held.wait()
        self.asked += len(requests)
        return [self.known.get(str(request.params[0])) for request in requests]


@contextlib.asynccontextmanager
async def running(source: PendingSource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def signed(nonce: int, key: LocalKey) -> SignedTransaction:
    fields = DynamicFeeTransaction(CHAIN_ID, nonce, 1, 20, 100_000, TARGET, 7, CALL)
    (transaction,) = key.sign_transactions([fields])
    return transaction


# Hints


def hint(number: int, **fields: Any) -> bytes:
    content = {"hash": "0x" + number.to_bytes(32, "big").hex(), "logs": None, "txs": None, **fields}
    return b"data: " + json.dumps(content).encode() + b"\n\n"


async def test_hints_become_sightings_of_what_their_senders_show() -> None:
    ear = Ear()
    async with feed_server() as server:
        source = HintStream("flow", server.url("http", "/events"), 1, ear, QuickClock())
        async with running(source):
            await server.until(clients=1)
            server.tell(b":ping\n\n")
            shown = [
                {"to": hex_text(TARGET), "functionSelector": "0xa9059cbb", "callData": hex_text(CALL)},
                {"functionSelector": "0xa9059cbb"},
            ]
            log = {"address": hex_text(TARGET), "topics": ["0x" + "07" * 32], "data": "0x"}
            server.tell(hint(1, txs=shown, logs=[log]))
            server.tell(hint(1, txs=shown))  # told again
            server.tell(b"data: not json\n\n")
            server.tell(hint(2))
            first, second, bare = await ear.until(3)
            assert source.standing.is_connected
    assert (first.kind, first.source, first.chain_id) == (SightingKind.HINT, "flow", 1)
    assert (first.target, first.calldata, first.logs[0].address) == (TARGET, CALL, TARGET)
    assert (second.place, second.target, second.calldata, second.logs) == (1, None, CALL[:4], ())
    assert bare.calldata == b""
    assert (source.standing.heard, source.standing.dropped) == (3, 1)
    assert server.asked[0]["Accept"] == "text/event-stream"


async def test_stream_that_ends_is_opened_again_and_the_gap_counted() -> None:
    ear = Ear()
    async with feed_server() as server:
        source = HintStream("flow", server.url("http", "/events"), 1, ear, QuickClock())
        async with running(source):
            await server.until(clients=1)
            server.tell(hint(1))
            await ear.until(1)
            server.hang_up()
            await server.until(clients=0)
            await server.until(clients=1)
            server.tell(hint(2))
            await ear.until(2)
            assert (source.standing.opens, source.standing.gaps) == (2, 1)


def test_lines_of_events_come_in_any_pieces_and_ends() -> None:
    text = b"event: x\r\ndata: one\r\ndata:two\r\n\r\n:c\n\ndata: three\n\ndata: four\r\r"
    for size in (1, 2, 3, 7, 100):
        lines, found = EventLines(), []
        for at in range(0, len(text), size):
            found += lines.feed(text[at : at + size])
        found += lines.feed(b"\n")
        assert found == [b"one\ntwo", b"three", b"four"]


def test_event_without_end_is_refused() -> None:
    with pytest.raises(EndpointError, match="event over"):
        EventLines().feed(b"data: " + b"x" * EVENT_BYTES_MAX)


# Sequencer


def message(number: int, payload: bytes, kind: int = 3) -> dict[str, object]:
    header = {
        "kind": kind, "sender": "0xa4b000000000000000000073657175656e636572", "blockNumber": 1,
        "timestamp": 1, "requestId": None, "baseFeeL1": None,
    }  # fmt: skip
    inner = {"header": header, "l2Msg": base64.b64encode(payload).decode()}
    return {
        "sequenceNumber": number,
        "message": {"message": inner, "delayedMessagesRead": 1},
        "signature": None,
    }


def envelope(*messages: dict[str, object]) -> bytes:
    return json.dumps({"version": 1, "messages": list(messages)}).encode()


def batch(*payloads: bytes) -> bytes:
    return b"\x03" + b"".join(len(one).to_bytes(8, "big") + one for one in payloads)


async def test_order_of_a_sequencer_is_told_transaction_by_transaction() -> None:
    key, ear = LocalKey.generate(), Ear()
    one, two, three = (signed(nonce, key) for nonce in range(3))
    async with feed_server() as server:
        server.headers["Arbitrum-Chain-Id"] = str(CHAIN_ID)
        source = SequencerFeed("order", server.url("ws", "/feed"), CHAIN_ID, ear, QuickClock())
        async with running(source):
            await server.until(clients=1)
            server.tell(envelope(message(5, b"\x04" + one.raw)))
            nested = batch(b"\x04" + two.raw, batch(b"\x04" + three.raw), b"\x06")
            server.tell(envelope(message(6, nested), message(7, b"", kind=12)))
            server.tell(json.dumps({"version": 1, "confirmedSequenceNumberMessage": {}}).encode())
            seen = await ear.until(3)
    assert [(s.sequence, s.place, s.nonce) for s in seen] == [(5, 0, 0), (6, 0, 1), (6, 1, 2)]
    assert [s.hash for s in seen] == [one.hash, two.hash, three.hash]
    assert {s.sender for s in seen} == {key.address}
    assert {(s.kind, s.target, s.calldata, s.value_wei) for s in seen} == {
        (SightingKind.ORDERED, TARGET, CALL, 7)
    }
    assert (source.standing.gaps, source.standing.dropped) == (0, 0)


async def test_after_a_reconnect_the_feed_is_asked_to_go_on_and_repeats_are_passed_over() -> None:
    key, ear = LocalKey.generate(), Ear()
    payloads = [b"\x04" + signed(nonce, key).raw for nonce in range(4)]
    async with feed_server() as server:
        source = SequencerFeed("order", server.url("ws", "/feed"), CHAIN_ID, ear, QuickClock())
        async with running(source):
            await server.until(clients=1)
            server.tell(envelope(message(5, payloads[0])))
            await ear.until(1)
            server.hang_up()
            await server.until(clients=0)
            await server.until(clients=1)
            server.tell(envelope(message(5, payloads[0]), message(6, payloads[1]), message(9, payloads[2])))
            seen = await ear.until(3)
            assert source.standing.gaps == 2  # it was away, and numbers are missing
    assert [s.sequence for s in seen] == [5, 6, 9]
    assert server.asked[0].get("Arbitrum-Feed-Client-Version") == "2"
    assert server.asked[1].get("Arbitrum-Requested-Sequence-Number") == "6"


async def test_feed_of_another_chain_is_not_heard() -> None:
    ear = Ear()
    async with feed_server() as server:
        server.headers["Arbitrum-Chain-Id"] = "42161"
        server.hello.append(envelope(message(1, b"\x04" + signed(0, LocalKey.generate()).raw)))
        source = SequencerFeed("order", server.url("ws", "/feed"), CHAIN_ID, ear, QuickClock())
        async with running(source), asyncio.timeout(WAIT_S):
            while "42161" not in source.standing.trouble:  # noqa: ASYNC110  (it has no event of its own)
                await asyncio.sleep(0.005)
    assert ear.heard == []


def test_batches_that_are_cut_off_or_too_deep_are_refused() -> None:
    deep = b"\x04x"
    for _ in range(BATCH_DEPTH_MAX + 1):
        deep = batch(deep)
    for payload in (b"", batch(b"\x04x")[:-1], b"\x03" + b"\xff" * 8 + b"x", deep):
        with pytest.raises(EndpointError):
            list(transactions_in(payload))


# Pools


def shown(transaction: SignedTransaction, key: LocalKey, nonce: int) -> dict[str, object]:
    return {
        "hash": hex_text(transaction.hash), "from": hex_text(key.address), "to": hex_text(TARGET),
        "input": hex_text(CALL), "value": "0x7", "nonce": hex(nonce), "gas": "0x186a0", "type": "0x2",
        "maxFeePerGas": "0x14", "maxPriorityFeePerGas": "0x1", "blockHash": None,
    }  # fmt: skip


async def test_whole_transactions_of_a_pool_are_told_once() -> None:
    key, ear = LocalKey.generate(), Ear()
    transaction = signed(0, key)
    async with feed_server() as server:
        source = PoolTransactions("pool", server.url("ws", "/node"), CHAIN_ID, LookUps(), ear, QuickClock())
        async with running(source):
            await server.until(clients=1)
            server.tell_node(shown(transaction, key, 0))
            server.tell_node(shown(transaction, key, 0))
            server.tell_node({"hash": "0x12"})
            server.tell_node(shown(signed(1, key), key, 1))
            first, second = await ear.until(2)
            assert source.standing.is_connected
            assert (source.standing.heard, source.standing.dropped) == (2, 1)
    assert server.calls[0] == ["eth_subscribe", "newPendingTransactions", True]
    assert (first.hash, first.sender, first.calldata, first.nonce) == (transaction.hash, key.address, CALL, 0)
    assert (first.kind, first.max_fee_per_gas_wei, second.nonce) == (SightingKind.POOL, 20, 1)


async def test_node_that_tells_hashes_only_is_looked_up_elsewhere_within_bounds() -> None:
    key, ear = LocalKey.generate(), Ear()
    transactions = [signed(nonce, key) for nonce in range(3)]
    known = {hex_text(t.hash): shown(t, key, nonce) for nonce, t in enumerate(transactions)}
    landed = hex_text(transactions[1].hash)
    known[landed] = known[landed] | {"blockHash": "0x" + "01" * 32}
    look_ups = LookUps(dict(known))
    async with feed_server() as server:
        server.refuses_whole = True
        source = PoolTransactions("pool", server.url("ws", "/node"), CHAIN_ID, look_ups, ear, QuickClock())
        async with running(source):
            await server.until(clients=1)
            for transaction in transactions:
                server.tell_node(hex_text(transaction.hash))
            seen = await ear.until(2)
            assert [s.nonce for s in seen] == [0, 2]

            look_ups.is_held.clear()
            flood = LOOK_UPS_WAITING_MAX + 200
            for number in range(flood):
                server.tell_node("0x" + number.to_bytes(32, "big").hex())
            async with asyncio.timeout(WAIT_S):
                while source.standing.dropped < 100:  # noqa: ASYNC110  (it has no event of its own)
                    await asyncio.sleep(0.005)
            look_ups.is_held.set()
    assert ["eth_subscribe", "newPendingTransactions"] in server.calls


async def test_node_of_another_chain_is_not_heard() -> None:
    ear = Ear()
    async with feed_server() as server:
        server.chain_id = 1
        source = PoolTransactions("pool", server.url("ws", "/node"), CHAIN_ID, LookUps(), ear, QuickClock())
        async with running(source), asyncio.timeout(WAIT_S):
            while "chain 1 " not in source.standing.trouble:  # noqa: ASYNC110  (it has no event of its own)
                await asyncio.sleep(0.005)
    assert ear.heard == []


# Waiting


class StandingClock(SystemClock):
    at_s = 0.0

    @override
    def monotonic_s(self) -> float:
        return self.at_s


def test_what_waits_is_bounded_and_knows_its_age_when_it_is_taken() -> None:
    clock, waiting = StandingClock(), Waiting()
    sighting = Sighting(1, SightingKind.POOL, "pool", 0, Hash(bytes(32)))
    for number in range(SIGHTINGS_WAITING_MAX + 5):
        waiting.add(Heard(sighting, number / 1_000))
    clock.at_s = 2.0
    taken, dropped = waiting.take(clock)
    assert (len(taken), dropped) == (SIGHTINGS_WAITING_MAX, 5)
    assert taken[0].age_ms == 1_995
    assert waiting.take(clock) == ((), 0)
