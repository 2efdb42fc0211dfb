"""Many parts of a policy made one: what several adapters need of the same account.

    policy_of(parts, executor) -> Policy, or an `InputError` that names what contradicts what

The same entry twice is one entry. Two listings of one function are joined where the union is exactly what
both ask for: they differ in one rule at most (a value or set becomes a set, a limit the larger one), or in
the native value (the larger). Everything else that differs is a contradiction, which a person has to settle:
by an account for each, or by `mixed`.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import replace
from typing import Final, TypeVar

from seawall.native import keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import Address, address_text
from seawall.protocols.adapters.base import PolicyPart
from seawall.protocols.executor.policy import (
    FactoryPolicy,
    LenderPolicy,
    Listing,
    MemberSet,
    Policy,
    Rule,
    RuleKind,
    TokenClass,
    TokenPolicy,
    in_set,
)
from seawall.protocols.executor.signatures import Part, shape_of

__all__ = ["policy_of"]

_NO_CLASSES: Final[Mapping[Address, TokenClass]] = {}
Entry = TypeVar("Entry", LenderPolicy, FactoryPolicy)
Sets = dict[int, tuple[int, ...]]


def policy_of(
    parts: Iterable[PolicyPart],
    executor: Address,
    classes: Mapping[Address, TokenClass] = _NO_CLASSES,
    *,
    mixed: bool = False,
) -> Policy:
    """One policy for `executor`. `classes` settles what becomes of tokens that parts see differently: an
    account that holds its capital keeps what an executor would pay out.

    `mixed` joins listings that differ in several rules, each rule by itself. Then arguments of one part pass
    together with those of another: a market that mixes the tokens of two, if anyone made such a one."""
    found = tuple(parts)
    sets = _sets_of(found)
    listings: dict[tuple[Address, str], Listing] = {}
    for listing in (listing for part in found for listing in part.listings):
        key = (listing.target, listing.signature)
        present = listings.get(key)
        listings[key] = listing if present is None else _joined(present, listing, sets, mixed)
    used = {
        rule.operand
        for listing in listings.values()
        for rule in listing.rules
        if rule.kind is RuleKind.IN_SET
    }
    return Policy(
        executor,
        listings=tuple(listings.values()),
        tokens=_tokens_of(found, classes),
        lenders=_unique((entry.lender, entry) for part in found for entry in part.lenders),
        factories=_unique((entry.factory, entry) for part in found for entry in part.factories),
        sets=tuple(MemberSet(set_id, members) for set_id, members in sets.items() if set_id in used),
    )


def _sets_of(parts: tuple[PolicyPart, ...]) -> Sets:
    sets: Sets = {}
    for entry in (entry for part in parts for entry in part.sets):
        members = sets.setdefault(entry.set_id, entry.members)
        if set(members) != set(entry.members):
            raise _contradiction("two parts fill one set differently", f"set {entry.set_id}")
    return sets


def _tokens_of(
    parts: tuple[PolicyPart, ...], classes: Mapping[Address, TokenClass]
) -> tuple[TokenPolicy, ...]:
    tokens: dict[Address, TokenPolicy] = {}
    for entry in (entry for part in parts for entry in part.tokens):
        token_class = classes.get(entry.token, entry.token_class)
        present = tokens.setdefault(entry.token, replace(entry, token_class=token_class))
        if present.token_class is not token_class:
            both = f"{present.token_class.name} and {token_class.name}"
            raise _contradiction(f"it is {both}", f"token {address_text(entry.token)}")
        tokens[entry.token] = replace(present, allowance=present.allowance or entry.allowance)
    return tuple(tokens.values())


def _unique(entries: Iterable[tuple[Hashable, Entry]]) -> tuple[Entry, ...]:
    found: dict[Hashable, Entry] = {}
    for key, entry in entries:
        if found.setdefault(key, entry) != entry:
            raise _contradiction(f"two parts list it differently: {found[key]} and {entry}", "policy")
    return tuple(found.values())


def _joined(one: Listing, other: Listing, sets: Sets, mixed: bool) -> Listing:
    where = f"{one.signature} of {address_text(one.target)}"
    if one.spender != other.spender or one.reduce != other.reduce or len(one.rules) != len(other.rules):
        raise _contradiction("two parts list it with another spender, `reduce` or count of rules", where)
    differing = [at for at, rule in enumerate(one.rules) if rule != other.rules[at]]
    if len(differing) > 1 and not mixed:
        raise _contradiction(f"rules {differing} differ: joined, they would allow more than asked", where)
    rules = list(one.rules)
    for at in differing:
        rules[at] = _union(one, other, at, sets, mixed)
    native = max(one.max_native_wei, other.max_native_wei)
    return replace(one, rules=tuple(rules), max_native_wei=native)


def _union(one: Listing, other: Listing, at: int, sets: Sets, mixed: bool) -> Rule:
    first, second = one.rules[at], other.rules[at]
    where = f"{one.signature} of {address_text(one.target)}"
    if first.kind is second.kind is RuleKind.LE:
        return replace(first, operand=max(first.operand, second.operand))
    place = _places(one)[at]
    # In a list a rule is for every element: the union mixes what was asked for separately.
    joinable = place is Part.WORD or (mixed and place is Part.ARRAY)
    members = [_members(rule, sets, where) for rule in (first, second)] if joinable else [None]
    if None in members:
        raise _contradiction(f"rule {at} is {first.kind.name} and {second.kind.name}", where)
    together = tuple(dict.fromkeys(value for known in members for value in known or ()))
    text = b"%s:%s:%d" % (one.target, one.signature.encode(), at)
    set_id = int.from_bytes(keccak256(text), "big")
    sets[set_id] = together
    return in_set(set_id)


def _places(listing: Listing) -> list[Part]:
    """For each rule: whether it is for a word, in an array (its length too), or in `bytes`."""
    places: list[Part] = []
    within: list[Part] = []
    for part in shape_of(listing.signature):
        if part is Part.CLOSE:
            within.pop()
        elif part is Part.TUPLE:
            within.append(part)
        elif part is Part.ARRAY:
            within.append(part)
            places.append(part)
        elif part is Part.BYTES:
            places += [part] * (1 + listing.rules[len(places)].words)
        else:
            places.append(Part.ARRAY if Part.ARRAY in within else part)
    return places


def _members(rule: Rule, sets: Sets, where: str) -> tuple[int, ...] | None:
    if rule.kind is RuleKind.EQ:
        return (rule.operand,)
    if rule.kind is not RuleKind.IN_SET:
        return None
    if rule.operand not in sets:
        raise _contradiction(f"set {rule.operand} is used and never filled", where)
    return sets[rule.operand]


def _contradiction(what: str, where: str) -> InputError:
    return InputError(
        what, f"executor policy, {where}", "leave one of them out, or give it an account of its own"
    )
