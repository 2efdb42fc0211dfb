"""A policy as it stands on chain, read back whole, and what separates it from the one that is wanted.

    index_reads -> (answered) -> entry_reads -> (answered) -> found_policy -> FoundPolicy
    policy_diff(wanted, found) -> changes, what tightens first

Two rounds at one block: the registry tells what there is, then each entry. Nothing is looked for in logs:
what an event once said may be outdated, and nodes forget them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

from seawall.native import abi_decode, encode_call, selector
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError, ProtocolError
from seawall.primitives.units import NATIVE, Address, address_text
from seawall.protocols.answers import Answers
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    LenderKind,
    LenderPolicy,
    Listing,
    MemberSet,
    Policy,
    Rule,
    RuleKind,
    TokenClass,
    TokenPolicy,
    factory_call,
    lender_call,
    listing_call,
    members_call,
    token_call,
)

__all__ = ["FoundPolicy", "PolicyChange", "entry_reads", "found_policy", "index_reads", "policy_diff"]

_ENTRY: Final = "(uint8,bool,uint128,address,(uint8,uint256)[])"
_LISTS: Final = ("listingsOf", "setsOf", "lendersOf", "factoriesOf", "trackedTokens")
_ADDRESS_BITS: Final = 160
_ADDRESS_MASK: Final = (1 << _ADDRESS_BITS) - 1

Key = TypeVar("Key")
Entry = TypeVar("Entry")


@dataclass(frozen=True, slots=True)
class FoundPolicy:
    """What the registry says; `policy.executor` is the address that was asked about."""

    policy: Policy
    sealed: bool


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """One call of the registry's owner. Of a sealed policy, what `loosens` must be proposed first."""

    text: str
    call: bytes
    loosens: bool


def index_reads(registry: Address, policy: Address) -> tuple[Read, ...]:
    """What entries there are."""
    names = (*_LISTS, "isSealed")
    return tuple(_read(registry, f"{name}(address)", policy) for name in names)


def entry_reads(registry: Address, policy: Address, answers: Answers) -> tuple[Read, ...]:
    """Every entry that the index names."""
    found = _Index(registry, policy, answers)
    return (
        *(
            _read(registry, "listingOf(address,address,bytes4)", policy, target, chosen)
            for target, chosen in found.listings
        ),
        *(_read(registry, "membersOf(address,uint256)", policy, set_id) for set_id in found.sets),
        *(_read(registry, "lenders(address,address)", policy, one) for one in found.lenders),
        *(_read(registry, "factories(address,address)", policy, one) for one in found.factories),
        *(_read(registry, "tokens(address,address)", policy, one) for one in found.tokens),
    )


def found_policy(registry: Address, policy: Address, answers: Answers) -> FoundPolicy:
    """From the answers of both rounds. `ProtocolError` where one is absent or of another shape."""
    index = _Index(registry, policy, answers)
    look = index.values
    listings = tuple(
        _listing(target, look(("string", _ENTRY), "listingOf(address,address,bytes4)", target, chosen))
        for target, chosen in index.listings
    )
    sets = tuple(
        MemberSet(set_id, tuple(index.numbers("membersOf(address,uint256)", set_id))) for set_id in index.sets
    )
    lenders = tuple(
        LenderPolicy(one, LenderKind(_integer(look(("uint8",), "lenders(address,address)", one)[0])))
        for one in index.lenders
    )
    factories = tuple(
        _factory(one, look(("uint8", "bool", "uint24", "bytes32"), "factories(address,address)", one))
        for one in index.factories
    )
    tokens = tuple(
        _token(one, look(("uint8", "bool", "uint8"), "tokens(address,address)", one)) for one in index.tokens
    )
    (sealed,) = look(("bool",), "isSealed(address)")
    return FoundPolicy(Policy(policy, listings, tokens, lenders, factories, sets), bool(sealed))


def policy_diff(wanted: Policy, found: Policy) -> tuple[PolicyChange, ...]:
    """What turns `found` into `wanted`; revocations and tighter limits first, sets before their listings."""
    policy = wanted.executor
    changes = (
        *_set_changes(wanted, found),
        *_changes(
            "token",
            {one.token: one for one in wanted.tokens},
            {one.token: one for one in found.tokens},
            lambda entry: token_call(policy, entry),
            lambda token: encode_call("setToken(address,address,uint8,bool)", (policy, token, 0, False)),
            lambda entry, old: old.token_class is not entry.token_class or entry.allowance > old.allowance,
            removing_loosens=True,
        ),
        *_changes(
            "lender",
            {one.lender: one for one in wanted.lenders},
            {one.lender: one for one in found.lenders},
            lambda entry: lender_call(policy, entry),
            lambda lender: encode_call("setLender(address,address,uint8)", (policy, lender, 0)),
            lambda entry, old: entry != old,
        ),
        *_changes(
            "factory",
            {one.factory: one for one in wanted.factories},
            {one.factory: one for one in found.factories},
            lambda entry: factory_call(policy, entry),
            lambda factory: encode_call(
                "setFactory(address,address,uint8,bytes32,uint24,bool)",
                (policy, factory, 0, bytes(32), 0, False),
            ),
            lambda entry, old: _without_reduce(entry) != _without_reduce(old) or entry.reduce > old.reduce,
        ),
        *_listing_changes(wanted, found),
    )
    return tuple(sorted(changes, key=lambda change: change.loosens))


class _Index:
    """The answers of the first round, and access to those of the second."""

    def __init__(self, registry: Address, policy: Address, answers: Answers) -> None:
        self._registry, self._policy, self._answers = registry, policy, answers
        packed = self.numbers("listingsOf(address)")
        self.listings = tuple((_address(one), (one >> _ADDRESS_BITS).to_bytes(4, "big")) for one in packed)
        self.sets = tuple(self.numbers("setsOf(address)"))
        self.lenders = tuple(map(_address, self.numbers("lendersOf(address)")))
        self.factories = tuple(map(_address, self.numbers("factoriesOf(address)")))
        tracked = map(_address, self.numbers("trackedTokens(address)"))
        self.tokens = tuple(token for token in tracked if token != NATIVE)

    def numbers(self, signature: str, *values: Address | int) -> list[int]:
        return cast(list[int], self.values(("uint256[]",), signature, *values)[0])

    def values(
        self, kinds: Sequence[str], signature: str, *values: Address | int | bytes
    ) -> Sequence[object]:
        read = _read(self._registry, signature, self._policy, *values)
        raw = self._answers.get(read.label)
        try:
            if raw is None:
                raise EncodingError("there is no answer")
            return abi_decode(kinds, raw)
        except EncodingError as error:
            raise ProtocolError(
                f"the policy cannot be read: {error.what}",
                f"{signature} of {address_text(self._registry)}",
                "check that the address is a policy registry of this release, and ask both rounds",
            ) from error


def _set_changes(wanted: Policy, found: Policy) -> Iterator[PolicyChange]:
    present = {one.set_id: one.members for one in found.sets}
    asked = {one.set_id: one.members for one in wanted.sets}
    for set_id in dict.fromkeys((*asked, *present)):
        now, then = present.get(set_id, ()), asked.get(set_id, ())
        gone = tuple(member for member in now if member not in then)
        new = tuple(member for member in then if member not in now)
        for members, included, verb in ((gone, False, "loses"), (new, True, "gains")):
            if members:
                text = f"set {set_id} {verb} {len(members)} members"
                call = members_call(wanted.executor, MemberSet(set_id, members), included)
                yield PolicyChange(text, call, loosens=included)


def _listing_changes(wanted: Policy, found: Policy) -> Iterator[PolicyChange]:
    policy = wanted.executor
    present = {(one.target, one.signature): one for one in found.listings}
    asked = {(one.target, one.signature): one for one in wanted.listings}
    for (target, signature), listing in asked.items():
        old = present.get((target, signature))
        if old != listing:
            text = f"{signature} of {address_text(target)} is listed" + (" anew" if old else "")
            yield PolicyChange(text, listing_call(policy, listing), old is None or _is_looser(listing, old))
    for target, signature in present.keys() - asked.keys():
        call = encode_call("unlist(address,address,bytes4)", (policy, target, selector(signature)))
        yield PolicyChange(f"{signature} of {address_text(target)} is unlisted", call, loosens=False)


def _changes(
    name: str,
    asked: dict[Address, Entry],
    present: dict[Address, Entry],
    write: Callable[[Entry], bytes],
    remove: Callable[[Address], bytes],
    is_looser: Callable[[Entry, Entry], bool],
    *,
    removing_loosens: bool = False,
) -> Iterator[PolicyChange]:
    for address, entry in asked.items():
        old = present.get(address)
        if old != entry:
            text = f"{name} {address_text(address)} is {'added' if old is None else 'changed'}"
            yield PolicyChange(text, write(entry), old is None or is_looser(entry, old))
    for address in present.keys() - asked.keys():
        text = f"{name} {address_text(address)} is dropped"
        yield PolicyChange(text, remove(address), removing_loosens)


def _is_looser(listing: Listing, old: Listing) -> bool:
    """As the registry compares: what was anything only becomes narrower; sets are not compared."""
    if listing.reduce > old.reduce or listing.max_native_wei > old.max_native_wei:
        return True
    if listing.spender != old.spender or len(listing.rules) != len(old.rules):
        return True
    return any(_is_wider(rule, was) for rule, was in zip(listing.rules, old.rules, strict=True))


def _is_wider(rule: Rule, was: Rule) -> bool:
    if was.kind is RuleKind.ANY and rule.kind <= RuleKind.ANY:
        return False
    if rule.kind is not was.kind:
        return True
    if rule.kind in (RuleKind.LE, RuleKind.LENGTH):
        return rule.operand > was.operand
    if rule.kind is RuleKind.PARSED and rule.operand & _ADDRESS_MASK == was.operand & _ADDRESS_MASK:
        return rule.operand > was.operand
    return rule.operand != was.operand


def _without_reduce(entry: FactoryPolicy) -> tuple[FactoryKind, bytes, int]:
    return entry.kind, entry.init_code_hash, entry.fee_ppm


def _listing(target: Address, values: Sequence[object]) -> Listing:
    signature = cast(str, values[0])
    _, reduce, native, spender, rules = cast(
        tuple[int, bool, int, bytes, list[tuple[int, int]]], tuple(cast(Sequence[object], values[1]))
    )
    made = tuple(Rule(RuleKind(kind), operand) for kind, operand in rules)
    return Listing(target, signature, made, reduce, native, Address(spender))


def _factory(factory: Address, values: Sequence[object]) -> FactoryPolicy:
    kind, reduce, fee_ppm, init_code_hash = cast(tuple[int, bool, int, bytes], tuple(values))
    return FactoryPolicy(factory, FactoryKind(kind), init_code_hash, fee_ppm, reduce)


def _token(token: Address, values: Sequence[object]) -> TokenPolicy:
    token_class, allowance, _ = cast(tuple[int, bool, int], tuple(values))
    return TokenPolicy(token, TokenClass(token_class), allowance)


def _integer(value: object) -> int:
    return cast(int, value)


def _address(packed: int) -> Address:
    return Address((packed & _ADDRESS_MASK).to_bytes(20, "big"))


def _read(registry: Address, signature: str, *values: Address | int | bytes) -> Read:
    call = encode_call(signature, values)
    return Read(f"{registry.hex()}:{call.hex()}", registry, call)
