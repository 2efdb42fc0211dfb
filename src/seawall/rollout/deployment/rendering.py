"""A policy in the words of a deployment file: what `files.read_wish` reads back as the same policy.

Addresses that the book knows stand by their names. Sets are numbered from one, in their order.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.units import ZERO_ADDRESS, Address, address_text, hex_text
from seawall.protocols.executor.policy import Listing, Policy, Rule, RuleKind, TokenClass

__all__ = ["policy_text"]

_PARSER_BITS: Final = 160
_ETHER_DECIMALS: Final = 18


def policy_text(policy: Policy, book: AddressBook) -> str:
    """TOML; who runs, owns and deploys, caps and losses are for a person to add."""
    return "\n".join(_lines(policy, _Names(book, policy)))


class _Names:
    def __init__(self, book: AddressBook, policy: Policy) -> None:
        self._book = book
        self.sets = {entry.set_id: number for number, entry in enumerate(policy.sets, 1)}

    def of(self, address: Address) -> str:
        found = self._book.find(address)
        return address_text(address) if found is None else f"@{found.name}"

    def word(self, value: int) -> str:
        """An address by its name, where it is one that the book knows; else the number."""
        text = value.to_bytes(32, "big")
        found = None if any(text[:12]) or not value else self._book.find(text[12:])
        return str(value) if found is None else f"@{found.name}"


def _lines(policy: Policy, names: _Names) -> Iterator[str]:
    for token in policy.tokens:
        yield from ("[[tokens]]", _line("token", names.of(token.token)))
        if token.token_class is not TokenClass.PAID_OUT:
            yield _line("class", token.token_class.name.lower())
        if token.allowance:
            yield "allowance = true"
    for lender in policy.lenders:
        yield from ("[[lenders]]", _line("lender", names.of(lender.lender)))
        yield _line("kind", lender.kind.name.lower())
    for factory in policy.factories:
        yield from ("[[factories]]", _line("factory", names.of(factory.factory)))
        yield _line("kind", factory.kind.name.lower())
        yield _line("init_code_hash", hex_text(factory.init_code_hash))
        yield f"fee_ppm = {factory.fee_ppm}"
        if factory.reduce:
            yield "reduce = true"
    for entry in policy.sets:
        yield from ("[[sets]]", f"id = {names.sets[entry.set_id]}")
        yield _list("members", map(names.word, entry.members))
    for listing in policy.listings:
        yield from _listing(listing, names)


def _listing(listing: Listing, names: _Names) -> Iterator[str]:
    yield from ("[[calls]]", _line("target", names.of(listing.target)))
    yield _line("function", listing.signature)
    yield _list("rules", _rules(listing.rules, names))
    if listing.reduce:
        yield "reduce = true"
    if listing.max_native_wei:
        whole, part = divmod(listing.max_native_wei, 10**_ETHER_DECIMALS)
        yield _line("max_native", f"{whole}.{part:0{_ETHER_DECIMALS}d}")
    if listing.spender != ZERO_ADDRESS:
        yield _line("spender", names.of(listing.spender))


def _rules(rules: Sequence[Rule], names: _Names) -> Iterator[str]:
    at = 0
    while at < len(rules):
        rule, at = rules[at], at + 1
        if rule.kind is RuleKind.PARSED:
            parser = Address((rule.operand % 2**_PARSER_BITS).to_bytes(20, "big"))
            elements = ", ".join(_rule(one, names) for one in rules[at : at + rule.words])
            yield f"parsed by {names.of(parser)} within {rule.operand >> _PARSER_BITS}: {elements}"
            at += rule.words
        else:
            yield _rule(rule, names)


def _rule(rule: Rule, names: _Names) -> str:
    match rule.kind:
        case RuleKind.ANY:
            return "any"
        case RuleKind.SELF:
            return "self"
        case RuleKind.LE:
            return f"<= {rule.operand}"
        case RuleKind.LENGTH:
            return f"up to {rule.operand}"
        case RuleKind.IN_SET:
            return f"in {names.sets[rule.operand]}"
        case _:
            return f"= {names.word(rule.operand)}"


def _line(key: str, value: str) -> str:
    return f"{key} = {json.dumps(value)}"


def _list(key: str, values: Iterable[str]) -> str:
    return f"{key} = [{', '.join(json.dumps(value) for value in values)}]"
