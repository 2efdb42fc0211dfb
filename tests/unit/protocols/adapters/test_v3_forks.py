"""Forks of V3 and of Solidly whose pools must be where their factories put them, and fees that change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seawall.chain.addresses import AddressBook, AddressEntry
from seawall.chain.books import published_book
from seawall.markets.uniswap_v3 import V3Pool
from seawall.native import abi_encode
from seawall.primitives.blocks import Block
from seawall.primitives.errors import InputError, ProtocolError
from seawall.primitives.units import Address, Hash
from seawall.protocols.adapters import solidly, v3_forks
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.erased import erased, gather
from seawall.protocols.adapters.v3_forks import V3ForkAdapter
from seawall.protocols.executor.operations import SwapQuoted, SwapV3
from tests.unit.markets.worlds import pool, positions
from tests.unit.protocols.pool_answers import v3_answers

BASE, OPTIMISM = 8453, 10
US = Address(b"\x11" * 20)
BLOCK = Block(BASE, 1, Hash(bytes(32)), Hash(bytes(32)), 0, 0, 0, US, Hash(bytes(32)))
HELD = 10**21


def changed(chain_id: int, name: str, **fields: Any) -> AddressBook:
    book = published_book(chain_id)
    entries: list[AddressEntry] = [replace(e, **fields) if e.name == name else e for e in book]
    return AddressBook(chain_id, entries)


def slipstream() -> V3ForkAdapter:
    return next(one for one in v3_forks.from_book(published_book(BASE)) if one.fee_changes)


def quoted(adapter: V3ForkAdapter, state: V3Pool, fee_pips: int, swap: Swap) -> int:
    def ask(reads: Any) -> dict[str, bytes | None]:
        answers: dict[str, bytes | None] = {}
        for read in reads:
            if read.label.startswith("v3:"):
                answers |= v3_answers(state, [read])
            else:
                value = fee_pips if read.label.endswith(":fee") else HELD
                answers[read.label] = abi_encode(("uint256",), (value,))
        return answers

    snapshot = erased(adapter).at(gather(erased(adapter), ask), BLOCK)
    return snapshot.quote(swap, US).gives[0].amount


def test_fee_that_the_pool_answers_is_the_one_that_is_quoted_with() -> None:
    adapter = slipstream()
    market = adapter.deployment.market
    state = replace(
        pool(positions((-887_100, 887_100, 10**18), (-600, 900, 10**19))),
        address=market.address,
        token0=market.token0,
        token1=market.token1,
        tick_spacing=market.tick_spacing,
    )
    swap = Swap(market.token0, market.token1, 10**15)
    for fee_pips in (0, 90, 3_000):
        expected = replace(state, fee_pips=fee_pips).quote_exact_in(True, 10**15).amount_out
        assert quoted(adapter, state, fee_pips, swap) == expected


def test_swaps_name_what_stands_in_the_salt() -> None:
    """Of Slipstream the tick spacing, of Pancake the fee, of Velodrome the curve."""
    adapters = {adapter.name: adapter for adapter in v3_forks.from_book(published_book(BASE))}
    for name, word in (("slipstream:weth-usdc-100", 100), ("pancake_v3:weth-usdc-100", 100)):
        adapter = adapters[name]
        (operation,) = adapter.build(Swap(*adapter.deployment.tokens, 1), US)
        assert isinstance(operation, SwapV3)
        assert operation.fee_ppm == word
        assert operation.factory == adapter.deployment.factory
    (pair,) = solidly.from_book(published_book(BASE))
    (operation,) = pair.build(Swap(*pair.pair.tokens, 1), US)
    assert isinstance(operation, SwapQuoted)
    assert not operation.stable


@pytest.mark.parametrize("name", ["slipstream_weth_usdc_100", "pancake_v3_weth_usdc_100"])
def test_pool_elsewhere_than_its_creator_puts_it_is_refused(name: str) -> None:
    with pytest.raises(ProtocolError, match="is not where"):
        v3_forks.from_book(changed(BASE, name, address=US))


def test_pair_elsewhere_than_its_factory_puts_it_is_refused() -> None:
    with pytest.raises(InputError, match="is not where its factory"):
        solidly.from_book(changed(OPTIMISM, "velodrome_weth_op_volatile", address=US))


@pytest.mark.parametrize(
    ("source", "chain_id", "creator"),
    [
        (v3_forks.from_book, BASE, "slipstream_factory"),
        (v3_forks.from_book, BASE, "pancake_v3_deployer"),
        (solidly.from_book, BASE, "aerodrome_factory"),
    ],
)
def test_creator_without_the_hash_of_its_pools_is_refused(source: Any, chain_id: int, creator: str) -> None:
    with pytest.raises((ProtocolError, InputError), match="is not where"):
        source(changed(chain_id, creator, reference=None))
