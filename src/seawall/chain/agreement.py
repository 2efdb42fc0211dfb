"""Agreement of endpoints: the same question to several, and what counts as their answer.

Flow: `canvass` asks as many endpoints at once as must agree, and further ones only when those fail, differ
or keep silent. `verdict_of` counts: a value is the answer when at least `need` endpoints gave it and no other
value has as many. Values are compared after decoding, so that spelling does not matter.

Silence is not an answer: an endpoint that is dead, busy, or does not have the block yet neither agrees nor
disagrees. With too few answers nothing is decided (`UnavailableError`); with answers that contradict each
other, `DisagreementError` names who said what. Nobody is called a liar here: that takes evidence, and
evidence is judged where answers are decoded (`DisprovedError`).

What it buys: no decision rests on a lie while fewer than `need` endpoints tell the same one; decisions are
made while `need` endpoints answer truthfully.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from seawall.primitives.blocks import Block
from seawall.primitives.errors import DisagreementError, UnavailableError, UnknownBlockError
from seawall.primitives.ports import Clock
from seawall.primitives.units import hex_text

__all__ = ["PATIENCE_S", "Vote", "canvass", "default_agreement", "is_decided", "verdict_of"]

# After this, another endpoint is asked beside one that keeps silent.
PATIENCE_S: Final = 1.0
_SHOWN_CHARS_MAX: Final = 80

M = TypeVar("M")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Vote(Generic[T]):
    """What one endpoint said."""

    endpoint: int  # which one: labels may be the same
    label: str
    value: T | UnknownBlockError


def default_agreement(endpoints: int) -> int:
    """How many must agree where nobody says: 1 of 1, 2 of 2, the majority of more."""
    return endpoints // 2 + 1


async def canvass(
    members: Sequence[M],
    ask: Callable[[M], Awaitable[Vote[T] | None]],
    need: int,
    settled: Callable[[Sequence[Vote[T]], bool], bool],
    clock: Clock,
    note_late: Callable[[M], None],
) -> list[Vote[T]]:
    """Votes of `members`, in their order of preference, until `settled(votes, late)` or nobody is left.

    `need` are asked at once; another one for each that failed (`ask` answers None), when all have answered
    and it is not settled, and when somebody keeps silent longer than `PATIENCE_S` (then `late`).
    """
    left = deque(members)
    asked: dict[asyncio.Future[Vote[T] | None], M] = {}
    votes: list[Vote[T]] = []
    late: set[asyncio.Future[Vote[T] | None]] = set()

    def start() -> None:
        if left:
            member = left.popleft()
            asked[asyncio.ensure_future(ask(member))] = member

    try:
        for _ in range(need):
            start()
        while asked:
            done = await _first_of(asked, clock)
            if not done:
                late |= set(asked)
                start()
            for future in done:
                del asked[future]
                vote = future.result()
                if vote is None:
                    start()
                else:
                    votes.append(vote)
            if settled(votes, bool(late)):
                break
            if not asked:
                start()
    finally:
        for future, member in asked.items():
            if future in late:
                note_late(member)
            future.cancel()
        if asked:
            await asyncio.wait(asked)
    return votes


def verdict_of(
    votes: Sequence[Vote[T]], need: int, where: str, *, silent: Callable[[T], bool] | None = None
) -> T:
    """The value that at least `need` gave. `silent` tells values that say no more than that nothing is known:
    they count when enough give them, and contradict nobody."""
    groups = _groups(votes)
    strong = [value for value, voters in groups if len(voters) >= need]
    if len(strong) == 1:
        return strong[0]
    unknown = [vote.value for vote in votes if isinstance(vote.value, UnknownBlockError)]
    if not strong and len(unknown) >= need:
        raise unknown[0]
    definite = [(value, voters) for value, voters in groups if silent is None or strong or not silent(value)]
    if len(definite) < 2:
        most = max((len(voters) for _, voters in groups), default=0)
        raise UnavailableError(
            f"{most} endpoints say the same where {need} must",
            where,
            "it is asked again; check the endpoints if it lasts",
        )
    said = "; ".join(f"{', '.join(voters)} say {_shown(value)}" for value, voters in definite)
    raise DisagreementError(
        f"endpoints disagree: {said}",
        where,
        "compare them with another node, and remove the one that is wrong",
    )


def is_decided(votes: Sequence[Vote[T]], need: int) -> bool:
    """Enough of them say the same, be it that the block is not known."""
    unknown = sum(isinstance(vote.value, UnknownBlockError) for vote in votes)
    return unknown >= need or any(len(voters) >= need for _, voters in _groups(votes))


async def _first_of(
    asked: dict[asyncio.Future[Vote[T] | None], M], clock: Clock
) -> set[asyncio.Future[Vote[T] | None]]:
    """Those that are done; none if patience ended first."""
    patience = asyncio.ensure_future(clock.sleep_s(PATIENCE_S))
    waited: list[asyncio.Future[Vote[T] | None] | asyncio.Future[None]] = [*asked, patience]
    try:
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    finally:
        patience.cancel()
    return {future for future in asked if future.done()}


def _groups(votes: Sequence[Vote[T]]) -> list[tuple[T, list[str]]]:
    """Equal values with the labels of those who gave them."""
    groups: list[tuple[T, list[str]]] = []
    for vote in votes:
        if isinstance(vote.value, UnknownBlockError):
            continue
        for value, voters in groups:
            if value == vote.value:
                voters.append(vote.label)
                break
        else:
            groups.append((vote.value, [vote.label]))
    return groups


def _shown(value: object) -> str:
    if isinstance(value, Block):
        text = f"block {value.number} {hex_text(value.hash)}"
    elif isinstance(value, bytes):
        text = hex_text(value)
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(_shown(item) for item in value[:4])}]"
    else:
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}..."
