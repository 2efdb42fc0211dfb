"""The address books that ship with Seawall: every entry has a source, a checksum, and a kind that fits."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest

from seawall.chain.addresses import AddressKind, TokenClass
from seawall.chain.books import published_book, published_chains
from seawall.chain.networks import NETWORKS
from seawall.primitives.units import address_from_text, address_text
from seawall.protocols.safe import known

DEVNET = 31_337
WITHOUT = (138, 651_940)
# `package@version path`, `owner/repository path`, a page of documentation, or derived from what is listed.
SOURCE = re.compile(
    r'CREATE2 from \w+|@?[\w./-]+@\d+\.\d+\.\d+ \S+|[\w-]+/[\w-]+ \S+|\w+ documentation, page ".+"'
)


def document(chain_id: int) -> dict[str, object]:
    text = resources.files("seawall.chain.books").joinpath(f"{chain_id}.json").read_bytes()
    tree = json.loads(text)
    assert isinstance(tree, dict)
    return tree


def records(chain_id: int) -> list[dict[str, object]]:
    found = document(chain_id)["contracts"]
    assert isinstance(found, list)
    return found


def test_every_known_chain_but_the_devnet_has_a_book() -> None:
    assert set(published_chains()) == set(NETWORKS) - {DEVNET}
    assert {chain_id for chain_id in published_chains() if not len(published_book(chain_id))} == set(WITHOUT)
    assert len(published_book(DEVNET)) == 0


@pytest.mark.parametrize("chain_id", published_chains())
def test_entries_are_checksummed_sourced_and_different(chain_id: int) -> None:
    assert document(chain_id)["chain_id"] == chain_id
    book = published_book(chain_id)  # which refuses names and addresses that come twice
    assert len(book) == len(records(chain_id))
    for record in records(chain_id):
        text = str(record["address"])
        assert address_text(address_from_text(text)) == text
    for entry in book:
        assert SOURCE.fullmatch(entry.source), entry
        assert re.fullmatch(r"[a-z0-9_]+", entry.name), entry


@pytest.mark.parametrize("chain_id", published_chains())
def test_kinds_fit_what_else_is_said_of_an_entry(chain_id: int) -> None:
    for entry in published_book(chain_id):
        is_token = entry.kind is AddressKind.TOKEN
        assert (entry.token_class is not None) is is_token, entry
        assert entry.decimals is not None or not is_token, entry
        assert entry.decimals in (8, 18) or entry.kind is not AddressKind.FEED, entry
        assert entry.symbol is None or is_token, entry
        expected = TokenClass.RECEIPT if entry.name.startswith("a_") else entry.token_class
        if entry.name.startswith("aave_debt_"):
            expected = TokenClass.DEBT
        assert entry.token_class is expected, entry


@pytest.mark.parametrize("chain_id", [c for c in published_chains() if c not in WITHOUT])
def test_books_agree_with_what_is_known_elsewhere(chain_id: int) -> None:
    book, network = published_book(chain_id), NETWORKS[chain_id]
    assert book.address("multicall3") == network.multicall
    assert network.wrapped_native in {entry.address for entry in book.of_kind(AddressKind.TOKEN)}
    assert book.address("safe_singleton") == known.SINGLETON
    assert book.address("safe_multi_send_call_only") == known.MULTI_SEND_CALL_ONLY
    assert book["safe_singleton"].code_hash in known.SINGLETON_CODE_HASHES


def test_only_publishers_hashes_are_shipped() -> None:
    """Others are for whoever reads the chain: nobody here has."""
    for chain_id in published_chains():
        for entry in published_book(chain_id):
            if entry.code_hash is not None:
                assert entry.source.startswith("@safe-global/safe-deployments@"), entry
