"""Heads, pinned reads, receipts, fees and simulation against geth, a second true client."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from seawall.chain.client import ChainClient
from seawall.chain.fees import FeeEstimator, FeeSettings
from seawall.chain.heads import HeadChange, HeadFollower
from seawall.chain.networks import NETWORKS, FinalityRule, Network, ReceiptReads
from seawall.chain.rpc import HttpTransport, RpcPool
from seawall.chain.simulation import Simulator
from seawall.chain.state import StateKeys
from seawall.chain.subscriptions import HeadSocket, HeadWake
from seawall.native import LocalKey
from seawall.primitives.blocks import LogFilter, Read
from seawall.primitives.errors import UnknownBlockError
from seawall.primitives.ports import InlineOffload, SystemClock
from seawall.primitives.units import Address, Hash, hex_text
from seawall.primitives.verdicts import Payload
from tests.fixtures.geth import CHAIN_ID, ETHER, GWEI, WAIT_S, Geth, transaction

NETWORK = replace(
    NETWORKS[31_337],
    chain_id=CHAIN_ID,
    name="geth",
    finality=FinalityRule("safe", "finalized"),
    hardforks=((0, "osaka"),),
    receipts=ReceiptReads.BLOCK,
)
DEVELOPER_EPOCH = 32  # geth's developer chain makes every so many blocks final
FEE_WEI = 50 * GWEI
GAS = 400_000
CODES = {
    # Adds one to slot 0, logs the new value and returns it.
    "counter": "5f54600101805f555f5260205fa060205ff3",
    # Logs chain id, number, timestamp, base fee, gas limit, coinbase and prevrandao, as one word each.
    "environment": "465f52436020524260405248606052456080524160a0524460c05260e05fa060e05ff3",
    # Counts leading zeros (Osaka) of 1 and returns the count.
    "newest_opcode": "60011e5f5260205ff3",
    # Writes ten slots, then reverts with a word.
    "reverting": "600a5b80805560019003806002575f5260205ffd",
    "exhausting": "5b5f56",
}


@contextlib.asynccontextmanager
async def client_of(node: Geth, network: Network = NETWORK) -> AsyncIterator[ChainClient]:
    pool = RpcPool([HttpTransport(node.url)], chain_id=CHAIN_ID, clock=SystemClock())
    try:
        yield ChainClient(pool, network)
    finally:
        await pool.close()


@pytest.fixture(scope="module")
def rich(geth: Geth) -> LocalKey:
    (key,) = geth.funded_keys(1)
    return key


@pytest.fixture(scope="module")
def contracts(geth: Geth) -> dict[str, Address]:
    (deployer,) = geth.funded_keys(1)
    return geth.deploy_all(deployer, CODES)


def nonce_of(node: Geth, key: LocalKey) -> int:
    return node.number("eth_getTransactionCount", hex_text(key.address), "latest")


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


# Heads


async def next_change(node: Geth, follower: HeadFollower) -> HeadChange:
    while (change := await follower.poll()) is None:
        await asyncio.to_thread(node.wait_blocks)
    return change


async def test_heads_are_followed_through_a_chain_that_is_set_back(geth: Geth, rich: LocalKey) -> None:
    """It grows other blocks then: removed newest first, then added, and one unbroken chain."""
    async with client_of(geth, replace(NETWORK, finality=FinalityRule(2, 16))) as client:
        follower = HeadFollower(client, SystemClock())
        known = list((await next_change(geth, follower)).added)
        while len(known) < 3:
            known += (await next_change(geth, follower)).added
        ancestor = known[-3]
        await asyncio.to_thread(geth.set_head, ancestor.number)
        await asyncio.to_thread(geth.wait_blocks, 3)
        change = await next_change(geth, follower)
        assert change.removed == (known[-1], known[-2])
        assert [block.number for block in change.added[:2]] == [ancestor.number + 1, ancestor.number + 2]
        assert change.added[0].parent_hash == ancestor.hash
        assert not {block.hash for block in change.added} & {block.hash for block in known}
        assert not any(follower.canonical(block.hash) for block in change.removed)
        with pytest.raises(UnknownBlockError):
            await client.nonce_at(Address(rich.address), known[-1].hash)
        assert await client.nonce_at(Address(rich.address), change.added[-1].hash) >= 0


async def test_final_and_safe_are_the_blocks_that_the_node_tags(geth: Geth) -> None:
    async with client_of(geth) as client:
        change = await next_change(geth, HeadFollower(client, SystemClock()))
        safe, final = await client.block_by_number("safe"), await client.block_by_number("finalized")
    assert safe is not None
    assert final is not None
    assert change.final_number <= final.number
    assert change.safe_number <= safe.number
    assert {change.final_number % DEVELOPER_EPOCH, final.number % DEVELOPER_EPOCH} == {0}


async def test_new_heads_wake_the_poll_by_the_socket(geth: Geth) -> None:
    wake = HeadWake(SystemClock(), interval_s=60)
    socket = HeadSocket(geth.socket_url, wake, SystemClock())
    task = asyncio.create_task(socket.run())
    await asyncio.wait_for(wake.wait(), WAIT_S)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


# Reads


async def test_state_is_read_as_it_was_at_exactly_the_pinned_block(
    geth: Geth, rich: LocalKey, contracts: dict[str, Address]
) -> None:
    counter, sender = contracts["counter"], Address(rich.address)
    async with client_of(geth) as client:
        before = await client.head()
        nonce = await client.nonce_at(sender, before.hash)
        (signed,) = rich.sign_transactions([transaction(nonce, counter, value_wei=3)])
        await asyncio.to_thread(geth.receipt, geth.send(signed))
        after = await client.head()
        reads = [Read("counted", counter, b""), Read("fails", contracts["reverting"], b"")]
        old, new = await client.call_at(reads, before), await client.call_at(reads, after)
        assert (old["fails"], new["fails"]) == (None, None)
        assert int.from_bytes(new["counted"] or b"", "big") == 1 + int.from_bytes(
            old["counted"] or b"", "big"
        )
        assert await client.nonces_at([sender], before.hash) == [nonce]
        assert await client.nonces_at([sender], after.hash) == [nonce + 1]
        assert await client.balance_at(counter, after.hash) == 3 + await client.balance_at(
            counter, before.hash
        )
        assert (await client.code_at(counter, after.hash)).hex() == CODES["counter"]
        keys = StateKeys((counter, sender), ((counter, word(0)),), (counter,))
        then, now = await client.fetch_state(keys, before), await client.fetch_state(keys, after)
        assert [(a.nonce, b.nonce) for a, b in zip(then.accounts, now.accounts, strict=True)] == [
            (1, 1),
            (nonce, nonce + 1),
        ]
        assert int.from_bytes(now.slots[0][2], "big") == 1 + int.from_bytes(then.slots[0][2], "big")


async def test_receipts_of_a_block_are_those_of_its_transactions(
    geth: Geth, rich: LocalKey, contracts: dict[str, Address]
) -> None:
    nonce = nonce_of(geth, rich)
    wanted = [
        transaction(nonce, contracts["counter"]),
        transaction(nonce + 1, contracts["reverting"], gas_limit=GAS),
        transaction(nonce + 2, contracts["counter"]),
    ]
    hashes = [geth.send(signed) for signed in rich.sign_transactions(wanted)]
    await asyncio.to_thread(geth.receipt, hashes[-1])
    async with client_of(geth) as client:
        single = [one for one in await client.receipts(hashes) if one is not None]
        assert [one.status for one in single] == [True, False, True]
        for receipt in single:
            block = await client.block_by_hash(receipt.block_hash)
            assert block is not None
            assert await client.receipts_of(block, [receipt.transaction_hash]) == [receipt]
            assert receipt.transaction_hash in await client.block_transactions(block.hash)
            assert receipt.fee_wei == receipt.gas_used * receipt.effective_gas_price_wei
        last = single[-1]
        logs = await client.logs_of([LogFilter((contracts["counter"],))], last.block_hash)
        assert last.logs[0] in logs[0]
        known = await client.transactions_known([*hashes, Hash(b"\x77" * 32)])
        assert known == [True, True, True, False]


async def test_fee_quote_foretells_the_base_fee_of_the_next_block(geth: Geth) -> None:
    async with client_of(geth) as client:
        head = await client.head()
        history = geth.record("eth_feeHistory", hex(4), hex(head.number), [50])["baseFeePerGas"]
        assert isinstance(history, list)
        base_fees_wei = [int(str(one), 16) for one in history]
        quote = await FeeEstimator(client, FeeSettings()).quote(head)
        await asyncio.to_thread(geth.wait_blocks)
        following = await client.block_by_number(head.number + 1)
        assert following is not None
        assert quote.base_fee_next_wei == base_fees_wei[-1] == following.base_fee_wei
        assert base_fees_wei[-2] == head.base_fee_wei


# Simulation: our machine against geth's, on the same payloads and in the same next block


async def simulated_by_geth(
    client: ChainClient, simulator: Simulator, payload: Payload, nonce: int, base_fee_wei: int
) -> dict[str, object]:
    base = simulator.base
    assert base is not None
    full = await client.pool.call("eth_getBlockByHash", hex_text(base.hash), False)
    assert isinstance(full, dict)
    call = {
        "from": hex_text(payload.sender),
        "to": hex_text(payload.to),
        "input": hex_text(payload.data),
        "value": hex(payload.value_wei),
        "gas": hex(payload.gas_limit),
        "nonce": hex(nonce),
        "maxFeePerGas": hex(FEE_WEI),
        "maxPriorityFeePerGas": "0x0",
    }
    overrides = {
        "number": hex(base.number + 1),
        "time": hex(base.timestamp_s + NETWORK.block_time_s),
        "gasLimit": full["gasLimit"],
        "feeRecipient": full["miner"],
        "prevRandao": full["mixHash"],
        "baseFeePerGas": hex(base_fee_wei),
    }
    block = {"blockOverrides": overrides, "calls": [call]}
    pinned = {"blockHash": hex_text(base.hash), "requireCanonical": True}
    blocks = await client.pool.call(
        "eth_simulateV1", {"blockStateCalls": [block], "validation": True}, pinned
    )
    assert isinstance(blocks, list)
    (result,) = blocks[0]["calls"]
    assert isinstance(result, dict)
    return result


@pytest.mark.parametrize("name", [*CODES, "transfer", "new account"])
async def test_our_machine_says_what_geth_says(
    geth: Geth, rich: LocalKey, contracts: dict[str, Address], name: str
) -> None:
    to = contracts.get(name) or (Address(b"\x11" * 20) if name == "transfer" else Address(b"\x99" * 20))
    value_wei = 0 if name in CODES else ETHER
    payload = Payload(CHAIN_ID, Address(rich.address), to, b"\x01\x00\x02", value_wei, GAS)
    base_fee_wei = 7 * GWEI
    async with client_of(geth) as client:
        simulator = Simulator(client, NETWORK, InlineOffload())
        head = await client.head()
        await simulator.pin(head, base_fee_wei)
        nonce = await client.nonce_at(payload.sender, head.hash)
        execution = await simulator.run(payload, nonce, FEE_WEI)
        theirs = await simulated_by_geth(client, simulator, payload, nonce, base_fee_wei)
    (ours,) = execution.transactions
    assert (ours.success, hex(ours.gas_used)) == (theirs["status"] == "0x1", theirs["gasUsed"])
    logs = theirs["logs"]
    assert isinstance(logs, list)
    assert [(hex_text(log.address), hex_text(log.data)) for log in ours.logs] == [
        (log["address"], log["data"]) for log in logs
    ]
    if ours.success:
        assert hex_text(ours.return_data) == theirs["returnData"]
