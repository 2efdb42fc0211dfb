"""Asks endpoints for the logs of a range, and believes no more than the answer shows.

Flow: `eth_getLogs` of the span travels in one batch with the header of its last block, so that the same
endpoint says both: one that lags, and would show a part of the range as all of it, does not have that block.
Of an answer every log is checked to be in the span, to match the filter, to be in order, not removed, and to
be there once; logs of the last block must carry its hash.

Where the network's headers hash to their own hash the header's bloom is a witness: it may rule out logs that
the answer holds in the last block (then the endpoint is disproved), or admit some that it does not hold. Of
such suspicions one in `AUDIT_EVERY` answers is followed up, where receipts can be proved: all receipts of the
block are read and held against its root, and the span is asked again with what they show as a must. An
endpoint that still leaves it out is disproved.

A refusal is an answer, for the planner (`chain.logs.planner`) to learn from; it blames nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from seawall.chain import decoding
from seawall.chain.client import ChainClient, StateCheck, filter_fields
from seawall.chain.headers import require_own_hash
from seawall.chain.logs.bloom import BLOOM_BYTES, may_hold
from seawall.chain.logs.caps import Refusal, refusal_of, refusal_of_text
from seawall.chain.logs.planner import Span
from seawall.chain.networks import Network, Proofs
from seawall.chain.receipts import body_of, logs_of, receipts_in
from seawall.chain.rpc import Request, RpcError, is_block_unknown
from seawall.primitives.blocks import Log, LogFilter
from seawall.primitives.errors import (
    ChainError,
    DisprovedError,
    EndpointError,
    UnavailableError,
    UnknownBlockError,
)
from seawall.primitives.units import Hash, hex_text

__all__ = ["AUDIT_EVERY", "Answer", "LogReads", "matches"]

# Of as many answers one suspicion is followed up at most: in full blocks the bloom admits nearly everything.
AUDIT_EVERY: Final = 16
_NUMBER_MAX: Final = 2**63 - 1

_Answers = Sequence["object | RpcError"]


@dataclass(frozen=True, slots=True)
class Answer:
    """All logs of the span that match, in the order of the chain."""

    span: Span
    logs: tuple[Log, ...]
    last_hash: Hash


@dataclass(frozen=True, slots=True)
class _Header:
    hash: Hash
    bloom: bytes | None  # None where nothing commits to it


@dataclass(slots=True)
class LogReads:
    """Questions for logs of one filter over the pool of one chain."""

    client: ChainClient
    wanted: LogFilter
    check: StateCheck = StateCheck.AGREEMENT
    calls: int = 0  # of eth_getLogs
    refusals: int = 0
    audits: int = 0
    _until_audit: int = field(default=0)

    async def ask(self, span: Span) -> Answer | Refusal:
        """Raises `ChainError` if nobody answers, or only what cannot be."""
        found = await self._ask(span, frozenset())
        if isinstance(found, Refusal):
            self.refusals += 1
            return found
        answer, is_suspect = found
        self._until_audit -= 1
        if is_suspect and self._until_audit <= 0 and self._network.proofs is Proofs.RECEIPTS:
            self._until_audit = AUDIT_EVERY
            missing = await self._missing(answer)
            if missing:
                again = await self._ask(span, missing)
                return again if isinstance(again, Refusal) else again[0]
        return answer

    @property
    def _network(self) -> Network:
        return self.client.network

    async def _ask(self, span: Span, musts: frozenset[tuple[Hash, int]]) -> tuple[Answer, bool] | Refusal:
        where = f"blocks {span.first} to {span.last}"
        asked = {**filter_fields(self.wanted), "fromBlock": hex(span.first), "toBlock": hex(span.last)}
        requests = [
            Request("eth_getLogs", (asked,)),
            Request("eth_getBlockByNumber", (hex(span.last), False)),
        ]

        def decode(answers: _Answers) -> tuple[Answer, bool] | Refusal:
            if isinstance(answers[0], RpcError):
                refusal = refusal_of(answers[0])
                if refusal is None:
                    raise _refused(answers[0], where)
                return refusal
            header = self._header(answers[1], span.last, where)
            logs = tuple(logs_of(answers[0]))
            _require_unremoved(answers[0], where)
            self._require_possible(logs, span, header, where)
            if not musts <= {(log.block_hash, log.log_index) for log in logs}:
                raise DisprovedError(
                    "logs that its block is proved to hold are left out", where, "do not use this endpoint"
                )
            in_last = bool(logs) and logs[-1].block_number == span.last
            admits = header.bloom is not None and may_hold(header.bloom, self.wanted)
            return Answer(span, logs, header.hash), admits and not in_last

        self.calls += 1
        read = self.client.pool.agreed if self.check is StateCheck.AGREEMENT else self.client.pool.read
        try:
            return await read(requests, decode)
        except UnavailableError as error:
            # A proxy's refusal may come as a status, and so as the last failure of whoever was asked.
            refusal = refusal_of_text(error.what)
            if refusal is None:
                raise
            return refusal

    def _header(self, answer: object | RpcError, number: int, where: str) -> _Header:
        if isinstance(answer, RpcError) and not is_block_unknown(answer):
            raise _refused(answer, where)
        if answer is None or isinstance(answer, RpcError):
            # It lags: what it has of the range would look like all of it.
            raise UnknownBlockError("the last block is not known", where, "another endpoint is asked")
        shown = decoding.mapping(answer, where)
        if decoding.quantity(shown.get("number"), f"{where}.number", limit=_NUMBER_MAX) != number:
            raise EndpointError("another block than asked", where, "check the endpoint")
        bloom = None
        if self._network.proofs is not Proofs.NONE and require_own_hash(shown, where):
            bloom = decoding.data(shown.get("logsBloom"), f"{where}.logsBloom", size=BLOOM_BYTES)
        return _Header(decoding.digest(shown.get("hash"), f"{where}.hash"), bloom)

    def _require_possible(self, logs: Sequence[Log], span: Span, header: _Header, where: str) -> None:
        """Raise for an answer that cannot be one to this question."""
        wrong = None
        if any(not span.first <= log.block_number <= span.last for log in logs):
            wrong = "a log of a block outside the range"
        elif any(not matches(log, self.wanted) for log in logs):
            wrong = "a log that the filter does not ask for"
        elif any(_place(older) >= _place(newer) for older, newer in pairwise(logs)):
            wrong = "logs out of order, or one twice"
        elif any(
            older.block_number == newer.block_number and older.block_hash != newer.block_hash
            for older, newer in pairwise(logs)
        ):
            wrong = "logs of two blocks of one number"
        in_last = [log for log in logs if log.block_number == span.last]
        if wrong is None and any(log.block_hash != header.hash for log in in_last):
            wrong = "logs of another block than the last"
        if wrong is not None:
            raise EndpointError(wrong, where, "another endpoint is asked")
        if in_last and header.bloom is not None and not may_hold(header.bloom, self.wanted):
            raise DisprovedError(
                "a log that the bloom of its block rules out", where, "do not use this endpoint"
            )

    async def _missing(self, answer: Answer) -> frozenset[tuple[Hash, int]]:
        """What the last block is proved to hold, and the answer does not; empty if it cannot be proved."""
        self.audits += 1
        name = hex_text(answer.last_hash)
        requests = [Request("eth_getBlockByHash", (name, False)), Request("eth_getBlockReceipts", (name,))]

        def decode(answers: _Answers) -> frozenset[tuple[Hash, int]]:
            header, receipts = answers
            for one in answers:
                if isinstance(one, RpcError):
                    raise _refused(one, f"block {name}")
            if header is None or receipts is None:
                raise UnknownBlockError("the block is not known", f"block {name}", "another is asked")
            found = receipts_in(body_of(header, answer.last_hash, self._network), receipts)
            if not found.proved:
                return frozenset()
            return frozenset(
                (log.block_hash, log.log_index)
                for receipt in found.receipts
                for log in receipt.logs
                if matches(log, self.wanted)
            )

        try:
            return await self.client.pool.read(requests, decode)
        except ChainError:
            return frozenset()  # nobody shows them: a suspicion is no proof


def matches(log: Log, wanted: LogFilter) -> bool:
    """Whether the filter asks for this log."""
    if wanted.addresses and log.address not in wanted.addresses:
        return False
    if len(log.topics) < len(wanted.topics):
        return False
    return all(
        not options or topic in options for options, topic in zip(wanted.topics, log.topics, strict=False)
    )


def _place(log: Log) -> tuple[int, int]:
    return log.block_number, log.log_index


def _require_unremoved(answer: object, where: str) -> None:
    if any(isinstance(shown, dict) and shown.get("removed") for shown in decoding.array(answer, where)):
        raise EndpointError("a log that a reorg removed", where, "another endpoint is asked")


def _refused(answer: RpcError, where: str) -> EndpointError:
    return EndpointError(
        f"eth_getLogs: {answer.message} (code {answer.code})", where, "see the endpoint's documentation"
    )
