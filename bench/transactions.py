"""Intents to mined transactions, beside the node's own limit and what people use today.

One run, one machine, one anvil a row with interval mining. *Ours*: plans accepted by the intake until all of
them are mined, everything on. *Limit*: the same number of transactions, signed before the clock starts,
posted in JSON-RPC batches of 100, two in flight, by a bare loop. *Peer*: a careful web3.py loop with local
nonces. For anvil, whose pool has no bound, a lane may have 1,024 unlanded; on common nodes the default is 16.

Latency is from the call of the intake to the bytes on the socket, at a steady rate, a local key and a warm
state; its limit is two `fdatasync` of as many bytes on the same file system in the same run, at the same
percentile.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp
import orjson

from bench.pipeline import (
    ANVIL_UNLANDED_MAX,
    CHAIN_ID,
    ETHER,
    GWEI,
    Node,
    Pipeline,
    running_node,
    running_pipeline,
    transfer,
)
from bench.rows import Row
from seawall.native import DynamicFeeTransaction, LocalKey
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, Hash

WARM_UP = 500
TRANSACTIONS = {1: 6_000, 16: 12_000}
PEER_TRANSACTIONS = 400
RATES_PER_S = (50, 200, 500)
RATE_S = 6.0
PLANS_AT_ONCE = 64  # one decision
DECISIONS_IN_FLIGHT = 4
BATCH = 100
POLL_S = 0.05
MINED_WITHIN_S = 180.0
FSYNCS = 400
FSYNC_BYTES = 4_096
ALLOWANCES_MS = {50: 2.0, 99: 6.0}  # beside two fdatasync, by percentile

MakePlan = Callable[[Address, str], Plan]


def measure() -> list[Row]:
    return [*(_rate_row(keys) for keys in TRANSACTIONS), *_latency_rows()]


# ---------------------------------------------------------------------- throughput


def _rate_row(keys: int) -> Row:
    count = TRANSACTIONS[keys]
    with running_node() as node:
        limit = asyncio.run(_bare_loop(node, keys, count))
    with running_node() as node:
        peer = _web3_loop(node, keys, PEER_TRANSACTIONS)
    with running_node() as node:
        ours, node_share = asyncio.run(_ours(node, keys, count))
    name = f"transfers mined, {keys} key{'s' if keys > 1 else ''}, lane bound {ANVIL_UNLANDED_MAX}"
    return Row(
        f"{name}, node's share of the CPU {node_share:.0%}", "1/s", ours, {"web3.py loop": peer}, limit
    )


async def _ours(node: Node, keys: int, count: int) -> tuple[float, float]:
    async with running_pipeline(node, keys) as pipeline, aiohttp.ClientSession() as session:
        await _run(node, session, pipeline, WARM_UP, "warm")
        node_before_s, ours_before_s = node.cpu_s(), time.process_time()
        rate = await _run(node, session, pipeline, count, "run")
        node_s, ours_s = node.cpu_s() - node_before_s, time.process_time() - ours_before_s
        return rate, node_s / (node_s + ours_s)


async def _run(node: Node, session: aiohttp.ClientSession, pipeline: Pipeline, count: int, tag: str) -> float:
    keys = pipeline.keys
    plans = [transfer(keys[i % len(keys)], f"{tag}-{i}") for i in range(count)]
    before = await _mined(node, session, keys)
    begin_s = time.perf_counter()
    in_flight = asyncio.Semaphore(DECISIONS_IN_FLIGHT)

    async def accept(some: Sequence[Plan]) -> None:
        async with in_flight:
            await pipeline.accept(some)

    chunks = [plans[i : i + PLANS_AT_ONCE] for i in range(0, count, PLANS_AT_ONCE)]
    await asyncio.gather(*(accept(chunk) for chunk in chunks))
    await _until_mined(node, session, keys, before + count)
    return count / (time.perf_counter() - begin_s)


async def _bare_loop(node: Node, keys: int, count: int) -> float:
    """The limit: what this node takes and mines."""
    signers = [LocalKey.generate() for _ in range(keys)]
    addresses = [Address(key.address) for key in signers]
    per_key = count // keys
    raws = [
        [signed.raw for signed in key.sign_transactions([_plain(nonce) for nonce in range(per_key)])]
        for key in signers
    ]
    in_turn = [raw for several in zip(*raws, strict=True) for raw in several]
    bodies = [_request(in_turn[i : i + BATCH]) for i in range(0, len(in_turn), BATCH)]
    async with aiohttp.ClientSession() as session:
        await _fund(node, session, addresses)
        begin_s = time.perf_counter()
        in_flight = asyncio.Semaphore(2)

        async def post(body: bytes) -> None:
            async with in_flight, session.post(node.url, data=body, headers=_JSON) as response:
                await response.read()

        await asyncio.gather(*(post(body) for body in bodies))
        await _until_mined(node, session, addresses, len(in_turn))
        return len(in_turn) / (time.perf_counter() - begin_s)


def _web3_loop(node: Node, keys: int, count: int) -> float:
    """What a careful script does: local nonces, one signature and one request a transaction."""
    from eth_account import Account
    from web3 import HTTPProvider, Web3

    client = Web3(HTTPProvider(node.url))
    accounts = [Account.create() for _ in range(keys)]
    for account in accounts:
        client.provider.make_request("anvil_setBalance", [account.address, hex(ETHER)])  # type: ignore[arg-type]
    begin_s = time.perf_counter()
    for index in range(count):
        account = accounts[index % keys]
        fields = {
            "chainId": CHAIN_ID, "nonce": index // keys, "to": "0x" + "d0" * 20, "value": 1, "gas": 21_000,
            "maxFeePerGas": 100 * GWEI, "maxPriorityFeePerGas": GWEI,
        }  # fmt: skip
        signed = account.sign_transaction(fields)
        client.eth.send_raw_transaction(signed.raw_transaction)
    last = accounts[(count - 1) % keys]
    while client.eth.get_transaction_count(last.address) <= (count - 1) // keys:
        time.sleep(POLL_S)
    return count / (time.perf_counter() - begin_s)


_JSON = {"Content-Type": "application/json"}


def _plain(nonce: int) -> DynamicFeeTransaction:
    return DynamicFeeTransaction(
        chain_id=CHAIN_ID, nonce=nonce, max_priority_fee_per_gas_wei=GWEI,
        max_fee_per_gas_wei=100 * GWEI, gas_limit=21_000, to=b"\xd0" * 20, value_wei=1, data=b"",
    )  # fmt: skip


def _request(raws: Sequence[bytes]) -> bytes:
    return orjson.dumps(
        [
            {"jsonrpc": "2.0", "id": i, "method": "eth_sendRawTransaction", "params": ["0x" + raw.hex()]}
            for i, raw in enumerate(raws)
        ]
    )


async def _fund(node: Node, session: aiohttp.ClientSession, addresses: Sequence[Address]) -> None:
    await node.ask(session, *(("anvil_setBalance", ["0x" + a.hex(), hex(10**6 * ETHER)]) for a in addresses))


async def _mined(node: Node, session: aiohttp.ClientSession, addresses: Sequence[Address]) -> int:
    counts = await node.ask(
        session, *(("eth_getTransactionCount", ["0x" + a.hex(), "latest"]) for a in addresses)
    )
    return sum(int(str(count), 16) for count in counts)


async def _until_mined(
    node: Node, session: aiohttp.ClientSession, addresses: Sequence[Address], count: int
) -> None:
    deadline_s = time.perf_counter() + MINED_WITHIN_S
    while (mined := await _mined(node, session, addresses)) < count:
        if time.perf_counter() > deadline_s:
            raise TimeoutError(f"{mined} of {count} transactions were mined within {MINED_WITHIN_S:.0f} s")
        await asyncio.sleep(POLL_S)


# ---------------------------------------------------------------------- latency


def _latency_rows() -> list[Row]:
    rows = []
    for rate_per_s in RATES_PER_S:
        with running_node() as node:
            to_socket_ms, answered_ms, fsync_ms = asyncio.run(_latency(node, rate_per_s))
        rows += [
            Row(
                f"accept to socket at {rate_per_s}/s, p{percent}",
                "ms",
                _percentile(to_socket_ms, percent),
                {
                    "two fdatasync": 2 * _percentile(fsync_ms, percent),
                    "accept to the node's answer": _percentile(answered_ms, percent),
                },
                2 * _percentile(fsync_ms, percent) + allowance_ms,
            )
            for percent, allowance_ms in ALLOWANCES_MS.items()
        ]
    return rows


async def _latency(node: Node, rate_per_s: int) -> tuple[list[float], list[float], list[float]]:
    accepted_s: dict[str, float] = {}
    async with running_pipeline(node, 1) as pipeline, aiohttp.ClientSession() as session:
        await _run(node, session, pipeline, WARM_UP // 5, "warm")
        port = pipeline.port
        port.forget()
        tasks = []
        begin_s = time.perf_counter()
        count = int(rate_per_s * RATE_S)
        for index in range(count):
            name = f"at-{index}"
            await asyncio.sleep(max(0.0, begin_s + index / rate_per_s - time.perf_counter()))
            accepted_s[name] = time.perf_counter()
            tasks.append(asyncio.create_task(pipeline.accept([transfer(pipeline.keys[0], name)])))
        await asyncio.gather(*tasks)
        fsync_ms = await asyncio.to_thread(_fsyncs, pipeline.directory)
        await pipeline.chain.loop.outbox.idle()
        names = await pipeline.names_by_hash(count + WARM_UP)
    return _since(accepted_s, port.written_s, names), _since(accepted_s, port.answered_s, names), fsync_ms


def _since(accepted_s: dict[str, float], at_s: dict[Hash, float], names: dict[Hash, str]) -> list[float]:
    """From each intent's acceptance to the first of its attempts [ms]."""
    first_s: dict[str, float] = {}
    for attempt_hash, moment_s in at_s.items():
        name = names.get(attempt_hash)
        if name in accepted_s:
            first_s[name] = min(moment_s, first_s.get(name, moment_s))
    return [1e3 * (moment_s - accepted_s[name]) for name, moment_s in first_s.items()]


def _fsyncs(directory: Path) -> list[float]:
    """How long the file system takes to make as many bytes durable as a commit writes [ms]."""
    found = []
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(FSYNCS):
            os.write(file.fileno(), bytes(FSYNC_BYTES))
            begin_s = time.perf_counter()
            os.fdatasync(file.fileno())
            found.append(1e3 * (time.perf_counter() - begin_s))
    return found


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]
