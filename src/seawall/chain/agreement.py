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
from functools import partial
from typing import Final, Generic, Protocol, TypeVar

from seawall.primitives.blocks import Block
from seawall.primitives.errors import DisagreementError, UnavailableError, UnknownBlockError
from seawall.primitives.ports import Clock
from seawall.primitives.units import hex_text

__all__ = ["Patience", "Vote", "canvass", "default_agreement", "is_decided", "shown", "verdict_of"]

_SHOWN_CHARS_MAX: Final = 80

M = TypeVar("M")
T = TypeVar("T")
_MemberT_contra = TypeVar("_MemberT_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Vote(Generic[T]):
    """What one endpoint said."""

    endpoint: int  # its place in the pool: labels may be the same
    label: str
    value: T | UnknownBlockError


def default_agreement(endpoints: int) -> int:
    """How many must agree where nobody says: 1 of 1, 2 of 2, the majority of more."""
    return endpoints // 2 + 1


class Patience(Protocol[_MemberT_contra, T]):
    """When another one is asked beside those that keep silent, and who is told of it."""

    @property
    def hedge_after_s(self) -> float:
        """Another is asked for the sake of speed, where that may be."""
        ...

    def may_hedge(self, member: _MemberT_contra) -> bool:
        """Whether this one may be asked for the sake of speed."""
        ...

    def begins(
        self, member: _MemberT_contra, asking: asyncio.Future[Vote[T] | None], replace: Callable[[], None]
    ) -> None:
        """It is asked. `replace` has somebody else asked in its place, where that is needed."""
        ...

    def ends(self, member: _MemberT_contra, asking: asyncio.Future[Vote[T] | None]) -> None:
        """It has answered or failed, or is not needed any more."""
        ...

    def is_beaten(self, member: _MemberT_contra, asking: asyncio.Future[Vote[T] | None]) -> bool:
        """Those asked later answered before it. True if it is heard out all the same."""
        ...


async def canvass(
    members: Sequence[M],
    ask: Callable[[M], Awaitable[Vote[T] | None]],
    need: int,
    settled: Callable[[Sequence[Vote[T]], bool], bool],
    clock: Clock,
    patience: Patience[M, T],
) -> list[Vote[T]]:
    """Votes of `members`, in their order of preference, until `settled(votes, late)` or nobody is left.

    `need` are asked at once; another one for each that failed (`ask` answers None), when all have answered
    and it is not settled, and when somebody keeps silent longer than `patience` allows (then `late`).
    """
    round_ = _Round(deque(members), need, ask, patience)
    try:
        for _ in range(need):
            round_.start()
        await round_.run(settled, clock)
    finally:
        await round_.end()
    return round_.votes


class _Round(Generic[M, T]):
    """One question on its way to several endpoints."""

    __slots__ = (
        "_ask",
        "_asked",
        "_given_up",
        "_late",
        "_left",
        "_need",
        "_overdue",
        "_patience",
        "_wake",
        "votes",
    )

    def __init__(
        self,
        left: deque[M],
        need: int,
        ask: Callable[[M], Awaitable[Vote[T] | None]],
        patience: Patience[M, T],
    ) -> None:
        self._left = left
        self._need = need
        self._ask = ask
        self._patience = patience
        self._asked: dict[asyncio.Future[Vote[T] | None], M] = {}
        self._overdue: set[asyncio.Future[Vote[T] | None]] = set()
        self._given_up: set[asyncio.Future[Vote[T] | None]] = set()
        self._wake: asyncio.Future[None] | None = None  # when patience ends, or somebody is asked meanwhile
        self._late = False
        self.votes: list[Vote[T]] = []

    def start(self) -> None:
        if self._left:
            member = self._left.popleft()
            asking = asyncio.ensure_future(self._ask(member))
            self._asked[asking] = member
            self._patience.begins(member, asking, partial(self._replace, asking))

    async def run(self, settled: Callable[[Sequence[Vote[T]], bool], bool], clock: Clock) -> None:
        self._wake = asyncio.ensure_future(clock.sleep_s(self._patience.hedge_after_s))
        while self._asked:
            waited: list[asyncio.Future[Vote[T] | None] | asyncio.Future[None]] = [*self._asked, self._wake]
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for asking in [asking for asking in self._asked if asking.done()]:
                self._patience.ends(self._asked.pop(asking), asking)
                vote = asking.result()
                if vote is None:
                    self.start()
                else:
                    self.votes.append(vote)
            if self._wake.done() and self._asked:
                self._wake = asyncio.get_running_loop().create_future()
                if not self._late:
                    self._hedge()
            if settled(self.votes, self._late):
                return
            if not self._asked:
                self.start()

    async def end(self) -> None:
        cancelled = []
        for asking, member in self._asked.items():
            if asking in self._overdue:
                if self._patience.is_beaten(member, asking):
                    continue
            else:
                self._patience.ends(member, asking)
            asking.cancel()
            cancelled.append(asking)
        if self._wake is not None:
            self._wake.cancel()
        if cancelled:
            await asyncio.wait(cancelled)

    def _hedge(self) -> None:
        """Ask somebody else beside those who take longer than usual, where that may be."""
        self._late = True
        self._overdue |= set(self._asked)
        if self._left and self._patience.may_hedge(self._left[0]):
            self.start()

    def _replace(self, asking: asyncio.Future[Vote[T] | None]) -> None:
        """Nothing more is expected of whom this was asked."""
        if asking not in self._asked or self._wake is None:
            return
        self._late = True
        self._overdue.add(asking)
        self._given_up.add(asking)
        expected = sum(other not in self._given_up for other in self._asked)
        if expected == 0 or len(self.votes) + expected < self._need:
            self.start()
        self._wake.cancel()


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
    said = "; ".join(f"{', '.join(voters)} say {shown(value)}" for value, voters in definite)
    raise DisagreementError(
        f"endpoints disagree: {said}",
        where,
        "compare them with another node, and remove the one that is wrong",
    )


def is_decided(votes: Sequence[Vote[T]], need: int) -> bool:
    """Enough of them say the same, be it that the block is not known."""
    unknown = sum(isinstance(vote.value, UnknownBlockError) for vote in votes)
    return unknown >= need or any(len(voters) >= need for _, voters in _groups(votes))


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


def shown(value: object) -> str:
    if isinstance(value, Block):
        text = f"block {value.number} {hex_text(value.hash)}"
    elif isinstance(value, bytes):
        text = hex_text(value)
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(item) for item in value[:4])}]"
    else:
        text = repr(value)
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}..."
