"""A true anvil with the Recorder in it, and the clock by which it mines.

We are the clock, because anvil 1.7.1 mines into a reorg that goes on: such a block names transactions that
the node itself then does not know. Here blocks and reorgs take turns.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.chaos.evidence import rpc_batch
from tests.fixtures.anvil import ANVIL, CHAIN_ID
from tests.fixtures.kernel import free_port
from tests.fixtures.orphans import ends_with_us

__all__ = ["RECORDER", "SINK", "Compiled", "Node", "compiled_recorder", "running_node"]

RECORDER = "0x" + "7e" * 20
SINK = "0x" + "51" * 20
BALANCE_WEI = 10_000 * 10**18
BASE_FEE_WEI = 10**9
READY_WAIT_S = 20.0
COMPILE_TIMEOUT_S = 60.0
_HERE = Path(__file__).resolve().parent
_DEVNET = _HERE.parents[1] / "devnet"
# Standard input to standard output, by the compiler that devnet/package.json pins.
_COMPILE = """
const solc = require("solc"), fs = require("fs");
process.stdout.write(solc.compile(fs.readFileSync(0, "utf8")));
"""


class Compiled:
    """The Recorder's code, and its selectors by signature."""

    def __init__(self, code: str, selectors: dict[str, str]) -> None:
        self.code = code
        self.selectors = selectors


def compiled_recorder() -> Compiled:
    node = shutil.which("node")
    assert node is not None, "Node.js is not on the PATH"
    source = (_HERE / "Recorder.sol").read_text()
    asked = {
        "language": "Solidity",
        "sources": {"Recorder.sol": {"content": source}},
        "settings": {
            "evmVersion": "cancun",
            "optimizer": {"enabled": True, "runs": 200},
            "outputSelection": {"*": {"*": ["evm.deployedBytecode.object", "evm.methodIdentifiers"]}},
        },
    }
    done = subprocess.run(
        [node, "-e", _COMPILE], input=json.dumps(asked), capture_output=True, text=True, cwd=_DEVNET,
        timeout=COMPILE_TIMEOUT_S, check=True,
    )  # fmt: skip
    answer = json.loads(done.stdout)
    assert "contracts" in answer, answer.get("errors")
    evm = answer["contracts"]["Recorder.sol"]["Recorder"]["evm"]
    selectors = {name: "0x" + digits for name, digits in evm["methodIdentifiers"].items()}
    return Compiled("0x" + evm["deployedBytecode"]["object"], selectors)


class Node:
    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.trouble = ""  # why no block comes any more
        self._turn = threading.Lock()

    def rpc(self, method: str, *params: object) -> object:
        (answer,) = rpc_batch(self.url, [(method, params)])
        return answer

    def block_number(self) -> int:
        return int(str(self.rpc("eth_blockNumber")), 16)

    def reorg(self, depth: int) -> None:
        with self._turn:
            self.rpc("anvil_reorg", depth, [])

    def mine_until(self, stopped: threading.Event, block_time_s: float) -> None:
        while not stopped.wait(block_time_s):
            try:
                with self._turn:
                    self.rpc("evm_mine")
            except (OSError, AssertionError) as error:
                self.trouble = f"anvil mines no more: {error}"
                return

    def prepare(self, code: str, senders: Sequence[str]) -> None:
        self.rpc("anvil_setCode", RECORDER, code)
        for sender in senders:
            self.rpc("anvil_setBalance", sender, hex(BALANCE_WEI))


@contextlib.contextmanager
def running_node(block_time_s: float, log: Path) -> Iterator[Node]:
    # Its standard output would name every request; a pipe that nobody reads would stop it.
    node, stopped = Node(free_port()), threading.Event()
    command = [
        str(ANVIL), "--silent", "--host", "127.0.0.1", "--port", str(node.port), "--hardfork", "prague",
        "--chain-id", str(CHAIN_ID), "--slots-in-an-epoch", "2", "--accounts", "1",
        "--base-fee", str(BASE_FEE_WEI), "--no-mining",
    ]  # fmt: skip
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    ends_with_us(process.pid)
    try:
        until_s = time.monotonic() + READY_WAIT_S
        while True:
            try:
                node.block_number()
                break
            except OSError:
                assert process.poll() is None, f"anvil ended: {log.read_text()[-2000:]}"
                assert time.monotonic() < until_s, "anvil does not answer"
                time.sleep(0.05)
        miner = threading.Thread(target=node.mine_until, args=(stopped, block_time_s), daemon=True)
        miner.start()
        try:
            yield node
        finally:
            stopped.set()
            miner.join(READY_WAIT_S)
    finally:
        process.kill()
        process.wait(READY_WAIT_S)
