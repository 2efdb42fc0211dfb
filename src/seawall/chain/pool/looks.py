"""Looks at endpoints in the background, so that no question pays for finding out how they are.

Who rests is looked at when its time is over, who lags until its head is near the others', who serves another
chain until it serves ours, and who is not asked anything for a while, so that its latency and its head are
known when it is needed. A look asks for the chain and for the head, and is bounded by `PROBE_TIMEOUT_S`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from seawall.chain.decoding import quantity
from seawall.chain.pool.asking import Asker
from seawall.chain.pool.members import Member
from seawall.chain.pool.timeouts import PROBE_TIMEOUT_S
from seawall.chain.transport import Request, RpcError
from seawall.primitives.errors import ChainError, ChainIdMismatchError, EndpointError, RateLimitedError
from seawall.primitives.ports import Clock

__all__ = ["HEAD_REQUEST", "IDLE_LOOK_S", "LAG_LOOK_S", "Lookout"]

# Endpoints that are not asked anything else are looked at so often.
IDLE_LOOK_S: Final = 5.0
LAG_LOOK_S: Final = 1.0
_Answers = Sequence["object | RpcError"]
HEAD_REQUEST: Final = Request("eth_blockNumber")


class Lookout:
    """Looks at `members`; `tip_number` tells the newest head that is known."""

    __slots__ = ("_asker", "_clock", "_looks", "_members", "_tip_number")

    def __init__(
        self, members: Sequence[Member], asker: Asker, clock: Clock, tip_number: Callable[[], int]
    ) -> None:
        self._members = members
        self._asker = asker
        self._clock = clock
        self._tip_number = tip_number
        self._looks: set[asyncio.Task[None]] = set()

    def look_around(self, now_s: float) -> None:
        """Begin a look at whoever is due."""
        for look in [look for look in self._looks if look.done()]:
            self._looks.discard(look)
            look.result()
        for member in self._members:
            if not member.is_looked_at and self._is_due(member, now_s):
                member.is_looked_at = True
                self._looks.add(asyncio.ensure_future(self._look_at(member)))

    def ask_again(
        self, member: Member, requests: Sequence[Request], is_same: Callable[[_Answers], bool], what: str
    ) -> None:
        """It said of a fixed block what enough others contradict. A node that answers as it takes a block in
        does that once; who does it again is left out."""
        if not member.is_questioned:
            member.is_questioned = True
            self._looks.add(asyncio.ensure_future(self._question(member, requests, is_same, what)))

    def close(self) -> None:
        for look in self._looks:
            look.cancel()

    def _is_due(self, member: Member, now_s: float) -> bool:
        if member.struck_until_s > now_s or member.wait_s((HEAD_REQUEST,), now_s) > 0:
            return False
        since_s = now_s - member.looked_at_s
        if member.serves_other:
            return since_s >= IDLE_LOOK_S
        if not member.breaker.is_closed:
            return member.breaker.admits(now_s)
        if member.is_lagging:
            return since_s >= LAG_LOOK_S
        return min(since_s, now_s - member.answered_at_s) >= IDLE_LOOK_S

    async def _question(
        self, member: Member, requests: Sequence[Request], is_same: Callable[[_Answers], bool], what: str
    ) -> None:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                answers = await self._asker.ask(member, requests)
            if not is_same(answers):
                member.dissents(what, self._clock.monotonic_s(), is_certain=True)
        except (TimeoutError, ChainError):
            pass  # it says nothing now, or does not have the block any more
        finally:
            member.is_questioned = False

    async def _look_at(self, member: Member) -> None:
        """Ask for its chain and its head."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_S):
                await self._asker.check_chain(member)
                (answer,) = await self._asker.ask(member, (HEAD_REQUEST,))
            number = quantity(answer, f"eth_blockNumber of {member.transport.label}")
        except TimeoutError:
            member.rest("it keeps silent", self._clock.monotonic_s())
        except RateLimitedError:
            pass  # noted: it is looked at when it may be
        except EndpointError as error:
            member.rest(error.what, self._clock.monotonic_s())
        except ChainIdMismatchError:
            pass  # noted, and looked at again
        else:
            member.shows_head(number, max(self._tip_number(), number))
        finally:
            member.is_looked_at = False
            member.looked_at_s = self._clock.monotonic_s()
