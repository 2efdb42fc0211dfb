"""What pool adapters share: pools by their names in the book, and calls with measured arguments.

A book names a pool `<protocol>_<token>_<token>[_<suffix>]` with the tokens' own names in that book; this is
how an adapter knows what a pool trades without asking the chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.native import AbiValue, keccak256
from seawall.primitives.units import Address
from seawall.protocols.adapters.arguments import call_data
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Measure, Measured

__all__ = ["NamedPool", "call_with", "pools_named"]


@dataclass(frozen=True, slots=True)
class NamedPool:
    name: str
    address: Address
    token_names: tuple[str, ...]
    tokens: tuple[Address, ...]
    """In the order of the name."""
    suffix: str
    """What follows the tokens: a fee, a kind; may be empty."""

    @property
    def pair_name(self) -> str:
        """`weth-usdx`, or `weth-usdx-500` with a suffix."""
        return "-".join((*self.token_names, *filter(None, (self.suffix,))))


def pools_named(book: AddressBook, prefix: str) -> tuple[NamedPool, ...]:
    """The pools whose names begin with `prefix`; those that name fewer than two tokens are left out."""
    tokens = {entry.name: entry.address for entry in book.of_kind(AddressKind.TOKEN)}
    found = []
    for entry in book.of_kind(AddressKind.POOL):
        if not entry.name.startswith(prefix + "_"):
            continue
        names, rest = _tokens_in(entry.name.removeprefix(prefix + "_"), tokens)
        if len(names) >= 2:
            addresses = tuple(tokens[name] for name in names)
            found.append(NamedPool(entry.name, entry.address, names, addresses, rest))
    return tuple(found)


def call_with(
    target: Address,
    signature: str,
    values: Sequence[AbiValue | Measured],
    allowed: tuple[Address, Amount] | None = None,
    measure: tuple[Measure, ...] = (),
    value_wei: Amount = 0,
    spender: Address | None = None,
) -> Call | CallWithAllowance:
    """A call of static arguments, measured ones spliced in; `allowed` is (token, amount) that it may take.

    A static tuple is nothing but its words, and is given as such.
    """
    data, splices = call_data(signature.replace("((", "(").replace("))", ")"), values)
    data = keccak256(signature.encode())[:4] + data[4:]
    if allowed is None:
        return Call(target, data, value_wei, splices, measure)
    token, amount = allowed
    return CallWithAllowance(target, data, token, amount, spender or target, value_wei, splices, measure)


def _tokens_in(text: str, tokens: dict[str, Address]) -> tuple[tuple[str, ...], str]:
    """Leading token names, the longest match first (`a_weth` before `a`), and what is left."""
    names: list[str] = []
    rest = text
    while rest:
        matching = [name for name in tokens if rest == name or rest.startswith(name + "_")]
        if not matching:
            break
        longest = max(matching, key=len)
        names.append(longest)
        rest = rest[len(longest) :].removeprefix("_")
    return tuple(names), rest
