"""Nodes that transactions are measured on: an anvil that mines by the clock, and a true geth.

Each is a process of its own, ended by its process id. `Node.pay` gives keys money in the way
that the node has.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import aiohttp
import orjson
import psutil

from seawall.chain.fees import FeeSettings, fee_settings_of
from seawall.chain.networks import FinalityRule, Network, ReceiptReads, network_of
from seawall.primitives.units import Address, hex_text
from tests.fixtures.geth import CHAIN_ID as GETH_CHAIN_ID
from tests.fixtures.geth import GETH, MINED_TIP_WEI, running_geth

__all__ = ["BLOCK_S", "CHAIN_ID", "ETHER", "GWEI", "Node", "geth_node", "has_geth", "running_node"]

ANVIL: Final = (
    Path(__file__).resolve().parent.parent / "devnet/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
)
CHAIN_ID: Final = 31337
BLOCK_S: Final = 0.2
GETH_BLOCK_S: Final = 1
ETHER: Final = 10**18
GWEI: Final = 10**9
START_TRIES: Final = 400
START_PAUSE_S: Final = 0.02
STOP_S: Final = 20.0
ANSWER_TIMEOUT_S: Final = 20.0
BLOCK_GAS_LIMIT: Final = 1_000_000_000
PAID_WEI: Final = 10**6 * ETHER
GETH_PAID_WEI: Final = 100 * ETHER
JSON: Final = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Node:
    """One node, and what the product is told about its chain."""

    process: psutil.Process
    url: str
    network: Network
    fees: FeeSettings
    block_s: float
    pay: Callable[[Sequence[Address]], None]

    async def ask(self, session: aiohttp.ClientSession, *calls: tuple[str, Sequence[object]]) -> list[object]:
        body = [
            {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
            for i, (method, params) in enumerate(calls)
        ]
        async with session.post(self.url, data=orjson.dumps(body), headers=JSON) as response:
            answers = orjson.loads(await response.read())
        return [answer["result"] for answer in sorted(answers, key=lambda answer: int(answer["id"]))]

    def cpu_s(self) -> float:
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextlib.contextmanager
def running_node(*arguments: str, block_s: float = BLOCK_S) -> Iterator[Node]:
    """An anvil with interval mining: with instant mining it would measure its own sealing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    network = network_of(CHAIN_ID)
    _, hardfork = network.hardforks[-1]
    command = [
        str(ANVIL), "--silent", "--port", str(port), "--chain-id", str(CHAIN_ID), "--hardfork", hardfork,
        "--block-time", str(block_s), "--gas-limit", str(BLOCK_GAS_LIMIT), "--slots-in-an-epoch", "1",
        "--transaction-block-keeper", "256", *arguments,
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(START_TRIES):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(START_PAUSE_S)

        def pay(keys: Sequence[Address]) -> None:
            _post(url, [("anvil_setBalance", (hex_text(key), hex(PAID_WEI))) for key in keys])

        yield Node(psutil.Process(process.pid), url, network, fee_settings_of(network), block_s, pay)
    finally:
        process.kill()  # it holds nothing that a kill could harm, and does not always end when asked
        process.wait(STOP_S)


def has_geth() -> bool:
    return GETH.exists()


@contextlib.contextmanager
def geth_node() -> Iterator[Node]:
    """A true geth in developer mode, with a transaction pool and its bounds."""
    network = replace(
        network_of(CHAIN_ID),
        chain_id=GETH_CHAIN_ID,
        name="geth",
        block_time_s=GETH_BLOCK_S,
        finality=FinalityRule("safe", "finalized"),
        hardforks=((0, "osaka"),),
        receipts=ReceiptReads.BLOCK,
    )
    # Its miner leaves in the pool what tips less.
    fees = replace(fee_settings_of(network), priority_fee_floor_wei=2 * MINED_TIP_WEI)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_geth(Path(folder), period_s=GETH_BLOCK_S) as geth,
    ):
        yield Node(
            psutil.Process(geth.process.pid),
            geth.url,
            network,
            fees,
            GETH_BLOCK_S,
            lambda keys: geth.pay(keys, GETH_PAID_WEI),
        )


def _post(url: str, calls: Sequence[tuple[str, Sequence[object]]]) -> None:
    body = [
        {"jsonrpc": "2.0", "id": i, "method": method, "params": params}
        for i, (method, params) in enumerate(calls)
    ]
    request = urllib.request.Request(url, json.dumps(body).encode(), JSON)
    with urllib.request.urlopen(request, timeout=ANSWER_TIMEOUT_S) as response:
        for answer in json.load(response):
            if "error" in answer:
                raise RuntimeError(f"the node refused: {answer['error']}")
