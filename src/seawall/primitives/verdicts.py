"""Candidates and verdicts: what is about to be signed, and whether it may."""

from __future__ import annotations

from dataclasses import dataclass

from seawall.primitives.blocks import Block
from seawall.primitives.frozen import made_quickly
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import WriteKind
from seawall.primitives.plans import Plan
from seawall.primitives.units import Address, Hash

__all__ = ["Candidate", "Measurement", "Payload", "Verdict"]


@made_quickly
@dataclass(frozen=True, slots=True)
class Payload:
    """The part of a transaction that a verdict binds. Fees and nonce are outside: a replacement may change
    the fee."""

    chain_id: int
    sender: Address
    to: Address
    data: bytes
    value_wei: int
    gas_limit: int


@made_quickly
@dataclass(frozen=True, slots=True)
class Candidate:
    """An intent with its exact payload, before the verdict."""

    number: IntentNumber
    attempt_number: int  # 1 for the first candidate of this intent, then counting up
    plan: Plan
    plan_digest: Hash
    intent_id: int
    lane: Lane
    nonce: int
    payload: Payload
    max_fee_per_gas_wei: int  # what is signed first
    max_priority_fee_per_gas_wei: int
    expected_fee_per_gas_wei: int
    ceiling_fee_per_gas_wei: int  # what a replacement may reach: never under what is signed first
    base: Block
    data_fee_wei: int = 0  # the most that a roll-up takes for its data, beside gas
    data_gas: int = 0  # of the gas limit, what a roll-up takes for its data

    @property
    def max_total_fee_wei(self) -> int:
        """The most that this payload can cost in fees, replacements included: under it profit is judged."""
        return self.payload.gas_limit * self.ceiling_fee_per_gas_wei + self.data_fee_wei


@made_quickly
@dataclass(frozen=True, slots=True)
class Measurement:
    """One guard's finding. `measured` of None: it could not measure, and therefore refuses."""

    guard: str
    measured: int | None
    limit: int
    margin: int | None  # how far inside the limit; negative is outside
    unit: str
    passed: bool
    block_hash: Hash | None
    reason: str  # one sentence for a human


@made_quickly
@dataclass(frozen=True, slots=True)
class Verdict:
    """The gate's answer. It binds exactly what it names, for as long as it says."""

    number: IntentNumber
    attempt_number: int
    plan_digest: Hash
    payload_digest: Hash
    base_number: int
    base_hash: Hash
    overlay_digest: Hash
    valid_until_block: int
    valid_until_s: int
    max_total_fee_wei: int
    expected_fee_wei: int
    kind: WriteKind
    admitted: bool
    measurements: tuple[Measurement, ...]
    predicted_wei: int | None  # profit at the expected fee [smallest unit of the accounting token]
    predicted_floor_wei: int | None  # profit at the maximum fee
    gas_used: int | None

    @property
    def refusals(self) -> tuple[Measurement, ...]:
        return tuple(m for m in self.measurements if not m.passed)

    @property
    def explanation(self) -> str:
        """Why it was refused, in plain words; empty if it was admitted."""
        return "; ".join(f"{m.guard}: {m.reason}" for m in self.refusals)
