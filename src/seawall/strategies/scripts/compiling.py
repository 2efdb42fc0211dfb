"""From a tree to something that can be evaluated: every kind is checked here, before any block is seen.

`compiled` turns a node into a `Term`: its kind, and a function of a `Frame`. A literal part has its value at
once. What a function of the language does is in `functions`; this file knows names, operators and literals.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from seawall.strategies.scripts.arithmetic import bounded, bps_down, divided_down
from seawall.strategies.scripts.functions import call
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
from seawall.strategies.scripts.terms import Run, Scope, Term, constant, folded, require

__all__ = ["compiled"]

_GWEI_DECIMALS: Final = 9
_WAD_DECIMALS: Final = 18
_UNITS_BESIDE_TOKENS: Final = (*DURATIONS_S, "bps", "gwei", "usd", "wad")


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
            return call(node, scope)
        case Text():
            raise ExpressionError("a text has no value", "write a number or a name, without quotes", node.at)
        case Route():
            raise ExpressionError("a route stands only in a function", "write quote(...)", node.at)


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
