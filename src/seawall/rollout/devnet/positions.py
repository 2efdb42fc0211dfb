"""An account for positions on a running devnet, as an operator gets one on a real chain.

    policy and limits written -> sealed -> template approved -> key allotted -> account made

Each account has a policy of its own here, named after its operator, since every example wants another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seawall.native import keccak256
from seawall.primitives.errors import RolloutError
from seawall.primitives.units import Address, address_text
from seawall.protocols.executor.accounts import (
    Surroundings,
    account_address,
    account_template,
    allot_call,
    approve_call,
    make_call,
)
from seawall.protocols.executor.policy import Policy, registry_calls, seal_call
from seawall.protocols.executor.risk_book import RiskPolicy, risk_book_calls
from seawall.rollout.devnet.accounts import GUARDIAN, OWNER, PAUSER
from seawall.rollout.devnet.lifecycle import Devnet

__all__ = ["account_of", "open_account", "policy_name"]


def policy_name(operator: Address) -> Address:
    """The address by which the policy of an operator's account goes."""
    return Address(keccak256(b"devnet policy of " + operator)[12:])


def account_of(devnet: Devnet, operator: Address, beneficiary: Address) -> Address:
    """Where the account of `operator` is, or will be."""
    book = devnet.book
    around = Surroundings(
        book.address("policy_registry"),
        book.address("risk_book"),
        book.address("plan_checks"),
        book.address("weth"),
    )
    template = account_template(policy_name(operator), OWNER, beneficiary, GUARDIAN, PAUSER)
    return account_address(book.address("account_factory"), around, template, operator)


def open_account(
    devnet: Devnet, operator: Address, beneficiary: Address, policy: Policy, risk: RiskPolicy
) -> Address:
    """The account of `operator`, made and under its sealed policy. Names inside `policy` and `risk` are not
    used: both are written under the operator's own."""
    registry, risk_book = devnet.book.address("policy_registry"), devnet.book.address("risk_book")
    factory, name = devnet.book.address("account_factory"), policy_name(operator)
    template = account_template(name, OWNER, beneficiary, GUARDIAN, PAUSER)
    _send(devnet, registry, (*registry_calls(replace(policy, executor=name)), seal_call(name)))
    _send(devnet, risk_book, (*risk_book_calls(replace(risk, policy=name)), seal_call(name)))
    _send(devnet, factory, (approve_call(template), allot_call(template, operator), make_call(operator)))
    account = account_of(devnet, operator, beneficiary)
    if not devnet.rpc.codes([account])[0]:
        raise RolloutError(
            f"the account of {address_text(operator)} is not at {address_text(account)}",
            "devnet",
            "rebuild the devnet: its factory is of another release",
        )
    return account


def _send(devnet: Devnet, target: Address, calls: Sequence[bytes]) -> None:
    devnet.rpc.settle([devnet.rpc.send(OWNER, target, call) for call in calls], mine=True)
