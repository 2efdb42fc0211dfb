"""`seawall status` over several true nodes at once: each figure with its block, what is stale marked, nothing
stale in a total (CH-10).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from seawall.ledger.migrate import create
from seawall.native.wire import Password
from seawall.primitives.units import Address, address_text, hex_text
from seawall.signers.local import THROWAWAY_COST, create_keystore
from tests.fixtures.anvil import ETHER, Anvil, running_anvil
from tests.fixtures.kernel import WAIT_S, free_port

pytestmark = pytest.mark.anvil

SEPOLIA, BASE, OPTIMISM = 11_155_111, 8_453, 10
HELD_WEI = {SEPOLIA: 5 * ETHER + 1, BASE: 7 * ETHER, OPTIMISM: 11 * ETHER}
_CHAIN = '[[chains]]\nchain_id = {chain_id}\nrpc = ["{url}"]\n'
_POLICY = """\
[[signers.policies]]
chain_id = {chain_id}
fee_max = "1"
value_max = "1"
any_target = true
[[signers.policies.spend]]
token = "native"
per_hour = "1"
per_day = "1"
"""


class Folder:
    """A configuration over three nodes, with one key."""

    def __init__(self, directory: Path, nodes: dict[int, Anvil]) -> None:
        self.directory, self.nodes = directory, nodes
        self.urls = {chain_id: node.url for chain_id, node in nodes.items()}
        (directory / "keys").mkdir()
        (directory / "data").mkdir()
        password = Password.generate()
        password.write_file(directory / "keys/main.password")
        self.key: Address = create_keystore(directory / "keys/main.json", password, THROWAWAY_COST)
        for chain_id, node in nodes.items():
            node.rpc("anvil_setChainId", chain_id)
            node.rpc("anvil_setBalance", hex_text(self.key), hex(HELD_WEI[chain_id]))
            node.rpc("evm_setNextBlockTimestamp", int(time.time()))
            node.mine()

    def status(self, *options: str) -> str:
        signer = (
            '[[signers]]\nname = "main"\nkeystore = "keys/main.json"\npassword_file = "keys/main.password"\n'
        )
        text = "".join(
            [
                *(_CHAIN.format(chain_id=chain_id, url=url) for chain_id, url in self.urls.items()),
                signer,
                *(_POLICY.format(chain_id=chain_id) for chain_id in self.urls),
            ]
        )
        (self.directory / "seawall.toml").write_text(text)
        command = [sys.executable, "-m", "seawall.cli", "status", *options]
        command += ["--config", str(self.directory / "seawall.toml")]
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=WAIT_S, check=True, env={**os.environ}
        )
        return ended.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    with ExitStack() as stack:
        nodes = {chain_id: stack.enter_context(running_anvil()) for chain_id in HELD_WEI}
        folder = Folder(tmp_path, nodes)
        create(f"sqlite:///{tmp_path / 'data/ledger.db'}")
        yield folder


def amounts(document: Any) -> dict[int, str | None]:
    """The key's native balance, by chain."""
    return {chain["chain_id"]: chain["holders"][0]["balances"][0]["amount"] for chain in document["chains"]}


def test_every_chain_is_shown_at_its_block_and_summed(folder: Folder) -> None:
    document = json.loads(folder.status("--json"))
    assert amounts(document) == {chain_id: str(wei) for chain_id, wei in HELD_WEI.items()}
    for chain in document["chains"]:
        assert chain["stale"] is None
        newest = folder.nodes[chain["chain_id"]].rpc("eth_getBlockByNumber", "latest", False)
        assert isinstance(newest, dict)
        assert (hex(chain["block"]["number"]), chain["block"]["hash"]) == (newest["number"], newest["hash"])
        assert [(one["name"], one["address"], one["nonce"]) for one in chain["holders"]] == [
            ("main", address_text(folder.key), 0)
        ]
    (total,) = [one for one in document["totals"] if one["symbol"] == "ETH"]
    assert (total["amount"], total["left_out"]) == (str(sum(HELD_WEI.values())), [])


def test_a_chain_that_is_away_and_one_that_stands_still_are_stale_and_not_added(folder: Folder) -> None:
    folder.urls[OPTIMISM] = f"http://127.0.0.1:{free_port()}"
    folder.nodes[BASE].rpc("anvil_reset")
    folder.nodes[BASE].rpc("anvil_setChainId", BASE)
    folder.nodes[BASE].rpc("anvil_setBalance", hex_text(folder.key), hex(HELD_WEI[BASE]))
    folder.nodes[BASE].rpc("anvil_setTime", int(time.time()) - 3_600)
    folder.nodes[BASE].mine()
    document = json.loads(folder.status("--json"))
    stale = {chain["chain_id"]: chain["stale"] for chain in document["chains"]}
    assert stale[SEPOLIA] is None
    assert "s old" in stale[BASE]
    assert "no endpoint answered" in stale[OPTIMISM]
    assert amounts(document)[OPTIMISM] is None, "unknown is not zero"
    (total,) = [one for one in document["totals"] if one["symbol"] == "ETH"]
    assert (total["amount"], total["chains"]) == (str(HELD_WEI[SEPOLIA]), ["sepolia"])
    assert total["left_out"] == ["base", "optimism"]
    shown = folder.status()
    assert "optimism is stale: no endpoint answered" in shown
    assert "5.000000" in shown


def test_an_endpoint_of_another_chain_is_not_believed(folder: Folder) -> None:
    folder.urls[BASE] = folder.nodes[SEPOLIA].url
    document = json.loads(folder.status("--json"))
    assert amounts(document)[BASE] is None
    assert document["totals"][0]["left_out"] == ["base"]


def test_the_kernel_alone_is_shown_without_asking_a_chain(folder: Folder) -> None:
    document = json.loads(folder.status("--json", "--kernel-only"))
    assert document == {"running": False, "pid": None, "authority": "RUN"}
