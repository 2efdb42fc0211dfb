"""What a strategy knows of its chain without reading it: contracts by name, tokens with decimals, protocols.

Made from the address book as JSON, because that is how it crosses into a host process. A contract whose
decimals the book does not know counts in its smallest unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind, TokenClass
from seawall.primitives.units import Address
from seawall.protocols.adapters.catalogue import adapters_of
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.protocols.adapters.position_views import is_debt_view

__all__ = ["MULTICALL_NAME", "Surroundings", "TokenFacts", "surroundings_of"]

MULTICALL_NAME: Final = "multicall3"
# What is held in amounts itself: tokens, a pool's own shares, numbered positions.
_TOKEN_KINDS: Final = (AddressKind.TOKEN, AddressKind.POOL, AddressKind.POSITIONS)


@dataclass(frozen=True, slots=True)
class TokenFacts:
    name: str
    address: Address
    decimals: int
    is_debt: bool


@dataclass(frozen=True, slots=True)
class Surroundings:
    chain_id: int
    contracts: Mapping[str, Address]
    tokens: Mapping[str, TokenFacts]
    adapters: Mapping[str, AnyAdapter]

    @property
    def debts(self) -> frozenset[Address]:
        return frozenset(token.address for token in self.tokens.values() if token.is_debt)

    def name_of(self, address: bytes) -> str | None:
        return next((name for name, known in self.contracts.items() if known == address), None)


def surroundings_of(book_json: str) -> Surroundings:
    """`InputError` for a book that cannot be read."""
    book = AddressBook.from_json(book_json)
    tokens = {
        entry.name: TokenFacts(
            entry.name,
            entry.address,
            entry.decimals or 0,
            entry.token_class is TokenClass.DEBT or is_debt_view(entry.name),
        )
        for entry in book
        if entry.decimals is not None or entry.kind in _TOKEN_KINDS
    }
    return Surroundings(
        book.chain_id, {entry.name: entry.address for entry in book}, tokens, adapters_of(book)
    )
