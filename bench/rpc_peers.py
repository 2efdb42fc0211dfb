"""What people read with today: web3.py, viem on node, and a bare aiohttp loop as the limit of this machine.

Each offers the same four reads: one balance, one call, a JSON-RPC batch, and a Multicall3 bundle. The bare
loop sends bodies that were made before and decodes the JSON of the answers, nothing else. viem is installed
once from the package index into the cache (`$SEAWALL_CACHE` or `~/.cache/seawall`); where that cannot be, its
figures are missing and standard error says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
import orjson

from seawall.native import encode_call, to_checksum
from seawall.primitives.blocks import Block, Read
from seawall.primitives.units import Address, hex_text
from seawall.protocols.multicall import aggregate3_call

__all__ = ["KINDS", "Reads", "Workload", "bare", "viem", "web3"]

VIEM: Final = "viem@2.57.20"
INSTALL_TIMEOUT_S: Final = 240.0
RUN_TIMEOUT_S: Final = 120.0
SCRIPT: Final = Path(__file__).resolve().parent / "peer_scripts" / "reading.mjs"
KINDS: Final = ("balance", "call", "batch", "bundle")
_JSON: Final = {"Content-Type": "application/json"}
_OK: Final = 200

Reads = Mapping[str, Callable[[], Awaitable[object]]]
"""By kind, one question."""


@dataclass(frozen=True, slots=True)
class Workload:
    """What is read, of one block."""

    url: str
    block: Block
    address: Address
    multicall: Address
    batch: int  # balances in a JSON-RPC batch
    bundle: int  # calls in a Multicall3 bundle

    @property
    def read_calldata(self) -> bytes:
        return encode_call("getEthBalance(address)", (self.address,))

    def reads_of(self, kind: str) -> int:
        return {"batch": self.batch, "bundle": self.bundle}.get(kind, 1)

    def read(self, place: int) -> Read:
        return Read(str(place), self.multicall, self.read_calldata)


@contextlib.asynccontextmanager
async def bare(work: Workload) -> AsyncIterator[Reads]:
    pin = {"blockHash": hex_text(work.block.hash), "requireCanonical": True}
    balance = ("eth_getBalance", [hex_text(work.address), pin])
    call = ("eth_call", [{"to": hex_text(work.multicall), "data": hex_text(work.read_calldata)}, pin])
    bundle = aggregate3_call([work.read(place) for place in range(work.bundle)])
    bodies = {
        "balance": _body([balance]),
        "call": _body([call]),
        "batch": _body([balance] * work.batch),
        "bundle": _body([("eth_call", [{"to": hex_text(work.multicall), "data": hex_text(bundle)}, pin])]),
    }
    async with aiohttp.ClientSession() as session:

        def asking(body: bytes) -> Callable[[], Awaitable[object]]:
            async def ask() -> object:
                async with session.post(work.url, data=body, headers=_JSON) as response:
                    assert response.status == _OK
                    return orjson.loads(await response.read())

            return ask

        yield {kind: asking(body) for kind, body in bodies.items()}


def _body(calls: list[tuple[str, list[Any]]]) -> bytes:
    many = [{"jsonrpc": "2.0", "id": i, "method": m, "params": params} for i, (m, params) in enumerate(calls)]
    return orjson.dumps(many if len(many) > 1 else many[0])


@contextlib.asynccontextmanager
async def web3(work: Workload) -> AsyncIterator[Reads]:
    from eth_abi.abi import decode
    from web3 import AsyncHTTPProvider, AsyncWeb3

    provider = AsyncHTTPProvider(work.url)
    client = AsyncWeb3(provider)
    address = client.to_checksum_address(to_checksum(work.address))
    target = client.to_checksum_address(to_checksum(work.multicall))
    bundle = aggregate3_call([work.read(place) for place in range(work.bundle)])
    number: Any = work.block.number
    calldata = client.to_hex(work.read_calldata)

    async def batched() -> object:
        async with client.batch_requests() as batch:
            for _ in range(work.batch):
                batch.add(client.eth.get_balance(address, number))
            return await batch.async_execute()

    async def bundled() -> object:
        answer = await client.eth.call({"to": target, "data": client.to_hex(bundle)}, number)
        return decode(["(bool,bytes)[]"], bytes(answer))

    try:
        yield {
            "balance": lambda: client.eth.get_balance(address, number),
            "call": lambda: client.eth.call({"to": target, "data": calldata}, number),
            "batch": batched,
            "bundle": bundled,
        }
    finally:
        await provider.disconnect()


def viem(work: Workload, seconds: float, concurrency: int) -> dict[str, float]:
    """Reads per second by kind; empty where it cannot be had."""
    cache = Path(os.environ.get("SEAWALL_CACHE") or Path.home() / ".cache" / "seawall")
    folder = cache / "peers" / VIEM.replace("@", "-")
    script = folder / SCRIPT.name
    try:
        if not (folder / "installed").exists():
            print(f"installing {VIEM} into {folder}", file=sys.stderr)
            folder.mkdir(parents=True, exist_ok=True)
            subprocess.run(
                ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, VIEM],
                timeout=INSTALL_TIMEOUT_S, stdout=sys.stderr, check=True,
            )  # fmt: skip
            (folder / "installed").touch()
        script.write_text(SCRIPT.read_text())  # beside the package, where node looks for it
        done = subprocess.run(
            ["node", script, work.url, to_checksum(work.multicall), str(seconds), str(concurrency),
             str(work.batch), str(work.bundle)],
            timeout=RUN_TIMEOUT_S, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, float] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        said = error.stderr if isinstance(error, subprocess.CalledProcessError) else ""
        print(f"viem is missing from the peers: {error!s:.200} {said or '':.300}", file=sys.stderr)
        return {}
    return found
