"""What pool adapters share: pools by their names in the book, calls with measured arguments, quotes of swaps.

A book names a pool `<protocol>_<token>_<token>[_<suffix>]` with the tokens' own names in that book; this is
how an adapter knows what a pool trades without asking the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seawall.chain.addresses import AddressBook, AddressKind
from seawall.native import AbiValue, keccak256
from seawall.primitives.errors import InputError, MarketError
from seawall.primitives.units import BPS, Address, address_text, mul_div_up
from seawall.protocols.adapters.actions import Swap
from seawall.protocols.adapters.arguments import call_data
from seawall.protocols.adapters.base import Exact, Quote
from seawall.protocols.adapters.refusals import known_amount, known_minimum
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Measure, Measured
from seawall.protocols.executor.policy import MemberSet

__all__ = ["NamedPool", "call_with", "pools_named", "swap_quote", "token_set"]

# Of a swap, the part that is small enough not to move the price.
_PART_OF_SWAP: Final = 10_000


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

    def unit(self, book: AddressBook, token: Address) -> int:
        """10 to the power of a token's decimals, which the book must give."""
        entry = book.find(token)
        if entry is None or entry.decimals is None:
            raise InputError(
                f"the decimals of {address_text(token)} are not given",
                f"{self.name}, address book of chain {book.chain_id}",
                "record the token with its decimals",
            )
        return int(10**entry.decimals)


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


def token_set(*tokens: Address) -> MemberSet:
    """Tokens that an argument may be; the set's number follows from them, so that equal sets are one."""
    members = tuple(sorted(tokens))
    number = int.from_bytes(keccak256(b"".join(members)))
    return MemberSet(number, tuple(int.from_bytes(member) for member in members))


def swap_quote(name: str, action: Swap, amount_out_down: Callable[[int], int]) -> Quote:
    """The quote of a swap on a curve without a price of its own: what a small part of it would fetch, many
    times, stands for the price that does not move."""
    amount_in = known_amount(action.amount_in, name)
    amount_out = amount_out_down(amount_in)
    known_minimum(action.min_out, amount_out, name)
    part = max(amount_in // _PART_OF_SWAP, 1)
    try:
        unmoved = amount_out_down(part) * amount_in // part
    except MarketError:  # so small a part buys nothing
        unmoved = amount_out
    lost = max(unmoved - amount_out, 0)
    return Quote(
        takes=(Exact(action.token_in, amount_in),),
        gives=(Exact(action.token_out, amount_out),),
        impact_bps=mul_div_up(lost, BPS, max(unmoved, 1)),
    )


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
