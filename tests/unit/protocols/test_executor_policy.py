"""Executor policies as calls to the registry, read back by an independent ABI decoder."""

from __future__ import annotations

import pytest
from eth_abi.abi import decode

from seawall.native import keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import NATIVE, ZERO_ADDRESS, Address
from seawall.protocols.executor.artifacts import REGISTRY, load_artifact
from seawall.protocols.executor.policy import (
    TRACKED_TOKENS_MAX,
    FactoryKind,
    FactoryPolicy,
    LenderPolicy,
    Listing,
    MemberSet,
    Policy,
    Role,
    Rule,
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
    proposal_call,
    registry_calls,
    role_call,
    seal_call,
    up_to,
)

EXECUTOR = Address(b"\x11" * 20)
TARGET = Address(b"\x22" * 20)
TOKEN = Address(b"\x33" * 20)
LIST = "list(address,address,string,(uint8,bool,uint128,address,(uint8,uint256)[]))"
LIST_TYPES = ["address", "address", "string", "(uint8,bool,uint128,address,(uint8,uint256)[])"]


def text(address: bytes) -> str:
    return "0x" + address.hex()


def selector(signature: str) -> bytes:
    return keccak256(signature.encode())[:4]


def test_listing_carries_its_rules_in_order() -> None:
    listing = Listing(
        TARGET,
        "supply(address,uint256,address,uint256,uint256)",
        (equal_to(TOKEN), at_most(9), ourselves(), in_set(4), anything()),
        reduce=True,
        max_native_wei=7,
        spender=TOKEN,
    )
    (call,) = registry_calls(Policy(EXECUTOR, listings=(listing,)))
    assert call[:4] == selector(LIST)
    executor, target, signature, entry = decode(LIST_TYPES, call[4:])
    assert (executor, target, signature) == (text(EXECUTOR), text(TARGET), listing.signature)
    rules = ((1, int.from_bytes(TOKEN, "big")), (4, 9), (2, 0), (3, 4), (5, 0))
    assert entry == (1, True, 7, text(TOKEN), rules)


def test_listing_with_dynamic_arguments_is_of_the_second_version() -> None:
    path = parsed_by(TOKEN, 66, in_set(1), in_set(2), in_set(1))
    listing = Listing(
        TARGET,
        "f((bytes,address),(uint256,bool)[],string)",
        (*path, ourselves(), up_to(3), at_most(9), anything(), content(b"note")),
    )
    (call,) = registry_calls(Policy(EXECUTOR, listings=(listing,)))
    version, _, _, _, rules = decode(LIST_TYPES, call[4:])[3]
    assert version == 2
    parser = 66 << 160 | int.from_bytes(TOKEN, "big")
    note = int.from_bytes(keccak256(b"note"), "big")
    assert rules == ((7, parser), (3, 1), (3, 2), (3, 1), (2, 0), (6, 3), (4, 9), (5, 0), (1, note))


def test_proposals_carry_calls_word_for_word() -> None:
    calls = registry_calls(Policy(EXECUTOR, listings=(Listing(TARGET, "deposit()"),)))
    proposal = proposal_call(calls)
    assert proposal[:4] == selector("propose(bytes[])")
    assert decode(["bytes[]"], proposal[4:]) == (calls,)
    assert decode(["address"], seal_call(EXECUTOR)[4:]) == (text(EXECUTOR),)


def test_sets_come_first_and_listings_last() -> None:
    policy = Policy(
        EXECUTOR,
        listings=(Listing(TARGET, "deposit()"),),
        tokens=(TokenPolicy(TOKEN, TokenClass.DEBT),),
        lenders=(LenderPolicy(TARGET),),
        factories=(FactoryPolicy(TARGET, FactoryKind.UNISWAP_V2, b"\x44" * 32, 3000, reduce=True),),
        sets=(MemberSet(5, (6, 7)),),
    )
    members, token, lender, factory, listing = registry_calls(policy)
    assert members[:4] == selector("setMembers(address,uint256,uint256[],bool)")
    assert decode(["address", "uint256", "uint256[]", "bool"], members[4:]) == (
        text(EXECUTOR),
        5,
        (6, 7),
        True,
    )
    assert decode(["address", "address", "uint8", "bool"], token[4:]) == (
        text(EXECUTOR),
        text(TOKEN),
        3,
        False,
    )
    assert decode(["address", "address", "uint8"], lender[4:]) == (text(EXECUTOR), text(TARGET), 1)
    kinds = ["address", "address", "uint8", "bytes32", "uint24", "bool"]
    assert decode(kinds, factory[4:]) == (text(EXECUTOR), text(TARGET), 1, b"\x44" * 32, 3000, True)
    assert decode(LIST_TYPES, listing[4:])[3] == (1, False, 0, text(ZERO_ADDRESS), ())


def test_every_call_is_a_function_of_the_registry() -> None:
    policy = Policy(
        EXECUTOR,
        listings=(Listing(TARGET, "deposit()"),),
        tokens=(TokenPolicy(TOKEN),),
        lenders=(LenderPolicy(TARGET),),
        factories=(FactoryPolicy(TARGET, FactoryKind.UNISWAP_V3, bytes(32)),),
        sets=(MemberSet(1, ()),),
    )
    names = {item["name"] for item in load_artifact(REGISTRY).abi if item["type"] == "function"}
    assert {"list", "setToken", "setLender", "setFactory", "setMembers"} <= names
    assert len({call[:4] for call in registry_calls(policy)}) == 5


@pytest.mark.parametrize(
    ("policy", "complaint"),
    [
        (Policy(EXECUTOR, listings=(Listing(TARGET, "multicall(bytes[])", (anything(),)),)), "vary in size"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(string)", (anything(),)),)), "need `content"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(uint8[])", (anything(),) * 2),)), "up_to"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(uint8[])", (up_to(257), anything())),)), "up_to"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(bool)", (up_to(3),)),)), "LENGTH is no rule"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(bytes)", parsed_by(TOKEN, 0)),)), "1..4096"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(uint256)"),)), "needs 1 rules and has 0"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f()", max_native_wei=2**128),)), "2\\^128"),
        (Policy(EXECUTOR, listings=(Listing(TARGET, "f(uint256)", (Rule(RuleKind.LE, -1),)),)), "operand"),
        (Policy(EXECUTOR, tokens=(TokenPolicy(NATIVE),)), "always tracked"),
        (Policy(EXECUTOR, tokens=(TokenPolicy(TOKEN, TokenClass.DEBT, allowance=True),)), "debt token"),
        (Policy(EXECUTOR, tokens=(TokenPolicy(TOKEN),) * (TRACKED_TOKENS_MAX + 1)), "tracked tokens"),
        (Policy(EXECUTOR, factories=(FactoryPolicy(TARGET, FactoryKind.UNISWAP_V3, b"1"),)), "1 bytes"),
        (
            Policy(EXECUTOR, factories=(FactoryPolicy(TARGET, FactoryKind.UNISWAP_V3, bytes(32), 1),)),
            "fee of 1",
        ),
    ],
)
def test_policies_that_the_registry_would_refuse_are_refused_first(policy: Policy, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        registry_calls(policy)


def test_role_calls_name_exactly_one_role() -> None:
    assert decode(["address", "uint8", "bool"], role_call(TARGET, Role.GUARDIAN)[4:]) == (
        text(TARGET),
        4,
        True,
    )
    with pytest.raises(InputError, match="not one role"):
        role_call(TARGET, Role.OPERATOR | Role.PAUSER)
