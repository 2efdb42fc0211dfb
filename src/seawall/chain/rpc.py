"""JSON-RPC over several endpoints: one transport protocol, an HTTP transport, and the pool that fails over.

Flow: the pool ranks its endpoints, checks the chain id of each on every (re)connect, sends a bounded batch
to the best, and goes to the next when an endpoint does not answer usefully. An answer is either the decoded
JSON value or an `RpcError`; whether that error is a revert, a missing block or a fault of the endpoint is
judged by `chain.node_errors`, where an error's class and an endpoint's health are separate judgements.

Reads only: signed bytes leave through `chain.broadcast`. Time comes from the clock given; only
`HttpTransport` has timeouts of its own. Scores are light (consecutive failures and a cool-down); hedging
and budgets are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from seawall.chain.agreement import Vote, canvass, is_decided, verdict_of
from seawall.chain.decoding import quantity
from seawall.chain.endpoints import MESSAGE_CHARS_MAX
from seawall.chain.node_errors import NodeError, classify, judge
from seawall.chain.transport import (
    BATCH_REQUESTS_MAX,
    CHAIN_ID_REQUEST,
    HttpTransport,
    Request,
    RpcError,
    RpcTransport,
)
from seawall.primitives.errors import (
    ChainIdMismatchError,
    ConfigError,
    DisagreementError,
    DisprovedError,
    EndpointError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import Clock
from seawall.telemetry.logs import get_logger

__all__ = [
    "BATCH_REQUESTS_MAX",
    "HttpTransport",
    "Request",
    "RpcError",
    "RpcPool",
    "RpcTransport",
    "is_block_unknown",
    "is_execution_failure",
]

ENDPOINTS_MAX: Final = 32
# One request is tried this often over the endpoints before it counts as unavailable.
TRIES_MAX: Final = 4
# An endpoint that failed rests COOL_DOWN_FIRST_S, doubled by each further failure up to COOL_DOWN_MAX_S.
COOL_DOWN_FIRST_S: Final = 0.5
COOL_DOWN_MAX_S: Final = 30.0

# An endpoint proved wrong is not asked for STRIKE_FIRST_S, doubled by each further proof up to STRIKE_MAX_S.
STRIKE_FIRST_S: Final = 30.0
STRIKE_MAX_S: Final = 3_600.0

# A chain id is asked this often of an endpoint whose connections change meanwhile.
CHECKS_MAX: Final = 4
_NEVER: Final = -1

T = TypeVar("T")
Decode = Callable[[Sequence["object | RpcError"]], T]
_log = get_logger(__name__)


def is_block_unknown(error: RpcError) -> bool:
    """The endpoint does not have (any more) the block that was named."""
    return classify(error.code, error.message, error.data) is NodeError.BLOCK_UNKNOWN


def is_execution_failure(error: RpcError) -> bool:
    """The call ran and failed by the rules of the EVM: an answer, the same on every endpoint."""
    return classify(error.code, error.message, error.data) is NodeError.REVERTED


def _blames_endpoint(error: RpcError) -> bool:
    return judge(error.code, error.message, error.data).blames_endpoint


@dataclass(slots=True, eq=False)
class _Member:
    """One endpoint of the pool with its light score."""

    transport: RpcTransport
    failures: int = 0  # consecutive
    rests_until_s: float = 0.0
    checked_at_connect: int | None = None
    serves_other: bool = False
    strikes: int = 0
    struck_until_s: float = 0.0


class RpcPool:
    """Several endpoints of one chain; `agreement` of them must say the same where `agreed` is asked."""

    def __init__(
        self, transports: Sequence[RpcTransport], *, chain_id: int, clock: Clock, agreement: int = 1
    ) -> None:
        if not 0 < len(transports) <= ENDPOINTS_MAX:
            raise ConfigError(
                f"{len(transports)} endpoints", f"rpc.{chain_id}", f"give 1 to {ENDPOINTS_MAX} addresses"
            )
        if not 0 < agreement <= len(transports):
            raise ConfigError(
                f"an agreement of {agreement} among {len(transports)} endpoints",
                f"rpc.{chain_id}",
                "give 1 to the number of endpoints",
            )
        self._members = [_Member(transport) for transport in transports]
        self._chain_id = chain_id
        self._clock = clock
        self._agreement = agreement
        self._last: EndpointError | None = None
        self._disagreed = ""

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def agreement(self) -> int:
        return self._agreement

    async def check(self) -> None:
        """At start: a wrong chain on *any* endpoint is raised; dead ones are tolerated while one is alive."""
        last: EndpointError | None = None
        alive = 0
        for member in self._members:
            try:
                await self._check_chain(member)
                alive += 1
            except EndpointError as error:
                self._note_failure(member)
                last = error
        if not alive:
            raise self._unavailable(last)

    async def call(self, method: str, *params: object) -> object:
        """One answer; an `RpcError` becomes an `EndpointError` that repeats its message."""
        (answer,) = await self.batch([Request(method, params)])
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"{method}: {answer.message[:MESSAGE_CHARS_MAX]} (code {answer.code})",
                f"chain {self._chain_id}",
                "see the endpoint's documentation",
            )
        return answer

    async def batch(self, requests: Sequence[Request], *, pinned: bool = False) -> list[object | RpcError]:
        """Answers in order. With `pinned`, a block that no endpoint knows raises `UnknownBlockError`."""
        answers: list[object | RpcError] = []
        for start in range(0, len(requests), BATCH_REQUESTS_MAX):
            answers += await self._batch(requests[start : start + BATCH_REQUESTS_MAX], pinned)
        return answers

    async def read(self, requests: Sequence[Request], decode: Decode[T]) -> T:
        """What `decode` makes of the answers of the first endpoint that it does not refuse.

        `decode` raises `EndpointError` for answers that are not usable, `DisprovedError` for those that
        prove the endpoint wrong (it is then not asked for a while), `UnknownBlockError` for a block that it
        does not have.
        """
        refused: EndpointError | None = None
        unknown: UnknownBlockError | None = None
        for member in self._ranked():
            try:
                vote = await self._vote(member, requests, decode)
            except _RefusedError as error:
                refused = error.cause
                continue
            if vote is None:
                continue
            if not isinstance(vote.value, UnknownBlockError):
                return vote.value
            unknown = vote.value
        if unknown is not None:
            raise unknown
        if refused is not None:
            raise refused
        raise self._unavailable(self._last)

    async def agreed(
        self, requests: Sequence[Request], decode: Decode[T], *, silent: Callable[[T], bool] | None = None
    ) -> T:
        """What at least `agreement` endpoints say. `decode` as for `read`; `silent` as for `verdict_of`."""
        need = self._agreement
        if need == 1:
            return await self.read(requests, decode)
        votes = await self.votes(requests, decode, lambda votes, late: is_decided(votes, need))
        try:
            value = verdict_of(votes, need, f"chain {self._chain_id}, {requests[0].method}", silent=silent)
        except DisagreementError as error:
            self._note_disagreement(error.what)
            raise
        self._note_disagreement("")
        return value

    async def votes(
        self,
        requests: Sequence[Request],
        decode: Decode[T],
        settled: Callable[[Sequence[Vote[T]], bool], bool],
        *,
        everybody: bool = False,
    ) -> list[Vote[T]]:
        """What endpoints say, one vote each, from `agreement` of them at once (or from `everybody`), until
        `settled`. Raises `UnavailableError` if fewer than `agreement` answer."""

        async def ask(member: _Member) -> Vote[T] | None:
            try:
                return await self._vote(member, requests, decode)
            except _RefusedError as error:
                self._last = error.cause
                return None

        members = self._usable()
        need = len(members) if everybody else self._agreement
        votes = await canvass(members, ask, need, settled, self._clock, self._note_failure)
        if len(votes) < self._agreement:
            cause = f"; the last failure: {self._last.what} ({self._last.where})" if self._last else ""
            raise UnavailableError(
                f"{len(votes)} endpoints answered where {self._agreement} must agree{cause}",
                f"chain {self._chain_id}",
                "check the endpoints or add one",
            )
        return votes

    def rest_preferred(self) -> None:
        """The endpoint that would be asked first answers, and what it says leads nowhere: it rests."""
        members = self._usable()
        if len(members) > 1:
            self._note_failure(members[0])

    async def close(self) -> None:
        for member in self._members:
            await member.transport.close()

    async def _batch(self, requests: Sequence[Request], pinned: bool) -> list[object | RpcError]:
        last: EndpointError | None = None
        unknown: RpcError | None = None
        mismatch: ChainIdMismatchError | None = None
        for member in self._ranked():
            try:
                answers = await self._ask(member, requests)
            except ChainIdMismatchError as error:
                mismatch = error
                continue
            except EndpointError as error:
                self._note_failure(member)
                last = error
                continue
            member.failures = 0
            missing = next((a for a in answers if isinstance(a, RpcError) and is_block_unknown(a)), None)
            if missing is None or not pinned:
                return answers
            unknown = missing
        if unknown is not None:
            raise UnknownBlockError(
                f"the pinned block is not known: {unknown.message[:MESSAGE_CHARS_MAX]}",
                f"chain {self._chain_id}",
                "pin a newer block",
            )
        if mismatch is not None and last is None:
            raise mismatch
        raise self._unavailable(last)

    async def _vote(self, member: _Member, requests: Sequence[Request], decode: Decode[T]) -> Vote[T] | None:
        """What one endpoint says; None if it fails. Raises `_RefusedError` for an answer that is no use."""
        try:
            answers = [
                answer
                for start in range(0, len(requests), BATCH_REQUESTS_MAX)
                for answer in await self._ask(member, requests[start : start + BATCH_REQUESTS_MAX])
            ]
        except EndpointError as error:
            self._note_failure(member)
            self._last = error
            return None
        except ChainIdMismatchError as error:
            self._last = EndpointError(error.what, error.where, error.fix)
            return None
        member.failures = 0
        value: T | UnknownBlockError
        try:
            value = decode(answers)
        except UnknownBlockError as error:
            value = error
        except DisprovedError as error:
            self._strike(member, error)
            self._last = error
            return None
        except EndpointError as error:
            raise _RefusedError(error) from None
        return Vote(id(member), member.transport.label, value)

    async def _ask(self, member: _Member, requests: Sequence[Request]) -> list[object | RpcError]:
        answers = await self._send_checked(member, requests)
        if len(answers) != len(requests):
            raise EndpointError(
                f"{len(answers)} answers to {len(requests)} requests",
                member.transport.label,
                "another endpoint is asked",
            )
        for answer in answers:
            if isinstance(answer, RpcError) and _blames_endpoint(answer):
                raise EndpointError(
                    f"busy: {answer.message[:MESSAGE_CHARS_MAX]}",
                    member.transport.label,
                    "another endpoint is asked",
                )
        return answers

    async def _send_checked(self, member: _Member, requests: Sequence[Request]) -> list[object | RpcError]:
        """Answers over connections whose chain was checked: what came while they changed is asked again."""
        transport = member.transport
        for _ in range(CHECKS_MAX):
            if member.checked_at_connect != transport.connects or member.serves_other:
                await self._check_chain(member)
            connects = transport.connects
            answers = await transport.send(requests)
            if transport.connects == connects:
                return answers
        raise EndpointError(
            "its connections change faster than their chain can be checked",
            transport.label,
            "another endpoint is asked",
        )

    async def _check_chain(self, member: _Member) -> None:
        member.checked_at_connect = None
        connects = _NEVER
        answer: object | RpcError = None
        for _ in range(CHECKS_MAX):
            if connects == member.transport.connects:
                break
            connects = member.transport.connects
            (answer,) = await member.transport.send([CHAIN_ID_REQUEST])
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"eth_chainId: {answer.message[:MESSAGE_CHARS_MAX]}",
                member.transport.label,
                "check the endpoint",
            )
        served = quantity(answer, f"eth_chainId of {member.transport.label}")
        member.checked_at_connect = connects
        member.serves_other = served != self._chain_id
        if member.serves_other:
            raise ChainIdMismatchError(
                f"the endpoint serves chain {served} instead of {self._chain_id}",
                member.transport.label,
                "correct its address in the configuration",
            )

    def _usable(self) -> list[_Member]:
        """As given; those that rest later, soonest first; one of another chain last; none struck out."""
        now_s = self._clock.monotonic_s()
        members = [member for member in self._members if member.struck_until_s <= now_s]
        return sorted(
            members, key=lambda member: (member.serves_other, max(member.rests_until_s - now_s, 0.0))
        )

    def _ranked(self) -> list[_Member]:
        """Whom one request is tried on, in order; one alone twice."""
        members = self._usable()
        return (members if len(members) > 1 else members * 2)[:TRIES_MAX]

    def _note_failure(self, member: _Member) -> None:
        member.failures += 1
        rest_s = min(COOL_DOWN_FIRST_S * 2 ** min(member.failures - 1, 16), COOL_DOWN_MAX_S)
        member.rests_until_s = self._clock.monotonic_s() + rest_s
        member.checked_at_connect = None

    def _strike(self, member: _Member, error: DisprovedError) -> None:
        member.strikes += 1
        out_s = min(STRIKE_FIRST_S * 2 ** min(member.strikes - 1, 16), STRIKE_MAX_S)
        member.struck_until_s = self._clock.monotonic_s() + out_s
        _log.error("endpoint_struck_out", endpoint=member.transport.label, proof=error.what, for_s=out_s)

    def _note_disagreement(self, what: str) -> None:
        """Once a change, not once a question."""
        if what and not self._disagreed:
            _log.error("endpoints_disagree", chain=self._chain_id, what=what)
        elif self._disagreed and not what:
            _log.info("endpoints_agree_again", chain=self._chain_id)
        self._disagreed = what

    def _unavailable(self, last: EndpointError | None) -> UnavailableError:
        cause = f": {last.what} ({last.where})" if last is not None else ""
        struck = len(self._members) - len(self._usable())
        out = f"; {struck} struck out for what they showed" if struck else ""
        return UnavailableError(
            f"no endpoint answered{cause}{out}", f"chain {self._chain_id}", "check the endpoints or add one"
        )


class _RefusedError(Exception):
    """An endpoint answered in time what is no use here: no fault of its health."""

    def __init__(self, cause: EndpointError) -> None:
        super().__init__(cause)
        self.cause = cause
