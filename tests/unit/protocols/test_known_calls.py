"""What contracts of each kind answer, and what is said where they do not."""

from __future__ import annotations

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.native import abi_encode
from seawall.primitives.units import Address, address_text
from seawall.protocols.known_calls import known_reads, wrong_answers

ONE = Address(b"\x01" * 20)
MAKER = AddressEntry(1, "maker", Address(b"\x02" * 20), AddressKind.FACTORY, "test", None)


def entry(kind: AddressKind, decimals: int | None = None, symbol: str | None = None) -> AddressEntry:
    return AddressEntry(1, "one", ONE, kind, "test", None, None, decimals, symbol)


def problems(one: AddressEntry, **answers: bytes) -> tuple[str, ...]:
    """`answers` by the function's name; every other call reverts."""
    found = {
        read.label: answers.get(read.label.partition(":")[2].partition("(")[0]) for read in known_reads(one)
    }
    return wrong_answers(one, found, AddressBook(1, [one, MAKER]))


def word(value: int | bytes) -> bytes:
    return value.to_bytes(32) if isinstance(value, int) else bytes(12) + value


def text(value: str) -> bytes:
    return abi_encode(["string"], [value])


ROUND = abi_encode(["uint80", "int256", "uint256", "uint256", "uint80"], [1, 2_000, 5, 5, 1])


@pytest.mark.parametrize("symbol", [text("WETH"), b"WETH".ljust(32, b"\0")])
def test_token_answers_by_its_symbol_and_decimals_in_either_form(symbol: bytes) -> None:
    token = entry(AddressKind.TOKEN, 18, "WETH")
    assert problems(token, totalSupply=word(1), decimals=word(18), symbol=symbol) == ()
    assert problems(token, totalSupply=word(1), decimals=word(6), symbol=text("USDC")) == (
        "decimals() answers 6 instead of 18",
        "symbol() answers 'USDC' instead of 'WETH'",
    )
    assert problems(token) == (
        "totalSupply() does not answer",
        "decimals() answers nothing instead of 18",
        "symbol() answers nothing instead of 'WETH'",
    )
    assert problems(entry(AddressKind.TOKEN), totalSupply=word(1), symbol=b"\xff" * 64) == ()


def test_feed_without_a_price_is_told() -> None:
    feed = entry(AddressKind.FEED, 8)
    assert problems(feed, decimals=word(8), latestRoundData=ROUND) == ()
    assert problems(feed, decimals=word(18), latestRoundData=ROUND) == ("decimals() answers 18 instead of 8",)
    assert problems(feed, decimals=word(8)) == ("latestRoundData() answers no round",)
    nothing = abi_encode(["uint80", "int256", "uint256", "uint256", "uint80"], [1, 0, 5, 5, 1])
    assert problems(feed, decimals=word(8), latestRoundData=nothing) == (
        "latestRoundData() answers 0, which is no price",
    )


def test_pool_of_a_strange_factory_is_told() -> None:
    pool = entry(AddressKind.POOL)
    assert problems(pool, token0=word(ONE), factory=word(MAKER.address)) == ()
    assert problems(pool, getPoolId=word(7)) == ()  # Balancer's pools name no factory
    assert problems(pool, token0=word(ONE), factory=word(ONE)) == (
        f"its factory {address_text(ONE)} is none of this address book",
    )
    (none,) = problems(pool)
    assert none.startswith("it answers no call of a pool: token0()")


def test_multicall_of_another_chain_and_a_safe_of_another_version_are_told() -> None:
    assert problems(entry(AddressKind.MULTICALL), getChainId=word(1)) == ()
    assert problems(entry(AddressKind.MULTICALL), getChainId=word(5)) == (
        "getChainId() answers 5 instead of 1",
    )
    assert problems(entry(AddressKind.SAFE)) == ()
    assert problems(entry(AddressKind.SAFE), VERSION=text("1.4.1")) == ()
    assert problems(entry(AddressKind.SAFE), VERSION=text("9.9.9")) == (
        "VERSION() answers '9.9.9': that version of Safe is not known",
    )


def test_kinds_without_a_common_call_are_not_asked() -> None:
    for kind in (AddressKind.ROUTER, AddressKind.LENDER, AddressKind.AUTHORITY):
        assert known_reads(entry(kind)) == ()
        assert problems(entry(kind)) == ()
