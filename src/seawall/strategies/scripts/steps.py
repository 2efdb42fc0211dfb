"""The steps of a strategy file: each verb's keys, checked, as calls of `composing.Steps`.

`VERBS` lists them with their keys; the documentation prints it. What a step brings is named by `as` and is
then the amount of a later step, alone: what is measured on chain cannot be calculated with before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from seawall.native import AbiValue, encode_call
from seawall.primitives.errors import EncodingError, NativeError, SeawallError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Measure, Measured, Splice
from seawall.strategies.composing import ALL, Given, Outcome, Steps
from seawall.strategies.scripts.compiling import Frame, Scope
from seawall.strategies.scripts.documents import Listed, Scalar, Table, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.kinds import BOOL, BPS_KIND, NATIVE_UNIT, NUMBER, Base, Unit, amount_of
from seawall.strategies.scripts.problems import ExpressionError, Problem, ScriptError, nearest, shown
from seawall.strategies.scripts.script import StepTerm, TakeStep
from seawall.strategies.scripts.signatures import parameters_of
from seawall.strategies.scripts.syntax import Name, Text

__all__ = ["STEPS_MAX", "VERBS", "StepReader"]

STEPS_MAX: Final = 64
NESTING_MAX: Final = 4
_TRADE: Final = ("on", "give", "get", "amount", "at_least", "tolerance", "as")

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "swap": _TRADE,
    "deposit": _TRADE,
    "redeem": _TRADE,
    "supply": ("on", "token", "amount"),
    "withdraw": ("on", "token", "amount", "as"),
    "borrow": ("on", "token", "amount", "as"),
    "repay": ("on", "token", "amount"),
    "add_liquidity": ("on", "share", "amounts", "at_least", "tolerance", "as"),
    "remove_liquidity": ("on", "share", "amount", "get", "tolerance", "as"),
    "request_exit": ("on", "share", "amount"),
    "claim_exit": ("on", "request", "get", "as"),
    "claim_rewards": ("on", "get", "as"),
    "flash": ("from", "borrow", "max_fee", "steps"),
    "choose": ("if", "then", "else"),
    "call": ("to", "function", "arguments", "value", "allow", "gains", "as"),
}
"""Verb: its keys. `flash` and `choose` hold steps of their own."""

AmountOf = Callable[[Frame, Mapping[str, Outcome]], Given]
Trade = Callable[..., Outcome]


@dataclass(frozen=True, slots=True)
class _Terms:
    """What trades have in common."""

    amount: AmountOf
    least: AmountOf | None
    tolerance_bps: int | None
    name: str


class StepReader:
    """Reads steps one after the other; `scope.outputs` grows with them."""

    def __init__(self, scope: Scope, notes: Notes, contracts: Mapping[str, Address]) -> None:
        self._scope = scope
        self._notes = notes
        self._contracts = contracts
        self._count = 0

    def steps(self, tree: Tree | None, depth: int = 0) -> tuple[StepTerm, ...]:
        if not isinstance(tree, Listed):
            if tree is not None:
                self._notes.add(tree.place, "a list of steps is expected here", "write `- swap: ...` lines")
            return ()
        found = [step for item in tree.items if (step := self._step(item, depth)) is not None]
        return tuple(found)

    def _step(self, tree: Tree, depth: int) -> StepTerm | None:
        self._count += 1
        if self._count > STEPS_MAX or depth > NESTING_MAX:
            self._notes.add(
                tree.place, f"more than {STEPS_MAX} steps, or nested deeper than {NESTING_MAX}", "do less"
            )
            return None
        if not isinstance(tree, Table) or len(tree.entries) != 1:
            self._notes.add(tree.place, "a step is one verb with its keys", "write `swap: {on: ..., ...}`")
            return None
        ((verb, entry),) = tree.entries.items()
        if verb not in VERBS:
            self._notes.add(entry.place, f"there is no step {shown(verb)}", nearest(verb, VERBS))
            return None
        section = Section.of(entry.value, VERBS[verb], self._notes)
        if section is None:
            return None
        take = self._reader(verb)(section, depth)
        return None if take is None else StepTerm(entry.place, take)

    def _reader(self, verb: str) -> Callable[[Section, int], TakeStep | None]:
        readers: dict[str, Callable[[Section, int], TakeStep | None]] = {
            "swap": self._swap,
            "deposit": self._deposit,
            "redeem": self._redeem,
            "supply": self._supply,
            "withdraw": self._withdraw,
            "borrow": self._borrow,
            "repay": self._repay,
            "add_liquidity": self._add_liquidity,
            "remove_liquidity": self._remove_liquidity,
            "request_exit": self._request_exit,
            "claim_exit": self._claim_exit,
            "claim_rewards": self._claim_rewards,
            "flash": self._flash,
            "choose": self._choose,
            "call": self._call,
        }
        return readers[verb]

    # ------------------------------------------------------------------ trades

    def _swap(self, section: Section, _: int) -> TakeStep | None:
        return self._trade(section, lambda steps: steps.swap)

    def _deposit(self, section: Section, _: int) -> TakeStep | None:
        return self._trade(section, lambda steps: steps.deposit)

    def _redeem(self, section: Section, _: int) -> TakeStep | None:
        return self._trade(section, lambda steps: steps.redeem)

    def _trade(self, section: Section, verb: Callable[[Steps], Trade]) -> TakeStep | None:
        at = self._adapter(section)
        given, got = self._unit(section, "give"), self._unit(section, "get")
        terms = self._terms(section, given, got)
        if at is None or given is None or got is None or terms is None:
            return None
        adapter, token_in, token_out = at, given.token, got.token

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            least = None if terms.least is None else terms.least(frame, outcomes)
            outcome = verb(steps)(
                adapter,
                token_in,
                token_out,
                terms.amount(frame, outcomes),
                least=least,
                tolerance_bps=terms.tolerance_bps,
                name=terms.name,
            )
            outcomes[terms.name] = outcome

        return take

    def _terms(self, section: Section, given: Unit | None, got: Unit | None) -> _Terms | None:
        amount = None if given is None else self._amount(section, "amount", given)
        least = self._least(section, got)
        name = self._output(section, got)
        if amount is None or name is None:
            return None
        return _Terms(amount, least, self._tolerance(section), name)

    def _least(self, section: Section, got: Unit | None) -> AmountOf | None:
        tree = section.get("at_least")
        if tree is None or got is None:
            return None
        return self._amount(section, "at_least", got, zero="a minimum of zero takes any price")

    def _tolerance(self, section: Section) -> int | None:
        term = section.optional_term("tolerance", self._scope, BPS_KIND)
        if term is None:
            return None
        if term.constant is None or not 0 <= term.constant < 10_000:
            self._notes.add(
                section.place_of("tolerance"), "a tolerance is a share under 10000 bps", "write 50 bps"
            )
        return term.constant

    def _add_liquidity(self, section: Section, _: int) -> TakeStep | None:
        at, share = self._adapter(section), self._unit(section, "share")
        amounts: dict[Address, AmountOf] = {}
        for token_name, entry in section.entries("amounts").items():
            unit = self._scope.units.get(token_name)
            if unit is None:
                self._notes.add(
                    entry.place,
                    f"there is no token {shown(token_name)}",
                    nearest(token_name, self._scope.units),
                )
            elif (amount := self._amount_of(entry.value, unit)) is not None:
                amounts[unit.token] = amount
        section.require("amounts", "{weth: 1 weth, usdx: 2_000 usdx}")
        least = self._least(section, share)
        name = self._output(section, share)
        tolerance_bps = self._tolerance(section)
        if at is None or share is None or not amounts or name is None:
            return None
        adapter, token, known = at, share.token, name

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            given = {each: amount(frame, outcomes) for each, amount in amounts.items()}
            outcomes[known] = steps.add_liquidity(
                adapter,
                token,
                given,
                least=None if least is None else least(frame, outcomes),
                tolerance_bps=tolerance_bps,
                name=known,
            )

        return take

    def _remove_liquidity(self, section: Section, _: int) -> TakeStep | None:
        at, share = self._adapter(section), self._unit(section, "share")
        amount = None if share is None else self._amount(section, "amount", share)
        section.require("get", "[weth, usdx]")
        got = self._units(section, "get")
        names = self._outputs(section, got)
        tolerance_bps = self._tolerance(section)
        if at is None or share is None or amount is None or not got:
            return None
        adapter, token, chosen = at, share.token, amount

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            found = steps.remove_liquidity(
                adapter,
                token,
                [unit.token for unit in got],
                chosen(frame, outcomes),
                tolerance_bps=tolerance_bps,
                names=names,
            )
            outcomes.update({one.name: one for one in found})

        return take

    # ------------------------------------------------------------------ lending and queues

    def _supply(self, section: Section, _: int) -> TakeStep | None:
        return self._given_away(section, "token", lambda steps: steps.supply)

    def _repay(self, section: Section, _: int) -> TakeStep | None:
        return self._given_away(section, "token", lambda steps: steps.repay, all_word=True)

    def _request_exit(self, section: Section, _: int) -> TakeStep | None:
        return self._given_away(section, "share", lambda steps: steps.request_exit)

    def _given_away(
        self,
        section: Section,
        key: str,
        verb: Callable[[Steps], Callable[[AnyAdapter, Address, Given], None]],
        *,
        all_word: bool = False,
    ) -> TakeStep | None:
        at, unit = self._adapter(section), self._unit(section, key)
        amount = None if unit is None else self._amount(section, "amount", unit, all_word=all_word)
        if at is None or unit is None or amount is None:
            return None
        adapter, token, chosen = at, unit.token, amount
        return lambda frame, steps, outcomes: verb(steps)(adapter, token, chosen(frame, outcomes))

    def _withdraw(self, section: Section, _: int) -> TakeStep | None:
        return self._taken(section, lambda steps: steps.withdraw, all_word=True)

    def _borrow(self, section: Section, _: int) -> TakeStep | None:
        return self._taken(section, lambda steps: steps.borrow)

    def _taken(
        self, section: Section, verb: Callable[[Steps], Trade], *, all_word: bool = False
    ) -> TakeStep | None:
        at, unit = self._adapter(section), self._unit(section, "token")
        amount = None if unit is None else self._amount(section, "amount", unit, all_word=all_word)
        name = self._output(section, unit)
        if at is None or unit is None or amount is None or name is None:
            return None
        adapter, token, chosen, known = at, unit.token, amount, name

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            outcomes[known] = verb(steps)(adapter, token, chosen(frame, outcomes), name=known)

        return take

    def _claim_exit(self, section: Section, _: int) -> TakeStep | None:
        at, unit = self._adapter(section), self._unit(section, "get")
        request = section.term("request", self._scope, NUMBER, "1")
        name = self._output(section, unit)
        if at is None or unit is None or request is None or name is None:
            return None
        adapter, token, number, known = at, unit.token, request, name

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            outcomes[known] = steps.claim_exit(adapter, number.run(frame), token, name=known)

        return take

    def _claim_rewards(self, section: Section, _: int) -> TakeStep | None:
        at = self._adapter(section)
        section.require("get", "[crv]")
        got = self._units(section, "get")
        names = self._outputs(section, got)
        if at is None or not got:
            return None
        adapter = at

        def take(_: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            found = steps.claim_rewards(adapter, [unit.token for unit in got], names=names)
            outcomes.update({one.name: one for one in found})

        return take

    # ------------------------------------------------------------------ loans and raw calls

    def _flash(self, section: Section, depth: int) -> TakeStep | None:
        lender = self._contract(section, "from", "balancer_vault")
        loans: dict[Address, AmountOf] = {}
        for name, entry in section.entries("borrow").items():
            unit = self._scope.units.get(name)
            if unit is None:
                self._notes.add(
                    entry.place, f"there is no token {shown(name)}", nearest(name, self._scope.units)
                )
            elif (amount := self._amount_of(entry.value, unit)) is not None:
                loans[unit.token] = amount
        section.require("borrow", "{weth: 10 weth}")
        fee = section.optional_term("max_fee", self._scope, BPS_KIND)
        inner = self.steps(section.require("steps", "[...]"), depth + 1)
        if lender is None or not loans or not inner:
            return None
        source, fee_bps = lender, 0 if fee is None or fee.constant is None else fee.constant

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            amounts = {token: _plain(amount(frame, outcomes)) for token, amount in loans.items()}
            with steps.flash(source, amounts, fee_max_bps=fee_bps):
                for step in inner:
                    take_at(step, frame, steps, outcomes)

        return take

    def _choose(self, section: Section, depth: int) -> TakeStep | None:
        """What a branch brings is known within it only."""
        condition = section.term("if", self._scope, BOOL, "a < b")
        outside = dict(self._scope.outputs)
        then = self.steps(section.require("then", "[...]"), depth + 1)
        self._scope.outputs = dict(outside)
        otherwise = self.steps(section.get("else"), depth + 1)
        self._scope.outputs = outside
        if condition is None or not then:
            return None
        test = condition.run

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            for step in then if test(frame) else otherwise:
                take_at(step, frame, steps, outcomes)

        return take

    def _call(self, section: Section, _: int) -> TakeStep | None:
        target = self._contract(section, "to", "weth")
        signature = section.text("function", "deposit()")
        kinds = None if signature is None else parameters_of(signature)
        if signature is not None and kinds is None:
            self._notes.add(
                section.place_of("function"), f"{shown(signature)} is no function", "write name(type,type)"
            )
        arguments = self._arguments(section, kinds)
        gains = self._unit(section, "gains") if "gains" in section else None
        name = self._output(section, gains) if gains is not None else ""
        value = self._amount(section, "value", NATIVE_UNIT) if "value" in section else None
        allowed = self._allowance(section)
        if target is None or signature is None or arguments is None or name is None:
            return None
        to, function, values, known = target, signature, arguments, name

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            given = [argument(frame, outcomes) for argument in values]
            splices = tuple(
                Splice(word, Measured(one.name)) for word, one in enumerate(given) if isinstance(one, Outcome)
            )
            plain = tuple(0 if isinstance(one, Outcome) else one for one in given)
            measure = (Measure(known, gains.token),) if known and gains is not None else ()
            paid = _measured(0 if value is None else value(frame, outcomes))
            data = encode_call(function, plain)
            operation: Call | CallWithAllowance = Call(to, data, paid, splices, measure)
            if allowed is not None:
                token, amount, spender = allowed
                most = _measured(amount(frame, outcomes))
                operation = CallWithAllowance(to, data, token, most, spender, paid, splices, measure)
            token_out = to if gains is None else gains.token
            outcomes[known] = steps.call(operation, token_out, where=function)

        return take

    def _arguments(
        self, section: Section, kinds: tuple[str, ...] | None
    ) -> list[Callable[[Frame, Mapping[str, Outcome]], AbiValue | Outcome]] | None:
        items = section.items("arguments")
        if kinds is None:
            return None
        if len(items) != len(kinds):
            self._notes.add(
                section.place_of("arguments"),
                f"the function takes {len(kinds)} arguments, and {len(items)} are given",
                "give one for each type",
            )
            return None
        found = [self._argument(item, kind) for item, kind in zip(items, kinds, strict=True)]
        return None if any(one is None for one in found) else [one for one in found if one is not None]

    def _argument(
        self, tree: Tree, kind: str
    ) -> Callable[[Frame, Mapping[str, Outcome]], AbiValue | Outcome] | None:
        text = tree.text if isinstance(tree, Scalar) else ""
        if kind == "address":
            node = Name(text, 0)
            try:
                address = self._scope.holder(node)
            except ExpressionError as error:
                self._notes.add(tree.place, error.what, error.fix)
                return None
            return lambda _frame, _outcomes: address
        if text in self._scope.outputs:
            return lambda _, outcomes: outcomes[text]
        if not kind.startswith(("uint", "int")) and kind != "bool":
            self._notes.add(
                tree.place, f"arguments of type {kind} cannot be written here", "use an adapter, or Python"
            )
            return None
        term = self._notes.term(tree, self._scope)
        if term is None:
            return None
        if (kind == "bool") != (term.kind.base is Base.BOOL):
            self._notes.add(tree.place, f"this is {term.kind}, not {kind}", f"give {kind}")
            return None
        run = term.run
        if kind == "bool":
            return lambda frame, _: bool(run(frame))
        return lambda frame, _: run(frame)

    def _allowance(self, section: Section) -> tuple[Address, AmountOf, Address] | None:
        inner = Section.of(section.get("allow"), ("token", "amount", "spender"), self._notes)
        if inner is None:
            return None
        unit = self._unit(inner, "token")
        amount = None if unit is None else self._amount(inner, "amount", unit)
        spender = self._contract(inner, "spender", "...") if "spender" in inner else ZERO_ADDRESS
        if unit is None or amount is None or spender is None:
            return None
        return unit.token, amount, spender

    # ------------------------------------------------------------------ keys

    def _adapter(self, section: Section) -> AnyAdapter | None:
        text = section.text("on", "uniswap_v2:weth-usdx")
        if text is None:
            return None
        try:
            return self._scope.adapter(Text(text, 0))
        except ExpressionError as error:
            self._notes.add(section.place_of("on"), error.what, error.fix)
            return None

    def _unit(self, section: Section, key: str) -> Unit | None:
        tree = section.require(key, "weth")
        return None if tree is None else self._named_unit(tree)

    def _named_unit(self, tree: Tree) -> Unit | None:
        text = self._notes.text(tree, "a token")
        if text is None:
            return None
        if text not in self._scope.units:
            self._notes.add(tree.place, f"there is no token {shown(text)}", nearest(text, self._scope.units))
            return None
        return self._scope.units[text]

    def _units(self, section: Section, key: str) -> list[Unit]:
        return [unit for item in section.items(key) if (unit := self._named_unit(item)) is not None]

    def _contract(self, section: Section, key: str, example: str) -> Address | None:
        text = section.text(key, example)
        if text is None:
            return None
        if text not in self._contracts:
            self._notes.add(
                section.place_of(key),
                f"the address book has no {shown(text)}",
                nearest(text, self._contracts),
            )
            return None
        return self._contracts[text]

    def _amount(
        self,
        section: Section,
        key: str,
        unit: Unit,
        *,
        all_word: bool = False,
        zero: str = "the amount is zero",
    ) -> AmountOf | None:
        tree = section.require(key, f"1 {unit.name}")
        return None if tree is None else self._amount_of(tree, unit, all_word=all_word, zero=zero)

    def _amount_of(
        self, tree: Tree, unit: Unit, *, all_word: bool = False, zero: str = "the amount is zero"
    ) -> AmountOf | None:
        text = tree.text if isinstance(tree, Scalar) else ""
        if text in self._scope.outputs:
            if self._scope.outputs[text].token != unit.token:
                got = self._scope.outputs[text].name
                self._notes.add(tree.place, f"{text!r} is of {got}, not of {unit.name}", f"give {unit.name}")
                return None
            return lambda _, outcomes: outcomes[text]
        if all_word and text == "all":
            return lambda _frame, _outcomes: ALL
        term = self._notes.term(tree, self._scope, amount_of(unit))
        if term is None:
            return None
        if term.constant is not None and term.constant <= 0:
            self._notes.add(tree.place, zero if term.constant == 0 else "the amount is negative", "give more")
            return None
        run = term.run
        return lambda frame, _: run(frame)

    def _output(self, section: Section, unit: Unit | None) -> str | None:
        """The name under `as`; empty where there is none."""
        tree = section.get("as")
        if tree is None:
            return ""
        text = self._notes.text(tree, "a name")
        return self._new_output(text, tree, unit) if text is not None else None

    def _new_output(self, text: str, tree: Tree, unit: Unit | None) -> str | None:
        taken = (*self._scope.definitions, *self._scope.outputs, *self._scope.units, *self._scope.own_reads)
        if not self._notes.new_name(text, tree.place, taken):
            return None
        if unit is not None:
            self._scope.outputs[text] = unit
        return text

    def _outputs(self, section: Section, units: list[Unit]) -> list[str]:
        names = []
        for item, unit in zip(section.items("as"), units, strict=False):
            text = self._notes.text(item, "a name")
            name = None if text is None else self._new_output(text, item, unit)
            if name is not None:
                names.append(name)
        return names


def take_at(step: StepTerm, frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
    """Take the step; what prevents it is told with its place in the file."""
    try:
        step.take(frame, steps, outcomes)
    except ScriptError:
        raise
    except (SeawallError, EncodingError, NativeError) as error:
        where = f"{error.what} (at {error.where})" if error.where else error.what
        raise ScriptError([Problem(where, step.place, error.fix or "wait for another block")]) from error


def _plain(amount: Given) -> int:
    if isinstance(amount, Outcome):
        raise ExpressionError("a loan's amount is known before", "give an amount, not what a step brings", 0)
    if amount <= 0:
        raise ExpressionError(f"a loan of {amount}", "borrow more than nothing", 0)
    return amount


def _measured(amount: Given) -> Amount:
    return Measured(amount.name) if isinstance(amount, Outcome) else amount
