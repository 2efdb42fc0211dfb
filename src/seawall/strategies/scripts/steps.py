"""The steps of a strategy file: each verb's keys, checked, as calls of `composing.Steps`.

`VERBS` lists them with their keys; the documentation prints it. What a step brings is named by `as` and is
then the amount of a later step, alone: what is measured on chain cannot be calculated with before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from seawall.primitives.errors import EncodingError, NativeError, SeawallError, UnavailableActionError
from seawall.primitives.units import ZERO_ADDRESS, Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.protocols.executor.operations import Amount, Call, CallWithAllowance, Measure, Measured
from seawall.protocols.executor.policy import LenderKind
from seawall.strategies.composing import Given, Outcome, Steps
from seawall.strategies.scripts.arguments import read_arguments
from seawall.strategies.scripts.documents import Listed, Scalar, Table, Tree
from seawall.strategies.scripts.fields import Notes, Section
from seawall.strategies.scripts.keys import AmountOf, Keys
from seawall.strategies.scripts.kinds import BOOL, BPS_KIND, NATIVE_UNIT, NUMBER, Unit
from seawall.strategies.scripts.problems import ExpressionError, Problem, ScriptError, nearest, shown
from seawall.strategies.scripts.script import StepTerm, TakeStep
from seawall.strategies.scripts.terms import Frame, Scope

__all__ = ["STEPS_MAX", "VERBS", "StepReader"]

STEPS_MAX: Final = 64
NESTING_MAX: Final = 4
FEE_BPS_MAX: Final = 500
# Lenders whose names in the address book tell their kind, and what they usually ask.
LENDER_NAMES: Final = {
    "balancer_vault": LenderKind.BALANCER_V2,
    "aave_pool": LenderKind.AAVE_V3,
    "spark_pool": LenderKind.AAVE_V3,
    "morpho": LenderKind.MORPHO_BLUE,
    "uniswap_v3_": LenderKind.UNISWAP_V3,
}
FEE_BPS: Final = {LenderKind.AAVE_V3: 9, LenderKind.AAVE_V3_MULTI: 9, LenderKind.UNISWAP_V3: 30}
LENT_FROM_OWN_BALANCE: Final = frozenset(
    (LenderKind.BALANCER_V2, LenderKind.MORPHO_BLUE, LenderKind.UNISWAP_V3)
)
_TRADE: Final = ("on", "give", "get", "amount", "at_least", "tolerance", "as")

VERBS: Final[Mapping[str, tuple[str, ...]]] = {
    "swap": _TRADE,
    "deposit": _TRADE,
    "redeem": _TRADE,
    "supply": ("on", "token", "amount"),
    "withdraw": ("on", "token", "amount", "as"),
    "borrow": ("on", "token", "amount", "as"),
    "repay": ("on", "token", "amount"),
    "add_liquidity": ("on", "share", "amounts", "at_least", "minimums", "tolerance", "as"),
    "remove_liquidity": ("on", "share", "amount", "get", "position", "tolerance", "as"),
    "request_exit": ("on", "share", "amount"),
    "claim_exit": ("on", "request", "get", "as"),
    "claim_rewards": ("on", "get", "position", "as"),
    "flash": ("from", "kind", "borrow", "max_fee", "steps"),
    "choose": ("if", "then", "else"),
    "call": ("to", "function", "arguments", "value", "allow", "gains", "as"),
}
"""Verb: its keys. `flash` and `choose` hold steps of their own."""

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
        self._keys = Keys(scope, notes, contracts)
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
        at = self._keys.adapter(section)
        given, got = self._keys.unit(section, "give"), self._keys.unit(section, "get")
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
        amount = None if given is None else self._keys.amount(section, "amount", given)
        least = self._keys.least(section, got)
        name = self._keys.output(section, got)
        if amount is None or name is None:
            return None
        return _Terms(amount, least, self._keys.tolerance(section), name)

    def _add_liquidity(self, section: Section, _: int) -> TakeStep | None:
        at, share = self._keys.adapter(section), self._keys.unit(section, "share")
        amounts = self._keys.amounts(section, "amounts")
        section.require("amounts", "{weth: 1 weth, usdx: 2_000 usdx}")
        least = self._keys.least(section, share)
        is_quoted = isinstance(tree := section.get("minimums"), Scalar) and tree.text == "quoted"
        minimums = {} if is_quoted else self._keys.amounts(section, "minimums")
        name = self._keys.output(section, share)
        tolerance_bps = self._keys.tolerance(section)
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
                minimums={each: amount(frame, outcomes) for each, amount in minimums.items()}
                if is_quoted or minimums
                else None,
                tolerance_bps=tolerance_bps,
                name=known,
            )

        return take

    def _remove_liquidity(self, section: Section, _: int) -> TakeStep | None:
        at, share = self._keys.adapter(section), self._keys.unit(section, "share")
        amount = None if share is None else self._keys.amount(section, "amount", share)
        section.require("get", "[weth, usdx]")
        got = self._keys.units(section, "get")
        names = self._keys.outputs(section, got)
        position = self._keys.position(section)
        tolerance_bps = self._keys.tolerance(section)
        if at is None or share is None or amount is None or not got:
            return None
        adapter, token, chosen = at, share.token, amount

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            found = steps.remove_liquidity(
                adapter,
                token,
                [unit.token for unit in got],
                chosen(frame, outcomes),
                position=position(frame),
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
        at, unit = self._keys.adapter(section), self._keys.unit(section, key)
        amount = None if unit is None else self._keys.amount(section, "amount", unit, all_word=all_word)
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
        at, unit = self._keys.adapter(section), self._keys.unit(section, "token")
        amount = None if unit is None else self._keys.amount(section, "amount", unit, all_word=all_word)
        name = self._keys.output(section, unit)
        if at is None or unit is None or amount is None or name is None:
            return None
        adapter, token, chosen, known = at, unit.token, amount, name

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            outcomes[known] = verb(steps)(adapter, token, chosen(frame, outcomes), name=known)

        return take

    def _claim_exit(self, section: Section, _: int) -> TakeStep | None:
        at, unit = self._keys.adapter(section), self._keys.unit(section, "get")
        request = section.term("request", self._scope, NUMBER, "1")
        name = self._keys.output(section, unit)
        if at is None or unit is None or request is None or name is None:
            return None
        adapter, token, number, known = at, unit.token, request, name

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            outcomes[known] = steps.claim_exit(adapter, number.run(frame), token, name=known)

        return take

    def _claim_rewards(self, section: Section, _: int) -> TakeStep | None:
        at = self._keys.adapter(section)
        section.require("get", "[crv]")
        got = self._keys.units(section, "get")
        names = self._keys.outputs(section, got)
        position = self._keys.position(section)
        if at is None or not got:
            return None
        adapter = at

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            tokens = [unit.token for unit in got]
            found = steps.claim_rewards(adapter, tokens, position=position(frame), names=names)
            outcomes.update({one.name: one for one in found})

        return take

    # ------------------------------------------------------------------ loans and raw calls

    def _flash(self, section: Section, depth: int) -> TakeStep | None:
        name = section.text("from", "balancer_vault")
        lender = None if name is None else self._keys.contract(section, "from", "balancer_vault")
        loans = self._keys.amounts(section, "borrow")
        section.require("borrow", "{weth: 10 weth}")
        kind = None if name is None else self._lender_kind(section, name, len(loans))
        fee_bps = self._fee_bps(section, kind)
        inner = self.steps(section.require("steps", "[...]"), depth + 1)
        if lender is None or kind is None or not loans or not inner:
            return None
        source, chosen = lender, kind
        self._scope.needs.lenders[source] = chosen
        self._scope.needs.borrowed |= set(loans)
        if chosen in LENT_FROM_OWN_BALANCE:
            self._scope.needs.balances |= {(token, source) for token in loans}

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            amounts = {token: _plain(amount(frame, outcomes)) for token, amount in loans.items()}
            if chosen in LENT_FROM_OWN_BALANCE:
                for token, amount in amounts.items():
                    _require_lendable(amount, frame.world.balance(token, source))
            with steps.flash(source, amounts, fee_max_bps=fee_bps, kind=chosen):
                for step in inner:
                    take_at(step, frame, steps, outcomes)

        return take

    def _lender_kind(self, section: Section, name: str, loans: int) -> LenderKind | None:
        """Said, or known by the lender's name."""
        text = section.optional_text("kind")
        names = {kind.name.lower(): kind for kind in LenderKind}
        if text:
            if text not in names:
                self._notes.add(
                    section.place_of("kind"), f"there is no lender {shown(text)}", nearest(text, names)
                )
            return names.get(text)
        for beginning, kind in LENDER_NAMES.items():
            if name.startswith(beginning):
                return LenderKind.AAVE_V3_MULTI if kind is LenderKind.AAVE_V3 and loans > 1 else kind
        self._notes.add(
            section.place_of("from"),
            "this name does not tell the kind of lender",
            f"add kind: one of {', '.join(names)}",
        )
        return None

    def _fee_bps(self, section: Section, kind: LenderKind | None) -> int:
        term = section.optional_term("max_fee", self._scope, BPS_KIND)
        if term is None:
            return FEE_BPS.get(kind, 0) if kind is not None else 0
        if term.constant is None or not 0 <= term.constant <= FEE_BPS_MAX:
            self._notes.add(
                section.place_of("max_fee"), "the fee is not fixed, or absurd", f"at most {FEE_BPS_MAX} bps"
            )
            return 0
        return term.constant

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
        target = self._keys.contract(section, "to", "weth")
        arguments = read_arguments(section, self._scope, self._notes)
        gains = self._keys.unit(section, "gains") if "gains" in section else None
        name = self._keys.output(section, gains) if gains is not None else ""
        value = self._keys.amount(section, "value", NATIVE_UNIT) if "value" in section else None
        allowed = self._allowance(section)
        if target is None or arguments is None or name is None:
            return None
        to, given, known = target, arguments, name
        self._scope.needs.raw_calls.add((to, given.signature))

        def take(frame: Frame, steps: Steps, outcomes: dict[str, Outcome]) -> None:
            measure = (Measure(known, gains.token),) if known and gains is not None else ()
            paid = _measured(0 if value is None else value(frame, outcomes))
            data, splices = given.data(frame), given.splices(outcomes)
            operation: Call | CallWithAllowance = Call(to, data, paid, splices, measure)
            if allowed is not None:
                token, amount, spender = allowed
                most = _measured(amount(frame, outcomes))
                operation = CallWithAllowance(to, data, token, most, spender, paid, splices, measure)
            token_out = to if gains is None else gains.token
            outcomes[known] = steps.call(operation, token_out, where=given.signature)

        return take

    def _allowance(self, section: Section) -> tuple[Address, AmountOf, Address] | None:
        inner = Section.of(section.get("allow"), ("token", "amount", "spender"), self._notes)
        if inner is None:
            return None
        unit = self._keys.unit(inner, "token")
        amount = None if unit is None else self._keys.amount(inner, "amount", unit)
        spender = self._keys.contract(inner, "spender", "...") if "spender" in inner else ZERO_ADDRESS
        if unit is None or amount is None or spender is None:
            return None
        return unit.token, amount, spender


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


def _require_lendable(amount: int, held: int) -> None:
    if amount > held:
        raise UnavailableActionError(
            f"the lender has {held}, and {amount} is to be borrowed", "flash loan", "borrow less, or wait"
        )


def _measured(amount: Given) -> Amount:
    return Measured(amount.name) if isinstance(amount, Outcome) else amount
