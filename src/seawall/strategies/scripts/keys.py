"""Keys that steps have in common: protocols, tokens, contracts, amounts, and names for what a step brings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from seawall.primitives.units import BPS, Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.strategies.composing import ALL, Given, Outcome
from seawall.strategies.scripts.documents import Scalar, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.kinds import BPS_KIND, NUMBER, Unit, amount_of
from seawall.strategies.scripts.problems import ExpressionError, nearest, shown
from seawall.strategies.scripts.syntax import Text
from seawall.strategies.scripts.terms import Frame, Run, Scope

__all__ = ["AmountOf", "Keys"]

AmountOf = Callable[[Frame, Mapping[str, Outcome]], Given]


@dataclass(frozen=True, slots=True)
class Keys:
    """Reads them; `scope.outputs` grows with the names that steps give."""

    scope: Scope
    notes: Notes
    contracts: Mapping[str, Address]

    def adapter(self, section: Section) -> AnyAdapter | None:
        text = section.text("on", "uniswap_v2:weth-usdx")
        if text is None:
            return None
        try:
            adapter = self.scope.adapter(Text(text, 0))
            self.scope.needs.acts_on[adapter.name] = adapter
            return adapter
        except ExpressionError as error:
            self.notes.add(section.place_of("on"), error.what, error.fix)
            return None

    def unit(self, section: Section, key: str) -> Unit | None:
        tree = section.require(key, "weth")
        return None if tree is None else self.named_unit(tree)

    def named_unit(self, tree: Tree) -> Unit | None:
        text = self.notes.text(tree, "a token")
        if text is None:
            return None
        if text not in self.scope.units:
            self.notes.add(tree.place, f"there is no token {shown(text)}", nearest(text, self.scope.units))
            return None
        return self.scope.units[text]

    def units(self, section: Section, key: str) -> list[Unit]:
        return [unit for item in section.items(key) if (unit := self.named_unit(item)) is not None]

    def contract(self, section: Section, key: str, example: str) -> Address | None:
        text = section.text(key, example)
        if text is None:
            return None
        if text not in self.contracts:
            self.notes.add(
                section.place_of(key),
                f"the address book has no {shown(text)}",
                nearest(text, self.contracts),
            )
            return None
        return self.contracts[text]

    def amount(
        self,
        section: Section,
        key: str,
        unit: Unit,
        *,
        all_word: bool = False,
        zero: str = "the amount is zero",
    ) -> AmountOf | None:
        tree = section.require(key, f"1 {unit.name}")
        return None if tree is None else self.amount_of(tree, unit, all_word=all_word, zero=zero)

    def amount_of(
        self, tree: Tree, unit: Unit, *, all_word: bool = False, zero: str = "the amount is zero"
    ) -> AmountOf | None:
        text = tree.text if isinstance(tree, Scalar) else ""
        if text in self.scope.outputs:
            if self.scope.outputs[text].token != unit.token:
                got = self.scope.outputs[text].name
                self.notes.add(tree.place, f"{text!r} is of {got}, not of {unit.name}", f"give {unit.name}")
                return None
            return lambda _, outcomes: outcomes[text]
        if all_word and text == "all":
            return lambda _frame, _outcomes: ALL
        term = self.notes.term(tree, self.scope, amount_of(unit))
        if term is None:
            return None
        if term.constant is not None and term.constant <= 0:
            self.notes.add(tree.place, zero if term.constant == 0 else "the amount is negative", "give more")
            return None
        run = term.run
        return lambda frame, _: run(frame)

    def output(self, section: Section, unit: Unit | None) -> str | None:
        """The name under `as`; empty where there is none."""
        tree = section.get("as")
        if tree is None:
            return ""
        text = self.notes.text(tree, "a name")
        return self.new_output(text, tree, unit) if text is not None else None

    def new_output(self, text: str, tree: Tree, unit: Unit | None) -> str | None:
        taken = (*self.scope.definitions, *self.scope.outputs, *self.scope.units, *self.scope.own_reads)
        if not self.notes.new_name(text, tree.place, taken):
            return None
        if unit is not None:
            self.scope.outputs[text] = unit
        return text

    def outputs(self, section: Section, units: list[Unit]) -> list[str]:
        names = []
        for item, unit in zip(section.items("as"), units, strict=False):
            text = self.notes.text(item, "a name")
            name = None if text is None else self.new_output(text, item, unit)
            if name is not None:
                names.append(name)
        return names

    def least(self, section: Section, got: Unit | None) -> AmountOf | None:
        tree = section.get("at_least")
        if tree is None or got is None:
            return None
        return self.amount(section, "at_least", got, zero="a minimum of zero takes any price")

    def tolerance(self, section: Section) -> int | None:
        term = section.optional_term("tolerance", self.scope, BPS_KIND)
        if term is None:
            return None
        if term.constant is None or not 0 <= term.constant < BPS:
            self.notes.add(
                section.place_of("tolerance"), "a tolerance is a share under 10000 bps", "write 50 bps"
            )
        return term.constant

    def amounts(self, section: Section, key: str) -> dict[Address, AmountOf]:
        """A table of tokens with their amounts."""
        found: dict[Address, AmountOf] = {}
        for name, entry in section.entries(key).items():
            unit = self.scope.units.get(name)
            if unit is None:
                self.notes.add(
                    entry.place, f"there is no token {shown(name)}", nearest(name, self.scope.units)
                )
            elif (amount := self.amount_of(entry.value, unit)) is not None:
                found[unit.token] = amount
        return found

    def position(self, section: Section) -> Run:
        """The number of one position among several; zero where shares are not numbered."""
        term = section.optional_term("position", self.scope, NUMBER)
        return (lambda _: 0) if term is None else term.run
