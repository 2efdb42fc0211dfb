"""Triggers and keeper jobs as a strategy file writes them."""

from __future__ import annotations

import re
from typing import Final

from seawall.strategies.scripts.documents import Scalar, Table, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.keeping import RUNS_KEPT_MAX, Keeper, Rivals
from seawall.strategies.scripts.kinds import DURATION, NATIVE_UNIT, Base, amount_of
from seawall.strategies.scripts.problems import nearest, shown
from seawall.strategies.scripts.signatures import parameters_of
from seawall.strategies.scripts.terms import Scope, Term
from seawall.strategies.scripts.triggers import (
    DAYS,
    BlockTrigger,
    DailyTrigger,
    Direction,
    EventTrigger,
    IntervalTrigger,
    Missed,
    PriceTrigger,
    Trigger,
    topic_of,
)

__all__ = ["KEEPER_KEYS", "TRIGGERS", "keeper_of", "triggers_of"]

TRIGGERS_MAX: Final = 16
INTERVAL_S_MIN: Final = 10
INTERVAL_S_MAX: Final = 366 * 86_400
BLOCKS_MAX: Final = 1_000_000
_CLOCK: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_EVENT_KEYS: Final = ("from", "event")
_MINUTES_OF_HOUR: Final = 60

TRIGGERS: Final = {
    "block": "every so many blocks",
    "price": "{of, crosses, direction}: when a value passes a threshold, up, down or either way",
    "every": "an interval, such as 10 min; or {interval, missed}",
    "daily": "{at: '07:30', days: [mon, ...], missed}, in UTC",
    "event": "{from, event: 'Name(type,...)'}: when a contract logs it",
}
KEEPER_KEYS: Final = {
    "gas_limit": "of a run",
    "fee_per_run": "the most that a run may cost in fees; the plan's gas price guard holds it",
    "fee_per_day": "the most that all runs of 24 hours may cost",
    "runs_per_day": "the most runs of 24 hours",
    "rivals": "{from, event, after, rest}: after so many times done by others in a row, rest so many blocks",
}


def triggers_of(root: Section, notes: Notes, scope: Scope) -> tuple[Trigger, ...]:
    items = root.items("triggers")
    if len(items) > TRIGGERS_MAX:
        notes.add(root.place_of("triggers"), f"more than {TRIGGERS_MAX} triggers", "use fewer")
    found = [_trigger(f"trigger{place}", item, notes, scope) for place, item in enumerate(items)]
    return tuple(one for one in found if one is not None)


def _trigger(name: str, tree: Tree, notes: Notes, scope: Scope) -> Trigger | None:
    if not isinstance(tree, Table) or len(tree.entries) != 1:
        notes.add(tree.place, "a trigger is one word with its value", "write for example `- block: 5`")
        return None
    ((word, entry),) = tree.entries.items()
    if word not in TRIGGERS:
        notes.add(entry.place, f"there is no trigger {shown(word)}", nearest(word, TRIGGERS))
        return None
    match word:
        case "block":
            every = notes.integer(entry.value, 1, BLOCKS_MAX)
            return None if every is None else BlockTrigger(name, every)
        case "price":
            return _price(name, entry.value, notes, scope)
        case "every":
            return _interval(name, entry.value, notes, scope)
        case "daily":
            return _daily(name, entry.value, notes)
    return _event(name, entry.value, notes, scope)


def _price(name: str, tree: Tree, notes: Notes, scope: Scope) -> PriceTrigger | None:
    section = Section.of(tree, ("of", "crosses", "direction"), notes)
    if section is None:
        return None
    of = section.require("of", "price(weth)")
    value = None if of is None else notes.term(of, scope)
    crosses = section.require("crosses", "2_000 usd")
    threshold = None if crosses is None or value is None else notes.term(crosses, scope, value.kind)
    direction = section.choice("direction", Direction.EITHER)
    if value is not None and value.kind.base is Base.BOOL:
        notes.add(tree.place, "true and false cross nothing", "write it under `when`")
    return None if value is None or threshold is None else PriceTrigger(name, value, threshold, direction)


def _interval(name: str, tree: Tree, notes: Notes, scope: Scope) -> IntervalTrigger | None:
    missed, given = Missed.ONCE, tree
    if isinstance(tree, Table):
        section = Section(tree, ("interval", "missed"), notes)
        missed = section.choice("missed", missed)
        given = section.require("interval", "10 min") or tree
        if given is tree:
            return None
    term = notes.term(given, scope, DURATION)
    if term is None:
        return None
    if term.constant is None or not INTERVAL_S_MIN <= term.constant <= INTERVAL_S_MAX:
        notes.add(
            given.place, "the interval is not fixed, or out of range", f"give {INTERVAL_S_MIN} s to a year"
        )
        return None
    return IntervalTrigger(name, term.constant, missed)


def _daily(name: str, tree: Tree, notes: Notes) -> DailyTrigger | None:
    if isinstance(tree, Scalar):
        tree = Table({}, tree.place) if not tree.text else tree
    section = Section.of(tree, ("at", "days", "missed"), notes)
    if section is None:
        return None
    at = section.text("at", "'07:30'")
    match = None if at is None else _CLOCK.fullmatch(at)
    if at is not None and match is None:
        notes.add(section.place_of("at"), f"{shown(at)} is no time of day", "write '07:30', in UTC")
    days = [notes.text(item, "a day") or "" for item in section.items("days")] or list(DAYS)
    for day in days:
        if day not in DAYS:
            notes.add(section.place_of("days"), f"{shown(day)} is no day", nearest(day, DAYS))
    missed = section.choice("missed", Missed.ONCE)
    if match is None or not set(days) <= set(DAYS):
        return None
    minute = int(match.group(1)) * _MINUTES_OF_HOUR + int(match.group(2))
    return DailyTrigger(name, minute, frozenset(map(DAYS.index, days)), missed)


def _event(name: str, tree: Tree, notes: Notes, scope: Scope) -> EventTrigger | None:
    section = Section.of(tree, _EVENT_KEYS, notes)
    if section is None:
        return None
    source = section.text("from", "weth")
    if source is not None and source not in scope.holders:
        notes.add(
            section.place_of("from"),
            f"the address book has no {shown(source)}",
            nearest(source, scope.holders),
        )
        source = None
    signature = section.text("event", "Transfer(address,address,uint256)")
    if signature is not None and parameters_of(signature) is None:
        notes.add(section.place_of("event"), f"{shown(signature)} is no event", "write Name(type,type)")
        signature = None
    if source is None or signature is None:
        return None
    return EventTrigger(name, scope.holders[source], topic_of(signature))


def keeper_of(root: Section, notes: Notes, scope: Scope) -> Keeper | None:
    section = Section.of(root.get("keeper"), tuple(KEEPER_KEYS), notes)
    if section is None:
        return None
    native = amount_of(NATIVE_UNIT)
    per_run = _positive(section.term("fee_per_run", scope, native, "0.01 native"), "fee_per_run", section)
    per_day = _positive(section.term("fee_per_day", scope, native, "0.1 native"), "fee_per_day", section)
    gas_limit = section.integer("gas_limit", 500_000, 21_000, 2**24)
    if "gas_limit" not in section:
        section.require("gas_limit", "500_000")
    runs = section.integer("runs_per_day", RUNS_KEPT_MAX, 1, RUNS_KEPT_MAX)
    rivals = _rivals(section, notes, scope)
    if per_run is None or per_day is None:
        return None
    if per_day < per_run:
        notes.add(section.place_of("fee_per_day"), "a day's budget is less than a run's", "give more")
    if per_run < gas_limit:
        notes.add(section.place_of("fee_per_run"), "less than 1 wei per gas", "give more, or less gas")
    return Keeper(gas_limit, per_run, per_day, runs, rivals)


def _positive(term: Term | None, name: str, section: Section) -> int | None:
    if term is None:
        return None
    if term.constant is None or term.constant <= 0:
        section.notes.add(
            section.place_of(name), "a budget is a fixed amount above zero", "write 0.01 native"
        )
        return None
    return term.constant


def _rivals(section: Section, notes: Notes, scope: Scope) -> Rivals | None:
    tree = section.get("rivals")
    inner = Section.of(tree, (*_EVENT_KEYS, "after", "rest"), notes)
    if inner is None or not isinstance(tree, Table):
        return None
    named = Table({key: entry for key, entry in tree.entries.items() if key in _EVENT_KEYS}, tree.place)
    event = _event("rivals", named, notes, scope)
    after = inner.integer("after", 3, 1, 1_000)
    rest = inner.integer("rest", 50, 1, BLOCKS_MAX)
    return None if event is None else Rivals(event.source, event.topic, after, rest)
