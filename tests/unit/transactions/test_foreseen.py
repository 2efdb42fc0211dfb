"""What a block did is read only where it cannot be foreseen: the ledger says the same either way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.heads import HeadChange
from seawall.chain.receipts import BlockBody, receipts_root
from seawall.ledger.rows import InclusionRow
from seawall.primitives.errors import EndpointError
from seawall.primitives.identifiers import IntentNumber
from seawall.primitives.plans import DirectBody, Plan
from seawall.primitives.units import Address, Hash, hex_text
from tests.builders.chain_model import ChainModel, ModelTransaction
from tests.builders.pipeline import SOMEBODY, Pipeline, pipeline

READ = "eth_getTransactionReceipt"
GAS = 21_000


@pytest.fixture
def model() -> Iterator[ChainModel]:
    """Its headers have no receipts root: what its receipts hash to is put into the bodies of its blocks, as a
    checked header would have it."""
    made, true_bodies = ChainModel(), ChainClient.bodies

    async def bodies(client: ChainClient, hashes: Sequence[Hash]) -> list[BlockBody]:
        found, asked = await true_bodies(client, hashes), list(made.requests)
        roots = []
        for body in found:
            shown = [await client.pool.call(READ, hex_text(h)) for h in body.transactions]
            roots.append(receipts_root([_whole(receipt, i) for i, receipt in enumerate(shown)]))
        made.requests[:] = asked
        return [replace(body, receipts_root=root) for body, root in zip(found, roots, strict=True)]

    with patch.object(ChainClient, "bodies", bodies):
        yield made


def _whole(receipt: object, index: int) -> object:
    assert isinstance(receipt, dict)
    used = hex(GAS * (index + 1))
    return receipt | {"type": "0x2", "cumulativeGasUsed": used, "logsBloom": "0x" + "00" * 256}


def transfer(found: Pipeline, name: str, data: bytes = b"") -> Plan:
    return replace(found.plan(name), body=DirectBody(SOMEBODY, data, 7))


async def included(found: Pipeline, numbers: Sequence[IntentNumber]) -> list[InclusionRow | None]:
    return await found.ledger.read(lambda tx: [tx.inclusions.of_intent(number) for number in numbers])


async def test_block_of_our_transfers_is_accounted_without_reading_a_receipt(
    tmp_path: Path, model: ChainModel
) -> None:
    async with pipeline(model, tmp_path) as found:
        numbers = await found.submit(*[transfer(found, f"t{i}") for i in range(5)])
        model.requests.clear()
        await found.block()
        assert READ not in model.requests
        rows = await included(found, numbers)
        shown = await found.chain.desk.parts.client.receipts([row.attempt_hash for row in rows if row])
        assert [(r.block_hash, r.index, r.status, r.gas_used, r.fee_wei) for r in rows if r] == [
            (r.block_hash, r.index, r.status, r.gas_used, r.fee_wei) for r in shown if r
        ]
        assert len(shown) == 5
        assert await found.events("unexplained") == []


async def test_transfer_that_failed_is_read_and_its_block_with_it(tmp_path: Path, model: ChainModel) -> None:
    async with pipeline(model, tmp_path) as found:
        numbers = await found.submit(*[transfer(found, f"t{i}") for i in range(3)])
        (attempt,) = await found.attempts(numbers[1])
        model.pool[attempt.hash] = replace(model.pool[attempt.hash], reverts=True)
        model.requests.clear()
        await found.block()
        assert READ in model.requests
        assert [row and row.status for row in await included(found, numbers)] == [True, False, True]
        assert await found.events("unexplained") == []


@pytest.mark.parametrize("data", [b"", b"\x01"])
async def test_block_with_anything_else_in_it_is_read(tmp_path: Path, model: ChainModel, data: bytes) -> None:
    """A transaction of somebody else, or one of ours that is a call."""
    async with pipeline(model, tmp_path) as found:
        numbers = await found.submit(transfer(found, "t"), transfer(found, "u", data))
        model.requests.clear()
        stranger = Address(b"\x55" * 20)
        model.fund(stranger, 10**20)
        others = [] if data else [ModelTransaction(Hash(b"\x99" * 32), stranger, 0, SOMEBODY, 1, 10**12)]
        model.mine(*others)
        await found.look()
        assert READ in model.requests
        assert [row and row.status for row in await included(found, numbers)] == [True, True]


async def test_blocks_are_not_read_while_nothing_waits_for_one(tmp_path: Path, model: ChainModel) -> None:
    async with pipeline(model, tmp_path) as found:
        with patch.object(ChainClient, "bodies", side_effect=AssertionError("read")):
            await found.empty_block(2)
        head = found.chain.desk.head
        assert head is not None
        assert head.number == model.head.number


async def test_balances_of_a_block_are_those_before_the_next_one(tmp_path: Path, model: ChainModel) -> None:
    asked: list[set[Hash]] = []
    true_balances = ChainClient.balances_of

    async def balances_of(client: ChainClient, places: Sequence[tuple[Address, Hash]]) -> list[int]:
        asked.append({block_hash for _, block_hash in places})
        return await true_balances(client, places)

    async with pipeline(model, tmp_path) as found:
        with patch.object(ChainClient, "balances_of", balances_of):
            for name in ("one", "two", "three"):
                await found.submit(transfer(found, name))
                model.mine()
                await found.chain.loop.turn()
        assert [len(blocks) for blocks in asked if model.head.hash in blocks] == [1]
        assert len(asked[0]) == 2
        assert await found.events("unexplained") == []


async def test_blocks_that_came_together_are_proved_by_one_read(tmp_path: Path, model: ChainModel) -> None:
    async with pipeline(model, tmp_path) as found:
        numbers = []
        for name in ("one", "two", "three"):
            numbers += await found.submit(transfer(found, name))
            model.mine()
        model.requests.clear()
        await found.chain.loop.confirmer.handle(await polled(found))
        assert "eth_getBlockByHash" not in model.requests  # they came with their headers
        assert model.requests.count("eth_getBalance") == 1
        rows = await included(found, numbers)
        assert len({row.block_hash for row in rows if row}) == 3
        assert await found.events("unexplained") == []


async def polled(found: Pipeline) -> HeadChange:
    change = await found.chain.loop.follower.poll()
    assert change is not None
    return change


async def test_balances_that_cannot_be_read_together_are_read_block_by_block(
    tmp_path: Path, model: ChainModel
) -> None:
    true_balances = ChainClient.balances_of

    async def balances_of(client: ChainClient, places: Sequence[tuple[Address, Hash]]) -> list[int]:
        if len({block_hash for _, block_hash in places}) > 1:
            raise EndpointError("too much at once", "here", "ask for less")
        return await true_balances(client, places)

    async with pipeline(model, tmp_path) as found:
        (number,) = await found.submit(transfer(found, "one"))
        with patch.object(ChainClient, "balances_of", balances_of):
            await found.block()
        (row,) = await included(found, [number])
        assert row is not None
        assert await found.events("unproved") == await found.events("unexplained") == []
