"""A strategy file after it was checked: everything compiled, nothing evaluated.

A `Script` is immutable. What it needs of each block is in `needs`; `plan_at` in `running` makes a plan of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from seawall.primitives.levels import Priority
from seawall.primitives.units import Address
from seawall.protocols.executor.checks import Check
from seawall.strategies.composing import Outcome, Steps
from seawall.strategies.scripts.keeping import Keeper
from seawall.strategies.scripts.problems import Place
from seawall.strategies.scripts.terms import Frame, Scope, Term
from seawall.strategies.scripts.triggers import Trigger

__all__ = [
    "Account",
    "AccountForm",
    "CheckTerm",
    "Expectation",
    "GuardTerm",
    "Script",
    "StepTerm",
    "TakeStep",
]

TakeStep = Callable[[Frame, Steps, dict[str, Outcome]], None]
"""Takes the step; what it brings is entered under its name."""


class AccountForm(StrEnum):
    """Where the steps run."""

    EXECUTOR = "executor"  # holds nothing; flash-funded; pays its beneficiary
    ACCOUNT = "account"  # a contract of ours that holds positions
    KEY = "key"  # the signer itself: one call


@dataclass(frozen=True, slots=True)
class Account:
    form: AccountForm
    address: Address
    key: Address
    beneficiary: Address


@dataclass(frozen=True, slots=True)
class StepTerm:
    place: Place
    take: TakeStep


@dataclass(frozen=True, slots=True)
class Expectation:
    """A change of a holder's balance, enforced on chain where it is our contract's."""

    place: Place
    holder: Address
    token: Address
    change: Term
    tolerance_bps: Term


@dataclass(frozen=True, slots=True)
class GuardTerm:
    """A guard that the plan asks for; arguments are terms or addresses."""

    place: Place
    name: str
    arguments: tuple[tuple[str, Term | Address], ...]


@dataclass(frozen=True, slots=True)
class CheckTerm:
    """What the executor checks on chain at the end."""

    place: Place
    make: Callable[[Frame], Check]


@dataclass(frozen=True, slots=True)
class Script:
    name: str
    about: str
    file: str
    chain_id: int
    account: Account
    accounting_token: Address
    min_profit: Term | None
    tolerance_bps: int
    ttl_s: int
    priority: Priority
    cooldown_blocks: int
    gas_limit: int | None
    note: str
    scope: Scope
    debts: frozenset[Address]
    triggers: tuple[Trigger, ...] = ()
    conditions: tuple[tuple[Place, Term], ...] = ()
    steps: tuple[StepTerm, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    guards: tuple[GuardTerm, ...] = ()
    checks: tuple[CheckTerm, ...] = ()
    keeper: Keeper | None = None
    variables: dict[str, str] = field(default_factory=dict)  # what each is, for people
