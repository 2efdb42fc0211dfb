"""A lane takes its best ready intent to a verdict, signs in memory, and makes the one fenced commit
(invariant 3).

Failing before that commit consumes nothing and leaves no gap. A refusal is final. *Stale* and *unavailable*
are not refusals: the candidate is built again, a bounded number of times, until the intent's deadline.

A dry-run lane is the same code with no signer: the intent ends at its verdict.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.ledger.rows import AttemptRow, IntentRow
from seawall.ledger.transaction import Transaction
from seawall.native.wire import DynamicFeeTransaction, SignedTransaction
from seawall.primitives.bounds import LANE_UNLANDED_MAX, REBUILDS_MAX
from seawall.primitives.codec import payload_digest
from seawall.primitives.errors import (
    AuthorityChangedError,
    LedgerError,
    NativeError,
    NonceTakenError,
    PlanError,
    StaleError,
    UnavailableError,
)
from seawall.primitives.identifiers import IntentNumber, Lane
from seawall.primitives.levels import Authority, IntentState
from seawall.primitives.units import NATIVE, Hash, hex_text
from seawall.primitives.verdicts import Candidate, Verdict
from seawall.signers.base import Signer
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.telemetry.metrics import Stage
from seawall.transactions.candidates import NO_FEES, build_candidate, gas_limit_for, gas_limit_room
from seawall.transactions.desk import Desk
from seawall.transactions.judging import judge, measure_gas
from seawall.transactions.writing import Outbox

__all__ = ["DRY_RUN", "LaneRunner", "Stance", "Standing"]

DRY_RUN: Final = "dry_run"
_QUEUE_LOOK: Final = 64  # how far down its queue a lane looks for a ready intent

_AFTER_VERDICT = failpoints.declare("transactions.after_verdict")
_AFTER_SIGNATURE = failpoints.declare("transactions.after_signature")
_AFTER_COMMIT = failpoints.declare("transactions.after_commit")
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a lane stands in the ledger at this moment."""

    highest: int | None
    queued: tuple[IntentRow, ...]
    blocked: frozenset[IntentNumber]  # queued, but something they depend on is not there yet


@dataclass(frozen=True, slots=True)
class Stance:
    """Authority before a candidate was judged; a stop that came and went since then drops the candidate."""

    epoch: int  # of the ledger's controls
    latch_changes: int


@dataclass(slots=True)
class LaneRunner:
    """One lane of one desk. `signer` of None makes it a dry-run lane. `fence` comes from the lease."""

    desk: Desk
    lane: Lane
    signer: Signer | None
    outbox: Outbox
    holder: str
    lease_ttl_s: int
    fence: int = 0

    async def acquire(self) -> None:
        """Take the lane's lease. Raises `FenceLostError` while another kernel holds it."""
        now_s = self.desk.parts.clock.now_s()
        self.fence = await self.desk.parts.ledger.write(
            lambda tx: tx.lanes.acquire(self.lane, self.holder, now_s, self.lease_ttl_s)
        )
        self.desk.fences[self.lane] = self.fence

    async def renew_lease(self) -> None:
        now_s = self.desk.parts.clock.now_s()
        await self.desk.parts.ledger.write(
            lambda tx: tx.lanes.renew(self.lane, self.fence, now_s, self.lease_ttl_s)
        )

    async def step(self) -> bool:
        """Take one intent as far as it goes now. True if something moved, so that stepping again may help."""
        if self.desk.authority is Authority.HALT or (self.signer is not None and not self.signer.ready):
            return False
        async with self.desk.turn:
            self.desk.base()
            if not self.desk.is_ready:
                return False
            # What is included and not final holds up nobody.
            if sum(row.lane == self.lane for row in self.desk.unlanded()) >= LANE_UNLANDED_MAX:
                return False
            standing = await self.desk.parts.ledger.read(self._standing)
            now_s = self.desk.parts.clock.now_s()
            for row in standing.queued:
                if row.plan.deadline_s < now_s:
                    await self._end(
                        row,
                        IntentState.EXPIRED,
                        row.reason or "its deadline passed before it could be judged",
                    )
                    return True
                if row.number not in standing.blocked:
                    with correlated(row.correlation_id):
                        return await self._carry(row, standing)
            return False

    def _standing(self, tx: Transaction) -> Standing:
        queued = tuple(tx.intents.queued(self.lane, _QUEUE_LOOK))
        blocked = frozenset(
            row.number for row in queued if row.plan.depends_on and not _dependencies_met(tx, row)
        )
        return Standing(tx.slots.highest(self.lane), queued, blocked)

    async def _carry(self, row: IntentRow, standing: Standing) -> bool:
        stance = Stance(self.desk.epoch, self.desk.parts.latch.changes)
        try:
            with self.desk.parts.metrics.timing(Stage.JUDGE):
                candidate, verdict = await self._judged(row, standing)
        except (UnavailableError, StaleError) as cause:
            return await self._put_off(row, cause)
        except (PlanError, NativeError) as cause:
            # No later head can mend it, and it must not stop those behind it.
            _log.warning("intent_cannot_be_judged", intent=row.number, cause=str(cause))
            await self._end(row, IntentState.REFUSED, f"it cannot be judged: {cause}")
            return True
        await _AFTER_VERDICT.reach()
        self.desk.parts.metrics.judged(verdict)
        if not verdict.admitted:
            await self._refuse(row, verdict)
            return True
        if self.signer is None:
            await self._end(row, IntentState.CANCELLED, DRY_RUN, verdict)
            return True
        return await self._commit(row, candidate, verdict, stance, self.signer)

    async def _judged(self, row: IntentRow, standing: Standing) -> tuple[Candidate, Verdict]:
        base, authority = self.desk.base(), self.desk.authority
        at_head = await self.desk.nonce_at_head(self.lane)
        nonce = at_head if standing.highest is None else max(at_head, standing.highest + 1)
        fees = await self.desk.fee_quote()
        number = row.candidates + 1
        gas_limit = row.plan.gas_limit
        if gas_limit is None:
            room = gas_limit_room(base)
            roomy = build_candidate(row, self.lane, nonce, number, NO_FEES, base, room)
            gas_limit = gas_limit_for(await measure_gas(self.desk, roomy, fees.max_fee_per_gas_wei), base)
        candidate = build_candidate(row, self.lane, nonce, number, fees, base, gas_limit)
        return candidate, await judge(self.desk, candidate, authority)

    async def _put_off(self, row: IntentRow, cause: UnavailableError | StaleError) -> bool:
        """Count the try; past the bound or the deadline the intent expires with its last cause."""
        now_s = self.desk.parts.clock.now_s()

        def commit(tx: Transaction) -> int:
            tx.lanes.require(self.lane, self.fence)
            return tx.intents.count_candidate(row.number)

        tries = await self.desk.parts.ledger.write(commit)
        _log.warning("candidate_put_off", intent=row.number, tries=tries, cause=str(cause))
        if tries >= REBUILDS_MAX or now_s > row.plan.deadline_s:
            await self._end(row, IntentState.EXPIRED, f"{type(cause).__name__}: {cause}")
        return False

    async def _refuse(self, row: IntentRow, verdict: Verdict) -> None:
        _log.info("intent_refused", intent=row.number, why=verdict.explanation)
        await self._end(row, IntentState.REFUSED, verdict.explanation, verdict)

    async def _end(
        self, row: IntentRow, state: IntentState, reason: str, verdict: Verdict | None = None
    ) -> None:
        now_s = self.desk.parts.clock.now_s()

        def commit(tx: Transaction) -> None:
            tx.lanes.require(self.lane, self.fence)
            if verdict is not None:
                tx.intents.count_candidate(row.number)
                tx.verdicts.insert(verdict, now_s)
                tx.intents.set_profit(row.number, verdict.predicted_wei, None)
            tx.intents.set_state(row.number, state, reason, None, now_s)
            tx.events.append(
                f"intent.{state}", self.lane.chain_id, row.strategy, row.number, {"reason": reason}, now_s
            )

        await self.desk.parts.ledger.write(commit)
        self.desk.parts.metrics.ended(state)

    async def _commit(
        self, row: IntentRow, candidate: Candidate, verdict: Verdict, stance: Stance, signer: Signer
    ) -> bool:
        metrics = self.desk.parts.metrics
        with metrics.timing(Stage.SIGN):
            signed = await _sign(candidate, signer)
        await _AFTER_SIGNATURE.reach()
        if not self.desk.in_force(verdict):
            # The signer took longer than the verdict lasts, or authority moved: nothing is consumed by
            # dropping it.
            _log.info("candidate_dropped", intent=row.number, cause="its verdict is not in force any more")
            return False
        try:
            with metrics.timing(Stage.COMMIT):
                attempt = await self.desk.parts.ledger.write(
                    lambda tx: self._insert(tx, row, candidate, verdict, stance, signed)
                )
        except (AuthorityChangedError, NonceTakenError) as error:
            # Nothing was consumed: the candidate is dropped and built anew on what is true now.
            _log.info("candidate_dropped", intent=row.number, cause=str(error))
            return isinstance(error, NonceTakenError)
        await _AFTER_COMMIT.reach()
        self.desk.unsettled[attempt.hash] = attempt
        self.desk.verdicts[attempt.number] = verdict
        self.desk.correlations[attempt.number] = row.correlation_id
        self.outbox.put(attempt)
        _log.info("intent_committed", intent=row.number, nonce=candidate.nonce, hash=hex_text(attempt.hash))
        await self.desk.push_overlay(attempt)
        return True

    def _insert(
        self,
        tx: Transaction,
        row: IntentRow,
        candidate: Candidate,
        verdict: Verdict,
        stance: Stance,
        signed: SignedTransaction,
    ) -> AttemptRow:
        """The one fenced commit: lease, authority, slot, verdict, attempt, reservation, state, event."""
        latch, now_s = self.desk.parts.latch, self.desk.parts.clock.now_s()
        tx.lanes.require(self.lane, self.fence)
        tx.controls.require_epoch(stance.epoch)
        if latch.changes != stance.latch_changes or not latch.admits(verdict.kind):
            raise AuthorityChangedError(
                f"authority changed since the verdict, to {latch.authority.name}",
                str(self.lane),
                "none needed",
            )
        if tx.intents.get(row.number).state is not IntentState.QUEUED:
            raise LedgerError(
                f"intent {row.number} is not queued any more", str(self.lane), "this is a bug: report it"
            )
        slot = tx.slots.insert(self.lane, candidate.nonce, "plan", row.number)
        tx.intents.count_candidate(row.number)
        verdict_id = tx.verdicts.insert(verdict, now_s)
        attempt = tx.attempts.insert(
            slot,
            Hash(signed.hash),
            signed.raw,
            candidate.payload,
            payload_digest(candidate.payload),
            verdict.kind,
            candidate.max_fee_per_gas_wei,
            candidate.max_priority_fee_per_gas_wei,
            "public",
            verdict_id,
            [(row.number, 0)],
            now_s,
        )
        tx.reservations.insert(attempt, NATIVE, candidate.payload.value_wei + candidate.max_total_fee_wei)
        tx.intents.set_state(row.number, IntentState.COMMITTED, "", None, now_s)
        tx.intents.set_profit(row.number, verdict.predicted_wei, None)
        data: dict[str, str | int | bool | None] = {"hash": hex_text(attempt.hash), "nonce": candidate.nonce}
        tx.events.append("intent.committed", self.lane.chain_id, row.strategy, row.number, data, now_s)
        return attempt


async def _sign(candidate: Candidate, signer: Signer) -> SignedTransaction:
    payload = candidate.payload
    transaction = DynamicFeeTransaction(
        chain_id=payload.chain_id,
        nonce=candidate.nonce,
        max_priority_fee_per_gas_wei=candidate.max_priority_fee_per_gas_wei,
        max_fee_per_gas_wei=candidate.max_fee_per_gas_wei,
        gas_limit=payload.gas_limit,
        to=payload.to,
        value_wei=payload.value_wei,
        data=payload.data,
    )
    return (await signer.sign_transactions([transaction]))[0]


def _dependencies_met(tx: Transaction, row: IntentRow) -> bool:
    """Every dependency is on chain, successfully, at the finality that the plan asks for."""
    for key in row.plan.depends_on:
        needed = tx.intents.find(row.strategy, key)
        if needed is None or not _landed_at(tx, needed, row):
            return False
    return True


def _landed_at(tx: Transaction, needed: IntentRow, row: IntentRow) -> bool:
    if needed.state is IntentState.LANDED:
        return True
    inclusion = tx.inclusions.of_intent(needed.number)
    return inclusion is not None and inclusion.status and inclusion.finality >= row.plan.depends_finality
