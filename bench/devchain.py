"""A bare anvil with the true Uniswap contracts, and state for `Evm`: for benchmarks and native tests.

Flow: `run_devchain` runs the pinned anvil on a free loopback port; `deploy_venues` puts WETH, a token,
and funded pools of both on Uniswap V2 and V3 there, from the published npm artifacts; `simulate` runs a
bundle in an `Evm`, loading what is missing from the node at one block, until it is an execution.

Assumptions: `npm ci` ran in devnet/. Nothing of the product's own chain access is used, so that the
native core is tested and measured alone.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from seawall.native import (
    AccountState,
    BlockEnvironment,
    Evm,
    EvmTransaction,
    Execution,
    Missing,
    Probe,
    StateOverride,
    abi_encode,
    encode_call,
)

__all__ = [
    "Contract",
    "DevChain",
    "Header",
    "Json",
    "Venues",
    "deploy_venues",
    "environment_of",
    "load_missing",
    "run_devchain",
    "simulate",
    "unhex",
]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

PACKAGES = Path(__file__).resolve().parent.parent / "devnet" / "node_modules"
HARDFORK = "cancun"
STOP_TIMEOUT_S = 20.0
RECEIPT_TRIES = 2_000
RECEIPT_PAUSE_S = 0.002
LOAD_ROUNDS_MAX = 40
DEADLINE = 2**40
ETHER = 10**18
TICK_RANGE = 60_000
V3_FEE = 3000


@dataclass(frozen=True, slots=True)
class Header:
    """What an environment needs of a block."""

    number: int
    hash: bytes
    timestamp_s: int
    base_fee_wei: int
    gas_limit: int
    coinbase: bytes
    prevrandao: bytes


@dataclass(frozen=True, slots=True)
class Contract:
    """Creation code of a published artifact."""

    bytecode: bytes

    @staticmethod
    def published(path: str) -> Contract:
        document = json.loads((PACKAGES / path).read_text())
        return Contract(unhex(document["bytecode"]))


def unhex(text: Json) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"expected hex text, got {text!r}")
    return bytes.fromhex(text.removeprefix("0x"))


class DevChain:
    """One anvil, by plain JSON-RPC over one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.chain_id = self.integer("eth_chainId")
        accounts = self.request("eth_accounts")
        assert isinstance(accounts, list)
        self.accounts = [unhex(account) for account in accounts]

    def close(self) -> None:
        self._connection.close()

    def post(self, body: Json) -> Json:
        self._connection.request("POST", "/", json.dumps(body).encode(), {"Content-Type": "application/json"})
        answer: Json = json.loads(self._connection.getresponse().read())
        return answer

    def batch(self, calls: Sequence[tuple[str, list[Json]]]) -> list[Json]:
        if not calls:
            return []
        body: list[Json] = [
            {"jsonrpc": "2.0", "id": index, "method": method, "params": params}
            for index, (method, params) in enumerate(calls)
        ]
        answers = self.post(body)
        assert isinstance(answers, list)
        results: list[Json] = [None] * len(calls)
        for answer in answers:
            assert isinstance(answer, dict)
            index = answer["id"]
            assert isinstance(index, int)
            results[index] = answer["result"]
        return results

    def answer(self, method: str, *params: Json) -> dict[str, Json]:
        answer = self.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        assert isinstance(answer, dict)
        return answer

    def request(self, method: str, *params: Json) -> Json:
        answer = self.answer(method, *params)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def record(self, method: str, *params: Json) -> dict[str, Json]:
        answer = self.request(method, *params)
        assert isinstance(answer, dict)
        return answer

    def integer(self, method: str, *params: Json) -> int:
        answer = self.request(method, *params)
        assert isinstance(answer, str)
        return int(answer, 16)

    def head(self, block: str = "latest") -> Header:
        return header_of(self.record("eth_getBlockByNumber", block, False))

    def send(
        self,
        sender: bytes,
        to: bytes | None,
        data: bytes,
        value_wei: int = 0,
        gas_limit: int = 6_000_000,
        gas_price_wei: int | None = None,
    ) -> dict[str, Json]:
        """Sends from an unlocked account and returns the receipt."""
        fields: dict[str, Json] = {
            "from": "0x" + sender.hex(),
            "data": "0x" + data.hex(),
            "value": hex(value_wei),
            "gas": hex(gas_limit),
        }
        if to is not None:
            fields["to"] = "0x" + to.hex()
        if gas_price_wei is not None:
            fields["gasPrice"] = hex(gas_price_wei)
        return self.receipt(self.request("eth_sendTransaction", fields))

    def receipt(self, digest: Json) -> dict[str, Json]:
        """anvil mines at once, but not before it answers."""
        for _ in range(RECEIPT_TRIES):
            answer = self.request("eth_getTransactionReceipt", digest)
            if isinstance(answer, dict):
                return answer
            time.sleep(RECEIPT_PAUSE_S)
        raise RuntimeError(f"{digest} was not mined")

    def deploy(self, contract: Contract, arguments: bytes = b"") -> bytes:
        receipt = self.send(self.accounts[0], None, contract.bytecode + arguments, gas_limit=20_000_000)
        assert receipt["status"] == "0x1"
        return unhex(receipt["contractAddress"])

    def invoke(self, to: bytes, data: bytes, value_wei: int = 0) -> None:
        receipt = self.send(self.accounts[0], to, data, value_wei)
        assert receipt["status"] == "0x1", receipt

    def read(self, to: bytes, data: bytes, block: str = "latest") -> bytes:
        return unhex(self.request("eth_call", {"to": "0x" + to.hex(), "data": "0x" + data.hex()}, block))


def header_of(block: dict[str, Json]) -> Header:
    def integer(field: str) -> int:
        value = block[field]
        assert isinstance(value, str)
        return int(value, 16)

    return Header(
        number=integer("number"),
        hash=unhex(block["hash"]),
        timestamp_s=integer("timestamp"),
        base_fee_wei=integer("baseFeePerGas"),
        gas_limit=integer("gasLimit"),
        coinbase=unhex(block["miner"]),
        prevrandao=unhex(block["mixHash"]),
    )


@contextmanager
def run_devchain(*options: str, hardfork: str = HARDFORK) -> Iterator[DevChain]:
    """An anvil of its own for as long as the context lasts."""
    binary = next(PACKAGES.glob("@foundry-rs/anvil-*/bin/anvil"))
    command = [str(binary), "--port", "0", "--hardfork", hardfork, *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    drain: threading.Thread | None = None
    try:
        port = 0
        for line in process.stdout:
            if found := re.search(r"Listening on 127\.0\.0\.1:(\d+)", line):
                port = int(found.group(1))
                break
        if port == 0:
            raise RuntimeError("anvil ended before it listened")
        # anvil names every request on its output, and stops when nobody reads it.
        drain = threading.Thread(target=deque, args=(process.stdout, 0), daemon=True)
        drain.start()
        chain = DevChain(port)
        try:
            yield chain
        finally:
            chain.close()
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        if drain is not None:
            drain.join(STOP_TIMEOUT_S)
        process.stdout.close()


@dataclass(frozen=True, slots=True)
class Venues:
    """Where the contracts are."""

    weth: bytes
    token: bytes
    v2_router: bytes
    v2_pair: bytes
    v3_router: bytes
    v3_pool: bytes


def deploy_venues(chain: DevChain) -> Venues:
    """WETH, one token, a funded pool of both on Uniswap V2 and on V3; account 0 has approved everything."""
    owner = chain.accounts[0]
    weth = chain.deploy(Contract.published("canonical-weth/build/contracts/WETH9.json"))
    supply = abi_encode(["uint256"], [10**30])
    token = chain.deploy(Contract.published("@uniswap/v2-core/build/ERC20.json"), supply)
    v2 = chain.deploy(
        Contract.published("@uniswap/v2-core/build/UniswapV2Factory.json"), abi_encode(["address"], [owner])
    )
    v2_router = chain.deploy(
        Contract.published("@uniswap/v2-periphery/build/UniswapV2Router02.json"),
        abi_encode(["address", "address"], [v2, weth]),
    )
    core, periphery = "@uniswap/v3-core/artifacts/contracts", "@uniswap/v3-periphery/artifacts/contracts"
    v3 = chain.deploy(Contract.published(f"{core}/UniswapV3Factory.sol/UniswapV3Factory.json"))
    both = abi_encode(["address", "address"], [v3, weth])
    v3_router = chain.deploy(Contract.published(f"{periphery}/SwapRouter.sol/SwapRouter.json"), both)
    positions = chain.deploy(
        Contract.published(f"{periphery}/NonfungiblePositionManager.sol/NonfungiblePositionManager.json"),
        abi_encode(["address", "address", "address"], [v3, weth, bytes(20)]),
    )
    chain.invoke(weth, encode_call("deposit()", []), 2_000 * ETHER)
    for spender in (v2_router, v3_router, positions):
        for asset in (weth, token):
            chain.invoke(asset, encode_call("approve(address,uint256)", [spender, 2**256 - 1]))
    chain.invoke(
        v2_router,
        encode_call(
            "addLiquidity(address,address,uint256,uint256,uint256,uint256,address,uint256)",
            [weth, token, 500 * ETHER, 10**6 * ETHER, 0, 0, owner, DEADLINE],
        ),
    )
    low, high = sorted((weth, token))
    chain.invoke(
        positions,
        encode_call(
            "createAndInitializePoolIfNecessary(address,address,uint24,uint160)",
            [low, high, V3_FEE, 2**96],
        ),
    )
    mint = "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))"
    amount = 500 * ETHER
    position = (low, high, V3_FEE, -TICK_RANGE, TICK_RANGE, amount, amount, 0, 0, owner, DEADLINE)
    chain.invoke(positions, encode_call(mint, [position]))
    pair = chain.read(v2, encode_call("getPair(address,address)", [weth, token]))[12:]
    pool = chain.read(v3, encode_call("getPool(address,address,uint24)", [weth, token, V3_FEE]))[12:]
    return Venues(weth, token, v2_router, pair, v3_router, pool)


def environment_of(header: Header, hardfork: str = HARDFORK) -> BlockEnvironment:
    """The environment in which that very block was made."""
    return BlockEnvironment(
        number=header.number,
        timestamp_s=header.timestamp_s,
        base_fee_wei=header.base_fee_wei,
        gas_limit=header.gas_limit,
        coinbase=header.coinbase,
        prevrandao=header.prevrandao,
        hardfork=hardfork,
    )


def load_missing(chain: DevChain, evm: Evm, missing: Missing, block_number: int) -> None:
    """One batch of reads at `block_number`."""
    tag = hex(block_number)
    named = list(dict.fromkeys((*missing.accounts, *missing.codes)))
    calls: list[tuple[str, list[Json]]] = []
    for address in named:
        text = "0x" + address.hex()
        calls += [
            (method, [text, tag]) for method in ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")
        ]
    for address, slot in missing.slots:
        calls.append(("eth_getStorageAt", ["0x" + address.hex(), "0x" + slot.hex(), tag]))
    for number in missing.block_hashes:
        calls.append(("eth_getBlockByNumber", [hex(number), False]))
    answers = chain.batch(calls)
    accounts, codes = [], []
    for index, address in enumerate(named):
        balance, nonce, code = answers[3 * index : 3 * index + 3]
        assert isinstance(balance, str)
        assert isinstance(nonce, str)
        accounts.append(AccountState(address, int(balance, 16), int(nonce, 16)))
        codes.append((address, unhex(code)))
    rest = answers[3 * len(named) :]
    slots = [
        (address, slot, unhex(value).rjust(32, b"\0"))
        for (address, slot), value in zip(missing.slots, rest, strict=False)
    ]
    hashes = []
    for number, block in zip(missing.block_hashes, rest[len(missing.slots) :], strict=True):
        assert isinstance(block, dict)
        hashes.append((number, unhex(block["hash"])))
    evm.load(accounts, slots, codes, hashes)


def simulate(
    chain: DevChain,
    evm: Evm,
    block_number: int,
    transactions: Sequence[EvmTransaction],
    probes: Sequence[Probe] = (),
    overrides: Sequence[StateOverride] = (),
    trace: bool = False,
) -> Execution:
    """Runs until nothing is missing; state is that of `block_number`."""
    for _ in range(LOAD_ROUNDS_MAX):
        answer = evm.run(transactions, probes, overrides, trace)
        if isinstance(answer, Execution):
            return answer
        load_missing(chain, evm, answer, block_number)
    raise RuntimeError(f"state still missing after {LOAD_ROUNDS_MAX} rounds")
