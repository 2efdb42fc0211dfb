"""Rows as the rest of the house sees them: frozen, typed, free of SQL.

Those of which every intent makes several are named tuples: they cost a third of a dataclass to make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, NewType

from seawall.primitives.blocks import Block
from seawall.primitives.frozen import made_quickly
from seawall.primitives.identifiers import AttemptNumber, IntentNumber, Lane
from seawall.primitives.levels import Authority, Finality, IntentState, WriteKind
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, Hash
from seawall.primitives.verdicts import Payload, Verdict

__all__ = [
    "Accepted",
    "Account",
    "AttemptNumber",
    "AttemptRow",
    "Commitment",
    "ControlRow",
    "Ending",
    "EventData",
    "EventRow",
    "InclusionRow",
    "IntentRow",
    "KernelRow",
    "LaneRow",
    "Leg",
    "NewEvent",
    "NewInclusion",
    "PostingEntry",
    "PostingRow",
    "Purpose",
    "SlotRow",
    "SpendRow",
    "TimerRow",
    "VerdictNumber",
    "VerdictRow",
]

VerdictNumber = NewType("VerdictNumber", int)
Purpose = Literal["plan", "gap_fill", "cancel", "foreign"]
Account = Address | Literal["world", "fees", "unexplained"]
"""Where money of a posting comes from or goes to: an address of ours, or one of three names."""
EventData = Mapping[str, str | int | bool | None]


@made_quickly
@dataclass(frozen=True, slots=True)
class IntentRow:
    """An accepted plan and how far it came."""

    number: IntentNumber
    strategy: str
    lane: Lane
    plan: Plan
    plan_digest: Hash
    intent_id: int  # uint256 that the executor records
    state: IntentState
    reason: str
    finality: Finality | None  # of the inclusion or filling behind the state, where there is one
    correlation_id: str
    accepted_at_s: int  # UTC [s]
    ended_at_s: int | None  # UTC [s]
    candidates: int  # built so far
    predicted_wei: int | None  # [smallest unit of the accounting token]
    realised_wei: int | None  # [smallest unit of the accounting token]
    cancel_reason: str | None = None  # cancellation was asked for: by whom and why

    @property
    def is_settled(self) -> bool:
        """An outcome that nothing may change any more."""
        return self.state.is_outcome and self.finality in (None, Finality.FINAL)


@made_quickly
@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a plan: its intent, and whether it is new."""

    intent: IntentRow
    created: bool


class Ending(NamedTuple):
    """An intent's outcome, to be stored."""

    number: IntentNumber
    state: IntentState
    reason: str
    finality: Finality | None
    realised_wei: int | None  # [smallest unit of the accounting token]


@dataclass(frozen=True, slots=True)
class LaneRow:
    lane: Lane
    holder: str | None
    fence: int
    expires_at_s: int  # by its holder's clock, for people, UTC [s]
    renewals: int = 0
    quarantine: str | None = None  # why nothing is dispatched on it


@dataclass(frozen=True, slots=True)
class KernelRow:
    """A kernel of a fleet, as it says of itself."""

    holder: str
    started_at_s: int  # UTC [s]
    beats: int  # grows while it lives
    epoch_seen: int  # of the controls: what it has obeyed
    authority: Authority


@made_quickly
@dataclass(frozen=True, slots=True)
class SlotRow:
    """One nonce of a lane.

    `block_hash` is the block in which a foreign transaction was seen to use it, provisionally: on foreign
    slots, and on slots of ours that were overtaken.
    """

    row: int
    lane: Lane
    nonce: int
    purpose: Purpose
    intent: IntentNumber | None
    block_hash: Hash | None
    consumed_by: Hash | None
    final: bool


@made_quickly
@dataclass(frozen=True, slots=True)
class AttemptRow:
    """Signed bytes of a slot. Committed means: possibly sent, for ever."""

    number: AttemptNumber
    lane: Lane
    nonce: int
    slot: int  # SlotRow.row
    hash: Hash
    raw: bytes
    payload: Payload
    payload_digest: Hash
    kind: WriteKind
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int
    route: str
    verdict: VerdictNumber | None  # the one in force; None for housekeeping
    renewals: int
    committed_at_s: int  # UTC [s]
    writes: int
    written_at_s: int | None  # last write, UTC [s]
    answer: str  # of the last write
    intents: tuple[tuple[IntentNumber, int], ...]  # (intent, segment), by segment


@made_quickly
@dataclass(frozen=True, slots=True)
class Commitment:
    """A signed candidate with the verdict that admitted it, to be committed to its slot.

    Several plans may go in one payload: those beside the first are its further segments, each with a verdict
    of its own about that payload."""

    lane: Lane
    nonce: int
    intent: IntentNumber
    strategy: str
    verdict: Verdict
    hash: Hash
    raw: bytes
    payload: Payload
    payload_digest: Hash
    max_fee_per_gas_wei: int
    max_priority_fee_per_gas_wei: int
    route: str
    reserved: tuple[tuple[Address, int], ...]  # what it may take of each token at most [smallest unit]
    beside: tuple[tuple[str, Verdict], ...] = ()  # strategy and verdict of each further segment, in order

    @property
    def segments(self) -> tuple[tuple[str, Verdict], ...]:
        return (self.strategy, self.verdict), *self.beside


@dataclass(frozen=True, slots=True)
class VerdictRow:
    number: VerdictNumber
    verdict: Verdict
    at_s: int  # UTC [s]


@made_quickly
@dataclass(frozen=True, slots=True)
class NewInclusion:
    """A hash of ours as a block has it, to be recorded. Who has the attempt at hand gives it along, and the
    ledger need not be asked for it."""

    attempt_hash: Hash
    block: Block
    index: int
    status: bool
    gas_used: int
    effective_gas_price_wei: int
    fee_wei: int  # L1 part included
    attempt: AttemptRow | None = None  # as it is stored


@made_quickly
@dataclass(frozen=True, slots=True)
class InclusionRow:
    """A hash in a block; provisional until its finality is final."""

    number: int
    attempt: AttemptNumber
    attempt_hash: Hash
    lane: Lane
    nonce: int
    block_number: int
    block_hash: Hash
    index: int
    status: bool
    gas_used: int
    effective_gas_price_wei: int
    fee_wei: int  # L1 part included
    canonical: bool
    finality: Finality


class Leg(NamedTuple):
    """One side of a posting."""

    account: Account
    token: Address
    delta: int  # signed [smallest unit of token]


@made_quickly
@dataclass(frozen=True, slots=True)
class PostingEntry:
    """Legs that sum to zero per token, derived from one block. One canonical entry a kind and inclusion."""

    kind: str  # what was booked: "transfers", "fee", "unexplained", ...
    chain_id: int
    block_number: int
    block_hash: Hash
    legs: tuple[Leg, ...]
    inclusion: int | None = None  # InclusionRow.number
    intent: IntentNumber | None = None


@made_quickly
@dataclass(frozen=True, slots=True)
class PostingRow:
    number: int
    entry: PostingEntry
    canonical: bool


@made_quickly
@dataclass(frozen=True, slots=True)
class SpendRow:
    """The most that an attempt may take out of its lane; once it is settled, what it took."""

    attempt: AttemptNumber
    lane: Lane
    token: Address
    amount: int  # [smallest unit of token]
    at_s: int  # of the commit, UTC [s]


@dataclass(frozen=True, slots=True)
class TimerRow:
    strategy: str
    name: str
    at_s: int  # UTC [s]


@dataclass(frozen=True, slots=True)
class ControlRow:
    """Authority of a scope. Epoch 0 means that nothing was ever said."""

    scope: str
    authority: Authority
    epoch: int
    reason: str
    who: str
    at_s: int  # UTC [s]


class NewEvent(NamedTuple):
    """An event, to be stored."""

    kind: str
    chain_id: int
    subject: str
    intent: IntentNumber | None
    data: EventData


@made_quickly
@dataclass(frozen=True, slots=True)
class EventRow:
    seq: int
    kind: str
    chain_id: int
    subject: str
    intent: IntentNumber | None
    data: dict[str, str | int | bool | None]
    at_s: int  # UTC [s]
