"""Published pools and markets are proved: each is where, or what, the rules of its factory say."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry, AddressKind
from seawall.chain.books import published_book, published_chains
from seawall.native import abi_encode, keccak256
from seawall.primitives.units import Address, address_from_text, hash_from_text, hex_text
from seawall.protocols import uniswap_v2, uniswap_v3
from seawall.protocols.adapters import solidly
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.morpho_blue import MorphoAdapter, from_book
from seawall.protocols.adapters.pools import NamedPool, pools_named

DERIVED = "CREATE2 from "
REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("SEAWALL_DATA", REPOSITORY.parent / "shared" / "data")) / "quotes" / "pools"
CHAINS = [chain_id for chain_id in published_chains() if len(published_book(chain_id))]
# What creators are called, whose pools have another prefix than theirs.
CREATORS = {"pancake_v3": "pancake_v3_deployer"}
# Minimal proxies (EIP-1167): what stands before and behind the implementation in their creation code.
CLONE = (
    bytes.fromhex("3d602d80600a3d3981f3363d3d373d3d3d363d73"),
    bytes.fromhex("5af43d82803e903d91602b57fd5bf3"),
)
# From the publishers' lists of contracts, and pools that were read on chain by others.
CLONED = {
    (8453, "aerodrome_factory"): "0xA4e46b4f701c62e14DF11B48dCe76A7d793CD6d7",
    (8453, "slipstream_factory"): "0xeC8E5342B19977B4eF8892e02D8DAEcfa1315831",
    (10, "velodrome_factory"): "0x95885Af5492195F0754bE71AD1545Fe81364E531",
}
FAMILIES = ("uniswap_v2", "uniswap_v3", "pancake_v3", "slipstream", "aerodrome", "velodrome")


def creator(book: AddressBook, family: str) -> AddressEntry:
    return book[CREATORS.get(family, f"{family}_factory")]


def code_hash(entry: AddressEntry) -> bytes:
    assert entry.reference is not None
    return hash_from_text(entry.reference)


def derived(book: AddressBook, family: str, pool: NamedPool) -> Address:
    made_by = creator(book, family)
    token0, token1 = uniswap_v2.sorted_tokens(*pool.tokens)
    if family == "uniswap_v2":
        return uniswap_v2.pair_address(made_by.address, token0, token1)
    if family == "uniswap_v3":
        return uniswap_v3.pool_address(made_by.address, token0, token1, int(pool.suffix))
    if family in ("pancake_v3", "slipstream"):
        number = int(pool.suffix)
        return uniswap_v3.pool_address(made_by.address, token0, token1, number, code_hash(made_by))
    stable = pool.suffix == "stable"
    return solidly.pair_address(made_by.address, token0, token1, stable, code_hash(made_by))


def pools_of(chain_id: int) -> list[tuple[str, NamedPool]]:
    book = published_book(chain_id)
    return [(family, pool) for family in FAMILIES for pool in pools_named(book, family)]


@pytest.mark.parametrize("chain_id", CHAINS)
def test_every_derived_pool_is_where_its_factory_puts_it(chain_id: int) -> None:
    book = published_book(chain_id)
    found = pools_of(chain_id)
    assert {pool.name for _, pool in found} == {
        entry.name for entry in book.of_kind(AddressKind.POOL) if entry.source.startswith(DERIVED)
    }
    for family, pool in found:
        assert book[pool.name].source == DERIVED + creator(book, family).name
        assert pool.address == derived(book, family, pool), pool.name


@pytest.mark.parametrize(("chain_id", "name"), CLONED)
def test_hashes_of_proxies_are_those_of_the_published_implementations(chain_id: int, name: str) -> None:
    implementation = address_from_text(CLONED[chain_id, name])
    assert code_hash(published_book(chain_id)[name]) == keccak256(CLONE[0] + implementation + CLONE[1])


def recorded(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress((DATA / name).read_bytes()))
    return found


@pytest.mark.skipif(not DATA.is_dir(), reason="SEAWALL_DATA names no recorded data")
def test_pools_that_were_read_on_chain_are_where_the_rules_say() -> None:
    """Recorded by others at a block, so that the rules are held by what is there, not by themselves."""
    book = published_book(8453)
    pair = recorded("8453_aerodrome_v2_tbtc_weth_volatile_block_46875151.json.gz")
    tokens = [address_from_text(pair[token]["address"]) for token in ("token0", "token1")]
    made_by = book["aerodrome_factory"]
    found = solidly.pair_address(made_by.address, tokens[0], tokens[1], False, code_hash(made_by))
    assert found == address_from_text(pair["pool"])
    ticks = recorded("8453_aerodrome_v3_cbeth_weth_block_46875151.json.gz")
    assert book.address("slipstream_cbeth_weth_1") == address_from_text(ticks["pool"])


@pytest.mark.parametrize("chain_id", CHAINS)
def test_markets_of_morpho_are_what_their_ids_say(chain_id: int) -> None:
    book = published_book(chain_id)
    references = [entry.reference for entry in book if entry.name.startswith("morpho_oracle_")]
    markets: tuple[MorphoAdapter, ...] = from_book(book)
    assert [hex_text(market_id(market)) for market in markets] == references


def market_id(market: MorphoAdapter) -> bytes:
    terms = (market.loan, market.collateral, market.oracle, market.rate_model, market.lltv_wad)
    return keccak256(abi_encode(["address"] * 4 + ["uint256"], terms))


@pytest.mark.parametrize("chain_id", CHAINS)
def test_every_published_book_makes_its_adapters(chain_id: int) -> None:
    """One for each pool and market that it names, and lenders with the reserves that it knows."""
    adapters = set(adapters_of(published_book(chain_id)))
    pools = {f"{family}:{pool.pair_name}" for family, pool in pools_of(chain_id)}
    assert pools <= adapters
    assert {"aave_v3"} <= adapters
    if chain_id == 1:
        assert {"spark", "morpho_blue:wbtc-usdc-8600"} <= adapters
