"""Lanes whose keys are kept elsewhere: their signatures are asked for outside the chain's turn.

Flow: in the turn, candidates of such lanes are judged like all others and taken off the overlay again; a task
of the lane's own asks its signer for exactly what was judged admitted; what comes back waits here, and goes
into a later batch, where the same bytes are judged again on the state of their commit. So a signer that
hangs, is slow or answers wrong holds up its own lane and nobody else, and nothing is committed on an old
verdict. A lane has one request under way.

What cannot be signed is put off with the reason. What was signed and not committed is forgotten: such bytes
never leave this process.

Assumes that whoever takes intents out of the queue has left them *taken* there while they are here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from seawall.ledger.rows import IntentRow
from seawall.native.wire import DynamicFeeTransaction, SignedTransaction, decode_transaction
from seawall.primitives.errors import (
    NativeError,
    SeawallError,
    SignerAnswerError,
    SignerError,
    SignerUnavailableError,
)
from seawall.primitives.identifiers import Lane
from seawall.primitives.ports import Clock
from seawall.primitives.verdicts import Candidate
from seawall.signers.base import Signer
from seawall.telemetry.logs import get_logger
from seawall.telemetry.metrics import Metrics, Stage
from seawall.transactions.batches import Judged
from seawall.transactions.candidates import unsigned
from seawall.transactions.queue import Queues

__all__ = [
    "ASKED_AT_ONCE_MAX",
    "SIGNER_REST_S",
    "SIGNING_TIMEOUT_S",
    "RemoteSigning",
    "SignedAhead",
    "request_of",
]

# Of one lane in one request: as many as a pool promises to keep of a key.
ASKED_AT_ONCE_MAX: Final = 16
# Beyond what a signer allows itself for a call: one that does not end by itself is left.
SIGNING_TIMEOUT_S: Final = 30.0
# A lane whose signer failed is left alone for so long.
SIGNER_REST_S: Final = 5.0
_log = get_logger(__name__)

_Job = tuple[Lane, Signer, Sequence[Judged]]


@dataclass(frozen=True, slots=True)
class SignedAhead:
    """An intent with the very candidate that its signature is of."""

    row: IntentRow
    candidate: Candidate
    signed: SignedTransaction


@dataclass(slots=True)
class RemoteSigning:
    """All such lanes of one chain. `wake` is called when a batch may go on with what was signed."""

    queues: Queues
    clock: Clock
    metrics: Metrics
    wake: Callable[[], None] = lambda: None
    timeout_s: float = SIGNING_TIMEOUT_S
    _jobs: asyncio.Queue[_Job] = field(default_factory=asyncio.Queue)  # one a lane at most
    _asking: set[Lane] = field(default_factory=set)
    _signed: dict[Lane, list[SignedAhead]] = field(default_factory=dict)
    _resting: dict[Lane, float] = field(default_factory=dict)

    def is_busy(self, lane: Lane) -> bool:
        """Whether something of the lane is being signed, or is signed and waits for its batch; or its signer
        failed a moment ago."""
        if lane in self._asking or lane in self._signed:
            return True
        return lane in self._resting and self._resting[lane] > self.clock.monotonic_s()

    def ask(self, lane: Lane, signer: Signer, admitted: Sequence[Judged]) -> None:
        """Have these signed, which were judged one upon the other. They stay taken in their queue."""
        assert not self.is_busy(lane)
        self._asking.add(lane)
        self._jobs.put_nowait((lane, signer, admitted))

    def take(self, lane: Lane, room: int) -> list[SignedAhead]:
        """What is signed, at most `room` of it, for a batch: it is gone from here, used or not."""
        waiting = self._signed.pop(lane, [])
        known = [
            one for one in waiting if lane in self.queues and self.queues[lane].has_taken(one.row.number)
        ]
        self.queues.give_back(one.row for one in known[room:])
        return known[:room]

    def let_go(self, now_s: int) -> None:
        """What is signed and waits, perhaps for long (HALT, a signer that is away), and is to end meanwhile:
        its signature is forgotten."""
        for lane, waiting in self._signed.items():
            over = [one for one in waiting if self.queues.is_over(one.row, now_s)]
            if over:
                self._signed[lane] = [one for one in waiting if one not in over]
                self.queues.give_back(one.row for one in over)

    @property
    def lanes(self) -> tuple[Lane, ...]:
        """Those of which something is signed."""
        return tuple(self._signed)

    async def run(self) -> None:
        """Ask for ever, every lane for itself."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                tasks.create_task(self._ask(*await self._jobs.get()))

    async def _ask(self, lane: Lane, signer: Signer, admitted: Sequence[Judged]) -> None:
        requests = [request_of(one.candidate) for one in admitted]
        try:
            with self.metrics.timing(Stage.SIGN):
                async with asyncio.timeout(self.timeout_s):
                    signed = await signer.sign_transactions(requests)
            _require_asked_for(lane, requests, signed)
        except TimeoutError:
            what = f"the signer did not answer within {self.timeout_s:g} s"
            self._put_off(lane, admitted, SignerUnavailableError(what, str(lane), "look at the signer"))
        except (SignerError, NativeError) as cause:
            self._put_off(lane, admitted, cause)
        else:
            pairs = zip(admitted, signed, strict=True)
            self._signed[lane] = [SignedAhead(one.row, one.candidate, each) for one, each in pairs]
        self._asking.discard(lane)
        self.wake()

    def _put_off(self, lane: Lane, admitted: Sequence[Judged], cause: SeawallError) -> None:
        _log.warning("signing_put_off", lane=str(lane), count=len(admitted), cause=str(cause))
        until_s = self._resting[lane] = self.clock.monotonic_s() + SIGNER_REST_S
        for one in admitted:
            self.queues.put_off(one.row, until_s, f"it could not be signed: {cause}")


def request_of(candidate: Candidate) -> DynamicFeeTransaction:
    """Exactly what a candidate has signed."""
    return unsigned(
        candidate.payload,
        candidate.nonce,
        candidate.max_fee_per_gas_wei,
        candidate.max_priority_fee_per_gas_wei,
    )


def _require_asked_for(
    lane: Lane, requests: Sequence[DynamicFeeTransaction], signed: Sequence[SignedTransaction]
) -> None:
    """The signer's own checks are its own: what is not ours for exactly these fields is never stored."""
    found = []
    try:
        found = [decode_transaction(each.raw) for each in signed]
    except NativeError as error:
        raise _wrong(lane, f"answered what is no transaction: {error.what}") from None
    if [one.fields for one in found] != list(requests):
        raise _wrong(lane, "signed something else than it was asked for")
    if any(one.sender != lane.key for one in found):
        raise _wrong(lane, "signed with another key")


def _wrong(lane: Lane, what: str) -> SignerAnswerError:
    return SignerAnswerError(f"the signer {what}", str(lane), "check what the signer is, and its key")
