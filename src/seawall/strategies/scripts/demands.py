"""What a strategy file demands of its plan's result: expected changes, and guards.

An expected change of our own contract is also a bound on chain, within its tolerance. Guards are those of
`risk.guards`, by their names and arguments; a plan may ask for less than the operator allows, never for more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seawall.primitives.errors import PlanError
from seawall.primitives.plans import DirectBody, ExecutorBody, GuardSpec, Plan
from seawall.primitives.units import BPS, NATIVE, Address
from seawall.risk.guards.asking import GUARDS, Argument, GuardKind
from seawall.risk.guards.catalogue import guards_of
from seawall.risk.limits import RiskLimits
from seawall.strategies.scripts.checks import HEALTH_LEAST
from seawall.strategies.scripts.documents import Listed, Scalar, Table, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.kinds import BPS_KIND, NUMBER, Base, amount_of
from seawall.strategies.scripts.problems import nearest, shown
from seawall.strategies.scripts.script import Account, AccountForm, Expectation, GuardTerm
from seawall.strategies.scripts.terms import Scope, Term, constant

__all__ = ["expectations_of", "guards_of_file"]

EXPECTATIONS_MAX: Final = 16
GUARDS_MAX: Final = 32
_WRAPPED_NATIVE: Final = "weth"
_HEALTH: Final = "min_wad"
_KEYS: Final = ("holder", "token", "change", "tolerance")
# Kinds of terms that are in the unit of an argument already.
_FITTING: Final = {
    "bps": (Base.BPS,),
    "s": (Base.DURATION,),
    "wei": (Base.AMOUNT,),
    "wei per gas": (Base.AMOUNT,),
    "units": (Base.AMOUNT,),
}


def expectations_of(
    root: Section, notes: Notes, scope: Scope, account: Account, tolerance_bps: int
) -> tuple[Expectation, ...]:
    items = root.items("expect")
    if len(items) > EXPECTATIONS_MAX:
        notes.add(root.place_of("expect"), f"more than {EXPECTATIONS_MAX} expectations", "use fewer")
    found = [_expectation(item, notes, scope, tolerance_bps) for item in items]
    if account.form is AccountForm.ACCOUNT and not items:
        notes.add(
            root.place_of("expect"),
            "a position plan must say what may leave the account and what it shall hold",
            "list the changes under `expect`",
        )
    return tuple(one for one in found if one is not None)


def _expectation(tree: Tree, notes: Notes, scope: Scope, tolerance_bps: int) -> Expectation | None:
    section = Section.of(tree, _KEYS, notes)
    if section is None:
        return None
    token = section.text("token", "weth")
    unit = None if token is None else scope.units.get(token)
    if token is not None and unit is None:
        notes.add(section.place_of("token"), f"there is no token {shown(token)}", nearest(token, scope.units))
    holder = section.optional_text("holder", "account")
    if holder not in scope.holders:
        notes.add(
            section.place_of("holder"), f"{shown(holder)} is no address", nearest(holder, scope.holders)
        )
    change = None if unit is None else section.term("change", scope, amount_of(unit), f"1 {unit.name}")
    given = section.optional_term("tolerance", scope, BPS_KIND)
    tolerance = constant(BPS_KIND, tolerance_bps, 0) if given is None else given
    if tolerance.constant is None or not 0 <= tolerance.constant < BPS:
        notes.add(section.place_of("tolerance"), "a tolerance is a share under 10000 bps", "write 50 bps")
    if unit is None or change is None or holder not in scope.holders:
        return None
    address = scope.holders[holder]
    return Expectation(tree.place, address, unit.token, change, tolerance)


def guards_of_file(
    root: Section, notes: Notes, scope: Scope, account: Account, contracts: Mapping[str, Address]
) -> tuple[GuardTerm, ...]:
    found: list[GuardTerm] = []
    for name, entry in root.entries("guards").items():
        if name not in GUARDS:
            notes.add(entry.place, f"there is no guard {shown(name)}", nearest(name, GUARDS))
            continue
        items = entry.value.items if isinstance(entry.value, Listed) else (entry.value,)
        for item in items:
            guard = _guard(GUARDS[name], item, notes, scope, {**contracts, **scope.holders})
            if guard is not None and _is_accepted(guard, notes, account):
                found.append(guard)
    if len(found) > GUARDS_MAX:
        notes.add(root.place_of("guards"), f"more than {GUARDS_MAX} guards", "use fewer")
    return tuple(found)


def _guard(
    kind: GuardKind, tree: Tree, notes: Notes, scope: Scope, addresses: Mapping[str, Address]
) -> GuardTerm | None:
    if isinstance(tree, Scalar) and not tree.text:
        tree = Table({}, tree.place)
    known = {one.name: one for one in kind.arguments}
    section = Section.of(tree, tuple(known), notes)
    if section is None:
        return None
    arguments: list[tuple[str, Term | Address]] = []
    for name, argument in known.items():
        if argument.is_required:
            section.require(name, "..." if argument.kind is bytes else f"a value in {argument.unit}")
        value = section.get(name)
        if value is None:
            continue
        if argument.kind is bytes:
            made: Term | Address | None = _address(value, notes, addresses)
        else:
            made = _number(value, argument, notes, scope, _meant(argument, section, scope))
        if made is None:
            return None
        arguments.append((name, made))
    return GuardTerm(tree.place, kind.name, tuple(arguments))


def _address(tree: Tree, notes: Notes, addresses: Mapping[str, Address]) -> Address | None:
    text = notes.text(tree, "a name of the address book")
    if text is not None and text not in addresses:
        notes.add(tree.place, f"the address book has no {shown(text)}", nearest(text, addresses))
    return None if text is None else addresses.get(text)


def _meant(argument: Argument, section: Section, scope: Scope) -> frozenset[Address]:
    """Tokens of which an amount is in the argument's unit."""
    if argument.unit.startswith("wei"):
        wrapped = scope.units.get(_WRAPPED_NATIVE)
        return frozenset({NATIVE} if wrapped is None else {NATIVE, wrapped.token})
    tree = section.get("token")
    named = scope.units.get(tree.text) if isinstance(tree, Scalar) else None
    return frozenset() if named is None else frozenset({named.token})


def _number(
    tree: Tree, argument: Argument, notes: Notes, scope: Scope, tokens: frozenset[Address]
) -> Term | None:
    """In the argument's own unit; bare numbers are taken as they are."""
    term = notes.term(tree, scope)
    if term is None:
        return None
    fitting = _FITTING.get(argument.unit, ())
    if term.kind != NUMBER and term.kind.base not in fitting:
        notes.add(tree.place, f"this is {term.kind}, and {argument.unit} is asked for", "correct the unit")
        return None
    unit = term.kind.unit
    if unit is not None and unit.token not in tokens:
        notes.add(
            tree.place, f"this is {term.kind}, and {argument.name} is of another token", "correct the unit"
        )
        return None
    if argument.name == _HEALTH and term.constant is not None and term.constant < HEALTH_LEAST:
        notes.add(tree.place, "every position that stands passes that", "give 1 wad or more: 1.2 wad")
        return None
    if term.constant is not None and not argument.least <= term.constant <= argument.most:
        notes.add(tree.place, f"it is not within {argument.least} to {argument.most}", "correct the value")
        return None
    if argument.unit == "bps" and term.constant == 0:
        notes.add(tree.place, "zero: nothing would ever pass", "give at least 1 bps")
        return None
    return term


def _is_accepted(guard: GuardTerm, notes: Notes, account: Account) -> bool:
    """The gate's own words on a guard that it could not make of a plan like this one."""
    spec = GuardSpec(guard.name, tuple((name, _sample(value)) for name, value in guard.arguments))
    body: DirectBody | ExecutorBody = DirectBody(account.address, bytes(4))
    if account.form is not AccountForm.KEY:
        is_position = account.form is AccountForm.ACCOUNT
        body = ExecutorBody(account.address, account.key, b"", (), 0, position=is_position)
    plan = Plan("file", 1, account.key, body, account.key, "file", 1, guards=(spec,))
    try:
        guards_of(plan, RiskLimits())
    except PlanError as error:
        notes.add(guard.place, error.what, error.fix)
        return False
    return True


def _sample(value: Term | Address) -> int | bytes:
    if isinstance(value, Term):
        return 1 if value.constant is None else value.constant
    return value
