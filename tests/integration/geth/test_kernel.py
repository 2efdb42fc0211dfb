"""The whole kernel on geth, a chain that a user described: plans land, though the chain is set back once."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from seawall.ledger.migrate import create
from seawall.native.wire import Password
from seawall.primitives.levels import IntentState
from seawall.primitives.units import NATIVE, Address, address_text, hex_text
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.fixtures.geth import CHAIN_ID, ETHER, Geth
from tests.fixtures.kernel import Books, free_port
from tests.fixtures.orphans import ends_with_us

COUNTER_CODE = "5f54600101805f555f5260205fa060205ff3"
STEPS = 4
POLL_S = 0.05  # well below the time from the second inclusion to finality, in which the chain is set back
WAIT_S = 120.0
REPOSITORY = Path(__file__).resolve().parents[3]
CONFIGURATION = """\
[kernel]
listen = "127.0.0.1:{port}"

[[networks]]
chain_id = {chain_id}
name = "geth-dev"
native_symbol = "ETH"
block_time_s = 1
safe = 1
final = 6
[[networks.hardforks]]
from_s = 0
name = "osaka"

[[chains]]
chain_id = {chain_id}
rpc = ["{url}"]
websocket = "{socket_url}"
[chains.fees]
priority_fee_floor_gwei = "2"

[[signers]]
name = "main"
keystore = "keys/main.json"
password_file = "keys/main.password"
[[signers.policies]]
chain_id = {chain_id}
fee_max = "1"
value_max = "1"
[[signers.policies.targets]]
target = "{target}"
calls = ["any"]
[[signers.policies.spend]]
token = "native"
per_hour = "5"
per_day = "5"

[limits]
slippage_bps = 50
key_balance_min = "0.1"

[[limits.positions]]
chain_id = {chain_id}
token = "native"
cap = "50"

[[strategies]]
name = "counting"
class = "seawall.strategies.scripted:Scripted"
chain_id = {chain_id}
signer = "main"
mode = "live"
[strategies.settings]
accounting_token = "{native}"
ttl_s = 600
"""
STEP = """\
[[strategies.settings.steps]]
note = "count {number}"
target = "{target}"
value_wei = "{value_wei}"
"""


@dataclass(slots=True)
class Folder:
    """What the kernel has on disk, with a key of its own."""

    place: Path
    node: Geth
    key: Address = field(init=False)
    port: int = field(init=False)

    def __post_init__(self) -> None:
        (self.place / "keys").mkdir(parents=True)
        (self.place / "data").mkdir()
        password = Password.generate()
        password.write_file(self.place / "keys" / "main.password")
        self.key = create_keystore(self.place / "keys" / "main.json", password, THROWAWAY_COST)
        create(self.books.url)
        self.port = free_port()
        self.node.pay([self.key], 20 * ETHER)

    @property
    def books(self) -> Books:
        return Books(f"sqlite:///{self.place / 'data' / 'ledger.db'}")

    @property
    def configuration(self) -> Path:
        return self.place / "seawall.toml"

    @property
    def told(self) -> str:
        return (self.place / "kernel.log").read_text()[-3_000:]

    def write(self, target: Address) -> None:
        node = self.node
        text = CONFIGURATION.format(
            port=self.port,
            chain_id=CHAIN_ID,
            url=node.url,
            socket_url=node.socket_url,
            native=address_text(NATIVE),
            target=address_text(target),
        )
        steps = (
            STEP.format(number=number, target=address_text(target), value_wei=number)
            for number in range(1, STEPS + 1)
        )
        self.configuration.write_text(text + "".join(steps))

    @contextlib.contextmanager
    def run(self) -> Iterator[subprocess.Popen[bytes]]:
        with (self.place / "kernel.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "seawall.cli", "run", "--config", str(self.configuration)],
                stdout=log,
                stderr=log,
                env=dict(os.environ),
                cwd=REPOSITORY,
            )
        ends_with_us(process.pid)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(WAIT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(WAIT_S)

    def health(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=20) as answer:
                return int(answer.status)
        except urllib.error.URLError:
            return 0


@pytest.fixture
def folder(geth: Geth, tmp_path: Path) -> Folder:
    return Folder(tmp_path / "kernel", geth)


def test_kernel_lands_every_plan_on_geth_though_its_chain_is_set_back(geth: Geth, folder: Folder) -> None:
    (deployer,) = geth.funded_keys(1)
    counter = geth.deploy(deployer, COUNTER_CODE)
    folder.write(counter)
    with folder.run() as process:
        until_s = time.monotonic() + WAIT_S
        is_set_back = False
        while not (rows := folder.books.intents()) or not all(row.state.is_outcome for row in rows):
            assert process.poll() is None, folder.told
            assert time.monotonic() < until_s, folder.told
            if (
                not is_set_back
                and geth.number("eth_getTransactionCount", hex_text(folder.key), "latest") >= 2
            ):
                geth.set_head(geth.height - 2)
                is_set_back = True
            time.sleep(POLL_S)
        rows = folder.books.intents()
        assert folder.health() == 200, folder.told
    assert is_set_back
    assert [row.state for row in rows] == [IntentState.LANDED] * STEPS, folder.told
    assert geth.number("eth_getTransactionCount", hex_text(folder.key), "latest") == STEPS
    assert geth.number("eth_getStorageAt", hex_text(counter), "0x0", "latest") == STEPS
    assert geth.number("eth_getBalance", hex_text(counter), "latest") == sum(range(1, STEPS + 1))
