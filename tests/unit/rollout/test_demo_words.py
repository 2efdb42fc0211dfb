"""Names and amounts for people."""

from __future__ import annotations

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.primitives.verdicts import Measurement
from seawall.rollout.demo.words import Words, ether, shortened

USDX, FEED, POOL, KEY = (Address(bytes([byte]) * 20) for byte in (0x11, 0x22, 0x33, 0x44))


def entry(
    name: str, address: Address, kind: AddressKind, symbol: str | None = None, decimals: int | None = None
) -> AddressEntry:
    return AddressEntry(31337, name, address, kind, "here", bytes(32), None, decimals, symbol)


@pytest.fixture
def words() -> Words:
    entries = (
        entry("usdx", USDX, AddressKind.TOKEN, "USDX", 6),
        entry("feed_eth_usd", FEED, AddressKind.FEED),
        entry("pool", POOL, AddressKind.POOL),
    )
    return Words(AddressBook(31337, entries), {KEY: "the key"})


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (0, 18, "0"),
        (20 * 10**18, 18, "20"),
        (85 * 10**17, 18, "8.5"),
        (263422617048138151, 18, "0.263422"),
        (-26872512037104, 18, "-0.0000268725"),
        (1_999_999_999_999_999_999, 18, "1.999999"),
        (5_000_000 * 10**6, 6, "5000000"),
        (2**255, 18, "57896044618658097711785492504343953926634992332820282019728.792003"),
    ],
)
def test_amounts_are_shortened_towards_zero(units: int, decimals: int, text: str) -> None:
    assert shortened(units, decimals) == text


def test_few_wei_are_told_as_wei() -> None:
    assert ether(1) == "1 wei"
    assert ether(-7) == "-7 wei"
    assert ether(10**18) == "1 ETH"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        (
            f"outflow of {address_text(NATIVE)} 9000000000000000000 units is above the limit of"
            " 8500000000000000000 units",
            "outflow of 9 ETH is above the limit of 8.5 ETH",
        ),
        (
            f"outflow of {address_text(USDX)} 56380008542 units is within the limit of 5000000000000 units",
            "outflow of 56380.008542 USDX is within the limit of 5000000 USDX",
        ),
        (
            f"shortfall of {address_text(USDX)} 1696 bps is above the limit of 50 bps",
            "16.96 % less USDX than expected is above the limit of 0.5 %",
        ),
        (
            f"age of feed {address_text(FEED)} 7 s is above the limit of 1 s",
            "the age of feed_eth_usd, 7 s, is above the limit of 1 s",
        ),
        (
            "the fee ceiling 485231899 wei per gas is within the limit of 500000000000 wei per gas",
            "the fee ceiling 0.485231 gwei per gas is within the limit of 500 gwei per gas",
        ),
        (
            f"pool {address_text(POOL)} gave 975, the plan demands 1000",
            "pool pool pays 2.5 % less than the plan demands",
        ),
        (
            "profit, after the maximum fee, of -35871939941257 wei is under the required 1 wei",
            "profit, after the maximum fee, of -0.0000358719 ETH is under the required 1 wei",
        ),
        ("the gas limit 477618 gas is within the limit", "the gas limit 477618 gas is within the limit"),
        (f"paid by {address_text(KEY)}", "paid by the key"),
    ],
)
def test_reasons_of_guards_become_sentences(words: Words, reason: str, told: str) -> None:
    assert words.sentence(reason) == told


def test_bare_amounts_of_a_note_have_its_symbol(words: Words) -> None:
    note = "V2 to V3: borrow 22206781841814841141, earn 263523938875293503 before gas"
    assert words.sentence(note, "WETH") == "V2 to V3: borrow 22.206781 WETH, earn 0.263523 WETH before gas"


def test_unknown_address_stays_an_address(words: Words) -> None:
    stranger = Address(b"\x55" * 20)
    assert words.sentence(f"to {address_text(stranger)}") == f"to {address_text(stranger)}"
    assert words.amount(5, stranger) == f"5 units of {address_text(stranger)}"


def test_guard_has_a_name_in_words(words: Words) -> None:
    found = Measurement("min_profit", 0, 1, -1, "wei", False, None, "")
    assert words.guard(found) == "minimum profit"
