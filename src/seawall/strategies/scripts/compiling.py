"""From a tree to something that can be evaluated: every kind is checked here, before any block is seen.

`compiled` turns a node into a `Term`: its kind, and a function of a `Frame`. A literal part has its value at
once. What a function of the language does is in `functions`; this file knows names, operators and literals.

Evaluation can fail only as `ExpressionError` (overflow, division by zero) or as the protocol, market or price
that was asked refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from seawall.primitives.units import Address
from seawall.protocols.adapters.erased import AnyAdapter
from seawall.strategies.scripts.arithmetic import bounded, bps_down, divided_down
from seawall.strategies.scripts.kinds import (
    BOOL,
    BPS_KIND,
    DURATION,
    DURATIONS_S,
    NATIVE_UNIT,
    NUMBER,
    USD,
    Base,
    Kind,
    Unit,
    amount_of,
    literal_value,
)
from seawall.strategies.scripts.problems import ExpressionError, nearest, shown
from seawall.strategies.scripts.syntax import (
    Binary,
    Call,
    Choice,
    Flag,
    Literal,
    Name,
    Node,
    Route,
    Text,
    Unary,
)
from seawall.strategies.scripts.world import Feed, Needs, World

__all__ = ["Frame", "Run", "Scope", "Term", "compiled", "constant", "folded", "require"]

_GWEI_DECIMALS: Final = 9
_WAD_DECIMALS: Final = 18
_UNITS_BESIDE_TOKENS: Final = (*DURATIONS_S, "bps", "gwei", "usd", "wad")


@dataclass(slots=True)
class Frame:
    """One evaluation: a world, and values that were computed already."""

    world: World
    definitions: Mapping[str, Term]
    known: dict[str, int] = field(default_factory=dict)
    outer: Frame | None = None  # of a search: what does not depend on its variable is evaluated there, once

    def value(self, name: str) -> int:
        if name in self.known:
            return self.known[name]
        if self.outer is not None:
            return self.outer.value(name)
        try:
            self.known[name] = self.definitions[name].run(self)
        except RecursionError:
            raise ExpressionError(
                f"{name!r} and what it is made of build on each other too deeply", "use fewer `values`", 0
            ) from None
        return self.known[name]


Run = Callable[[Frame], int]


@dataclass(frozen=True, slots=True)
class Term:
    kind: Kind
    run: Run
    at: int
    constant: int | None = None  # what it is worth, where that is known without a block
    failure: ExpressionError | None = None  # why it can never have a value, where that is known already


@dataclass(slots=True)
class Scope:
    """What names mean."""

    units: Mapping[str, Unit]
    adapters: Mapping[str, AnyAdapter]  # by the file's own short names too
    holders: Mapping[str, Address]  # `account`, `key`, and contracts of the address book
    feeds: Mapping[str, Feed]
    needs: Needs
    definitions: dict[str, Term] = field(default_factory=dict)  # variables and values
    outputs: dict[str, Unit] = field(default_factory=dict)  # known on chain only
    own_reads: dict[str, Kind] = field(default_factory=dict)
    is_searching: bool = False  # within an argmax

    def frame(self, world: World) -> Frame:
        return Frame(world, self.definitions)

    def unit(self, node: Node) -> Unit:
        """The token that an argument names."""
        if isinstance(node, Name):
            found = self.units.get(node.text)
            if found is not None:
                return found
            raise ExpressionError(
                f"there is no token {shown(node.text)}", nearest(node.text, self.units), node.at
            )
        raise ExpressionError("a token is expected here", "write its name in the address book", node.at)

    def adapter(self, node: Node) -> AnyAdapter:
        """The protocol that an argument names; it is read from now on."""
        name = node.text if isinstance(node, Name) else node.value if isinstance(node, Text) else None
        if name is None:
            raise ExpressionError("a protocol is expected here", "write its name", node.at)
        adapter = self.adapters.get(name)
        if adapter is None:
            raise ExpressionError(
                f"there is no protocol {shown(name)} on this chain", nearest(name, self.adapters), node.at
            )
        self.needs.adapters[adapter.name] = adapter
        return adapter

    def holder(self, node: Node) -> Address:
        name = node.text if isinstance(node, Name) else ""
        if name not in self.holders:
            raise ExpressionError(f"{shown(name)} is no address here", nearest(name, self.holders), node.at)
        return self.holders[name]


def compiled(node: Node, scope: Scope) -> Term:
    """`ExpressionError` names what is of the wrong kind, or unknown, and where."""
    match node:
        case Literal():
            return _literal(node, scope)
        case Flag():
            return constant(BOOL, int(node.value), node.at)
        case Name():
            return _name(node, scope)
        case Unary():
            return _unary(node, scope)
        case Binary():
            return _binary(node, scope)
        case Choice():
            return _choice(node, scope)
        case Call():
            from seawall.strategies.scripts.functions import call

            return call(node, scope)
        case Text():
            raise ExpressionError("a text has no value", "write a number or a name, without quotes", node.at)
        case Route():
            raise ExpressionError("a route stands only in a function", "write quote(...)", node.at)


def constant(kind: Kind, value: int, at: int) -> Term:
    return Term(kind, lambda _: value, at, value)


def _literal(node: Literal, scope: Scope) -> Term:
    unit = node.unit
    if not unit:
        return constant(NUMBER, literal_value(node.digits, 0, "", node.at), node.at)
    if unit in scope.units:
        token = scope.units[unit]
        value = literal_value(node.digits, token.decimals, unit, node.at)
        return constant(amount_of(token), value, node.at)
    if unit in DURATIONS_S:
        value = literal_value(node.digits, 0, unit, node.at)
        return constant(DURATION, bounded(value * DURATIONS_S[unit], node.at), node.at)
    if unit == "bps":
        return constant(BPS_KIND, literal_value(node.digits, 0, unit, node.at), node.at)
    if unit == "wad":
        return constant(NUMBER, literal_value(node.digits, _WAD_DECIMALS, unit, node.at), node.at)
    if unit == "gwei":
        value = literal_value(node.digits, _GWEI_DECIMALS, unit, node.at)
        return constant(amount_of(NATIVE_UNIT), value, node.at)
    if unit == "usd" and USD.unit is not None:
        return constant(USD, literal_value(node.digits, USD.unit.decimals, unit, node.at), node.at)
    known = (*scope.units, *_UNITS_BESIDE_TOKENS)
    raise ExpressionError(f"there is no token or unit {shown(unit)}", nearest(unit, known), node.at)


def _name(node: Name, scope: Scope) -> Term:
    name = node.text
    block = _BLOCK.get(name)
    if block is not None:
        kind, run = block
        return Term(kind, run, node.at)
    if name in scope.definitions:
        term = scope.definitions[name]
        if term.constant is not None:
            return constant(term.kind, term.constant, node.at)
        return Term(term.kind, lambda frame: frame.value(name), node.at)
    if name in scope.own_reads:
        return Term(scope.own_reads[name], lambda frame: frame.world.own(name), node.at)
    if name in scope.outputs:
        raise ExpressionError(
            f"{name!r} is measured on chain: it has no value yet",
            "use it alone, as the whole amount of a later step",
            node.at,
        )
    if name in scope.units:
        raise ExpressionError(f"{name!r} is a token, not an amount", f"write for example 1 {name}", node.at)
    if name in scope.adapters:
        raise ExpressionError(f"{name!r} is a protocol, not a value", "write quote(...) and such", node.at)
    known = (*scope.definitions, *scope.own_reads, *_BLOCK)
    raise ExpressionError(f"nothing is named {shown(name)}", nearest(name, known), node.at)


_BLOCK: Final[dict[str, tuple[Kind, Run]]] = {
    "block.number": (NUMBER, lambda frame: frame.world.block.number),
    "block.timestamp": (NUMBER, lambda frame: frame.world.block.timestamp_s),
    "block.base_fee": (amount_of(NATIVE_UNIT), lambda frame: frame.world.block.base_fee_wei),
    "block.gas_limit": (NUMBER, lambda frame: frame.world.block.gas_limit),
}


def _unary(node: Unary, scope: Scope) -> Term:
    operand = compiled(node.operand, scope)
    if node.operator == "not":
        require(operand, BOOL, "not")
        return folded(BOOL, lambda frame: int(not operand.run(frame)), node.at, operand)
    if operand.kind == BOOL:
        raise ExpressionError("true or false has no sign", "write `not`", node.at)
    return folded(operand.kind, lambda frame: -operand.run(frame), node.at, operand)


def _choice(node: Choice, scope: Scope) -> Term:
    condition, then, otherwise = (compiled(one, scope) for one in (node.condition, node.then, node.otherwise))
    require(condition, BOOL, "if")
    if then.kind != otherwise.kind:
        raise ExpressionError(
            f"one side is {then.kind}, the other {otherwise.kind}", "make both the same kind", node.at
        )
    if condition.constant is not None:
        return then if condition.constant else otherwise  # what is not chosen may be without a value
    return folded(
        then.kind,
        lambda frame: then.run(frame) if condition.run(frame) else otherwise.run(frame),
        node.at,
        condition,
        then,
        otherwise,
    )


def _binary(node: Binary, scope: Scope) -> Term:
    left, right = compiled(node.left, scope), compiled(node.right, scope)
    operator, at = node.operator, node.at
    if operator in ("and", "or"):
        require(left, BOOL, operator)
        require(right, BOOL, operator)
        if operator == "and":
            return folded(BOOL, lambda f: int(bool(left.run(f)) and bool(right.run(f))), at, left, right)
        return folded(BOOL, lambda f: int(bool(left.run(f)) or bool(right.run(f))), at, left, right)
    if operator in _COMPARED:
        return _comparison(operator, left, right, at)
    if operator == "of":
        if right.kind.base not in (Base.AMOUNT, Base.NUMBER):
            raise ExpressionError(f"basis points of {right.kind} are nothing", "give an amount", at)
        return folded(right.kind, lambda f: bps_down(left.run(f), right.run(f), at), at, left, right)
    kind = _kind_of(operator, left.kind, right.kind, at)
    if operator == "+":
        return folded(kind, lambda f: bounded(left.run(f) + right.run(f), at), at, left, right)
    if operator == "-":
        return folded(kind, lambda f: bounded(left.run(f) - right.run(f), at), at, left, right)
    if operator == "*":
        return folded(kind, lambda f: bounded(left.run(f) * right.run(f), at), at, left, right)
    return folded(kind, lambda f: divided_down(left.run(f), right.run(f), at), at, left, right)


_COMPARED: Final[dict[str, Callable[[int, int], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    ">": lambda a, b: a > b,
}


def _comparison(operator: str, left: Term, right: Term, at: int) -> Term:
    # Zero is zero of everything.
    same = left.kind == right.kind or 0 in (_zero(left), _zero(right))
    if not same or BOOL in (left.kind, right.kind):
        raise ExpressionError(
            f"{left.kind} is not compared with {right.kind}",
            "compare what is of one kind; value(...) turns amounts into usd",
            at,
        )
    compare = _COMPARED[operator]
    return folded(BOOL, lambda f: int(compare(left.run(f), right.run(f))), at, left, right)


def _zero(term: Term) -> int | None:
    return term.constant if term.kind == NUMBER else None


def _kind_of(operator: str, left: Kind, right: Kind, at: int) -> Kind:
    """What an arithmetic operator makes of two kinds."""
    if BOOL not in (left, right):
        if operator in ("+", "-") and left == right:
            return left
        if operator == "*" and NUMBER in (left, right):
            return right if left == NUMBER else left
        if operator == "/" and right == NUMBER:
            return left
        if operator == "/" and left == right:
            return NUMBER
    advice = {
        "*": "multiply with a bare number; use mul_div_down(a, b, c) across tokens",
        "/": "divide by a bare number or by the same kind; use mul_div_down(a, b, c) across tokens",
    }.get(operator, "make both the same kind")
    raise ExpressionError(f"{left} {operator} {right} is nothing", advice, at)


def require(term: Term, kind: Kind, by: str) -> None:
    if term.kind != kind:
        raise ExpressionError(f"`{by}` needs {kind}, and this is {term.kind}", f"give {kind}", term.at)


def folded(kind: Kind, run: Run, at: int, *parts: Term) -> Term:
    """A term whose value is computed now where all its parts are known now."""
    failed = next((part.failure for part in parts if part.failure is not None), None)
    if failed is not None:
        return Term(kind, run, at, failure=failed)
    if any(part.constant is None for part in parts):
        return Term(kind, run, at)
    try:
        return constant(kind, run(_NOWHERE), at)
    except ExpressionError as error:
        return Term(kind, run, at, failure=error)


# What is known already looks at no frame.
_NOWHERE: Final = Frame.__new__(Frame)
