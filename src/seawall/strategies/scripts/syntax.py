"""Tokens to a tree: a Pratt parser with bounds on nodes and depth. Nothing is known of meanings here.

    loosest  if c then a else b
             or
             and
             not
             < <= == != >= >        (not chained)
             + -
             * /
             -x, `30 bps of x`
    tightest f(a, b), a.b, literals

Arguments of a function may be routes: `weth -> usdx`, or with a verb before them, `deposit usdx -> vault`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.strategies.scripts.lexer import Token, TokenKind, tokens_of
from seawall.strategies.scripts.problems import ExpressionError, shown

__all__ = [
    "DEPTH_MAX",
    "KEYWORDS",
    "NODES_MAX",
    "Binary",
    "Call",
    "Choice",
    "Flag",
    "Literal",
    "Name",
    "Node",
    "Route",
    "Text",
    "Unary",
    "parse",
]

NODES_MAX: Final = 200
DEPTH_MAX: Final = 24
ARGUMENTS_MAX: Final = 16
KEYWORDS: Final = frozenset(("and", "or", "not", "if", "then", "else", "of", "true", "false"))
_COMPARISONS: Final = ("<", "<=", "==", "!=", ">=", ">")
_BINARY: Final = {
    "or": 1,
    "and": 2,
    **dict.fromkeys(_COMPARISONS, 4),
    "+": 5,
    "-": 5,
    "*": 6,
    "/": 6,
}
_NOT_POWER: Final = 3
_UNARY_POWER: Final = 7


@dataclass(frozen=True, slots=True)
class Literal:
    """A number as written, with the unit behind it, if any."""

    digits: str
    unit: str
    at: int


@dataclass(frozen=True, slots=True)
class Flag:
    value: bool
    at: int


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    at: int


@dataclass(frozen=True, slots=True)
class Name:
    """`amount`, `block.number`, or an address."""

    text: str
    at: int


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Node
    at: int


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str  # one of those above, or `of`
    left: Node
    right: Node
    at: int


@dataclass(frozen=True, slots=True)
class Choice:
    condition: Node
    then: Node
    otherwise: Node
    at: int


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Node, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Route:
    verb: str  # empty: a swap
    start: Node
    end: Node
    at: int


Node = Literal | Flag | Text | Name | Unary | Binary | Choice | Call | Route


def parse(source: str) -> Node:
    """The tree of an expression; `ExpressionError` says what was expected where."""
    parser = _Parser(tokens_of(source))
    node = parser.expression(0, 0)
    parser.require_end()
    return node


class _Parser:
    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._next = 0
        self._nodes = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def require_end(self) -> None:
        if self._token.kind is not TokenKind.END:
            raise self._unexpected("the end, or an operator")

    def expression(self, power: int, depth: int) -> Node:
        self._count(depth)
        left = self._prefix(depth)
        compared = False
        while (own := _BINARY.get(self._operator(), 0)) > power:
            token = self._take()
            if token.text in _COMPARISONS:
                if compared:
                    raise ExpressionError("comparisons do not chain", "write a < b and b < c", token.at)
                compared = True
            left = Binary(token.text, left, self.expression(own, depth + 1), token.at)
        return left

    def _prefix(self, depth: int) -> Node:
        token = self._token
        if token.kind is TokenKind.END:
            raise self._unexpected("a value")
        self._take()
        match token.kind, token.text:
            case TokenKind.NUMBER, _:
                return self._literal(token, depth)
            case TokenKind.TEXT, text:
                return Text(text[1:-1], token.at)
            case TokenKind.ADDRESS, text:
                return Name(text, token.at)
            case TokenKind.OPERATOR, "(":
                inner = self.expression(0, depth + 1)
                self._expect(")")
                return inner
            case TokenKind.OPERATOR, "-":
                return Unary("-", self.expression(_UNARY_POWER, depth + 1), token.at)
            case TokenKind.NAME, "not":
                return Unary("not", self.expression(_NOT_POWER, depth + 1), token.at)
            case TokenKind.NAME, "if":
                return self._choice(token, depth)
            case TokenKind.NAME, "true" | "false":
                return Flag(token.text == "true", token.at)
            case TokenKind.NAME, text if text not in KEYWORDS:
                return self._named(token, depth)
        self._next -= 1
        raise self._unexpected("a value")

    def _literal(self, token: Token, depth: int) -> Node:
        unit = ""
        if self._token.kind is TokenKind.NAME and self._token.text not in KEYWORDS:
            unit = self._take().text
        literal = Literal(token.text, unit, token.at)
        if unit == "bps" and self._operator() == "of":
            at = self._take().at
            return Binary("of", literal, self.expression(_UNARY_POWER, depth + 1), at)
        return literal

    def _choice(self, token: Token, depth: int) -> Node:
        condition = self.expression(0, depth + 1)
        self._expect("then")
        then = self.expression(0, depth + 1)
        self._expect("else")
        return Choice(condition, then, self.expression(0, depth + 1), token.at)

    def _named(self, token: Token, depth: int) -> Node:
        if self._operator() == "(":
            return self._call(token, depth)
        text = token.text
        while self._operator() == ".":
            self._take()
            if self._token.kind is not TokenKind.NAME:
                raise self._unexpected("a name after the dot")
            text += f".{self._take().text}"
        return Name(text, token.at)

    def _call(self, token: Token, depth: int) -> Node:
        self._expect("(")
        arguments: list[Node] = []
        while self._operator() != ")":
            if arguments:
                self._expect(",")
            if len(arguments) == ARGUMENTS_MAX:
                raise ExpressionError("too many arguments", f"give at most {ARGUMENTS_MAX}", token.at)
            arguments.append(self._argument(depth + 1))
        self._expect(")")
        return Call(token.text, tuple(arguments), token.at)

    def _argument(self, depth: int) -> Node:
        first = self.expression(0, depth)
        verb = ""
        if isinstance(first, Name) and self._token.kind is TokenKind.NAME and self._operator() not in _BINARY:
            verb, first = first.text, self.expression(0, depth)
        if self._operator() == "->":
            at = self._take().at
            return Route(verb, first, self.expression(0, depth), at)
        if verb:
            raise self._unexpected("-> and a second token")
        return first

    def _operator(self) -> str:
        return self._token.text if self._token.kind in (TokenKind.OPERATOR, TokenKind.NAME) else ""

    def _take(self) -> Token:
        token = self._token
        if token.kind is not TokenKind.END:
            self._next += 1
        return token

    def _expect(self, text: str) -> None:
        if self._operator() != text:
            raise self._unexpected(f"`{text}`")
        self._take()

    def _count(self, depth: int) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX or depth > DEPTH_MAX:
            raise ExpressionError(
                "the expression is too large", "compute parts of it under `values` first", self._token.at
            )

    def _unexpected(self, wanted: str) -> ExpressionError:
        token = self._token
        found = "the expression ends" if token.kind is TokenKind.END else f"{shown(token.text)} stands"
        fix = "correct the expression"
        if token.kind is TokenKind.END and wanted == "`,`":
            fix = "within { } an expression with a comma needs quotes around it"
        return ExpressionError(f"{found} where {wanted} is expected", fix, token.at)
