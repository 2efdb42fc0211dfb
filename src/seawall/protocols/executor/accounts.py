"""Accounts that hold capital and positions: where they will be, and the calls that make them.

    Template -> approve, allot a key (both the owner) -> make (anyone) -> an account at `account_address`

Everything about an account follows from its template and its operator key, its address too: it can be funded,
listed and watched before it exists. A key has one account, ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.native import abi_encode, encode_call, keccak256
from seawall.primitives.errors import InputError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.executor.artifacts import ACCOUNT, load_artifact

__all__ = [
    "Surroundings",
    "Template",
    "account_address",
    "account_template",
    "allot_call",
    "approve_call",
    "binder_call",
    "make_call",
    "revoke_call",
    "template_id",
    "withdraw_call",
]

_TEMPLATE: Final = "(bytes32,address,address,address,address,address)"
_SURROUNDINGS: Final = "(address,address,address,address)"
_PEOPLE: Final = "(address,address,address,address,address)"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every account of a factory stands on."""

    registry: Address
    risk_book: Address
    plan_checks: Address
    weth: Address


@dataclass(frozen=True, slots=True)
class Template:
    """What the factory's owner approves; `policy` is sealed in registry and risk book."""

    code_hash: bytes  # of the account's creation code, without arguments
    policy: Address
    owner: Address  # of the account
    beneficiary: Address
    guardian: Address = ZERO_ADDRESS
    pauser: Address = ZERO_ADDRESS


def account_template(
    policy: Address,
    owner: Address,
    beneficiary: Address,
    guardian: Address = ZERO_ADDRESS,
    pauser: Address = ZERO_ADDRESS,
) -> Template:
    """A template of the code that this release ships."""
    for name, address in (("policy", policy), ("owner", owner), ("beneficiary", beneficiary)):
        if address == ZERO_ADDRESS:
            raise InputError(f"the {name} is the zero address", "account template", "name one of yours")
    code_hash = keccak256(load_artifact(ACCOUNT).creation_code)
    return Template(code_hash, policy, owner, beneficiary, guardian, pauser)


def template_id(template: Template) -> bytes:
    """The hash of its content: what was approved cannot change under its name."""
    return keccak256(abi_encode([_TEMPLATE], [_template_words(template)]))


def account_address(
    factory: Address, surroundings: Surroundings, template: Template, operator: Address
) -> Address:
    """Where the account of `operator` is, or will be. `InputError` for a template of other code than ours."""
    creation = load_artifact(ACCOUNT).creation_code
    if keccak256(creation) != template.code_hash:
        raise InputError(
            "the template is of other code than this release ships",
            "account template",
            "use the release that it was approved with, or approve a new template",
        )
    around = (surroundings.registry, surroundings.risk_book, surroundings.plan_checks, surroundings.weth)
    people = (template.owner, template.beneficiary, operator, template.guardian, template.pauser)
    arguments = abi_encode([_SURROUNDINGS, _PEOPLE], [around, people])
    salt = bytes(12) + operator
    return Address(keccak256(b"\xff" + factory + salt + keccak256(creation + arguments))[12:])


def approve_call(template: Template) -> bytes:
    """Calldata for the factory's owner."""
    return encode_call(f"approveTemplate({_TEMPLATE})", (_template_words(template),))


def revoke_call(template: Template) -> bytes:
    """Calldata for the factory's owner: no more accounts of it."""
    return encode_call("revokeTemplate(bytes32)", (template_id(template),))


def allot_call(template: Template, operator: Address) -> bytes:
    """Calldata for the factory's owner: `operator` may get an account of this template."""
    return encode_call("allotOperator(address,bytes32)", (operator, template_id(template)))


def withdraw_call(operator: Address) -> bytes:
    """Calldata for the factory's owner: a key whose account does not exist yet gets none."""
    return encode_call("withdrawOperator(address)", (operator,))


def make_call(operator: Address) -> bytes:
    """Calldata for anyone, to the factory."""
    return encode_call("makeAccount(address,bytes)", (operator, load_artifact(ACCOUNT).creation_code))


def binder_call(factory: Address) -> bytes:
    """Calldata for the owner of registry and risk book, to each: the factory may bind fresh accounts."""
    return encode_call("setBinder(address,bool)", (factory, True))


def _template_words(template: Template) -> tuple[bytes, ...]:
    return (
        template.code_hash,
        template.policy,
        template.owner,
        template.beneficiary,
        template.guardian,
        template.pauser,
    )
