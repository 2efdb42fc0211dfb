"""Address books that ship with Seawall: what publishers state, one file a chain, each entry with its source.

They hold no code hashes: those are for an operator to read from the chain (`seawall addresses record`), who
answers for the endpoint that they came from. The devnet's book is made with its state, and is not here.
"""

from __future__ import annotations

from importlib import resources
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import InputError

__all__ = ["published_book", "published_chains"]

_SUFFIX: Final = ".json"


def published_chains() -> tuple[int, ...]:
    """Chains that have a book here, ascending."""
    names = (entry.name for entry in resources.files(__package__).iterdir())
    return tuple(sorted(int(name.removesuffix(_SUFFIX)) for name in names if name.endswith(_SUFFIX)))


def published_book(chain_id: int) -> AddressBook:
    """The chain's book; an empty one for a chain without."""
    if chain_id not in published_chains():
        return AddressBook(chain_id)
    text = resources.files(__package__).joinpath(f"{chain_id}{_SUFFIX}").read_bytes()
    book = AddressBook.from_json(text)
    if book.chain_id != chain_id:
        raise InputError(
            f"the book of chain {chain_id} names chain {book.chain_id}", "chain.books", "reinstall"
        )
    return book
