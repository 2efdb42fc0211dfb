"""One question to one endpoint: its budget awaited, its chain checked, its answer judged, and all of it
noted.

What comes out is answers, one to each request, over connections that have told the right chain; or a typed
error that speaks against the endpoint. An error that speaks against the request is an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from seawall.chain.decoding import quantity
from seawall.chain.endpoints import MESSAGE_CHARS_MAX
from seawall.chain.node_errors import NodeError, judge
from seawall.chain.pool.members import Member
from seawall.chain.pool.pace import Pace
from seawall.chain.transport import CHAIN_ID_REQUEST, Request, RpcError
from seawall.primitives.errors import (
    ChainIdMismatchError,
    EndpointError,
    MalformedAnswerError,
    RateLimitedError,
    TimedOutError,
)
from seawall.primitives.ports import Clock

__all__ = ["BUDGET_WAIT_S_MAX", "CHECKS_MAX", "Asker"]

# A chain id is asked this often of an endpoint whose connections change meanwhile.
CHECKS_MAX: Final = 4
# A budget that is spent is waited for up to this; after it the question fails.
BUDGET_WAIT_S_MAX: Final = 2.0
_NEVER: Final = -1


class Asker:
    """Asks the endpoints of one chain."""

    __slots__ = ("_chain_id", "_clock", "pace")

    def __init__(self, chain_id: int, clock: Clock) -> None:
        self._chain_id = chain_id
        self._clock = clock
        self.pace = Pace()

    async def ask(self, member: Member, requests: Sequence[Request]) -> list[object | RpcError]:
        """Answers of one endpoint, one to each request; what it did is noted."""
        clock = self._clock
        if member.budget is not None or member.limited_until_s:
            await self._await_budget(member, requests)
        begun_s = clock.monotonic_s()
        is_trial = member.breaker.begin(begun_s)
        member.in_flight += 1
        member.requests += len(requests)
        try:
            answers = await self._send_checked(member, requests)
            if len(answers) != len(requests):
                raise MalformedAnswerError(
                    f"{len(answers)} answers to {len(requests)} requests",
                    member.transport.label,
                    "another endpoint is asked",
                )
            for request, answer in zip(requests, answers, strict=True):
                if isinstance(answer, RpcError):
                    self._blame(member, request, answer)
        except EndpointError as error:
            member.has_failed(error, requests, clock.monotonic_s())
            raise
        finally:
            member.in_flight -= 1
            if is_trial:
                member.breaker.end()
        now_s = clock.monotonic_s()
        usual = self.pace.of(requests)
        usual.observe(now_s - begun_s)
        member.score.answered(now_s - begun_s, usual)
        member.has_answered(requests, now_s)
        return answers

    async def _await_budget(self, member: Member, requests: Sequence[Request]) -> None:
        now_s = self._clock.monotonic_s()
        wait_s = member.wait_s(requests, now_s)
        if wait_s > BUDGET_WAIT_S_MAX:
            raise RateLimitedError(
                f"asked too often: it may be asked again in {wait_s:.1f} s",
                member.transport.label,
                "another endpoint is asked; add one, or raise its budget",
                retry_after_s=wait_s,
            )
        if member.budget is not None:
            member.budget.take(requests, now_s)  # so that who comes after waits longer
        if wait_s > 0:
            await self._clock.sleep_s(wait_s)

    def _blame(self, member: Member, request: Request, answer: RpcError) -> None:
        """Raise for an error that speaks against the endpoint, not against the request."""
        judgement = judge(answer.code, answer.message, answer.data)
        if judgement.error is NodeError.METHOD_UNKNOWN:
            member.lacks(request.method, self._clock.monotonic_s())
        if not judgement.blames_endpoint:
            return
        what = f"busy: {answer.message[:MESSAGE_CHARS_MAX]}"
        where, fix = member.transport.label, "another endpoint is asked"
        if judgement.error is NodeError.RATE_LIMITED:
            raise RateLimitedError(what, where, fix, retry_after_s=_backoff_s(answer.data))
        if judgement.error is NodeError.TIMEOUT:
            raise TimedOutError(what, where, fix)
        raise EndpointError(what, where, fix)

    async def _send_checked(self, member: Member, requests: Sequence[Request]) -> list[object | RpcError]:
        """Answers over connections whose chain was checked: what came while they changed is asked again."""
        transport = member.transport
        for _ in range(CHECKS_MAX):
            if member.checked_at_connect != transport.connects or member.serves_other:
                await self.check_chain(member)
            connects = transport.connects
            answers = await transport.send(requests)
            if transport.connects == connects:
                return answers
        raise EndpointError(
            "its connections change faster than their chain can be checked",
            transport.label,
            "another endpoint is asked",
        )

    async def check_chain(self, member: Member) -> None:
        member.checked_at_connect = None
        connects = _NEVER
        answer: object | RpcError = None
        for _ in range(CHECKS_MAX):
            if connects == member.transport.connects:
                break
            connects = member.transport.connects
            member.requests += 1
            (answer,) = await member.transport.send([CHAIN_ID_REQUEST])
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"eth_chainId: {answer.message[:MESSAGE_CHARS_MAX]}",
                member.transport.label,
                "check the endpoint",
            )
        served = quantity(answer, f"eth_chainId of {member.transport.label}")
        member.checked_at_connect = connects
        member.serves(served, self._chain_id)
        if member.serves_other:
            raise ChainIdMismatchError(
                f"the endpoint serves chain {served} instead of {self._chain_id}",
                member.transport.label,
                "correct its address in the configuration",
            )


def _backoff_s(data: object) -> float | None:
    """What a provider's rate limit says of when to come again, where it says so."""
    rate = data.get("rate") if isinstance(data, dict) else None
    backoff_s = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    return float(backoff_s) if isinstance(backoff_s, int | float) else None
