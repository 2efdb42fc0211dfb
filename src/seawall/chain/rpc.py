"""JSON-RPC over several endpoints: whom to ask, how long to wait for them, and whom to leave out.

Flow: the pool ranks its endpoints (`chain.pool.members`): who serves, is up to date and costs least comes
first; heads are asked for in turn, by weight. The chain id of each is checked on every (re)connect. A bounded
batch goes to as many as are needed; the next one is asked when one fails, when one takes longer than such
questions usually do (a *hedge*, within a budget of `HEDGE_SHARE`), and when one is silent (within one of
`SILENCE_SHARE`). Who failed rests by its breaker; looks in the background find out when it may be asked
again, so that no question pays for that. An answer is either the decoded JSON value or an `RpcError`; whether
that is a revert, a missing block or a fault of the endpoint is judged by `chain.node_errors`.

Reads only: signed bytes leave through `chain.broadcast`. Time comes from the clock given; only
`HttpTransport` has timeouts of its own. Nothing is cached here, and floats decide only whom to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from seawall.chain.agreement import Vote, canvass, is_decided, shown, verdict_of
from seawall.chain.endpoints import MESSAGE_CHARS_MAX
from seawall.chain.node_errors import NodeError, classify
from seawall.chain.pool.asking import Asker
from seawall.chain.pool.budgets import Budget, ShareBucket
from seawall.chain.pool.looks import HEAD_REQUEST, Lookout
from seawall.chain.pool.members import Member, Standing
from seawall.chain.pool.settings import EndpointSettings
from seawall.chain.pool.waiting import SILENCE_BURST_CALLS, SILENCE_SHARE, Patient, Watch
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
    MalformedAnswerError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.ports import Clock
from seawall.telemetry.endpoints import EndpointHealth
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
# Calls that may be made for the sake of speed, of all calls, and so many at once.
HEDGE_SHARE: Final = 0.04
HEDGE_BURST_CALLS: Final = 100
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


class RpcPool:
    """Several endpoints of one chain; `agreement` of them must say the same where `agreed` is asked."""

    def __init__(
        self,
        transports: Sequence[RpcTransport],
        *,
        chain_id: int,
        clock: Clock,
        agreement: int = 1,
        settings: Sequence[EndpointSettings] = (),
    ) -> None:
        """`settings` are those of `transports`, in their order, or none."""
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
        assert not settings or len(settings) == len(transports)
        now_s = clock.monotonic_s()
        self._members = [
            Member(transport, place, name, answered_at_s=now_s)
            for place, (transport, name) in enumerate(zip(transports, _names(transports), strict=True))
        ]
        for member, own in zip(self._members, settings, strict=False):
            member.settings, member.budget = own, Budget.of(own, now_s)
        self._chain_id = chain_id
        self._clock = clock
        self._agreement = agreement
        self._asker = Asker(chain_id, clock)
        self._lookout = Lookout(self._members, self._asker, clock, lambda: self.tip_number)
        self._watch = Watch(clock)
        self._spare = ShareBucket(HEDGE_SHARE, HEDGE_BURST_CALLS)
        self._elsewhere = ShareBucket(SILENCE_SHARE, SILENCE_BURST_CALLS)
        self._last: EndpointError | None = None
        self._disagreed = ""
        self._head_source: Member | None = None  # whose head was taken last, where one is believed
        self.tip_number = _NEVER  # the newest head that was agreed on, or that its follower connected
        self.needed = 0  # calls that the questions took as they are, without any further ones

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def agreement(self) -> int:
        return self._agreement

    @property
    def size(self) -> int:
        return len(self._members)

    @property
    def sent(self) -> int:
        """Calls that were sent, each one of a batch counted."""
        return sum(member.requests for member in self._members)

    def health(self) -> list[EndpointHealth]:
        """How each endpoint stands."""
        now_s = self._clock.monotonic_s()
        return [member.health(now_s) for member in self._members]

    def events(self) -> list[str]:
        """What was noted of the endpoints lately, by endpoint, oldest first."""
        return [f"{member.name}: {event}" for member in self._members for event in member.events]

    async def check(self) -> None:
        """At start: a wrong chain on *any* endpoint is raised; dead ones are tolerated while one is alive."""
        found = await asyncio.gather(*map(self._checked, self._members))
        other = next((error for error in found if isinstance(error, ChainIdMismatchError)), None)
        if other is not None:
            raise other
        if all(error is not None for error in found):
            last = found[-1]
            raise self._unavailable(last if isinstance(last, EndpointError) else None)

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
        decode = _pinned if pinned else _as_they_are
        answers: list[object | RpcError] = []
        for start in range(0, len(requests), BATCH_REQUESTS_MAX):
            part = requests[start : start + BATCH_REQUESTS_MAX]
            found = await self.read(part, decode)
            for _ in self._members[1:TRIES_MAX]:
                if not any(isinstance(each, RpcError) and _is_lacking(each) for each in found):
                    break
                found = await self.read(part, decode)  # those without the method are asked last now
            answers += found
        return answers

    async def read(self, requests: Sequence[Request], decode: Decode[T]) -> T:
        """What `decode` makes of the answers of the first endpoint that it does not refuse.

        `decode` raises `EndpointError` for answers that are not usable, `DisprovedError` for those that
        prove the endpoint wrong (it is then not asked for a while), `UnknownBlockError` for a block that it
        does not have.
        """
        members = self._order(requests)
        self.needed += len(requests)
        failures = _Failures()
        votes: list[Vote[T]] = []
        if len(self._members) == 1:
            for member in members * 2:
                vote = await self._vote(member, requests, decode, failures)
                if vote is not None:
                    votes.append(vote)
                    if not isinstance(vote.value, UnknownBlockError):
                        return vote.value
        else:
            votes = await canvass(
                members[:TRIES_MAX],
                lambda member: self._vote(member, requests, decode, failures),
                1,
                _is_told,
                self._clock,
                self._patience(requests, 1),
            )
        for vote in votes:
            if not isinstance(vote.value, UnknownBlockError):
                for other in votes:
                    if isinstance(other.value, UnknownBlockError):
                        self._members[other.endpoint].misses_block()
                return vote.value
        raise self._nothing_from(votes, failures)

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
        if len(votes) > need:
            self._weigh(requests, decode, votes, value, silent)
        return value

    async def votes(
        self,
        requests: Sequence[Request],
        decode: Decode[T],
        settled: Callable[[Sequence[Vote[T]], bool], bool],
        *,
        everybody: bool = False,
        in_turn: bool = False,
    ) -> list[Vote[T]]:
        """What endpoints say, one vote each, from `agreement` of them at once (or from `everybody`), until
        `settled`; `in_turn`, from one after another. Raises `UnavailableError` if fewer than `agreement`
        answer."""
        members = self._order(requests, in_turn=in_turn)
        need = len(members) if everybody else self._agreement
        self.needed += len(requests) * self._agreement
        failures = _Failures()
        votes = await canvass(
            members,
            lambda member: self._vote(member, requests, decode, failures),
            need,
            settled,
            self._clock,
            self._patience(requests, self._agreement),
        )
        if len(votes) < self._agreement:
            last = failures.refused or failures.last
            cause = f"; the last failure: {last.what} ({last.where})" if last else ""
            raise UnavailableError(
                f"{len(votes)} endpoints answered where {self._agreement} must agree{cause}",
                f"chain {self._chain_id}",
                "check the endpoints or add one",
            )
        return votes

    def show_heads(self, shown: Mapping[int, int]) -> None:
        """What endpoints called their newest block at one time: numbers by the endpoint's place."""
        tip_number = self.tip_number
        if 1 < self._agreement <= len(shown):
            tip_number = max(tip_number, sorted(shown.values(), reverse=True)[self._agreement - 1])
        for place, number in shown.items():
            self._members[place].shows_head(number, tip_number)

    def takes_head_of(self, place: int) -> None:
        """The head of the endpoint at `place` was believed: what leads there is asked of it too."""
        self._head_source = self._members[place]

    def rest_preferred(self) -> None:
        """The endpoint whose head was taken answers, and what it says leads nowhere: it rests."""
        if len(self._members) > 1:
            member = self._head_source or self._order((HEAD_REQUEST,))[0]
            member.rest("its heads lead nowhere", self._clock.monotonic_s())

    async def close(self) -> None:
        self._lookout.close()
        self._watch.close(self._members)
        for member in self._members:
            await member.transport.close()

    # ------------------------------------------------------------------ whom to ask

    def _order(self, requests: Sequence[Request], *, in_turn: bool = False) -> list[Member]:
        """Whom a question goes to, the first ones first; nobody who was proved wrong."""
        now_s = self._clock.monotonic_s()
        if len(self._members) == 1:
            return [member for member in self._members if member.struck_until_s <= now_s]
        self._watch.raise_bug()
        self._lookout.look_around(now_s)
        ranked = []
        for member in self._members:
            standing = member.standing(now_s, requests)
            if standing is not Standing.STRUCK_OUT:
                is_behind = not in_turn and member.head_number < self.tip_number
                cost = member.breaker.rests_s(now_s) if standing is Standing.RESTING else member.cost()
                is_source = member is self._head_source
                ranked.append((standing, is_behind, member.is_beaten, not is_source, cost, member.place))
        ranked.sort()
        members = [self._members[place] for *_, place in ranked]
        if in_turn:
            serving = sum(standing is Standing.SERVING for standing, *_ in ranked)
            members = [*self._in_turn(members[:serving]), *members[serving:]]
        return members

    def _in_turn(self, members: list[Member]) -> list[Member]:
        """By weight and cost: each gets its share of turns, spread evenly."""
        for member in members:
            member.credit += 1 / member.cost()
        ordered = sorted(members, key=lambda member: (-round(member.credit, 6), member.place))
        paid = sum(1 / member.cost() for member in members) / self._agreement
        for member in ordered[: self._agreement]:
            member.credit -= paid
        return ordered

    def _patience(self, requests: Sequence[Request], need: int) -> Patient[T]:
        for bucket in (self._spare, self._elsewhere):
            bucket.earn(len(requests) * need)
        usual = self._asker.pace.of(requests)
        return Patient(self._watch, self._clock, usual, self._spare, self._elsewhere, requests)

    # ------------------------------------------------------------------ one endpoint

    async def _vote(
        self, member: Member, requests: Sequence[Request], decode: Decode[T], failures: _Failures
    ) -> Vote[T] | None:
        """What one endpoint says; None if it fails, or if what it says is no use."""
        try:
            if len(requests) <= BATCH_REQUESTS_MAX:
                answers = await self._asker.ask(member, requests)
            else:
                answers = []
                for start in range(0, len(requests), BATCH_REQUESTS_MAX):
                    answers += await self._asker.ask(member, requests[start : start + BATCH_REQUESTS_MAX])
        except EndpointError as error:
            self._last = failures.last = error
            return None
        except ChainIdMismatchError as error:
            failures.mismatch = error
            self._last = EndpointError(error.what, error.where, error.fix)
            return None
        try:
            return Vote(member.place, member.transport.label, decode(answers))
        except UnknownBlockError as error:
            return Vote(member.place, member.transport.label, error)
        except DisprovedError as error:
            member.strike(error.what, self._clock.monotonic_s())
            self._last = failures.last = error
        except EndpointError as error:
            if isinstance(error, MalformedAnswerError):
                member.has_failed(error, requests, self._clock.monotonic_s())
            self._last = failures.refused = error
        return None

    async def _checked(self, member: Member) -> EndpointError | ChainIdMismatchError | None:
        try:
            await self._asker.check_chain(member)
        except EndpointError as error:
            member.has_failed(error, (CHAIN_ID_REQUEST,), self._clock.monotonic_s())
            return error
        except ChainIdMismatchError as error:
            return error
        return None

    # ------------------------------------------------------------------ what it came to

    def _weigh(
        self,
        requests: Sequence[Request],
        decode: Decode[T],
        votes: Sequence[Vote[T]],
        value: T,
        silent: Callable[[T], bool] | None,
    ) -> None:
        """Somebody said something else than what was decided, or nothing."""
        is_pinned = len(requests) <= BATCH_REQUESTS_MAX and all(map(_is_pinned, requests))
        for vote in votes:
            member = self._members[vote.endpoint]
            if isinstance(vote.value, UnknownBlockError):
                member.misses_block()
            elif vote.value == value:
                member.agrees()
            elif silent is None or not silent(vote.value):
                what = f"{requests[0].method}: it says {shown(vote.value)} where others say {shown(value)}"
                if is_pinned:
                    self._lookout.ask_again(member, requests, lambda again: decode(again) == value, what)
                else:
                    member.dissents(what, self._clock.monotonic_s(), is_certain=False)

    def _note_disagreement(self, what: str) -> None:
        """Once a change, not once a question."""
        if what and not self._disagreed:
            _log.error("endpoints_disagree", chain=self._chain_id, what=what)
        elif self._disagreed and not what:
            _log.info("endpoints_agree_again", chain=self._chain_id)
        self._disagreed = what

    def _nothing_from(self, votes: Sequence[Vote[T]], failures: _Failures) -> Exception:
        """What to raise where no endpoint answered usefully."""
        unknown = next((v.value for v in votes if isinstance(v.value, UnknownBlockError)), None)
        if unknown is not None:
            return unknown
        if failures.refused is not None:
            return failures.refused
        if failures.mismatch is not None and failures.last is None:
            return failures.mismatch
        return self._unavailable(failures.last or self._last)

    def _unavailable(self, last: EndpointError | None) -> UnavailableError:
        cause = f": {last.what} ({last.where})" if last is not None else ""
        now_s = self._clock.monotonic_s()
        struck = sum(member.struck_until_s > now_s for member in self._members)
        out = f"; {struck} struck out for what they showed" if struck else ""
        return UnavailableError(
            f"no endpoint answered{cause}{out}", f"chain {self._chain_id}", "check the endpoints or add one"
        )


class _Failures:
    """Why endpoints did not answer one question."""

    __slots__ = ("last", "mismatch", "refused")

    def __init__(self) -> None:
        self.last: EndpointError | None = None
        self.refused: EndpointError | None = None  # an answer in time that is no use here
        self.mismatch: ChainIdMismatchError | None = None


def _names(transports: Sequence[RpcTransport]) -> list[str]:
    """Labels, with their place where several are the same."""
    labels = [transport.label for transport in transports]
    return [
        label if labels.count(label) == 1 else f"{label}#{place}" for place, label in enumerate(labels, 1)
    ]


def _as_they_are(answers: Sequence[object | RpcError]) -> list[object | RpcError]:
    return list(answers)


def _pinned(answers: Sequence[object | RpcError]) -> list[object | RpcError]:
    """As they are, of a block that the endpoint has."""
    for answer in answers:
        if isinstance(answer, RpcError) and is_block_unknown(answer):
            raise UnknownBlockError(
                f"the pinned block is not known: {answer.message[:MESSAGE_CHARS_MAX]}",
                "",
                "pin a newer block",
            )
    return list(answers)


def _is_lacking(answer: RpcError) -> bool:
    return classify(answer.code, answer.message, answer.data) is NodeError.METHOD_UNKNOWN


def _is_told(votes: Sequence[Vote[T]], late: bool) -> bool:
    return any(not isinstance(vote.value, UnknownBlockError) for vote in votes)


def _is_pinned(request: Request) -> bool:
    """Whether the true answer can never be another one."""
    return request.method == "eth_getBlockByHash" or any(
        isinstance(param, Mapping) and "blockHash" in param for param in request.params
    )
