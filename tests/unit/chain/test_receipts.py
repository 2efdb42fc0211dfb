"""Receipts of one block over a scripted endpoint: what is refused, and what counts as proof."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.headers import header_hash
from seawall.chain.networks import NETWORKS, Network, Proofs, ReceiptReads
from seawall.chain.receipts import BlockReceipts, body_of, receipts_in, receipts_root
from seawall.chain.rpc import Request, RpcError, RpcPool
from seawall.primitives.errors import DisprovedError, EndpointError, UnavailableError, UnknownBlockError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Hash, hash_from_text, hex_text
from tests.builders.messages import block as built_block

PROVED = replace(NETWORKS[31_337], receipts=ReceiptReads.BLOCK, proofs=Proofs.RECEIPTS)
GAS = 21_000
ZEROS = "0x" + "00" * 32


def log_of(index: int) -> dict[str, object]:
    return {
        "address": "0x" + "11" * 20, "topics": ["0x" + "22" * 32], "data": "0x" + "33" * (index % 70),
        "blockNumber": "0x64", "logIndex": hex(index),
    }  # fmt: skip


def block_of(count: int, *, kind: int = 2) -> tuple[dict[str, object], list[dict[str, object]]]:
    """A header and its receipts that are true to each other."""
    hashes = ["0x" + (index + 1).to_bytes(32, "big").hex() for index in range(count)]
    receipts: list[dict[str, object]] = [
        {
            "transactionHash": tx_hash, "transactionIndex": hex(index), "blockNumber": "0x64",
            "type": hex(kind if index % 2 else 0), "status": "0x1", "gasUsed": hex(GAS),
            "cumulativeGasUsed": hex(GAS * (index + 1)), "effectiveGasPrice": "0x1",
            "logsBloom": "0x" + "00" * 256,
            "logs": [log_of(number) | {"transactionHash": tx_hash} for number in range(index % 3)],
        }
        for index, tx_hash in enumerate(hashes)
    ]  # fmt: skip
    root = receipts_root(receipts)
    header: dict[str, object] = {
        "parentHash": ZEROS, "sha3Uncles": ZEROS, "miner": "0x" + "00" * 20, "stateRoot": ZEROS,
        "transactionsRoot": ZEROS, "receiptsRoot": hex_text(root) if root else ZEROS,
        "logsBloom": "0x" + "00" * 256, "difficulty": "0x0", "number": "0x64", "gasLimit": "0x1c9c380",
        "gasUsed": hex(GAS * count), "timestamp": "0x10", "extraData": "0x", "mixHash": ZEROS,
        "nonce": "0x" + "00" * 8, "baseFeePerGas": "0x7", "transactions": hashes,
    }  # fmt: skip
    own = header_hash(header, "block")
    assert own is not None
    header["hash"] = hex_text(own)
    for receipt in receipts:
        receipt["blockHash"] = header["hash"]
        logs = receipt["logs"]
        assert isinstance(logs, list)
        for log in logs:
            log["blockHash"] = header["hash"]
    return header, receipts


def block_receipts(header: object, receipts: object, block_hash: Hash) -> BlockReceipts:
    return receipts_in(body_of(header, block_hash, PROVED), receipts)


def hash_of(header: dict[str, object]) -> Hash:
    text = header["hash"]
    assert isinstance(text, str)
    return hash_from_text(text)


@dataclass(slots=True)
class Scripted:
    """Fulfils `RpcTransport` from a table of answers by method."""

    answers: dict[str, object]
    label: str = "scripted"
    connects: int = 1
    asked: list[str] = field(default_factory=list)

    async def send(self, requests: Sequence[Request]) -> list[object | RpcError]:
        self.asked += [request.method for request in requests]
        return [
            "0x7a69" if request.method == "eth_chainId" else self.answers.get(request.method)
            for request in requests
        ]

    async def close(self) -> None:
        return


def client_of(*endpoints: Scripted, network: Network = PROVED) -> ChainClient:
    return ChainClient(RpcPool(endpoints, chain_id=31_337, clock=SystemClock()), network)


def answering(header: object, receipts: object, label: str = "scripted") -> Scripted:
    return Scripted({"eth_getBlockByHash": header, "eth_getBlockReceipts": receipts}, label)


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 300])
async def test_receipts_of_a_block_are_one_call_and_proved(count: int) -> None:
    header, receipts = block_of(count)
    endpoint = answering(header, receipts)
    wanted = [Hash(number.to_bytes(32, "big")) for number in (count, 1)]
    base = replace(built_block(100), hash=hash_of(header))
    found = await client_of(endpoint).receipts_of(base, wanted)
    assert [receipt.transaction_hash for receipt in found] == wanted
    assert endpoint.asked.count("eth_getBlockReceipts") == 1
    assert block_receipts(header, receipts, base.hash).proved


@pytest.mark.parametrize(
    ("field_name", "value"),
    [("status", "0x0"), ("gasUsed", "0x1"), ("logs", []), ("cumulativeGasUsed", "0x1"), ("type", "0x1")],
)
def test_receipt_with_a_changed_field_is_disproved(field_name: str, value: object) -> None:
    header, receipts = block_of(6)
    receipts[5][field_name] = value
    with pytest.raises(DisprovedError):
        block_receipts(header, receipts, hash_of(header))


def test_receipts_of_another_order_number_or_block_are_refused() -> None:
    header, receipts = block_of(4)
    for wrong in (receipts[::-1], receipts[:-1], [*receipts[:-1], None]):
        with pytest.raises(EndpointError):
            block_receipts(header, wrong, hash_of(header))
    with pytest.raises(EndpointError, match="another block than asked"):
        block_receipts(header, receipts, Hash(bytes(32)))


def test_root_of_a_block_with_an_unknown_type_is_not_guessed() -> None:
    header, receipts = block_of(3, kind=0x6A)
    found = block_receipts(header, receipts, hash_of(header))
    assert not found.proved
    assert len(found.receipts) == 3


async def test_endpoint_whose_receipts_have_another_root_is_struck_out() -> None:
    header, receipts = block_of(3)
    forged = [receipt | {"status": "0x0"} for receipt in receipts]
    liar, honest = answering(header, forged, "liar"), answering(header, receipts, "honest")
    client = client_of(liar, honest)
    base = replace(built_block(100), hash=hash_of(header))
    for _ in range(2):
        (receipt,) = await client.receipts_of(base, [Hash((1).to_bytes(32, "big"))])
        assert receipt.status
    assert liar.asked.count("eth_getBlockReceipts") == 1


async def test_receipt_that_is_not_in_the_block_is_unavailable() -> None:
    header, receipts = block_of(2)
    base = replace(built_block(100), hash=hash_of(header))
    with pytest.raises(UnavailableError, match="not of block"):
        await client_of(answering(header, receipts)).receipts_of(base, [Hash(b"\x99" * 32)])


async def test_block_that_is_gone_is_an_unknown_block() -> None:
    with pytest.raises(UnknownBlockError):
        await client_of(answering(None, None)).receipts_of(built_block(100), [Hash(b"\x99" * 32)])


async def test_single_receipts_are_one_batch_and_must_be_of_the_block() -> None:
    header, receipts = block_of(1)
    endpoint = Scripted({"eth_getTransactionReceipt": receipts[0]})
    client = client_of(endpoint, network=NETWORKS[31_337])
    base = replace(built_block(100), hash=hash_of(header))
    (receipt,) = await client.receipts_of(base, [Hash((1).to_bytes(32, "big"))])
    assert receipt.block_hash == base.hash
    with pytest.raises(UnavailableError, match="not of block"):
        await client.receipts_of(built_block(101), [receipt.transaction_hash])


async def test_block_that_was_shown_is_not_read_again() -> None:
    header, _ = block_of(3)
    endpoint = Scripted({"eth_getBlockByNumber": header, "eth_getBlockByHash": header})
    client = client_of(endpoint)
    head = await client.head()
    (body,) = await client.bodies([head.hash])
    assert len(body.transactions) == 3
    assert "eth_getBlockByHash" not in endpoint.asked
    assert await client.block_transactions(head.hash) == list(body.transactions)
    assert endpoint.asked.count("eth_getBlockByHash") == 1


async def test_block_that_was_shown_badly_is_read_again() -> None:
    header, _ = block_of(3)
    endpoint = Scripted(
        {"eth_getBlockByNumber": header | {"transactions": ["0x1"]}, "eth_getBlockByHash": header}
    )
    client = client_of(endpoint)
    (body,) = await client.bodies([(await client.head()).hash])
    assert len(body.transactions) == 3


async def test_blocks_shown_by_one_endpoint_are_read_where_several_must_agree() -> None:
    header, _ = block_of(3)
    answers = {"eth_getBlockByNumber": header, "eth_getBlockByHash": header}
    endpoints = [Scripted(dict(answers), label) for label in ("a", "b")]
    pool = RpcPool(endpoints, chain_id=31_337, clock=SystemClock(), agreement=2)
    client = ChainClient(pool, PROVED)
    (body,) = await client.bodies([(await client.head()).hash])
    assert len(body.transactions) == 3
    assert all(endpoint.asked.count("eth_getBlockByHash") == 1 for endpoint in endpoints)
