"""A strategy file to a `Script`: every key checked, all problems told at once.

Flow: document -> names (tokens, protocols, holders) -> variables -> reads -> values -> triggers, conditions,
steps, expectations, guards -> `Script`. Later parts see the names of earlier ones. `KEYS` lists the keys of
the file with their meaning; the documentation prints it.

Reads nothing but the text given: addresses come from the address book's JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from seawall.primitives.errors import InputError, NativeError
from seawall.primitives.levels import Priority
from seawall.primitives.units import BPS, Address, address_from_text
from seawall.protocols.surroundings import MULTICALL_NAME, Surroundings
from seawall.strategies.scripts.checks import checks_of
from seawall.strategies.scripts.compiling import compiled
from seawall.strategies.scripts.demands import expectations_of, guards_of_file
from seawall.strategies.scripts.documents import Listed, Tree, read_document
from seawall.strategies.scripts.fields import NAME, Notes, Section
from seawall.strategies.scripts.kinds import (
    BOOL,
    BPS_KIND,
    DURATION,
    NATIVE_UNIT,
    Kind,
    Unit,
    amount_of,
)
from seawall.strategies.scripts.naming import own_reads, prices, protocols, values, variables
from seawall.strategies.scripts.problems import Place, nearest, shown
from seawall.strategies.scripts.script import Account, AccountForm, Script
from seawall.strategies.scripts.steps import StepReader
from seawall.strategies.scripts.terms import Scope, Term
from seawall.strategies.scripts.waking import keeper_of, triggers_of
from seawall.strategies.scripts.world import Needs

__all__ = ["KEYS", "Standing", "load_script"]

TTL_S_MAX: Final = 7 * 86_400
COOLDOWN_BLOCKS_MAX: Final = 10_000
_NOTE_CHARS_MAX: Final = 200
_TOLERANCE_BPS: Final = 50
_TTL_S: Final = 60
_COOLDOWN_BLOCKS: Final = 2

KEYS: Final[Mapping[str, str]] = {
    "strategy": "its name",
    "about": "what it does, in a sentence",
    "chain": "the chain's number; it must be the one that it is configured for",
    "account": "where the steps run: `executor` (default), `key`, or an account of ours by name or address",
    "beneficiary": "whom the executor pays: `key` (default), a name of the address book, or an address",
    "accounting": "the token in which profit is counted",
    "min_profit": "what must be left after the largest fee; below it nothing is sent",
    "tolerance": "how far below its quote a trade may come out, unless it says otherwise; default 50 bps",
    "deadline": "how long a plan may wait; default 1 min",
    "priority": "critical, high, normal (default) or low",
    "cooldown": "blocks of silence after a plan that did not land; default 2",
    "gas_limit": "of a plan; measured by simulation if left out",
    "protocols": "short names for protocols",
    "prices": "feeds that price tokens in dollars",
    "variables": "what an operator may set; each has a kind and a default",
    "reads": "view calls of your own",
    "values": "named expressions, evaluated once a block when they are needed",
    "triggers": "when to look; any one is enough; left out: every block",
    "when": "conditions; all must hold",
    "steps": "what the plan does, in order, all or nothing",
    "expect": "changes of balances that are enforced, with their tolerance",
    "guards": "guards that judge it, tighter than the operator's limits",
    "checks": "what the executor checks on chain once the steps are done",
    "keeper": "budget, missed runs and competitors of a keeper job",
    "note": "why, in one line, for people",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """What the configuration says and a file does not."""

    chain_id: int
    key: Address
    executor: Address | None
    overrides: Mapping[str, str] = field(default_factory=dict)  # of variables, as expressions


def load_script(content: bytes, file: str, surroundings: Surroundings, standing: Standing) -> Script:
    """`ScriptError` with every problem of the file."""
    notes = Notes()
    table = read_document(content, file)
    root = Section(table, tuple(KEYS), notes)
    account = _account(root, notes, surroundings, standing)
    scope = _scope(root, notes, surroundings, account)
    known = variables(root, notes, scope, standing.overrides)
    own_reads(root, notes, scope, surroundings.contracts)
    values(root, notes, scope)
    triggers = triggers_of(root, notes, scope)
    keeper = keeper_of(root, notes, scope)
    conditions = _conditions(root, notes, scope)
    steps = StepReader(scope, notes, surroundings.contracts).steps(root.require("steps", "[...]"))
    if "steps" in root and not root.items("steps"):
        notes.add(root.place_of("steps"), "there is nothing to do", "write at least one step")
    accounting, min_profit = _profit(root, notes, scope, account)
    tolerance = _constant(root, notes, scope, "tolerance", BPS_KIND, _TOLERANCE_BPS, BPS - 1)
    script = Script(
        name=_name(root, notes),
        about=root.optional_text("about"),
        file=file,
        chain_id=_chain(root, notes, standing),
        account=account,
        accounting_token=accounting,
        min_profit=min_profit,
        tolerance_bps=tolerance,
        ttl_s=_constant(root, notes, scope, "deadline", DURATION, _TTL_S, TTL_S_MAX),
        priority=_priority(root, notes),
        cooldown_blocks=root.integer("cooldown", _COOLDOWN_BLOCKS, 0, COOLDOWN_BLOCKS_MAX),
        gas_limit=_gas_limit(root, notes, keeper is not None),
        note=_note(root, notes),
        scope=scope,
        debts=surroundings.debts,
        triggers=triggers,
        conditions=conditions,
        steps=steps,
        expectations=expectations_of(root, notes, scope, account, tolerance),
        guards=guards_of_file(root, notes, scope, account, surroundings.contracts),
        checks=checks_of(root, notes, scope, account),
        keeper=keeper,
        variables=known,
    )
    notes.raise_if_any()
    return script


def _account(root: Section, notes: Notes, surroundings: Surroundings, standing: Standing) -> Account:
    contracts = surroundings.contracts
    key = standing.key

    def named(text: str, where: str) -> Address:
        if text == "key":
            return key
        if text.startswith("0x"):
            return _address(text, root.place_of(where), notes) or key
        if text not in contracts:
            notes.add(
                root.place_of(where), f"the address book has no {shown(text)}", nearest(text, contracts)
            )
        return contracts.get(text, key)

    text = root.optional_text("account", "executor")
    beneficiary = named(root.optional_text("beneficiary", "key"), "beneficiary")
    if text == "key":
        return Account(AccountForm.KEY, key, key, key)
    if text != "executor":
        return Account(AccountForm.ACCOUNT, named(text, "account"), key, beneficiary)
    if standing.executor is None:
        notes.add(root.place_of("account"), "no executor is configured", "set `executor` of the chain")
    return Account(AccountForm.EXECUTOR, standing.executor or key, key, beneficiary)


def _address(text: str, place: Place, notes: Notes) -> Address | None:
    try:
        return address_from_text(text)
    except (InputError, NativeError) as error:
        notes.add(place, error.what, error.fix or "give 0x and 40 hex digits")
        return None


def _scope(root: Section, notes: Notes, surroundings: Surroundings, account: Account) -> Scope:
    units = {
        name: Unit(name, token.address, token.decimals)
        for name, token in surroundings.tokens.items()
        if NAME.fullmatch(name)
    }
    units[NATIVE_UNIT.name] = NATIVE_UNIT
    own = {"account": account.address, "key": account.key, "beneficiary": account.beneficiary}
    needs = Needs(account.address, surroundings.contracts.get(MULTICALL_NAME))
    scope = Scope(compiled, units, dict(surroundings.adapters), {**surroundings.contracts, **own}, {}, needs)
    scope.adapters = {**surroundings.adapters, **protocols(root, notes, scope)}
    scope.feeds = prices(root, notes, scope, surroundings.contracts)
    return scope


def _name(root: Section, notes: Notes) -> str:
    text = root.text("strategy", "my_strategy") or ""
    if text and not NAME.fullmatch(text):
        notes.add(root.place_of("strategy"), f"{shown(text)} is not a name", "use a-z, 0-9 and _")
    return text


def _chain(root: Section, notes: Notes, standing: Standing) -> int:
    tree = root.require("chain", str(standing.chain_id))
    chain_id = None if tree is None else notes.integer(tree, 1, 2**63 - 1)
    if chain_id is not None and chain_id != standing.chain_id:
        notes.add(
            root.place_of("chain"),
            f"the file is for chain {chain_id}, and it is configured for {standing.chain_id}",
            "correct one of them",
        )
    return standing.chain_id


def _priority(root: Section, notes: Notes) -> Priority:
    names = [one.name.lower() for one in Priority]
    text = root.optional_text("priority", Priority.NORMAL.name.lower())
    if text not in names:
        notes.add(root.place_of("priority"), f"{shown(text)} is no priority", nearest(text, names))
        return Priority.NORMAL
    return Priority[text.upper()]


def _profit(root: Section, notes: Notes, scope: Scope, account: Account) -> tuple[Address, Term | None]:
    text = root.text("accounting", "weth")
    unit = scope.units.get(text or "")
    if unit is None:
        if text is not None:
            notes.add(
                root.place_of("accounting"), f"there is no token {shown(text)}", nearest(text, scope.units)
            )
        return Address(bytes(20)), None
    if account.form is AccountForm.EXECUTOR:
        term = root.term("min_profit", scope, amount_of(unit), f"0.001 {unit.name}")
        if term is not None and term.constant is not None and not 0 < term.constant < 2**128:
            notes.add(root.place_of("min_profit"), "a profit of nothing", "ask for more than nothing")
        return unit.token, term
    if "min_profit" in root:
        notes.add(
            root.place_of("min_profit"),
            "only the executor's plans have a profit",
            "leave it out: what is expected and the guards judge this plan",
        )
    return unit.token, None


def _constant(
    root: Section, notes: Notes, scope: Scope, name: str, kind: Kind, default: int, most: int
) -> int:
    """A term that must be known without a block, from 1 to `most`."""
    term = root.optional_term(name, scope, kind)
    if term is None:
        return default
    if term.constant is None or not 0 < term.constant <= most:
        what = "zero: nothing would ever pass" if term.constant == 0 else "not a fixed value in range"
        notes.add(root.place_of(name), what, f"give 1 to {most}, in the unit of {kind}")
        return default
    return term.constant


def _gas_limit(root: Section, notes: Notes, is_kept: bool) -> int | None:
    if "gas_limit" not in root:
        return None
    if is_kept:
        notes.add(root.place_of("gas_limit"), "a keeper job has a gas limit of its own", "leave this one out")
    return root.integer("gas_limit", 21_000, 21_000, 2**24)


def _note(root: Section, notes: Notes) -> str:
    text = root.optional_text("note") or root.optional_text("strategy")
    if len(text) > _NOTE_CHARS_MAX or "\n" in text:
        notes.add(
            root.place_of("note"), "a note is one short line", f"use at most {_NOTE_CHARS_MAX} characters"
        )
    return text


def _conditions(root: Section, notes: Notes, scope: Scope) -> tuple[tuple[Place, Term], ...]:
    tree = root.get("when")
    items: tuple[Tree, ...] = () if tree is None else (tree,)
    if isinstance(tree, Listed):
        items = tree.items
    found = []
    for item in items:
        term = notes.term(item, scope, BOOL)
        if term is not None:
            found.append((item.place, term))
            if term.constant == 0:
                notes.add(item.place, "this is never true", "correct it, or leave it out")
    return tuple(found)
