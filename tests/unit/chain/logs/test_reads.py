"""Answers that are not what was asked for, and logs that an endpoint leaves out."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.headers import header_hash
from seawall.chain.logs.bloom import bloom_of, may_hold
from seawall.chain.logs.caps import Cap, Refusal
from seawall.chain.logs.planner import Span
from seawall.chain.logs.reads import Answer, LogReads
from seawall.chain.networks import NETWORKS, Network, Proofs
from seawall.chain.receipts import receipts_root
from seawall.chain.rpc import HttpTransport, RpcError, RpcPool
from seawall.primitives.blocks import LogFilter
from seawall.primitives.errors import EndpointError, UnavailableError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, hash_from_text, hex_text
from tests.fixtures.raw_server import Peer, raw_server
from tests.unit.chain.test_client import Endpoint

ADDRESS = Address(b"\x11" * 20)
TOPIC = hash_from_text("0x" + "22" * 32)
OTHER_TOPIC = hash_from_text("0x" + "44" * 32)
WANTED = LogFilter((ADDRESS,), ((TOPIC,),))
PROVED = replace(NETWORKS[31_337], proofs=Proofs.RECEIPTS)
ZEROS = "0x" + "00" * 32
TX_HASH = "0x" + "01" * 32
SPAN = Span(90, 100)
Shown = dict[str, Any]


def shown_log(number: int, index: int, block_hash: str, topic: bytes = TOPIC) -> Shown:
    return {
        "address": hex_text(ADDRESS), "topics": [hex_text(topic)], "data": "0x", "blockHash": block_hash,
        "blockNumber": hex(number), "transactionHash": TX_HASH, "logIndex": hex(index), "removed": False,
    }  # fmt: skip


def true_block(*, holds: bool = True) -> tuple[Shown, list[Shown]]:
    """Block 100 with one receipt, whose log matches or not; header, bloom and root are true."""
    topic = TOPIC if holds else OTHER_TOPIC
    bloom = hex_text(bloom_of([ADDRESS, topic]))
    log = shown_log(100, 0, ZEROS, topic)
    receipt: Shown = {
        "transactionHash": TX_HASH, "transactionIndex": "0x0", "blockNumber": "0x64", "type": "0x2",
        "status": "0x1", "gasUsed": "0x5208", "cumulativeGasUsed": "0x5208", "effectiveGasPrice": "0x1",
        "logsBloom": bloom, "logs": [log],
    }  # fmt: skip
    root = receipts_root([receipt])
    assert root is not None
    header: Shown = {
        "parentHash": ZEROS, "sha3Uncles": ZEROS, "miner": "0x" + "00" * 20, "stateRoot": ZEROS,
        "transactionsRoot": ZEROS, "receiptsRoot": hex_text(root), "logsBloom": bloom, "difficulty": "0x0",
        "number": "0x64", "gasLimit": "0x1c9c380", "gasUsed": "0x5208", "timestamp": "0x10",
        "extraData": "0x", "mixHash": ZEROS, "nonce": "0x" + "00" * 8,
        "baseFeePerGas": "0x7", "transactions": [TX_HASH],
    }  # fmt: skip
    own = header_hash(header, "block")
    assert own is not None
    header["hash"] = log["blockHash"] = receipt["blockHash"] = hex_text(own)
    return header, [receipt]


HEADER, RECEIPTS = true_block()
LAST_LOG: Shown = RECEIPTS[0]["logs"][0]


def answering(logs: object, header: object = HEADER, label: str = "endpoint") -> Endpoint:
    answers = {
        "eth_getLogs": logs,
        "eth_getBlockByNumber": header,
        "eth_getBlockByHash": HEADER,
        "eth_getBlockReceipts": RECEIPTS,
    }
    return Endpoint(lambda method, _: answers[method], label)


def reads_of(*endpoints: Endpoint, network: Network = PROVED, wanted: LogFilter = WANTED) -> LogReads:
    pool = RpcPool(endpoints, chain_id=31_337, clock=SystemClock())
    return LogReads(ChainClient(pool, network), wanted)


async def test_answer_holds_the_logs_and_the_hash_of_the_last_block() -> None:
    earlier = shown_log(95, 3, "0x" + "05" * 32)
    found = await reads_of(answering([earlier, LAST_LOG])).ask(SPAN)
    assert isinstance(found, Answer)
    assert [(log.block_number, log.log_index) for log in found.logs] == [(95, 3), (100, 0)]
    assert hex_text(found.last_hash) == HEADER["hash"]


Spoil = Callable[[Shown], list[Shown]]
SPOILED: dict[str, Spoil] = {
    "of a block outside": lambda log: [log | {"blockNumber": "0x65"}, log],
    "of another address": lambda log: [log | {"address": "0x" + "99" * 20}],
    "of another topic": lambda log: [log | {"topics": [hex_text(OTHER_TOPIC)]}],
    "without the topic": lambda log: [log | {"topics": []}],
    "twice": lambda log: [log, log],
    "out of order": lambda log: [log, shown_log(95, 0, "0x" + "05" * 32)],
    "removed": lambda log: [log | {"removed": True}],
    "of another block of that number": lambda log: [log | {"blockHash": "0x" + "0a" * 32}],
    "of two blocks of one number": lambda log: [
        shown_log(95, 0, "0x" + "05" * 32), shown_log(95, 1, "0x" + "06" * 32), log,
    ],
}  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
async def test_answer_with_a_log_that_cannot_be_is_refused_and_another_endpoint_asked(spoil: Spoil) -> None:
    bad, good = answering(spoil(LAST_LOG), label="bad"), answering([LAST_LOG])
    with pytest.raises(EndpointError):
        await reads_of(bad).ask(SPAN)
    found = await reads_of(bad, good).ask(SPAN)
    assert isinstance(found, Answer)
    assert len(found.logs) == 1


async def test_endpoint_that_does_not_have_the_last_block_is_passed_over() -> None:
    lags, good = answering([], header=None), answering([LAST_LOG])
    found = await reads_of(lags, good).ask(SPAN)
    assert isinstance(found, Answer)
    assert len(found.logs) == 1


async def test_log_that_the_bloom_rules_out_disproves_the_endpoint() -> None:
    header, _ = true_block(holds=False)
    invented = LAST_LOG | {"blockHash": header["hash"]}
    with pytest.raises(UnavailableError, match="bloom"):
        await reads_of(answering([invented], header)).ask(SPAN)


async def test_log_that_is_left_out_is_found_by_bloom_and_receipts_and_the_endpoint_struck_out() -> None:
    liar, honest = answering([], label="liar"), answering([LAST_LOG])
    reads = reads_of(liar, honest)
    found = await reads.ask(SPAN)
    assert isinstance(found, Answer)
    assert len(found.logs) == 1
    assert reads.audits == 1
    asked_of_liar = len(liar.asked)
    await reads.ask(SPAN)
    assert len(liar.asked) == asked_of_liar


async def test_suspicions_are_followed_up_once_in_many_answers() -> None:
    wanted = LogFilter((), ((TOPIC,), (OTHER_TOPIC,)))  # the bloom of this block does not admit the second
    quiet = reads_of(answering([]), wanted=wanted)
    await quiet.ask(SPAN)
    assert quiet.audits == 0
    # Admitted by the bloom, and not there: a topic in another place.
    misled = reads_of(answering([]), wanted=LogFilter((), ((), (TOPIC,))))
    for _ in range(20):
        await misled.ask(SPAN)
    assert misled.audits == 2


async def test_without_proofs_nothing_is_audited() -> None:
    reads = reads_of(answering([]), network=NETWORKS[31_337])
    assert isinstance(await reads.ask(SPAN), Answer)
    assert reads.audits == 0


async def test_refusal_is_an_answer_and_its_words_are_read() -> None:
    said = RpcError(-32005, "query returned more than 10000 results")
    reads = reads_of(answering(said))
    assert await reads.ask(SPAN) == Refusal(Cap.LOGS, 10_000)
    assert reads.refusals == 1
    with pytest.raises(EndpointError, match="reverted"):
        await reads_of(answering(RpcError(3, "execution reverted"))).ask(SPAN)


FREE_TIER = json.dumps(
    {
        "jsonrpc": "2.0",
        "id": 1,
        "error": {
            "code": -32600,
            "message": "Under the Free tier plan, you can make eth_getLogs requests with up to a 10 block "
            "range. Based on your parameters, this block range should work: [0x5a, 0x63].",
        },
    }
).encode()


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (b"413 Request Entity Too Large", b"<h1>Request Entity Too Large</h1>", Refusal(Cap.BYTES)),
        (b"400 Bad Request", FREE_TIER, Refusal(Cap.BLOCKS, 10, 0x63)),
    ],
)
async def test_refusal_of_a_proxy_that_comes_as_a_status_is_read_too(
    status: bytes, body: bytes, meaning: Refusal
) -> None:
    def refuses(peer: Peer) -> None:
        while (asked := peer.request()) is not None:
            if b"eth_getLogs" in asked:
                head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
                peer.send(head + body)
                continue
            calls = json.loads(asked)
            batch = calls if isinstance(calls, list) else [calls]
            answers = [{"jsonrpc": "2.0", "id": call["id"], "result": "0x7a69"} for call in batch]
            peer.answer(answers if isinstance(calls, list) else answers[0])

    with raw_server(refuses) as server:
        pool = RpcPool([HttpTransport(server.url)], chain_id=31_337, clock=SystemClock())
        try:
            assert await LogReads(ChainClient(pool, PROVED), WANTED).ask(SPAN) == meaning
        finally:
            await pool.close()


def test_bloom_holds_what_was_put_in_and_rules_most_else_out() -> None:
    bloom = bloom_of([ADDRESS, TOPIC])
    assert may_hold(bloom, WANTED)
    assert may_hold(bloom, LogFilter())
    assert may_hold(bloom, LogFilter((Address(b"\x77" * 20), ADDRESS)))
    assert not may_hold(bloom, LogFilter((Address(b"\x77" * 20),)))
    assert not may_hold(bloom, LogFilter((ADDRESS,), ((OTHER_TOPIC,),)))
