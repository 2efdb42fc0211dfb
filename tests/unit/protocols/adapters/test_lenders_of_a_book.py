"""Lenders and vaults are made from an address book by names alone; a book that lacks something says what."""

from __future__ import annotations

from pathlib import Path

import pytest

from seawall.chain import books
from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind, TokenClass
from seawall.native import keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address
from seawall.protocols.adapters import aave_v3, erc4626, morpho_blue


def book(*names: str, decimals: int | None = 18) -> AddressBook:
    return AddressBook(
        1,
        [
            AddressEntry(
                chain_id=1,
                name=name,
                address=address(name),
                kind=AddressKind.TOKEN,
                source="a list",
                code_hash=keccak256(b""),
                token_class=TokenClass.ASSET,
                decimals=decimals,
            )
            for name in names
        ],
    )


def address(name: str) -> Address:
    return Address(keccak256(name.encode())[:20])


AAVE = ("aave_pool", "aave_provider", "aave_oracle")


def test_a_book_without_them_gives_none() -> None:
    for module in (aave_v3, morpho_blue, erc4626):
        assert module.from_book(book("weth")) == ()


def test_reserves_are_those_whose_tokens_the_book_has() -> None:
    (adapter,) = aave_v3.from_book(book(*AAVE, "weth", "a_weth", "aave_debt_weth", "usdx", "a_usdx"))
    assert adapter.name == "aave_v3"
    assert [(one.token, one.receipt, one.debt_token) for one in adapter.reserves] == [
        (address("weth"), address("a_weth"), address("aave_debt_weth"))
    ]


def test_a_pool_without_a_whole_reserve_is_refused() -> None:
    with pytest.raises(InputError, match="aave_pool has no reserves"):
        aave_v3.from_book(book(*AAVE, "weth"))
    with pytest.raises(InputError, match="aave_pool has no reserves"):
        aave_v3.from_book(book(*AAVE, "weth", "aave_debt_weth"))


def test_staking_tokens_are_found_under_their_makers_name() -> None:
    (adapter,) = aave_v3.from_book(book(*AAVE, "lido_wsteth", "a_wsteth", "aave_debt_wsteth"))
    assert [one.token for one in adapter.reserves] == [address("lido_wsteth")]


@pytest.mark.parametrize("path", sorted(Path(books.__path__[0]).glob("*.json")), ids=lambda path: path.stem)
def test_every_book_that_is_shipped_gives_its_lenders(path: Path) -> None:
    shipped = AddressBook.from_json(path.read_bytes())
    found = aave_v3.from_book(shipped)
    assert len(found) == ("aave_pool" in shipped) + ("spark_pool" in shipped)
    assert all(len(adapter.reserves) >= 5 for adapter in found)
    assert morpho_blue.from_book(shipped) == () or "morpho" in shipped


def test_spark_stands_beside_aave_with_names_of_its_own() -> None:
    spark = ("spark_pool", "spark_provider", "spark_oracle", "sp_weth", "spark_debt_weth")
    found = aave_v3.from_book(book(*AAVE, "weth", "a_weth", "aave_debt_weth", *spark))
    assert [adapter.name for adapter in found] == ["aave_v3", "spark"]
    assert found[1].reserves[0].receipt == address("sp_weth")


def test_a_market_is_told_by_its_oracle() -> None:
    oracle = "morpho_oracle_wrapped_ether_usd_x_9150"
    (adapter,) = morpho_blue.from_book(book("morpho", "morpho_irm", "wrapped_ether", "usd_x", oracle))
    assert adapter.name == "morpho_blue:wrapped_ether-usd_x-9150"
    assert (adapter.collateral, adapter.loan) == (address("wrapped_ether"), address("usd_x"))
    assert adapter.lltv_wad == 915 * 10**15
    assert len(adapter.market_id) == 32


@pytest.mark.parametrize("oracle", ["morpho_oracle_weth_usdx", "morpho_oracle_weth_9150", "morpho_oracle_x"])
def test_an_oracle_that_names_no_market_is_refused(oracle: str) -> None:
    with pytest.raises(InputError, match="names no market"):
        morpho_blue.from_book(book("morpho", "morpho_irm", "weth", "usdx", oracle))


def test_a_vaults_name_tells_its_asset_and_whether_its_maxima_are_true() -> None:
    found = erc4626.from_book(book("usd_x", "weth", "vault_usd_x_steady", "opaque_vault_weth"))
    assert [(one.name, one.asset, one.trusts_maxima) for one in found] == [
        ("erc4626:vault_usd_x_steady", address("usd_x"), True),
        ("erc4626:opaque_vault_weth", address("weth"), False),
    ]


def test_a_vault_without_asset_or_decimals_is_refused() -> None:
    with pytest.raises(InputError, match="names no asset"):
        erc4626.from_book(book("vault_usdx"))
    with pytest.raises(InputError, match="names no asset"):
        erc4626.from_book(book("vault_usdx", "usdx", decimals=None))
