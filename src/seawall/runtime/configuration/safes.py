"""`[[safes]]` of the configuration: which Safes there are, what they may do, and which lane sends for them.

A Safe has limits of its own: what it may call, and the most of a token that one transaction may take out of
it. What is not listed is refused, as everywhere. Its modules, guard and fallback handler are named where they
are not what a fresh Safe has, because each of them can move its money or change its rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.primitives.errors import ConfigError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.safe.known import FALLBACK_HANDLER
from seawall.risk.limits import SafePolicy
from seawall.runtime.configuration.names import address_of, decimals_of, listed, token_of
from seawall.runtime.configuration.policies import TARGET_KEYS, read_target
from seawall.runtime.configuration.settings import SafeSettings
from seawall.runtime.configuration.tables import Table

__all__ = ["SAFE_KEYS", "read_safe"]

SAFE_KEYS: Final = (
    "name",
    "chain_id",
    "address",
    "signer",
    "threshold_min",
    "modules",
    "guard",
    "fallback_handler",
    "rule_changes",
    "any_target",
    "targets",
    "recipients",
    "positions",
)
_POSITION_KEYS: Final = ("token", "cap", "decimals")
_CHAIN_ID_MAX: Final = 2**63 - 1
_OWNERS_MAX: Final = 256


def read_safe(table: Table, books: Mapping[int, AddressBook], signers: frozenset[str]) -> SafeSettings:
    """One Safe; `ConfigError` names the key that is wrong."""
    chain_id = table.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX)
    if chain_id not in books:
        raise ConfigError(
            f"chain {chain_id} is not configured",
            table.key("chain_id"),
            f"add it under [[chains]]; there: {listed(books)}",
        )
    book, signer = books[chain_id], table.text("signer")
    if signer not in signers:
        raise ConfigError(
            f"there is no signer {signer[:60]!r}",
            table.key("signer"),
            f"add it under [[signers]]; there: {listed(signers)}",
        )
    policy = SafePolicy(
        name=table.name("name"),
        chain_id=chain_id,
        safe=address_of(table.text("address"), table.key("address"), book),
        threshold_min=table.integer("threshold_min", 1, minimum=1, maximum=_OWNERS_MAX),
        modules=_addresses(table, "modules", book),
        guard=_address(table, "guard", book, ZERO_ADDRESS),
        fallback_handler=_address(table, "fallback_handler", book, FALLBACK_HANDLER),
        rule_changes=table.flag("rule_changes", default=False),
        any_target=table.flag("any_target", default=False),
        targets=tuple(read_target(one, book) for one in table.tables("targets", TARGET_KEYS)),
        recipients=_addresses(table, "recipients", book),
        position_caps=_positions(table, book),
    )
    _require_something_to_do(table, policy)
    return SafeSettings(policy, signer)


def _require_something_to_do(table: Table, policy: SafePolicy) -> None:
    if policy.any_target and (policy.targets or policy.recipients):
        raise ConfigError(
            "any_target opens what targets and recipients restrict",
            table.key("any_target"),
            "keep one of them",
        )
    if not (policy.any_target or policy.targets or policy.recipients or policy.rule_changes):
        raise ConfigError(
            f"{policy.name!r} may call nothing",
            table.key("targets"),
            "add [[safes.targets]], or recipients, or any_target = true if you mean that",
        )


def _positions(table: Table, book: AddressBook) -> Mapping[Address, int]:
    found: dict[Address, int] = {}
    for one in table.tables("positions", _POSITION_KEYS):
        token = token_of(one.text("token"), one.key("token"), book)
        if token in found:
            raise ConfigError("this token has a cap already", one.key("token"), "give one cap a token")
        found[token] = one.amount("cap", decimals_of(one, token, book))
    return found


def _addresses(table: Table, name: str, book: AddressBook) -> frozenset[Address]:
    return frozenset(address_of(text, where, book) for text, where in table.texts(name))


def _address(table: Table, name: str, book: AddressBook, default: Address) -> Address:
    return address_of(table.text(name), table.key(name), book) if name in table else default
