"""Policies of several adapters joined into one, and contradictions told apart from unions."""

from __future__ import annotations

import pytest

from seawall.primitives.errors import InputError
from seawall.primitives.units import Address
from seawall.protocols.adapters.base import PolicyPart
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    LenderKind,
    LenderPolicy,
    Listing,
    MemberSet,
    RuleKind,
    TokenClass,
    TokenPolicy,
    anything,
    at_most,
    content,
    equal_to,
    in_set,
    ourselves,
    parsed_by,
    registry_calls,
    up_to,
)
from seawall.protocols.executor.policy_parts import policy_of

EXECUTOR = Address(b"\x11" * 20)
TARGET = Address(b"\x22" * 20)
TOKEN = Address(b"\x33" * 20)
SEND = "transfer(address,uint256)"


def listed(*rules_of: Listing, sets: tuple[MemberSet, ...] = ()) -> tuple[PolicyPart, ...]:
    return tuple(PolicyPart(listings=(listing,), sets=sets) for listing in rules_of)


def test_the_same_entries_twice_are_one() -> None:
    part = PolicyPart(
        listings=(Listing(TARGET, "deposit()"),),
        tokens=(TokenPolicy(TOKEN),),
        lenders=(LenderPolicy(TARGET),),
        factories=(FactoryPolicy(TARGET, FactoryKind.UNISWAP_V3, bytes(32)),),
    )
    policy = policy_of((part, part), EXECUTOR)
    assert (len(policy.listings), len(policy.tokens), len(policy.lenders), len(policy.factories)) == (
        1,
        1,
        1,
        1,
    )
    assert policy.executor == EXECUTOR


def test_two_values_of_one_argument_become_a_set() -> None:
    parts = listed(
        Listing(TARGET, SEND, (equal_to(1), anything())),
        Listing(TARGET, SEND, (equal_to(2), anything())),
        Listing(TARGET, SEND, (in_set(9), anything())),
        sets=(MemberSet(9, (2, 3)),),
    )
    policy = policy_of(parts, EXECUTOR)
    (listing,), (members,) = policy.listings, policy.sets
    assert listing.rules == (in_set(members.set_id), anything())
    assert members.members == (1, 2, 3)
    assert registry_calls(policy)


def test_the_larger_of_two_limits_holds() -> None:
    parts = listed(
        Listing(TARGET, SEND, (ourselves(), at_most(5)), max_native_wei=7),
        Listing(TARGET, SEND, (ourselves(), at_most(3)), max_native_wei=8),
    )
    (listing,) = policy_of(parts, EXECUTOR).listings
    assert (listing.rules[1], listing.max_native_wei) == (at_most(5), 8)


def test_sets_that_nothing_uses_are_left_out() -> None:
    assert policy_of((PolicyPart(sets=(MemberSet(1, (2,)),)),), EXECUTOR).sets == ()


def test_an_allowance_of_one_part_is_enough() -> None:
    parts = (
        PolicyPart(tokens=(TokenPolicy(TOKEN),)),
        PolicyPart(tokens=(TokenPolicy(TOKEN, allowance=True),)),
    )
    assert policy_of(parts, EXECUTOR).tokens == (TokenPolicy(TOKEN, allowance=True),)


def test_classes_settle_what_parts_see_differently() -> None:
    parts = (
        PolicyPart(tokens=(TokenPolicy(TOKEN),)),
        PolicyPart(tokens=(TokenPolicy(TOKEN, TokenClass.KEPT),)),
    )
    with pytest.raises(InputError, match="PAID_OUT and KEPT"):
        policy_of(parts, EXECUTOR)
    (token,) = policy_of(parts, EXECUTOR, {TOKEN: TokenClass.KEPT}).tokens
    assert token.token_class is TokenClass.KEPT


MARKET = "supply((address,address),uint256,bytes)"


def market(first: int, second: int, note: bytes = b"") -> Listing:
    return Listing(TARGET, MARKET, (equal_to(first), equal_to(second), anything(), content(note)))


def test_several_differing_rules_are_mixed_only_when_asked_for() -> None:
    parts = listed(market(1, 2), market(3, 4))
    with pytest.raises(InputError, match="allow more than asked"):
        policy_of(parts, EXECUTOR)
    policy = policy_of(parts, EXECUTOR, mixed=True)
    assert [one.members for one in policy.sets] == [(1, 3), (2, 4)]
    assert [rule.kind for rule in policy.listings[0].rules[:2]] == [RuleKind.IN_SET] * 2


def test_contents_of_bytes_are_never_joined() -> None:
    for mixed in (False, True):
        with pytest.raises(InputError, match="EQ and EQ"):
            policy_of(listed(market(1, 2), market(1, 2, b"note")), EXECUTOR, mixed=mixed)
    path = "f(bytes,(uint256,uint256[]),bool)"
    one, other = (
        Listing(
            TARGET,
            path,
            (*parsed_by(TOKEN, 66, equal_to(value)), anything(), up_to(3), equal_to(1), anything()),
        )
        for value in (1, 2)
    )
    with pytest.raises(InputError, match="EQ and EQ"):
        policy_of(listed(one, other), EXECUTOR, mixed=True)


def test_elements_of_lists_are_joined_only_when_asked_for() -> None:
    path = "f((uint256[],bool),address)"
    parts = listed(
        *(Listing(TARGET, path, (up_to(3), equal_to(one), anything(), ourselves())) for one in (1, 2))
    )
    with pytest.raises(InputError, match="EQ and EQ"):
        policy_of(parts, EXECUTOR)
    assert policy_of(parts, EXECUTOR, mixed=True).sets[0].members == (1, 2)


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        (
            listed(
                Listing(TARGET, SEND, (ourselves(), anything())), Listing(TARGET, SEND, (anything(),) * 2)
            ),
            "SELF and ANY",
        ),
        (listed(Listing(TARGET, "f()"), Listing(TARGET, "f()", reduce=True)), "another spender"),
        (listed(Listing(TARGET, "f()"), Listing(TARGET, "f()", spender=TOKEN)), "another spender"),
        (
            listed(Listing(TARGET, "f(bool)", (equal_to(1),)), Listing(TARGET, "f(bool)", (in_set(7),))),
            "never filled",
        ),
        (
            (PolicyPart(sets=(MemberSet(1, (2,)),)), PolicyPart(sets=(MemberSet(1, (3,)),))),
            "one set differently",
        ),
        (
            (
                PolicyPart(lenders=(LenderPolicy(TARGET),)),
                PolicyPart(lenders=(LenderPolicy(TARGET, LenderKind.ERC3156),)),
            ),
            "list it differently",
        ),
    ],
)
def test_contradictions_are_refused(parts: tuple[PolicyPart, ...], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        policy_of(parts, EXECUTOR)
