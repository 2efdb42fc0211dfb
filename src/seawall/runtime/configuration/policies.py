"""Policies of signers and budgets: how they are read, what is refused, and what the gate is given (SPEC
TX-10).

A signer that signs live must have limits on every chain where it does: the most fee and value of one
transaction, what it may call, and what it may spend an hour and a day. What could overspend is refused before
anything starts: a limit that is missing, nought (which is not "unlimited"), or larger for an hour than for
the day around it.

Knows no key: the kernel gives the addresses behind the signers' names when it asks for a chain's policies and
book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from seawall.chain.addresses import AddressBook
from seawall.native import selector
from seawall.primitives.bounds import GAS_LIMIT_TRANSACTION_MAX
from seawall.primitives.errors import ConfigError, NativeError
from seawall.primitives.identifiers import Lane
from seawall.primitives.units import NATIVE, Address
from seawall.risk.limits import SignerPolicy, TargetRule
from seawall.risk.spending import Budget, SpendBook, SpendCap
from seawall.runtime.configuration.names import NATIVE_DECIMALS, address_of, decimals_of, listed, token_of
from seawall.runtime.configuration.settings import (
    BudgetSettings,
    Configuration,
    Mode,
    PolicySettings,
    SafeSettings,
    SignerSettings,
    StrategySettings,
    SubmitterSettings,
)
from seawall.runtime.configuration.tables import Table

__all__ = [
    "BUDGET_KEYS",
    "TARGET_KEYS",
    "book_of",
    "policies_of",
    "read_budget",
    "read_policies",
    "read_target",
    "require_limits",
]

BUDGET_KEYS: Final = ("name", "chain_id", "signers", "spend")
_POLICY_KEYS: Final = (
    "chain_id",
    "fee_max",
    "value_max",
    "gas_limit_max",
    "balance_min",
    "any_target",
    "targets",
    "recipients",
    "spend",
)
TARGET_KEYS: Final = ("target", "calls")
_SPEND_KEYS: Final = ("token", "per_hour", "per_day", "decimals")
_ANY_CALL: Final = "any"
_SELECTOR_DIGITS: Final = 8
_CHAIN_ID_MAX: Final = 2**63 - 1


def read_policies(signer: Table, name: str, books: Mapping[int, AddressBook]) -> Mapping[int, PolicySettings]:
    found: dict[int, PolicySettings] = {}
    for table in signer.tables("policies", _POLICY_KEYS):
        chain_id = _chain(table, books)
        if chain_id in found:
            raise ConfigError(
                f"{name!r} has a policy on chain {chain_id} already",
                table.key("chain_id"),
                "give one a chain",
            )
        found[chain_id] = _policy(table, name, books[chain_id])
    return found


def read_budget(table: Table, books: Mapping[int, AddressBook], signers: frozenset[str]) -> BudgetSettings:
    chain_id = _chain(table, books)
    named = table.texts("signers", at_least=1)
    for signer, where in named:
        if signer not in signers:
            raise ConfigError(
                f"there is no signer {signer[:60]!r}",
                where,
                f"add it under [[signers]]; there: {listed(signers)}",
            )
    names = tuple(dict.fromkeys(signer for signer, _ in named))
    return BudgetSettings(table.name("name"), chain_id, names, _caps(table, books[chain_id]))


def require_limits(
    file: str,
    signers: Sequence[SignerSettings],
    strategies: Sequence[StrategySettings],
    submitters: Sequence[SubmitterSettings],
    safes: Sequence[SafeSettings] = (),
) -> None:
    """Every signer that signs live has a policy on every chain where it does."""
    live = [(s.signer, s.chain_id, f"strategy {s.name!r}") for s in strategies if s.mode is Mode.LIVE]
    live += [(name, one.chain_id, f"submitter {one.name!r}") for one in submitters for name in one.signers]
    live += [(one.signer, one.policy.chain_id, f"Safe {one.policy.name!r}") for one in safes]
    places = {signer.name: place for place, signer in enumerate(signers)}
    for name, chain_id, why in live:
        place = places[name]
        if chain_id not in signers[place].policies:
            raise ConfigError(
                f"nothing limits what {name!r} may spend on chain {chain_id}, where it signs live for {why}",
                f"signers[{place}].policies",
                f"in {file}, under that signer, add [[signers.policies]] with chain_id = {chain_id}, "
                "fee_max, value_max, targets and spend",
            )


def policies_of(
    configuration: Configuration, chain_id: int, keys: Mapping[str, Address]
) -> Mapping[Address, SignerPolicy]:
    """By key, for the gate of one chain. `keys` are the addresses behind the signers' names."""
    found: dict[Address, SignerPolicy] = {}
    for place, signer in enumerate(configuration.signers):
        settings = signer.policies.get(chain_id)
        if settings is None:
            continue
        if keys[signer.name] in found:
            raise ConfigError(
                f"{signer.name!r} is the same key as another signer with a policy on chain {chain_id}",
                f"signers[{place}].keystore",
                "give a key one signer, so that its limits hold once",
            )
        found[keys[signer.name]] = settings.policy
    return found


def book_of(configuration: Configuration, chain_id: int, keys: Mapping[str, Address]) -> SpendBook:
    """What counts the spends of one chain: one budget a signer, and those shared."""
    own = [
        Budget(f"signer {signer.name}", frozenset({Lane(chain_id, keys[signer.name])}), settings.caps)
        for signer in configuration.signers
        if (settings := signer.policies.get(chain_id)) is not None
    ]
    shared = [
        Budget(one.name, frozenset(Lane(chain_id, keys[name]) for name in one.signers), one.caps)
        for one in configuration.budgets
        if one.chain_id == chain_id
    ]
    return SpendBook((*own, *shared))


def _policy(table: Table, name: str, book: AddressBook) -> PolicySettings:
    targets = tuple(read_target(target, book) for target in table.tables("targets", TARGET_KEYS))
    recipients = frozenset(address_of(text, where, book) for text, where in table.texts("recipients"))
    any_target = table.flag("any_target", default=False)
    if any_target and (targets or recipients):
        raise ConfigError(
            "any_target opens what targets and recipients restrict",
            table.key("any_target"),
            "keep one of them",
        )
    if not (any_target or targets or recipients):
        raise ConfigError(
            f"{name!r} may call nothing",
            table.key("targets"),
            "add [[signers.policies.targets]], or recipients, or any_target = true if you mean that",
        )
    seen: set[Address] = set()
    for place, rule in enumerate(targets):
        if rule.target in seen:
            raise ConfigError(
                "this target is there already",
                f"{table.key('targets')}[{place}].target",
                "list all its calls once",
            )
        seen.add(rule.target)
    caps = _caps(table, book)
    if all(cap.token != NATIVE for cap in caps):
        raise ConfigError(
            f"{name!r} has no spend limit for the native token, in which it pays fees",
            table.key("spend"),
            'add [[signers.policies.spend]] with token = "native", per_hour and per_day',
        )
    policy = SignerPolicy(
        signer=name,
        fee_max_wei=_positive(table, "fee_max", NATIVE_DECIMALS),
        value_max_wei=table.amount("value_max", NATIVE_DECIMALS),
        gas_limit_max=table.integer(
            "gas_limit_max", GAS_LIMIT_TRANSACTION_MAX, minimum=21_000, maximum=GAS_LIMIT_TRANSACTION_MAX
        ),
        balance_min_wei=table.amount("balance_min", NATIVE_DECIMALS, "0"),
        any_target=any_target,
        targets=targets,
        recipients=recipients,
    )
    return PolicySettings(policy, caps)


def read_target(table: Table, book: AddressBook) -> TargetRule:
    """One contract that may be called, and with what."""
    target = address_of(table.text("target"), table.key("target"), book)
    calls = table.texts("calls", at_least=1)
    if any(text == _ANY_CALL for text, _ in calls):
        if len(calls) > 1:
            raise ConfigError(
                "any call, and beside it one by name", table.key("calls"), 'keep ["any"], or the names alone'
            )
        return TargetRule(target, None)
    return TargetRule(target, frozenset(_selector(text, where) for text, where in calls))


def _selector(text: str, where: str) -> bytes:
    if text.startswith("0x"):
        try:
            raw = bytes.fromhex(text[2:])
        except ValueError:
            raw = b""
        if len(text) == 2 + _SELECTOR_DIGITS and raw:
            return raw
    else:
        try:
            return selector(text)
        except NativeError:
            pass
    raise ConfigError(
        f"{text[:60]!r} is no function",
        where,
        'write "transfer(address,uint256)", "0xa9059cbb", or "any" alone',
    )


def _caps(table: Table, book: AddressBook) -> tuple[SpendCap, ...]:
    found: dict[Address, SpendCap] = {}
    for spend in table.tables("spend", _SPEND_KEYS):
        token = token_of(spend.text("token"), spend.key("token"), book)
        if token in found:
            raise ConfigError("this token has a limit already", spend.key("token"), "give one limit a token")
        decimals = decimals_of(spend, token, book)
        per_hour, per_day = _positive(spend, "per_hour", decimals), _positive(spend, "per_day", decimals)
        if per_hour > per_day:
            raise ConfigError(
                "the limit of an hour is above that of a day",
                spend.key("per_hour"),
                "lower it, or raise per_day: a day holds its hours",
            )
        found[token] = SpendCap(token, per_hour, per_day)
    if not found:
        raise ConfigError(
            "nothing limits what may be spent",
            table.key("spend"),
            "add token, per_hour and per_day for each token",
        )
    return tuple(found.values())


def _positive(table: Table, name: str, decimals: int) -> int:
    amount = table.amount(name, decimals)
    if amount == 0:
        raise ConfigError(
            "a limit of 0 admits nothing, and does not mean unlimited",
            table.key(name),
            "give the most that you would lose; there is no way to say unlimited",
        )
    return amount


def _chain(table: Table, books: Mapping[int, AddressBook]) -> int:
    chain_id = table.integer("chain_id", minimum=1, maximum=_CHAIN_ID_MAX)
    if chain_id not in books:
        raise ConfigError(
            f"chain {chain_id} is not configured",
            table.key("chain_id"),
            f"add it under [[chains]]; there: {listed(books)}",
        )
    return chain_id
