"""What separates a wanted policy from the one that was found, and which of it must wait."""

from __future__ import annotations

from dataclasses import replace

import pytest

from seawall.native import abi_encode, encode_call, selector
from seawall.primitives.errors import ProtocolError
from seawall.primitives.units import NATIVE, Address
from seawall.protocols.executor.policy import (
    FactoryKind,
    FactoryPolicy,
    LenderKind,
    LenderPolicy,
    Listing,
    MemberSet,
    Policy,
    Rule,
    TokenClass,
    TokenPolicy,
    anything,
    at_most,
    equal_to,
    in_set,
    parsed_by,
    registry_calls,
    up_to,
)
from seawall.protocols.executor.policy_reading import (
    entry_reads,
    found_policy,
    index_reads,
    policy_diff,
)

REGISTRY = Address(b"\x10" * 20)
EXECUTOR = Address(b"\x11" * 20)
TARGET = Address(b"\x22" * 20)
TOKEN = Address(b"\x33" * 20)
ENTRY = "(uint8,bool,uint128,address,(uint8,uint256)[])"
WHOLE = Policy(
    EXECUTOR,
    listings=(Listing(TARGET, "f(uint256)", (in_set(5),), reduce=True, max_native_wei=9),),
    tokens=(TokenPolicy(TOKEN, allowance=True),),
    lenders=(LenderPolicy(TARGET),),
    factories=(FactoryPolicy(TARGET, FactoryKind.UNISWAP_V2, b"\x44" * 32, 3000, reduce=True),),
    sets=(MemberSet(5, (6, 7)),),
)


def test_equal_policies_need_no_change() -> None:
    shuffled = replace(WHOLE, sets=(MemberSet(5, (7, 6)),))
    assert policy_diff(WHOLE, shuffled) == ()


def test_an_empty_registry_needs_every_call_and_all_of_them_loosen() -> None:
    changes = policy_diff(WHOLE, Policy(EXECUTOR))
    assert tuple(change.call for change in changes) == registry_calls(WHOLE)
    assert all(change.loosens for change in changes)


def test_what_is_not_wanted_is_revoked_at_once_but_tokens_stay_tracked_for_a_while() -> None:
    changes = policy_diff(Policy(EXECUTOR), WHOLE)
    assert [change.loosens for change in changes] == [False, False, False, False, True]
    assert changes[-1].call == encode_call(
        "setToken(address,address,uint8,bool)", (EXECUTOR, TOKEN, 0, False)
    )
    assert encode_call("unlist(address,address,bytes4)", (EXECUTOR, TARGET, selector("f(uint256)"))) in [
        change.call for change in changes
    ]


def test_tightening_goes_before_loosening() -> None:
    found = replace(WHOLE, sets=(MemberSet(5, (6, 8)),))
    tight, loose = policy_diff(WHOLE, found)
    assert "loses" in tight.text
    assert not tight.loosens
    assert "gains" in loose.text
    assert loose.loosens


LISTING = Listing(TARGET, "g(uint256)", (at_most(5),), reduce=False, max_native_wei=5)
ARRAY = Listing(TARGET, "g(uint256[])", (up_to(5), anything()))
PARSED = Listing(TARGET, "g(bytes)", parsed_by(TOKEN, 5, anything()))


@pytest.mark.parametrize(
    ("old", "new", "loosens"),
    [
        (LISTING, replace(LISTING, rules=(at_most(4),)), False),
        (LISTING, replace(LISTING, rules=(at_most(6),)), True),
        (LISTING, replace(LISTING, rules=(equal_to(1),)), True),
        (replace(LISTING, rules=(anything(),)), LISTING, False),
        (replace(LISTING, rules=(equal_to(1),)), replace(LISTING, rules=(equal_to(2),)), True),
        (LISTING, replace(LISTING, max_native_wei=4), False),
        (LISTING, replace(LISTING, max_native_wei=6), True),
        (LISTING, replace(LISTING, reduce=True), True),
        (replace(LISTING, reduce=True), LISTING, False),
        (LISTING, replace(LISTING, spender=TOKEN), True),
        (ARRAY, replace(ARRAY, rules=(up_to(4), anything())), False),
        (ARRAY, replace(ARRAY, rules=(up_to(6), anything())), True),
        (PARSED, replace(PARSED, rules=parsed_by(TOKEN, 4, anything())), False),
        (PARSED, replace(PARSED, rules=parsed_by(TOKEN, 6, anything())), True),
        (PARSED, replace(PARSED, rules=parsed_by(TARGET, 4, anything())), True),
        (PARSED, replace(PARSED, rules=parsed_by(TOKEN, 5, anything(), anything())), True),
    ],
)
def test_a_listing_changed_loosens_as_the_registry_sees_it(old: Listing, new: Listing, loosens: bool) -> None:
    (change,) = policy_diff(Policy(EXECUTOR, listings=(new,)), Policy(EXECUTOR, listings=(old,)))
    assert change.loosens is loosens
    assert "anew" in change.text


@pytest.mark.parametrize(
    ("old", "new", "loosens"),
    [
        (TokenPolicy(TOKEN, allowance=True), TokenPolicy(TOKEN), False),
        (TokenPolicy(TOKEN), TokenPolicy(TOKEN, allowance=True), True),
        (TokenPolicy(TOKEN), TokenPolicy(TOKEN, TokenClass.KEPT), True),
    ],
)
def test_a_token_changed(old: TokenPolicy, new: TokenPolicy, loosens: bool) -> None:
    (change,) = policy_diff(Policy(EXECUTOR, tokens=(new,)), Policy(EXECUTOR, tokens=(old,)))
    assert change.loosens is loosens


def test_lenders_and_factories_changed() -> None:
    (factory,) = WHOLE.factories
    found = replace(WHOLE, factories=(replace(factory, reduce=False),), lenders=())
    assert [change.loosens for change in policy_diff(WHOLE, found)] == [True, True]
    (change,) = policy_diff(found, replace(WHOLE, lenders=()))
    assert not change.loosens
    (change,) = policy_diff(WHOLE, replace(WHOLE, lenders=(LenderPolicy(TARGET, LenderKind.MORPHO_BLUE),)))
    assert change.loosens


def answers_of(sealed: bool = True) -> dict[str, bytes | None]:
    """What a registry that holds `WHOLE` answers, in order of the reads."""
    target, native = int.from_bytes(TARGET, "big"), int.from_bytes(NATIVE, "big")
    packed = int.from_bytes(selector("f(uint256)"), "big") << 160 | target
    token = int.from_bytes(TOKEN, "big")
    index: list[bytes] = [
        abi_encode(["uint256[]"], [[packed]]),
        abi_encode(["uint256[]"], [[5]]),
        abi_encode(["uint256[]"], [[target]]),
        abi_encode(["uint256[]"], [[target]]),
        abi_encode(["uint256[]"], [[1 << 160 | native, 1 << 160 | token]]),
        abi_encode(["bool"], [sealed]),
    ]
    entries: list[bytes] = [
        abi_encode(["string", ENTRY], ["f(uint256)", (1, True, 9, bytes(20), [(3, 5)])]),
        abi_encode(["uint256[]"], [[6, 7]]),
        abi_encode(["uint8"], [1]),
        abi_encode(["uint8", "bool", "uint24", "bytes32"], [1, True, 3000, b"\x44" * 32]),
        abi_encode(["uint8", "bool", "uint8"], [1, True, 1]),
    ]
    answers: dict[str, bytes | None] = {}
    first = index_reads(REGISTRY, EXECUTOR)
    answers.update({read.label: answer for read, answer in zip(first, index, strict=True)})
    second = entry_reads(REGISTRY, EXECUTOR, answers)
    answers.update({read.label: answer for read, answer in zip(second, entries, strict=True)})
    return answers


def test_a_policy_is_found_as_it_was_written() -> None:
    found = found_policy(REGISTRY, EXECUTOR, answers_of())
    assert found.policy == WHOLE
    assert found.sealed
    assert not found_policy(REGISTRY, EXECUTOR, answers_of(sealed=False)).sealed
    assert found.policy.listings[0].rules == (Rule(in_set(5).kind, 5),)


def test_absent_and_misshapen_answers_are_named() -> None:
    answers = answers_of()
    for read in (*index_reads(REGISTRY, EXECUTOR), *entry_reads(REGISTRY, EXECUTOR, answers)):
        for wrong in (None, b"\x01"):
            with pytest.raises(ProtocolError, match="cannot be read"):
                found_policy(REGISTRY, EXECUTOR, answers | {read.label: wrong})
