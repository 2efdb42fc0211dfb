"""Checks that the executor makes on chain once the steps are done, as a strategy file writes them.

`CHECKS` lists them with their keys; what each means is in `protocols.executor.checks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from seawall.primitives.errors import PlanError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.executor.checks import (
    BalanceAtLeast,
    BalanceAtMost,
    BookHealthFloor,
    Check,
    FeedFresh,
    FeedsAgree,
    FeedTwapAgree,
    FeedWithin,
    HealthFloor,
    SequencerUp,
    TwapAgrees,
)
from seawall.strategies.scripts.documents import Table, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.kinds import BPS_KIND, DURATION, NUMBER, Kind, amount_of
from seawall.strategies.scripts.problems import nearest, shown
from seawall.strategies.scripts.script import Account, AccountForm, CheckTerm
from seawall.strategies.scripts.terms import Scope, Term

__all__ = ["CHECKS", "CHECKS_MAX", "HEALTH_LEAST", "checks_of"]

CHECKS_MAX: Final = 32
HEALTH_LEAST: Final = 10**18
"""Below one a position is liquidated: a floor below that, or one written without its unit, holds nothing."""

CHECKS: Final[Mapping[str, tuple[str, ...]]] = {
    "feed_fresh": ("feed", "max_age"),
    "feed_within": ("feed", "lowest", "highest"),
    "feeds_agree": ("feed", "other", "within"),
    "sequencer_up": ("feed", "grace"),
    "twap_agrees": ("pool", "window", "ticks"),
    "feed_twap_agree": ("feed", "pool", "base", "window", "within"),
    "health": ("pool", "floor"),
    "health_book": ("book", "floor"),
    "balance_at_least": ("token", "amount", "holder"),
    "balance_at_most": ("token", "amount", "holder"),
}
"""Check: its keys."""

Make = Callable[[list[int]], Check]


def checks_of(root: Section, notes: Notes, scope: Scope, account: Account) -> tuple[CheckTerm, ...]:
    items = root.items("checks")
    if len(items) > CHECKS_MAX:
        notes.add(root.place_of("checks"), f"more than {CHECKS_MAX} checks", "use fewer")
    if items and account.form is AccountForm.KEY:
        notes.add(root.place_of("checks"), "a key's call is checked by nobody", "run it through the executor")
    found = [_check(item, notes, scope) for item in items]
    return tuple(one for one in found if one is not None)


def _check(tree: Tree, notes: Notes, scope: Scope) -> CheckTerm | None:
    if not isinstance(tree, Table) or len(tree.entries) != 1:
        notes.add(tree.place, "a check is one word with its keys", "write `- feed_fresh: {feed: ...}`")
        return None
    ((word, entry),) = tree.entries.items()
    if word not in CHECKS:
        notes.add(entry.place, f"there is no check {shown(word)}", nearest(word, CHECKS))
        return None
    section = Section.of(entry.value, CHECKS[word], notes)
    if section is None:
        return None
    keys = _Keys(section, notes, scope)
    make, terms = _made(word, keys), keys.terms
    if keys.failed:
        return None
    return CheckTerm(entry.place, lambda frame: make([term.run(frame) for term in terms]))


class _Keys:
    """Of one check; terms are gathered in the order in which they are asked for."""

    def __init__(self, section: Section, notes: Notes, scope: Scope) -> None:
        self.terms: list[Term] = []
        self.failed = False
        self._section = section
        self._notes = notes
        self._scope = scope

    def __contains__(self, key: str) -> bool:
        return key in self._section

    def contract(self, key: str) -> Address:
        return self._named(key, self._scope.holders, "feed_eth_usd") or ZERO_ADDRESS

    def term(self, key: str, kind: Kind | None, example: str) -> None:
        tree = self._section.require(key, example)
        found = None if tree is None else self._notes.term(tree, self._scope, kind)
        self.failed = self.failed or found is None
        if found is not None:
            self.terms.append(found)

    def require_least(self, least: int, what: str, fix: str) -> None:
        """Of the term that was asked for last, where it is known already."""
        value = self.terms[-1].constant if self.terms else None
        if value is not None and value < least:
            self._notes.add(self._section.place_of("floor"), what, fix)
            self.failed = True

    def amount(self) -> Address:
        """The token, and its amount as a term."""
        units = {name: unit.token for name, unit in self._scope.units.items()}
        token = self._named("token", units, "weth")
        if token is None:
            return ZERO_ADDRESS
        unit = next(unit for unit in self._scope.units.values() if unit.token == token)
        self.term("amount", amount_of(unit), f"1 {unit.name}")
        return token

    def _named(self, key: str, known: Mapping[str, Address], example: str) -> Address | None:
        text = self._section.text(key, example)
        found = None if text is None else known.get(text)
        if text is not None and found is None:
            self._notes.add(
                self._section.place_of(key), f"nothing here is named {shown(text)}", nearest(text, known)
            )
        self.failed = self.failed or found is None
        return found


def _made(word: str, keys: _Keys) -> Make:
    """Of the numbers that the check's terms have at a block."""
    if word.startswith("balance_"):
        return _balance(word, keys)
    if word.startswith("health"):
        return _health(word, keys)
    if "twap" in word:
        return _twap(word, keys)
    feed = keys.contract("feed")
    match word:
        case "feed_fresh":
            keys.term("max_age", DURATION, "1 h")
            return lambda numbers: FeedFresh(feed, *numbers)
        case "sequencer_up":
            keys.term("grace", DURATION, "1 h")
            return lambda numbers: SequencerUp(feed, *numbers)
        case "feed_within":
            keys.term("lowest", None, "1_000 usd")
            keys.term("highest", None, "5_000 usd")
            return lambda numbers: FeedWithin(feed, *numbers)
    other = keys.contract("other")
    keys.term("within", BPS_KIND, "50 bps")
    return lambda numbers: FeedsAgree(feed, other, *numbers)


def _twap(word: str, keys: _Keys) -> Make:
    pool = keys.contract("pool")
    keys.term("window", DURATION, "10 min")
    if word == "twap_agrees":
        keys.term("ticks", NUMBER, "100")
        return lambda numbers: TwapAgrees(pool, *numbers)
    feed, base = keys.contract("feed"), keys.contract("base")
    keys.term("within", BPS_KIND, "50 bps")
    return lambda numbers: FeedTwapAgree(feed, pool, base, *numbers)


def _health(word: str, keys: _Keys) -> Make:
    source = keys.contract("pool" if word == "health" else "book")
    keys.term("floor", NUMBER, "1.5 wad")
    keys.require_least(HEALTH_LEAST, "every position that stands passes that", "give 1 wad or more: 1.5 wad")
    kind = HealthFloor if word == "health" else BookHealthFloor

    def make(numbers: list[int]) -> Check:
        (floor,) = numbers
        if floor < HEALTH_LEAST:
            raise PlanError(f"a health floor of {floor}", word, "give 1 wad or more")
        return kind(source, floor)

    return make


def _balance(word: str, keys: _Keys) -> Make:
    token = keys.amount()
    holder = keys.contract("holder") if "holder" in keys else ZERO_ADDRESS
    if word == "balance_at_least":
        return lambda numbers: BalanceAtLeast(token, numbers[0], holder)
    return lambda numbers: BalanceAtMost(token, numbers[0], holder)
