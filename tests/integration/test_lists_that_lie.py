"""The list of a block's transactions, of one endpoint of a true chain that says that ours are in it: held
against the transactions root, nothing of ours is believed to be where it is not."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.networks import NETWORKS, Proofs, ReceiptReads
from seawall.chain.rpc import RpcPool
from seawall.chain.transport import HttpTransport
from seawall.native import LocalKey
from seawall.primitives.errors import UnavailableError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash, hex_text
from tests.fixtures.anvil import CHAIN_ID, Anvil, anvil, transaction
from tests.fixtures.lying_endpoint import LyingEndpoint, lying_endpoint

__all__ = ["anvil"]

PROVED = replace(
    NETWORKS[CHAIN_ID], receipts=ReceiptReads.BLOCK, proofs=Proofs.RECEIPTS, head_ahead_s_max=900
)
TARGET = Address(b"\x11" * 20)


@dataclass(slots=True)
class Ground:
    """Two transactions of somebody's in the newest block, and one of ours that is in none."""

    node: Anvil
    endpoint: LyingEndpoint
    honest: LyingEndpoint
    theirs: dict[Hash, bytes]
    ours: dict[Hash, bytes]

    @contextlib.asynccontextmanager
    async def client(self, *others: LyingEndpoint, agreement: int = 1) -> AsyncIterator[ChainClient]:
        transports = [HttpTransport(one.url) for one in (self.endpoint, *others)]
        pool = RpcPool(transports, chain_id=CHAIN_ID, clock=SystemClock(), agreement=agreement)
        try:
            yield ChainClient(pool, PROVED)
        finally:
            await pool.close()


def signed(key: LocalKey, count: int) -> dict[Hash, bytes]:
    made = key.sign_transactions([transaction(nonce, TARGET) for nonce in range(count)])
    return {Hash(one.hash): one.raw for one in made}


@pytest.fixture
def ground(anvil: Anvil) -> Iterator[Ground]:
    theirs, ours = signed(anvil.funded_key(), 2), signed(anvil.funded_key(), 1)
    for raw in theirs.values():
        anvil.rpc("eth_sendRawTransaction", hex_text(raw))
    anvil.mine()
    with lying_endpoint(anvil.url) as endpoint, lying_endpoint(anvil.url) as honest:
        yield Ground(anvil, endpoint, honest, theirs, ours)


def swapped(ground: Ground) -> Any:
    """The second transaction of every block is said to be ours, and its receipt would count as ours."""
    (ours,) = ground.ours

    def lie(params: list[Any], answer: Any) -> Any:
        if not answer or params[1] or len(answer["transactions"]) < 2:
            return answer
        return answer | {"transactions": [answer["transactions"][0], hex_text(ours)]}

    return lie


async def test_invented_inclusion_is_replaced_by_what_the_block_holds(ground: Ground) -> None:
    ground.endpoint.lies |= dict.fromkeys(("eth_getBlockByHash", "eth_getBlockByNumber"), swapped(ground))
    async with ground.client() as client:
        head = await client.head()
        (body,) = await client.bodies([head.hash])
        (ours,) = ground.ours
        assert ours in body.transactions  # the header fits its hash, and the root of receipts would fit too
        assert await client.proved_list(body, ground.ours) == tuple(ground.theirs)


async def test_block_of_nothing_but_ours_is_proved_by_our_bytes_without_a_request(ground: Ground) -> None:
    async with ground.client() as client:
        head = await client.head()
        (body,) = await client.bodies([head.hash])
        before = len(ground.endpoint.asked)
        assert await client.proved_list(body, ground.theirs) == tuple(ground.theirs)
        assert len(ground.endpoint.asked) == before
        # In another order they prove nothing, and the block is read.
        turned = replace(body, transactions=body.transactions[::-1])
        assert await client.proved_list(turned, ground.theirs) == body.transactions
        assert len(ground.endpoint.asked) == before + 1


async def test_whole_block_that_lies_too_is_disproved_and_another_endpoint_is_asked(ground: Ground) -> None:
    (ours,) = ground.ours

    def whole(params: list[Any], answer: Any) -> Any:
        if not params[1]:
            return swapped(ground)(params, answer)
        first, second = answer["transactions"]
        return answer | {"transactions": [first, second | {"hash": hex_text(ours)}]}

    ground.endpoint.lies |= {"eth_getBlockByHash": whole, "eth_getBlockByNumber": swapped(ground)}
    async with ground.client() as client:
        head = await client.head()
        (body,) = await client.bodies([head.hash])
        with pytest.raises(UnavailableError, match="is shown as"):
            await client.proved_list(body, ground.ours)
    async with ground.client(ground.honest) as client:
        head = await client.head()
        (body,) = await client.bodies([head.hash])
        assert await client.proved_list(body, ground.ours) == tuple(ground.theirs)


async def test_lists_that_several_agree_on_are_not_read_again(ground: Ground) -> None:
    async with ground.client(ground.honest, agreement=2) as client:
        head = await client.head()
        (body,) = await client.bodies([head.hash])
        before = len(ground.endpoint.asked) + len(ground.honest.asked)
        assert await client.proved_list(body, {}) == body.transactions
        assert len(ground.endpoint.asked) + len(ground.honest.asked) == before
