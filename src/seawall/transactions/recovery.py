"""What was committed and is not on chain: one path for restart, resume after HALT, reorg, and what a node
forgot.

An attempt once committed counts as possibly sent, for ever (invariant 3a). Ascending by nonce, each open
slot that no canonical inclusion explains is tended:

    known to the node      wait; past its deadline, fill the nonce with a dearer transfer to ourselves
    rejected again and again   fill the nonce, for it blocks all behind it
    verdict in force       write the same bytes
    verdict lapsed         judge the same payload anew; admitted: record the renewal and write the same bytes;
                           refused or past its deadline: fill the nonce, and when that is final the intent
                           ends cancelled

Every older hash of a slot stays watched until the slot is final. Nothing here gives a nonce to an intent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from seawall.chain.broadcast import WriteAnswer
from seawall.ledger.rows import AttemptRow, IntentRow, SlotRow
from seawall.ledger.transaction import Transaction
from seawall.native.wire import DynamicFeeTransaction
from seawall.primitives.codec import payload_digest
from seawall.primitives.errors import (
    AuthorityChangedError,
    NativeError,
    PlanError,
    StaleError,
    UnavailableError,
)
from seawall.primitives.levels import Authority, WriteKind
from seawall.primitives.units import BPS, Hash, hex_text, mul_div_up
from seawall.primitives.verdicts import Candidate, Payload, Verdict
from seawall.telemetry import failpoints
from seawall.telemetry.logs import correlated, get_logger
from seawall.transactions.judging import judge
from seawall.transactions.lanes import LaneRunner

__all__ = ["REPLACEMENT_BPS", "tend"]

_AFTER_FILL_COMMIT = failpoints.declare("transactions.after_fill_commit")
_AFTER_RENEWAL = failpoints.declare("transactions.after_renewal")
_FILL_GAS: Final = 21_000
# Common nodes replace only at +10 % on both fee fields; one more per cent against their rounding.
REPLACEMENT_BPS: Final = 11_100
# Bytes that no node takes, whatever the reason, block all that is behind them: after this many writes their
# nonce is filled instead.
REJECTIONS_MAX: Final = 16
_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OpenSlot:
    """A slot that is not final: its attempts in commit order, and the intent it was made for."""

    slot: SlotRow
    attempts: tuple[AttemptRow, ...]
    intent: IntentRow | None


async def tend(runner: LaneRunner) -> None:
    """Look after every open slot of the lane once. Holds the desk's turn; call it at each head and at resume.

    Raises `UnavailableError` or `StaleError` when chain or head moved; the next call goes on where this one
    stopped."""
    desk = runner.desk
    if runner.signer is None or not runner.signer.ready:
        return
    async with desk.turn:
        desk.base()
        at_head = await desk.nonce_at_head(runner.lane)
        slots = await desk.parts.ledger.read(lambda tx: _open_slots(tx, runner))
        await _fill_gaps(runner, slots, at_head)
        pending = [s for s in slots if s.slot.nonce >= at_head and s.attempts and not _landed(runner, s)]
        known = await desk.parts.client.transactions_known([s.attempts[-1].hash for s in pending])
        for slot, is_known in zip(pending, known, strict=True):
            await _tend_slot(runner, slot, is_known)
        if not desk.is_ready:
            await desk.rebuild_overlay()


def _open_slots(tx: Transaction, runner: LaneRunner) -> list[OpenSlot]:
    found = []
    for slot in tx.slots.open(runner.lane):
        attempts = tuple(tx.attempts.of_slot(runner.lane, slot.nonce))
        intent = tx.intents.get(slot.intent) if slot.intent is not None else None
        found.append(OpenSlot(slot, attempts, intent))
    return found


def _landed(runner: LaneRunner, slot: OpenSlot) -> bool:
    return any(attempt.hash in runner.desk.included for attempt in slot.attempts)


async def _fill_gaps(runner: LaneRunner, slots: list[OpenSlot], at_head: int) -> None:
    """A nonce below our highest that has no slot (a foreign transaction that a reorg took away) blocks all
    behind it."""
    have = {slot.slot.nonce for slot in slots}
    for nonce in range(at_head, max(have, default=at_head - 1)):
        if nonce not in have:
            await _fill(runner, nonce, (), None, "no transaction of ours or of anybody has this nonce")


async def _tend_slot(runner: LaneRunner, slot: OpenSlot, is_known: bool) -> None:
    attempt = slot.attempts[-1]
    if runner.outbox.holds(attempt.hash):
        return
    intent, now_s = slot.intent, runner.desk.parts.clock.now_s()
    if attempt.kind is WriteKind.HOUSEKEEPING:
        await _tend_fill(runner, slot, is_known)
        return
    assert intent is not None
    with correlated(intent.correlation_id):
        if intent.plan.deadline_s < now_s:
            await _fill(
                runner, slot.slot.nonce, slot.attempts, intent, "its deadline passed before it was on chain"
            )
        elif is_known:
            return
        elif attempt.answer == WriteAnswer.REJECTED and attempt.writes >= REJECTIONS_MAX:
            why = f"every endpoint rejects its bytes, the last of {attempt.writes} times too"
            await _fill(runner, slot.slot.nonce, slot.attempts, intent, why)
        elif runner.desk.in_force(runner.desk.verdicts.get(attempt.number)):
            runner.outbox.put(attempt)
        else:
            await _renew(runner, slot, attempt, intent)


async def _tend_fill(runner: LaneRunner, slot: OpenSlot, is_known: bool) -> None:
    """A filler is written until the node has it, and made dearer once the base fee has left it behind."""
    attempt = slot.attempts[-1]
    if attempt.max_fee_per_gas_wei < runner.desk.base().base_fee_wei:
        await _fill(
            runner, slot.slot.nonce, slot.attempts, slot.intent, slot.intent.reason if slot.intent else "gap"
        )
    elif not is_known:
        runner.outbox.put(attempt)


async def _renew(runner: LaneRunner, slot: OpenSlot, attempt: AttemptRow, intent: IntentRow) -> None:
    """Judge the same payload anew on today's head. The renewal is recorded before the bytes are written
    again."""
    desk = runner.desk
    if desk.authority is Authority.HALT:
        return
    try:
        await desk.rebuild_overlay(before=attempt)
        verdict = await judge(desk, await _same_candidate(runner, attempt, intent), desk.authority)
    except (UnavailableError, StaleError) as cause:
        _log.warning("renewal_put_off", intent=intent.number, cause=str(cause))
        return
    except (PlanError, NativeError) as cause:
        why = f"its verdict lapsed and it cannot be judged anew: {cause}"
        await _fill(runner, slot.slot.nonce, slot.attempts, intent, why)
        return
    if not verdict.admitted:
        await _record_renewal(runner, attempt, intent, verdict)
        await _fill(
            runner,
            slot.slot.nonce,
            slot.attempts,
            intent,
            f"its verdict lapsed and was not renewed: {verdict.explanation}",
        )
        return
    await _record_renewal(runner, attempt, intent, verdict)
    await _AFTER_RENEWAL.reach()
    desk.verdicts[attempt.number] = verdict
    desk.correlations[attempt.number] = intent.correlation_id
    runner.outbox.put(attempt)


async def _same_candidate(runner: LaneRunner, attempt: AttemptRow, intent: IntentRow) -> Candidate:
    base = runner.desk.base()
    fees = await runner.desk.fee_quote()
    return Candidate(
        number=intent.number,
        attempt_number=intent.candidates + 1,
        plan=intent.plan,
        plan_digest=intent.plan_digest,
        intent_id=intent.intent_id,
        lane=runner.lane,
        nonce=attempt.nonce,
        payload=attempt.payload,
        max_fee_per_gas_wei=attempt.max_fee_per_gas_wei,
        max_priority_fee_per_gas_wei=attempt.max_priority_fee_per_gas_wei,
        expected_fee_per_gas_wei=min(fees.expected_fee_per_gas_wei, attempt.max_fee_per_gas_wei),
        ceiling_fee_per_gas_wei=attempt.max_fee_per_gas_wei,
        base=base,
    )


async def _record_renewal(
    runner: LaneRunner, attempt: AttemptRow, intent: IntentRow, verdict: Verdict
) -> None:
    now_s = runner.desk.parts.clock.now_s()

    def commit(tx: Transaction) -> None:
        tx.lanes.require(runner.lane, runner.fence)
        tx.intents.count_candidate(intent.number)
        number = tx.verdicts.insert(verdict, now_s)
        if verdict.admitted:
            tx.attempts.renew(attempt, number)
        data: dict[str, str | int | bool | None] = {
            "hash": hex_text(attempt.hash),
            "admitted": verdict.admitted,
            "why": verdict.explanation,
        }
        tx.events.append("verdict.renewed", runner.lane.chain_id, intent.strategy, intent.number, data, now_s)

    await runner.desk.parts.ledger.write(commit)
    runner.desk.parts.metrics.judged(verdict)


async def _fill(
    runner: LaneRunner, nonce: int, earlier: tuple[AttemptRow, ...], intent: IntentRow | None, why: str
) -> None:
    """Use up a nonce by a transfer of nothing to ourselves: housekeeping, of fixed shape, under its own fee
    ceiling."""
    desk = runner.desk
    if not desk.parts.latch.admits(WriteKind.HOUSEKEEPING):
        return
    fees = await _fill_fees(runner, earlier)
    if fees is None:
        _log.error("fill_over_ceiling", lane=str(runner.lane), nonce=nonce, why=why)
        return
    payload = Payload(runner.lane.chain_id, runner.lane.key, runner.lane.key, b"", 0, _FILL_GAS)
    transaction = DynamicFeeTransaction(
        chain_id=payload.chain_id,
        nonce=nonce,
        max_priority_fee_per_gas_wei=fees[1],
        max_fee_per_gas_wei=fees[0],
        gas_limit=_FILL_GAS,
        to=payload.to,
        value_wei=0,
        data=b"",
    )
    assert runner.signer is not None
    signed = (await runner.signer.sign_transactions([transaction]))[0]
    now_s = desk.parts.clock.now_s()

    def commit(tx: Transaction) -> AttemptRow:
        tx.lanes.require(runner.lane, runner.fence)
        tx.controls.require_epoch(desk.epoch)
        if not desk.parts.latch.admits(WriteKind.HOUSEKEEPING):
            raise AuthorityChangedError("HALT came into force", str(runner.lane), "resume to go on")
        slot = tx.slots.get(runner.lane, nonce) or tx.slots.insert(runner.lane, nonce, "gap_fill", None)
        row = tx.attempts.insert(
            slot, Hash(signed.hash), signed.raw, payload, payload_digest(payload), WriteKind.HOUSEKEEPING,
            fees[0], fees[1], "public", None, [], now_s,
        )  # fmt: skip
        if intent is not None:
            tx.intents.explain(intent.number, why)
        data: dict[str, str | int | bool | None] = {"hash": hex_text(row.hash), "nonce": nonce, "why": why}
        tx.events.append(
            "slot.filled",
            runner.lane.chain_id,
            str(runner.lane),
            intent.number if intent else None,
            data,
            now_s,
        )
        return row

    try:
        attempt = await desk.parts.ledger.write(commit)
    except AuthorityChangedError:
        return
    await _AFTER_FILL_COMMIT.reach()
    _log.info("slot_filled", lane=str(runner.lane), nonce=nonce, hash=hex_text(attempt.hash), why=why)
    desk.take_filler(attempt)
    runner.outbox.put(attempt)


async def _fill_fees(runner: LaneRunner, earlier: tuple[AttemptRow, ...]) -> tuple[int, int] | None:
    """(max fee, max priority fee) per gas: above every earlier attempt by the clients' rule, under our
    ceiling. What more a calm quote would give is cut by the ceiling; what the rule needs is not."""
    quote = await runner.desk.fee_quote()
    ceiling = runner.desk.parts.emergency_max_fee_per_gas_wei
    max_fee = min(quote.max_fee_per_gas_wei, ceiling)
    priority = quote.max_priority_fee_per_gas_wei
    for attempt in earlier:
        max_fee = max(max_fee, mul_div_up(attempt.max_fee_per_gas_wei, REPLACEMENT_BPS, BPS))
        priority = max(priority, mul_div_up(attempt.max_priority_fee_per_gas_wei, REPLACEMENT_BPS, BPS))
    return (max_fee, min(priority, max_fee)) if max_fee <= ceiling else None
