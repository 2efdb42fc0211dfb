"""What block hashes commit to, recomputed from what true nodes show: anvil, and geth."""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.foreseen import TRANSFER_GAS, foreseen_receipts
from seawall.chain.networks import NETWORKS, Network, Proofs, ReceiptReads
from seawall.chain.receipts import body_of, receipts_in
from seawall.chain.rpc import RpcPool
from seawall.chain.transport import HttpTransport
from seawall.chain.uses import use_of
from seawall.native import DynamicFeeTransaction, LocalKey
from seawall.primitives.errors import DisprovedError
from seawall.primitives.ports import SystemClock
from seawall.primitives.units import Address, Hash, hash_from_text, hex_text
from tests.fixtures import geth as geth_fixture
from tests.fixtures.anvil import CHAIN_ID, GWEI, running_anvil
from tests.fixtures.geth import running_geth

# One log for each unit of the call's first byte, with the call as data; above 200 it reverts.
LOGGER_CODE = "5f3560f81c8060c810602357365f5f375b801560215780365fa1600190036010565b005b5f5ffd"
# A round of transactions is more than the 128 after which the trie's keys get longer.
ROUND = 140
GAS_LIMIT = 200_000
RECEIVER = Address(b"\xd0" * 20)


@dataclass(slots=True)
class Node:
    """What the tests need of either node."""

    network: Network
    url: str
    rpc: Callable[..., object]
    key: LocalKey
    logger: Address
    account: str  # unlocked in the node
    settle: Callable[[Hash], object]  # until that is in a block


@contextlib.contextmanager
def anvil_node(_folder: Path) -> Iterator[Node]:
    with running_anvil("--gas-limit", str(10**9)) as node:
        logger = Address(b"\xc0" * 20)
        node.set_code(logger, LOGGER_CODE)
        accounts = node.rpc("eth_accounts")
        assert isinstance(accounts, list)
        network = replace(NETWORKS[CHAIN_ID], receipts=ReceiptReads.BLOCK, proofs=Proofs.RECEIPTS)
        yield Node(
            network, node.url, node.rpc, node.funded_key(), logger, accounts[0], lambda last: node.mine()
        )


@contextlib.contextmanager
def geth_node(folder: Path) -> Iterator[Node]:
    with running_geth(folder, "--txpool.accountslots", "300", "--txpool.accountqueue", "300") as node:
        key, deployer = node.funded_keys(2)
        network = replace(
            NETWORKS[CHAIN_ID],
            chain_id=geth_fixture.CHAIN_ID,
            receipts=ReceiptReads.BLOCK,
            proofs=Proofs.RECEIPTS,
        )
        logger = node.deploy(deployer, LOGGER_CODE)
        account = hex_text(geth_fixture.DEVELOPER)
        yield Node(network, node.url, node.rpc, key, logger, account, node.receipt)


@pytest.fixture(scope="module", params=[anvil_node, geth_node], ids=["anvil", "geth"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with request.param(tmp_path_factory.mktemp("node")) as running:
        yield running


@pytest.fixture(scope="module")
def sent(node: Node) -> list[Hash]:
    """Transactions of the types 0, 1 and 2, which log, log nothing and revert, in blocks."""
    rng = random.Random(7)
    hashes = []
    for number in range(6):
        call: dict[str, object] = {
            "from": node.account, "to": hex_text(node.logger), "gas": hex(GAS_LIMIT),
            "gasPrice": hex(20 * GWEI), "data": f"0x{number:02x}",
        }  # fmt: skip
        if number % 2:
            call["accessList"] = [{"address": hex_text(node.logger), "storageKeys": []}]
        answer = node.rpc("eth_sendTransaction", call)
        assert isinstance(answer, str)
        hashes.append(hash_from_text(answer))
    calls = [
        bytes((rng.choice((0, 1, 2, 3, 17, 255)),)) + rng.randbytes(rng.choice((0, 1, 31, 54, 200)))
        for _ in range(ROUND)
    ]
    signed = node.key.sign_transactions(
        [
            DynamicFeeTransaction(
                node.network.chain_id, nonce, 2 * GWEI, 30 * GWEI, GAS_LIMIT, node.logger, 0, data
            )
            for nonce, data in enumerate(calls)
        ]
    )
    for one in signed:
        answer = node.rpc("eth_sendRawTransaction", hex_text(one.raw))
        assert isinstance(answer, str)
        hashes.append(hash_from_text(answer))
    node.settle(hashes[-1])
    return hashes


@contextlib.asynccontextmanager
async def client_of(node: Node) -> AsyncIterator[ChainClient]:
    pool = RpcPool([HttpTransport(node.url)], chain_id=node.network.chain_id, clock=SystemClock())
    try:
        yield ChainClient(pool, node.network)
    finally:
        await pool.close()


async def test_every_receipt_is_proved_by_the_hash_of_its_block(node: Node, sent: list[Hash]) -> None:
    async with client_of(node) as client:
        single = {one.transaction_hash: one for one in await client.receipts(sent) if one is not None}
        assert len(single) == len(sent)
        assert {one.status for one in single.values()} == {True, False}
        assert max(len(one.logs) for one in single.values()) > 10
        for block_hash in {one.block_hash for one in single.values()}:
            block = await client.block_by_hash(block_hash)
            assert block is not None
            ours = [h for h in sent if single[h].block_hash == block_hash]
            assert await client.receipts_of(block, ours) == [single[h] for h in ours]


async def test_receipts_of_a_true_block_with_anything_changed_are_disproved(
    node: Node, sent: list[Hash]
) -> None:
    receipt = node.rpc("eth_getTransactionReceipt", hex_text(sent[-1]))
    assert isinstance(receipt, dict)
    block_hash = receipt["blockHash"]
    header = node.rpc("eth_getBlockByHash", block_hash, False)
    receipts = node.rpc("eth_getBlockReceipts", block_hash)
    assert isinstance(header, dict)
    assert isinstance(receipts, list)
    named = hash_from_text(block_hash)
    body = body_of(header, named, node.network)
    assert receipts_in(body, receipts).proved
    rng = random.Random(11)
    for _ in range(40):
        index = rng.randrange(len(receipts))
        name = rng.choice(("status", "cumulativeGasUsed", "gasUsed", "logsBloom", "type", "logs"))
        forged = list(receipts)
        forged[index] = receipts[index] | {name: _other(receipts[index][name])}
        with pytest.raises(DisprovedError):
            receipts_in(body, forged)
    for name in ("receiptsRoot", "timestamp", "parentHash", "extraData"):
        with pytest.raises(DisprovedError):
            body_of(header | {name: _other(header[name])}, named, node.network)


async def test_every_list_is_proved_by_its_root_and_each_use_of_a_nonce_by_its_signature(
    node: Node, sent: list[Hash]
) -> None:
    key = Address(node.key.address)
    async with client_of(node) as client:
        receipts = [one for one in await client.receipts(sent) if one is not None]
        for block_hash in {one.block_hash for one in receipts}:
            contents = await client.contents(block_hash)
            assert contents.proved
            (body,) = await client.bodies([block_hash])
            assert tuple(one.hash for one in contents.transactions) == body.transactions
        head = await client.head()
        # Of the newest a light node keeps the state before it too.
        nonce = await client.nonce_at(key, head.hash) - 1
        use = await use_of(client, key, nonce, head.number)
        assert use is not None
        assert use.transaction_hash in sent
        assert await use_of(client, key, nonce + 1, head.number) is None


@dataclass(frozen=True, slots=True)
class Sent:
    hash: Hash
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int


async def test_receipts_of_transfers_are_foreseen_as_the_node_shows_them(
    node: Node, sent: list[Hash]
) -> None:
    """Fees above and below what the base fee leaves of the tip."""
    fees = [(2 * GWEI, 30 * GWEI), (3 * GWEI, 30 * GWEI), (2 * GWEI, 2 * GWEI + GWEI)]
    async with client_of(node) as client:
        nonce = await client.nonce_at(Address(node.key.address), (await client.head()).hash)
        signed = node.key.sign_transactions(
            [
                DynamicFeeTransaction(
                    node.network.chain_id, nonce + i, tip, most, TRANSFER_GAS, RECEIVER, 7, b""
                )
                for i, (tip, most) in enumerate(fees)
            ]
        )
        for one in signed:
            node.rpc("eth_sendRawTransaction", hex_text(one.raw))
        hashes = [Hash(one.hash) for one in signed]
        node.settle(hashes[-1])
        read = await client.receipts(hashes)
        by_hash = {h: Sent(h, most, tip) for h, (tip, most) in zip(hashes, fees, strict=True)}
        for block_hash in {one.block_hash for one in read if one is not None}:
            block = await client.block_by_hash(block_hash)
            (body,) = await client.bodies([block_hash])
            assert block is not None
            assert body.receipts_root is not None
            transfers = [by_hash[h] for h in body.transactions]
            shown = [one for one in read if one is not None and one.block_hash == block_hash]
            assert foreseen_receipts(block, body.receipts_root, transfers) == shown
            assert foreseen_receipts(block, body.receipts_root, [*transfers, transfers[0]]) is None


def _other(value: object) -> object:
    if isinstance(value, list):
        return value[:-1] if value else [{"address": "0x" + "11" * 20, "topics": [], "data": "0x"} | _PLACE]
    assert isinstance(value, str)
    if value == "0x":
        return "0x00"
    if value in ("0x0", "0x1"):
        return "0x1" if value == "0x0" else "0x0"
    return value[:-1] + ("1" if value[-1] != "1" else "2")


_PLACE = {
    "blockHash": "0x" + "00" * 32,
    "blockNumber": "0x1",
    "transactionHash": "0x" + "00" * 32,
    "logIndex": "0x0",
}
