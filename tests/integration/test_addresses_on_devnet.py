"""The address book held against a true chain: untouched it is clean, and what is changed is found by name."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook
from seawall.chain.proxies import IMPLEMENTATION_SLOTS
from seawall.cli.main import main
from seawall.native import keccak256
from seawall.primitives.units import Address, address_text, hex_text
from seawall.protocols.safe import known
from seawall.rollout.devnet import Devnet
from seawall.rollout.devnet.steering import revert, snapshot

pytestmark = pytest.mark.anvil

CONFIGURATION = """\
[[chains]]
chain_id = 31337
rpc = ["{rpc}"]
{book}
"""
REVERTS = "0x5f5ffd"
SLOT_1967 = hex_text(IMPLEMENTATION_SLOTS[0])


@dataclass(slots=True)
class Desk:
    devnet: Devnet
    folder: Path

    def __post_init__(self) -> None:
        self.use(self.devnet.info.addresses)

    def use(self, book: Path) -> None:
        text = CONFIGURATION.format(rpc=self.devnet.info.rpc_url, book=f'address_book = "{book}"')
        (self.folder / "seawall.toml").write_text(text)

    def run(self, *arguments: str) -> tuple[int, Any]:
        out, error = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
            code = main(["addresses", *arguments, "--config", str(self.folder / "seawall.toml"), "--json"])
        text = out.getvalue() or error.getvalue()
        return code, json.loads(text) if text else None

    def say(self, *arguments: str) -> str:
        """What a person reads."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(["addresses", *arguments, "--config", str(self.folder / "seawall.toml")])
        return out.getvalue()

    def findings(self) -> dict[str, tuple[str, str]]:
        """By name: kind and text."""
        code, answer = self.run("verify")
        assert code == (1 if answer["drift"] else 0)
        return {one["name"]: (one["kind"], one["finding"]) for one in answer["drift"]}

    def set_slot(self, name: str, slot: str, value: Address) -> None:
        self.devnet.rpc.call(
            "anvil_setStorageAt",
            address_text(self.devnet.book.address(name)),
            slot,
            "0x" + value.hex().rjust(64, "0"),
        )
        self.devnet.rpc.call("evm_mine")

    def set_code(self, address: Address, code: str) -> None:
        self.devnet.rpc.call("anvil_setCode", hex_text(address), code)
        self.devnet.rpc.call("evm_mine")


@pytest.fixture
def desk(shared_devnet: Devnet, tmp_path: Path) -> Iterator[Desk]:
    before = snapshot(shared_devnet)
    yield Desk(shared_devnet, tmp_path)
    revert(shared_devnet, before)


def test_untouched_devnet_is_what_its_book_says(desk: Desk) -> None:
    code, answer = desk.run("verify")
    assert answer["drift"] == []
    assert code == 0
    assert answer["contracts"] == len(desk.devnet.book)


def test_changed_code_is_found_by_name(desk: Desk) -> None:
    desk.set_code(desk.devnet.book.address("uniswap_v2_factory"), REVERTS)
    _, answer = desk.run("verify")
    found = {(one["name"], one["kind"]) for one in answer["drift"]}
    assert found == {("uniswap_v2_factory", "code"), ("uniswap_v2_factory", "answer")}


def test_emptied_contract_is_found_by_name(desk: Desk) -> None:
    desk.set_code(desk.devnet.book.address("weth"), "0x")
    assert desk.findings()["weth"][0] == "no_code"


def test_proxy_that_points_elsewhere_is_found_once_it_was_recorded(desk: Desk) -> None:
    own = desk.folder / "own.json"
    code, answer = desk.run("record", "--out", str(own))
    assert code == 0
    assert "safe_treasury" in answer["recorded"]
    desk.use(own)
    assert desk.findings() == {}
    assert AddressBook.from_json(own.read_bytes())["safe_treasury"].implementation == known.SINGLETON
    desk.set_slot("safe_treasury", "0x" + "00" * 32, known.SINGLETON_L2)
    kind, text = desk.findings()["safe_treasury"]
    assert kind == "implementation"
    assert address_text(known.SINGLETON_L2) in text
    assert address_text(known.SINGLETON) in text
    # The change is right: adopted by name, and by nothing else.
    assert desk.run("record", "safe_treasury")[1]["recorded"] == ["safe_treasury"]
    assert desk.findings() == {}


def test_upgraded_implementation_is_found_by_its_slot_and_by_its_code(desk: Desk) -> None:
    """Any contract stands in for an EIP-1967 proxy: what counts is the slot."""
    book, own = desk.devnet.book, desk.folder / "own.json"
    desk.set_slot("balancer_authorizer", SLOT_1967, book.address("multicall3"))
    desk.run("record", "balancer_authorizer", "--out", str(own))
    desk.use(own)
    entry = AddressBook.from_json(own.read_bytes())["balancer_authorizer"]
    assert entry.implementation == book.address("multicall3")
    assert entry.implementation_hash == book["multicall3"].code_hash
    assert desk.findings() == {}
    desk.set_slot("balancer_authorizer", SLOT_1967, book.address("weth"))
    assert desk.findings()["balancer_authorizer"][0] == "implementation"
    desk.set_slot("balancer_authorizer", SLOT_1967, book.address("multicall3"))
    desk.set_code(book.address("multicall3"), REVERTS)
    assert desk.findings()["balancer_authorizer"][0] == "implementation_code"


def test_token_of_other_decimals_than_the_book_says_is_found(desk: Desk) -> None:
    text = desk.devnet.info.addresses.read_text()
    document = json.loads(text)
    (usdx,) = [one for one in document["contracts"] if one["name"] == "usdx"]
    usdx["decimals"], usdx["symbol"] = 18, "USDY"
    wrong = desk.folder / "wrong.json"
    wrong.write_text(json.dumps(document))
    desk.use(wrong)
    _, answer = desk.run("verify")
    assert [one["finding"] for one in answer["drift"]] == [
        "decimals() answers 6 instead of 18",
        "symbol() answers 'USDX' instead of 'USDY'",
    ]


def test_recorded_hashes_are_those_of_the_chain(desk: Desk) -> None:
    document = json.loads(desk.devnet.info.addresses.read_text())
    for entry in document["contracts"]:
        entry["code_hash"] = None
    bare, own = desk.folder / "bare.json", desk.folder / "own.json"
    bare.write_text(json.dumps(document))
    desk.use(bare)
    code, answer = desk.run("verify")
    assert code == 0  # unknown is no drift, and is said
    assert set(answer["unrecorded"]) == {entry.name for entry in desk.devnet.book}
    desk.run("record", "--out", str(own))
    again = AddressBook.from_json(own.read_bytes())
    assert {e.name: e.code_hash for e in again} == {e.name: e.code_hash for e in desk.devnet.book}
    codes = desk.devnet.rpc.codes([entry.address for entry in again])
    assert [keccak256(code) for code in codes] == [entry.code_hash for entry in again]


def test_person_is_told_what_to_look_at_what_differs_and_what_was_adopted(desk: Desk) -> None:
    told = desk.say("verify")
    assert "contracts are what the book says, at block" in told
    bare, own = desk.folder / "bare.json", desk.folder / "own.json"
    document = json.loads(desk.devnet.info.addresses.read_text())
    (weth,) = [one for one in document["contracts"] if one["name"] == "weth"]
    weth["code_hash"] = None
    bare.write_text(json.dumps(document))
    desk.use(bare)
    assert " not recorded yet: weth, " in desk.say("verify")
    adopted = desk.say("record", "--out", str(own))
    assert adopted.splitlines()[1:].count("  weth") == 1
    desk.use(own)
    desk.set_code(desk.devnet.book.address("weth"), "0x")
    told = desk.say("verify")
    assert "no_code" in told
    assert "`seawall addresses record NAME`" in told


def test_unknown_names_and_chains_are_refused_with_those_that_are_known(desk: Desk) -> None:
    assert desk.run("record", "wet")[0] == 2
    code, answer = desk.run("verify", "--chain", "1")
    assert code == 2
    assert "31337 (devnet)" in answer["error"]["fix"]
