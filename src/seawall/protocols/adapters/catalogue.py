"""Every adapter that an address book allows, by name.

Each adapter's module has `from_book(book)`, which makes one adapter a deployment (of a protocol with separate
markets: one a market) from the book's entries, and none where those are missing. To add a protocol, add its
module to `_SOURCES`; docs/guides/adapters.md leads through it.

Not done here: choosing among adapters, reading, configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeVar

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import InputError
from seawall.protocols.adapters import (
    aave_v3,
    balancer_stable,
    balancer_v2,
    camelot,
    compound_v3,
    convex,
    curve,
    curve_crypto,
    erc4626,
    lido,
    morpho_blue,
    redeemable,
    rocket_pool,
    solidly,
    uniswap_v2,
    uniswap_v3,
    uniswap_v4,
    v3_forks,
    weth,
)
from seawall.protocols.adapters.base import Adapter
from seawall.protocols.adapters.erased import AnyAdapter, erased

__all__ = ["adapters_of"]

State = TypeVar("State")
_Source = Callable[[AddressBook], tuple[AnyAdapter, ...]]


def adapters_of(book: AddressBook) -> Mapping[str, AnyAdapter]:
    """By name, in the order of the list below; `InputError` where two deployments would share a name."""
    found: dict[str, AnyAdapter] = {}
    for source in _SOURCES:
        for adapter in source(book):
            if adapter.name in found:
                raise InputError(
                    f"two adapters are named {adapter.name!r}",
                    f"address book of chain {book.chain_id}",
                    "give the deployments different names in the book",
                )
            found[adapter.name] = adapter
    return MappingProxyType(found)


def _source(from_book: Callable[[AddressBook], tuple[Adapter[State], ...]]) -> _Source:
    def adapters(book: AddressBook) -> tuple[AnyAdapter, ...]:
        return tuple(erased(adapter) for adapter in from_book(book))

    return adapters


_SOURCES: Final[tuple[_Source, ...]] = (
    _source(weth.from_book),
    _source(uniswap_v2.from_book),
    _source(uniswap_v3.from_book),
    _source(uniswap_v4.from_book),
    _source(v3_forks.from_book),
    _source(solidly.from_book),
    _source(camelot.from_book),
    _source(balancer_v2.from_book),
    _source(balancer_stable.from_book),
    _source(aave_v3.from_book),
    _source(morpho_blue.from_book),
    _source(erc4626.from_book),
    _source(compound_v3.from_book),
    _source(curve.from_book),
    _source(curve_crypto.from_book),
    _source(convex.from_book),
    _source(lido.from_book),
    _source(rocket_pool.from_book),
    _source(redeemable.from_book),
)
