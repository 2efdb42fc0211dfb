"""JSON-RPC over several endpoints: one transport protocol, an HTTP transport, and the pool that fails over.

Flow: the pool ranks its endpoints, checks the chain id of each on every (re)connect, sends a bounded batch
to the best, and goes to the next when an endpoint does not answer usefully. An answer is either the decoded
JSON value or an `RpcError`; whether that error is a revert, a missing block or a fault of the endpoint is
judged here (`is_*`) so that an error's class and an endpoint's health stay separate judgements.

Reads only: signed bytes leave through `chain.broadcast`. Time comes from the clock given; only
`HttpTransport` has timeouts of its own. Scores are light (consecutive failures and a cool-down); hedging
and budgets are not here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from seawall.chain.decoding import quantity
from seawall.chain.endpoints import MESSAGE_CHARS_MAX
from seawall.chain.transport import BATCH_REQUESTS_MAX, HttpTransport, Request, RpcError, RpcTransport
from seawall.primitives.errors import (
    ChainIdMismatchError,
    ConfigError,
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

T = TypeVar("T")
_log = get_logger(__name__)

# EIP-1474's "limit exceeded" and "resource unavailable": this endpoint now, not the request.
_BUSY_CODES: Final = frozenset({-32005, -32002, 429})
_BLOCK_UNKNOWN: Final = (
    "header not found",
    "block not found",
    "unknown block",
    "blocknotfound",
    "block does not exist",
    "hash is not currently canonical",
    "missing trie node",
    "could not find block",
    "resource not found",
    "state not available",
)
_EXECUTION_FAILED: Final = (
    "revert",
    "out of gas",
    "outofgas",
    "invalid opcode",
    "invalidopcode",
    "opcodenotfound",
    "stack underflow",
    "stack overflow",
    "invalid jump",
    "invalidjump",
    "evm error",
    "write protection",
    "vm execution error",
)


def is_block_unknown(error: RpcError) -> bool:
    """The endpoint does not have (any more) the block that was named."""
    message = error.message.lower()
    return error.code == -32001 or any(text in message for text in _BLOCK_UNKNOWN)


def is_execution_failure(error: RpcError) -> bool:
    """The call ran and failed by the rules of the EVM: an answer, the same on every endpoint."""
    message = error.message.lower()
    return error.code == 3 or any(text in message for text in _EXECUTION_FAILED)


@dataclass(slots=True)
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
    """Several endpoints of one chain."""

    def __init__(self, transports: Sequence[RpcTransport], *, chain_id: int, clock: Clock) -> None:
        if not 0 < len(transports) <= ENDPOINTS_MAX:
            raise ConfigError(
                f"{len(transports)} endpoints", f"rpc.{chain_id}", f"give 1 to {ENDPOINTS_MAX} addresses"
            )
        self._members = [_Member(transport) for transport in transports]
        self._chain_id = chain_id
        self._clock = clock

    @property
    def chain_id(self) -> int:
        return self._chain_id

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

    async def read(
        self, requests: Sequence[Request], decode: Callable[[Sequence[object | RpcError]], T]
    ) -> T:
        """What `decode` makes of the answers of the first endpoint that it does not refuse.

        `decode` raises `EndpointError` for answers that are not usable, `DisprovedError` for those that
        prove the endpoint wrong (it is then not asked for a while), `UnknownBlockError` for a block that it
        does not have.
        """
        assert len(requests) <= BATCH_REQUESTS_MAX
        refused: EndpointError | None = None
        unknown: UnknownBlockError | None = None
        for member in self._ranked():
            try:
                return decode(await self._ask(member, requests))
            except DisprovedError as error:
                self._strike(member, error)
                refused = error
            except UnknownBlockError as error:
                unknown = error
            except (EndpointError, ChainIdMismatchError) as error:
                self._note_failure(member)
                refused = error if isinstance(error, EndpointError) else refused
        if unknown is not None:
            raise unknown
        raise self._unavailable(refused)

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

    async def _ask(self, member: _Member, requests: Sequence[Request]) -> list[object | RpcError]:
        if member.checked_at_connect != member.transport.connects or member.serves_other:
            await self._check_chain(member)
        connects = member.transport.connects
        answers = await member.transport.send(requests)
        if member.transport.connects != connects:
            # The answer came over a connection that was opened for it: judge the endpoint before trusting it.
            await self._check_chain(member)
        if len(answers) != len(requests):
            raise EndpointError(
                f"{len(answers)} answers to {len(requests)} requests",
                member.transport.label,
                "another endpoint is asked",
            )
        for answer in answers:
            if isinstance(answer, RpcError) and answer.code in _BUSY_CODES:
                raise EndpointError(
                    f"busy: {answer.message[:MESSAGE_CHARS_MAX]}",
                    member.transport.label,
                    "another endpoint is asked",
                )
        return answers

    async def _check_chain(self, member: _Member) -> None:
        member.checked_at_connect = None
        (answer,) = await member.transport.send([Request("eth_chainId")])
        if isinstance(answer, RpcError):
            raise EndpointError(
                f"eth_chainId: {answer.message[:MESSAGE_CHARS_MAX]}",
                member.transport.label,
                "check the endpoint",
            )
        served = quantity(answer, f"eth_chainId of {member.transport.label}")
        member.checked_at_connect = member.transport.connects
        member.serves_other = served != self._chain_id
        if member.serves_other:
            raise ChainIdMismatchError(
                f"the endpoint serves chain {served} instead of {self._chain_id}",
                member.transport.label,
                "correct its address in the configuration",
            )

    def _ranked(self) -> list[_Member]:
        """As given; those that rest later, soonest first; one of another chain last. One alone: twice."""
        now_s = self._clock.monotonic_s()
        usable = [member for member in self._members if member.struck_until_s <= now_s]
        ranked = sorted(
            usable, key=lambda member: (member.serves_other, max(member.rests_until_s - now_s, 0.0))
        )
        return (ranked if len(ranked) > 1 else ranked * 2)[:TRIES_MAX]

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

    def _unavailable(self, last: EndpointError | None) -> UnavailableError:
        cause = f": {last.what} ({last.where})" if last is not None else ""
        return UnavailableError(
            f"no endpoint answered{cause}", f"chain {self._chain_id}", "check the endpoints or add one"
        )
