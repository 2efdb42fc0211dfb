"""What cannot be acted on is refused before anything is sent, and the reason is told: on a true devnet.

Each case is a strategy file as a person would run it; the earliest place that can know says no: the loader,
the plan at this block, or the gate after the simulation.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook
from seawall.cli.main import main
from seawall.native import encode_call
from seawall.primitives.units import Address, hex_text
from seawall.rollout.devnet import OWNER, Devnet, Trader
from seawall.rollout.devnet.deployer import ETHER
from seawall.rollout.devnet.steering import authorise
from tests.fixtures.kernel import KernelFolder

pytestmark = pytest.mark.anvil

ANSWER_S = 86_400
REVERTS = "0x60006000fd"
HALF_BPS = 5_000

# A loan, one trade each way over an open gap: it would earn, so nothing but the bad input decides.
ROUND_TRIP = """\
strategy: tried
chain: 31337
accounting: weth
min_profit: 0.0001 weth
steps:
  - flash:
      from: {lender}
      borrow: {{weth: {borrowed}}}
      {flash_extra}
      steps:
        - swap: {{on: "uniswap_v2:weth-usdx", give: weth, get: usdx, amount: {sold}, {least}as: dollars}}
        - swap: {{on: "uniswap_v3:weth-usdx-500", give: usdx, get: weth, amount: dollars}}
{more}"""
DIRECT = """\
strategy: tried
chain: 31337
account: key
accounting: weth
steps:
  - call: {{to: {token}, function: "transfer(address,uint256)", arguments: [safe_treasury, 10 {token}]}}
expect:
  - {{holder: safe_treasury, token: {token}, change: 10 {token}, tolerance: 10 bps}}
"""


def round_trip(
    *,
    lender: str = "balancer_vault",
    borrowed: str = "1 weth",
    sold: str = "1 weth",
    least: str = "",
    flash_extra: str = "max_fee: 0 bps",
    more: str = "",
) -> str:
    return ROUND_TRIP.format(
        lender=lender, borrowed=borrowed, sold=sold, least=least, flash_extra=flash_extra, more=more
    )


@pytest.fixture(scope="module")
def folder(shared_devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> KernelFolder:
    made = KernelFolder(tmp_path_factory.mktemp("bad") / "k", shared_devnet)
    made.write()
    authorise(shared_devnet, made.key, made.key)
    Trader(shared_devnet).open_gap_v2("weth", "usdx", 300)
    return made


@pytest.fixture(autouse=True)
def restored(shared_devnet: Devnet) -> Iterator[None]:
    kept = shared_devnet.rpc.call("evm_snapshot")
    yield
    assert shared_devnet.rpc.call("evm_revert", kept) is True


class Tried:
    """The commands around strategy files, in one folder, in this process."""

    def __init__(self, folder: KernelFolder, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def seawall(self, *arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--config", str(self.folder.configuration)])
        told = self._capsys.readouterr()
        assert told.out, told.err
        return code, told.out

    def run(self, verb: str, text: str) -> tuple[int, Any]:
        file = self.folder.directory / "tried.yaml"
        file.write_text(text)
        code, told = self.seawall("strategies", verb, str(file), "--json")
        return code, json.loads(told)

    def problem(self, text: str) -> tuple[str, str]:
        """The only one that the loader has: what, and the key that it names."""
        code, told = self.run("validate", text)
        assert code == 2
        (found,) = told["problems"]
        return str(found["what"]), str(found["key"])

    def no_plan(self, text: str) -> str:
        """Why there is no plan at this block."""
        code, told = self.run("simulate", text)
        assert code in (0, 1), told
        assert told["plan"] is None
        return f"{told['at']}: {told['reason']}"

    def refusal(self, text: str) -> str:
        """Why the gate refuses the plan."""
        code, told = self.run("simulate", text)
        assert (code, told["admitted"]) == (1, False), told
        return str(told["explanation"])


@pytest.fixture
def tried(folder: KernelFolder, capsys: pytest.CaptureFixture[str]) -> Tried:
    return Tried(folder, capsys)


def send(devnet: Devnet, target: Address, data: bytes, sender: Address = OWNER) -> None:
    devnet.rpc.settle([devnet.rpc.send(sender, target, data)], mine=True)


def test_round_trip_without_bad_input_is_admitted(tried: Tried) -> None:
    code, told = tried.run("simulate", round_trip())
    assert (code, told["admitted"]) == (0, True), told


def test_wrong_decimals_in_a_literal(tried: Tried) -> None:
    what, key = tried.problem(round_trip(least="at_least: 1.1234567 usdx, "))
    assert "1.1234567" in what
    assert "6" in what
    assert key.endswith("swap.at_least")


def test_wrong_decimals_in_the_address_book(tried: Tried, shared_devnet: Devnet) -> None:
    book = AddressBook.from_json(shared_devnet.info.addresses.read_bytes())
    book.put(dataclasses.replace(book["usdx"], decimals=18))
    kept = shared_devnet.info.addresses.read_bytes()
    book.write(shared_devnet.info.addresses)
    try:
        code, told = tried.seawall("addresses", "verify", "--chain", "31337")
    finally:
        shared_devnet.info.addresses.write_bytes(kept)
    assert code != 0
    assert "decimals() answers 6 instead of 18" in told


def test_unknown_token(tried: Tried) -> None:
    what, key = tried.problem(round_trip(sold="1 wet"))
    assert "wet" in what
    assert key.endswith("swap.amount")


def test_dust(tried: Tried) -> None:
    assert "an input of 1 buys nothing" in tried.no_plan(
        round_trip(borrowed="0.000000000000000001 weth", sold="0.000000000000000001 weth")
    )


def test_overflow(tried: Tried) -> None:
    more = 'when:\n  - "units(balance(weth, balancer_vault)) * 2e70 > 0"\n'
    assert "does not fit 256 bits" in tried.no_plan(round_trip(more=more))


def test_slippage_of_zero_takes_no_price(tried: Tried) -> None:
    """A least of nothing would take any price; it is refused, not sent."""
    what, key = tried.problem(round_trip(least="at_least: 0 usdx, "))
    assert what == "a minimum of zero takes any price"
    assert key.endswith("swap.at_least")
    nothing = "at_least: balance(usdx) - balance(usdx), "
    assert "takes any price" in tried.no_plan(round_trip(least=nothing))


@pytest.mark.parametrize("token", ["odd_fee", "odd_false"])
def test_token_that_lies_about_its_transfers(tried: Tried, shared_devnet: Devnet, token: str) -> None:
    """One takes a tenth for itself, one says no by a word that nobody must read."""
    at = shared_devnet.book.address(token)
    send(shared_devnet, at, encode_call("transfer(address,uint256)", (tried.folder.key, 100 * ETHER)))
    if token == "odd_false":
        send(shared_devnet, at, encode_call("refuse(address)", (tried.folder.key,)))
    assert f"shortfall of {token}" in tried.refusal(DIRECT.format(token=token))


def test_lender_short_of_liquidity(tried: Tried) -> None:
    reason = tried.no_plan(round_trip(borrowed="1_000_000 weth"))
    assert "the lender has" in reason


def test_lender_with_an_absurd_fee(tried: Tried, shared_devnet: Devnet) -> None:
    """Half of what it lends: more than the file admits, whatever the trade would earn."""
    collector = Address(
        shared_devnet.rpc.view(
            shared_devnet.book.address("balancer_vault"), encode_call("getProtocolFeesCollector()", ())
        )[12:]
    )
    fee_wei = HALF_BPS * 10**14
    code = bytes.fromhex("7f") + fee_wei.to_bytes(32, "big") + bytes.fromhex("60005260206000f3")
    shared_devnet.rpc.call("anvil_setCode", hex_text(collector), hex_text(code))
    told = tried.refusal(round_trip())
    assert "1500000000000000000 of weth asked back, the plan allows 1000000000000000000" in told


def test_oracle_that_reverts_stops_the_check_on_chain(tried: Tried, shared_devnet: Devnet) -> None:
    feed = shared_devnet.book.address("feed_eth_usd")
    shared_devnet.rpc.call("anvil_setCode", hex_text(feed), REVERTS)
    more = f"checks:\n  - feed_fresh: {{feed: feed_eth_usd, max_age: {ANSWER_S} s}}\n"
    assert "feed" in tried.refusal(round_trip(more=more)).lower()


def test_oracle_that_reverts_prices_nothing(tried: Tried, shared_devnet: Devnet) -> None:
    feed = shared_devnet.book.address("feed_eth_usd")
    shared_devnet.rpc.call("anvil_setCode", hex_text(feed), REVERTS)
    more = "prices: {weth: {feed: feed_eth_usd, max_age: 1 d}}\nwhen:\n  - price(weth) > 1 usd\n"
    told = tried.no_plan(round_trip(more=more))
    assert "key when[0]: the call reverted" in told
    assert feed.hex() in told
