"""What endpoints were asked and owe an answer to: how long that is waited for, and who is left because of it.

Flow: every question that goes to several endpoints is entered here while it waits. An endpoint from which
nothing at all has come since it was asked, for as long as `Usual.silent_after_s` says, rests, and everything
that waits for it is asked elsewhere at that moment, as far as `Patient.elsewhere` goes: what is beyond it
waits until its own time is up, so that where all are slow not everything is asked of everybody. Where it
answers other questions meanwhile, only the one that waits is asked elsewhere. Who loses a race of hedged
reads is heard out for the same time: its true latency counts, and a question that nobody needs any more still
shows whether it is alive.

One timer an endpoint, and none while nothing waits. What came while the loop was busy is read before anybody
is called silent. Looks in the background have bounds of their own (`chain.pool.looks`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Generic, TypeVar

from seawall.chain.agreement import Vote
from seawall.chain.pool.budgets import ShareBucket
from seawall.chain.pool.members import Member, Owed, Standing
from seawall.chain.pool.pace import Usual
from seawall.chain.transport import Request
from seawall.primitives.ports import Clock

__all__ = ["SILENCE_BURST_CALLS", "SILENCE_SHARE", "Patient", "Watch"]

# Calls that may be asked elsewhere because somebody keeps silent, of all calls, and so many at once: what
# waits for one endpoint that stops, and not all that is asked where every endpoint is slow.
SILENCE_SHARE: Final = 0.5
SILENCE_BURST_CALLS: Final = 10_000
# Turns of the loop in which answers that are there already are read.
_TURNS: Final = 3

T = TypeVar("T")


class Watch:
    """Over all endpoints of a pool."""

    __slots__ = ("_bugs", "_clock", "_watchers")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._watchers: dict[int, tuple[float, asyncio.Task[None]]] = {}  # until when, by the member's place
        self._bugs: list[BaseException] = []

    def begins(self, member: Member, asking: object, owed: Owed) -> None:
        member.owed[asking] = owed
        watcher = self._watchers.get(member.place)
        if watcher is None or owed.due_s < watcher[0]:
            if watcher is not None:
                watcher[1].cancel()
            self._watch(member, owed.due_s)

    def raise_bug(self) -> None:
        """What a question met that nobody waits for any more, and that is no fault of an endpoint."""
        if self._bugs:
            raise self._bugs.pop()

    def heard(self, member: Member, asking: asyncio.Future[T]) -> None:
        """The answer to a question that nobody waits for any more."""
        member.owed.pop(asking, None)
        bug = None if asking.cancelled() else asking.exception()
        if bug is not None:
            self._bugs.append(bug)

    def close(self, members: Sequence[Member]) -> None:
        for _, watcher in self._watchers.values():
            watcher.cancel()
        for member in members:
            for owed in member.owed.values():
                owed.drop()

    def _watch(self, member: Member, due_s: float) -> None:
        self._watchers[member.place] = (due_s, asyncio.ensure_future(self._watch_until(member, due_s)))

    async def _watch_until(self, member: Member, due_s: float) -> None:
        await self._clock.sleep_s(max(due_s - self._clock.monotonic_s(), 0.0))
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        self._judge(member, self._clock.monotonic_s())
        del self._watchers[member.place]
        if member.owed:
            self._watch(member, min(owed.due_s for owed in member.owed.values()))

    def _judge(self, member: Member, now_s: float) -> None:
        for asking, owed in list(member.owed.items()):
            if owed.due_s > now_s or asking not in member.owed:
                continue
            is_silent = member.answered_at_s <= owed.begun_s
            if is_silent or not owed.is_beaten:
                member.rest("it keeps silent", now_s)
            for each in list(member.owed) if is_silent else [asking]:
                left = member.owed.pop(each)
                if left.is_beaten:
                    left.drop()
                else:
                    left.replace()


@dataclass(frozen=True, slots=True)
class Patient(Generic[T]):
    """The patience of one question (`agreement.Patience`)."""

    watch: Watch
    clock: Clock
    usual: Usual
    spare: ShareBucket  # for the sake of speed
    elsewhere: ShareBucket  # in the place of who keeps silent
    requests: Sequence[Request]

    @property
    def hedge_after_s(self) -> float:
        return self.usual.hedge_after_s()

    def may_hedge(self, member: Member) -> bool:
        serves = member.standing(self.clock.monotonic_s(), self.requests) is Standing.SERVING
        if serves and self.spare.take(len(self.requests)):
            member.hedges += 1
            return True
        return False

    def begins(
        self, member: Member, asking: asyncio.Future[Vote[T] | None], replace: Callable[[], None]
    ) -> None:
        now_s = self.clock.monotonic_s()
        due_s = now_s + self.usual.silent_after_s()
        owed = Owed(now_s, due_s, partial(self._replace, replace), asking.cancel)
        self.watch.begins(member, asking, owed)

    def ends(self, member: Member, asking: asyncio.Future[Vote[T] | None]) -> None:
        member.owed.pop(asking, None)

    def is_beaten(self, member: Member, asking: asyncio.Future[Vote[T] | None]) -> bool:
        member.is_late(self.clock.monotonic_s())
        owed = member.owed.get(asking)
        if owed is None:
            return False
        owed.is_beaten = True
        asking.add_done_callback(partial(self.watch.heard, member))
        return True

    def _replace(self, replace: Callable[[], None]) -> None:
        if self.elsewhere.take(min(len(self.requests), SILENCE_BURST_CALLS)):
            replace()
