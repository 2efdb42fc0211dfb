"""The parts of a strategy file that give names: protocols, prices, variables, reads, values.

Variables are what an operator sets: fixed before a block is seen, of a stated kind, within stated ends.
Values are evaluated when they are first needed at a block, at most once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from seawall.native import encode_call
from seawall.primitives.blocks import Read
from seawall.primitives.errors import EncodingError, NativeError
from seawall.primitives.units import Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.strategies.scripts.documents import Entry, Scalar, Table, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.kinds import (
    BOOL,
    BPS_KIND,
    DURATION,
    NUMBER,
    USD,
    Kind,
    amount_of,
)
from seawall.strategies.scripts.problems import ExpressionError, Place, nearest, shown
from seawall.strategies.scripts.signatures import parameters_of
from seawall.strategies.scripts.syntax import Name, parse
from seawall.strategies.scripts.terms import Scope, Term
from seawall.strategies.scripts.world import Feed, OwnRead

__all__ = ["READ_KEYS", "VARIABLE_KEYS", "own_reads", "prices", "protocols", "values", "variables"]

VARIABLES_MAX: Final = 64
VALUES_MAX: Final = 128
READS_MAX: Final = 64
PRICE_AGE_S: Final = 3_600
_RETURNS_MAX: Final = 32
VARIABLE_KEYS: Final = ("kind", "default", "at_least", "at_most", "about")
READ_KEYS: Final = ("from", "function", "arguments", "returns", "word", "of")
_KINDS: Final = {"number": NUMBER, "true or false": BOOL, "duration": DURATION, "bps": BPS_KIND, "usd": USD}
_OVERRIDE_FILE: Final = "strategies.settings"


def protocols(root: Section, notes: Notes, scope: Scope) -> Mapping[str, AnyAdapter]:
    """Short names for adapters."""
    found: dict[str, AnyAdapter] = {}
    for name, entry in root.entries("protocols").items():
        text = notes.text(entry.value, "a protocol's name")
        if text is None or not notes.new_name(name, entry.place, _taken(scope)):
            continue
        if text not in scope.adapters:
            notes.add(
                entry.value.place,
                f"there is no protocol {shown(text)} on this chain",
                nearest(text, scope.adapters),
            )
            continue
        found[name] = scope.adapters[text]
    return found


def prices(root: Section, notes: Notes, scope: Scope, contracts: Mapping[str, Address]) -> Mapping[str, Feed]:
    found: dict[str, Feed] = {}
    for name, entry in root.entries("prices").items():
        if name not in scope.units:
            notes.add(entry.place, f"there is no token {shown(name)}", nearest(name, scope.units))
        section = Section.of(entry.value, ("feed", "max_age"), notes)
        if section is None:
            continue
        feed = section.text("feed", "feed_eth_usd")
        age = section.optional_term("max_age", scope, DURATION)
        if feed is not None and feed not in contracts:
            notes.add(
                section.place_of("feed"), f"the address book has no {shown(feed)}", nearest(feed, contracts)
            )
        elif feed is not None:
            age_s = PRICE_AGE_S if age is None or age.constant is None else age.constant
            found[name] = Feed(contracts[feed], age_s)
    return found


def variables(root: Section, notes: Notes, scope: Scope, overrides: Mapping[str, str]) -> dict[str, str]:
    """Enter them into the scope; what each is, for people."""
    told: dict[str, str] = {}
    entries = root.entries("variables")
    if len(entries) > VARIABLES_MAX:
        notes.add(root.place_of("variables"), f"more than {VARIABLES_MAX} variables", "use fewer")
    for name, entry in entries.items():
        if notes.new_name(name, entry.place, _taken(scope)):
            told[name] = _variable(name, entry, notes, scope, overrides.get(name))
    for name in overrides:
        if name not in entries:
            notes.add(root.place_of("variables"), f"a setting names {shown(name)}", nearest(name, entries))
    return told


def _variable(name: str, entry: Entry, notes: Notes, scope: Scope, override: str | None) -> str:
    section = Section.of(entry.value, VARIABLE_KEYS, notes) if isinstance(entry.value, Table) else None
    given: Tree | None = entry.value if section is None else section.get("default")
    kind = None if section is None else _kind(section, notes, scope)
    if override is not None:
        given = Scalar(override, Place(_OVERRIDE_FILE, 1, 1, f"variables.{name}"))
    if given is None:
        if kind is None:
            notes.add(entry.place, "a variable without a default needs a kind", "write kind: amount of weth")
        notes.add(entry.place, f"the variable {name!r} has no value", "give it a default, or a setting")
        return ""
    standard = None if section is None or override is None else section.get("default")
    default = None if standard is None else notes.term(standard, scope, kind)
    if kind is None and default is not None:
        kind = default.kind
    if kind is None and override is not None and section is None:
        default = notes.term(entry.value, scope)
        kind = None if default is None else default.kind
    term = notes.term(given, scope, kind)
    if term is None:
        return ""
    if term.constant is None:
        notes.add(given.place, "a variable is fixed before any block is seen", "move it to `values`")
        return ""
    if section is not None:
        _check_ends(term, section, notes, scope, given)
    scope.definitions[name] = term
    about = "" if section is None else section.optional_text("about")
    return f"{term.kind}; {about}" if about else str(term.kind)


def _check_ends(term: Term, section: Section, notes: Notes, scope: Scope, given: Tree) -> None:
    low = section.optional_term("at_least", scope, term.kind)
    high = section.optional_term("at_most", scope, term.kind)
    value = term.constant
    assert value is not None, "variables are constants"
    if low is not None and low.constant is not None and value < low.constant:
        notes.add(given.place, "the value is below `at_least`", "give more")
    if high is not None and high.constant is not None and value > high.constant:
        notes.add(given.place, "the value is above `at_most`", "give less")


def _kind(section: Section, notes: Notes, scope: Scope) -> Kind | None:
    tree = section.get("kind")
    if tree is None:
        return None
    text = notes.text(tree, "a kind") or ""
    if text.startswith("amount of "):
        token = text.removeprefix("amount of ")
        if token in scope.units:
            return amount_of(scope.units[token])
        notes.add(tree.place, f"there is no token {shown(token)}", nearest(token, scope.units))
        return None
    if text and text not in _KINDS:
        notes.add(tree.place, f"{shown(text)} is no kind", nearest(text, [*_KINDS, "amount of weth"]))
    return _KINDS.get(text)


def own_reads(root: Section, notes: Notes, scope: Scope, contracts: Mapping[str, Address]) -> None:
    entries = root.entries("reads")
    if len(entries) > READS_MAX:
        notes.add(root.place_of("reads"), f"more than {READS_MAX} reads", "use fewer")
    for name, entry in entries.items():
        section = Section.of(entry.value, READ_KEYS, notes)
        if section is None or not notes.new_name(name, entry.place, _taken(scope)):
            continue
        found = _own_read(name, section, notes, scope, contracts)
        kind = _read_kind(section, notes, scope)
        if found is not None and kind is not None:
            scope.needs.own[name] = found
            scope.own_reads[name] = kind


def _own_read(
    name: str, section: Section, notes: Notes, scope: Scope, contracts: Mapping[str, Address]
) -> OwnRead | None:
    target = section.text("from", "aave_pool")
    if target is not None and target not in contracts:
        notes.add(
            section.place_of("from"), f"the address book has no {shown(target)}", nearest(target, contracts)
        )
        return None
    signature = section.text("function", "balanceOf(address)")
    kinds = None if signature is None else parameters_of(signature)
    if signature is None or target is None:
        return None
    if kinds is None:
        notes.add(section.place_of("function"), f"{shown(signature)} is no function", "write name(type,type)")
        return None
    returns = parameters_of(f"f({section.optional_text('returns', 'uint256')})")
    word = section.integer("word", 0, 0, _RETURNS_MAX)
    if not returns or word >= len(returns) or not returns[word].startswith(("uint", "int")):
        notes.add(
            section.place_of("returns"), "no number is returned there", "write returns: uint256,uint256"
        )
        return None
    try:
        values = [
            _fixed(item, kind, scope) for item, kind in zip(section.items("arguments"), kinds, strict=True)
        ]
        call = encode_call(signature, tuple(values))
    except ValueError:
        notes.add(section.place_of("arguments"), f"the function takes {len(kinds)} arguments", "give each")
    except (ExpressionError, EncodingError, NativeError) as error:
        notes.add_error(section.place_of("arguments"), error)
    else:
        return OwnRead(Read(f"own:{name}", contracts[target], call), returns, word)
    return None


def _fixed(tree: Tree, kind: str, scope: Scope) -> int | bytes:
    """An argument that is known before any block is seen."""
    text = tree.text if isinstance(tree, Scalar) else ""
    if kind == "address":
        return scope.holder(Name(text, 0))
    term = scope.term(parse(text))
    if term.constant is None:
        raise ExpressionError("arguments of reads are fixed", "write a number, or a variable", 0)
    return term.constant


def _read_kind(section: Section, notes: Notes, scope: Scope) -> Kind | None:
    text = section.optional_text("of", "number")
    if text in _KINDS:
        return _KINDS[text]
    if text in scope.units:
        return amount_of(scope.units[text])
    notes.add(
        section.place_of("of"), f"{shown(text)} is no kind or token", nearest(text, [*scope.units, *_KINDS])
    )
    return None


def values(root: Section, notes: Notes, scope: Scope) -> None:
    entries = root.entries("values")
    if len(entries) > VALUES_MAX:
        notes.add(root.place_of("values"), f"more than {VALUES_MAX} values", "use fewer")
    for name, entry in entries.items():
        if not notes.new_name(name, entry.place, _taken(scope)):
            continue
        term = notes.term(entry.value, scope)
        if term is not None:
            scope.definitions[name] = term


def _taken(scope: Scope) -> tuple[str, ...]:
    return (*scope.units, *scope.definitions, *scope.own_reads, *scope.adapters, *scope.holders)
