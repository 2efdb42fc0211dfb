"""What a node's error means, what to do about it, and whether it speaks against the endpoint.

Flow: `classify` finds the meaning in the words (`chain.node_texts`), and in the code where the words say
nothing; the meaning decides the action (`JUDGEMENTS`). Whether the endpoint is to blame is a judgement of its
own: a full pool or a used nonce is a healthy node's honest answer, a rate limit is not.

Words before codes, because clients do not share codes: -32001 is "block not found" at one and "nonce too low"
at another, -32005 a rate limit or a range that is too wide. Of several texts in one message the first counts,
and of those that begin together the longest: a node's own words come before what they quote (a revert's
reason is anybody's text). Unknown stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from seawall.chain.node_texts import ROWS, WRAPPINGS, NodeError, Row

__all__ = ["JUDGEMENTS", "Action", "Judgement", "NodeError", "classify", "judge"]

# Longer messages are looked at up to here; a node's own words come first.
TEXT_CHARS_MAX: Final = 2_000
_WILD: Final = "…"
_WILD_CHARS_MAX: Final = 80
_REVERT_CODE: Final = 3


class Action(StrEnum):
    SUCCESS = "success"  # the effect that was asked for is there
    LOOK_UP = "look_up"  # only the chain knows: ask for the hash
    BUMP = "bump"  # the same payload with a higher fee, within its ceiling
    WAIT = "wait"  # the same request later
    RESYNC = "resync"  # our picture of the chain, or the node's, is old: read again
    ASK_ELSEWHERE = "ask_elsewhere"  # the same request to another endpoint
    SPLIT = "split"  # ask for less at once
    GIVE_UP = "give_up"  # the same request fails everywhere
    ALERT = "alert"  # a person must act: money, configuration, or a bug of ours


@dataclass(frozen=True, slots=True)
class Judgement:
    error: NodeError
    action: Action
    blames_endpoint: bool
    proves_refusal: bool  # whoever says it of signed bytes has looked at them, and has not taken them


def _judgements() -> Iterable[Judgement]:
    """What proves a refusal is about the bytes themselves. A used nonce may be theirs; a full pool, a missing
    predecessor or a rate limit says nothing against them; an endpoint that timed out, or whose words nobody
    knows (a proxy's own, say), may have passed them on."""
    for error, action, blames_endpoint, proves_refusal in (
        (NodeError.ALREADY_KNOWN, Action.SUCCESS, False, False),
        (NodeError.NONCE_TOO_LOW, Action.LOOK_UP, False, False),
        (NodeError.NONCE_TOO_HIGH, Action.RESYNC, False, False),
        (NodeError.UNDERPRICED_REPLACEMENT, Action.BUMP, False, True),
        (NodeError.FEE_TOO_LOW, Action.BUMP, False, True),
        (NodeError.INSUFFICIENT_FUNDS, Action.ALERT, False, True),
        (NodeError.POOL_FULL, Action.WAIT, False, False),
        (NodeError.QUEUE_LIMIT, Action.WAIT, False, False),
        (NodeError.GAS_TOO_LOW, Action.GIVE_UP, False, True),
        (NodeError.GAS_TOO_HIGH, Action.GIVE_UP, False, True),
        (NodeError.REVERTED, Action.GIVE_UP, False, True),
        (NodeError.INVALID, Action.ALERT, False, True),
        (NodeError.POLICY, Action.ASK_ELSEWHERE, False, True),
        (NodeError.BLOCK_UNKNOWN, Action.RESYNC, False, False),
        (NodeError.TOO_LARGE, Action.SPLIT, False, False),
        (NodeError.RATE_LIMITED, Action.WAIT, True, False),
        (NodeError.METHOD_UNKNOWN, Action.ASK_ELSEWHERE, False, False),
        (NodeError.BUSY, Action.ASK_ELSEWHERE, True, False),
        (NodeError.TIMEOUT, Action.LOOK_UP, True, False),
        (NodeError.UNKNOWN, Action.ASK_ELSEWHERE, False, False),
    ):
        yield Judgement(error, action, blames_endpoint, proves_refusal)


JUDGEMENTS: Final[Mapping[NodeError, Judgement]] = MappingProxyType({one.error: one for one in _judgements()})

# Where the words say nothing.
_CODES: Final[Mapping[int, NodeError]] = MappingProxyType(
    {
        429: NodeError.RATE_LIMITED,
        4444: NodeError.BLOCK_UNKNOWN,  # EIP-4444: pruned
        -32001: NodeError.BLOCK_UNKNOWN,  # EIP-1474: resource not found
        -32002: NodeError.BUSY,  # EIP-1474: resource unavailable
        -32005: NodeError.RATE_LIMITED,  # EIP-1474: limit exceeded
        -32012: NodeError.RATE_LIMITED,
        -32016: NodeError.RATE_LIMITED,
        -32600: NodeError.INVALID,
        -32601: NodeError.METHOD_UNKNOWN,
        -32602: NodeError.INVALID,
        -32604: NodeError.METHOD_UNKNOWN,
        -32700: NodeError.INVALID,
        -38010: NodeError.NONCE_TOO_LOW,  # eth_simulateV1
        -38011: NodeError.NONCE_TOO_HIGH,
        -38013: NodeError.GAS_TOO_LOW,
        -38014: NodeError.INSUFFICIENT_FUNDS,
        -38015: NodeError.GAS_TOO_HIGH,
        -38026: NodeError.TOO_LARGE,
        -39001: NodeError.BLOCK_UNKNOWN,
    }
)


def classify(code: int, message: str, data: object = None) -> NodeError:
    """The meaning of an error object's members, as they came."""
    if code == _REVERT_CODE:
        return NodeError.REVERTED
    for text in (message, data):
        if isinstance(text, str):
            found = _first(_TEXTS, text)
            if found is not None:
                return found
    return _CODES.get(code) or _first(_WRAPPING_TEXTS, message) or NodeError.UNKNOWN


def judge(code: int, message: str, data: object = None) -> Judgement:
    return JUDGEMENTS[classify(code, message, data)]


@dataclass(frozen=True, slots=True)
class _Text:
    error: NodeError
    literal: str
    pattern: re.Pattern[str] | None  # where it has a wild part

    def span(self, message: str) -> tuple[int, int] | None:
        """Begin and end in a lower-case message."""
        if self.pattern is not None:
            found = self.pattern.search(message)
            return found and found.span()
        begin = message.find(self.literal)
        return None if begin < 0 else (begin, begin + len(self.literal))


def _compiled(rows: tuple[Row, ...]) -> tuple[_Text, ...]:
    wild = f".{{1,{_WILD_CHARS_MAX}}}?"
    return tuple(
        _Text(
            row.error,
            text.lower(),
            re.compile(wild.join(map(re.escape, text.lower().split(_WILD))), re.DOTALL)
            if _WILD in text
            else None,
        )
        for row in rows
        for text in row.texts
    )


def _first(texts: tuple[_Text, ...], message: str) -> NodeError | None:
    lowered = message[:TEXT_CHARS_MAX].lower()
    best: tuple[int, int] | None = None
    meaning = None
    for text in texts:
        span = text.span(lowered)
        if span is not None and (best is None or (span[0], -span[1]) < best):
            best, meaning = (span[0], -span[1]), text.error
    return meaning


_TEXTS: Final = _compiled(ROWS)
_WRAPPING_TEXTS: Final = _compiled(WRAPPINGS)
