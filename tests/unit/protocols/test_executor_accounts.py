"""Templates and calls of accounts, read back by an independent ABI decoder; addresses by CREATE2."""

from __future__ import annotations

from dataclasses import replace

import pytest
from eth_abi.abi import decode, encode

from seawall.native import keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.executor.accounts import (
    Surroundings,
    account_address,
    account_template,
    allot_call,
    approve_call,
    binder_call,
    make_call,
    revoke_call,
    template_id,
    withdraw_call,
)
from seawall.protocols.executor.artifacts import (
    ACCOUNT,
    ACCOUNT_FACTORY,
    POSITION_VIEW,
    V3_PATH,
    account_factory_creation,
    load_artifact,
    position_token_creation,
    v3_path_creation,
)
from seawall.protocols.executor.risk_book import PositionKind

POLICY, OWNER, KEY = (Address(bytes([n]) * 20) for n in (1, 2, 3))
BENEFICIARY, GUARDIAN, PAUSER = (Address(bytes([n]) * 20) for n in (4, 5, 6))
FACTORY = Address(b"\x07" * 20)
AROUND = Surroundings(*(Address(bytes([n]) * 20) for n in (8, 9, 10, 11)))
TEMPLATE = account_template(POLICY, OWNER, BENEFICIARY, GUARDIAN, PAUSER)
TYPES = "(bytes32,address,address,address,address,address)"
PLAIN = "(address,address,address,address)"
PEOPLE = "(address,address,address,address,address)"


def test_a_template_names_the_code_that_is_shipped() -> None:
    code = load_artifact(ACCOUNT).creation_code
    words = (keccak256(code), POLICY, OWNER, BENEFICIARY, GUARDIAN, PAUSER)
    assert template_id(TEMPLATE) == keccak256(encode([TYPES], [words]))
    (approved,) = decode([TYPES], approve_call(TEMPLATE)[4:])
    assert approved == (words[0], *("0x" + word.hex() for word in words[1:]))


def test_an_address_follows_from_template_and_key() -> None:
    people = (OWNER, BENEFICIARY, KEY, GUARDIAN, PAUSER)
    around = (AROUND.registry, AROUND.risk_book, AROUND.plan_checks, AROUND.weth)
    creation = load_artifact(ACCOUNT).creation_code + encode([PLAIN, PEOPLE], [around, people])
    expected = keccak256(b"\xff" + FACTORY + bytes(12) + KEY + keccak256(creation))[12:]
    assert account_address(FACTORY, AROUND, TEMPLATE, KEY) == expected
    assert account_address(FACTORY, AROUND, TEMPLATE, OWNER) != expected
    assert account_address(FACTORY, AROUND, replace(TEMPLATE, pauser=ZERO_ADDRESS), KEY) != expected


def test_calls_carry_key_and_template() -> None:
    identifier, key = template_id(TEMPLATE), "0x" + KEY.hex()
    assert decode(["address", "bytes32"], allot_call(TEMPLATE, KEY)[4:]) == (key, identifier)
    assert decode(["bytes32"], revoke_call(TEMPLATE)[4:]) == (identifier,)
    assert decode(["address"], withdraw_call(KEY)[4:]) == (key,)
    made = decode(["address", "bytes"], make_call(KEY)[4:])
    assert made == (key, load_artifact(ACCOUNT).creation_code)
    assert decode(["address", "bool"], binder_call(FACTORY)[4:]) == ("0x" + FACTORY.hex(), True)


def test_every_call_is_a_function_of_the_factory() -> None:
    names = {item["name"] for item in load_artifact(ACCOUNT_FACTORY).abi if item["type"] == "function"}
    wanted = {"approveTemplate", "revokeTemplate", "allotOperator", "withdrawOperator", "makeAccount"}
    assert wanted <= names


def test_creation_code_ends_with_its_arguments() -> None:
    around = (AROUND.registry, AROUND.risk_book, AROUND.plan_checks, AROUND.weth)
    creation = account_factory_creation(OWNER, *around)
    assert creation == load_artifact(ACCOUNT_FACTORY).creation_code + encode(
        ["address", PLAIN], [OWNER, around]
    )
    assert v3_path_creation() == load_artifact(V3_PATH).creation_code
    words = encode(["uint8", "address", "bytes32", "address"], [2, POLICY, b"\x0c" * 32, OWNER])
    position = position_token_creation(PositionKind.MORPHO_DEBT, POLICY, b"\x0c" * 32, OWNER)
    assert position == load_artifact(POSITION_VIEW).creation_code + words


def test_templates_without_owner_or_of_other_code_are_refused() -> None:
    with pytest.raises(InputError, match="owner is the zero address"):
        account_template(POLICY, ZERO_ADDRESS, BENEFICIARY)
    with pytest.raises(InputError, match="other code"):
        account_address(FACTORY, AROUND, replace(TEMPLATE, code_hash=bytes(32)), KEY)
