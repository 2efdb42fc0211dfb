"""A block that was remembered with its header, from an endpoint that showed another body than it has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS, ReceiptReads
from seawall.chain.rpc import RpcPool
from seawall.primitives.errors import ChainError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Hash
from tests.unit.chain.test_client import LAST, OTHER, WORD, Endpoint


def receipt(place: int, tx_hash: str) -> dict[str, object]:
    return {
        "transactionHash": tx_hash, "blockHash": WORD, "blockNumber": "0x7d0", "transactionIndex": hex(place),
        "status": "0x1", "gasUsed": "0x5208", "effectiveGasPrice": "0x1", "logs": [],
    }  # fmt: skip


async def test_body_that_receipts_contradict_is_read_again_the_next_time() -> None:
    def answer(method: str, params: tuple[object, ...]) -> object:
        if method == "eth_getBlockReceipts":
            return [receipt(0, WORD), receipt(1, OTHER)]
        shown = [WORD] if method == "eth_getBlockByNumber" else [WORD, OTHER]
        return {**LAST, "transactions": shown}

    pool = RpcPool([Endpoint(answer)], chain_id=31_337, clock=SystemClock())
    client = ChainClient(pool, replace(NETWORKS[31_337], receipts=ReceiptReads.BLOCK))
    head = await client.block_by_number(2_000)
    assert head is not None
    wanted = [Hash(bytes.fromhex(WORD[2:]))]
    (body,) = await client.bodies([head.hash])
    with pytest.raises(ChainError):
        await client.receipts_of(head, wanted, body)
    (body,) = await client.bodies([head.hash])
    assert [one.index for one in await client.receipts_of(head, wanted, body)] == [0]
