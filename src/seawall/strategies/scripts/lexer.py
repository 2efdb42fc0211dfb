"""Text of an expression to tokens: numbers, names, quoted texts, operators. Everything is bounded.

number  := digits with `_` between them, an optional fraction, an optional exponent: 1_000.5, 2e18
name    := letter or `_`, then letters, digits, `_`
text    := "..." or '...' without escapes
address := 0x and 40 hex digits
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from seawall.strategies.scripts.problems import ExpressionError, shown

__all__ = ["EXPRESSION_CHARS_MAX", "Token", "TokenKind", "tokens_of"]

EXPRESSION_CHARS_MAX: Final = 2_000
_NUMBER_CHARS_MAX: Final = 120

_TOKEN: Final = re.compile(
    r"(?P<address>0x[0-9a-fA-F]+)"
    r"|(?P<number>[0-9](?:_?[0-9])*(?:\.[0-9](?:_?[0-9])*)?(?:e[0-9]+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<text>\"[^\"\n]*\"|'[^'\n]*')"
    r"|(?P<operator>->|<=|>=|==|!=|[-+*/(),.<>])"
)
_SPACE: Final = re.compile(r"[ \t\r\n]*")


class TokenKind(Enum):
    NUMBER = "number"
    NAME = "name"
    TEXT = "text"
    ADDRESS = "address"
    OPERATOR = "operator"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    kind: TokenKind
    text: str
    at: int  # offset of its first character


def tokens_of(source: str) -> tuple[Token, ...]:
    """All tokens and an `END`; `ExpressionError` at the first character that begins none."""
    if len(source) > EXPRESSION_CHARS_MAX:
        raise ExpressionError(
            f"an expression of {len(source)} characters", f"write at most {EXPRESSION_CHARS_MAX}", 0
        )
    found: list[Token] = []
    at = _after_space(source, 0)
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise ExpressionError(f"{shown(source[at])} means nothing here", _advice(source[at]), at)
        assert match.lastgroup is not None
        token = Token(TokenKind(match.lastgroup), match.group(), at)
        if token.kind is TokenKind.NUMBER and len(token.text) > _NUMBER_CHARS_MAX:
            raise ExpressionError("the number is too long", "no amount has so many digits", at)
        found.append(token)
        at = _after_space(source, match.end())
    return (*found, Token(TokenKind.END, "", len(source)))


def _after_space(source: str, at: int) -> int:
    match = _SPACE.match(source, at)
    return match.end() if match is not None else at


def _advice(character: str) -> str:
    return {
        "=": "compare with ==",
        "&": "write `and`",
        "|": "write `or`",
        "!": "write `not`",
        "%": "write basis points: 1 % is 100 bps",
        "^": "there are no powers: write the number, such as 1e18",
    }.get(character, "write numbers, names, quoted texts and + - * / ( ) , -> < <= == != >= >")
