"""Heads, pinned reads, fees and simulation against a true node."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from seawall.chain.client import ChainClient, Receipt
from seawall.chain.fees import FeeEstimator, FeeSettings
from seawall.chain.heads import HeadChange, HeadFollower
from seawall.chain.networks import NETWORKS, FinalityRule, Network
from seawall.chain.rpc import HttpTransport, Request, RpcPool
from seawall.chain.simulation import Simulator
from seawall.chain.state import StateKeys
from seawall.chain.subscriptions import HeadSocket, HeadWake
from seawall.native import LocalKey
from seawall.native.evm import Execution
from seawall.primitives.blocks import Block, LogFilter, Read
from seawall.primitives.bounds import HEADS_KEPT, MISSING_ROUNDS_MAX
from seawall.primitives.errors import (
    ChainIdMismatchError,
    IntegrityAlarm,
    StaleError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import InlineOffload, SystemClock, ThreadOffload
from seawall.primitives.simulations import Probe
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Payload
from tests.fixtures.anvil import CHAIN_ID, GWEI, Anvil, anvil, transaction

__all__ = ["anvil"]

DEVNET = NETWORKS[CHAIN_ID]
WAIT_S = 60.0
# anvil 1.7.1 hangs once it has replaced about 200 blocks; deeper reorgs are tested on a model.
ANVIL_REORG_MAX = 12
TARGET = Address(b"\x11" * 20)
COUNTER = Address(b"\xc0" * 20)
POINTERS = Address(b"\xc1" * 20)
ANCESTOR = Address(b"\xc2" * 20)
# Adds one to slot 0, logs the new value and returns it.
COUNTER_CODE = "5f54600101805f555f5260205fa060205ff3"
# Returns what slot 0 points to, which points on, twice.
POINTERS_CODE = "5f5454545f5260205ff3"
# Returns the hash of the third block before.
ANCESTOR_CODE = "60034303405f5260205ff3"
REVERT_CODE = "5f5ffd"


@contextlib.asynccontextmanager
async def client_of(node: Anvil, network: Network = DEVNET) -> AsyncIterator[ChainClient]:
    pool = RpcPool([HttpTransport(node.url)], chain_id=network.chain_id, clock=SystemClock())
    try:
        yield ChainClient(pool, network)
    finally:
        await pool.close()


def word(number: int) -> bytes:
    return number.to_bytes(32, "big")


# Endpoints


async def test_endpoint_of_another_chain_is_refused_at_start(anvil: Anvil) -> None:
    pool = RpcPool([HttpTransport(anvil.url)], chain_id=1, clock=SystemClock())
    with pytest.raises(ChainIdMismatchError, match="31337"):
        await pool.check()
    with pytest.raises(ChainIdMismatchError, match="31337"):
        await pool.call("eth_blockNumber")
    await pool.close()


async def test_pool_goes_on_with_the_living_endpoint(anvil: Anvil) -> None:
    dead = HttpTransport("http://127.0.0.1:1/secret-key-in-path")
    pool = RpcPool([dead, HttpTransport(anvil.url)], chain_id=CHAIN_ID, clock=SystemClock())
    await pool.check()
    assert [await pool.call("eth_chainId") for _ in range(3)] == ["0x7a69"] * 3
    await pool.close()


async def test_dead_endpoints_are_unavailable_and_keep_their_secrets() -> None:
    pool = RpcPool([HttpTransport("http://127.0.0.1:1/secret-key-in-path")], chain_id=1, clock=SystemClock())
    with pytest.raises(UnavailableError) as caught:
        await pool.check()
    assert "127.0.0.1:1" in str(caught.value)
    assert "secret-key-in-path" not in str(caught.value)
    await pool.close()


async def test_chain_id_is_checked_again_on_every_new_connection(anvil: Anvil) -> None:
    transport = HttpTransport(anvil.url)
    pool = RpcPool([transport], chain_id=CHAIN_ID, clock=SystemClock())
    await pool.call("eth_blockNumber")
    anvil.rpc("anvil_setChainId", 5)
    assert await pool.call("eth_blockNumber") == "0x0", "the connection is the one that was checked"
    await transport.close()
    with pytest.raises(ChainIdMismatchError, match="chain 5"):
        await pool.call("eth_blockNumber")
    await pool.close()


# Heads


def follow(known: list[Block], change: HeadChange) -> None:
    """What every consumer does: undo, then apply."""
    for block in change.removed:
        assert known.pop() == block
    for block in change.added:
        assert not known or block.parent_hash == known[-1].hash
        known.append(block)


@pytest.mark.parametrize("seed", range(8))
async def test_heads_equal_the_chain_after_any_reorgs(anvil: Anvil, seed: int) -> None:
    rng = random.Random(seed)
    known: list[Block] = []
    final_number = -1
    async with client_of(anvil, replace(DEVNET, finality=FinalityRule(64, 64))) as client:
        follower = HeadFollower(client, SystemClock())
        for _ in range(12):
            height = anvil.number("eth_blockNumber")
            if rng.random() < 0.5 or height < 2:
                anvil.mine(rng.randint(1, 8))
            else:
                anvil.reorg(rng.randint(1, min(height, ANVIL_REORG_MAX)))
            change = await follower.poll() if rng.random() < 0.7 else None
            if change is not None:
                follow(known, change)
                assert change.final_number >= final_number
                final_number = change.final_number
        while (change := await follower.poll()) is not None:
            follow(known, change)
        canonical = await client.blocks(range(known[0].number, anvil.number("eth_blockNumber") + 1))
    assert known == canonical


async def test_reorg_reports_removed_newest_first_then_added_oldest_first(anvil: Anvil) -> None:
    anvil.mine(8)
    async with client_of(anvil) as client:
        follower = HeadFollower(client, SystemClock())
        await follower.poll()
        anvil.mine(3)
        before = await follower.poll()
        assert before is not None
        anvil.reorg(2)
        change = await follower.poll()
        assert change is not None
        assert change.removed == tuple(reversed(before.added[1:]))
        assert [block.number for block in change.added] == [10, 11]
        assert change.added[0].parent_hash == before.added[0].hash
        assert (change.safe_number, change.final_number) == (9, 7)
        assert await follower.poll() is None


async def test_reorg_during_a_stop_is_seen_from_the_persisted_heads(anvil: Anvil) -> None:
    anvil.mine(12)
    async with client_of(anvil) as client:
        persisted = [block for block in await client.blocks(range(5, 13)) if block is not None]
        anvil.reorg(3)
        anvil.mine(2)
        change = await HeadFollower(client, SystemClock(), persisted).poll()
        assert change is not None
        assert [block.number for block in change.removed] == [12, 11, 10]
        assert [block.number for block in change.added] == [10, 11, 12, 13, 14]


async def test_long_gap_is_skipped_and_says_so(anvil: Anvil) -> None:
    anvil.mine(5)
    async with client_of(anvil) as client:
        follower = HeadFollower(client, SystemClock())
        await follower.poll()
        anvil.mine(HEADS_KEPT + 50)
        change = await follower.poll()
        assert change is not None
        assert (len(change.added), change.skipped, change.removed) == (HEADS_KEPT, 50, ())


async def test_reorg_of_a_final_block_is_an_integrity_alarm(anvil: Anvil) -> None:
    anvil.mine(10)
    async with client_of(anvil) as client:
        follower = HeadFollower(client, SystemClock())
        await follower.poll()
        anvil.mine(3)
        change = await follower.poll()
        assert change is not None
        assert change.final_number == 9
        anvil.reorg(5)
        with pytest.raises(IntegrityAlarm, match="final"):
            await follower.poll()


async def test_lagging_head_is_ignored(anvil: Anvil) -> None:
    anvil.mine(6)
    snapshot = anvil.rpc("evm_snapshot")
    anvil.mine(2)
    async with client_of(anvil) as client:
        follower = HeadFollower(client, SystemClock())
        await follower.poll()
        anvil.rpc("evm_revert", snapshot)
        assert await follower.poll() is None
        anvil.mine(5)
        change = await follower.poll()
        assert change is not None
        assert [block.number for block in change.added][-1] == 11


async def test_socket_wakes_the_poll_on_a_new_head(anvil: Anvil) -> None:
    wake = HeadWake(SystemClock(), interval_s=60)
    socket = HeadSocket(anvil.socket_url, wake, SystemClock())
    task = asyncio.create_task(socket.run())
    while not socket.connected:  # noqa: ASYNC110  (the socket has no event of its own)
        await asyncio.sleep(0.01)
    waiting = asyncio.create_task(wake.wait())
    await asyncio.to_thread(anvil.mine)
    await asyncio.wait_for(waiting, WAIT_S)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def test_wake_falls_back_to_the_clock() -> None:
    await asyncio.wait_for(HeadWake(SystemClock(), interval_s=0.01).wait(), WAIT_S)


# Reads


async def test_reads_are_of_the_pinned_block_and_reverts_are_none(anvil: Anvil) -> None:
    anvil.set_code(COUNTER, COUNTER_CODE)
    anvil.set_code(TARGET, REVERT_CODE)
    anvil.mine()
    reads = [Read(f"p{number}", COUNTER, b"") for number in range(150)] + [Read("bad", TARGET, b"")]
    async with client_of(anvil) as client:
        old = await client.head()
        (signed,) = anvil.funded_key().sign_transactions([transaction(0, COUNTER)])
        anvil.send(signed)
        anvil.mine()
        new = await client.head()
        for block, expected in ((old, 1), (new, 2)):
            results = await client.call_at(reads, block)
            assert results.pop("bad") is None
            assert set(results.values()) == {word(expected)}


async def test_read_at_a_removed_block_is_unknown(anvil: Anvil) -> None:
    anvil.mine(5)
    async with client_of(anvil) as client:
        head = await client.head()
        anvil.reorg(2)
        with pytest.raises(UnknownBlockError):
            await client.call_at([Read("any", TARGET, b"")], head)
        with pytest.raises(UnknownBlockError):
            await client.nonce_at(TARGET, head.hash)
        with pytest.raises(UnknownBlockError):
            await client.block_transactions(head.hash)
        assert await client.block_by_hash(head.hash) is None
        assert await client.block_by_number(10_000) is None


async def test_receipts_logs_and_transactions_of_a_block(anvil: Anvil) -> None:
    anvil.set_code(COUNTER, COUNTER_CODE)
    key = anvil.funded_key()
    hashes = [anvil.send(s) for s in key.sign_transactions([transaction(n, COUNTER) for n in range(3)])]
    unknown = Hash(b"\x77" * 32)
    async with client_of(anvil) as client:
        assert await client.receipts([hashes[0]]) == [None]
        assert await client.transactions_known([*hashes, unknown]) == [True, True, True, False]
        anvil.mine()
        head = await client.head()
        assert await client.block_transactions(head.hash) == hashes
        found = [r for r in await client.receipts([*hashes, unknown]) if isinstance(r, Receipt)]
        assert [(r.transaction_hash, r.index, r.status) for r in found] == [
            (h, i, True) for i, h in enumerate(hashes)
        ]
        assert found[0].fee_wei == found[0].gas_used * found[0].effective_gas_price_wei > 0
        logs = [log for receipt in found for log in receipt.logs]
        assert [log.data for log in logs] == [word(1), word(2), word(3)]
        wanted = LogFilter((COUNTER,))
        assert await client.logs(wanted, 0, head.number) == logs
        assert await client.logs_of([wanted, LogFilter((TARGET,))], head.hash) == [logs, []]
        assert await client.nonce_at(Address(key.address), head.hash) == 3
        assert await client.nonce_at(Address(key.address), head.parent_hash) == 0


async def test_fee_quote_is_the_nodes_own_and_stays_under_its_ceilings(anvil: Anvil) -> None:
    anvil.mine(5)
    async with client_of(anvil) as client:
        head = await client.head()
        quote = await FeeEstimator(client, FeeSettings()).quote(head)
        anvil.mine()
        assert quote.base_fee_next_wei == (await client.head()).base_fee_wei
        assert quote.max_fee_per_gas_wei >= quote.expected_fee_per_gas_wei >= quote.base_fee_next_wei
        tight = FeeSettings(
            max_fee_per_gas_ceiling_wei=10**7, priority_fee_floor_wei=1, priority_fee_ceiling_wei=2
        )
        capped = await FeeEstimator(client, tight).quote(head)
        assert capped.capped
        assert capped.max_fee_per_gas_wei == 10**7


# Simulation


@pytest.fixture
def coded(anvil: Anvil) -> Anvil:
    anvil.set_code(COUNTER, COUNTER_CODE)
    anvil.set_code(POINTERS, POINTERS_CODE)
    anvil.set_code(ANCESTOR, ANCESTOR_CODE)
    for slot, value in ((0, 5), (5, 6), (6, 1234)):
        anvil.set_slot(POINTERS, slot, value)
    anvil.mine(8)
    return anvil


def payload(key: LocalKey, to: Address, *, value_wei: int = 0, gas_limit: int = 100_000) -> Payload:
    return Payload(CHAIN_ID, Address(key.address), to, b"", value_wei, gas_limit)


@pytest.mark.parametrize("offload", [InlineOffload(), ThreadOffload()], ids=["inline", "thread"])
async def test_simulation_says_what_the_receipt_will_say(coded: Anvil, offload: ThreadOffload) -> None:
    key = coded.funded_key()
    coded.mine()
    async with client_of(coded) as client:
        simulator = Simulator(client, DEVNET, offload)
        await simulator.pin(await client.head())
        execution = await simulator.run(payload(key, COUNTER), 0, 20 * GWEI, [Probe("again", COUNTER, b"")])
        assert [probe.return_data for probe in execution.probes] == [word(2)]
        (signed,) = key.sign_transactions([transaction(0, COUNTER)])
        coded.send(signed)
        coded.mine()
        (receipt,) = await client.receipts([Hash(signed.hash)])
    assert receipt is not None
    (simulated,) = execution.transactions
    assert (simulated.success, simulated.gas_used) == (receipt.status, receipt.gas_used)
    assert [(log.address, log.data) for log in simulated.logs] == [
        (log.address, log.data) for log in receipt.logs
    ]


async def test_dependent_reads_take_a_round_each_and_none_the_next_time(coded: Anvil, unhinted: None) -> None:
    key = coded.funded_key()
    coded.mine()
    async with client_of(coded) as client:
        simulator = Simulator(client, DEVNET, InlineOffload())
        await simulator.pin(await client.head())
        execution = await simulator.run(payload(key, POINTERS), 0, 20 * GWEI)
        assert execution.transactions[0].return_data == word(1234)
        first_rounds = simulator.rounds
        assert 1 < first_rounds <= 5
        await simulator.run(payload(key, POINTERS), 0, 20 * GWEI)
        assert simulator.rounds == first_rounds, "all of it is loaded"
        coded.set_slot(POINTERS, 6, 4321)
        coded.mine()
        await simulator.pin(await client.head())
        prefetches = simulator.prefetches
        execution = await simulator.run(payload(key, POINTERS), 0, 20 * GWEI)
        assert execution.transactions[0].return_data == word(4321)
        assert simulator.rounds == first_rounds, "the last read set was fetched with the pin"
        assert simulator.prefetches == prefetches == 2, "once what every call needs, once with the pin"


@pytest.fixture
def unhinted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node says nothing of what a call will touch."""

    async def silent(_client: ChainClient, _payload: Payload, _block: Block) -> StateKeys:
        return StateKeys()

    monkeypatch.setattr(ChainClient, "access_hint", silent)


async def test_state_that_takes_too_many_rounds_is_unavailable_and_goes_on_from_there(
    coded: Anvil, unhinted: None
) -> None:
    length = MISSING_ROUNDS_MAX + 4
    coded.set_code(TARGET, "5f" + "54" * length + "5f5260205ff3")
    for slot in range(length):
        coded.set_slot(TARGET, slot, slot + 1)
    key = coded.funded_key()
    coded.mine()
    async with client_of(coded) as client:
        simulator = Simulator(client, DEVNET, InlineOffload())
        await simulator.pin(await client.head())
        with pytest.raises(UnavailableError, match="rounds"):
            await simulator.run(payload(key, TARGET, gas_limit=1_000_000), 0, 20 * GWEI)
        execution = await simulator.run(payload(key, TARGET, gas_limit=1_000_000), 0, 20 * GWEI)
        assert execution.transactions[0].return_data == word(length)


async def test_what_is_run_first_pays_for_the_writes_that_others_would_have_paid_for(coded: Anvil) -> None:
    key, other = coded.funded_key(), coded.funded_key()
    coded.mine()
    async with client_of(coded) as client:
        simulator = Simulator(client, DEVNET, InlineOffload())
        await simulator.pin(await client.head())
        assert simulator.machine.run_first(payload(other, COUNTER), 20 * GWEI) is None, "nothing is before it"
        fresh = await simulator.push(payload(key, COUNTER), 0, 20 * GWEI)
        behind = await simulator.run(payload(other, COUNTER), 0, 20 * GWEI)
        first = simulator.machine.run_first(payload(other, COUNTER), 20 * GWEI)
        assert isinstance(first, Execution)
        assert first.transactions[0].gas_used == fresh.transactions[0].gas_used
        assert first.transactions[0].gas_used > behind.transactions[0].gas_used
        # Where its own lane is ahead of it, it runs in that one's place.
        again = simulator.machine.run_first(payload(key, COUNTER), 20 * GWEI)
        assert isinstance(again, Execution)
        assert again.transactions[0].success


async def test_overlay_is_kept_in_commit_order_and_rebuilt_after_a_pin(coded: Anvil) -> None:
    key, other = coded.funded_key(), coded.funded_key()
    coded.mine()
    async with client_of(coded) as client:
        simulator = Simulator(client, DEVNET, InlineOffload())
        await simulator.pin(await client.head())
        empty = simulator.overlay_digest
        await simulator.push(payload(key, COUNTER), 0, 20 * GWEI)
        await simulator.push(payload(other, COUNTER), 0, 1)
        pushed = simulator.overlay_digest
        execution = await simulator.run(payload(key, COUNTER), 1, 20 * GWEI)
        assert execution.transactions[0].return_data == word(3)
        assert execution.overlay_digest == pushed != empty
        assert await simulator.view([Probe("c", COUNTER, b"")]) == {"c": word(3)}
        gap = await simulator.run(payload(key, COUNTER), 5, 20 * GWEI)
        assert not gap.success, "a nonce ahead of the overlay cannot run"
        entries = [(payload(key, COUNTER), 0, 20 * GWEI), (payload(other, COUNTER), 0, 2)]
        await simulator.rebuild(entries[::-1])
        assert simulator.overlay_digest not in (pushed, empty), "another order is another overlay"
        await simulator.rebuild(entries)
        assert simulator.overlay_digest == pushed, "a fee is no part of it"
        coded.mine()
        await simulator.pin(await client.head())
        assert simulator.overlay_digest == empty


async def test_ancestors_hashes_are_of_the_pinned_branch(coded: Anvil) -> None:
    key = coded.funded_key()
    coded.mine()
    async with client_of(coded) as client:
        head = await client.head()
        simulator = Simulator(client, DEVNET, InlineOffload())
        await simulator.pin(head)
        execution = await simulator.run(payload(key, ANCESTOR), 0, 20 * GWEI)
        expected = await client.block_by_number(head.number - 2)
        assert expected is not None
        assert execution.transactions[0].return_data == expected.hash


async def test_pinned_block_that_is_reorged_away_is_stale(coded: Anvil) -> None:
    key = coded.funded_key()
    coded.mine(2)
    async with client_of(coded) as client:
        simulator = Simulator(client, DEVNET, InlineOffload())
        await simulator.pin(await client.head())
        coded.reorg(1)
        with pytest.raises(StaleError, match="gone"):
            await simulator.run(payload(key, COUNTER), 0, 20 * GWEI)


async def test_simulation_without_a_pin_is_stale(coded: Anvil) -> None:
    async with client_of(coded) as client:
        with pytest.raises(StaleError, match="pinned"):
            await Simulator(client, DEVNET, InlineOffload()).view([Probe("c", COUNTER, b"")])


async def test_state_of_many_keys_is_one_consistent_answer(coded: Anvil) -> None:
    async with client_of(coded) as client:
        head = await client.head()
        keys = StateKeys((COUNTER, TARGET), ((POINTERS, word(0)), (POINTERS, word(6))), (ANCESTOR,))
        state = await client.fetch_state(keys, head)
        assert [(a.balance_wei, a.nonce) for a in state.accounts] == [(0, 0), (0, 0)]
        assert [value for _, _, value in state.slots] == [word(5), word(1234)]
        assert [code.hex() for _, code in state.codes] == [COUNTER_CODE, "", ANCESTOR_CODE]


async def test_large_batches_are_split_and_answered_in_order(anvil: Anvil) -> None:
    anvil.mine(250)
    async with client_of(anvil) as client:
        answers = await client.pool.batch(
            [Request("eth_getBlockByNumber", (hex(n), False)) for n in range(250)]
        )
        numbers = [int(answer["number"], 16) for answer in answers if isinstance(answer, dict)]
        assert numbers == list(range(250))
